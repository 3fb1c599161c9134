//! Refusals: why an input changed nothing. They are data; whoever shows them maps every one of them.

use crate::fence::{Check, Clause};
use crate::id::{AgentId, CallId, OfferId, QueueId, ReasonId};
use crate::offer::Outcome;
use crate::time::Time;

/// Why an input was refused. A refused input changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no agent {agent:?} in this account")]
    UnknownAgent { agent: AgentId },
    #[error("there is no queue {queue:?} in this account")]
    UnknownQueue { queue: QueueId },
    #[error("there is no pause reason {reason:?} in this account")]
    UnknownReason { reason: ReasonId },
    #[error(
        "there is no offer {offer:?}: it was never granted here, or ended so long ago that it is forgotten"
    )]
    UnknownOffer { offer: OfferId },
    #[error("agent {agent:?} cannot be offered a call now; the checks that are not ok say why")]
    NotOfferable { agent: AgentId, checks: Vec<Check> },
    #[error("no agent of queue {queue:?} can be offered a call now")]
    NoAgent {
        queue: QueueId,
        members: u32,
        /// Members per failing clause; one member may count under several.
        failing: Vec<(Clause, u32)>,
        /// Earliest time at which somebody could become offerable by themselves.
        earliest: Option<Time>,
    },
    #[error("call {call:?} already has the live offer {offer:?} with agent {agent:?}; end that one first")]
    CallAlreadyOffered { call: CallId, offer: OfferId, agent: AgentId },
    #[error("call {call:?} has ended")]
    CallEnded { call: CallId },
    #[error("call {call:?} already has {limit} agents in it")]
    CallFull { call: CallId, limit: usize },
    #[error(
        "offer id {offer:?} was used for another request (other call, target, queue or lease); mint a new one"
    )]
    OfferIdReused { offer: OfferId },
    #[error("the fence token is not the one offer {offer:?} was granted with")]
    StaleFence { offer: OfferId },
    #[error("the lease of offer {offer:?} ran out; drop the leg and reserve again")]
    LeaseExpired { offer: OfferId },
    #[error("offer {offer:?} has ended: {}", .outcome.as_str())]
    OfferEnded { offer: OfferId, outcome: Outcome },
    #[error("agent {agent:?} is offline; log in first")]
    NotLoggedIn { agent: AgentId },
    #[error("agent {agent:?} is in a call; end it first")]
    AgentInCall { agent: AgentId },
    #[error(
        "agent {agent:?} cannot change this membership of queue {queue:?}: a {mode} queue is changed by {by}"
    )]
    MembershipDenied { agent: AgentId, queue: QueueId, mode: &'static str, by: &'static str },
    #[error("{action} from outside is for supervisors and administrators; an agent sends events of its own")]
    SupervisorsOnly { action: &'static str },
    #[error("queue {queue:?} is named twice; name each queue once")]
    DuplicateQueue { queue: QueueId },
    #[error("the address {address:?} belongs to agent {agent:?}; an address is unique within an account")]
    AddressTaken { address: String, agent: AgentId },
    #[error("the row changed since seq {expected}; it is at {found}")]
    SeqMismatch { expected: u64, found: u64 },
    #[error("queue {queue:?} is full: {waiting} callers wait, {limit} may")]
    QueueFull { queue: QueueId, waiting: usize, limit: usize },
    #[error("nobody of queue {queue:?} is logged in; {members} members are not")]
    NoAgents { queue: QueueId, members: u32 },
    #[error("call {call:?} waits in no line, and has no place to go back to")]
    NotQueued { call: CallId },
    #[error("call {call:?} waits in queue {queue:?} already; take it out of there first")]
    AlreadyQueued { call: CallId, queue: QueueId },
    #[error("{field}: {problem}")]
    Invalid { field: &'static str, problem: String },
    #[error("{what}: the limit of {limit} is reached")]
    Limit { what: &'static str, limit: usize },
}

/// What sort of answer a refusal is; the transports map this, once each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    NotFound,
    Conflict,
    Invalid,
    Forbidden,
    Precondition,
}

impl Refusal {
    /// The stable code, the same in every transport.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownAgent { .. } => "unknown_agent",
            Self::UnknownQueue { .. } => "unknown_queue",
            Self::UnknownReason { .. } => "unknown_reason",
            Self::UnknownOffer { .. } => "unknown_offer",
            Self::NotOfferable { .. } => "not_offerable",
            Self::NoAgent { .. } => "no_agent",
            Self::CallAlreadyOffered { .. } => "call_already_offered",
            Self::CallEnded { .. } => "call_ended",
            Self::CallFull { .. } => "call_full",
            Self::OfferIdReused { .. } => "offer_id_reused",
            Self::StaleFence { .. } => "stale_fence",
            Self::LeaseExpired { .. } => "lease_expired",
            Self::OfferEnded { .. } => "offer_ended",
            Self::NotLoggedIn { .. } => "not_logged_in",
            Self::AgentInCall { .. } => "agent_in_call",
            Self::MembershipDenied { .. } => "membership_denied",
            Self::SupervisorsOnly { .. } => "supervisors_only",
            Self::DuplicateQueue { .. } => "duplicate_queue",
            Self::AddressTaken { .. } => "address_taken",
            Self::SeqMismatch { .. } => "seq_mismatch",
            Self::QueueFull { .. } => "queue_full",
            Self::NoAgents { .. } => "no_agents",
            Self::NotQueued { .. } => "not_queued",
            Self::AlreadyQueued { .. } => "already_queued",
            Self::Invalid { .. } => "invalid",
            Self::Limit { .. } => "limit_reached",
        }
    }

    pub const fn kind(&self) -> RefusalKind {
        match self {
            Self::UnknownAgent { .. }
            | Self::UnknownQueue { .. }
            | Self::UnknownOffer { .. }
            | Self::NotQueued { .. } => RefusalKind::NotFound,
            Self::NotOfferable { .. }
            | Self::NoAgent { .. }
            | Self::CallAlreadyOffered { .. }
            | Self::CallEnded { .. }
            | Self::CallFull { .. }
            | Self::OfferIdReused { .. }
            | Self::StaleFence { .. }
            | Self::LeaseExpired { .. }
            | Self::OfferEnded { .. }
            | Self::NotLoggedIn { .. }
            | Self::AgentInCall { .. }
            | Self::AddressTaken { .. }
            | Self::QueueFull { .. }
            | Self::NoAgents { .. }
            | Self::AlreadyQueued { .. }
            | Self::Limit { .. } => RefusalKind::Conflict,
            Self::UnknownReason { .. } | Self::DuplicateQueue { .. } | Self::Invalid { .. } => {
                RefusalKind::Invalid
            }
            Self::MembershipDenied { .. } | Self::SupervisorsOnly { .. } => RefusalKind::Forbidden,
            Self::SeqMismatch { .. } => RefusalKind::Precondition,
        }
    }
}
