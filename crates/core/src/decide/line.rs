//! The line: callers wait, agents become free, and each finds the other (model.md §6).

use smallvec::SmallVec;

use super::pick::Wish;
use crate::account::{Account, Step};
use crate::agent::Agent;
use crate::call::{Call, LEGS_MAX};
use crate::deadline::Deadline;
use crate::fact::Change;
use crate::fence::ClauseSet;
use crate::id::{CallId, QueueId, RouterId};
use crate::input::{Ask, Enqueue, Place, Reply};
use crate::line::{CALLER_BYTES_MAX, LineOutcome, PRIORITY_MAX, WAITING_MAX, Waiting};
use crate::offer::{Cause, Outcome, Target};
use crate::queue::Queue;
use crate::refusal::Refusal;
use crate::slab::Ix;
use crate::time::Time;

/// Offers one record pushes to callers at most; the rest comes with the account's own later input.
pub(crate) const PUSHES_PER_RECORD: usize = 32;
/// Routers attached to one account, or away and expected back.
pub const ROUTERS_MAX: usize = 1_024;
/// A router whose connection died may come back this long before its unanswered offers are rescinded.
pub const ROUTER_GRACE_MS: u64 = 5_000;

impl Account {
    /// A caller joins the line: an offer if somebody is free, else a place.
    pub(crate) fn enqueue(&mut self, step: &mut Step, input: Enqueue) -> Result<Reply, Refusal> {
        if input.priority > PRIORITY_MAX {
            return Err(Refusal::Invalid { field: "priority", problem: format!("0 to {PRIORITY_MAX}") });
        }
        if input.caller.as_ref().is_some_and(|caller| caller.len() > CALLER_BYTES_MAX) {
            let problem = format!("at most {CALLER_BYTES_MAX} bytes");
            return Err(Refusal::Invalid { field: "caller", problem });
        }
        let queue = self.queue(&input.queue);
        if queue.is_none() {
            return Err(Refusal::UnknownQueue { queue: input.queue });
        }
        if let Some(reply) = self.waits_already(step, &input.queue, &input.call)? {
            return Ok(reply);
        }
        let queue = self.queue(&input.queue);
        let queue = queue.ok_or_else(|| Refusal::UnknownQueue { queue: input.queue.clone() })?;
        if queue.logged_in == 0 && self.waited(&input.call).is_none_or(|place| place.queue_id != input.queue)
        {
            let members = u32::try_from(queue.members.len()).unwrap_or(u32::MAX);
            return Err(Refusal::NoAgents { queue: input.queue, members });
        }
        let (waiting, most) = (queue.line.len(), queue.settings.max_queued as usize);
        if most > 0 && waiting >= most {
            return Err(Refusal::QueueFull { queue: input.queue, waiting, limit: most });
        }
        if self.waiting >= WAITING_MAX {
            return Err(Refusal::Limit { what: "callers waiting in one account", limit: WAITING_MAX });
        }
        let waiting = Waiting {
            queue_id: input.queue,
            priority: input.priority,
            since: step.now,
            number: self.seq + 1,
            until: step.now.plus_sec(queue.settings.max_wait_sec),
            caller: input.caller,
            required_tags: input.required_tags,
            router_id: input.router,
        };
        self.join_line(step, input.call, waiting)
    }

