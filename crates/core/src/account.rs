//! One account: everything live about a tenant, and the one function that takes an input to its facts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use foldhash::{HashMap, HashMapExt};

use crate::agent::{Agent, By};
use crate::bucket::BucketCounts;
use crate::call::Call;
use crate::contact::{Aor, Lease};
use crate::deadline::Deadlines;
use crate::decide;
use crate::decide::PUSHES_PER_RECORD;
use crate::fact::{Fact, Record};
use crate::feed::Stamp;
use crate::fence::Subject;
use crate::id::{AccountId, AgentId, CallId, OfferId, QueueId, ReasonId, RouterId, SourceId};
use crate::input::{AccountSettings, Input, PauseReason, Reply};
use crate::line::Waiting;
use crate::offer::{Fence, OfferEntry};
use crate::page::DirtyPages;
use crate::queue::Queue;
use crate::refusal::Refusal;
use crate::roll::Roll;
use crate::slab::{Ix, IxSet, Slab};
use crate::time::Time;

/// Agents who were removed, so that a stream that was away can say so.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tombstone {
    pub seq: u64,
    pub at: Time,
    pub agent: Option<AgentId>,
    pub queue: Option<QueueId>,
}

/// Tombstones are kept this long …
pub const TOMBSTONE_MS: u64 = 15 * 60 * 1000;
/// … or until there are this many.
pub const TOMBSTONES_MAX: usize = 64 * 1024;

/// The state of an account. [`Account::step`] is the only way to change it, [`Account::replay`] the only way to get it
/// back.
#[derive(Debug)]
pub struct Account {
    pub(crate) id: AccountId,
    /// Term of the tokens granted from here on.
    pub(crate) term: u64,
    /// Number of the last record.
    pub(crate) seq: u64,
    /// Highest token ever granted here.
    pub(crate) last_fence: Option<Fence>,
    pub(crate) grants: u64,
    pub(crate) settings: AccountSettings,
    pub(crate) agents: Slab<Agent>,
    pub(crate) agent_by_id: HashMap<AgentId, Ix>,
    /// Extensions, SIP addresses and telephone numbers: no two agents share one.
    pub(crate) agent_by_address: HashMap<String, Ix>,
    pub(crate) queues: Slab<Queue>,
    pub(crate) queue_by_id: HashMap<QueueId, Ix>,
    pub(crate) reasons: BTreeMap<ReasonId, PauseReason>,
    pub(crate) aors: Slab<Aor>,
    pub(crate) aor_by_name: HashMap<String, Ix>,
    pub(crate) unowned_aors: usize,
    /// Newest whole contact set heard per source of AoRs that have no entry, so that none older opens one; soft.
    pub(crate) early_floors: BTreeMap<String, Vec<(SourceId, Stamp)>>,
    pub(crate) offers: Roll<OfferEntry>,
    /// Ended offers, oldest first.
    pub(crate) ended_offers: VecDeque<(Time, Ix)>,
    /// Calls ever seen: numbers them.
    pub(crate) call_count: u64,
    pub(crate) calls: Roll<Call>,
    /// Calls with nothing live, oldest first; entries whose call came back to life are skipped.
    pub(crate) idle_calls: VecDeque<(Time, Ix)>,
    /// External calls that ended, oldest first, so that a late start revives none.
    pub(crate) ended_externals: VecDeque<(Time, AgentId, CallId)>,
    /// The same by call and agent: a call that is over for one agent may go on with another.
    pub(crate) ended_external_ids: BTreeMap<(CallId, AgentId), u32>,
    pub(crate) tombstones: VecDeque<Tombstone>,
    /// A stream cursor below this may have missed a forgotten tombstone.
    pub(crate) tombstone_floor: u64,
    pub(crate) counts: BucketCounts,
    pub(crate) deadlines: Deadlines,
    /// Contacts held per source, to be held against what the source says it has.
    pub(crate) contacts_by_source: BTreeMap<SourceId, u64>,
    /// When each AoR is looked at next.
    pub(crate) aor_armed: BTreeMap<Ix, Time>,
    /// When a lost phone stops being shown as there; soft.
    pub(crate) graces: BTreeMap<Ix, Time>,
    /// Callers who wait, over all queues.
    pub(crate) waiting: usize,
    /// Routers that are there to be told of offers; soft.
    pub(crate) routers: BTreeSet<RouterId>,
    /// Those that went away, and until when they may come back; soft.
    pub(crate) lost_routers: BTreeMap<RouterId, Time>,
    /// What the record under way has touched.
    pub(crate) touched: Touched,
    /// Pages changed since they were last taken.
    pub(crate) dirty: DirtyPages,
}

