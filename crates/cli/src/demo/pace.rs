//! How fast the simulated centre lives: its seconds, and its hours.

use std::time::{Duration, Instant};

/// A demo's day passes in 48 minutes, so that whoever watches for a while sees it swell and ebb.
const HOUR_SEC: f64 = 120.0;
const FIRST_HOUR: f64 = 9.0;

/// Calls by the hour, of a day that has a morning peak, a lunch and an afternoon; never so quiet that nothing moves.
const CURVE: [f64; 24] = [
    0.50, 0.50, 0.50, 0.50, 0.50, 0.55, 0.60, 0.75, 0.90, 1.05, 1.15, 1.10, 0.90, 0.85, 1.00, 1.10, 1.05,
    0.95, 0.85, 0.75, 0.65, 0.60, 0.55, 0.50,
];

#[derive(Debug, Clone, Copy)]
pub struct Pace {
    speed: f64,
    opened: Instant,
    opened_ms: u64,
}

impl Pace {
    /// Opened at this moment, which outside is `opened_ms` since 1970.
    pub fn new(speed: f64, opened: Instant, opened_ms: u64) -> Self {
        Self { speed, opened, opened_ms }
    }

    pub fn opened_ms(&self) -> u64 {
        self.opened_ms
    }

    /// So many of the centre's seconds as they pass here.
    pub fn real(&self, sec: f64) -> Duration {
        Duration::from_secs_f64((sec / self.speed).clamp(0.0, 86_400.0))
    }

    pub async fn sleep(&self, sec: f64) {
        tokio::time::sleep(self.real(sec)).await;
    }

    /// The centre's seconds since it opened.
    pub fn now(&self) -> f64 {
        self.opened.elapsed().as_secs_f64() * self.speed
    }

    /// For settings in whole seconds, at least one.
    pub fn setting_sec(&self, sec: f64) -> u64 {
        (sec / self.speed).round().max(1.0) as u64
    }

    /// How busy the hour is; 1 is usual.
    pub fn busyness(&self) -> f64 {
        busyness_at(FIRST_HOUR + self.now() / HOUR_SEC)
    }
}

/// Between the hours it changes steadily.
fn busyness_at(hour: f64) -> f64 {
    let hour = hour.rem_euclid(24.0);
    let (this, part) = (hour.floor(), hour.fract());
    let at = |index: f64| CURVE[index as usize % CURVE.len()];
    at(this) * (1.0 - part) + at(this + 1.0) * part
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Pace, busyness_at};

    #[test]
    fn ten_times_faster_is_a_tenth_of_the_time() {
        let pace = Pace::new(10.0, Instant::now(), 0);
        assert_eq!(pace.real(20.0), Duration::from_secs(2));
        assert_eq!((pace.setting_sec(20.0), pace.setting_sec(1.0)), (2, 1));
    }

    #[test]
    fn the_day_goes_round() {
        assert!((busyness_at(10.0) - 1.15).abs() < 1e-9);
        assert!((busyness_at(10.5) - 1.125).abs() < 1e-9);
        assert!((busyness_at(23.5) - busyness_at(47.5)).abs() < 1e-9);
        assert!((busyness_at(24.0) - busyness_at(0.0)).abs() < 1e-9);
    }
}
