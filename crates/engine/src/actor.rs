//! The owner of one account: one actor around one `ringfence_core::Account`. It steps and pushes, and never waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ringfence_core::agent::By;
use ringfence_core::fact::Change;
use ringfence_core::slab::Ix;
use ringfence_core::{
    Account, AgentId, Input, QueueId, Reply, RouterId, SourceId, StepOutcome, Time, Touched,
};
use ringfence_store::{PageId, Write};
use tokio::sync::oneshot;

use crate::cell::Cell;
use crate::codec;
use crate::counters::add;
use crate::door::{Pool, Taken, taken_by};
use crate::error::Error;
use crate::gate::{Answered, Batch, Push, SnapshotWrite, Waiting, release};
use crate::released::{Reset, RowChanges};
use crate::router::{self, RouterEvent};
use crate::shared::Shared;

/// Everything that can be said to an account's actor.
pub(crate) enum Msg {
    Do {
        input: Input,
        by: By,
        waiting: Option<Waiting>,
    },
    /// Deadlines may be due.
    Tick,
    /// A reader has come: keep rows from here on.
    ShowRows {
        ready: oneshot::Sender<()>,
    },
    /// Write the pages that changed since the last snapshot.
    Snapshot,
    /// The snapshot found no room: these pages are still to be written.
    SnapshotFailed {
        pages: Vec<PageId>,
    },
    /// Panics, as a bug would.
    #[cfg(test)]
    Fail,
    /// How many contacts there are from this source.
    ContactsOf {
        source: SourceId,
        reply: oneshot::Sender<u64>,
    },
    /// AoRs that have contacts from this source.
    AorsOf {
        source: SourceId,
        reply: oneshot::Sender<Vec<String>>,
    },
}

/// Something is in the inbox.
pub(crate) struct Wake;

impl Msg {
    /// The pool this message's permit is from, if somebody waits for its answer under one.
    pub fn pool(&self) -> Option<Pool> {
        match self {
            Self::Do { waiting, .. } => waiting.as_ref().map(|waiting| waiting.pool),
            Self::Tick
            | Self::ShowRows { .. }
            | Self::Snapshot
            | Self::SnapshotFailed { .. }
            | Self::ContactsOf { .. }
            | Self::AorsOf { .. } => None,
            #[cfg(test)]
            Self::Fail => None,
        }
    }
}

pub(crate) struct AccountActor {
    pub shared: Arc<Shared>,
    pub cell: Arc<Cell>,
}

pub(crate) struct Owned {
    account: Account,
    epoch: u64,
    /// The last record pushed.
    pushed: u64,
    /// Rows are kept for readers.
    shown: bool,
    work: Work,
}

/// Messages let out together at most: callers are woken, and the committer is, once for all of them.
const BATCH_MAX: usize = 64;

/// What was taken from the inbox and has not left yet. The permits of what is lost with a failing actor are given back.
struct Work {
    cell: Arc<Cell>,
    taken: VecDeque<Msg>,
    /// The permit of the message at hand.
    current: Option<Pool>,
    answers: Vec<Answered>,
    writes: Vec<Write>,
    touched: Shown,
    told: Vec<(RouterId, RouterEvent)>,
    at: Time,
    /// Permits of callers who were answered.
    back: Taken,
    counted: Counted,
}

/// What the counters are raised by when the batch leaves.
#[derive(Default)]
struct Counted {
    records: u64,
    granted: u64,
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut back = std::mem::take(&mut self.back);
        let taken = taken_by(&self.taken);
        back.steps += taken.steps;
        back.rest += taken.rest;
        for pool in self.current.into_iter().chain(self.answers.iter().map(|answered| answered.waiting.pool))
        {
            back.add(pool);
        }
        self.cell.door.give_back(back);
    }
}

impl Actor for AccountActor {
    type Msg = Wake;
    type State = Owned;
    type Arguments = (Account, u64);

    async fn pre_start(
        &self,
        _: ActorRef<Wake>,
        (account, epoch): (Account, u64),
    ) -> Result<Owned, ActorProcessingErr> {
        let pushed = account.seq();
        let work = Work {
            cell: Arc::clone(&self.cell),
            taken: VecDeque::new(),
            current: None,
            answers: Vec::new(),
            writes: Vec::new(),
            touched: Shown::default(),
            told: Vec::new(),
            at: self.shared.clock.now(),
            back: Taken::default(),
            counted: Counted::default(),
        };
        let owned = Owned { account, epoch, pushed, shown: self.cell.released.is_active(), work };
        self.arm(&owned.account);
        Ok(owned)
    }