/// Rows a step changed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Touched {
    pub agents: IxSet,
    pub queues: IxSet,
    pub agents_removed: Vec<AgentId>,
    pub queues_removed: Vec<QueueId>,
}

impl Touched {
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
            && self.queues.is_empty()
            && self.agents_removed.is_empty()
            && self.queues_removed.is_empty()
    }
}

/// What a step comes to.
#[derive(Debug)]
pub struct Outcome {
    /// None: nothing changed.
    pub record: Option<Record>,
    pub reply: Result<Reply, Refusal>,
    /// Rows to show anew, when the record is released.
    pub touched: Touched,
    /// More deadlines are due than one record may touch: tick again.
    pub more: bool,
}

impl Account {
    pub fn new(id: AccountId, term: u64) -> Self {
        Self {
            id,
            term,
            seq: 0,
            last_fence: None,
            grants: 0,
            settings: AccountSettings::default(),
            agents: Slab::default(),
            agent_by_id: HashMap::new(),
            agent_by_address: HashMap::new(),
            queues: Slab::default(),
            queue_by_id: HashMap::new(),
            reasons: BTreeMap::new(),
            aors: Slab::default(),
            aor_by_name: HashMap::new(),
            unowned_aors: 0,
            early_floors: BTreeMap::new(),
            offers: Roll::new(term),
            ended_offers: VecDeque::new(),
            call_count: 0,
            calls: Roll::new(term),
            idle_calls: VecDeque::new(),
            ended_externals: VecDeque::new(),
            ended_external_ids: BTreeMap::new(),
            tombstones: VecDeque::new(),
            tombstone_floor: 0,
            counts: BucketCounts::default(),
            deadlines: Deadlines::default(),
            contacts_by_source: BTreeMap::new(),
            aor_armed: BTreeMap::new(),
            graces: BTreeMap::new(),
            waiting: 0,
            routers: BTreeSet::new(),
            lost_routers: BTreeMap::new(),
            touched: Touched::default(),
            dirty: DirtyPages::default(),
        }
    }

    /// An empty account that goes on counting its tokens where an earlier incarnation, whose state is lost, left off.
    pub fn after(id: AccountId, term: u64, grants: u64) -> Self {
        Self { grants, ..Self::new(id, term) }
    }

    /// For accounts of which no snapshot is ever taken: changed pages are not kept track of.
    pub fn without_pages(mut self) -> Self {
        self.dirty = DirtyPages::Untracked;
        self
    }

    /// Tokens granted so far.
    pub fn grants(&self) -> u64 {
        self.grants
    }

    /// Fires the deadlines due at `now`, decides the input, and returns what happened. A refused input may still come
    /// with a record: that of the deadlines.
    pub fn step(&mut self, input: Input, by: &By, now: Time) -> Outcome {
        let mut step = Step {
            now,
            by: by.clone(),
            facts: Vec::new(),
            agents: IxSet::default(),
            calls: IxSet::default(),
            passed_over: IxSet::default(),
            pushes: 0,
            system: true,
            on_behalf: None,
            replied_facts: 0,
        };
        let (more, reply) = if matches!(input, Input::Rearm) {
            // Before anything is due: what ran out while nobody served is released late, and is no miss.
            let reply = decide::input(self, &mut step, input, by);
            (decide::due(self, &mut step), reply)
        } else {
            let more = decide::due(self, &mut step);
            // What the deadlines cause comes before the input: it must not meet an offer that is as good as rescinded.
            decide::consequences(self, &mut step);
            step.system = false;
            step.replied_facts = step.facts.len();
            (more, decide::input(self, &mut step, input, by))
        };
        decide::consequences(self, &mut step);
        if !step.facts.is_empty() {
            self.forget(now);
        }
        // A line that is served in several records goes on with the next.
        let more = more || self.deadlines.next().is_some_and(|at| at <= now);
        let touched = std::mem::take(&mut self.touched);
        let record = (!step.facts.is_empty()).then(|| {
            self.seq += 1;
            Record { seq: self.seq, at: now, by: by.clone(), facts: step.facts }
        });
        Outcome { record, reply, touched, more }
    }

