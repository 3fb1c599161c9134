//! `POST /v1/queues/{id}/reserve` and `POST /v1/agents/{id}/reserve`.

use axum::http::StatusCode;
use ringfence::core::agent::Role;
use ringfence::core::input::Ask;
use ringfence::{AgentId, CallId, OfferAnswer, OfferId, QueueId, RouterId};
use serde::Deserialize;
use serde_json::Map;

use super::offers::GrantDocument;
use crate::call::{Answer, Call, json};
use crate::problem::{Problem, outcome_members};

/// Agents one reserve may leave out: those tried before.
const EXCLUDE_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueBody {
    call_id: CallId,
    #[serde(default)]
    offer_id: Option<OfferId>,
    #[serde(default)]
    lease_ms: Option<u64>,
    #[serde(default)]
    router_id: Option<RouterId>,
    #[serde(default)]
    exclude: Vec<AgentId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentBody {
    call_id: CallId,
    #[serde(default)]
    queue_id: Option<QueueId>,
    #[serde(default)]
    offer_id: Option<OfferId>,
    #[serde(default)]
    lease_ms: Option<u64>,
    #[serde(default)]
    router_id: Option<RouterId>,
}

pub(super) async fn of_queue(call: Call) -> Answer {
    let queue: QueueId = call.id("queue_id")?;
    let body: QueueBody = call.json()?;
    if body.exclude.len() > EXCLUDE_MAX {
        return Err(Problem::invalid("exclude", format!("at most {EXCLUDE_MAX} agents")));
    }
    let ask =
        Ask { call: body.call_id, offer: body.offer_id, lease_ms: body.lease_ms, router: body.router_id };
    granted(&call.account()?.reserve_queue(call.by(Role::Router), queue, ask, body.exclude).await?)
}

pub(super) async fn of_agent(call: Call) -> Answer {
    let agent: AgentId = call.id("agent_id")?;
    let body: AgentBody = call.json()?;
    let ask =
        Ask { call: body.call_id, offer: body.offer_id, lease_ms: body.lease_ms, router: body.router_id };
    granted(&call.account()?.reserve_agent(call.by(Role::Router), agent, body.queue_id, ask).await?)
}

/// 201 and the grant; of a retry, 200 and what has become of it.
fn granted(answer: &OfferAnswer) -> Answer {
    let offer = &answer.grant.offer;
    if answer.changed {
        return json(StatusCode::CREATED, &GrantDocument::new(offer, Map::new()));
    }
    json(StatusCode::OK, &GrantDocument::new(offer, outcome_members(answer.grant.outcome.as_ref())))
}
