//! Queues: their settings, and an index of who could be offered a call at this moment.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::agent::{Agent, Membership, MembershipMode, Standing, Status};
use crate::fence::{Clause, ClauseSet};
use crate::id::{AgentId, QueueId, TagId};
use crate::line::{Line, Pace};
use crate::slab::Ix;
use crate::time::Time;

/// Most queues one agent may be in; bounds what a change of that agent costs.
pub const MEMBERSHIPS_MAX: usize = 256;

/// Queues of one account.
pub const QUEUES_MAX: usize = 10_000;

/// How the next agent is chosen within a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    LongestIdle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TagMatch {
    Any,
    All,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequiredTags {
    #[serde(rename = "match")]
    pub rule: TagMatch,
    pub tags: Vec<TagId>,
}

/// Settings of a queue (model.md §6) with their defaults. Durations are seconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueSettings {
    pub name: Option<String>,
    pub strategy: Strategy,
    pub membership_mode: MembershipMode,
    /// Length of an offer's lease, 1..=120.
    pub agent_ring_timeout_sec: u32,
    /// 0: none; null: until ended by hand, bounded by `wrap_up_max_sec`.
    pub wrap_up_sec: Option<u32>,
    pub wrap_up_max_sec: u32,
    /// Misses in a row after which the agent is put on break; 0: never.
    pub max_no_answer: u32,
    pub reject_cooldown_sec: u32,
    pub busy_cooldown_sec: u32,
    pub failed_cooldown_sec: u32,
    pub no_answer_cooldown_sec: u32,
    /// Tier n opens n × this after the call's first reserve, counted from the lowest tier; 0: all at once.
    pub tier_wait_sec: u32,
    pub required_tags: Option<RequiredTags>,
    /// Longest a caller waits in line, 1..=86400.
    pub max_wait_sec: u32,
    /// Callers who may wait; 0: as many as the account may have.
    pub max_queued: u32,
    /// How strongly the line pulls against others of the same tier, 1..=1000.
    pub weight: u32,
}

impl RequiredTags {
    pub fn held(&self, tags: &[TagId]) -> bool {
        match self.rule {
            TagMatch::Any => self.tags.is_empty() || self.tags.iter().any(|tag| tags.contains(tag)),
            TagMatch::All => self.tags.iter().all(|tag| tags.contains(tag)),
        }
    }
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            name: None,
            strategy: Strategy::LongestIdle,
            membership_mode: MembershipMode::Dynamic,
            agent_ring_timeout_sec: crate::offer::LEASE_SEC_DEFAULT,
            wrap_up_sec: Some(10),
            wrap_up_max_sec: 3600,
            max_no_answer: 3,
            reject_cooldown_sec: 5,
            busy_cooldown_sec: 5,
            failed_cooldown_sec: 5,
            no_answer_cooldown_sec: 0,
            tier_wait_sec: 0,
            required_tags: None,
            max_wait_sec: 600,
            max_queued: 0,
            weight: 1,
        }
    }
}

impl QueueSettings {
    /// What is out of range, named by field.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if !(1..=120).contains(&self.agent_ring_timeout_sec) {
            return Err(("agent_ring_timeout_sec", "1 to 120 seconds".to_owned()));
        }
        if self.wrap_up_max_sec > 86_400 {
            return Err(("wrap_up_max_sec", "at most 86400 seconds".to_owned()));
        }
        if self.wrap_up_sec.is_some_and(|sec| sec > self.wrap_up_max_sec) {
            return Err((
                "wrap_up_sec",
                format!("at most wrap_up_max_sec, which is {}", self.wrap_up_max_sec),
            ));
        }
        if !(1..=86_400).contains(&self.max_wait_sec) {
            return Err(("max_wait_sec", "1 to 86400 seconds".to_owned()));
        }
        if !(1..=1_000).contains(&self.weight) {
            return Err(("weight", "1 to 1000".to_owned()));
        }
        for (field, sec) in [
            ("reject_cooldown_sec", self.reject_cooldown_sec),
            ("busy_cooldown_sec", self.busy_cooldown_sec),
            ("failed_cooldown_sec", self.failed_cooldown_sec),
            ("no_answer_cooldown_sec", self.no_answer_cooldown_sec),
            ("tier_wait_sec", self.tier_wait_sec),
        ] {
            if sec > 3600 {
                return Err((field, "at most 3600 seconds".to_owned()));
            }
        }
        Ok(())
    }

    pub fn tags_held(&self, tags: &[TagId]) -> bool {
        self.required_tags.as_ref().is_none_or(|required| required.held(tags))
    }
}

/// Order in which offerable members are tried: tier, then longest idle, then position, then id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReadyKey {
    pub tier: u8,
    pub ready_since: Time,
    pub position: u32,
    pub agent_id: AgentId,
    pub agent: Ix,
}

