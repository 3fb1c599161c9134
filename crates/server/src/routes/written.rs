//! What a live write is answered with, and a refused one: the agent as it is now, and who holds what was asked for.

use ringfence::core::row::AgentRow;
use ringfence::{Account, AgentId, CallId, Error, OfferId, Refusal};
use serde::Serialize;
use serde_json::{Value, json};

use crate::call::Call;
use crate::problem::Problem;

/// The part every live write's answer has.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Written {
    Done {
        /// Of `seq` or later. None: the agent is gone, or could not be read; what was written stands.
        agent: Option<AgentRow>,
        seq: u64,
        changed: bool,
    },
    /// Nothing was: a read.
    Read { seq: u64 },
}

impl Written {
    pub async fn new(call: &Call, account: &Account, agent: &AgentId, seq: u64, changed: bool) -> Self {
        let row = row(call, account, agent).await;
        Self::Done { agent: row, seq, changed }
    }
}

/// A read after the write: that it fails must not look as if the write had.
pub(super) async fn row(call: &Call, account: &Account, agent: &AgentId) -> Option<AgentRow> {
    let row = account.row(agent).await.ok().flatten()?;
    Some(call.shown(&row))
}

/// Who a conflict is with, beyond what the refusal says itself.
enum Holder {
    /// Whoever the offer was granted for.
    Offer(OfferId),
    /// What the agent is doing.
    Agent(AgentId),
    /// Who is in the call.
    Call(CallId),
    Nobody,
}

/// A refused command as a problem that says who holds what.
pub(super) async fn refused(call: &Call, account: &Account, error: Error) -> Problem {
    let holder = match &error {
        Error::Refused(refusal) => holder(refusal),
        Error::Busy { .. }
        | Error::Unavailable
        | Error::Quarantined { .. }
        | Error::Moved
        | Error::DiskFull { .. }
        | Error::Closed => Holder::Nobody,
    };
    let mut problem = Problem::from(error);
    let held = match holder {
        Holder::Offer(offer) => account.read_offer(offer).await.ok().map(|answer| {
            let offer = answer.grant.offer;
            json!({ "agent_id": offer.agent_id, "call_id": offer.call_id, "queue_id": offer.queue_id })
        }),
        Holder::Agent(agent) => row(call, account, &agent).await.and_then(|row| {
            let live = row.live?;
            Some(json!({ "offers": live.offers, "calls": live.calls, "external": live.external }))
        }),
        Holder::Call(id) => account.roster().await.ok().map(|roster| {
            let talks = |row: &&std::sync::Arc<AgentRow>| {
                row.live.as_ref().is_some_and(|live| live.calls.iter().any(|call| call.call_id == id))
            };
            let agents: Vec<&AgentId> = roster.agents.iter().filter(talks).map(|row| &row.agent_id).collect();
            json!({ "agent_ids": agents })
        }),
        Holder::Nobody => None,
    };
    if let Some(Value::Object(held)) = held {
        problem.members.extend(held);
    }
    problem
}

fn holder(refusal: &Refusal) -> Holder {
    match refusal {
        Refusal::OfferIdReused { offer }
        | Refusal::StaleFence { offer }
        | Refusal::LeaseExpired { offer }
        | Refusal::OfferEnded { offer, .. } => Holder::Offer(offer.clone()),
        Refusal::NotOfferable { agent, .. } | Refusal::AgentInCall { agent } => Holder::Agent(agent.clone()),
        Refusal::CallFull { call, .. } => Holder::Call(call.clone()),
        Refusal::UnknownAgent { .. }
        | Refusal::UnknownQueue { .. }
        | Refusal::UnknownReason { .. }
        | Refusal::UnknownOffer { .. }
        | Refusal::NoAgent { .. }
        | Refusal::CallAlreadyOffered { .. }
        | Refusal::CallEnded { .. }
        | Refusal::NotLoggedIn { .. }
        | Refusal::MembershipDenied { .. }
        | Refusal::DuplicateQueue { .. }
        | Refusal::AddressTaken { .. }
        | Refusal::SeqMismatch { .. }
        | Refusal::Invalid { .. }
        | Refusal::SupervisorsOnly { .. }
        | Refusal::QueueFull { .. }
        | Refusal::NoAgents { .. }
        | Refusal::NotQueued { .. }
        | Refusal::AlreadyQueued { .. }
        | Refusal::Limit { .. } => Holder::Nobody,
    }
}
