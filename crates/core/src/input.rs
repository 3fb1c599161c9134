//! What can be said to an account, and what it answers. A closed list: everything that can change an account is here.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use crate::action::{Action, ActionInput};
use crate::agent::AgentEntry;
use crate::fact::Change;
use crate::feed::FeedItem;
use crate::fence::{Check, PausedInbound};
use crate::id::{AgentId, CallId, OfferId, QueueId, ReasonId, RouterId};
pub use crate::next::When;
use crate::offer::{Fence, Offer};
use crate::queue::{QueueSettings, RequiredTags};
use crate::row::{AgentRow, QueueRow};
use crate::time::Time;

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
    Enqueue(Enqueue),
    /// Back to the place in line it had.
    Requeue {
        call: CallId,
        /// When given, the place must be in this queue.
        queue: Option<QueueId>,
        router: Option<RouterId>,
    },
    Dequeue {
        call: CallId,
        /// When given, it must wait in this queue.
        queue: Option<QueueId>,
    },
    /// A router is there to be told of offers; soft, known to this incarnation alone.
    RouterUp {
        router: RouterId,
    },
    RouterDown {
        router: RouterId,
    },
    /// At most [`READ_MAX`]; ids nobody has are left out of the answer.
    ReadEntries {
        agents: Vec<AgentId>,
    },
    /// The same of queues.
    ReadQueues {
        queues: Vec<QueueId>,
    },
    /// Settings and pause reasons.
    ReadConfig,
    /// A command that is refused when the row it is about is no longer at this seq: that of the agent it names, of its
    /// offer's agent, or of its queue. What repeats a step that was done is answered as ever.
    Expecting {
        seq: u64,
        input: Box<Input>,
    },
    /// Puts an agent into a queue, or moves it there: for supervisors and administrators, by the mode of both the queue
    /// and the membership there is.
    Assign {
        agent: AgentId,
        choice: QueueChoice,
    },
    Unassign {
        agent: AgentId,
        queue: QueueId,
    },
    /// For supervisors and administrators.
    Act(ActionInput),
    /// An agent dials out and takes itself: the offer is outbound, and direct.
    SelfReserve {
        agent: AgentId,
        ask: Ask,
    },
}

/// A record touches at most this many agents; larger inputs are split before the mailbox.
pub const AGENTS_PER_RECORD: usize = 64;
/// Items of one feed input.
pub const FEED_ITEMS_MAX: usize = AGENTS_PER_RECORD;
/// Entries one input reads: others are not to wait for more.
pub const READ_MAX: usize = 500;

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
    /// An event for later names no queues.
    pub when: When,
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
    /// Takes back the status that is to come after the call.
    CancelPending,
    /// Takes back the logout at a clock time.
    CancelClockLogout,
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

/// A caller who is to wait for an agent of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enqueue {
    pub queue: QueueId,
    pub call: CallId,
    /// Higher goes first; 0 is the usual one.
    pub priority: u16,
    pub caller: Option<String>,
    /// What this call asks of an agent, beside what the queue asks.
    pub required_tags: Option<RequiredTags>,
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
    Done {
        changed: bool,
    },
    Agent {
        row: Box<AgentRow>,
        changed: bool,
    },
    Granted {
        grant: Grant,
        changed: bool,
    },
    /// A call, or one agent's leg of it; `agents` are those it ended for, and the one that was named.
    Ended {
        agents: Vec<AgentId>,
        changed: bool,
    },
    /// To an action that was asked for as a dry run: the agent as it is, and what would change.
    Planned {
        row: Box<AgentRow>,
        changes: Vec<Change>,
    },
    Explained(Explained),
    Fed(Fed),
    Entries(Vec<ReadEntry>),
    Queues(Vec<ReadQueue>),
    Config(Box<Config>),
    Placed {
        place: Place,
        changed: bool,
    },
}

/// A caller's place in line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub call_id: CallId,
    pub queue_id: QueueId,
    /// 1: next.
    pub place: u32,
    /// Callers in the line, this one included.
    pub waiting: u32,
    /// By the pace at which the line moves; none while that is unknown.
    pub estimate_ms: Option<u64>,
    pub since: Time,
    /// When the caller is given up.
    pub until: Time,
}

/// An agent as it was written, and as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadEntry {
    pub row: AgentRow,
    pub entry: Arc<AgentEntry>,
}

/// A queue as it was written, and as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadQueue {
    pub row: QueueRow,
    pub settings: QueueSettings,
    /// Agents who are in it, ready or not.
    pub members: usize,
}

/// What an account is configured with beside agents and queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub settings: AccountSettings,
    /// By id.
    pub reasons: Vec<PauseReason>,
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
