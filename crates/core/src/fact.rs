//! Facts: what happened, decided once and for all. A record is the ordered list of the facts of one input; replaying
//! records is the live run again, because applying a fact evaluates no predicate, strategy, setting or clock.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::agent::{AgentEntry, By, MembershipMode, Standing, Status};
use crate::call::{AgentCall, ExternalCall, WrapUp};
use crate::contact::Contact;
use crate::feed::Stamp;
use crate::id::{AgentId, CallId, OfferId, QueueId, ReasonId, SourceId};
use crate::input::{AccountSettings, PauseReason};
use crate::line::{LineOutcome, Waiting};
use crate::next::{ClockLogout, Pending};
use crate::offer::{Fence, OfferEntry, Outcome};
use crate::queue::QueueSettings;
use crate::time::Time;

/// One input's worth of facts: the unit of the journal, of `seq` and of the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub seq: u64,
    pub at: Time,
    pub by: By,
    pub facts: Vec<Fact>,
}

/// A change, and how the agent it touches stands after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    pub change: Change,
    /// None where the change touches no agent.
    pub standing: Option<Standing>,
    /// Who made it, where that is not who made the record: a consequence is the system's.
    pub by: Option<By>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    Settings(AccountSettings),
    AgentPut {
        agent: AgentId,
        entry: Arc<AgentEntry>,
    },
    AgentRemoved {
        agent: AgentId,
    },
    QueuePut {
        queue: QueueId,
        settings: Box<QueueSettings>,
    },
    QueueRemoved {
        queue: QueueId,
    },
    ReasonPut {
        reason: PauseReason,
    },
    ReasonRemoved {
        reason: ReasonId,
    },
    Joined {
        agent: AgentId,
        queue: QueueId,
        tier: u8,
        position: u32,
        mode: MembershipMode,
    },
    Left {
        agent: AgentId,
        queue: QueueId,
    },
    StatusSet {
        agent: AgentId,
        status: Status,
        misses_reset: bool,
    },
    Bound {
        aor: String,
        contact: Box<Contact>,
    },
    Unbound {
        aor: String,
        source: SourceId,
        id: String,
        stamp: Stamp,
    },
    /// Only the standing changed: a grace ran out, a setting turned.
    Settled {
        agent: AgentId,
    },
    ExternalBegan {
        agent: AgentId,
        call: Box<ExternalCall>,
    },
    ExternalOver {
        agent: AgentId,
        call_id: CallId,
        source: SourceId,
        stamp: Stamp,
    },
    Granted {
        entry: Box<OfferEntry>,
    },
    Extended {
        offer: OfferId,
        expires_at: Time,
    },
    LegKnown {
        offer: OfferId,
        leg_call_id: CallId,
    },
    OfferEnded {
        offer: OfferId,
        outcome: Outcome,
        lease_over: bool,
        misses: u32,
        cooldown_until: Option<Time>,
    },
    Answered {
        offer: OfferId,
        call: Arc<AgentCall>,
    },
    LegEnded {
        agent: AgentId,
        call_id: CallId,
        wrap_up: Option<Arc<WrapUp>>,
    },
    /// A call nobody could be granted to yet: its tiers open from here.
    CallSeen {
        call_id: CallId,
    },
    CallEnded {
        call_id: CallId,
    },
    WrapUpEnded {
        agent: AgentId,
        call_id: CallId,
        #[serde(default = "Fence::none")]
        fence: Fence,
    },
    WrapUpMoved {
        agent: AgentId,
        call_id: CallId,
        until: Time,
        #[serde(default = "Fence::none")]
        fence: Fence,
    },
    CooldownOver {
        agent: AgentId,
    },
    Enqueued {
        call_id: CallId,
        waiting: Box<Waiting>,
    },
    Dequeued {
        call_id: CallId,
        outcome: LineOutcome,
    },
    /// None: cancelled, replaced by a command for now, or carried out.
    PendingSet {
        agent: AgentId,
        pending: Option<Box<Pending>>,
    },
    /// None: cancelled or carried out.
    ClockLogoutSet {
        agent: AgentId,
        logout: Option<Box<ClockLogout>>,
    },
    /// The facts after it are what this action of a supervisor came to. It changes nothing itself.
    Acted {
        agent: AgentId,
        action: Action,
        note: Option<String>,
    },
}
