//! Released rows: what may be shown of an account, and the one way to catch up with it.
//!
//! Rows stand in modification order, each with the record that last changed it; removed ones leave a tombstone. First
//! join, reconnect and slow reader are the same question, [`Released::catch_up`], with another cursor. Rows are shared;
//! the lock is held to swap or to collect, never to encode.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use ringfence_core::bucket::BucketCounts;
use ringfence_core::row::{AgentRow, QueueRow, View, row_hash};
use ringfence_core::{AgentId, QueueId, TOMBSTONES_MAX, Time};
use tokio::sync::Notify;

/// How far a reader has come. Held by the reader alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub epoch: u64,
    pub seq: u64,
}

/// What a reader at a cursor is missing.
#[derive(Debug, Clone, PartialEq)]
pub enum CatchUp {
    /// Nothing: the cursor is at the head.
    Live,
    /// Records passed that change nothing in the view: the cursor moves, nothing is sent.
    Passed {
        to: u64,
    },
    Delta(Delta),
    /// Another epoch, or too far behind for tombstones: everything anew.
    Snapshot(Snapshot),
}

/// Every row of the view that changed in (from, to].
#[derive(Debug, Clone, PartialEq)]
pub struct Delta {
    pub from: u64,
    pub to: u64,
    /// Time of the record `to`.
    pub at: Time,
    pub agents: Vec<ChangedRow>,
    pub queues: Vec<Arc<QueueRow>>,
    /// Agents that are not (or no longer) in the view; may name ids the reader never held.
    pub removed: Vec<AgentId>,
    pub removed_queues: Vec<QueueId>,
    pub counts: BucketCounts,
    /// Records merged into it.
    pub folded: u64,
}

/// A row and whether its directory fragment changed too: then all three fragments are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangedRow {
    pub row: Arc<AgentRow>,
    pub directory_changed: bool,
}

/// The view as of one seq.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub epoch: u64,
    pub seq: u64,
    /// By agent id.
    pub agents: Vec<Arc<AgentRow>>,
    /// By queue id.
    pub queues: Vec<Arc<QueueRow>>,
    pub counts: BucketCounts,
    /// Sum modulo 2^32 over the rows of FNV-1a-32 of "id:seq".
    pub hash: u32,
}

/// Head of a view for a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewHead {
    pub seq: u64,
    pub hash: u32,
    pub counts: BucketCounts,
}

/// Rows a batch of records changed, on their way through the gate.
#[derive(Debug, Default)]
pub(crate) struct RowChanges {
    /// Replaces everything: the first reader has come.
    pub reset: Option<Reset>,
    pub agents: Vec<(Arc<AgentRow>, u64)>,
    pub queues: Vec<Arc<QueueRow>>,
    pub agents_removed: Vec<AgentId>,
    pub queues_removed: Vec<QueueId>,
}

#[derive(Debug)]
pub(crate) struct Reset {
    pub tombstones: Vec<(u64, Option<AgentId>, Option<QueueId>)>,
    pub tombstone_floor: u64,
}

/// The released side of one account.
#[derive(Debug)]
pub struct Released {
    epoch: AtomicU64,
    head: AtomicU64,
    /// Somebody reads: rows are kept. Without readers none is built.
    active: AtomicBool,
    changed: Notify,
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    /// The head these rows are as of; the atomic follows it.
    head: u64,
    at: Time,
    agents: HashMap<AgentId, Held>,
    /// (last record that changed the row, agent).
    order: BTreeSet<(u64, AgentId)>,
    queues: BTreeMap<QueueId, Arc<QueueRow>>,
    tombstones: VecDeque<(u64, Gone)>,
    /// Cursors below this may miss a removal.
    floor: u64,
    tallies: BTreeMap<View, Tally>,
}

#[derive(Debug)]
struct Held {
    row: Arc<AgentRow>,
    directory_seq: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Gone {
    Agent(AgentId),
    Queue(QueueId),
}

/// Running sums of one view.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    counts: BucketCounts,
    hash: u32,
    watchers: usize,
}

