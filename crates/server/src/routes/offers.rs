//! `/v1/offers/{id}` and the steps on an offer, each under its fence token.

use ringfence::core::agent::{Address, Role};
use ringfence::core::input::Verb;
use ringfence::core::offer::{Fence, Offer};
use ringfence::{AgentId, CallId, OfferAnswer, OfferId, QueueId, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::written::{Written, refused};
use crate::call::{Answer, Call, ok};
use crate::problem::outcome_members;

/// A grant, and what else there is to say of it.
#[derive(Serialize)]
pub(super) struct GrantDocument<'a> {
    offer_id: &'a OfferId,
    fence: Fence,
    call_id: &'a CallId,
    queue_id: Option<&'a QueueId>,
    agent_id: &'a AgentId,
    addresses: &'a [Address],
    granted_at: Time,
    expires_at: Time,
    #[serde(flatten)]
    outcome: Map<String, Value>,
    #[serde(flatten)]
    written: Written,
}

impl<'a> GrantDocument<'a> {
    /// A grant, how it ended if that is to be said, and what was written with it.
    pub fn written(offer: &'a Offer, outcome: Map<String, Value>, written: Written) -> Self {
        Self {
            offer_id: &offer.offer_id,
            fence: offer.fence,
            call_id: &offer.call_id,
            queue_id: offer.queue_id.as_ref(),
            agent_id: &offer.agent_id,
            addresses: &offer.addresses,
            granted_at: offer.granted_at,
            expires_at: offer.expires_at,
            outcome,
            written,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    fence: Fence,
    #[serde(default)]
    expected_seq: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithLeg {
    fence: Fence,
    #[serde(default)]
    leg_call_id: Option<CallId>,
    #[serde(default)]
    expected_seq: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithCode {
    fence: Fence,
    /// SIP status of the leg; 0 when there is none.
    #[serde(default)]
    code: u16,
    #[serde(default)]
    expected_seq: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithLease {
    fence: Fence,
    lease_ms: u64,
    #[serde(default)]
    expected_seq: Option<u64>,
}

pub(super) async fn get(call: Call) -> Answer {
    let offer: OfferId = call.id("offer_id")?;
    let OfferAnswer { grant, seq, .. } = call.account_to_read().await?.read_offer(offer).await?;
    ok(&GrantDocument::written(&grant.offer, outcome_members(grant.outcome.as_ref()), Written::Read { seq }))
}

pub(super) async fn ringing(call: Call) -> Answer {
    let body: WithLeg = call.json()?;
    step(&call, body.fence, body.expected_seq, Verb::Ringing { leg: body.leg_call_id }).await
}

pub(super) async fn answer(call: Call) -> Answer {
    let body: WithLeg = call.json()?;
    step(&call, body.fence, body.expected_seq, Verb::Answer { leg: body.leg_call_id }).await
}

pub(super) async fn reject(call: Call) -> Answer {
    let body: Plain = call.json()?;
    step(&call, body.fence, body.expected_seq, Verb::Reject).await
}

pub(super) async fn busy(call: Call) -> Answer {
    let body: Plain = call.json()?;
    step(&call, body.fence, body.expected_seq, Verb::Busy).await
}

pub(super) async fn no_answer(call: Call) -> Answer {
    let body: Plain = call.json()?;
    step(&call, body.fence, body.expected_seq, Verb::NoAnswer).await
}

pub(super) async fn cancel(call: Call) -> Answer {
    let body: Plain = call.json()?;
    step(&call, body.fence, body.expected_seq, Verb::Cancel).await
}

pub(super) async fn failed(call: Call) -> Answer {
    let body: WithCode = call.json()?;
    step(&call, body.fence, body.expected_seq, Verb::Failed { code: body.code }).await
}

pub(super) async fn extend(call: Call) -> Answer {
    let body: WithLease = call.json()?;
    step(&call, body.fence, body.expected_seq, Verb::Extend { lease_ms: body.lease_ms }).await
}

async fn step(call: &Call, fence: Fence, expected_seq: Option<u64>, verb: Verb) -> Answer {
    let offer: OfferId = call.id("offer_id")?;
    let account = call.account()?.expecting(expected_seq);
    let answer = match account.offer(call.by(Role::Router), offer, fence, verb).await {
        Ok(answer) => answer,
        Err(error) => return Err(refused(call, &account, error).await),
    };
    let OfferAnswer { grant, seq, changed } = answer;
    let written = Written::new(call, &account, &grant.offer.agent_id, seq, changed).await;
    ok(&GrantDocument::written(&grant.offer, outcome_members(grant.outcome.as_ref()), written))
}
