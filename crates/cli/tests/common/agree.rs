//! That the stream and the API tell the same, row by row.

use ringfence_client::{Api, Presence};

use super::{DEADLINE, Watcher, eventually};

/// Waits until a heartbeat has proved the rows at the seq the API is at, and compares everything.
pub async fn agree(watcher: &Watcher, api: &Api) -> Presence {
    let presence = eventually(DEADLINE, "the stream and the API are at the same seq", async || {
        let presence = api.presence().await.map_err(|error| error.to_string())?;
        let (held, proof) = {
            let history = watcher.history();
            (history.board.as_of().map(|as_of| as_of.seq), history.proof)
        };
        match (held, proof) {
            (Some(seq), Some((proven, _))) if seq == presence.seq && proven == seq => Ok(presence),
            (held, proof) => Err(format!("{held:?} with {proof:?}, not {}", presence.seq)),
        }
    })
    .await;
    let history = watcher.history();
    let table = history.board.table();
    assert_eq!(history.proof.map(|(_, hash)| hash), Some(table.hash()), "the heartbeat's hash");
    assert_eq!((*table.counts(), table.counts().tiles()), (presence.buckets, presence.tiles));
    assert_eq!(table.agents().len(), presence.agents.len(), "agents");
    for row in &presence.agents {
        let held = table.agents().get(&row.agent_id).map(|held| &**held);
        assert_eq!(held, Some(row), "{}: left the stream's, right the API's", row.agent_id);
    }
    presence
}
