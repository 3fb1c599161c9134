//! Waiting lines: callers nobody could be offered to yet (model.md §6, the brain).

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::id::{QueueId, RouterId};
use crate::queue::RequiredTags;
use crate::slab::Ix;
use crate::time::Time;

/// Callers who may wait in one account at once, over all its queues.
pub const WAITING_MAX: usize = 10_000;
/// Highest priority a caller may have; 0 is the usual one.
pub const PRIORITY_MAX: u16 = 1_000;
/// Longest text that names a caller.
pub const CALLER_BYTES_MAX: usize = 128;

/// A caller's place in line. Kept with the call, also while an offer for it rings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Waiting {
    pub queue_id: QueueId,
    /// Higher goes first.
    pub priority: u16,
    /// Since when: among equal priorities, who came first goes first.
    pub since: Time,
    /// The record that made the place: orders those who came in the same millisecond.
    pub number: u64,
    /// Waits no longer than this (the queue's `max_wait_sec` when it came).
    pub until: Time,
    pub caller: Option<String>,
    /// What this call asks of an agent, beside what the queue asks.
    pub required_tags: Option<RequiredTags>,
    /// The router the call belongs to.
    pub router_id: Option<RouterId>,
}

/// How a caller left the line without an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineOutcome {
    /// The router took it out.
    Dequeued,
    MaxWait,
    QueueRemoved,
}

impl LineOutcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dequeued => "dequeued",
            Self::MaxWait => "max_wait",
            Self::QueueRemoved => "queue_removed",
        }
    }
}

/// Order of a line: priority, then who came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LineKey {
    priority: Reverse<u16>,
    since: Time,
    number: u64,
    pub call: Ix,
}

impl Waiting {
    pub(crate) fn key(&self, call: Ix) -> LineKey {
        LineKey { priority: Reverse(self.priority), since: self.since, number: self.number, call }
    }
}

/// A queue's line. Derived from the calls that wait.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Line {
    /// Callers no offer rings for, in the order they are served.
    pub open: std::collections::BTreeSet<LineKey>,
    /// All callers, who came first, first.
    pub ages: std::collections::BTreeSet<(Time, u64, Ix)>,
}

impl Line {
    pub fn len(&self) -> usize {
        self.ages.len()
    }

    pub fn oldest(&self) -> Option<Time> {
        self.ages.first().map(|(since, ..)| *since)
    }

    /// Place of a caller, 1 for who is next. Those an offer rings for are ahead of everybody.
    pub fn place(&self, key: LineKey) -> usize {
        let behind = self.open.range((std::ops::Bound::Excluded(key), std::ops::Bound::Unbounded)).count();
        self.ages.len().saturating_sub(behind).max(1)
    }
}

/// How fast a line moves: a running mean of the time between two answers, for the estimate a caller is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    pub last_answer: Option<Time>,
    pub mean_ms: Option<u64>,
}

impl Pace {
    /// One answer more. The mean gives an eighth of its weight to the newest interval.
    pub(crate) fn answered(&mut self, at: Time) {
        if let Some(last) = self.last_answer.replace(at) {
            let interval = at.since(last);
            self.mean_ms = Some(self.mean_ms.map_or(interval, |mean| (mean * 7 + interval) / 8));
        }
    }

    /// How long somebody at this place has to wait by that mean, ms.
    pub fn estimate_ms(&self, place: usize) -> Option<u64> {
        Some(self.mean_ms?.saturating_mul(u64::try_from(place).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_a_running_mean_of_the_time_between_answers() {
        let mut pace = Pace::default();
        assert_eq!(pace.estimate_ms(3), None);
        pace.answered(Time::from_ms(1_000));
        assert_eq!(pace.estimate_ms(3), None, "one answer is no interval");
        pace.answered(Time::from_ms(9_000));
        assert_eq!(pace.estimate_ms(3), Some(24_000));
        pace.answered(Time::from_ms(9_000));
        assert_eq!(pace.mean_ms, Some(7_000));
    }
}
