//! Random lives against a small reference: a list of offers and calls, kept from the facts alone. Each invariant of
//! durability.md §2 that an account can break is a function of that name.

#![cfg(test)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::choice::{Candidate, Ranks};
use common::commands::{Cmd, Driver, Pass, life};
use common::oracle::{self, Seen};
use common::store;
use proptest::prelude::*;
use ringfence_core::agent::{Agent, By, Status};
use ringfence_core::call::MEMORY_MS;
use ringfence_core::fact::{Change, Fact};
use ringfence_core::fence::OfferKind;
use ringfence_core::input::{ActionInput, Ask, Reply, Verb};
use ringfence_core::offer::{Cause, Fence, OfferEntry, Outcome, Target};
use ringfence_core::queue::Strategy as QueueStrategy;
use ringfence_core::{Account, AgentId, CallId, Input, OfferId, QueueId, Refusal, StepOutcome, Time};

/// An offer as the reference knows it.
#[derive(Debug, Clone)]
struct Known {
    entry: OfferEntry,
    expires_at: Time,
    /// How it ended, whether by its lease, and when.
    end: Option<(Outcome, bool, Time)>,
}

#[derive(Debug, Default)]
struct Reference {
    offers: BTreeMap<OfferId, Known>,
    misses: BTreeMap<AgentId, u32>,
    ended_calls: BTreeMap<CallId, Time>,
    /// Who was tried in vain for a call, and since when nothing of the call is live.
    tried: BTreeMap<CallId, BTreeSet<AgentId>>,
    ranks: Ranks,
    latest: Option<Fence>,
    granted: u64,
    ended: u64,
    /// Nothing was due: a record holds one input's facts, and its end is what they were decided from.
    ticked: bool,
}

impl Reference {
    /// One that knows what made the driver's world.
    fn of(driver: &Driver) -> Self {
        let mut reference = Self::default();
        for record in &driver.world.journal {
            for fact in &record.facts {
                reference.ranks.take_in(fact, record.at, &driver.world.account);
            }
        }
        reference
    }

    fn live(&self) -> impl Iterator<Item = &Known> {
        self.offers.values().filter(|known| known.end.is_none())
    }

    fn take_in(&mut self, fact: &Fact, now: Time, account: &Account) {
        self.ranks.take_in(fact, now, account);
        match &fact.change {
            Change::Granted { entry } => self.grant(entry, now),
            Change::Extended { offer, expires_at } => {
                let known = self.offers.get_mut(offer).expect("only a known offer is extended");
                assert!(known.end.is_none(), "only a live offer is extended");
                known.expires_at = *expires_at;
            }
            Change::OfferEnded { offer, outcome, lease_over, misses, .. } => {
                let agent = self.end(offer, outcome.clone(), *lease_over, now);
                let counted =
                    *outcome == Outcome::NoAnswer && self.offers[offer].entry.offer.queue_id.is_some();
                let before = self.misses.get(&agent).copied().unwrap_or(0);
                assert_eq!(
                    *misses,
                    before + u32::from(counted),
                    "misses count queue offers that were not answered"
                );
                self.misses.insert(agent, *misses);
                if self.ticked {
                    a_rescind_has_its_cause(outcome, &self.offers[offer].entry, account);
                }
            }
            Change::Answered { offer, call } => {
                let agent = self.end(offer, Outcome::Accepted, false, now);
                self.misses.insert(agent, 0);
                assert_eq!(call.fence, self.offers[offer].entry.offer.fence);
            }
            Change::StatusSet { agent, misses_reset: true, .. } | Change::AgentRemoved { agent } => {
                self.misses.remove(agent);
            }
            Change::CallEnded { call_id } => {
                self.ended_calls.insert(call_id.clone(), now);
            }
            Change::Settings(_)
            | Change::AgentPut { .. }
            | Change::QueuePut { .. }
            | Change::QueueRemoved { .. }
            | Change::ReasonPut { .. }
            | Change::ReasonRemoved { .. }
            | Change::Joined { .. }
            | Change::Left { .. }
            | Change::StatusSet { misses_reset: false, .. }
            | Change::Bound { .. }
            | Change::Unbound { .. }
            | Change::Settled { .. }
            | Change::ExternalBegan { .. }
            | Change::ExternalOver { .. }
            | Change::LegKnown { .. }
            | Change::LegEnded { .. }
            | Change::WrapUpEnded { .. }
            | Change::WrapUpMoved { .. }
            | Change::CallSeen { .. }
            | Change::CooldownOver { .. }
            | Change::Enqueued { .. }
            | Change::Dequeued { .. }
            | Change::Acted { .. }
            | Change::PendingSet { .. }
            | Change::ClockLogoutSet { .. } => {}
        }
    }

