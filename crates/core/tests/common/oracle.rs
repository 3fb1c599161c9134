//! Recomputes, from what an account shows, what the account derived: written from model.md, not from the code.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_core::agent::{AddressKind, Agent, Slot, Status};
use ringfence_core::bucket::{Bucket, BucketCounts, Facets, Intent, Tile};
use ringfence_core::call::Direction;
use ringfence_core::contact::Contact;
use ringfence_core::feed::Qualify;
use ringfence_core::fence::{Clause, OfferKind, PausedInbound};
use ringfence_core::input::AccountSettings;
use ringfence_core::offer::{Group, OfferEntry};
use ringfence_core::{Account, AgentId, CallId, Ix, OfferId, Page, QueueId, Time};

type Condition = fn(&Facets) -> bool;

/// model.md §7: one row per bucket, the first whose condition holds is the bucket.
pub const BUCKETS: [(Condition, Bucket); 9] = [
    (|f| f.external_call, Bucket::ExternalCall),
    (|f| !f.free_slot && f.in_call, Bucket::InCall),
    (|f| matches!(f.intent, Intent::Offline), Bucket::Offline),
    (|f| !f.reachable, Bucket::Unreachable),
    (|f| !f.free_slot && f.offering, Bucket::Ringing),
    (|f| matches!(f.intent, Intent::OnBreak), Bucket::Paused),
    (|f| !f.free_slot, Bucket::WrapUp),
    (|f| f.offerable && f.in_queue, Bucket::Ready),
    (|_| true, Bucket::Idle),
];

pub fn bucket(facets: &Facets) -> Bucket {
    BUCKETS.iter().find(|(holds, _)| holds(facets)).map(|(_, bucket)| *bucket).expect("the last always holds")
}

/// What an account shows, laid out for questions.
pub struct Seen<'a> {
    pub account: &'a Account,
    pub settings: AccountSettings,
    pub contacts: Vec<(String, Vec<Contact>)>,
    pub offers: BTreeMap<OfferId, OfferEntry>,
}

impl<'a> Seen<'a> {
    pub fn of(account: &'a Account) -> Self {
        let image = account.image();
        let (mut contacts, mut offers) = (Vec::new(), BTreeMap::new());
        for page in image.pages.into_iter().filter_map(|(_, page)| page) {
            match page {
                Page::Aors(aors) => {
                    contacts.extend(aors.into_iter().map(|(_, aor)| (aor.name, aor.contacts)))
                }
                Page::Offers(entries) => {
                    offers.extend(entries.into_iter().map(|e| (e.offer.offer_id.clone(), e)))
                }
                Page::Agents(_) | Page::Queues(_) | Page::Calls(_) => {}
            }
        }
        Self { account, settings: image.head.settings, contacts, offers }
    }

    fn owner(&self, aor: &str) -> Option<&AgentId> {
        let has = |kind: AddressKind, target: &str| {
            let holds =
                |agent: &Agent| agent.entry.addresses.iter().any(|a| a.kind == kind && a.target == target);
            self.account.agents().find(|(_, agent)| holds(agent)).map(|(_, agent)| &agent.id)
        };
        has(AddressKind::Sip, aor).or_else(|| has(AddressKind::Extension, aor.split('@').next()?))
    }

    pub fn reachable(&self, agent: &Agent, now: Time) -> bool {
        let alive = |contact: &Contact| {
            // A held contact has no end; otherwise the end itself is already too late.
            let leased = match contact.lease() {
                ringfence_core::contact::Lease::None => false,
                ringfence_core::contact::Lease::Until(end) => now < end,
                ringfence_core::contact::Lease::Held => true,
            };
            leased && contact.qualify != Qualify::Failed
        };
        let mut own = self.contacts.iter().filter(|(aor, _)| self.owner(aor) == Some(&agent.id));
        let permanent = agent.entry.sip_endpoint
            || agent.entry.addresses.iter().any(|address| address.kind == AddressKind::Tel && address.ring);
        permanent || own.any(|(_, contacts)| contacts.iter().any(alive))
    }

