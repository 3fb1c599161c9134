//! `ringfence stream`: a view as JSON lines.

use ringfence_client::{Board, Changed, Stream, StreamOptions, Update};
use ringfence_wire::ViewSpec;
use ringfence_wire::client::RateClass;
use serde_json::{Value, json};

use crate::args::StreamArgs;
use crate::failure::Failure;
use crate::output;
use crate::signals::Signals;

pub async fn run(args: StreamArgs) -> Result<(), Failure> {
    let view: ViewSpec = args.view.parse().map_err(|error| Failure::Usage(format!("--view: {error}")))?;
    let class =
        RateClass::try_from(args.class).map_err(|error| Failure::Usage(format!("--class: {error}")))?;
    let mut stream = Stream::new(args.remote.api()?, StreamOptions { class, ..StreamOptions::new(view) });
    let mut signals = Signals::listen()?;
    loop {
        let update = tokio::select! {
            update = stream.next() => update,
            () = signals.stop() => return Ok(()),
        };
        let Some(update) = update else { return Ok(()) };
        if let Some(shown) = shown(&update, stream.board()) {
            output::json(&shown)?;
        }
        match update {
            Update::Changed(changed) if changed.whole && args.once => return Ok(()),
            Update::Offline { why, retry_in: None } => return Err(Failure::Failed(why)),
            Update::Changed(_)
            | Update::Connected
            | Update::Beat
            | Update::Stale
            | Update::Offline { .. } => {}
        }
    }
}

fn shown(update: &Update, board: &Board) -> Option<Value> {
    Some(match update {
        Update::Beat => return None,
        Update::Connected => json!({"type": "connected"}),
        Update::Stale => json!({"type": "stale"}),
        Update::Offline { why, retry_in } => {
            json!({"type": "offline", "why": why, "retry_ms": retry_in.map(|wait| wait.as_millis() as u64)})
        }
        Update::Changed(changed) if changed.whole => whole(board),
        Update::Changed(changed) => delta(changed, board),
    })
}

fn whole(board: &Board) -> Value {
    let (table, as_of) = (board.table(), board.as_of());
    json!({
        "type": "snapshot",
        "epoch": as_of.map(|as_of| as_of.epoch.to_string()),
        "seq": as_of.map(|as_of| as_of.seq),
        "agents": table.agents().values().collect::<Vec<_>>(),
        "queues": table.queues().values().collect::<Vec<_>>(),
        "tiles": table.counts().tiles(),
        "buckets": table.counts(),
    })
}

/// The rows that changed, whole.
fn delta(changed: &Changed, board: &Board) -> Value {
    let table = board.table();
    json!({
        "type": "delta",
        "seq": board.as_of().map(|as_of| as_of.seq),
        "at": changed.at,
        "agents": changed.agents.iter().filter_map(|id| table.agents().get(id)).collect::<Vec<_>>(),
        "queues": changed.queues.iter().filter_map(|id| table.queues().get(id)).collect::<Vec<_>>(),
        "removed": changed.removed_agents,
        "removed_queues": changed.removed_queues,
        "tiles": table.counts().tiles(),
        "buckets": table.counts(),
    })
}
