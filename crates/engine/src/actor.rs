//! The owner of one account: one actor around one `ringfence_core::Account`. It steps and pushes, and never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ringfence_core::agent::By;
use ringfence_core::fact::Change;
use ringfence_core::{Account, Input, Reply, SourceId, StepOutcome};
use ringfence_store::{PageId, Write};
use tokio::sync::oneshot;

use crate::cell::{Cell, Mailbox};
use crate::codec;
use crate::counters::add;
use crate::error::Error;
use crate::gate::{Push, SnapshotWrite, Step, Waiting, row_changes};
use crate::released::{Reset, RowChanges};
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

pub(crate) struct AccountActor {
    pub shared: Arc<Shared>,
    pub cell: Arc<Cell>,
    /// Messages of this incarnation that are sent and not yet handled.
    pub queued: Arc<AtomicUsize>,
}

pub(crate) struct Owned {
    account: Account,
    epoch: u64,
    /// The last record pushed.
    pushed: u64,
    /// Rows are kept for readers.
    shown: bool,
    /// What is let out when the mailbox is empty, or when it is this much.
    gathered: Vec<Step>,
}

/// Steps let out together: callers are woken, and the committer is, once for all of them.
const GATHER_MAX: usize = 256;

impl Actor for AccountActor {
    type Msg = Msg;
    type State = Owned;
    type Arguments = (Account, u64);

    async fn pre_start(
        &self,
        _: ActorRef<Msg>,
        (account, epoch): (Account, u64),
    ) -> Result<Owned, ActorProcessingErr> {
        let pushed = account.seq();
        let owned =
            Owned { account, epoch, pushed, shown: self.cell.released.is_active(), gathered: Vec::new() };
        self.arm(&owned.account);
        Ok(owned)
    }

    /// What was gathered is let out also when the mailbox was closed before it was seen empty.
    async fn post_stop(&self, _: ActorRef<Msg>, owned: &mut Owned) -> Result<(), ActorProcessingErr> {
        self.let_out(owned);
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        msg: Msg,
        owned: &mut Owned,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Do { input, by, waiting } => self.step(&myself, owned, input, &by, waiting)?,
            Msg::Tick => self.step(&myself, owned, Input::Tick, &By::SYSTEM, None)?,
            Msg::ShowRows { ready } => self.show_rows(owned, ready),
            Msg::Snapshot => self.snapshot(owned)?,
            Msg::SnapshotFailed { pages } => {
                owned.account.mark_dirty(pages.into_iter().filter_map(codec::page_key))
            }
            #[cfg(test)]
            Msg::Fail => panic!("a failure made for a test"),
            Msg::ContactsOf { source, reply } => _ = reply.send(owned.account.contacts_of(&source)),
            Msg::AorsOf { source, reply } => drop(reply.send(owned.account.aors_of(&source))),
        }
        if self.queued.fetch_sub(1, Ordering::AcqRel) == 1 || owned.gathered.len() >= GATHER_MAX {
            self.let_out(owned);
        }
        Ok(())
    }
}

impl AccountActor {
    fn step(
        &self,
        myself: &ActorRef<Msg>,
        owned: &mut Owned,
        input: Input,
        by: &By,
        waiting: Option<Waiting>,
    ) -> Result<(), ActorProcessingErr> {
        let now = self.shared.clock.now();
        let StepOutcome { record, reply, touched, more } = owned.account.step(input, by, now);
        let answer = reply.map(|reply| (owned.account.seq(), reply)).map_err(|refusal| {
            self.shared.meters.refused(&refusal);
            Error::Refused(refusal)
        });
        let write = match &record {
            None => None,
            Some(record) => {
                self.count(record);
                let prev_seq = std::mem::replace(&mut owned.pushed, record.seq);
                let durable = !self.shared.in_memory();
                let record = if durable { codec::record(record)? } else { Vec::new() };
                Some(Write {
                    account: self.cell.id.shared(),
                    term: self.shared.term,
                    prev_seq,
                    seq: owned.pushed,
                    at: now.ms(),
                    record,
                    ops: Vec::new(),
                })
            }
        };
        let step = Step {
            cell: Arc::clone(&self.cell),
            seq: owned.pushed,
            at: now,
            rows: (owned.shown && write.is_some()).then(|| row_changes(&owned.account, touched)),
            write,
            waiting: waiting.map(|waiting| (waiting, answer)),
            rows_ready: None,
        };
        self.cell.grants.store(owned.account.grants(), Ordering::Relaxed);
        owned.gathered.push(step);
        self.arm(&owned.account);
        if more {
            // The rest of a large consequence is the actor's own later input, other messages between.
            Mailbox::new(myself.clone(), Arc::clone(&self.queued)).send(Msg::Tick);
        }
        Ok(())
    }

    /// At once when everything it rests on is released, else with the commit that covers it.
    fn let_out(&self, owned: &mut Owned) {
        let in_memory = self.shared.in_memory();
        let mut pushed = Vec::new();
        for step in owned.gathered.drain(..) {
            let rests_on_released = step.write.is_none() && self.cell.released.head() >= step.seq;
            if in_memory || rests_on_released {
                step.release();
            } else {
                pushed.push(Push::Step(Box::new(step)));
            }
        }
        if !pushed.is_empty() {
            self.shared.gate.push_all(pushed.into_iter());
        }
    }

    fn show_rows(&self, owned: &mut Owned, ready: oneshot::Sender<()>) {
        let mut step = Step {
            cell: Arc::clone(&self.cell),
            seq: owned.pushed,
            at: self.shared.clock.now(),
            write: None,
            rows: None,
            waiting: None,
            rows_ready: Some(ready),
        };
        if !owned.shown {
            owned.shown = true;
            step.rows = Some(all_rows(&owned.account));
        }
        owned.gathered.push(step);
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

    fn count(&self, record: &ringfence_core::Record) {
        let meters = &self.shared.meters;
        add(&meters.records, 1);
        for fact in &record.facts {
            match &fact.change {
                Change::Granted { .. } => add(&meters.granted, 1),
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
                | Change::CooldownOver { .. } => {}
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

/// The reply of an input whose answer is known to be of one shape; another one is a bug of ours.
pub(crate) fn mismatch(_: Reply) -> Error {
    debug_assert!(false, "an input was answered with another input's reply");
    Error::Unavailable
}