    fn grant(&mut self, entry: &OfferEntry, now: Time) {
        let offer = &entry.offer;
        assert!(self.latest < Some(offer.fence), "F2: tokens strictly increase");
        self.latest = Some(offer.fence);
        // One live offer per call, a group excepted, which is granted at one moment.
        for known in self.live().filter(|known| known.entry.offer.call_id == offer.call_id) {
            let together =
                known.entry.offer.granted_at == now && known.entry.offer.agent_id != offer.agent_id;
            let group = oracle::leader(entry) == oracle::leader(&known.entry);
            assert!(together && group, "F1: {:?} has two live offers", offer.call_id);
        }
        let forgotten =
            |known: &Known| known.end.as_ref().is_some_and(|(_, _, at)| now.since(*at) > MEMORY_MS);
        assert!(self.offers.get(&offer.offer_id).is_none_or(forgotten), "F3: an offer id is granted once");
        assert_eq!(offer.expires_at, now.plus_ms(entry.lease_ms));
        let absorbed = self.ended_calls.get(&offer.call_id).is_some_and(|at| now.since(*at) <= MEMORY_MS);
        assert!(!absorbed, "R5: an ended call is offered to nobody");
        self.granted += 1;
        let known = Known { entry: entry.clone(), expires_at: offer.expires_at, end: None };
        self.offers.insert(offer.offer_id.clone(), known);
    }

    fn end(&mut self, offer: &OfferId, outcome: Outcome, lease_over: bool, now: Time) -> AgentId {
        let known = self.offers.get_mut(offer).expect("only a known offer ends");
        assert!(known.end.is_none(), "F6: an offer ends once");
        assert!(!lease_over || known.expires_at <= now, "F7: a lease is never over before its end");
        self.ended += 1;
        let agent = known.entry.offer.agent_id.clone();
        if outcome != Outcome::Accepted {
            self.tried.entry(known.entry.offer.call_id.clone()).or_default().insert(agent.clone());
        }
        known.end = Some((outcome, lease_over, now));
        agent
    }

    /// What a step on an offer must be answered with, by the table of model.md §3.
    fn answer(&self, offer: &OfferId, fence: Fence, verb: &Verb) -> &'static str {
        let Some(known) = self.offers.get(offer) else { return "unknown_offer" };
        if known.entry.offer.fence != fence {
            return "stale_fence";
        }
        match (&known.end, verb) {
            (None, _) => "ok",
            (Some((_, true, _)), _) => "lease_expired",
            (Some((Outcome::Accepted, ..)), Verb::Answer { .. })
            | (Some((Outcome::Rejected, ..)), Verb::Reject)
            | (Some((Outcome::Busy, ..)), Verb::Busy)
            | (Some((Outcome::NoAnswer, ..)), Verb::NoAnswer)
            | (Some((Outcome::Cancelled, ..)), Verb::Cancel) => "unchanged",
            (Some((Outcome::Failed(code), ..)), Verb::Failed { code: again }) if code == again => "unchanged",
            (Some(_), _) => "offer_ended",
        }
    }

    /// Nothing of what could be forgotten by now: then no answer depends on when it really is.
    fn remembers(&self, offer: &OfferId, now: Time) -> bool {
        let end = self.offers.get(offer).and_then(|known| known.end.as_ref());
        end.is_none_or(|(_, _, at)| now.since(*at) <= MEMORY_MS)
    }
}

