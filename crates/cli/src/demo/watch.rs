//! The account as its stream shows it, for whoever on the floor wants to look up.

use std::sync::Arc;

use ringfence_client::{Api, BoardCounters, Stream, StreamOptions, Table, Update};
use ringfence_core::QueueId;
use ringfence_core::row::View;
use ringfence_wire::client::RateClass;
use ringfence_wire::frame::Resume;
use ringfence_wire::{Profile, ViewSpec};
use tokio::sync::watch;

/// Often, so that a short demo has its hashes compared many times.
const HEARTBEAT_MS: u32 = 1_000;

/// The view at one moment.
#[derive(Debug, Default)]
pub struct Seen {
    pub table: Table,
    pub as_of: Option<Resume>,
    pub settled: bool,
    pub counters: BoardCounters,
}

impl Seen {
    /// Agents who could be offered a call of the queue now.
    pub fn ready(&self, queue: &QueueId) -> u32 {
        self.table.queues().get(queue).map_or(0, |row| row.ready)
    }
}

/// Keeps `seen` current for as long as it is polled.
pub async fn run(api: Api, seen: watch::Sender<Arc<Seen>>) {
    let view = ViewSpec { view: View::Account, profile: Profile::Full };
    let options = StreamOptions {
        class: RateClass::Ms100,
        heartbeat_ms: Some(HEARTBEAT_MS),
        ..StreamOptions::new(view)
    };
    let mut stream = Stream::new(api, options);
    while let Some(update) = stream.next().await {
        match update {
            Update::Changed(_) | Update::Connected | Update::Beat => {
                let board = stream.board();
                seen.send_replace(Arc::new(Seen {
                    table: board.table().clone(),
                    as_of: board.as_of(),
                    settled: board.is_settled(),
                    counters: board.counters(),
                }));
            }
            Update::Stale => tracing::warn!("the stream is silent"),
            Update::Offline { why, retry_in } => tracing::warn!(why, ?retry_in, "the stream is offline"),
        }
    }
}
