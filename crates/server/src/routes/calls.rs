//! `POST /v1/calls/{id}/end`.

use ringfence::core::agent::Role;
use ringfence::core::offer::Fence;
use ringfence::{AgentId, CallId, Done};
use serde::Deserialize;
use serde_json::json;

use crate::call::{Answer, Call, ok};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    agent_id: Option<AgentId>,
    #[serde(default)]
    fence: Option<Fence>,
}

pub(super) async fn end(call: Call) -> Answer {
    let id: CallId = call.id("call_id")?;
    let body: Body = call.json_or_empty()?;
    done(call.account()?.end_call(call.by(Role::Router), id, body.agent_id, body.fence).await?)
}

/// The answer to a write that is about no one agent.
pub(super) fn done(done: Done) -> Answer {
    ok(&json!({ "seq": done.seq, "changed": done.changed }))
}
