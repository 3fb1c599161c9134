//! When silence becomes news: heartbeats say that the connection lives, so their absence says that it may not.

use std::time::{Duration, Instant};

/// In tenths of the heartbeat interval: after two missed ones the rows may be old.
const STALE_TENTHS: u32 = 22;
/// After three the connection is given up.
const DEAD_TENTHS: u32 = 30;

/// What silence means so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Silence {
    Normal,
    Stale,
    Dead,
}

/// The last frame and the interval that was agreed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    heard: Instant,
    interval: Duration,
}

impl Patience {
    pub fn new(now: Instant, interval: Duration) -> Self {
        Self { heard: now, interval }
    }

    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub fn agree(&mut self, interval: Duration) {
        self.interval = interval;
    }

    pub fn silence(&self, now: Instant) -> Silence {
        if now >= self.dead_at() {
            Silence::Dead
        } else if now >= self.stale_at() {
            Silence::Stale
        } else {
            Silence::Normal
        }
    }

    /// When the silence next means something else.
    pub fn next(&self, now: Instant) -> Instant {
        if now < self.stale_at() { self.stale_at() } else { self.dead_at() }
    }

    fn stale_at(&self) -> Instant {
        self.heard + self.interval * STALE_TENTHS / 10
    }

    fn dead_at(&self) -> Instant {
        self.heard + self.interval * DEAD_TENTHS / 10
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Patience, Silence};

    #[test]
    fn silence_is_stale_after_two_heartbeats_and_a_bit_and_dead_after_three() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut patience = Patience::new(start, Duration::from_secs(5));
        assert_eq!(patience.silence(at(10_999)), Silence::Normal);
        assert_eq!(patience.silence(at(11_000)), Silence::Stale);
        assert_eq!(patience.silence(at(14_999)), Silence::Stale);
        assert_eq!(patience.silence(at(15_000)), Silence::Dead);
        assert_eq!((patience.next(at(0)), patience.next(at(11_000))), (at(11_000), at(15_000)));
        patience.heard(at(14_000));
        assert_eq!(patience.silence(at(15_000)), Silence::Normal);
        patience.agree(Duration::from_secs(1));
        assert_eq!(patience.silence(at(16_200)), Silence::Stale);
    }
}
