//! Snapshots: an account as a head and pages, so that a checkpoint writes only what changed since the last one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::account::{Account, Tombstone};
use crate::agent::{Agent, Slot};
use crate::call::Call;
use crate::contact::Aor;
use crate::deadline::Deadline;
use crate::id::{AccountId, AgentId, CallId, ReasonId};
use crate::input::{AccountSettings, PauseReason};
use crate::offer::{Fence, OfferEntry};
use crate::queue::Queue;
use crate::slab::Ix;
use crate::time::Time;

/// Entries of one page.
pub const PAGE_SIZE: u32 = 64;

/// Names a page within an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageKey {
    Head,
    Agents(u32),
    Queues(u32),
    Aors(u32),
    Offers(u32),
    Calls(u32),
}

impl PageKey {
    pub(crate) const fn agent(ix: Ix) -> Self {
        Self::Agents(ix.0 / PAGE_SIZE)
    }

    pub(crate) const fn queue(ix: Ix) -> Self {
        Self::Queues(ix.0 / PAGE_SIZE)
    }

    pub(crate) const fn aor(ix: Ix) -> Self {
        Self::Aors(ix.0 / PAGE_SIZE)
    }

    pub(crate) const fn offer(n: u64) -> Self {
        Self::Offers((n / PAGE_SIZE as u64) as u32)
    }

    pub(crate) const fn call(number: u64) -> Self {
        Self::Calls((number / PAGE_SIZE as u64) as u32)
    }
}

/// Pages that changed since they were last taken.
#[derive(Debug, Clone)]
pub(crate) enum DirtyPages {
    /// No snapshot is ever taken.
    Untracked,
    Tracked(BTreeSet<PageKey>),
}

impl Default for DirtyPages {
    fn default() -> Self {
        Self::Tracked(BTreeSet::new())
    }
}

impl DirtyPages {
    pub fn insert(&mut self, key: PageKey) {
        match self {
            Self::Untracked => {}
            Self::Tracked(keys) => {
                keys.insert(key);
            }
        }
    }

    fn take(&mut self) -> Vec<PageKey> {
        match self {
            Self::Untracked => Vec::new(),
            Self::Tracked(keys) => std::mem::take(keys).into_iter().collect(),
        }
    }
}

/// What of an account stands in no page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub seq: u64,
    pub last_fence: Option<Fence>,
    pub grants: u64,
    pub call_count: u64,
    pub settings: AccountSettings,
    pub reasons: BTreeMap<ReasonId, PauseReason>,
    pub ended_externals: Vec<(Time, AgentId, CallId)>,
    pub tombstones: Vec<Tombstone>,
    pub tombstone_floor: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Page {
    Agents(Vec<(Ix, Agent)>),
    Queues(Vec<(Ix, Queue)>),
    Aors(Vec<(Ix, Aor)>),
    Offers(Vec<OfferEntry>),
    Calls(Vec<Call>),
}

/// The pages that changed since they were last taken; None: the page is empty now.
#[derive(Debug, Clone, PartialEq)]
pub struct Dirty {
    pub head: Head,
    pub pages: Vec<(PageKey, Option<Page>)>,
}

impl Account {
    /// Takes the changed pages, as of the last record.
    pub fn take_dirty(&mut self) -> Dirty {
        let keys = self.dirty.take();
        Dirty { head: self.head(), pages: self.pages(&keys) }
    }

    /// Marks pages as changed again, after a snapshot that could not be written.
    pub fn mark_dirty(&mut self, keys: impl IntoIterator<Item = PageKey>) {
        keys.into_iter().for_each(|key| self.dirty.insert(key));
    }

    /// The whole account: what two accounts that are equal have in common.
    pub fn image(&self) -> Dirty {
        let mut keys: BTreeSet<PageKey> = BTreeSet::new();
        keys.extend(self.agents.iter().map(|(ix, _)| PageKey::agent(ix)));
        keys.extend(self.queues.iter().map(|(ix, _)| PageKey::queue(ix)));
        keys.extend(self.aors.iter().map(|(ix, _)| PageKey::aor(ix)));
        // Order of a hash map does not show: the keys are sorted here, the entries in `pages`.
        keys.extend(self.offers.values().map(|entry| PageKey::offer(entry.offer.fence.n)));
        keys.extend(self.calls.values().map(|call| PageKey::call(call.number)));
        let keys: Vec<PageKey> = keys.into_iter().collect();
        Dirty { head: self.head(), pages: self.pages(&keys) }
    }