    /// Back to the place it had, after an agent or the router gave it up.
    pub(crate) fn requeue(
        &mut self,
        step: &mut Step,
        call_id: CallId,
        queue: Option<&QueueId>,
        router: Option<RouterId>,
    ) -> Result<Reply, Refusal> {
        let unknown = || Refusal::NotQueued { call: call_id.clone() };
        let call = self.calls.get(call_id.as_str()).ok_or_else(unknown)?;
        let mut waiting = match (&call.waiting, &call.waited) {
            (Some(waiting), _) | (None, Some(waiting)) => Waiting::clone(waiting),
            (None, None) => return Err(unknown()),
        };
        if queue.is_some_and(|queue| waiting.queue_id != *queue) {
            return Err(unknown());
        }
        let queue_id = waiting.queue_id.clone();
        if let Some(reply) = self.waits_already(step, &queue_id, &call_id)? {
            return Ok(reply);
        }
        let queue = self.queue(&queue_id).ok_or(Refusal::UnknownQueue { queue: queue_id })?;
        // Its place is as old as it was; how long it may still wait begins anew.
        waiting.until = step.now.plus_sec(queue.settings.max_wait_sec);
        waiting.router_id = router.or(waiting.router_id);
        self.join_line(step, call_id, waiting)
    }

    /// Takes a caller out of the line, and back the offer that rings for it.
    pub(crate) fn dequeue(
        &mut self,
        step: &mut Step,
        call_id: &CallId,
        queue: Option<&QueueId>,
    ) -> Result<Reply, Refusal> {
        let place = self.waited(call_id).filter(|place| queue.is_none_or(|queue| place.queue_id == *queue));
        if place.is_none() {
            return Err(Refusal::NotQueued { call: call_id.clone() });
        }
        let Some(call) = self.calls.get(call_id.as_str()).filter(|call| call.waiting.is_some()) else {
            return Ok(Reply::Done { changed: step.changed() });
        };
        let id = call.id.clone();
        for offer in self.live_offers_of(&id) {
            self.end_without_miss(step, &offer, Outcome::Cancelled, None);
        }
        self.leaves_line(step, call_id.clone(), LineOutcome::Dequeued);
        Ok(Reply::Done { changed: step.changed() })
    }

    /// Everybody who waits in a queue that is removed.
    pub(crate) fn clear_line(&mut self, step: &mut Step, queue: &QueueId) {
        let Some(queue) = self.queue(queue) else { return };
        let calls: Vec<CallId> = queue
            .line
            .ages
            .iter()
            .filter_map(|(.., place)| Some(self.calls.at(*place)?.id.clone()))
            .collect();
        for call in calls {
            self.leaves_line(step, call, LineOutcome::QueueRemoved);
        }
    }

    fn leaves_line(&mut self, step: &mut Step, call_id: CallId, outcome: LineOutcome) {
        self.emit(step, Change::Dequeued { call_id, outcome });
    }

    /// What a repeated enqueue is told: the offer that rings already, one for who is free by now, or the place.
    fn waits_already(
        &mut self,
        step: &mut Step,
        queue: &QueueId,
        id: &CallId,
    ) -> Result<Option<Reply>, Refusal> {
        let place = self.calls.find(id.as_str());
        let waits = |call: &Call| call.waiting.as_ref().is_some_and(|waiting| waiting.queue_id == *queue);
        if let Some(place) = place
            && self.calls.at(place).is_some_and(|call| waits(call) && call.offer.is_none() && !call.ended)
        {
            // The answer reaches the router that asks, attached or not.
            self.next_agent(step, place);
        }
        let changed = step.changed();
        let Some(call) = self.calls.get(id.as_str()) else { return Ok(None) };
        if call.ended {
            return Err(Refusal::CallEnded { call: id.clone() });
        }
        if call.legs.len() >= LEGS_MAX {
            return Err(Refusal::CallFull { call: id.clone(), limit: LEGS_MAX });
        }
        let ringing = call.offer.as_ref().and_then(|offer| self.offer(offer));
        match (&call.waiting, ringing) {
            (Some(waiting), _) if waiting.queue_id != *queue => {
                Err(Refusal::AlreadyQueued { call: id.clone(), queue: waiting.queue_id.clone() })
            }
            (Some(_), Some(entry)) => Ok(Some(Reply::Granted { grant: self.grant_of(entry), changed })),
            (Some(waiting), None) => Ok(Some(self.place_reply(id, waiting, false))),
            (None, Some(entry)) => Err(Refusal::CallAlreadyOffered {
                call: id.clone(),
                offer: entry.offer.offer_id.clone(),
                agent: entry.offer.agent_id.clone(),
            }),
            (None, None) => Ok(None),
        }
    }

