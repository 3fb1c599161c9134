//! The output gate: what actors push on its way to being durable, and what leaves once it is.
//!
//! Every effect carries the account's last pushed seq. If that is released, the effect leaves at once; else it leaves
//! with the commit that covers it, rows before replies. So nothing anybody was told can be lost.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use ringfence_core::input::Reply;
use ringfence_core::{RouterId, Time};
use ringfence_store::{PageId, TableOp, Write};
use tokio::sync::oneshot;

use crate::cell::Cell;
use crate::door::{Pool, Taken};
use crate::error::Error;
use crate::released::RowChanges;
use crate::router::RouterEvent;

/// What a caller is told: the account's seq as of the answer, and the answer.
pub(crate) type Answer = Result<(u64, Reply), Error>;

/// A caller who waits, and the pool its permit is from.
pub(crate) struct Waiting {
    pub reply: oneshot::Sender<Answer>,
    pub pool: Pool,
}

/// An answer on its way, and the record it rests on.
pub(crate) struct Answered {
    pub seq: u64,
    pub waiting: Waiting,
    pub answer: Answer,
}

impl Answered {
    /// The permit is to be given back with it.
    pub fn tell(self, back: &mut Taken) {
        back.add(self.waiting.pool);
        // A caller that went away is not an error: what was decided stands.
        drop(self.waiting.reply.send(self.answer));
    }
}

/// What an actor hands over.
pub(crate) enum Push {
    Batch(Box<Batch>),
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

/// The outcome of the steps an account let out together.
pub(crate) struct Batch {
    pub cell: Arc<Cell>,
    /// The last record, of this batch or before it.
    pub seq: u64,
    pub at: Time,
    /// In order. None: nothing changed, but what is said rests on records that are not released yet.
    pub writes: Vec<Write>,
    pub rows: Option<RowChanges>,
    /// What routers are told that they did not ask for.
    pub told: Vec<(RouterId, RouterEvent)>,
    pub answers: Vec<Answered>,
    /// Rows are there for a reader from here on.
    pub rows_ready: Option<oneshot::Sender<()>>,
}

impl Batch {
    pub fn release(self) {
        let mut back = Taken::default();
        release(&self.cell, self.seq, self.at, self.rows);
        self.cell.routers.tell(self.told.into_iter());
        for answered in self.answers {
            answered.tell(&mut back);
        }
        self.cell.door.give_back(back);
        if let Some(ready) = self.rows_ready {
            _ = ready.send(());
        }
    }
}

/// The view, before any reply.
pub(crate) fn release(cell: &Cell, seq: u64, at: Time, rows: Option<RowChanges>) {
    if rows.is_some() || cell.released.head() < seq {
        cell.released.release(seq, at, rows);
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
        let mut pushed = self.pushed.lock();
        let waits = pushed.is_empty();
        pushed.push(push);
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
