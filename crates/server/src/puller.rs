//! Reads configured Kamailios as a whole: when a source asks for it, and now and then, since an administrator's removal
//! or a reload of its database makes no event.

use std::sync::Arc;
use std::time::Duration;

use ringfence::Time;
use ringfence_feeds::kamailio::{Config, Puller};
use tokio::task::JoinSet;

use crate::config::KamailioSource;
use crate::state::App;

/// Between two snapshots nobody asked for, give or take a fifth, so that several do not fall together.
const EVERY_MS: u64 = 5 * 60 * 1000;
/// How often it is looked whether one is asked for.
const LOOK: Duration = Duration::from_secs(1);
/// After the first failure, and at most: a registrar that is being restarted is back in seconds.
const BACKOFF_MS: u64 = 1_000;
const BACKOFF_MS_MAX: u64 = 60_000;

/// A task per source, which ends with the set.
pub(crate) fn start(app: &Arc<App>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for source in app.config.kamailio.clone() {
        match Puller::new(&Config { url: source.url.clone() }) {
            Ok(puller) => {
                if !app.keys.lives(&source.endpoint, app.now()) {
                    // What it posts with another key counts as another registrar's, and holds beside what is read here.
                    tracing::warn!(account = %source.account, key = source.endpoint, "there is no such key (any more)");
                }
                tasks.spawn(run(Arc::clone(app), source, puller));
            }
            Err(error) => tracing::error!(%error, account = %source.account, "this registrar is not read"),
        }
    }
    tasks
}

async fn run(app: Arc<App>, source: KamailioSource, puller: Puller) {
    let mut plan = Plan::new(app.now());
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if !plan.is_due(app.now(), wanted(&app, &source)) {
            continue;
        }
        match pull(&app, &source, &puller).await {
            Ok(()) => plan.succeeded(app.now(), jitter()),
            Err(error) => {
                plan.failed(app.now());
                tracing::warn!(error, account = %source.account, endpoint = source.endpoint, "no snapshot could be had");
            }
        }
    }
}

async fn pull(app: &App, source: &KamailioSource, puller: &Puller) -> Result<(), String> {
    let pulled = puller.pull().await.map_err(|error| error.to_string())?;
    let fed = app.engine.feed_snapshot(&source.account, &source.endpoint, pulled.snapshot).await;
    let report = fed.map_err(|error| error.to_string())?;
    app.metrics.fed(u64::from(report.accepted), report.refused.len() as u64);
    match report.refused.first() {
        Some((_, code)) => Err((*code).to_owned()),
        None => Ok(()),
    }
}

/// Whether the engine asks for a snapshot of what comes in by this endpoint.
fn wanted(app: &App, source: &KamailioSource) -> bool {
    app.engine.sources().iter().any(|known| {
        known.account == source.account && known.endpoint == source.endpoint && known.snapshot_wanted
    })
}

/// When to read next.
#[derive(Debug)]
struct Plan {
    due: Time,
    /// Not before, after a failure.
    patience: Time,
    backoff_ms: u64,
}

impl Plan {
    fn new(now: Time) -> Self {
        Self { due: now, patience: now, backoff_ms: BACKOFF_MS }
    }

    fn is_due(&self, now: Time, wanted: bool) -> bool {
        now >= self.patience && (wanted || now >= self.due)
    }

    /// `share` of 0 to 1000 says where in the fifth around the interval the next one falls.
    fn succeeded(&mut self, now: Time, share: u64) {
        self.due = now.plus_ms(EVERY_MS * 4 / 5 + EVERY_MS * 2 / 5 * share / 1000);
        self.patience = now.plus_ms(BACKOFF_MS);
        self.backoff_ms = BACKOFF_MS;
    }

    fn failed(&mut self, now: Time) {
        self.patience = now.plus_ms(self.backoff_ms);
        self.backoff_ms = (self.backoff_ms * 2).min(BACKOFF_MS_MAX);
    }
}

/// 0 to 1000. Without random numbers everybody falls together, which is no reason not to read.
fn jitter() -> u64 {
    let mut bytes = [0_u8; 2];
    let _ = getrandom::fill(&mut bytes);
    u64::from(u16::from_le_bytes(bytes)) * 1000 / u64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_at_once_when_asked_and_every_five_minutes_give_or_take_a_fifth() {
        let mut plan = Plan::new(Time::ZERO);
        assert!(plan.is_due(Time::ZERO, false));
        plan.succeeded(Time::ZERO, 0);
        assert!(!plan.is_due(Time::from_ms(239_999), false));
        assert!(plan.is_due(Time::from_ms(240_000), false));
        assert!(plan.is_due(Time::from_ms(1_000), true));
        plan.succeeded(Time::ZERO, 1000);
        assert!(!plan.is_due(Time::from_ms(359_999), false));
    }

    #[test]
    fn a_registrar_that_is_away_is_asked_less_and_less_often() {
        let mut plan = Plan::new(Time::ZERO);
        let mut waits = Vec::new();
        for _ in 0..8 {
            plan.failed(Time::ZERO);
            waits.push(plan.patience.ms() / 1000);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
