//! What can be said to an account, and what it answers. A closed list: everything that can change an account is here.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::agent::AgentEntry;
use crate::feed::FeedItem;
use crate::fence::{Check, PausedInbound};
use crate::id::{AgentId, CallId, OfferId, QueueId, ReasonId, RouterId};
use crate::offer::{Fence, Offer};
use crate::queue::QueueSettings;
use crate::row::AgentRow;

/// Settings of an account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountSettings {
    pub paused_inbound: PausedInbound,
    /// How long a lost phone keeps being shown, and keeps a live offer (0..=30 s). The fence sees the loss at once.
    pub unreachable_grace_ms: u64,
}

/// A pause reason (model.md §5).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PauseReason {
    pub id: ReasonId,
    pub name: String,
    pub allow_inbound: bool,
    pub allow_outbound: bool,
    pub max_sec: Option<u32>,
    pub productive: bool,
    pub supervisor_only: bool,
}

/// One input of an account.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Deadlines may be due.
    Tick,
    /// Once per unclean process start: live offers get their full length again.
    Rearm,
    SetSettings(AccountSettings),
    PutAgent {
        agent: AgentId,
        entry: Box<AgentEntry>,
    },
    RemoveAgent {
        agent: AgentId,
    },
    PutQueue {
        queue: QueueId,
        settings: Box<QueueSettings>,
    },
    RemoveQueue {
        queue: QueueId,
    },
    PutReason(PauseReason),
    RemoveReason {
        reason: ReasonId,
    },
    Event(EventInput),
    ReserveAgent {
        agent: AgentId,
        queue: Option<QueueId>,
        ask: Ask,
    },
    ReserveQueue {
        queue: QueueId,
        ask: Ask,
        exclude: Vec<AgentId>,
        /// Tried before the strategy chooses, in this order; at most [`PREFER_MAX`].
        prefer: Vec<AgentId>,
    },
    Offer {
        offer: OfferId,
        fence: Fence,
        verb: Verb,
    },
    EndCall {
        call: CallId,
        agent: Option<AgentId>,
        fence: Option<Fence>,
    },
    /// At most [`FEED_ITEMS_MAX`] items; `create` makes agents of AoRs nobody has (development servers).
    Feed {
        items: Vec<FeedItem>,
        create: bool,
    },
    Explain {
        agent: AgentId,
        queue: Option<QueueId>,
    },
    ReadAgent {
        agent: AgentId,
    },
    ReadOffer {
        offer: OfferId,
    },
}

/// A record touches at most this many agents; larger inputs are split before the mailbox.
pub const AGENTS_PER_RECORD: usize = 64;
/// Items of one feed input.
pub const FEED_ITEMS_MAX: usize = AGENTS_PER_RECORD;

/// Agents one reserve may prefer.
pub const PREFER_MAX: usize = 64;

/// A presence event (model.md §8), atomic with its queue choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventInput {
    pub agent: AgentId,
    pub event: AgentEvent,
    /// None: unchanged. A list replaces the agent's own memberships.
    pub queues: Option<Vec<QueueChoice>>,
    /// Create the agent if it is not there (development servers).
    pub create: bool,
    /// Refuse when the agent's row has another seq.
    pub expected_seq: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentEvent {
    Login,
    Logout,
    Available,
    Pause {
        reason: Option<ReasonId>,
    },
    Unpause,
    EndWrapUp,
    /// Adds this many seconds to the running wrap-up, within its bound.
    ExtendWrapUp {
        sec: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueChoice {
    pub queue: QueueId,
    pub tier: Option<u8>,
    pub position: Option<u32>,
}

/// The body of a reserve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub call: CallId,
    /// Minted by the router, which makes a retry safe; else by the account.
    pub offer: Option<OfferId>,
    pub lease_ms: Option<u64>,
    pub router: Option<RouterId>,
}

/// A later step on an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    Ringing { leg: Option<CallId> },
    Answer { leg: Option<CallId> },
    Reject,
    Busy,
    NoAnswer,
    Failed { code: u16 },
    Cancel,
    Extend { lease_ms: u64 },
}

/// What an input is answered with when it is not refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Done { changed: bool },
    Agent { row: Box<AgentRow>, changed: bool },
    Granted { grant: Grant, changed: bool },
    Explained(Explained),
    Fed(Fed),
}

/// A grant as it stands now: a retry is told the present outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub offer: Arc<Offer>,
    /// None while live.
    pub outcome: Option<crate::offer::Outcome>,
    /// The other grants of a `ring_all` group, as far as they are remembered, by token; empty for an offer rung alone.
    pub group: Vec<Grant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    pub offerable: bool,
    pub checks: Vec<Check>,
    pub may_receive_direct: bool,
    pub may_place: bool,
}

/// What became of a feed input's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fed {
    pub applied: u32,
    /// Items that said nothing newer than what is known.
    pub stale: u32,
    /// Items about AoRs or agents nobody has, beyond what is kept.
    pub unknown: u32,
}