    /// Clauses 1 to 8, those that fail.
    pub fn failing(&self, agent: &Agent, kind: OfferKind, now: Time) -> BTreeSet<Clause> {
        let capacity = usize::from(agent.entry.capacity);
        let inbound = match (self.settings.paused_inbound, kind) {
            (PausedInbound::DirectAndQueue, OfferKind::Direct | OfferKind::Queue)
            | (PausedInbound::Direct, OfferKind::Direct) => true,
            (PausedInbound::Direct, OfferKind::Queue)
            | (PausedInbound::None, OfferKind::Direct | OfferKind::Queue)
            | (PausedInbound::None | PausedInbound::Direct | PausedInbound::DirectAndQueue, OfferKind::Own) => {
                false
            }
        };
        let own = kind == OfferKind::Own;
        let wants = match &agent.status {
            Status::Available => true,
            Status::Offline => false,
            Status::OnBreak(pause) if own => pause.allow_outbound,
            Status::OnBreak(pause) => pause.allow_inbound && inbound,
        };
        let busy = agent.live_offers().count() + agent.calls().count();
        let wrapping = holding(agent, now);
        let logout_due = agent.clock_logout.as_ref().is_some_and(|logout| logout.at <= now);
        let rows = [
            (Clause::IsAgent, agent.entry.is_agent),
            (Clause::Active, agent.entry.active),
            (Clause::Voice, agent.entry.voice),
            (Clause::Status, wants),
            (Clause::Slot, busy < capacity),
            (Clause::Reachable, self.reachable(agent, now)),
            (Clause::ExternalCall, agent.external.is_empty()),
            (Clause::WrapUp, own || wrapping == 0 || busy + wrapping < capacity),
            (Clause::Cooldown, own || agent.cooldown_until.is_none_or(|until| until <= now)),
            (Clause::Pending, agent.pending.is_none() && !logout_due),
        ];
        rows.into_iter().filter(|(_, ok)| !ok).map(|(clause, _)| clause).collect()
    }

    /// Clause 9, those that fail, for a call that was never offered before.
    pub fn failing_for(&self, agent: &Agent, queue: &QueueId, now: Time) -> BTreeSet<Clause> {
        let mut failing = self.failing(agent, OfferKind::Queue, now);
        let known = self.account.queue(queue).expect("the queue is there");
        let tier_of = |agent: &Agent| self.tier(agent, queue);
        let lowest = self.account.agents().filter_map(|(_, agent)| tier_of(agent)).min();
        match tier_of(agent) {
            None => {
                failing.insert(Clause::Membership);
            }
            Some(tier) if known.settings.tier_wait_sec > 0 && Some(tier) > lowest => {
                failing.insert(Clause::Tier);
            }
            Some(_) => {}
        }
        if !known.settings.tags_held(&agent.entry.tags) {
            failing.insert(Clause::Tags);
        }
        failing
    }

    pub fn tier(&self, agent: &Agent, queue: &QueueId) -> Option<u8> {
        let row = self.account.row(&agent.id)?;
        let mut queues = row.directory.as_ref()?.queues.iter();
        queues.find(|membership| membership.queue_id == *queue).map(|membership| membership.tier)
    }

    pub fn facets(&self, agent: &Agent, now: Time) -> Facets {
        let capacity = usize::from(agent.entry.capacity);
        let busy = agent.live_offers().count() + agent.calls().count();
        let wrapping = holding(agent, now);
        Facets {
            external_call: !agent.external.is_empty(),
            in_call: agent.calls().next().is_some(),
            offering: agent.live_offers().next().is_some(),
            free_slot: busy + wrapping < capacity,
            intent: agent.status.intent(),
            // Debounced: what is shown is checked against the exact one by `check`.
            reachable: agent.standing.reachable,
            offerable: self.failing(agent, OfferKind::Queue, now).is_empty(),
            in_queue: !agent.memberships.is_empty(),
        }
    }
}

