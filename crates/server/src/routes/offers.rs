//! `/v1/offers/{id}` and the steps on an offer, each under its fence token.

use ringfence::core::agent::{Address, Role};
use ringfence::core::input::Verb;
use ringfence::core::offer::{Fence, Offer};
use ringfence::{AgentId, CallId, OfferAnswer, OfferId, QueueId, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    more: Map<String, Value>,
}

impl<'a> GrantDocument<'a> {
    pub fn new(offer: &'a Offer, more: Map<String, Value>) -> Self {
        Self {
            offer_id: &offer.offer_id,
            fence: offer.fence,
            call_id: &offer.call_id,
            queue_id: offer.queue_id.as_ref(),
            agent_id: &offer.agent_id,
            addresses: &offer.addresses,
            granted_at: offer.granted_at,
            expires_at: offer.expires_at,
            more,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    fence: Fence,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithLeg {
    fence: Fence,
    #[serde(default)]
    leg_call_id: Option<CallId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithCode {
    fence: Fence,
    /// SIP status of the leg; 0 when there is none.
    #[serde(default)]
    code: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WithLease {
    fence: Fence,
    lease_ms: u64,
}

pub(super) async fn get(call: Call) -> Answer {
    call.query.only(&[])?;
    let offer: OfferId = call.id("offer_id")?;
    let answer = call.account()?.read_offer(offer).await?;
    document(&answer)
}

pub(super) async fn ringing(call: Call) -> Answer {
    let body: WithLeg = call.json()?;
    step(call, body.fence, Verb::Ringing { leg: body.leg_call_id }).await
}

pub(super) async fn answer(call: Call) -> Answer {
    let body: WithLeg = call.json()?;
    step(call, body.fence, Verb::Answer { leg: body.leg_call_id }).await
}

pub(super) async fn reject(call: Call) -> Answer {
    let body: Plain = call.json()?;
    step(call, body.fence, Verb::Reject).await
}

pub(super) async fn busy(call: Call) -> Answer {
    let body: Plain = call.json()?;
    step(call, body.fence, Verb::Busy).await
}

pub(super) async fn no_answer(call: Call) -> Answer {
    let body: Plain = call.json()?;
    step(call, body.fence, Verb::NoAnswer).await
}

pub(super) async fn cancel(call: Call) -> Answer {
    let body: Plain = call.json()?;
    step(call, body.fence, Verb::Cancel).await
}

pub(super) async fn failed(call: Call) -> Answer {
    let body: WithCode = call.json()?;
    step(call, body.fence, Verb::Failed { code: body.code }).await
}

pub(super) async fn extend(call: Call) -> Answer {
    let body: WithLease = call.json()?;
    step(call, body.fence, Verb::Extend { lease_ms: body.lease_ms }).await
}

async fn step(call: Call, fence: Fence, verb: Verb) -> Answer {
    let offer: OfferId = call.id("offer_id")?;
    let answer = call.account()?.offer(call.by(Role::Router), offer, fence, verb).await?;
    document(&answer)
}

fn document(answer: &OfferAnswer) -> Answer {
    let mut more = outcome_members(answer.grant.outcome.as_ref());
    more.insert("seq".into(), answer.seq.into());
    more.insert("changed".into(), answer.changed.into());
    ok(&GrantDocument::new(&answer.grant.offer, more))
}
