//! The output gate: what actors push on its way to being durable, and what leaves once it is.
//!
//! Every effect carries the account's last pushed seq. If that is released, the effect leaves at once; else it leaves
//! with the commit that covers it, rows before replies. So nothing anybody was told can be lost.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use ringfence_core::input::Reply;
use ringfence_core::{Time, Touched};
use ringfence_store::{PageId, TableOp, Write};
use tokio::sync::oneshot;

use crate::cell::{Cell, Permit};
use crate::error::Error;
use crate::released::RowChanges;

/// What a caller is told: the account's seq as of the answer, and the answer.
pub(crate) type Answer = Result<(u64, Reply), Error>;

/// A caller who waits, and the permit its request holds.
pub(crate) struct Waiting {
    pub reply: oneshot::Sender<Answer>,
    pub permit: Permit,
}

impl Waiting {
    /// The permit is given back with the answer.
    pub fn tell(self, answer: Answer) {
        // A caller that went away is not an error: what was decided stands.
        drop(self.reply.send(answer));
        drop(self.permit);
    }
}

/// What an actor hands over.
pub(crate) enum Push {
    Step(Box<Step>),
    Snapshot(Box<SnapshotWrite>),
    Ops {
        ops: Vec<TableOp>,
        done: oneshot::Sender<Result<(), Error>>,
    },
    /// Everything pushed before is released.
    Barrier(oneshot::Sender<()>),
    /// Everything pushed before is released; the store is closed.
    Stop(oneshot::Sender<()>),
}

/// The outcome of one step.
pub(crate) struct Step {
    pub cell: Arc<Cell>,
    pub seq: u64,
    pub at: Time,
    /// None: nothing changed, but what is said rests on records that are not released yet.
    pub write: Option<Write>,
    pub rows: Option<RowChanges>,
    pub waiting: Option<(Waiting, Answer)>,
    /// Rows are there for a reader from here on.
    pub rows_ready: Option<oneshot::Sender<()>>,
}

impl Step {
    /// View first, then replies.
    pub fn release(self) {
        if self.write.is_some() || self.rows.is_some() {
            self.cell.released.release(self.seq, self.at, self.rows);
        }
        if let Some((waiting, answer)) = self.waiting {
            waiting.tell(answer);
        }
        if let Some(ready) = self.rows_ready {
            _ = ready.send(());
        }
    }
}

pub(crate) struct SnapshotWrite {
    pub cell: Arc<Cell>,
    pub seq: u64,
    pub header: Vec<u8>,
    pub pages: Vec<(PageId, Vec<u8>)>,
    pub dropped: Vec<PageId>,
}

/// Where actors push. Bounded by the permits of those who wait for what is pushed.
#[derive(Default)]
pub(crate) struct Gate {
    pushed: Mutex<Vec<Push>>,
    arrived: Condvar,
}

impl Gate {
    pub fn push(&self, push: Push) {
        self.push_all(std::iter::once(push));
    }

    pub fn push_all(&self, pushes: impl Iterator<Item = Push>) {
        let mut pushed = self.pushed.lock();
        let waits = pushed.is_empty();
        pushed.extend(pushes);
        if waits {
            self.arrived.notify_one();
        }
    }

    /// Waits for something, and takes all there is: the group of the next commit.
    pub fn take(&self, into: &mut Vec<Push>) {
        let mut pushed = self.pushed.lock();
        while pushed.is_empty() {
            self.arrived.wait(&mut pushed);
        }
        std::mem::swap(&mut *pushed, into);
    }
}

/// Rows a step touched, as they are now.
pub(crate) fn row_changes(account: &ringfence_core::Account, touched: Touched) -> RowChanges {
    RowChanges {
        reset: None,
        agents: touched
            .agents
            .iter()
            .filter_map(|ix| Some((Arc::new(account.row_at(ix)?), account.directory_seq_at(ix))))
            .collect(),
        queues: touched.queues.iter().filter_map(|ix| account.queue_row_at(ix)).map(Arc::new).collect(),
        agents_removed: touched.agents_removed,
        queues_removed: touched.queues_removed,
    }
}
