//! What facts do to waiting lines.

use crate::account::{Account, Moment};
use crate::deadline::Deadline;
use crate::id::CallId;
use crate::line::Waiting;
use crate::page::PageKey;
use crate::slab::Ix;
use crate::time::Time;

impl Account {
    pub(crate) fn enter_line(&mut self, id: &CallId, waiting: &Waiting, moment: &Moment<'_>) -> Option<Ix> {
        let place = self.call_or_new(id, moment.at);
        let call = self.calls.at_mut(place)?;
        call.waiting = Some(Box::new(waiting.clone()));
        call.waited = None;
        call.idle_since = None;
        self.line_up(place);
        // A tier may open before the caller's time is over; a replay does not know when.
        self.deadlines.arm(moment.at, Deadline::Waiting(place));
        self.line_changed(&waiting.queue_id, moment.seq);
        None
    }

    /// Counts the caller into its queue's line; also when a snapshot is loaded.
    pub(crate) fn line_up(&mut self, place: Ix) {
        let Some(call) = self.calls.at(place) else { return };
        let Some(waiting) = call.waiting.as_deref() else { return };
        self.waiting += 1;
        self.deadlines.arm(waiting.until, Deadline::Waiting(place));
        if let Some(ix) = self.queue_by_id.get(&waiting.queue_id)
            && let Some(queue) = self.queues.get_mut(*ix)
        {
            queue.line.ages.insert((waiting.since, waiting.number, place));
            if call.offer.is_none() {
                queue.line.open.insert(waiting.key(place));
            }
        }
    }

    /// The caller leaves the line for good, or until it is put back to its place.
    pub(crate) fn leave_line(&mut self, place: Ix, seq: u64) -> Option<Box<Waiting>> {
        let call = self.calls.at_mut(place)?;
        let waiting = call.waiting.take()?;
        call.waited = Some(waiting.clone());
        self.waiting = self.waiting.saturating_sub(1);
        self.dirty.insert(PageKey::call(call.number));
        self.deadlines.disarm(waiting.until, Deadline::Waiting(place));
        if let Some(ix) = self.queue_by_id.get(&waiting.queue_id)
            && let Some(queue) = self.queues.get_mut(*ix)
        {
            queue.line.ages.remove(&(waiting.since, waiting.number, place));
            queue.line.open.remove(&waiting.key(place));
        }
        self.line_changed(&waiting.queue_id, seq);
        Some(waiting)
    }

    pub(crate) fn dequeued(&mut self, id: &CallId, moment: &Moment<'_>) -> Option<Ix> {
        let place = self.calls.find(id.as_str())?;
        self.leave_line(place, moment.seq);
        self.settle_call(place, moment.at);
        None
    }

    /// An offer rings for the caller, or rings no more: others are not offered it meanwhile.
    pub(crate) fn line_rings(&mut self, place: Ix, rings: bool) {
        let Some(waiting) = self.calls.at(place).and_then(|call| call.waiting.as_deref()) else { return };
        if let Some(ix) = self.queue_by_id.get(&waiting.queue_id)
            && let Some(queue) = self.queues.get_mut(*ix)
        {
            let key = waiting.key(place);
            if rings {
                queue.line.open.remove(&key);
            } else {
                queue.line.open.insert(key);
            }
        }
    }

    /// The caller talks to an agent: the line moved on by one.
    pub(crate) fn line_answered(&mut self, place: Ix, seq: u64, at: Time) {
        if let Some(waiting) = self.leave_line(place, seq)
            && let Some(ix) = self.queue_by_id.get(&waiting.queue_id)
            && let Some(queue) = self.queues.get_mut(*ix)
        {
            queue.pace.answered(at);
        }
    }

    /// What callers of this queue wait for may have come: more tiers, other settings.
    pub(crate) fn look_at_line(&mut self, queue: Ix, at: Time) {
        if self.queues.get(queue).is_some_and(|queue| !queue.line.open.is_empty()) {
            self.deadlines.arm(at, Deadline::Line(queue));
        }
    }

    fn line_changed(&mut self, queue: &crate::id::QueueId, seq: u64) {
        if let Some(ix) = self.queue_by_id.get(queue).copied()
            && let Some(queue) = self.queues.get_mut(ix)
        {
            queue.seq = seq;
            self.touched.queues.insert(ix);
            self.dirty.insert(PageKey::queue(ix));
        }
    }
}