/// Slots that running wrap-ups hold: each its own, but for one that a call of the agent's own has taken meanwhile.
fn holding(agent: &Agent, now: Time) -> usize {
    let running = agent.wrap_ups().filter(|wrap_up| now < wrap_up.until);
    running.filter(|wrap_up| wrap_up.taken_by.is_none()).count()
}

/// Every invariant that can be seen in an account at rest, after a step at `now` that left nothing due.
pub fn check(account: &Account, now: Time) {
    let seen = Seen::of(account);
    assert!(account.next_deadline().is_none_or(|at| now < at), "nothing is left due");
    for (_, agent) in account.agents() {
        f1_slots_hold_live_offers_of_their_own(&seen, agent);
        standing_is_what_the_facts_say(&seen, agent, now);
        intervals_partition_time(agent, now);
        what_is_next_waits_for_its_moment_alone(&seen, agent, now);
    }
    f1_a_call_has_one_live_offer_or_one_group(&seen);
    f7_no_live_offer_is_overdue(&seen, now);
    counts_equal_a_recount(account);
    queues_know_who_is_ready(account);
}

fn f1_slots_hold_live_offers_of_their_own(seen: &Seen<'_>, agent: &Agent) {
    let held: Vec<&OfferId> = agent.live_offers().collect();
    let live: BTreeSet<&OfferId> = seen
        .offers
        .values()
        .filter(|entry| entry.ended.is_none() && entry.offer.agent_id == agent.id)
        .map(|entry| &entry.offer.offer_id)
        .collect();
    assert_eq!(held.len(), live.len(), "F1: one slot per live offer of {:?}", agent.id);
    assert!(held.iter().all(|id| live.contains(*id)), "F1: {:?} holds what is not live", agent.id);
    for slot in &agent.slots {
        match slot {
            Slot::InCall(call) => {
                // By its token: the id may be used again once the offer is forgotten, its call going on.
                let twice = agent.calls().filter(|other| other.fence == call.fence).count();
                assert_eq!(twice, 1, "F1: an offer is answered into one slot");
                let legs = agent.calls().filter(|other| other.call_id == call.call_id).count();
                assert_eq!(legs, 1, "nobody is in a call twice");
            }
            Slot::WrapUp(wrap_up) => {
                let twice = agent.wrap_ups().filter(|other| other.fence == wrap_up.fence).count();
                assert_eq!(twice, 1, "a call is wrapped up once");
                assert!(wrap_up.until <= wrap_up.limit, "no wrap-up goes beyond its bound");
                let offers = agent.live_offers().filter_map(|id| Some(&seen.offers.get(id)?.offer));
                let offers = offers.map(|offer| (offer.fence, offer.direction));
                let mut own = offers.chain(agent.calls().map(|call| (call.fence, call.direction)));
                let taker = wrap_up.taken_by.map(|by| (by, Direction::Outbound));
                assert!(taker.is_none_or(|by| own.any(|held| held == by)), "a slot is taken by what lives");
            }
            Slot::Offering(_) => {}
        }
    }
}

/// The offer by which the one group is known that this one is of; its own, where it was rung alone.
pub fn leader(entry: &OfferEntry) -> &OfferId {
    match &entry.group {
        Some(Group::Follows(leader)) => leader,
        Some(Group::Leads(_)) | None => &entry.offer.offer_id,
    }
}

fn f1_a_call_has_one_live_offer_or_one_group(seen: &Seen<'_>) {
    let mut calls: BTreeMap<&CallId, &OfferId> = BTreeMap::new();
    for entry in seen.offers.values().filter(|entry| entry.ended.is_none()) {
        let known = calls.insert(&entry.offer.call_id, leader(entry));
        let one = known.is_none_or(|known| known == leader(entry));
        assert!(one, "F1: {:?} has two live offers", entry.offer.call_id);
        assert!(seen.account.agent(&entry.offer.agent_id).is_some(), "a live offer has an agent");
    }
}

