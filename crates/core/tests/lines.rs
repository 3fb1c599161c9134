//! Random lives with callers who wait: nobody waits while somebody who fits is free (L1), nobody is overtaken beyond the
//! stated bound, and the journal is the live run.

#![cfg(test)]

mod common;

use std::collections::BTreeMap;

use common::commands::{Cmd, Driver, Pass, cmd, life, nth_call, nth_queue, pass};
use common::{dequeue, enqueue_as, oracle, requeue, router_down, router_up, store};
use proptest::prelude::*;
use ringfence_core::agent::{Agent, By};
use ringfence_core::call::Call;
use ringfence_core::fact::Change;
use ringfence_core::fence::OfferKind;
use ringfence_core::{Account, AgentId, Input, Page, QueueId, StepOutcome, Time};

#[derive(Debug, Clone)]
enum Said {
    Usual(Cmd),
    Enqueue { queue: u8, call: u8, priority: u16 },
    Dequeue { call: u8 },
    Requeue { call: u8 },
    Attach { second: bool },
    Detach { second: bool },
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        10 => cmd().prop_map(Said::Usual),
        6 => (0..3_u8, 0..6_u8, prop::sample::select(vec![0_u16, 0, 0, 5]))
            .prop_map(|(queue, call, priority)| Said::Enqueue { queue, call, priority }),
        1 => (0..6_u8).prop_map(|call| Said::Dequeue { call }),
        1 => (0..6_u8).prop_map(|call| Said::Requeue { call }),
        2 => prop::bool::weighted(0.3).prop_map(|second| Said::Attach { second }),
        1 => prop::bool::weighted(0.7).prop_map(|second| Said::Detach { second }),
    ]
}

fn router(second: bool) -> &'static str {
    if second { "r2" } else { "r1" }
}

fn step(driver: &mut Driver, said: &Said) -> StepOutcome {
    let input = match said {
        Said::Usual(cmd) => return driver.step(cmd),
        Said::Enqueue { queue, call, priority } => {
            enqueue_as(nth_queue(*queue).as_str(), nth_call(*call).as_str(), *priority, "r1")
        }
        Said::Dequeue { call } => dequeue(nth_call(*call).as_str()),
        Said::Requeue { call } => requeue(nth_call(*call).as_str()),
        Said::Attach { second } => router_up(router(*second)),
        Said::Detach { second } => router_down(router(*second)),
    };
    driver.world.step_by(input, &By::ROUTER)
}

/// Ticks until nothing is due, as the engine does.
fn settle(driver: &mut Driver, mut outcome: StepOutcome) {
    while outcome.more || driver.world.account.next_deadline().is_some_and(|at| at <= driver.world.now) {
        outcome = driver.world.step_by(Input::Tick, &By::SYSTEM);
    }
}

fn calls(account: &Account) -> Vec<Call> {
    let pages = account.image().pages.into_iter().filter_map(|(_, page)| page);
    pages.flat_map(|page| if let Page::Calls(calls) = page { calls } else { Vec::new() }).collect()
}

/// Members of a queue by the rows of model.md §6, with their tiers.
fn members<'a>(seen: &oracle::Seen<'a>, queue: &QueueId) -> BTreeMap<&'a AgentId, (&'a Agent, u8)> {
    let agents = seen.account.agents();
    agents.filter_map(|(_, agent)| Some((&agent.id, (agent, seen.tier(agent, queue)?)))).collect()
}

/// L1: while a router listens, no caller waits for whom somebody is free.
fn nobody_waits_while_somebody_who_fits_is_free(account: &Account, now: Time) {
    if account.routers().next().is_none() {
        return;
    }
    let seen = oracle::Seen::of(account);
    for call in calls(account) {
        let Some(waiting) = call.waiting.as_deref().filter(|_| call.offer.is_none()) else { continue };
        assert!(now < waiting.until, "{:?} has waited for too long", call.id);
        let queue = account.queue(&waiting.queue_id).expect("its queue is there");
        let members = members(&seen, &waiting.queue_id);
        let lowest = members.values().map(|(_, tier)| *tier).min().unwrap_or(0);
        let fits = |agent: &Agent, tier: u8| {
            let opens = call.first_reserve.plus_sec(queue.settings.tier_wait_sec * u32::from(tier - lowest));
            let tags = waiting.required_tags.as_ref().is_none_or(|tags| tags.held(&agent.entry.tags));
            seen.failing(agent, OfferKind::Queue, now).is_empty()
                && opens <= now
                && tags
                && queue.settings.tags_held(&agent.entry.tags)
                && !call.legs.contains(&agent.id)
        };
        // Who was tried is tried again when nobody else is left: then, too, the caller does not wait.
        let free: Vec<_> = members.values().filter(|(agent, tier)| fits(agent, *tier)).collect();
        assert!(free.is_empty(), "L1: {:?} waits although {:?} is free", call.id, free[0].0.id);
    }
}

fn rows_count_who_waits(account: &Account) {
    let mut waiting: BTreeMap<QueueId, (u32, Time)> = BTreeMap::new();
    for place in calls(account).into_iter().filter_map(|call| call.waiting) {
        let (count, oldest) = waiting.entry(place.queue_id.clone()).or_insert((0, place.since));
        *count += 1;
        *oldest = place.since.min(*oldest);
    }
    for row in account.queue_rows() {
        let (count, oldest) = waiting.get(&row.queue_id).map_or((0, None), |(n, since)| (*n, Some(*since)));
        assert_eq!((row.waiting, row.oldest_since), (count, oldest), "row of {:?}", row.queue_id);
    }
}

