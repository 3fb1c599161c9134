//! Calls: those the fence gave to an agent, those it did not, and the work after them (model.md §4).

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::feed::Stamp;
use crate::id::{AgentId, CallId, OfferId, QueueId, SourceId};
use crate::line::Waiting;
use crate::offer::Fence;
use crate::roll::Named;
use crate::time::Time;

/// Longest an answered call keeps an agent busy without a word from anybody: 4 hours. A lost "ended" frees the agent.
pub const CALL_MAX_MS: u64 = 4 * 3600 * 1000;
/// The same for a call the fence did not give.
pub const EXTERNAL_MAX_MS: u64 = 4 * 3600 * 1000;
/// Agents one call may have at once (conference, consultation).
pub const LEGS_MAX: usize = 32;
/// External calls one agent may have at once; a feed that reports more is broken.
pub const EXTERNAL_CALLS_MAX: usize = 64;
/// Ended calls and offers are remembered this long, so that a late step gets a true answer …
pub const MEMORY_MS: u64 = 10 * 60 * 1000;
/// … or until an account has this many of them.
pub const MEMORY_MAX: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    #[default]
    Inbound,
    Outbound,
}

/// A call in one of an agent's slots.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AgentCall {
    pub call_id: CallId,
    pub offer_id: OfferId,
    /// The offer's token; the offer itself may be forgotten before the call ends.
    pub fence: Fence,
    pub queue_id: Option<QueueId>,
    pub direction: Direction,
    pub peer: Option<String>,
    pub since: Time,
    /// When it is taken for lost and ended.
    pub until: Time,
    /// Wrap-up rule of the queue, as it was when the call was answered; none for direct calls.
    pub wrap_up: Option<WrapUpRule>,
    /// The agent's own SIP leg, when known.
    pub leg_call_id: Option<CallId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WrapUpRule {
    /// None: until ended by hand, bounded by `max_sec`.
    pub sec: Option<u32>,
    pub max_sec: u32,
}

/// Work after a call; occupies the slot the call had.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WrapUp {
    pub call_id: CallId,
    pub queue_id: Option<QueueId>,
    pub since: Time,
    pub until: Time,
    /// False: `until` is only the bound, somebody is expected to end it by hand.
    pub timed: bool,
    /// No extension goes beyond this.
    pub limit: Time,
    /// The token of the offer whose call it follows. An agent may wrap up the same call twice at once.
    #[serde(default = "Fence::none")]
    pub fence: Fence,
    /// The token of a call of the agent's own that took the slot; the deadline runs on.
    #[serde(default)]
    pub taken_by: Option<Fence>,
}

/// A call the fence did not give to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ExternalCall {
    pub call_id: CallId,
    pub source: SourceId,
    pub stamp: Stamp,
    pub direction: Direction,
    pub peer: Option<String>,
    pub since: Time,
    pub until: Time,
}

/// A call as the account knows it, whoever talks in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Call {
    pub id: CallId,
    /// Counts the account's calls; says on which page of a snapshot it stands.
    pub number: u64,
    /// Tiers open from here.
    pub first_reserve: Time,
    /// The live offer; of a group, the one with the lowest token.
    pub offer: Option<OfferId>,
    /// Agents who are in it.
    pub legs: SmallVec<[AgentId; 1]>,
    /// Agents who were tried for it and did not take it.
    pub tried: SmallVec<[AgentId; 1]>,
    pub ended: bool,
    /// Since when nothing of it is live: from then on it is only remembered.
    pub idle_since: Option<Time>,
    /// Its place in a line, while it waits (also while an offer for it rings).
    #[serde(default)]
    pub waiting: Option<Box<Waiting>>,
    /// The place it had, to which it may be put back.
    #[serde(default)]
    pub waited: Option<Box<Waiting>>,
    /// The other live offers of a `ring_all` group, in the order of their tokens.
    #[serde(default)]
    pub group: Vec<OfferId>,
}

impl Named for Call {
    fn name(&self) -> &str {
        self.id.as_str()
    }
}

impl Call {
    pub(crate) fn new(id: CallId, number: u64, at: Time) -> Self {
        Self {
            id,
            number,
            first_reserve: at,
            offer: None,
            legs: SmallVec::new(),
            tried: SmallVec::new(),
            ended: false,
            idle_since: None,
            waiting: None,
            waited: None,
            group: Vec::new(),
        }
    }

    pub fn live_offers(&self) -> impl Iterator<Item = &OfferId> {
        self.offer.iter().chain(&self.group)
    }

    pub(crate) fn offer_over(&mut self, id: &OfferId) {
        if self.offer.as_ref() == Some(id) {
            self.offer = (!self.group.is_empty()).then(|| self.group.remove(0));
        } else {
            self.group.retain(|offer| offer != id);
        }
    }
}
