//! How long to wait before connecting again: exponential with full jitter
//! (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).

use std::ops::RangeInclusive;
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
/// A board that comes back half a minute after its server is still a board; one that hammers a dead one is a load.
const LAST: Duration = Duration::from_secs(30);
/// `FIRST` doubled this often is beyond `LAST`.
const DOUBLINGS_MAX: u32 = 6;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next wait; `random` is uniform over all its values.
    pub fn next(&mut self, random: u64) -> Duration {
        let ceiling = LAST.min(FIRST * (1 << self.failures.min(DOUBLINGS_MAX)));
        self.failures = self.failures.saturating_add(1);
        pick(Duration::ZERO..=ceiling, random)
    }

    /// The connection proved healthy.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A point of a window that the server named.
pub(crate) fn within(window_ms: [u64; 2], random: u64) -> Duration {
    let [low, high] = window_ms;
    pick(Duration::from_millis(low)..=Duration::from_millis(high.max(low)), random)
}

fn pick(window: RangeInclusive<Duration>, random: u64) -> Duration {
    let width = window.end().saturating_sub(*window.start()).as_millis();
    // Below 2^64 by far: windows are seconds.
    let offset = u64::try_from((width * u128::from(random)) >> 64).unwrap_or(0);
    *window.start() + Duration::from_millis(offset)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Backoff, within};

    #[test]
    fn ceilings_double_from_half_a_second_to_thirty() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..8).map(|_| backoff.next(u64::MAX).as_millis()).collect();
        assert_eq!(waits, [499, 999, 1999, 3999, 7999, 15_999, 29_999, 29_999]);
        backoff.reset();
        assert_eq!(backoff.next(u64::MAX).as_millis(), 499);
    }

    #[test]
    fn jitter_is_full() {
        assert_eq!(Backoff::default().next(0), Duration::ZERO);
        assert_eq!(Backoff::default().next(u64::MAX / 2).as_millis(), 249);
    }

    #[test]
    fn a_window_is_kept_to() {
        assert_eq!(within([1000, 3000], 0).as_millis(), 1000);
        assert_eq!(within([1000, 3000], u64::MAX).as_millis(), 2999);
        assert_eq!(
            within([1000, 500], u64::MAX).as_millis(),
            1000,
            "a window the wrong way round is its start"
        );
    }
}
