//! `POST /v1/agents/{id}/events`: what an agent, or somebody for them, says.

use axum::http::StatusCode;
use ringfence::core::agent::Role;
use ringfence::core::input::{AgentEvent, EventInput, QueueChoice, When};
use ringfence::{QueueId, ReasonId};
use serde::Deserialize;
use serde_json::json;

use crate::auth::Scope;
use crate::call::{Answer, Call, ok};
use crate::problem::Problem;
use crate::suggest::nearest;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    event: String,
    #[serde(default)]
    reason_id: Option<ReasonId>,
    #[serde(default)]
    queues: Option<Vec<QueueBody>>,
    /// Of `extend_wrap_up`.
    #[serde(default)]
    sec: Option<u32>,
    #[serde(default)]
    when: Option<String>,
    #[serde(default)]
    expected_seq: Option<u64>,
}

/// One queue of an event; sip.io's spelling is read too.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueueBody {
    #[serde(alias = "queueId")]
    queue_id: QueueId,
    #[serde(default, alias = "level")]
    tier: Option<u8>,
    #[serde(default)]
    position: Option<u32>,
}

/// Whose word it is: queues an administrator assigns and reasons for supervisors are not for everybody who may write
/// presence.
fn authority(call: &Call) -> Role {
    if call.principal.allows(Scope::AgentsManage) {
        Role::Api
    } else if call.principal.allows(Scope::PresenceSupervise) {
        Role::Supervisor
    } else {
        Role::Agent
    }
}

pub(super) async fn post(call: Call) -> Answer {
    let agent = call.id("agent_id")?;
    let body: Body = call.json()?;
    if body.when.as_deref().is_some_and(|when| when != "now") {
        return Err(Problem::invalid("when", "only \"now\" is possible"));
    }
    let event = agent_event(&body.event, body.reason_id, body.sec)?;
    let input = EventInput {
        agent,
        event,
        queues: choices(body.queues),
        create: call.app.config.dev,
        expected_seq: body.expected_seq,
        when: When::Now,
    };
    let answer = call.account()?.event(call.by(authority(&call)), input).await?;
    ok(&json!({ "agent": call.shown(&answer.row), "seq": answer.seq, "changed": answer.changed }))
}

pub(crate) fn choices(queues: Option<Vec<QueueBody>>) -> Option<Vec<QueueChoice>> {
    let choice =
        |body: QueueBody| QueueChoice { queue: body.queue_id, tier: body.tier, position: body.position };
    queues.map(|queues| queues.into_iter().map(choice).collect())
}

const EVENTS: [&str; 7] =
    ["login", "logout", "available", "pause", "unpause", "end_wrap_up", "extend_wrap_up"];

/// The event a word names, with what belongs to it.
pub(crate) fn agent_event(
    word: &str,
    reason: Option<ReasonId>,
    sec: Option<u32>,
) -> Result<AgentEvent, Problem> {
    if reason.is_some() && word != "pause" {
        return Err(Problem::invalid("reason_id", "only a pause has a reason"));
    }
    if sec.is_some() && word != "extend_wrap_up" {
        return Err(Problem::invalid("sec", "only extend_wrap_up has a length"));
    }
    match word {
        "login" => Ok(AgentEvent::Login),
        "logout" => Ok(AgentEvent::Logout),
        "available" => Ok(AgentEvent::Available),
        "pause" => Ok(AgentEvent::Pause { reason }),
        "unpause" => Ok(AgentEvent::Unpause),
        "end_wrap_up" => Ok(AgentEvent::EndWrapUp),
        "extend_wrap_up" => sec.map(|sec| AgentEvent::ExtendWrapUp { sec }).ok_or_else(|| {
            Problem::new(StatusCode::BAD_REQUEST, "missing_field", "by how many seconds?").on("sec")
        }),
        unknown => {
            let detail = format!("there is no such event; there are: {}", EVENTS.join(", "));
            Err(Problem::invalid("event", detail).did_you_mean(nearest(unknown, EVENTS)))
        }
    }
}