proptest! {
    #![proptest_config(common::cases(160))]

    #[test]
    fn l1_nobody_waits_while_somebody_who_fits_is_free_and_the_journal_is_the_live_run(
        life in prop::collection::vec((pass(), said()), 20..100),
    ) {
        let mut driver = Driver::new();
        driver.world.must(router_up("r1"));
        for (pass, said) in &life {
            driver.pass(*pass);
            let due = driver.world.step_by(Input::Tick, &By::SYSTEM);
            settle(&mut driver, due);
            let outcome = step(&mut driver, said);
            settle(&mut driver, outcome);
            oracle::check(&driver.world.account, driver.world.now);
            nobody_waits_while_somebody_who_fits_is_free(&driver.world.account, driver.world.now);
            rows_count_who_waits(&driver.world.account);
        }
        store::check_replay(&driver.world);
    }

    #[test]
    fn a_restored_line_is_served_as_the_live_one(
        before in prop::collection::vec((pass(), said()), 10..60),
        after in life(20),
    ) {
        let mut driver = Driver::new();
        driver.world.must(router_up("r1"));
        for (pass, said) in &before {
            driver.pass(*pass);
            let outcome = step(&mut driver, said);
            settle(&mut driver, outcome);
        }
        let mut disk = store::Disk::default();
        disk.checkpoint(&mut driver.world.account);
        driver.world.account = disk.restore();
        // Routers attach again; soft contacts are as stored.
        driver.world.must(router_up("r1"));
        for (pass, cmd) in std::iter::once(&(Pass::Not, Cmd::Tick)).chain(&after) {
            driver.pass(*pass);
            let outcome = driver.step(cmd);
            settle(&mut driver, outcome);
            oracle::check(&driver.world.account, driver.world.now);
            nobody_waits_while_somebody_who_fits_is_free(&driver.world.account, driver.world.now);
        }
    }

    /// The starvation bound of docs/guarantees.md: among queues of equal tier, a head of age a and weight w is passed over
    /// only for heads of weight W that have waited for at least a × w / W themselves.
    #[test]
    fn a_head_is_passed_over_only_within_the_stated_bound(
        arrivals in prop::collection::vec((0..3_u8, 0..3_000_u64), 5..40),
        weights in prop::array::uniform3(1..20_u32),
        talk in 500..4_000_u64,
    ) {
        let mut world = common::sales(&["100"]);
        world.must(router_up("r1"));
        let queue = |n: u8| ["a", "b", "c"][usize::from(n)];
        for (n, weight) in (0_u8..).zip(weights) {
            let quick = ringfence_core::queue::QueueSettings {
                weight,
                wrap_up_sec: Some(0),
                max_wait_sec: 86_400,
                ..Default::default()
            };
            world.must(common::put_queue(queue(n), quick));
        }
        let login = ringfence_core::input::AgentEvent::Available;
        world.must(common::event_with("100", login, &["a/1", "b/1", "c/1"]));
        let mut heads: BTreeMap<u8, Vec<Time>> = BTreeMap::new();
        let mut talking: Option<(String, Time)> = None;
        for (n, (line, gap)) in arrivals.iter().enumerate() {
            world.now = world.now.plus_ms(*gap);
            if let Some((call, since)) = talking.clone()
                && world.now >= since.plus_ms(talk)
            {
                let outcome = world.must(common::end_call(&call));
                talking = served(&mut world, &outcome, &mut heads, &weights);
            }
            heads.entry(*line).or_default().push(world.now);
            let outcome = world.must(common::enqueue(queue(*line), &format!("{line}-{n}")));
            if talking.is_none() {
                talking = served(&mut world, &outcome, &mut heads, &weights);
            }
        }
        while let Some((call, _)) = talking.clone() {
            world.now = world.now.plus_ms(talk);
            let outcome = world.must(common::end_call(&call));
            talking = served(&mut world, &outcome, &mut heads, &weights);
        }
        prop_assert!(heads.values().all(Vec::is_empty), "everybody was served: {heads:?}");
    }
}

/// The call the outcome granted, answered at once; whom it was passed before is checked against the bound.
fn served(
    world: &mut common::World,
    outcome: &StepOutcome,
    heads: &mut BTreeMap<u8, Vec<Time>>,
    weights: &[u32; 3],
) -> Option<(String, Time)> {
    let facts = outcome.record.iter().flat_map(|record| &record.facts);
    let mut granted = facts.filter_map(|fact| {
        if let Change::Granted { entry } = &fact.change { Some(&entry.offer) } else { None }
    });
    let offer = granted.next()?;
    assert!(granted.next().is_none(), "one agent, one caller");
    let line: u8 = offer.call_id.as_str()[..1].parse().expect("the line's number");
    let now = world.now;
    let pull = |line: u8, since: Time| (now.since(since) + 1) * u64::from(weights[usize::from(line)]);
    let chosen = pull(line, heads[&line][0]);
    for (other, waiting) in heads.iter().filter(|(_, waiting)| !waiting.is_empty()) {
        assert!(pull(*other, waiting[0]) <= chosen, "line {other} was passed over beyond the bound");
    }
    heads.get_mut(&line).expect("it waited").remove(0);
    let call = offer.call_id.to_string();
    world.verb(offer.offer_id.as_str(), ringfence_core::input::Verb::Answer { leg: None });
    Some((call, now))
}