impl Released {
    pub(crate) fn new(epoch: u64, head: u64) -> Self {
        Self {
            epoch: AtomicU64::new(epoch),
            head: AtomicU64::new(head),
            active: AtomicBool::new(false),
            changed: Notify::new(),
            rows: Mutex::new(Rows { head, ..Rows::default() }),
        }
    }

    /// Life of the account's sequence: the term of the opening that began it.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The last record released.
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Returns as soon as the head is beyond the cursor, or the account has begun anew.
    pub async fn changed(&self, cursor: Cursor) {
        loop {
            let notified = self.changed.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.epoch() != cursor.epoch || self.head() > cursor.seq {
                return;
            }
            notified.await;
        }
    }

    /// Keeps running counts and a running hash of the view until [`Released::unwatch`].
    pub fn watch(&self, view: &View) {
        let mut rows = self.rows.lock();
        if !rows.tallies.contains_key(view) {
            let tally = rows.tally(view);
            rows.tallies.insert(view.clone(), tally);
        }
        if let Some(tally) = rows.tallies.get_mut(view) {
            tally.watchers += 1;
        }
    }

    pub fn unwatch(&self, view: &View) {
        let mut rows = self.rows.lock();
        if let Some(tally) = rows.tallies.get_mut(view) {
            tally.watchers = tally.watchers.saturating_sub(1);
            if tally.watchers == 0 {
                rows.tallies.remove(view);
            }
        }
    }

    /// Seq, hash and counts of a view at one moment.
    pub fn view_head(&self, view: &View) -> ViewHead {
        let rows = self.rows.lock();
        let tally = rows.tallies.get(view).copied().unwrap_or_else(|| rows.tally(view));
        ViewHead { seq: rows.head, hash: tally.hash, counts: tally.counts }
    }

    /// Everything a reader at `cursor` has missed of the view; without a cursor, all of it.
    pub fn catch_up(&self, view: &View, cursor: Option<Cursor>) -> CatchUp {
        let rows = self.rows.lock();
        let epoch = self.epoch();
        let cursor = cursor.filter(|c| c.epoch == epoch && c.seq >= rows.floor && c.seq <= rows.head);
        match cursor {
            None => CatchUp::Snapshot(rows.snapshot(view, epoch)),
            Some(cursor) if cursor.seq == rows.head => CatchUp::Live,
            Some(cursor) => rows.delta(view, cursor.seq),
        }
    }