    fn join_line(&mut self, step: &mut Step, call_id: CallId, waiting: Waiting) -> Result<Reply, Refusal> {
        self.emit(step, Change::Enqueued { call_id: call_id.clone(), waiting: Box::new(waiting) });
        if let Some(place) = self.calls.find(call_id.as_str()) {
            self.deadlines.disarm(step.now, Deadline::Waiting(place));
            // The answer to this very request reaches its router, attached or not.
            self.next_agent(step, place);
        }
        let call = self.calls.get(call_id.as_str());
        let offer = call.and_then(|call| call.offer.as_ref()).and_then(|offer| self.offer(offer));
        if let Some(entry) = offer {
            return Ok(Reply::Granted { grant: self.grant_of(entry), changed: true });
        }
        match call.and_then(|call| call.waiting.as_ref()) {
            Some(waiting) => Ok(self.place_reply(&call_id, waiting, true)),
            None => Err(Refusal::NotQueued { call: call_id }),
        }
    }

    fn place_reply(&self, call_id: &CallId, waiting: &Waiting, changed: bool) -> Reply {
        let ix = self.calls.find(call_id.as_str());
        let place = ix.zip(self.queue(&waiting.queue_id)).map(|(ix, queue)| {
            let place = queue.line.place(waiting.key(ix));
            (place, queue.line.len(), queue.pace.estimate_ms(place))
        });
        let (place, waiting_now, estimate_ms) = place.unwrap_or((1, 1, None));
        Reply::Placed {
            place: Place {
                call_id: call_id.clone(),
                queue_id: waiting.queue_id.clone(),
                place: u32::try_from(place).unwrap_or(u32::MAX),
                waiting: u32::try_from(waiting_now).unwrap_or(u32::MAX),
                estimate_ms,
                since: waiting.since,
                until: waiting.until,
            },
            changed,
        }
    }

    /// An agent may have become free: the next callers of its queues, as many as it has slots for.
    pub(crate) fn next_caller(&mut self, step: &mut Step, ix: Ix) {
        if self.waiting == 0 {
            return;
        }
        while let Some(agent) = self.agents.get(ix).filter(|a| a.standing.failing == ClauseSet::EMPTY) {
            let (found, passed_over) = self.caller_for(ix, agent, step.now);
            if passed_over {
                step.passed_over.insert(ix);
            }
            let Some(found) = found else { return };
            if step.is_full() {
                self.look_again(found.queue, step.now);
                return;
            }
            if !self.push(step, &[ix], found.call) {
                return;
            }
        }
    }

