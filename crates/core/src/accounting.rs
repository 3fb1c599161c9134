//! Time in each bucket, exactly: the intervals of an agent partition time from the moment it was created, with no gap
//! and no overlap, and every figure is a sum of closed intervals.

use serde::{Deserialize, Serialize};

use crate::bucket::Bucket;
use crate::id::ReasonId;
use crate::offer::Outcome;
use crate::time::Time;

const DAY_MS: u64 = 86_400_000;
/// Pause reasons told apart per day and agent; the rest are counted together under none.
const REASONS_MAX: usize = 32;

/// Running sums of one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    pub born: Time,
    /// Start of the open interval.
    pub since: Time,
    /// Closed intervals since birth, per bucket in the order of [`Bucket::ALL`], ms.
    pub totals: [u64; 9],
    pub today: Day,
}

/// What happened on one day of the account. Only closed intervals are in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Day {
    /// Days since 1970-01-01 in the account's calendar.
    pub number: u64,
    pub offered: u32,
    pub accepted: u32,
    pub missed: u32,
    pub rejected: u32,
    /// Per bucket in the order of [`Bucket::ALL`], ms.
    pub ms: [u64; 9],
    /// Pause time by reason, ms.
    pub pauses: Vec<(Option<ReasonId>, u64)>,
}

impl Ledger {
    pub(crate) fn begin(at: Time) -> Self {
        let today = Day { number: day_number(at), ..Day::default() };
        Self { born: at, since: at, totals: [0; 9], today }
    }

    /// Ends the open interval, which was spent in `bucket` (and, if that is a pause, for `reason`), and begins the next.
    pub(crate) fn close(&mut self, bucket: Bucket, reason: Option<&ReasonId>, at: Time) {
        let at = at.max(self.since);
        self.totals[bucket.index()] += at.since(self.since);
        let midnight = Time::from_ms(day_number(at) * DAY_MS);
        self.roll(at);
        let spent_today = at.since(self.since.max(midnight));
        self.today.ms[bucket.index()] += spent_today;
        if bucket == Bucket::Paused && spent_today > 0 {
            self.today.add_pause(reason, spent_today);
        }
        self.since = at;
    }

    /// Begins a new day if `at` is in one: the day is reset lazily.
    fn roll(&mut self, at: Time) {
        let number = day_number(at);
        if number != self.today.number {
            self.today = Day { number, ..Day::default() };
        }
    }

    pub(crate) fn offered(&mut self, at: Time) {
        self.roll(at);
        self.today.offered += 1;
    }

    pub(crate) fn ended(&mut self, outcome: &Outcome, at: Time) {
        self.roll(at);
        match outcome {
            Outcome::Accepted => self.today.accepted += 1,
            Outcome::NoAnswer => self.today.missed += 1,
            Outcome::Rejected | Outcome::Busy => self.today.rejected += 1,
            Outcome::Cancelled | Outcome::Rescinded(_) | Outcome::LostRace | Outcome::Failed(_) => {}
        }
    }
}

impl Day {
    fn add_pause(&mut self, reason: Option<&ReasonId>, ms: u64) {
        if let Some((_, sum)) = self.pauses.iter_mut().find(|(id, _)| id.as_ref() == reason) {
            *sum += ms;
        } else if self.pauses.len() < REASONS_MAX {
            self.pauses.push((reason.cloned(), ms));
        } else if let Some((_, sum)) = self.pauses.iter_mut().find(|(id, _)| id.is_none()) {
            *sum += ms;
        } else {
            self.pauses.push((None, ms));
        }
    }

    pub fn in_bucket_ms(&self, bucket: Bucket) -> u64 {
        self.ms[bucket.index()]
    }

    /// YYYY-MM-DD.
    pub fn date(&self) -> String {
        let (year, month, day) = civil(self.number);
        format!("{year:04}-{month:02}-{day:02}")
    }
}

/// The day `at` belongs to. Days begin at midnight UTC.
fn day_number(at: Time) -> u64 {
    at.ms() / DAY_MS
}

/// Gregorian date of a day since 1970-01-01, by Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>).
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_intervals_partition_time_across_midnight() {
        let born = Time::from_ms(DAY_MS - 1_000);
        let mut ledger = Ledger::begin(born);
        ledger.close(Bucket::Offline, None, Time::from_ms(DAY_MS - 400));
        ledger.close(Bucket::Ready, None, Time::from_ms(DAY_MS + 250));
        ledger.close(Bucket::Ringing, None, Time::from_ms(DAY_MS + 300));
        assert_eq!(ledger.totals.iter().sum::<u64>(), 1_300);
        assert_eq!(ledger.today.in_bucket_ms(Bucket::Ready), 250);
        assert_eq!(ledger.today.in_bucket_ms(Bucket::Ringing), 50);
        assert_eq!(ledger.today.in_bucket_ms(Bucket::Offline), 0);
        assert_eq!(ledger.today.date(), "1970-01-02");
    }

    #[test]
    fn pauses_are_told_apart_by_reason() {
        let lunch = ReasonId::parse("lunch").ok();
        let mut ledger = Ledger::begin(Time::ZERO);
        ledger.close(Bucket::Paused, lunch.as_ref(), Time::from_ms(70));
        ledger.close(Bucket::Paused, None, Time::from_ms(100));
        ledger.close(Bucket::Paused, lunch.as_ref(), Time::from_ms(110));
        assert_eq!(ledger.today.pauses, vec![(lunch, 80), (None, 30)]);
    }

    #[test]
    fn dates_are_right() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(20_779), (2026, 11, 22));
        assert_eq!(civil(19_782), (2024, 2, 29));
    }
}