    /// Takes what there is, all of it, batch by batch, until the inbox is empty.
    async fn handle(
        &self,
        _: ActorRef<Wake>,
        Wake: Wake,
        owned: &mut Owned,
    ) -> Result<(), ActorProcessingErr> {
        loop {
            // Whoever was answered last, and whoever else is about to ask, comes first: what they send makes this batch
            // larger, and one pass through the runtime serves them all.
            tokio::task::yield_now().await;
            if owned.work.taken.is_empty() {
                let back = std::mem::take(&mut owned.work.back);
                if !self.cell.door.take(&mut owned.work.taken, back) {
                    return Ok(());
                }
            }
            owned.work.at = self.shared.clock.now();
            for _ in 0..BATCH_MAX {
                let Some(msg) = owned.work.taken.pop_front() else { break };
                owned.work.current = msg.pool();
                self.message(owned, msg)?;
            }
            self.let_out(owned);
        }
    }
}

impl AccountActor {
    fn message(&self, owned: &mut Owned, msg: Msg) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Do { input, by, waiting } => self.step(owned, input, &by, waiting)?,
            Msg::Tick => self.step(owned, Input::Tick, &By::SYSTEM, None)?,
            Msg::ShowRows { ready } => self.show_rows(owned, ready),
            Msg::Snapshot => self.snapshot(owned)?,
            Msg::SnapshotFailed { pages } => {
                owned.account.mark_dirty(pages.into_iter().filter_map(codec::page_key));
            }
            #[cfg(test)]
            Msg::Fail => panic!("a failure made for a test"),
            Msg::ContactsOf { source, reply } => _ = reply.send(owned.account.contacts_of(&source)),
            Msg::AorsOf { source, reply } => drop(reply.send(owned.account.aors_of(&source))),
        }
        Ok(())
    }

    fn step(
        &self,
        owned: &mut Owned,
        input: Input,
        by: &By,
        waiting: Option<Waiting>,
    ) -> Result<(), ActorProcessingErr> {
        let now = owned.work.at;
        let StepOutcome { record, reply, touched, more } = owned.account.step(input, by, now);
        if let Some(record) = &record {
            self.count(record, &mut owned.work.counted);
            if self.cell.routers.any() {
                owned.work.told.extend(router::events(&owned.account, record));
            }
            let prev_seq = std::mem::replace(&mut owned.pushed, record.seq);
            if !self.shared.in_memory() {
                owned.work.writes.push(Write {
                    account: Arc::clone(&self.cell.name),
                    term: self.shared.term,
                    prev_seq,
                    seq: owned.pushed,
                    at: now.ms(),
                    record: codec::record(record)?,
                    ops: Vec::new(),
                });
            }
            if owned.shown {
                owned.work.touched.add(touched);
            }
        }
        if let Some(waiting) = waiting {
            let answer = reply.map(|reply| (owned.pushed, reply)).map_err(|refusal| {
                self.shared.meters.refused(&refusal);
                Error::Refused(refusal)
            });
            owned.work.answers.push(Answered { seq: owned.pushed, waiting, answer });
        }
        owned.work.current = None;
        if more {
            // The rest of a large consequence is the actor's own later input, other messages between.
            self.cell.door.leave(Msg::Tick);
        }
        Ok(())
    }

    /// At once when everything it rests on is released, else with the commit that covers it.
    fn let_out(&self, owned: &mut Owned) {
        self.let_out_with(owned, None, None);
    }

    fn let_out_with(
        &self,
        owned: &mut Owned,
        reset: Option<RowChanges>,
        rows_ready: Option<oneshot::Sender<()>>,
    ) {
        self.arm(&owned.account);
        // Before anybody is told of a token: the next incarnation counts on from here.
        self.cell.grants.fetch_max(owned.account.grants(), Ordering::Relaxed);
        let work = &mut owned.work;
        self.flush_counters(&mut work.counted);
        let mut rows = reset.or_else(|| work.touched.rows(&owned.account));
        if self.shared.in_memory() {
            release(&self.cell, owned.pushed, work.at, rows.take());
            self.cell.routers.tell(work.told.drain(..));
        }
        // What rests on nothing unreleased leaves at once, also when a later step of the batch has to wait.
        let head = self.cell.released.head();
        let at_once = work.answers.partition_point(|answered| answered.seq <= head);
        for answered in work.answers.drain(..at_once) {
            answered.tell(&mut work.back);
        }
        if head >= owned.pushed && rows.is_none() {
            if let Some(ready) = rows_ready {
                _ = ready.send(());
            }
            return;
        }
        if work.answers.is_empty() && work.writes.is_empty() && rows.is_none() && rows_ready.is_none() {
            return;
        }
        self.shared.gate.push(Push::Batch(Box::new(Batch {
            cell: Arc::clone(&self.cell),
            seq: owned.pushed,
            at: work.at,
            writes: std::mem::take(&mut work.writes),
            rows,
            told: std::mem::take(&mut work.told),
            answers: std::mem::take(&mut work.answers),
            rows_ready,
        })));
    }

    fn show_rows(&self, owned: &mut Owned, ready: oneshot::Sender<()>) {
        let reset = if owned.shown {
            None
        } else {
            owned.shown = true;
            owned.work.touched = Shown::default();
            Some(all_rows(&owned.account))
        };
        self.let_out_with(owned, reset, Some(ready));
    }

    fn snapshot(&self, owned: &mut Owned) -> Result<(), ActorProcessingErr> {
        // The store takes a snapshot of a seq it has.
        self.let_out(owned);
        let dirty = owned.account.take_dirty();
        let mut pages = Vec::with_capacity(dirty.pages.len());
        let mut dropped = Vec::new();
        for (key, page) in &dirty.pages {
            let Some(id) = codec::page_id(*key) else { continue };
            match page {
                Some(page) => pages.push((id, codec::page(page)?)),
                None => dropped.push(id),
            }
        }
        let header = codec::header(owned.epoch, &dirty.head)?;
        self.shared.gate.push(Push::Snapshot(Box::new(SnapshotWrite {
            cell: Arc::clone(&self.cell),
            seq: owned.pushed,
            header,
            pages,
            dropped,
        })));
        Ok(())
    }

    fn arm(&self, account: &Account) {
        if let Some(at) = account.next_deadline() {
            self.shared.timer.arm(&self.cell, at);
        }
    }

    fn flush_counters(&self, counted: &mut Counted) {
        let Counted { records, granted } = std::mem::take(counted);
        if records > 0 {
            add(&self.shared.meters.records, records);
        }
        if granted > 0 {
            add(&self.shared.meters.granted, granted);
        }
    }

    fn count(&self, record: &ringfence_core::Record, counted: &mut Counted) {
        let meters = &self.shared.meters;
        counted.records += 1;
        for fact in &record.facts {
            match &fact.change {
                Change::Granted { .. } => counted.granted += 1,
                Change::OfferEnded { outcome, .. } => meters.ended(outcome.as_str()),
                Change::Answered { .. } => meters.ended(ringfence_core::offer::Outcome::Accepted.as_str()),
                Change::Settings(_)
                | Change::AgentPut { .. }
                | Change::AgentRemoved { .. }
                | Change::QueuePut { .. }
                | Change::QueueRemoved { .. }
                | Change::ReasonPut { .. }
                | Change::ReasonRemoved { .. }
                | Change::Joined { .. }
                | Change::Left { .. }
                | Change::StatusSet { .. }
                | Change::Bound { .. }
                | Change::Unbound { .. }
                | Change::Settled { .. }
                | Change::ExternalBegan { .. }
                | Change::ExternalOver { .. }
                | Change::Extended { .. }
                | Change::LegKnown { .. }
                | Change::LegEnded { .. }
                | Change::CallSeen { .. }
                | Change::CallEnded { .. }
                | Change::WrapUpEnded { .. }
                | Change::WrapUpMoved { .. }
                | Change::CooldownOver { .. }
                | Change::Enqueued { .. }
                | Change::Dequeued { .. }
                | Change::Acted { .. }
                | Change::PendingSet { .. }
                | Change::ClockLogoutSet { .. } => {}
            }
        }
    }
}

