//! Plain numbers an operator watches.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use ringfence_core::Refusal;

/// A reading of the engine's counters. All but the last four only ever rise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    pub records: u64,
    pub commits: u64,
    pub journal_bytes: u64,
    pub granted: u64,
    /// By outcome.
    pub offers_ended: Vec<(&'static str, u64)>,
    /// By code.
    pub refusals: Vec<(&'static str, u64)>,
    /// Requests turned away because too many were under way.
    pub busy: u64,
    pub restarts: u64,
    pub accounts_loaded: u64,
    /// Written of accounts.
    pub snapshots: u64,
    /// Batches of records trimmed without having been in the history.
    pub history_skipped: u64,
    pub quarantined: u64,
    pub journal_tail_bytes: u64,
    /// Journal the history does not have yet.
    pub history_behind_bytes: u64,
    /// Free space on the data disk, as of the last look; 0 in mode memory.
    pub free_bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Meters {
    pub records: AtomicU64,
    pub commits: AtomicU64,
    pub journal_bytes: AtomicU64,
    pub granted: AtomicU64,
    pub busy: AtomicU64,
    pub restarts: AtomicU64,
    pub accounts_loaded: AtomicU64,
    pub quarantined: AtomicU64,
    pub journal_tail_bytes: AtomicU64,
    pub history_behind_bytes: AtomicU64,
    pub history_skipped: AtomicU64,
    pub snapshots: AtomicU64,
    pub free_bytes: AtomicU64,
    refusals: Mutex<Vec<(&'static str, u64)>>,
    ended: Mutex<Vec<(&'static str, u64)>>,
}

pub(crate) fn add(meter: &AtomicU64, by: u64) {
    meter.fetch_add(by, Ordering::Relaxed);
}

impl Meters {
    pub fn refused(&self, refusal: &Refusal) {
        count(&self.refusals, refusal.code());
    }

    pub fn ended(&self, outcome: &'static str) {
        count(&self.ended, outcome);
    }

    pub fn read(&self) -> Counters {
        let get = |meter: &AtomicU64| meter.load(Ordering::Relaxed);
        Counters {
            records: get(&self.records),
            commits: get(&self.commits),
            journal_bytes: get(&self.journal_bytes),
            granted: get(&self.granted),
            offers_ended: self.ended.lock().clone(),
            refusals: self.refusals.lock().clone(),
            busy: get(&self.busy),
            restarts: get(&self.restarts),
            accounts_loaded: get(&self.accounts_loaded),
            quarantined: get(&self.quarantined),
            journal_tail_bytes: get(&self.journal_tail_bytes),
            history_behind_bytes: get(&self.history_behind_bytes),
            history_skipped: get(&self.history_skipped),
            snapshots: get(&self.snapshots),
            free_bytes: get(&self.free_bytes),
        }
    }
}

fn count(counts: &Mutex<Vec<(&'static str, u64)>>, name: &'static str) {
    let mut counts = counts.lock();
    match counts.iter_mut().find(|(known, _)| *known == name) {
        Some((_, count)) => *count += 1,
        None => counts.push((name, 1)),
    }
}
