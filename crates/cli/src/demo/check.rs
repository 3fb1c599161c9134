//! Whether everybody saw the same: the board that was kept over the stream, and the roster as it is read at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ringfence_client::{ApiError, Presence};
use ringfence_core::row::row_hash;
use serde::Serialize;

use crate::demo::floor::Floor;
use crate::demo::watch::Seen;

/// An account that nobody disturbs still moves by itself (leases end, wrap-ups too), so a comparison that found another
/// seq is made again, for so long.
const COMPARE_MAX: Duration = Duration::from_secs(12);
/// Between two comparisons, unless the board changes before.
const AGAIN: Duration = Duration::from_millis(100);
/// A board that does not come as far as the roster within this has lost something.
const CATCH_UP_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize)]
pub struct Compared {
    pub account: String,
    pub agents: usize,
    pub seq: u64,
    pub rows_equal: bool,
    pub hash_equal: bool,
    /// Heartbeats whose hash was the board's own.
    pub hashes_equal: u64,
    pub hash_mismatches: u64,
    pub resyncs: u64,
}

impl Compared {
    pub fn is_sound(&self, planned: usize) -> bool {
        self.rows_equal
            && self.hash_equal
            && self.agents >= planned
            && self.hashes_equal > 0
            && self.hash_mismatches == 0
    }
}

pub async fn compare(floor: &Floor) -> Result<Compared, ApiError> {
    let until = Instant::now() + COMPARE_MAX;
    let mut seen = floor.seen.clone();
    loop {
        let presence = floor.api.presence().await?;
        let board = caught_up(floor, &presence).await;
        let same_seq = board.as_of.is_some_and(|as_of| as_of.seq == presence.seq) && board.settled;
        let compared = result(floor, &presence, &board);
        let done = same_seq && compared.is_sound(floor.plan.agents.len());
        if done || Instant::now() > until {
            return Ok(compared);
        }
        drop(tokio::time::timeout(AGAIN, seen.changed()).await);
    }
}

async fn caught_up(floor: &Floor, presence: &Presence) -> Arc<Seen> {
    let mut seen = floor.seen.clone();
    let as_far = |seen: &Arc<Seen>| {
        seen.as_of.is_some_and(|as_of| as_of.epoch.to_string() == presence.epoch && as_of.seq >= presence.seq)
    };
    drop(tokio::time::timeout(CATCH_UP_MAX, seen.wait_for(as_far)).await);
    Arc::clone(&*floor.seen.borrow())
}

fn result(floor: &Floor, presence: &Presence, seen: &Seen) -> Compared {
    let rows_equal = presence.agents.len() == seen.table.agents().len()
        && presence.agents.iter().zip(seen.table.agents().values()).all(|(read, held)| {
            // Today's figures are as of whenever the row was made; seq and hash leave them out too.
            (&read.agent_id, read.seq, &read.directory, &read.live)
                == (&held.agent_id, held.seq, &held.directory, &held.live)
        })
        && presence.queues.iter().eq(seen.table.queues().values().map(|row| &**row))
        && presence.buckets == *seen.table.counts();
    let agents = presence.agents.iter().map(|row| row_hash(row.agent_id.as_str(), row.seq));
    let queues = presence.queues.iter().map(|row| row_hash(row.queue_id.as_str(), row.seq));
    let hash = agents.chain(queues).fold(0_u32, u32::wrapping_add);
    Compared {
        account: floor.plan.id.to_string(),
        agents: presence.agents.len(),
        seq: presence.seq,
        rows_equal,
        hash_equal: hash == seen.table.hash(),
        hashes_equal: seen.counters.hashes_equal,
        hash_mismatches: seen.counters.hash_mismatches,
        resyncs: seen.counters.resyncs,
    }
}