fn all_rows(account: &Account) -> RowChanges {
    RowChanges {
        reset: Some(Reset {
            tombstones: account
                .tombstones()
                .map(|grave| (grave.seq, grave.agent.clone(), grave.queue.clone()))
                .collect(),
            tombstone_floor: account.tombstone_floor(),
        }),
        agents: account
            .agents()
            .map(|(_, agent)| (Arc::new(account.agent_row(agent)), agent.directory_seq))
            .collect(),
        queues: account.queue_rows().into_iter().map(Arc::new).collect(),
        agents_removed: Vec::new(),
        queues_removed: Vec::new(),
    }
}

/// What the records of a batch touched.
#[derive(Default)]
struct Shown {
    agents: Vec<Ix>,
    queues: Vec<Ix>,
    agents_removed: Vec<AgentId>,
    queues_removed: Vec<QueueId>,
}

impl Shown {
    fn add(&mut self, touched: Touched) {
        self.agents.extend(touched.agents.iter());
        self.queues.extend(touched.queues.iter());
        self.agents_removed.extend(touched.agents_removed);
        self.queues_removed.extend(touched.queues_removed);
    }

    /// The rows as they are now: a row that changed several times is built once.
    fn rows(&mut self, account: &Account) -> Option<RowChanges> {
        let Self { mut agents, mut queues, agents_removed, queues_removed } = std::mem::take(self);
        if agents.is_empty() && queues.is_empty() && agents_removed.is_empty() && queues_removed.is_empty() {
            return None;
        }
        for places in [&mut agents, &mut queues] {
            places.sort_unstable();
            places.dedup();
        }
        Some(RowChanges {
            reset: None,
            agents: agents
                .into_iter()
                .filter_map(|ix| Some((Arc::new(account.row_at(ix)?), account.directory_seq_at(ix))))
                .collect(),
            queues: queues.into_iter().filter_map(|ix| account.queue_row_at(ix)).map(Arc::new).collect(),
            agents_removed,
            queues_removed,
        })
    }
}

/// The reply of an input whose answer is known to be of one shape; another one is a bug of ours.
pub(crate) fn mismatch(_: Reply) -> Error {
    debug_assert!(false, "an input was answered with another input's reply");
    Error::Unavailable
}
