//! Offers: an agent lent to a call for a while, and the token everybody needs who wants to say more about it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::agent::Address;
use crate::call::Direction;
use crate::deadline::Deadline;
use crate::fence::OfferKind;
use crate::id::{AgentId, CallId, OfferId, QueueId, RouterId};
use crate::roll::Named;
use crate::slab::Ix;
use crate::time::Time;

/// Shortest and longest lease a router may ask for (model.md §3: 1..=120 s).
pub const LEASE_MS: std::ops::RangeInclusive<u64> = 1_000..=120_000;
/// Agents one `ring_all` reserve rings at once.
pub const GROUP_MAX: usize = 32;
/// Lease of an offer when neither a queue nor the router says otherwise.
pub const LEASE_SEC_DEFAULT: u32 = 20;

/// The fence token (term, n): strictly increasing per account for ever, "term.n" on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence {
    /// Rises with every opening of the store.
    pub term: u64,
    /// Counts the account's grants.
    pub n: u64,
}

impl Fence {
    /// No offer's token: what was stored without one has this.
    pub(crate) const fn none() -> Self {
        Self { term: 0, n: 0 }
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.term, self.n)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a fence token is two whole numbers with a dot between them, as the grant gave it, like \"1763800000000.7\""
)]
pub struct BadFence;

impl FromStr for Fence {
    type Err = BadFence;

    fn from_str(text: &str) -> Result<Self, BadFence> {
        let (term, n) = text.split_once('.').ok_or(BadFence)?;
        Ok(Self { term: term.parse().map_err(|_| BadFence)?, n: n.parse().map_err(|_| BadFence)? })
    }
}

impl Serialize for Fence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a grant hands out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Offer {
    pub offer_id: OfferId,
    pub fence: Fence,
    pub call_id: CallId,
    pub queue_id: Option<QueueId>,
    pub agent_id: AgentId,
    /// Ringable addresses, in the order the agent's ring method asks for.
    pub addresses: Arc<[Address]>,
    pub granted_at: Time,
    pub expires_at: Time,
    pub router_id: Option<RouterId>,
    /// Outbound where the agent reserved itself to dial out.
    #[serde(default)]
    pub direction: Direction,
}

impl Offer {
    pub(crate) fn kind(&self) -> OfferKind {
        match (self.direction, &self.queue_id) {
            (Direction::Outbound, _) => OfferKind::Own,
            (Direction::Inbound, None) => OfferKind::Direct,
            (Direction::Inbound, Some(_)) => OfferKind::Queue,
        }
    }
}

/// Who was asked for: part of what makes a retry the same request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Target {
    Agent(AgentId),
    Queue(QueueId),
    /// The agent itself, dialling out.
    Own(AgentId),
}

/// An offer as the account keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OfferEntry {
    pub offer: Arc<Offer>,
    pub target: Target,
    /// Length the router asked for; part of the request.
    pub asked_lease_ms: Option<u64>,
    /// Full length, to which an unclean start re-arms it.
    pub lease_ms: u64,
    pub leg_call_id: Option<CallId>,
    pub ended: Option<Ended>,
    /// Its router was attached when it was granted: it is rescinded when that router is gone for good.
    #[serde(default)]
    pub attached: bool,
    /// The token of the wrap-up whose slot it took.
    #[serde(default)]
    pub wrap_up: Option<Fence>,
    /// None: rung alone.
    #[serde(default)]
    pub group: Option<Group>,
}

impl OfferEntry {
    /// What is due at the end of its lease.
    pub(crate) fn deadline(&self, place: Ix) -> Deadline {
        Deadline::Offer { n: self.offer.fence.n, place }
    }
}

/// Offers of one reserve that rang several agents at once (`ring_all`). Each has its own token and lease; the first to be
/// answered ends the others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Group {
    /// The one the reserve is known by, with the others in the order of their tokens.
    Leads(Box<[OfferId]>),
    /// One of the others, with the one that leads.
    Follows(OfferId),
}

impl Named for OfferEntry {
    fn name(&self) -> &str {
        self.offer.offer_id.as_str()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ended {
    pub outcome: Outcome,
    pub at: Time,
    /// The lease ran out, nobody said so: a late step is told `lease_expired`.
    pub lease_over: bool,
}

/// How an offer ended. Every offer ends once, in one of these (model.md §3).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Accepted,
    NoAnswer,
    Rejected,
    Busy,
    Cancelled,
    Rescinded(Cause),
    LostRace,
    Failed(u16),
}

impl Outcome {
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::NoAnswer => "no_answer",
            Self::Rejected => "rejected",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
            Self::Rescinded(_) => "rescinded",
            Self::LostRace => "lost_race",
            Self::Failed(_) => "failed",
        }
    }
}

/// Why the engine took an offer back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    Paused,
    Logout,
    Unreachable,
    ExternalCall,
    Removed,
    Supervisor,
    RouterGone,
}

impl Cause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Logout => "logout",
            Self::Unreachable => "unreachable",
            Self::ExternalCall => "external_call",
            Self::Removed => "removed",
            Self::Supervisor => "supervisor",
            Self::RouterGone => "router_gone",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_as_it_was_written_and_orders_by_term_first() {
        let token = Fence { term: 1_763_800_000_000, n: 7 };
        assert_eq!(token.to_string().parse(), Ok(token));
        assert!(Fence { term: 2, n: 1 } > Fence { term: 1, n: 900 });
        assert_eq!("7".parse::<Fence>(), Err(BadFence));
        assert_eq!("1.x".parse::<Fence>(), Err(BadFence));
    }
}