fn f7_no_live_offer_is_overdue(seen: &Seen<'_>, now: Time) {
    for entry in seen.offers.values() {
        match &entry.ended {
            None => assert!(now < entry.offer.expires_at, "F7: {:?} is overdue", entry.offer.offer_id),
            Some(ended) if ended.lease_over => {
                assert!(ended.at >= entry.offer.expires_at, "F7: {:?} ended early", entry.offer.offer_id);
            }
            Some(_) => {}
        }
    }
}

fn standing_is_what_the_facts_say(seen: &Seen<'_>, agent: &Agent, now: Time) {
    let standing = &agent.standing;
    let failing: BTreeSet<Clause> = standing.failing.iter().collect();
    assert_eq!(failing, seen.failing(agent, OfferKind::Queue, now), "clauses of {:?}", agent.id);
    let exact = seen.reachable(agent, now);
    assert!(standing.reachable || !exact, "coming back is immediate: {:?}", agent.id);
    if standing.reachable && !exact {
        // A grace that is under way runs its course, whatever the setting says by now; none is longer than 30 s.
        let due = seen.account.next_deadline();
        assert!(due.is_some_and(|due| due <= now.plus_ms(30_000)), "{:?} is debounced for ever", agent.id);
    }
    assert_eq!(standing.bucket, bucket(&seen.facets(agent, now)), "bucket of {:?}", agent.id);
}

fn what_is_next_waits_for_its_moment_alone(seen: &Seen<'_>, agent: &Agent, now: Time) {
    let free = seen.facets(agent, now).free_slot;
    assert!(agent.pending.is_none() || !free, "{:?} is free and still to become something", agent.id);
    if let Some(logout) = &agent.clock_logout {
        assert_eq!(logout.due, logout.at <= now, "the clock logout of {:?}", agent.id);
        assert!(
            !logout.due || agent.calls().next().is_some(),
            "{:?} is in no call and not logged out",
            agent.id
        );
    }
}

fn intervals_partition_time(agent: &Agent, now: Time) {
    let ledger = &agent.ledger;
    let closed: u64 = ledger.totals.iter().sum();
    assert_eq!(closed + now.since(ledger.since), now.since(ledger.born), "time of {:?}", agent.id);
    let paused: u64 = ledger.today.pauses.iter().map(|(_, ms)| ms).sum();
    assert_eq!(paused, ledger.today.in_bucket_ms(Bucket::Paused), "pauses of {:?}", agent.id);
}

fn counts_equal_a_recount(account: &Account) {
    let mut counts = BucketCounts::default();
    account.agents().for_each(|(_, agent)| counts.enter(agent.standing.bucket));
    assert_eq!(counts, account.counts());
    let roster = u32::try_from(account.agent_count()).unwrap();
    let tiles = account.counts().tiles();
    assert_eq!(account.counts().total(), roster, "the buckets sum to the roster");
    assert_eq!(Tile::ALL.into_iter().map(|tile| tiles.get(tile)).sum::<u32>(), roster, "so do the tiles");
}

fn queues_know_who_is_ready(account: &Account) {
    for (ix, queue) in account.queues() {
        let is_ready = |agent: &Agent, ix: Ix| {
            agent.membership(ix).is_some()
                && agent.standing.failing == ringfence_core::fence::ClauseSet::EMPTY
        };
        let ready = account.agents().filter(|(_, agent)| is_ready(agent, ix)).count();
        assert_eq!(queue.ready_count(), ready, "ready agents of {:?}", queue.id);
        assert_eq!(account.queue_row_at(ix).map(|row| row.ready as usize), Some(ready));
    }
}