    fn head(&self) -> Head {
        Head {
            seq: self.seq,
            last_fence: self.last_fence,
            grants: self.grants,
            call_count: self.call_count,
            settings: self.settings.clone(),
            reasons: self.reasons.clone(),
            ended_externals: self.ended_externals.iter().cloned().collect(),
            tombstones: self.tombstones.iter().cloned().collect(),
            tombstone_floor: self.tombstone_floor,
        }
    }

    fn pages(&self, keys: &[PageKey]) -> Vec<(PageKey, Option<Page>)> {
        let mut offers: BTreeMap<PageKey, Vec<OfferEntry>> = BTreeMap::new();
        if keys.iter().any(|key| matches!(key, PageKey::Offers(_))) {
            for entry in self.offers.values() {
                offers.entry(PageKey::offer(entry.offer.fence.n)).or_default().push(entry.clone());
            }
        }
        let mut calls: BTreeMap<PageKey, Vec<Call>> = BTreeMap::new();
        if keys.iter().any(|key| matches!(key, PageKey::Calls(_))) {
            for call in self.calls.values() {
                calls.entry(PageKey::call(call.number)).or_default().push(call.clone());
            }
        }
        let page = |key: &PageKey| match key {
            PageKey::Head => None,
            PageKey::Agents(n) => filled(self.agents.page(*n, PAGE_SIZE)).map(Page::Agents),
            PageKey::Queues(n) => filled(self.queues.page(*n, PAGE_SIZE)).map(Page::Queues),
            PageKey::Aors(n) => filled(self.aors.page(*n, PAGE_SIZE)).map(Page::Aors),
            PageKey::Offers(_) => offers.get(key).cloned().map(|mut entries| {
                entries.sort_by_key(|entry| entry.offer.fence.n);
                Page::Offers(entries)
            }),
            PageKey::Calls(_) => calls.get(key).cloned().map(|mut entries| {
                entries.sort_by_key(|call| call.number);
                Page::Calls(entries)
            }),
        };
        keys.iter().filter(|key| **key != PageKey::Head).map(|key| (*key, page(key))).collect()
    }

    /// An account as of a snapshot; records after it are to be replayed.
    pub fn restore(id: AccountId, term: u64, head: Head, pages: impl IntoIterator<Item = Page>) -> Self {
        let mut account = Self::new(id, term);
        account.seq = head.seq;
        account.last_fence = head.last_fence;
        account.grants = head.grants;
        account.call_count = head.call_count;
        account.settings = head.settings;
        account.reasons = head.reasons;
        for (_, agent, call) in &head.ended_externals {
            *account.ended_external_ids.entry((call.clone(), agent.clone())).or_default() += 1;
        }
        account.ended_externals = head.ended_externals.into();
        account.tombstones = head.tombstones.into();
        account.tombstone_floor = head.tombstone_floor;
        for page in pages {
            account.load(page);
        }
        account.rebuild();
        account
    }

    fn load(&mut self, page: Page) {
        match page {
            Page::Agents(entries) => {
                for (ix, mut agent) in entries {
                    agent.ringable = Some(agent.ringable());
                    agent.ranked = agent.tally;
                    self.agents.restore(ix, agent);
                }
            }
            Page::Queues(entries) => {
                entries.into_iter().for_each(|(ix, queue)| self.queues.restore(ix, queue));
            }
            Page::Aors(entries) => entries.into_iter().for_each(|(ix, aor)| self.aors.restore(ix, aor)),
            Page::Offers(entries) => {
                entries.into_iter().for_each(|entry| _ = self.offers.insert(entry));
            }
            Page::Calls(entries) => {
                entries.into_iter().for_each(|call| _ = self.calls.insert(call));
            }
        }
    }

