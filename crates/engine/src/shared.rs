//! What every part of an engine shares. One engine is one of these; nothing is static, so two live in one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashMap;
use ractor::{ActorCell, ActorId};
use ringfence_core::AccountId;
use ringfence_store::{KeyRow, Reader};
use tokio::sync::Notify;

use crate::Durability;
use crate::actor::Msg;
use crate::cell::Cell;
use crate::clock::Clock;
use crate::counters::Meters;
use crate::error::Error;
use crate::gate::Gate;
use crate::options::Options;
use crate::source::Sources;
use crate::timer::Timer;

pub(crate) struct Shared {
    pub options: Options,
    pub clock: Clock,
    pub term: u64,
    /// Live offers are re-armed when an account is first loaded: the last stop was not clean.
    pub rearm: bool,
    /// Epochs below are over, since what was acknowledged in them may be lost: such an account gets a new one.
    pub epoch_least: u64,
    pub reader: Arc<dyn Reader>,
    /// Keys a data directory holds beside which nothing is kept: mode memory.
    pub kept_keys: Vec<KeyRow>,
    /// Account → owner. Never held across an await.
    pub cells: DashMap<AccountId, Arc<Cell>>,
    /// Whose actor it was that failed.
    pub by_actor: DashMap<ActorId, Arc<Cell>>,
    pub warden: std::sync::OnceLock<ActorCell>,
    pub gate: Gate,
    pub timer: Timer,
    pub sources: Sources,
    pub meters: Meters,
    /// Too little disk for anything new.
    pub disk_low: AtomicBool,
    pub closed: AtomicBool,
    pub closing: Notify,
}

impl Shared {
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub fn in_memory(&self) -> bool {
        match self.options.durability {
            Durability::Memory => true,
            Durability::Sync | Durability::Os => false,
        }
    }

    /// Whether the disk has room for more than what is live already.
    pub fn room_for_new(&self) -> Result<(), Error> {
        if self.disk_low.load(Ordering::Relaxed) {
            return Err(Error::DiskFull { free_bytes: self.meters.free_bytes.load(Ordering::Relaxed) });
        }
        Ok(())
    }

    /// The account's place in the directory, made at its first use.
    pub fn cell(&self, id: &AccountId) -> Arc<Cell> {
        if let Some(cell) = self.cells.get(id) {
            return Arc::clone(&cell);
        }
        let made = || Arc::new(Cell::new(id.clone(), self.term, self.options.permits));
        Arc::clone(&self.cells.entry(id.clone()).or_insert_with(made))
    }

    /// Tells the account that deadlines may be due; one that is not loaded is loaded by that.
    pub fn tick(self: &Arc<Self>, cell: &Arc<Cell>) {
        // An actor that is just failing is restarted, and looks at its deadlines then.
        if !cell.door.leave(Msg::Tick) {
            let (shared, cell) = (Arc::clone(self), Arc::clone(cell));
            tokio::spawn(async move {
                if crate::load::ready(&shared, &cell).await.is_ok() {
                    cell.door.leave(Msg::Tick);
                }
            });
        }
    }
}