fn a_rescind_has_its_cause(outcome: &Outcome, entry: &OfferEntry, account: &Account) {
    let Some(agent) = account.agent(&entry.offer.agent_id) else { return };
    let Outcome::Rescinded(cause) = outcome else { return };
    match cause {
        Cause::Paused => assert!(matches!(agent.status, Status::OnBreak(_))),
        Cause::Logout => assert_eq!(agent.status, Status::Offline),
        Cause::Unreachable => assert!(!agent.standing.reachable),
        Cause::ExternalCall => assert!(!agent.external.is_empty()),
        Cause::Removed => {
            let queue = entry.offer.queue_id.as_ref().expect("the agent is there, so the queue is not");
            assert!(account.queue(queue).is_none());
        }
        Cause::Supervisor => assert_eq!(agent.live_offers().count(), 0),
        Cause::RouterGone => panic!("nobody asked for {cause:?}"),
    }
}

fn f6_granted_is_live_and_ended(reference: &Reference, account: &Account) {
    let live: BTreeSet<&OfferId> = reference.live().map(|known| &known.entry.offer.offer_id).collect();
    assert_eq!(reference.granted, u64::try_from(live.len()).unwrap() + reference.ended);
    assert_eq!(reference.granted, account.grants());
    let held: BTreeSet<&OfferId> = account.agents().flat_map(|(_, agent)| agent.live_offers()).collect();
    assert_eq!(held, live, "the reference and the account know the same live offers");
}

/// Whoever answers ends the race: in the same record, and as lost, for all the others.
fn f1_a_group_has_one_winner(reference: &Reference, outcome: &StepOutcome) {
    let facts: Vec<&Change> = outcome.record.iter().flat_map(|r| &r.facts).map(|fact| &fact.change).collect();
    let won = |of: &CallId| {
        facts.iter().any(|change| matches!(change, Change::Answered { call, .. } if call.call_id == *of))
    };
    for known in reference.live() {
        assert!(!won(&known.entry.offer.call_id), "F1: a race goes on after its end");
    }
    for change in &facts {
        if let Change::OfferEnded { offer, outcome: Outcome::LostRace, .. } = change {
            assert!(won(&reference.offers[offer].entry.offer.call_id), "nobody won {offer:?}'s race");
        }
    }
}

fn misses_are_as_counted(reference: &Reference, account: &Account) {
    for (_, agent) in account.agents() {
        assert_eq!(agent.misses, reference.misses.get(&agent.id).copied().unwrap_or(0), "{:?}", agent.id);
    }
}

/// Whoever could be offered this call, as `Seen` has it, before the step.
struct Eligible {
    agents: Vec<AgentId>,
    /// Those to be chosen, by the naive reference.
    choice: Vec<AgentId>,
    /// Whether the reference can tell (tiers that wait depend on what the call went through).
    sure: bool,
}

impl Eligible {
    /// Nobody else was asked for.
    fn only(agents: Vec<AgentId>, sure: bool) -> Self {
        Self { choice: agents.first().cloned().into_iter().collect(), agents, sure }
    }
}