    /// The agent's queues in tier order, equal tiers by weight × age of the head, so that none of them starves.
    /// Also says whether the agent was passed over for a caller it had been tried for.
    fn caller_for(&self, ix: Ix, agent: &Agent, now: Time) -> (Option<Found>, bool) {
        let mut passed_over = false;
        let mut queues: SmallVec<[Pull; 8]> = agent
            .memberships
            .iter()
            .filter_map(|member| {
                let queue = self.queues.get(member.queue)?;
                let head = queue.line.open.first()?;
                let since = self.calls.at(head.call)?.waiting.as_ref()?.since;
                // One more than the age: a head that has just come still counts by its queue's weight.
                let pull = (now.since(since) + 1).saturating_mul(u64::from(queue.settings.weight));
                Some((member.tier, std::cmp::Reverse(pull), member.position, member.queue))
            })
            .collect();
        queues.sort_by(|a, b| {
            let id = |ix: Ix| self.queues.get(ix).map(|queue| &queue.id);
            (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)).then_with(|| id(a.3).cmp(&id(b.3)))
        });
        let found = queues.into_iter().find_map(|(tier, _, _, queue_ix)| {
            let queue = self.queues.get(queue_ix)?;
            let mut open = queue.line.open.iter().map(|key| key.call);
            let call = open.find(|place| {
                let Some(call) = self.calls.at(*place) else { return false };
                let fits = self.fits(queue, agent, tier, call, now);
                let excluded =
                    fits && call.tried.contains(&agent.id) && self.another_fits(queue, ix, Some(call), now);
                passed_over |= excluded;
                fits && !excluded
            })?;
            Some(Found { call, queue: queue_ix })
        });
        (found, passed_over)
    }

    /// Whether this caller may be pushed to this agent, who is offerable: clause 9 but for the exclusion, and somebody to
    /// tell.
    fn fits(&self, queue: &Queue, agent: &Agent, tier: u8, call: &Call, now: Time) -> bool {
        let waits = call.waiting.as_ref().is_some_and(|waiting| waiting.until > now);
        waits
            && self.is_pushed(call)
            && queue.settings.tags_held(&agent.entry.tags)
            && self.suits(agent, Some(call))
            && queue.tier_opens(tier, call.first_reserve) <= now
    }

    /// What the call itself asks of the agent: tags of its own, and not to be in it already.
    pub(crate) fn suits(&self, agent: &Agent, call: Option<&Call>) -> bool {
        call.is_none_or(|call| {
            let asked = call.waiting.as_ref().and_then(|waiting| waiting.required_tags.as_ref());
            asked.is_none_or(|tags| tags.held(&agent.entry.tags)) && !call.legs.contains(&agent.id)
        })
    }

    /// Some router hears of offers nobody asked for at this moment.
    fn is_pushed(&self, call: &Call) -> bool {
        call.waiting.as_ref().is_some_and(|waiting| self.router_for(waiting).is_some())
    }

    /// The router that enqueued the call, else another one that is attached.
    fn router_for(&self, waiting: &Waiting) -> Option<&RouterId> {
        let own = waiting.router_id.as_ref().and_then(|id| self.routers.get(id));
        own.or_else(|| self.routers.first())
    }

    /// A caller who waits may find an agent: its own time has come, a tier opened, an offer for it ended.
    pub(crate) fn call_waits(&mut self, step: &mut Step, place: Ix) {
        let Some(call) = self.calls.at(place) else { return };
        let Some(waiting) = call.waiting.as_ref().filter(|_| call.offer.is_none()) else { return };
        if waiting.until <= step.now {
            let id = call.id.clone();
            self.leaves_line(step, id, LineOutcome::MaxWait);
        } else if self.is_pushed(call) {
            if step.is_full() {
                if let Some(queue) = self.queue_by_id.get(&waiting.queue_id) {
                    self.look_again(*queue, step.now);
                }
                return;
            }
            self.next_agent(step, place);
        }
    }

    fn next_agent(&mut self, step: &mut Step, place: Ix) {
        let Some(call) = self.calls.at(place) else { return };
        let Some(waiting) = &call.waiting else { return };
        let Some(queue) = self.queue(&waiting.queue_id) else { return };
        let wish = Wish { call: &call.id, exclude: &[], prefer: &[] };
        match self.pick(queue, &wish, step.now) {
            Ok(chosen) => _ = self.push(step, &chosen, place),
            Err(_) => {
                let opens = queue.next_tier(call.first_reserve, step.now);
                let next = opens.map_or(waiting.until, |at| at.min(waiting.until));
                self.deadlines.arm(next, Deadline::Waiting(place));
            }
        }
    }

    fn push(&mut self, step: &mut Step, chosen: &[Ix], place: Ix) -> bool {
        let Some(call) = self.calls.at(place) else { return false };
        let Some(waiting) = &call.waiting else { return false };
        let queue = waiting.queue_id.clone();
        let router = self.router_for(waiting).or(waiting.router_id.as_ref()).cloned();
        let ask = Ask { call: call.id.clone(), offer: None, lease_ms: None, router };
        step.pushes += chosen.len();
        self.grant_to(step, chosen, Some(queue.clone()), Target::Queue(queue), ask).is_ok()
    }

    /// The whole line of a queue: somebody joined it, a router attached, or the last record was full.
    pub(crate) fn line_due(&mut self, step: &mut Step, queue: Ix) {
        let Some(open) = self.queues.get(queue).map(|queue| &queue.line.open) else { return };
        let calls: Vec<Ix> = open.iter().map(|key| key.call).collect();
        for call in calls {
            if step.is_full() {
                self.look_again(queue, step.now);
                return;
            }
            self.call_waits(step, call);
        }
    }

    /// What is to be looked at again by now. False: nothing is.
    pub(crate) fn lines_due(&mut self, step: &mut Step) -> bool {
        match self.deadlines.pop_line_due(step.now) {
            Some(Deadline::Waiting(place)) => self.call_waits(step, place),
            Some(Deadline::Line(queue)) => self.line_due(step, queue),
            Some(
                Deadline::Offer { .. }
                | Deadline::ClockLogout(_)
                | Deadline::WrapUp(_)
                | Deadline::Cooldown(_)
                | Deadline::Call(_)
                | Deadline::External(_)
                | Deadline::Contact(_)
                | Deadline::Grace(_)
                | Deadline::Resettle(_)
                | Deadline::Routers,
            )
            | None => return false,
        }
        true
    }

    fn look_again(&mut self, queue: Ix, now: Time) {
        self.deadlines.arm(now, Deadline::Line(queue));
    }

    /// A router is there to be told of offers; its own are left to it.
    pub(crate) fn router_up(&mut self, step: &Step, router: RouterId) -> Result<Reply, Refusal> {
        if self.routers.len() + self.lost_routers.len() >= ROUTERS_MAX && !self.routers.contains(&router) {
            return Err(Refusal::Limit { what: "routers attached to one account", limit: ROUTERS_MAX });
        }
        self.lost_routers.remove(&router);
        let changed = self.routers.insert(router);
        let lines: Vec<Ix> =
            self.queues.iter().filter(|(_, queue)| !queue.line.open.is_empty()).map(|(ix, _)| ix).collect();
        lines.into_iter().for_each(|queue| self.look_again(queue, step.now));
        Ok(Reply::Done { changed })
    }

    /// Nobody hears what that router is told; it may come back within a grace.
    pub(crate) fn router_down(&mut self, step: &Step, router: &RouterId) -> Reply {
        let changed = self.routers.remove(router);
        if changed {
            let until = step.now.plus_ms(ROUTER_GRACE_MS);
            self.lost_routers.insert(router.clone(), until);
            self.deadlines.arm(until, Deadline::Routers);
        }
        Reply::Done { changed }
    }

    /// Routers that did not come back: what rings for them is taken back, and their callers are served by the others.
    pub(crate) fn routers_over(&mut self, step: &mut Step) {
        let gone: Vec<RouterId> = self
            .lost_routers
            .iter()
            .filter(|(_, until)| **until <= step.now)
            .map(|(router, _)| router.clone())
            .collect();
        for router in gone {
            self.lost_routers.remove(&router);
            let offers: Vec<_> = self
                .offers
                .values()
                .filter(|entry| entry.ended.is_none() && entry.attached)
                .filter(|entry| entry.offer.router_id.as_ref() == Some(&router))
                .map(|entry| entry.offer.offer_id.clone())
                .collect();
            for offer in offers {
                self.rescind(step, &offer, Cause::RouterGone);
            }
        }
    }
}

/// A queue of an agent, as it is walked: tier, weight × age of the head, position, place.
type Pull = (u8, std::cmp::Reverse<u64>, u32, Ix);

struct Found {
    call: Ix,
    queue: Ix,
}
