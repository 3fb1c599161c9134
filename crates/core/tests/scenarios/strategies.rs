//! The strategies of a queue: tier, then strategy, then position, then id.

use ringfence_core::agent::AgentEntry;
use ringfence_core::input::{AgentEvent, Reply, Verb};
use ringfence_core::queue::{QueueSettings, Strategy};

use crate::common::{
    World, agent_id, at, end_call, entry, event, event_with, oracle, pause, put_agent, put_queue, reserve,
    reserve_from, store, verb_answer,
};

fn settings(strategy: Strategy) -> QueueSettings {
    QueueSettings { strategy, wrap_up_sec: Some(0), ..QueueSettings::default() }
}

/// Agents who were made ready at 0, 1, 2 … in this order, with these choices of "q".
fn floor(strategy: Strategy, agents: &[(&str, &str)]) -> World {
    let mut world = World::default();
    world.must(put_queue("q", settings(strategy)));
    for (n, (id, choice)) in agents.iter().enumerate() {
        world.now = at(n as u64);
        world.ready(id, &[choice]);
    }
    world
}

/// Who is offered the queue's next call. It is answered, and over after so long.
fn serves(world: &mut World, talk_ms: u64) -> String {
    let call = format!("k{}", world.account.grants());
    let agent = rings(world, &call);
    verb_answer(world, &format!("o-{call}"));
    world.now = world.now.plus_ms(talk_ms);
    world.must(end_call(&call));
    oracle::check(&world.account, world.now);
    agent
}

fn rings(world: &mut World, call: &str) -> String {
    match world.step(reserve_from("q", call, &format!("o-{call}"))).reply {
        Ok(Reply::Granted { grant, .. }) => grant.offer.agent_id.to_string(),
        other => panic!("{other:?}"),
    }
}

fn serve_each(world: &mut World, talks_ms: &[u64]) -> Vec<String> {
    let agents = talks_ms.iter().map(|talk| serves(world, *talk)).collect();
    store::check_replay(world);
    agents
}

#[test]
fn settings_name_the_strategies_by_their_own_names() {
    let names = [
        "longest_idle",
        "round_robin",
        "fewest_calls",
        "least_talk_time",
        "random",
        "weighted_random",
        "top_down",
        "ring_all",
    ];
    for (strategy, name) in Strategy::ALL.into_iter().zip(names) {
        assert_eq!(store::decode::<String>(&store::encode(&strategy)), name);
        assert_eq!(store::decode::<Strategy>(&store::encode(&name)), strategy);
    }
}

#[test]
fn round_robin_goes_on_after_the_one_granted_last_by_position_then_id() {
    let agents = [("102", "q/1/0"), ("100", "q/1/5"), ("101", "q/1/0")];
    let mut world = floor(Strategy::RoundRobin, &agents);
    assert_eq!(serve_each(&mut world, &[5; 5]), ["101", "102", "100", "101", "102"]);
    // 100 is not there: the turn passes on, and comes back.
    world.must(pause("100", ""));
    assert_eq!(serve_each(&mut world, &[5; 2]), ["101", "102"]);
    world.must(event("100", AgentEvent::Unpause));
    assert_eq!(serve_each(&mut world, &[5; 2]), ["100", "101"]);
    // A member who has left keeps the place where it stood.
    world.must(event_with("101", AgentEvent::Available, &[]));
    assert_eq!(serve_each(&mut world, &[5; 2]), ["102", "100"]);
}

#[test]
fn round_robin_goes_around_in_each_tier_of_its_own() {
    let agents = [("100", "q/1"), ("101", "q/1"), ("102", "q/2"), ("103", "q/2")];
    let mut world = floor(Strategy::RoundRobin, &agents);
    assert_eq!(serves(&mut world, 5), "100");
    world.must(pause("100", ""));
    world.must(pause("101", ""));
    assert_eq!(serve_each(&mut world, &[5; 3]), ["102", "103", "102"]);
    world.must(event("100", AgentEvent::Unpause));
    world.must(event("101", AgentEvent::Unpause));
    assert_eq!(serve_each(&mut world, &[5; 2]), ["101", "100"]);
}