fn eligible(
    seen: &Seen<'_>,
    reference: &Reference,
    queue: &QueueId,
    (call, exclude): (&CallId, &[AgentId]),
    now: Time,
) -> Eligible {
    let account = seen.account;
    let Some(known) = account.queue(queue) else { return Eligible::only(Vec::new(), true) };
    let place = account.queues().find(|(_, q)| q.id == *queue).map(|(ix, _)| ix).expect("a place");
    let fresh = reference.tried.get(call).is_none_or(BTreeSet::is_empty);
    let passes = |agent: &Agent| {
        seen.failing_for(agent, queue, now).is_empty()
            && !exclude.contains(&agent.id)
            && !is_within(agent, call)
    };
    let ready = account.agents().filter(|(_, agent)| seen.failing(agent, OfferKind::Queue, now).is_empty());
    let candidates: Vec<Candidate<'_>> = ready
        .filter_map(|(ix, agent)| {
            let membership = agent.membership(place)?;
            Some(Candidate { ix, agent, membership: *membership, passes: passes(agent) })
        })
        .collect();
    let choice = reference.ranks.choose(queue, known.settings.strategy, &candidates, account.grants(), now);
    let agents = candidates.iter().filter(|c| c.passes).map(|c| c.agent.id.clone()).collect();
    Eligible { agents, choice, sure: known.settings.tier_wait_sec == 0 && fresh }
}

/// Nobody is offered a call they are in.
fn is_within(agent: &Agent, call: &CallId) -> bool {
    agent.calls().any(|own| own.call_id == *call)
}

/// What is known of a reserve before it is made: nothing is due then.
struct Before {
    eligible: Eligible,
    retry: Option<&'static str>,
    call_is_open: bool,
}

fn before_reserve(driver: &Driver, reference: &Reference, input: &Input) -> Option<Before> {
    let now = driver.world.now;
    let seen = Seen::of(&driver.world.account);
    let (target, queue, ask, eligible) = if let Input::ReserveQueue { queue, ask, exclude, prefer } = input {
        let mut eligible = eligible(&seen, reference, queue, (&ask.call, exclude), now);
        if let Some(preferred) = prefer.iter().find(|id| eligible.agents.contains(id)) {
            eligible.choice = vec![preferred.clone()];
        }
        (Target::Queue(queue.clone()), Some(queue), ask, eligible)
    } else if let Input::ReserveAgent { agent, queue: Some(queue), ask } = input {
        let Eligible { mut agents, sure, .. } = eligible(&seen, reference, queue, (&ask.call, &[]), now);
        agents.retain(|id| id == agent);
        (Target::Agent(agent.clone()), Some(queue), ask, Eligible::only(agents, sure))
    } else if let Input::ReserveAgent { agent, queue: None, ask } = input {
        let offerable = |agent: &&Agent| {
            seen.failing(agent, OfferKind::Direct, now).is_empty() && !is_within(agent, &ask.call)
        };
        let known = driver.world.account.agent(agent).filter(offerable);
        let agents = known.map(|agent| agent.id.clone()).into_iter().collect();
        (Target::Agent(agent.clone()), None, ask, Eligible::only(agents, true))
    } else if let Input::SelfReserve { agent, ask } = input {
        let may = |agent: &&Agent| {
            seen.failing(agent, OfferKind::Own, now).is_empty() && !is_within(agent, &ask.call)
        };
        let agents = driver.world.account.agent(agent).filter(may).map(|agent| agent.id.clone());
        (Target::Own(agent.clone()), None, ask, Eligible::only(agents.into_iter().collect(), true))
    } else {
        return None;
    };
    let live = reference.live().any(|known| known.entry.offer.call_id == ask.call);
    let call_is_open = !live && !reference.ended_calls.contains_key(&ask.call);
    Some(Before { eligible, retry: retry(reference, &target, queue, ask, now), call_is_open })
}

/// F3: what an offer id that is known already must be answered with.
fn retry(
    r: &Reference,
    target: &Target,
    queue: Option<&QueueId>,
    ask: &Ask,
    now: Time,
) -> Option<&'static str> {
    let id = ask.offer.as_ref()?;
    let known = r.offers.get(id)?;
    if !r.remembers(id, now) {
        return Some("either");
    }
    let entry = &known.entry;
    let same = entry.target == *target
        && entry.offer.queue_id.as_ref() == queue
        && entry.offer.call_id == ask.call
        && entry.asked_lease_ms == ask.lease_ms;
    Some(if same { "same" } else { "offer_id_reused" })
}

