//! One quiet line every few seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ringfence_core::bucket::BucketCounts;

use crate::demo::floor::Floor;
use crate::demo::tally::{Counts, Tally};
use crate::output;

const EVERY: Duration = Duration::from_secs(5);

pub async fn run(floors: Vec<Arc<Floor>>, tally: Arc<Tally>) {
    let mut every = tokio::time::interval_at((Instant::now() + EVERY).into(), EVERY);
    let mut before = tally.counts();
    loop {
        every.tick().await;
        let now = tally.counts();
        let mut buckets = BucketCounts::default();
        for floor in &floors {
            add(&mut buckets, floor.seen.borrow().table.counts());
        }
        output::say(&line(&buckets, &before, &now));
        before = now;
    }
}

fn add(sum: &mut BucketCounts, counts: &BucketCounts) {
    sum.external_call += counts.external_call;
    sum.in_call += counts.in_call;
    sum.offline += counts.offline;
    sum.unreachable += counts.unreachable;
    sum.ringing += counts.ringing;
    sum.paused += counts.paused;
    sum.wrap_up += counts.wrap_up;
    sum.ready += counts.ready;
    sum.idle += counts.idle;
}

fn line(buckets: &BucketCounts, before: &Counts, now: &Counts) -> String {
    let tiles = buckets.tiles();
    let offers = now.offered.saturating_sub(before.offered) as f64 / EVERY.as_secs_f64();
    format!(
        "{} agents: {} available, {} ringing, {} on call, {} wrap-up, {} paused, {} offline | calls: {} answered, {} \
         gave up | {offers:.1} offers/s, double offers {}",
        buckets.total(),
        tiles.available,
        tiles.ringing,
        tiles.on_call,
        tiles.wrap_up,
        tiles.paused,
        tiles.offline,
        now.answered,
        now.gave_up,
        now.double_offers,
    )
}
