//! Queues: their settings, and an index of who could be offered a call at this moment.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::agent::{Agent, Membership, MembershipMode, Status};
use crate::fence::Clause;
use crate::id::{AgentId, QueueId, TagId};
use crate::line::{Line, Pace};
use crate::ready::{Stood, Tier};
use crate::slab::{Ix, Slab};
use crate::time::Time;

/// Most queues one agent may be in; bounds what a change of that agent costs.
pub const MEMBERSHIPS_MAX: usize = 256;

/// Queues of one account.
pub const QUEUES_MAX: usize = 10_000;

/// How the next agent is chosen within a tier. Equals are told apart by position, then by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Who has been ready for longest.
    #[default]
    LongestIdle,
    /// The one after whom the queue was last granted in this tier, by position and id, all around.
    RoundRobin,
    /// Who has answered the fewest calls since the login.
    FewestCalls,
    /// Who has talked least since the login.
    LeastTalkTime,
    /// Anybody, each as likely as the other.
    Random,
    /// Anybody, the likelier the longer idle.
    WeightedRandom,
    /// Always the first that is free, by position and id.
    TopDown,
    /// As many at once as a group may have; the first to answer wins.
    RingAll,
}

impl Strategy {
    pub const ALL: [Self; 8] = [
        Self::LongestIdle,
        Self::RoundRobin,
        Self::FewestCalls,
        Self::LeastTalkTime,
        Self::Random,
        Self::WeightedRandom,
        Self::TopDown,
        Self::RingAll,
    ];
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

/// Whether a caller is given to the agent they talked to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StickyMode {
    #[default]
    Off,
    /// That agent is tried first.
    Prefer,
    /// That agent is waited for, as long as `hold_sec`.
    Strict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sticky {
    pub mode: StickyMode,
    /// How long after the call an agent is remembered, 1..=[`STICKY_WINDOW_SEC_MAX`].
    pub window_sec: u32,
    /// How long `strict` waits, 0..=3600.
    pub hold_sec: u32,
}

impl Default for Sticky {
    fn default() -> Self {
        Self { mode: StickyMode::Off, window_sec: 86_400, hold_sec: 30 }
    }
}

/// Longest wait of a call in line: a day.
pub const MAX_WAIT_SEC_MAX: u32 = 86_400;
/// Most calls a queue's own limit may allow.
pub const MAX_QUEUED_MAX: u32 = 100_000;
pub const WEIGHT_MAX: u32 = 1_000;
/// Longest memory of a caller's agent: 30 days.
pub const STICKY_WINDOW_SEC_MAX: u32 = 30 * 86_400;

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
    /// Longest wait of a call in line, 1..=[`MAX_WAIT_SEC_MAX`].
    pub max_wait_sec: u32,
    /// Calls in line at once, at most [`MAX_QUEUED_MAX`]; 0: as many as the account may have.
    pub max_queued: u32,
    /// Share of a freed agent among queues of one tier, 1..=[`WEIGHT_MAX`].
    pub weight: u32,
    pub sticky: Sticky,
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
            sticky: Sticky::default(),
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
        self.check_line()
    }

    /// What a waiting call goes by.
    fn check_line(&self) -> Result<(), (&'static str, String)> {
        for (field, range, value) in [
            ("max_wait_sec", 1..=MAX_WAIT_SEC_MAX, self.max_wait_sec),
            ("max_queued", 0..=MAX_QUEUED_MAX, self.max_queued),
            ("weight", 1..=WEIGHT_MAX, self.weight),
            ("sticky.window_sec", 1..=STICKY_WINDOW_SEC_MAX, self.sticky.window_sec),
            ("sticky.hold_sec", 0..=3600, self.sticky.hold_sec),
        ] {
            if !range.contains(&value) {
                return Err((field, format!("{} to {}; it is {value}", range.start(), range.end())));
            }
        }
        Ok(())
    }

    pub fn tags_held(&self, tags: &[TagId]) -> bool {
        self.required_tags.as_ref().is_none_or(|required| required.held(tags))
    }
}

/// The member of a tier who was granted last: where a round robin goes on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Turn {
    pub position: u32,
    pub agent: AgentId,
}