fn f3_and_f5_hold_of_a_reserve(before: &Before, reference: &Reference, outcome: &StepOutcome) {
    match (&outcome.reply, before.retry) {
        (Ok(Reply::Granted { grant, changed: false }), Some("same")) => {
            let known = &reference.offers[&grant.offer.offer_id];
            assert_eq!(grant.offer.fence, known.entry.offer.fence, "F3: the same grant");
            assert_eq!(
                grant.outcome.as_ref(),
                known.end.as_ref().map(|(how, ..)| how),
                "and its present outcome"
            );
            assert!(outcome.record.is_none());
        }
        (Err(refusal), Some("offer_id_reused")) => assert_eq!(refusal.code(), "offer_id_reused"),
        // Forgotten with the next record after ten minutes, so perhaps not yet.
        (_, Some("either")) => {}
        (reply, Some(retry)) => panic!("{reply:?} to a retry that is {retry}"),
        (Ok(Reply::Granted { grant, changed: true }), None) => {
            let (grants, eligible) = (std::iter::once(grant).chain(&grant.group), &before.eligible);
            let chosen: Vec<AgentId> = grants.map(|grant| grant.offer.agent_id.clone()).collect();
            if eligible.sure {
                let may = |agent| eligible.agents.contains(agent);
                assert!(chosen.iter().all(may), "F5: one of {chosen:?} fails a clause");
                assert_eq!(chosen, eligible.choice, "preferred, else tier, strategy, position, id");
            }
        }
        (Err(Refusal::NotOfferable { .. } | Refusal::NoAgent { .. }), None) if before.eligible.sure => {
            assert_eq!(before.eligible.agents, [], "refused although somebody could be offered the call");
        }
        (Err(Refusal::CallAlreadyOffered { .. } | Refusal::CallEnded { .. }), None) => {
            assert!(!before.call_is_open, "the call has neither ended nor a live offer");
        }
        (Err(_), None) => {}
        (Ok(other), None) => panic!("{other:?} to a reserve"),
    }
}

/// What a supervisor's action would do, by its dry run, which does nothing.
fn planned(driver: &mut Driver, input: &Input, by: &By) -> Option<Vec<Change>> {
    let Input::Act(action) = input else { return None };
    let image = store::image_bytes(&driver.world.account);
    let asked = Input::Act(ActionInput { dry_run: true, ..action.clone() });
    let outcome = driver.world.step_by(asked, by);
    assert!(outcome.record.is_none() && store::image_bytes(&driver.world.account) == image);
    match outcome.reply {
        Ok(Reply::Planned { changes, .. }) => Some(changes),
        Ok(other) => panic!("{other:?} to a dry run"),
        Err(_) => Some(Vec::new()),
    }
}

/// One command at a moment at which nothing is due, so that its answer is that of the input alone.
fn command(driver: &mut Driver, reference: &mut Reference, cmd: &Cmd) {
    let now = driver.world.now;
    let (input, by) = driver.input(cmd);
    let before = before_reserve(driver, reference, &input);
    let verb = if let Input::Offer { offer, fence, verb } = &input
        && reference.remembers(offer, now)
    {
        Some((reference.answer(offer, *fence, verb), store::image_bytes(&driver.world.account)))
    } else {
        None
    };
    let planned = planned(driver, &input, &by);
    let outcome = driver.world.step_by(input, &by);
    if let Some(planned) = planned {
        let done = outcome.record.iter().flat_map(|record| &record.facts).map(|fact| fact.change.clone());
        let done: Vec<Change> = done.filter(|change| !matches!(change, Change::Acted { .. })).collect();
        assert_eq!(planned, done, "a dry run tells what is then done, and nothing else");
    }
    if let Some(before) = before {
        f3_and_f5_hold_of_a_reserve(&before, reference, &outcome);
    }
    if let Some((expected, image)) = verb {
        let said = match &outcome.reply {
            Ok(Reply::Granted { changed: false, .. }) if expected != "ok" => "unchanged",
            Ok(_) => "ok",
            Err(Refusal::Invalid { .. }) => expected,
            Err(refusal) => refusal.code(),
        };
        assert_eq!(said, expected);
        if expected != "ok" {
            assert!(store::image_bytes(&driver.world.account) == image, "F4: a refused step changes nothing");
        }
    }
    take_in(driver, reference, &outcome);
}

