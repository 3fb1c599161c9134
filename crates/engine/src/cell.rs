//! What of an account outlives its actor: its place in the directory, its permits, its released rows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use ractor::ActorRef;
use ringfence_core::AccountId;

use crate::actor::Msg;
use crate::options::Permits;
use crate::released::Released;

/// An account that fails more often than this …
const FAILURES_MAX: usize = 5;
/// … within this long is quarantined, not the node (durability.md L3).
const FAILURES_WITHIN: Duration = Duration::from_secs(10);

/// Who answers for an account. The cluster's directory will say here who else does.
pub(crate) enum Owner {
    Unloaded,
    Ready(Mailbox),
    Quarantined(String),
    /// The store fenced our writes off: somebody else has the account.
    Moved,
}

/// The way to one incarnation of an account's actor.
#[derive(Clone)]
pub(crate) struct Mailbox {
    actor: ActorRef<Msg>,
    /// Messages sent and not yet handled, so that the actor knows when to let out what it has gathered.
    queued: Arc<AtomicUsize>,
}

impl Mailbox {
    pub fn new(actor: ActorRef<Msg>, queued: Arc<AtomicUsize>) -> Self {
        Self { actor, queued }
    }

    /// False: the actor is gone, and the message with it.
    pub fn send(&self, msg: Msg) -> bool {
        self.queued.fetch_add(1, Ordering::AcqRel);
        let sent = self.actor.cast(msg).is_ok();
        if !sent {
            self.queued.fetch_sub(1, Ordering::AcqRel);
        }
        sent
    }

    pub fn actor(&self) -> &ActorRef<Msg> {
        &self.actor
    }
}

/// Requests under way, and how many there may be: the bound of a mailbox that has none of its own.
#[derive(Debug)]
pub(crate) struct Pool {
    taken: AtomicUsize,
    most: usize,
}

impl Pool {
    fn new(most: usize) -> Self {
        Self { taken: AtomicUsize::new(0), most }
    }
}

/// Which pool a permit is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoolName {
    Steps,
    Rest,
}

/// A place in a pool; given back when it is dropped.
pub(crate) struct Permit {
    cell: Arc<Cell>,
    name: PoolName,
}

impl Permit {
    /// None: as many requests as there may be are under way.
    pub fn take(cell: &Arc<Cell>, name: PoolName) -> Option<Self> {
        let pool = cell.pool(name);
        if pool.taken.fetch_add(1, Ordering::AcqRel) >= pool.most {
            pool.taken.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Self { cell: Arc::clone(cell), name })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.cell.pool(self.name).taken.fetch_sub(1, Ordering::AcqRel);
    }
}

pub(crate) struct Cell {
    pub id: AccountId,
    pub owner: RwLock<Owner>,
    /// Held while the account is being loaded.
    pub loading: tokio::sync::Mutex<()>,
    pub released: Arc<Released>,
    pub steps: Pool,
    pub rest: Pool,
    /// Earliest deadline the timer holds for this account, ms; `u64::MAX`: none.
    pub armed: AtomicU64,
    /// Tokens granted so far: in mode memory the next incarnation counts on from here.
    pub grants: AtomicU64,
    /// Loaded before: the rows that were released are still good.
    pub was_loaded: AtomicBool,
    /// A snapshot of it is under way.
    pub snapshotting: AtomicBool,
    failures: Mutex<VecDeque<Instant>>,
}

impl Cell {
    pub fn new(id: AccountId, epoch: u64, permits: Permits) -> Self {
        Self {
            id,
            owner: RwLock::new(Owner::Unloaded),
            loading: tokio::sync::Mutex::new(()),
            released: Arc::new(Released::new(epoch, 0)),
            steps: Pool::new(permits.steps),
            rest: Pool::new(permits.rest),
            armed: AtomicU64::new(u64::MAX),
            grants: AtomicU64::new(0),
            was_loaded: AtomicBool::new(false),
            snapshotting: AtomicBool::new(false),
            failures: Mutex::new(VecDeque::new()),
        }
    }

    /// The actor, if it is up.
    pub fn mailbox(&self) -> Option<Mailbox> {
        match &*self.owner.read() {
            Owner::Ready(mailbox) => Some(mailbox.clone()),
            Owner::Unloaded | Owner::Quarantined(_) | Owner::Moved => None,
        }
    }

    fn pool(&self, name: PoolName) -> &Pool {
        match name {
            PoolName::Steps => &self.steps,
            PoolName::Rest => &self.rest,
        }
    }

    /// Counts a failure; true: that was one too many.
    pub fn failed(&self, now: Instant) -> bool {
        let mut failures = self.failures.lock();
        failures.push_back(now);
        while failures.front().is_some_and(|first| now.duration_since(*first) > FAILURES_WITHIN) {
            failures.pop_front();
        }
        failures.len() > FAILURES_MAX
    }
}
