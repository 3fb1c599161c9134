//! The engine's clock: a base and the time elapsed since, so that leases neither freeze nor jump when somebody sets the
//! wall clock; the difference is slewed away slowly.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ringfence_core::Time;

/// Drift towards the wall clock is made up at most at this rate (500 ppm).
const SLEW_US_PER_SEC: i64 = 500;

/// Where time comes from.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System(Arc<System>),
    Manual(Arc<AtomicU64>),
}

#[derive(Debug)]
struct System {
    base_ms: AtomicU64,
    start: Instant,
    slewed_us: AtomicI64,
}

/// Milliseconds since the Unix epoch by the wall clock.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}

impl Clock {
    pub fn system() -> Self {
        let base_ms = AtomicU64::new(wall_ms());
        Self(Kind::System(Arc::new(System { base_ms, start: Instant::now(), slewed_us: AtomicI64::new(0) })))
    }

    /// A clock that stands still until it is told to move, for tests.
    pub fn manual(start: Time) -> Self {
        Self(Kind::Manual(Arc::new(AtomicU64::new(start.ms()))))
    }

    pub fn now(&self) -> Time {
        match &self.0 {
            Kind::Manual(ms) => Time::from_ms(ms.load(Ordering::Acquire)),
            Kind::System(system) => {
                let elapsed_us = i64::try_from(system.start.elapsed().as_micros()).unwrap_or(i64::MAX);
                let us = elapsed_us.saturating_add(system.slewed_us.load(Ordering::Relaxed)).max(0);
                Time::from_ms(system.base_ms.load(Ordering::Relaxed) + us.unsigned_abs() / 1000)
            }
        }
    }

    /// Moves a manual clock on; a system clock moves by itself.
    pub fn advance_ms(&self, by: u64) {
        match &self.0 {
            Kind::Manual(ms) => {
                ms.fetch_add(by, Ordering::AcqRel);
            }
            Kind::System(_) => {}
        }
    }

    pub(crate) fn is_manual(&self) -> bool {
        matches!(self.0, Kind::Manual(_))
    }

    /// Never before the last time the journal holds.
    pub(crate) fn not_before(&self, last: Time) {
        let behind = last.since(self.now());
        match &self.0 {
            Kind::Manual(ms) => {
                ms.fetch_add(behind, Ordering::AcqRel);
            }
            Kind::System(system) => {
                system.base_ms.fetch_add(behind, Ordering::AcqRel);
            }
        }
    }

    /// One second's worth of moving towards the wall.
    pub(crate) fn slew(&self) {
        match &self.0 {
            Kind::Manual(_) => {}
            Kind::System(system) => {
                let (wall, ours) = (wall_ms(), self.now().ms());
                let off_ms = i64::try_from(wall).unwrap_or(0) - i64::try_from(ours).unwrap_or(0);
                let step = off_ms.saturating_mul(1000).clamp(-SLEW_US_PER_SEC, SLEW_US_PER_SEC);
                system.slewed_us.fetch_add(step, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_begins_before_the_journal() {
        let clock = Clock::system();
        let ahead = clock.now().plus_ms(3_600_000);
        clock.not_before(ahead);
        assert!(clock.now() >= ahead);
        assert!(clock.now() < ahead.plus_ms(60_000));
    }

    #[test]
    fn a_clock_that_is_ahead_slows_down_by_at_most_500_ppm() {
        let clock = Clock::system();
        clock.not_before(clock.now().plus_ms(3_600_000));
        let before = clock.now();
        for _ in 0..1_000 {
            clock.slew();
        }
        let lost = before.since(clock.now());
        assert!(lost <= 500, "1000 s of slewing took {lost} ms away");
    }
}
