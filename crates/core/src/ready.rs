//! The members of a queue's tier who can be offered a call at this moment, in the order in which they are tried. The
//! strategy is an order of this index and a place to begin at, so the next agent is found without looking at the others.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::agent::{Agent, Membership, Standing, Tally};
use crate::fence::ClauseSet;
use crate::id::AgentId;
use crate::lots::Lots;
use crate::queue::Strategy;
use crate::slab::Ix;
use crate::time::Time;

/// Where a ready member stands within its tier: what the strategy goes by, then position, then id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReadyKey {
    pub rank: u64,
    pub position: u32,
    pub agent_id: AgentId,
    pub agent: Ix,
}

/// A tier of a queue.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tier {
    /// Members, ready or not.
    pub members: u32,
    /// Members with clauses 1 to 8 true, in the order they are tried.
    pub ready: BTreeSet<ReadyKey>,
    /// The same, where the strategy draws lots; empty otherwise.
    pub lots: Lots,
}

/// How an agent stands, and what it is ranked by if it is ready.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stood {
    pub standing: Standing,
    pub ready_since: Time,
    pub tally: Tally,
}

impl Stood {
    /// As the queues' indexes have it.
    pub fn of(agent: &Agent) -> Self {
        Self { standing: agent.standing, ready_since: agent.ready_since, tally: agent.ranked }
    }

    pub fn ready(&self) -> bool {
        self.standing.failing == ClauseSet::EMPTY
    }
}

impl Strategy {
    /// The lower it is, the sooner an agent is tried. Equal for all where the strategy is no order of merit.
    pub(crate) fn rank(self, stood: &Stood) -> u64 {
        match self {
            Self::LongestIdle | Self::WeightedRandom => stood.ready_since.ms(),
            Self::FewestCalls => u64::from(stood.tally.answered),
            Self::LeastTalkTime => stood.tally.talk_ms,
            Self::RoundRobin | Self::Random | Self::TopDown | Self::RingAll => 0,
        }
    }

    pub(crate) fn key(self, ix: Ix, id: &AgentId, membership: &Membership, stood: &Stood) -> ReadyKey {
        ReadyKey { rank: self.rank(stood), position: membership.position, agent_id: id.clone(), agent: ix }
    }

    fn draws(self) -> bool {
        match self {
            Self::Random | Self::WeightedRandom => true,
            Self::LongestIdle
            | Self::RoundRobin
            | Self::FewestCalls
            | Self::LeastTalkTime
            | Self::TopDown
            | Self::RingAll => false,
        }
    }
}

impl Tier {
    pub fn insert(&mut self, key: ReadyKey, strategy: Strategy, ready_since: Time) {
        if strategy.draws() {
            self.lots.insert(key.agent, ready_since);
        }
        self.ready.insert(key);
    }

    pub fn remove(&mut self, key: &ReadyKey, strategy: Strategy) {
        if strategy.draws() {
            self.lots.remove(key.agent);
        }
        self.ready.remove(key);
    }

    /// From the first to the last.
    pub fn in_order(&self) -> impl Iterator<Item = Ix> {
        self.ready.iter().map(|key| key.agent)
    }

    /// From the one after this place to the last, then from the first up to this place.
    pub fn after(&self, key: &ReadyKey) -> impl Iterator<Item = Ix> {
        let later = self.ready.range((Bound::Excluded(key), Bound::Unbounded));
        later.chain(self.ready.range(..=key)).map(|key| key.agent)
    }
}
