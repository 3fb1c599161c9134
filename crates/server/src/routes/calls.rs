//! `POST /v1/calls/{id}/end`.

use ringfence::core::agent::Role;
use ringfence::core::offer::Fence;
use ringfence::core::row::AgentRow;
use ringfence::{AgentId, CallId, Done, EndAnswer};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::written::{refused, row};
use crate::call::{Answer, Call, ok};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    agent_id: Option<AgentId>,
    #[serde(default)]
    fence: Option<Fence>,
    /// Of the named agent's row.
    #[serde(default)]
    expected_seq: Option<u64>,
}

#[derive(Serialize)]
struct Document {
    agent: Option<AgentRow>,
    /// All of them, where it ended for several; `agent` is the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    agents: Option<Vec<AgentRow>>,
    seq: u64,
    changed: bool,
}

pub(super) async fn end(call: Call) -> Answer {
    let id: CallId = call.id("call_id")?;
    let body: Body = call.json_or_empty()?;
    let account = call.account()?.expecting(body.expected_seq);
    let ended = account.end_call(call.by(Role::Router), id, body.agent_id, body.fence).await;
    let EndAnswer { agents: ids, seq, changed } = match ended {
        Ok(ended) => ended,
        Err(error) => return Err(refused(&call, &account, error).await),
    };
    let mut agents = Vec::with_capacity(ids.len());
    for id in &ids {
        agents.extend(row(&call, &account, id).await);
    }
    let agent = agents.first().cloned();
    ok(&Document { agent, agents: (ids.len() > 1).then_some(agents), seq, changed })
}

/// The answer to a write that is about no one agent.
pub(super) fn done(done: Done) -> Answer {
    ok(&json!({ "seq": done.seq, "changed": done.changed }))
}