fn take_in(driver: &Driver, reference: &mut Reference, outcome: &StepOutcome) {
    let account = &driver.world.account;
    for fact in outcome.record.iter().flat_map(|record| &record.facts) {
        reference.take_in(fact, driver.world.now, account);
        if let Change::Granted { entry } = &fact.change {
            let agent = account.agent(&entry.offer.agent_id).expect("whoever is granted is there");
            assert!(agent.busy() <= usize::from(agent.entry.capacity), "F1: one live offer or call per slot");
        }
    }
    f1_a_group_has_one_winner(reference, outcome);
    assert!(!outcome.more, "so few agents fit into one record");
    oracle::check(account, driver.world.now);
    f6_granted_is_live_and_ended(reference, account);
    misses_are_as_counted(reference, account);
}

fn l1_nobody_is_stuck_once_the_world_is_quiet(driver: &mut Driver, reference: &mut Reference) {
    let mut ticks = 0;
    while let Some(due) = driver.world.account.next_deadline() {
        driver.world.now = driver.world.now.max(due);
        let outcome = driver.world.step(Input::Tick);
        take_in(driver, reference, &outcome);
        ticks += 1;
        assert!(ticks < 1_000, "L1: deadlines come to an end");
    }
    let seen = Seen::of(&driver.world.account);
    for (_, agent) in driver.world.account.agents() {
        assert!(agent.slots.is_empty() && agent.external.is_empty(), "L1: {:?} is stuck", agent.id);
        assert_eq!(agent.cooldown_until, None, "L1: {:?} cools down for ever", agent.id);
        let able = agent.entry.is_agent && agent.entry.active && agent.entry.voice;
        let wants = agent.status == Status::Available && seen.reachable(agent, driver.world.now);
        let offerable = seen.failing(agent, OfferKind::Queue, driver.world.now).is_empty();
        assert!(offerable || !(able && wants), "L1: {:?} is not offerable", agent.id);
    }
    assert_eq!(reference.live().count(), 0, "L1: no offer lives on");
}

fn live_through(mut driver: Driver, life: &[(Pass, Cmd)]) {
    let mut reference = Reference { ticked: true, ..Reference::of(&driver) };
    for (pass, cmd) in life {
        driver.pass(*pass);
        let outcome = driver.world.step(Input::Tick);
        take_in(&driver, &mut reference, &outcome);
        command(&mut driver, &mut reference, cmd);
    }
    l1_nobody_is_stuck_once_the_world_is_quiet(&mut driver, &mut reference);
}

proptest! {
    #![proptest_config(common::cases(160))]

    #[test]
    fn f1_to_f7_hold_and_answers_are_those_of_the_reference(life in life(140)) {
        live_through(Driver::new(), &life);
    }

    #[test]
    fn whoever_is_picked_is_the_naive_choice_of_the_strategy(
        strategy in prop::sample::select(QueueStrategy::ALL.to_vec()),
        life in life(140),
    ) {
        live_through(Driver::choosing(strategy), &life);
    }

    /// The same without a tick before each command: what is due is found due by whatever comes.
    #[test]
    fn f1_to_f7_hold_also_when_no_timer_ever_fires(life in life(140)) {
        let mut driver = Driver::new();
        let mut reference = Reference::of(&driver);
        for (pass, cmd) in &life {
            driver.pass(*pass);
            let outcome = driver.step(cmd);
            take_in(&driver, &mut reference, &outcome);
        }
        l1_nobody_is_stuck_once_the_world_is_quiet(&mut driver, &mut reference);
    }
}
