//! What the API is told and what it answers, as far as a typed caller needs it. Fields a newer server adds are skipped.

use ringfence_core::bucket::{BucketCounts, TileCounts};
use ringfence_core::fence::Check;
use ringfence_core::row::{AgentRow, QueueRow};
use ringfence_core::{AgentId, CallId, OfferId, QueueId, ReasonId, RouterId};
use serde::{Deserialize, Serialize};

/// `POST …/reserve`.
#[derive(Debug, Clone, Serialize)]
pub struct Reserve {
    pub call_id: CallId,
    /// Minted by the router, which makes a retry safe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer_id: Option<OfferId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    /// Of an agent: the queue it is offered for; none makes it a direct offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<QueueId>,
    /// Of a queue: agents not to be tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<AgentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_id: Option<RouterId>,
}

impl Reserve {
    pub fn new(call_id: CallId) -> Self {
        Self { call_id, offer_id: None, lease_ms: None, queue_id: None, exclude: Vec::new(), router_id: None }
    }
}

/// A later step on an offer, by the token it was granted with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfferStep {
    Ringing { leg_call_id: Option<CallId> },
    Answer { leg_call_id: Option<CallId> },
    Reject,
    Busy,
    NoAnswer,
    Failed { code: u16 },
    Cancel,
    Extend { lease_ms: u64 },
}

impl OfferStep {
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Self::Ringing { .. } => "ringing",
            Self::Answer { .. } => "answer",
            Self::Reject => "reject",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Failed { .. } => "failed",
            Self::Cancel => "cancel",
            Self::Extend { .. } => "extend",
        }
    }
}

/// `POST /v1/agents/{id}/events`.
#[derive(Debug, Clone, Serialize)]
pub struct AgentEventBody {
    pub event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason_id: Option<ReasonId>,
    /// None: unchanged. A list replaces the agent's own memberships.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<QueueChoiceBody>>,
}

impl AgentEventBody {
    /// `login`, `logout`, `available`, `unpause`, `end_wrap_up`.
    pub fn plain(event: &'static str) -> Self {
        Self { event, reason_id: None, queues: None }
    }

    pub fn pause(reason_id: ReasonId) -> Self {
        Self { event: "pause", reason_id: Some(reason_id), queues: None }
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct QueueChoiceBody {
    pub queue_id: QueueId,
    pub tier: u8,
}

/// What every live write is answered with.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Written {
    pub seq: u64,
    /// False: it was so before.
    pub changed: bool,
    pub agent: Option<AgentRow>,
}

/// `GET /v1/presence`.
#[derive(Debug, Clone, Deserialize)]
pub struct Presence {
    pub epoch: String,
    pub seq: u64,
    pub tiles: TileCounts,
    pub buckets: BucketCounts,
    pub agents: Vec<AgentRow>,
    pub queues: Vec<QueueRow>,
}

/// `GET /v1/agents/{id}/eligibility`.
#[derive(Debug, Clone, Deserialize)]
pub struct Eligibility {
    pub offerable: bool,
    pub checks: Vec<Check>,
    pub may_receive_direct: bool,
    pub may_place: bool,
}

/// What became of posted feed events.
#[derive(Debug, Clone, Deserialize)]
pub struct FeedAnswer {
    pub accepted: u32,
    #[serde(default)]
    pub duplicates: u32,
    #[serde(default)]
    pub refused: Vec<FeedRefusal>,
    #[serde(default)]
    pub snapshot_wanted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FeedRefusal {
    pub index: usize,
    pub code: String,
}

/// `POST /v1/tickets`: a short-lived credential for one websocket, for where a header cannot be set.
#[derive(Debug, Clone, Deserialize)]
pub struct Ticket {
    pub ticket: String,
}