    /// Does to the account what the record did when it was live.
    pub fn replay(&mut self, record: &Record) {
        for fact in &record.facts {
            self.apply(fact, &Moment { seq: record.seq, at: record.at, by: &record.by });
        }
        self.forget(record.at);
        self.seq = record.seq;
        self.touched = Touched::default();
    }

    pub fn id(&self) -> &AccountId {
        &self.id
    }

    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// When the earliest deadline is due.
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.next()
    }

    pub fn counts(&self) -> BucketCounts {
        self.counts
    }

    pub fn agent_count(&self) -> usize {
        self.agents.len()
    }

    pub fn agent(&self, id: &AgentId) -> Option<&Agent> {
        self.agents.get(*self.agent_by_id.get(id)?)
    }

    pub fn queue(&self, id: &QueueId) -> Option<&Queue> {
        self.queues.get(*self.queue_by_id.get(id)?)
    }

    pub fn offer(&self, id: &OfferId) -> Option<&OfferEntry> {
        self.offers.get(id.as_str())
    }

    /// Routers that are attached.
    pub fn routers(&self) -> impl Iterator<Item = &RouterId> {
        self.routers.iter()
    }

    /// The place in line the call has or had.
    pub fn waited(&self, call: &CallId) -> Option<&Waiting> {
        let call = self.calls.get(call.as_str())?;
        call.waiting.as_deref().or(call.waited.as_deref())
    }

    pub fn agents(&self) -> impl Iterator<Item = (Ix, &Agent)> {
        self.agents.iter()
    }

    pub fn queues(&self) -> impl Iterator<Item = (Ix, &Queue)> {
        self.queues.iter()
    }

    pub fn tombstones(&self) -> impl Iterator<Item = &Tombstone> {
        self.tombstones.iter()
    }

    pub fn tombstone_floor(&self) -> u64 {
        self.tombstone_floor
    }

    /// Contacts held from this source.
    pub fn contacts_of(&self, source: &SourceId) -> u64 {
        self.contacts_by_source.get(source).copied().unwrap_or(0)
    }

    /// AoRs that have a contact from this source: what a snapshot of it must speak of.
    pub fn aors_of(&self, source: &SourceId) -> Vec<String> {
        self.aors
            .iter()
            .filter(|(_, aor)| aor.contacts.iter().any(|contact| contact.source == *source))
            .map(|(_, aor)| aor.name.clone())
            .collect()
    }

    /// Until when some contact of the agent is live, exactly.
    pub(crate) fn live_until(&self, agent: &Agent) -> Lease {
        if agent.entry.permanent_contact() {
            return Lease::Held;
        }
        agent
            .aors
            .iter()
            .filter_map(|ix| self.aors.get(*ix))
            .map(Aor::live_until)
            .max()
            .unwrap_or(Lease::None)
    }

    pub(crate) fn subject<'a>(&self, agent: &'a Agent, now: Time) -> Subject<'a> {
        Subject {
            agent,
            live_until: self.live_until(agent),
            paused_inbound: self.settings.paused_inbound,
            now,
        }
    }
}

/// The record under way.
pub(crate) struct Step {
    pub now: Time,
    pub by: By,
    pub facts: Vec<Fact>,
    /// Agents the facts so far have touched.
    pub agents: IxSet,
    /// Calls whose offers ended: they wait again, if they wait.
    pub calls: IxSet,
    /// Agents who were kept from a caller they had been tried for, because somebody else is free.
    pub passed_over: IxSet,
    /// Offers pushed to callers who wait.
    pub pushes: usize,
    /// What is decided at the moment is nobody's wish but the engine's.
    pub system: bool,
    /// Whose wish of earlier is carried out at the moment.
    pub on_behalf: Option<By>,
    /// Facts that deadlines made, before the input was looked at.
    pub replied_facts: usize,
}

impl Step {
    /// No more offers are pushed with this record.
    pub fn is_full(&self) -> bool {
        self.pushes >= PUSHES_PER_RECORD
    }

    /// Who makes what is decided at the moment, where that is not who made the record.
    pub fn maker(&self) -> Option<By> {
        self.on_behalf.clone().or(self.system.then_some(By::SYSTEM))
    }

    /// Whether the input itself has changed anything yet.
    pub fn changed(&self) -> bool {
        self.facts.len() > self.replied_facts
    }
}

/// Where a fact stands in the account's history.
pub(crate) struct Moment<'a> {
    pub seq: u64,
    pub at: Time,
    pub by: &'a By,
}