#[test]
fn round_robin_goes_on_after_a_restart() {
    let mut world = floor(Strategy::RoundRobin, &[("100", "q"), ("101", "q"), ("102", "q")]);
    assert_eq!(serve_each(&mut world, &[5; 2]), ["100", "101"]);
    let mut disk = store::Disk::default();
    disk.checkpoint(&mut world.account);
    world.account = disk.restore();
    assert_eq!(serves(&mut world, 5), "102");
    world.account = store::replayed(&world.journal);
    assert_eq!(serves(&mut world, 5), "100");
}

#[test]
fn the_fewest_calls_come_first_and_an_offer_counts_once() {
    let mut world = floor(Strategy::FewestCalls, &[("100", "q/1/1"), ("101", "q/1/0")]);
    world.must(reserve("101", "d1", "d1"));
    verb_answer(&mut world, "d1");
    // Said again, it changes nothing.
    verb_answer(&mut world, "d1");
    world.must(end_call("d1"));
    // 100 has none, then one as 101 has; then the position decides.
    assert_eq!(serve_each(&mut world, &[5; 4]), ["100", "101", "100", "101"]);
    // Offers that are not answered do not count.
    assert_eq!(rings(&mut world, "x"), "100");
    world.verb("o-x", Verb::NoAnswer);
    assert_eq!(serve_each(&mut world, &[5; 1]), ["100"]);
    for id in ["100", "101"] {
        assert_eq!(world.account.agent(&agent_id(id)).unwrap().tally.answered, 3);
    }
}

#[test]
fn a_login_begins_a_new_count_of_calls_and_a_pause_does_not() {
    let mut world = floor(Strategy::FewestCalls, &[("100", "q/1/0"), ("101", "q/1/1")]);
    assert_eq!(serve_each(&mut world, &[5; 3]), ["100", "101", "100"]);
    world.must(pause("100", ""));
    world.must(event("100", AgentEvent::Unpause));
    assert_eq!(serve_each(&mut world, &[5; 2]), ["101", "100"]);
    world.must(event("101", AgentEvent::Logout));
    world.must(event_with("101", AgentEvent::Login, &["q/1/1"]));
    assert_eq!(serve_each(&mut world, &[5; 4]), ["101", "101", "101", "100"]);
}

#[test]
fn an_agent_who_answers_while_still_free_is_ranked_anew() {
    let mut world = floor(Strategy::FewestCalls, &[("100", "q/1/0"), ("101", "q/1/1")]);
    for id in ["100", "101"] {
        world.must(put_agent(id, AgentEntry { capacity: 3, ..entry(id) }));
    }
    let mut agents = Vec::new();
    for call in ["k1", "k2", "k3", "k4"] {
        agents.push(rings(&mut world, call));
        verb_answer(&mut world, &format!("o-{call}"));
    }
    assert_eq!(agents, ["100", "101", "100", "101"]);
    store::check_replay(&world);
}

#[test]
fn the_least_talk_time_comes_first() {
    let mut world = floor(Strategy::LeastTalkTime, &[("100", "q/1/0"), ("101", "q/1/1"), ("102", "q/1/2")]);
    assert_eq!(serve_each(&mut world, &[900, 100, 300]), ["100", "101", "102"]);
    // 900, 100, 300: then 500, then 700 of 102, then 900 of 101, a tie with 100 which the position decides.
    assert_eq!(serve_each(&mut world, &[400, 400, 400, 1]), ["101", "102", "101", "102"]);
    assert_eq!(serve_each(&mut world, &[200, 1]), ["102", "100"]);
}