/// A queue as the account keeps it. All but id, settings, seq and turns is derived from the members' standings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    pub id: QueueId,
    pub settings: QueueSettings,
    /// The last record that changed the queue's row.
    pub seq: u64,
    /// Members in all.
    #[serde(skip)]
    pub(crate) members: BTreeSet<Ix>,
    /// Members with clauses 1 to 8 true.
    #[serde(skip)]
    pub(crate) ready: usize,
    /// Members per failing clause, for refusals that need no scan.
    #[serde(skip)]
    pub(crate) failing: [u32; Clause::COUNT],
    /// Members who are known to become offerable by themselves, soonest first.
    #[serde(skip)]
    pub(crate) soonest: BTreeSet<(Time, Ix)>,
    /// Tiers that have a member.
    #[serde(skip)]
    pub(crate) tiers: BTreeMap<u8, Tier>,
    /// Who was granted last, by tier.
    #[serde(default)]
    pub turns: BTreeMap<u8, Turn>,
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
            ready: 0,
            failing: [0; Clause::COUNT],
            soonest: BTreeSet::new(),
            tiers: BTreeMap::new(),
            turns: BTreeMap::new(),
            logged_in: 0,
            line: Line::default(),
            pace: Pace::default(),
        }
    }

    pub fn ready_count(&self) -> usize {
        self.ready
    }

    /// Counts a member in, as it stands. Returns whether the row's `ready` changed.
    pub(crate) fn enter(&mut self, ix: Ix, agent: &Agent, membership: &Membership) -> bool {
        self.members.insert(ix);
        self.logged_in += u32::from(agent.status != Status::Offline);
        for clause in agent.standing.failing.iter() {
            self.failing[clause.index()] += 1;
        }
        if let Some(at) = agent.standing.ready_at {
            self.soonest.insert((at, ix));
        }
        let (stood, strategy) = (Stood::of(agent), self.settings.strategy);
        let tier = self.tiers.entry(membership.tier).or_default();
        tier.members += 1;
        if stood.ready() {
            tier.insert(strategy.key(ix, &agent.id, membership, &stood), strategy, stood.ready_since);
            self.ready += 1;
        }
        stood.ready()
    }

    /// Counts a member out, as it stood. Returns whether the row's `ready` changed.
    pub(crate) fn leave(&mut self, ix: Ix, agent: &Agent, membership: &Membership) -> bool {
        self.members.remove(&ix);
        self.logged_in -= u32::from(agent.status != Status::Offline && self.logged_in > 0);
        for clause in agent.standing.failing.iter() {
            self.failing[clause.index()] = self.failing[clause.index()].saturating_sub(1);
        }
        if let Some(at) = agent.standing.ready_at {
            self.soonest.remove(&(at, ix));
        }
        let (stood, strategy) = (Stood::of(agent), self.settings.strategy);
        if let Some(tier) = self.tiers.get_mut(&membership.tier) {
            tier.members -= 1;
            if stood.ready() {
                tier.remove(&strategy.key(ix, &agent.id, membership, &stood), strategy);
                self.ready -= 1;
            }
            if tier.members == 0 {
                self.tiers.remove(&membership.tier);
            }
        }
        stood.ready()
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
        let strategy = self.settings.strategy;
        let rank = |stood: &Stood| stood.ready().then(|| strategy.rank(stood));
        if let Some(tier) = self.tiers.get_mut(&member.tier)
            && rank(&from) != rank(&to)
        {
            if from.ready() {
                tier.remove(&strategy.key(ix, id, member, &from), strategy);
                self.ready -= 1;
            }
            if to.ready() {
                tier.insert(strategy.key(ix, id, member, &to), strategy, to.ready_since);
                self.ready += 1;
            }
        }
    }

    /// Takes new settings; another strategy is another order of who is ready.
    pub(crate) fn set(&mut self, settings: &QueueSettings, agents: &Slab<Agent>) {
        let turned = self.settings.strategy != settings.strategy;
        self.settings = settings.clone();
        if !turned {
            return;
        }
        let strategy = settings.strategy;
        for tier in self.tiers.values_mut() {
            let mut fresh = Tier { members: tier.members, ..Tier::default() };
            for mut key in std::mem::take(&mut tier.ready) {
                let Some(agent) = agents.get(key.agent) else { continue };
                let stood = Stood::of(agent);
                key.rank = strategy.rank(&stood);
                fresh.insert(key, strategy, stood.ready_since);
            }
            *tier = fresh;
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