/// A queue as the account keeps it. All but id, settings and seq is derived from the members' standings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    pub id: QueueId,
    pub settings: QueueSettings,
    /// The last record that changed the queue's row.
    pub seq: u64,
    /// Members in all.
    #[serde(skip)]
    pub(crate) members: BTreeSet<Ix>,
    /// Members with clauses 1 to 8 true, in the order they are tried.
    #[serde(skip)]
    pub(crate) ready: BTreeSet<ReadyKey>,
    /// Members per failing clause, for refusals that need no scan.
    #[serde(skip)]
    pub(crate) failing: [u32; Clause::COUNT],
    /// Members who are known to become offerable by themselves, soonest first.
    #[serde(skip)]
    pub(crate) soonest: BTreeSet<(Time, Ix)>,
    /// Members per tier, to know which tier is the lowest.
    #[serde(skip)]
    pub(crate) tiers: std::collections::BTreeMap<u8, u32>,
    /// Members who are logged in.
    #[serde(skip)]
    pub(crate) logged_in: u32,
    #[serde(skip)]
    pub(crate) line: Line,
    #[serde(default)]
    pub pace: Pace,
}

impl Queue {
    pub(crate) fn new(id: QueueId, settings: QueueSettings) -> Self {
        Self {
            id,
            settings,
            seq: 0,
            members: BTreeSet::new(),
            ready: BTreeSet::new(),
            failing: [0; Clause::COUNT],
            soonest: BTreeSet::new(),
            tiers: std::collections::BTreeMap::new(),
            logged_in: 0,
            line: Line::default(),
            pace: Pace::default(),
        }
    }

    pub fn ready_count(&self) -> usize {
        self.ready.len()
    }

    /// Counts a member in, as it stands. Returns whether the row's `ready` changed.
    pub(crate) fn enter(&mut self, ix: Ix, agent: &Agent, tier: u8, position: u32) -> bool {
        self.members.insert(ix);
        self.logged_in += u32::from(agent.status != Status::Offline);
        *self.tiers.entry(tier).or_default() += 1;
        for clause in agent.standing.failing.iter() {
            self.failing[clause.index()] += 1;
        }
        if let Some(at) = agent.standing.ready_at {
            self.soonest.insert((at, ix));
        }
        let ready = agent.standing.failing == ClauseSet::EMPTY;
        if ready {
            self.ready.insert(ready_key(ix, agent, tier, position));
        }
        ready
    }

    /// Counts a member out, as it stood. Returns whether the row's `ready` changed.
    pub(crate) fn leave(&mut self, ix: Ix, agent: &Agent, tier: u8, position: u32) -> bool {
        self.members.remove(&ix);
        self.logged_in -= u32::from(agent.status != Status::Offline && self.logged_in > 0);
        if let Some(count) = self.tiers.get_mut(&tier) {
            *count -= 1;
            if *count == 0 {
                self.tiers.remove(&tier);
            }
        }
        for clause in agent.standing.failing.iter() {
            self.failing[clause.index()] = self.failing[clause.index()].saturating_sub(1);
        }
        if let Some(at) = agent.standing.ready_at {
            self.soonest.remove(&(at, ix));
        }
        let ready = agent.standing.failing == ClauseSet::EMPTY;
        if ready {
            self.ready.remove(&ready_key(ix, agent, tier, position));
        }
        ready
    }

    /// A member stands differently than it did.
    pub(crate) fn restand(&mut self, ix: Ix, id: &AgentId, member: &Membership, from: Stood, to: Stood) {
        for clause in from.standing.failing.iter() {
            self.failing[clause.index()] = self.failing[clause.index()].saturating_sub(1);
        }
        for clause in to.standing.failing.iter() {
            self.failing[clause.index()] += 1;
        }
        if from.standing.ready_at != to.standing.ready_at {
            if let Some(at) = from.standing.ready_at {
                self.soonest.remove(&(at, ix));
            }
            if let Some(at) = to.standing.ready_at {
                self.soonest.insert((at, ix));
            }
        }
        let (was, is) = (from.key(ix, id, member), to.key(ix, id, member));
        if was != is {
            was.map(|key| self.ready.remove(&key));
            is.map(|key| self.ready.insert(key));
        }
    }

    /// When the next tier opens for a call first reserved for at `first_reserve`, if one still does.
    pub(crate) fn next_tier(&self, first_reserve: Time, now: Time) -> Option<Time> {
        self.tiers.keys().map(|tier| self.tier_opens(*tier, first_reserve)).find(|at| *at > now)
    }

    /// When `tier` opens for a call first reserved for at `first_reserve`.
    pub(crate) fn tier_opens(&self, tier: u8, first_reserve: Time) -> Time {
        let lowest = self.tiers.keys().next().copied().unwrap_or(tier);
        let steps = u32::from(tier.saturating_sub(lowest));
        first_reserve.plus_sec(self.settings.tier_wait_sec.saturating_mul(steps))
    }
}

/// How a member stands, and since when it is ready if it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stood {
    pub standing: Standing,
    pub ready_since: Time,
}

impl Stood {
    fn key(&self, ix: Ix, id: &AgentId, member: &Membership) -> Option<ReadyKey> {
        (self.standing.failing == ClauseSet::EMPTY).then(|| ReadyKey {
            tier: member.tier,
            ready_since: self.ready_since,
            position: member.position,
            agent_id: id.clone(),
            agent: ix,
        })
    }
}

fn ready_key(ix: Ix, agent: &Agent, tier: u8, position: u32) -> ReadyKey {
    ReadyKey { tier, ready_since: agent.ready_since, position, agent_id: agent.id.clone(), agent: ix }
}