#[test]
fn random_gives_everybody_a_share_and_the_same_tokens_give_the_same_choice() {
    let agents = [("100", "q"), ("101", "q"), ("102", "q"), ("103", "q/2")];
    let chosen = serve_each(&mut floor(Strategy::Random, &agents), &[5; 90]);
    assert_eq!(chosen, serve_each(&mut floor(Strategy::Random, &agents), &[5; 90]));
    let count = |id: &str| chosen.iter().filter(|agent| *agent == id).count();
    for id in ["100", "101", "102"] {
        assert!((20..=40).contains(&count(id)), "{id} has {} of 90", count(id));
    }
    assert_eq!(count("103"), 0, "a tier comes before chance");
}

#[test]
fn weighted_random_favours_the_longer_idle() {
    let mut counts = [0, 0];
    for before in 0..60 {
        let mut world = floor(Strategy::WeightedRandom, &[("100", "q"), ("101", "q"), ("900", "p")]);
        // Other tokens.
        for n in 0..before {
            world.must(reserve("900", &format!("d{n}"), &format!("d{n}")));
            world.verb(&format!("d{n}"), Verb::Cancel);
        }
        world.must(pause("101", ""));
        world.now = at(30_000);
        world.must(event("101", AgentEvent::Unpause));
        // 100 has been idle for 40 seconds, 101 for 10.
        world.now = at(40_000);
        counts[usize::from(rings(&mut world, "k") == "101")] += 1;
    }
    assert!((40..=56).contains(&counts[0]), "about four fifths: {counts:?}");
}

#[test]
fn random_among_many_without_the_tag_still_finds_the_one_who_has_it() {
    use ringfence_core::queue::{RequiredTags, TagMatch};

    let tags = vec![crate::common::tag_id("vip")];
    for strategy in [Strategy::Random, Strategy::WeightedRandom] {
        let mut world = World::default();
        let required_tags = Some(RequiredTags { rule: TagMatch::All, tags: tags.clone() });
        world.must(put_queue("q", QueueSettings { required_tags, ..settings(strategy) }));
        (100..400).for_each(|id| world.ready(&id.to_string(), &["q"]));
        let refused = world.step(reserve_from("q", "k0", "o0")).reply;
        assert_eq!(crate::common::words::reply(&refused), "no_agent of 300 tags=300");
        world.must(put_agent("250", AgentEntry { tags: tags.clone(), ..entry("250") }));
        assert_eq!(rings(&mut world, "k1"), "250");
    }
}

#[test]
fn top_down_tries_the_first_by_position_then_id_every_time() {
    let mut world = floor(Strategy::TopDown, &[("102", "q/1/0"), ("100", "q/1/1"), ("101", "q/1/0")]);
    assert_eq!(serve_each(&mut world, &[5; 3]), ["101", "101", "101"]);
    assert_eq!(rings(&mut world, "x"), "101");
    assert_eq!(rings(&mut world, "y"), "102");
    assert_eq!(rings(&mut world, "z"), "100");
}

#[test]
fn a_strategy_that_is_changed_holds_from_the_next_call_on_and_replays() {
    let mut world = floor(Strategy::LongestIdle, &[("101", "q"), ("102", "q"), ("100", "q")]);
    world.now = at(10);
    assert_eq!(serves(&mut world, 50), "101");
    let change = |world: &mut World, strategy| {
        world.must(put_queue("q", settings(strategy)));
        world.now = world.now.plus_ms(1);
        serves(world, 50)
    };
    assert_eq!(change(&mut world, Strategy::TopDown), "100");
    assert_eq!(change(&mut world, Strategy::FewestCalls), "102");
    assert_eq!(change(&mut world, Strategy::RoundRobin), "100");
    assert_eq!(change(&mut world, Strategy::LeastTalkTime), "101");
    assert_eq!(change(&mut world, Strategy::LongestIdle), "102");
    for strategy in [Strategy::Random, Strategy::WeightedRandom, Strategy::Random] {
        change(&mut world, strategy);
    }
    assert_eq!(change(&mut world, Strategy::TopDown), "100");
    store::check_replay(&world);
}
