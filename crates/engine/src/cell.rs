//! What of an account outlives its actor: its place in the directory, the way in, its released rows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ringfence_core::AccountId;

use crate::door::Door;
use crate::options::Permits;
use crate::released::Released;
use crate::router::Routers;

/// An account that fails more often than this …
const FAILURES_MAX: usize = 5;
/// … within this long is quarantined, not the node (durability.md L3).
const FAILURES_WITHIN: Duration = Duration::from_secs(10);

pub(crate) struct Cell {
    pub id: AccountId,
    /// The id as the store keys by it.
    pub name: Arc<str>,
    pub door: Door,
    /// Held while the account is being loaded.
    pub loading: tokio::sync::Mutex<()>,
    pub released: Arc<Released>,
    pub routers: Routers,
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
            name: Arc::from(id.as_str()),
            id,
            door: Door::new(permits),
            loading: tokio::sync::Mutex::new(()),
            released: Arc::new(Released::new(epoch, 0)),
            routers: Routers::default(),
            armed: AtomicU64::new(u64::MAX),
            grants: AtomicU64::new(0),
            was_loaded: AtomicBool::new(false),
            snapshotting: AtomicBool::new(false),
            failures: Mutex::new(VecDeque::new()),
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
