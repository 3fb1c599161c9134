//! What happened so far, over all accounts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Errors and contradictions kept in words; the rest is counted.
const KEPT_MAX: usize = 20;

#[derive(Debug, Default)]
pub struct Tally {
    counts: [AtomicU64; Count::ALL.len()],
    kept: Mutex<Vec<String>>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    Arrived,
    Offered,
    Answered,
    Ended,
    Rejected,
    NoAnswer,
    Lapsed,
    Failed,
    GaveUp,
    Rescinded,
    DirectRefused,
    External,
    Pauses,
    Rona,
    PhonesLost,
    FeedEvents,
    DoubleOffers,
    /// Answers the simulation has no use for.
    Unexpected,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    pub arrived: u64,
    pub offered: u64,
    pub answered: u64,
    pub ended: u64,
    pub rejected: u64,
    pub no_answer: u64,
    pub lapsed: u64,
    pub failed: u64,
    pub gave_up: u64,
    pub rescinded: u64,
    pub direct_refused: u64,
    pub external: u64,
    pub pauses: u64,
    pub rona: u64,
    pub phones_lost: u64,
    pub feed_events: u64,
    pub double_offers: u64,
    pub unexpected: u64,
}

impl Count {
    pub const ALL: [Self; 18] = [
        Self::Arrived,
        Self::Offered,
        Self::Answered,
        Self::Ended,
        Self::Rejected,
        Self::NoAnswer,
        Self::Lapsed,
        Self::Failed,
        Self::GaveUp,
        Self::Rescinded,
        Self::DirectRefused,
        Self::External,
        Self::Pauses,
        Self::Rona,
        Self::PhonesLost,
        Self::FeedEvents,
        Self::DoubleOffers,
        Self::Unexpected,
    ];
}

impl Tally {
    pub fn count(&self, what: Count) {
        self.add(what, 1);
    }

    pub fn add(&self, what: Count, many: u64) {
        self.counts[what as usize].fetch_add(many, Ordering::Relaxed);
    }

    /// Counts it and keeps it in words.
    pub fn note(&self, what: Count, words: String) {
        self.count(what);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.push(words);
        }
    }

    pub fn kept(&self) -> Vec<String> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn get(&self, what: Count) -> u64 {
        self.counts[what as usize].load(Ordering::Relaxed)
    }

    pub fn counts(&self) -> Counts {
        Counts {
            arrived: self.get(Count::Arrived),
            offered: self.get(Count::Offered),
            answered: self.get(Count::Answered),
            ended: self.get(Count::Ended),
            rejected: self.get(Count::Rejected),
            no_answer: self.get(Count::NoAnswer),
            lapsed: self.get(Count::Lapsed),
            failed: self.get(Count::Failed),
            gave_up: self.get(Count::GaveUp),
            rescinded: self.get(Count::Rescinded),
            direct_refused: self.get(Count::DirectRefused),
            external: self.get(Count::External),
            pauses: self.get(Count::Pauses),
            rona: self.get(Count::Rona),
            phones_lost: self.get(Count::PhonesLost),
            feed_events: self.get(Count::FeedEvents),
            double_offers: self.get(Count::DoubleOffers),
            unexpected: self.get(Count::Unexpected),
        }
    }
}