    /// The agent's row, or that there is none; nothing where rows are not kept.
    pub(crate) fn row(&self, agent: &AgentId) -> Option<Option<Arc<AgentRow>>> {
        let rows = self.rows.lock();
        self.is_active().then(|| rows.agents.get(agent).map(|held| Arc::clone(&held.row)))
    }

    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// A record is durable (or needs not be): its rows may be seen from here on.
    pub(crate) fn release(&self, seq: u64, at: Time, changes: Option<RowChanges>) {
        if changes.is_none() && !self.is_active() {
            // Nobody has ever read: there are no rows to swap and nobody to wake.
            self.head.fetch_max(seq, Ordering::AcqRel);
            return;
        }
        {
            let mut rows = self.rows.lock();
            if let Some(changes) = changes {
                rows.take(seq, changes, &self.active);
            }
            rows.head = rows.head.max(seq);
            rows.at = at;
        }
        self.head.fetch_max(seq, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// The account begins anew with nothing: readers must too.
    pub(crate) fn restart(&self, epoch: u64, head: u64) {
        let mut rows = self.rows.lock();
        let tallies = std::mem::take(&mut rows.tallies);
        *rows = Rows { head, ..Rows::default() };
        for (view, tally) in tallies {
            rows.tallies.insert(view, Tally { watchers: tally.watchers, ..Tally::default() });
        }
        self.active.store(false, Ordering::Release);
        self.epoch.store(epoch, Ordering::Release);
        self.head.store(head, Ordering::Release);
        drop(rows);
        self.changed.notify_waiters();
    }
}

impl Rows {
    fn take(&mut self, seq: u64, changes: RowChanges, active: &AtomicBool) {
        if let Some(reset) = changes.reset {
            self.agents.clear();
            self.order.clear();
            self.queues.clear();
            self.floor = reset.tombstone_floor;
            self.tombstones = reset
                .tombstones
                .into_iter()
                .filter_map(|(seq, agent, queue)| {
                    agent.map(Gone::Agent).or(queue.map(Gone::Queue)).map(|gone| (seq, gone))
                })
                .collect();
            for tally in self.tallies.values_mut() {
                *tally = Tally { watchers: tally.watchers, ..Tally::default() };
            }
            active.store(true, Ordering::Release);
        }
        for id in changes.agents_removed {
            self.remove_agent(seq, id);
        }
        for id in changes.queues_removed {
            if let Some(row) = self.queues.remove(&id) {
                self.tell(|view, tally| {
                    if view.holds_queue(&row) {
                        tally.hash = tally.hash.wrapping_sub(row_hash(row.queue_id.as_str(), row.seq));
                    }
                });
            }
            self.bury(seq, Gone::Queue(id));
        }
        // After the removals: an id that was removed and made anew within the batch is there.
        for (row, directory_seq) in changes.agents {
            self.put_agent(row, directory_seq);
        }
        for row in changes.queues {
            self.put_queue(row);
        }
    }

    fn put_agent(&mut self, row: Arc<AgentRow>, directory_seq: u64) {
        let new = Arc::clone(&row);
        // An id that comes back is in the rows again; its tombstone would name it as removed.
        let old = self.agents.insert(row.agent_id.clone(), Held { row, directory_seq });
        if let Some(old) = &old {
            self.order.remove(&(old.row.seq, old.row.agent_id.clone()));
        }
        self.order.insert((new.seq, new.agent_id.clone()));
        self.tell(|view, tally| {
            if let Some(old) = &old
                && view.holds(&old.row)
            {
                tally.leave(&old.row);
            }
            if view.holds(&new) {
                tally.enter(&new);
            }
        });
    }

    fn put_queue(&mut self, row: Arc<QueueRow>) {
        let new = Arc::clone(&row);
        let old = self.queues.insert(row.queue_id.clone(), row);
        self.tell(|view, tally| {
            if view.holds_queue(&new) {
                let before = old.as_ref().map_or(0, |old| row_hash(old.queue_id.as_str(), old.seq));
                let after = row_hash(new.queue_id.as_str(), new.seq);
                tally.hash = tally.hash.wrapping_sub(before).wrapping_add(after);
            }
        });
    }

    fn remove_agent(&mut self, seq: u64, id: AgentId) {
        if let Some(held) = self.agents.remove(&id) {
            self.order.remove(&(held.row.seq, id.clone()));
            self.tell(|view, tally| {
                if view.holds(&held.row) {
                    tally.leave(&held.row);
                }
            });
        }
        self.bury(seq, Gone::Agent(id));
    }

    fn bury(&mut self, seq: u64, gone: Gone) {
        self.tombstones.push_back((seq, gone));
        if self.tombstones.len() > TOMBSTONES_MAX
            && let Some((seq, _)) = self.tombstones.pop_front()
        {
            self.floor = seq;
        }
    }

    fn tell(&mut self, mut change: impl FnMut(&View, &mut Tally)) {
        for (view, tally) in &mut self.tallies {
            change(view, tally);
        }
    }

    fn tally(&self, view: &View) -> Tally {
        let mut tally = Tally::default();
        for held in self.agents.values().filter(|held| view.holds(&held.row)) {
            tally.enter(&held.row);
        }
        for row in self.queues.values().filter(|row| view.holds_queue(row)) {
            tally.hash = tally.hash.wrapping_add(row_hash(row.queue_id.as_str(), row.seq));
        }
        tally
    }

    fn snapshot(&self, view: &View, epoch: u64) -> Snapshot {
        let mut agents: Vec<Arc<AgentRow>> =
            self.agents.values().map(|held| &held.row).filter(|row| view.holds(row)).cloned().collect();
        agents.sort_by(|a, b| a.agent_id.cmp(&b.agent_id));
        let queues = self.queues.values().filter(|row| view.holds_queue(row)).cloned().collect();
        let tally = self.tallies.get(view).copied().unwrap_or_else(|| self.tally(view));
        Snapshot { epoch, seq: self.head, agents, queues, counts: tally.counts, hash: tally.hash }
    }

    fn delta(&self, view: &View, from: u64) -> CatchUp {
        let mut agents = Vec::new();
        let mut removed = Vec::new();
        // Removed queues and agents only count while nobody of that id is there again.
        let mut removed_queues = Vec::new();
        let first = self.tombstones.partition_point(|(seq, _)| *seq <= from);
        for (_, gone) in self.tombstones.iter().skip(first) {
            match gone {
                Gone::Agent(id) if !self.agents.contains_key(id) => removed.push(id.clone()),
                Gone::Queue(id) if !self.queues.contains_key(id) => removed_queues.push(id.clone()),
                Gone::Agent(_) | Gone::Queue(_) => {}
            }
        }
        for (_, id) in self.order.iter().rev().take_while(|(seq, _)| *seq > from) {
            let Some(held) = self.agents.get(id) else { continue };
            let directory_changed = held.directory_seq > from;
            if view.holds(&held.row) {
                agents.push(ChangedRow { row: Arc::clone(&held.row), directory_changed });
            } else if directory_changed {
                removed.push(id.clone());
            }
        }
        agents.reverse();
        let changed = |row: &&Arc<QueueRow>| row.seq > from && view.holds_queue(row);
        let queues: Vec<_> = self.queues.values().filter(changed).cloned().collect();
        removed.sort();
        removed.dedup();
        removed_queues.sort();
        removed_queues.dedup();
        if agents.is_empty() && queues.is_empty() && removed.is_empty() && removed_queues.is_empty() {
            return CatchUp::Passed { to: self.head };
        }
        let tally = self.tallies.get(view).copied().unwrap_or_else(|| self.tally(view));
        CatchUp::Delta(Delta {
            from,
            to: self.head,
            at: self.at,
            agents,
            queues,
            removed,
            removed_queues,
            counts: tally.counts,
            folded: self.head - from,
        })
    }
}

impl Tally {
    fn enter(&mut self, row: &AgentRow) {
        if let Some(live) = &row.live {
            self.counts.enter(live.bucket);
        }
        self.hash = self.hash.wrapping_add(row_hash(row.agent_id.as_str(), row.seq));
    }

    fn leave(&mut self, row: &AgentRow) {
        if let Some(live) = &row.live {
            self.counts.leave(live.bucket);
        }
        self.hash = self.hash.wrapping_sub(row_hash(row.agent_id.as_str(), row.seq));
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn a_reader_who_waits_is_woken_by_a_record_and_by_a_new_beginning() {
        for begins_anew in [false, true] {
            let released = Released::new(7, 0);
            released.release(41, Time::ZERO, Some(RowChanges::default()));
            let cursor = Cursor { epoch: 7, seq: 41 };
            let mut changed = pin!(released.changed(cursor));
            assert!(poll_fn(|cx| Poll::Ready(changed.as_mut().poll(cx))).await.is_pending(), "at the head");
            if begins_anew {
                // Below the head, where no seq would wake anybody.
                released.restart(8, 0);
            } else {
                released.release(42, Time::ZERO, Some(RowChanges::default()));
            }
            assert!(poll_fn(|cx| Poll::Ready(changed.as_mut().poll(cx))).await.is_ready());
        }
    }
}