    /// Everything that is derived from what the pages hold.
    fn rebuild(&mut self) {
        for (ix, queue) in self.queues.iter() {
            self.queue_by_id.insert(queue.id.clone(), ix);
        }
        for (ix, agent) in self.agents.iter() {
            self.agent_by_id.insert(agent.id.clone(), ix);
            self.counts.enter(agent.standing.bucket);
            for address in &agent.entry.addresses {
                self.agent_by_address.insert(address.target.clone(), ix);
            }
            for membership in &agent.memberships {
                if let Some(queue) = self.queues.get_mut(membership.queue) {
                    queue.enter(ix, agent, membership);
                }
            }
            arm_agent(&mut self.deadlines, ix, agent);
            // When a grace under way began is not known any more: it ends with the first tick.
            if agent.standing.debounced() {
                self.graces.insert(ix, Time::ZERO);
                self.deadlines.arm(Time::ZERO, Deadline::Grace(ix));
            }
        }
        let aors: Vec<(Ix, String)> = self.aors.iter().map(|(ix, aor)| (ix, aor.name.clone())).collect();
        self.unowned_aors = aors.len();
        for contact in self.aors.iter().flat_map(|(_, aor)| &aor.contacts) {
            *self.contacts_by_source.entry(contact.source.clone()).or_default() += 1;
        }
        for (ix, name) in aors {
            if let Some(owner) = self.owner_of(&name) {
                self.attach(ix, owner);
            }
            self.aor_by_name.insert(name, ix);
            self.arm_contacts(ix);
        }
        let waiting: Vec<Ix> =
            self.calls.iter().filter(|(_, call)| call.waiting.is_some()).map(|(place, _)| place).collect();
        waiting.into_iter().for_each(|place| self.line_up(place));
        // Who is free and who waits may have changed while nobody looked.
        for (ix, _) in self.queues.iter().filter(|(_, queue)| !queue.line.open.is_empty()) {
            self.deadlines.arm(Time::ZERO, Deadline::Line(ix));
        }
        // A setting may have turned just before the stop.
        self.deadlines.arm(Time::ZERO, Deadline::Resettle(Ix(0)));
        let mut ended: Vec<(Time, u64, Ix)> = Vec::new();
        for (place, entry) in self.offers.iter() {
            match &entry.ended {
                Some(over) => ended.push((over.at, entry.offer.fence.n, place)),
                None => self.deadlines.arm(entry.offer.expires_at, entry.deadline(place)),
            }
        }
        ended.sort_unstable();
        self.ended_offers = ended.into_iter().map(|(at, _, place)| (at, place)).collect();
        let mut idle: Vec<(Time, u64, Ix)> = self
            .calls
            .iter()
            .filter_map(|(place, call)| Some((call.idle_since?, call.number, place)))
            .collect();
        idle.sort_unstable();
        self.idle_calls = idle.into_iter().map(|(at, _, place)| (at, place)).collect();
    }
}

fn filled<'a, T: Clone + 'a>(entries: impl Iterator<Item = (Ix, &'a T)>) -> Option<Vec<(Ix, T)>> {
    let entries: Vec<(Ix, T)> = entries.map(|(ix, entry)| (ix, entry.clone())).collect();
    (!entries.is_empty()).then_some(entries)
}

fn arm_agent(deadlines: &mut crate::deadline::Deadlines, ix: Ix, agent: &Agent) {
    for slot in &agent.slots {
        match slot {
            Slot::Offering(_) => {}
            Slot::InCall(call) => deadlines.arm(call.until, Deadline::Call(ix)),
            Slot::WrapUp(wrap_up) => deadlines.arm(wrap_up.until, Deadline::WrapUp(ix)),
        }
    }
    for call in &agent.external {
        deadlines.arm(call.until, Deadline::External(ix));
    }
    if let Some(until) = agent.cooldown_until {
        deadlines.arm(until, Deadline::Cooldown(ix));
    }
    if let Some(logout) = agent.clock_logout.as_ref().filter(|logout| !logout.due) {
        deadlines.arm(logout.at, Deadline::ClockLogout(ix));
    }
}
