//! `POST /v1/queues/{id}/reserve` and `POST /v1/agents/{id}/reserve`.

use axum::http::StatusCode;
use ringfence::core::agent::Role;
use ringfence::core::input::Ask;
use ringfence::{Account, AgentId, CallId, Error, OfferAnswer, OfferId, QueueId, RouterId};
use serde::Deserialize;
use serde_json::Map;

use super::offers::GrantDocument;
use super::written::{Written, refused};
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
    /// Tried first, in this order, by the same fence.
    #[serde(default)]
    prefer: Vec<AgentId>,
    /// Of the queue's row.
    #[serde(default)]
    expected_seq: Option<u64>,
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
    /// Of the agent's row.
    #[serde(default)]
    expected_seq: Option<u64>,
}

pub(super) async fn of_queue(call: Call) -> Answer {
    let queue: QueueId = call.id("queue_id")?;
    let body: QueueBody = call.json()?;
    if body.exclude.len() > EXCLUDE_MAX {
        return Err(Problem::invalid("exclude", format!("at most {EXCLUDE_MAX} agents")));
    }
    let ask =
        Ask { call: body.call_id, offer: body.offer_id, lease_ms: body.lease_ms, router: body.router_id };
    let account = call.account()?.expecting(body.expected_seq);
    let by = call.by(Role::Router);
    let answer = account.reserve_queue_preferring(by, queue, ask, body.exclude, body.prefer).await;
    granted(&call, &account, answer).await
}

pub(super) async fn of_agent(call: Call) -> Answer {
    let agent: AgentId = call.id("agent_id")?;
    let body: AgentBody = call.json()?;
    let ask =
        Ask { call: body.call_id, offer: body.offer_id, lease_ms: body.lease_ms, router: body.router_id };
    let account = call.account()?.expecting(body.expected_seq);
    granted(&call, &account, account.reserve_agent(call.by(Role::Router), agent, body.queue_id, ask).await)
        .await
}

/// 201 and the grant; of a retry, 200 and what has become of it.
pub(super) async fn granted(call: &Call, account: &Account, answer: Result<OfferAnswer, Error>) -> Answer {
    let OfferAnswer { grant, seq, changed } = match answer {
        Ok(answer) => answer,
        Err(error) => return Err(refused(call, account, error).await),
    };
    let (status, outcome) = if changed {
        (StatusCode::CREATED, Map::new())
    } else {
        (StatusCode::OK, outcome_members(grant.outcome.as_ref()))
    };
    let written = Written::new(call, account, &grant.offer.agent_id, seq, changed).await;
    json(status, &GrantDocument::written(&grant.offer, outcome, written))
}
