//! Who is chosen for a queue's call.

use ringfence_core::Input;
use ringfence_core::agent::AgentEntry;
use ringfence_core::input::{AgentEvent, Verb};
use ringfence_core::queue::{QueueSettings, RequiredTags, TagMatch};

use crate::common::scenario::{answer, check, say, tick, verb};
use crate::common::{
    World, agent_id, ask, at, end_call, entry, event, event_with, explain, pause, put_agent, put_queue,
    queue_id, reserve, reserve_for, reserve_from, sales, sales_with, tag_id,
};

/// Agents who were made ready at 0, 1, 2 … in this order, with these choices of "q".
fn one_after_another(settings: QueueSettings, agents: &[(&str, &str)]) -> World {
    let mut world = World::default();
    world.must(put_queue("q", settings));
    for (n, (id, choice)) in agents.iter().enumerate() {
        world.now = at(n as u64);
        world.ready(id, &[choice]);
    }
    world
}

#[test]
fn the_longest_idle_comes_first_and_a_call_moves_to_the_end() {
    let settings = QueueSettings { wrap_up_sec: Some(0), ..QueueSettings::default() };
    check(
        one_after_another(settings, &[("102", "q"), ("100", "q"), ("101", "q")]),
        vec![
            say(10, reserve_from("q", "k1", "o1")),
            verb(10, "o1", answer()),
            say(11, end_call("k1")),
            say(12, reserve_from("q", "k2", "o2")),
            verb(12, "o2", answer()),
            say(13, reserve_from("q", "k3", "o3")),
            verb(13, "o3", answer()),
            say(14, reserve_from("q", "k4", "o4")),
        ],
        &[
            "o1 102 live | o1 to 102 | 102=ringing",
            "o1 102 accepted | o1 answered | 102=in_call",
            "ok | 102 leg k1 over, k1 ended | 102=ready",
            "o2 100 live | o2 to 100 | 100=ringing",
            "o2 100 accepted | o2 answered | 100=in_call",
            "o3 101 live | o3 to 101 | 101=ringing",
            "o3 101 accepted | o3 answered | 101=in_call",
            "o4 102 live | o4 to 102 | 102=ringing",
        ],
    );
}

#[test]
fn idle_for_equally_long_the_position_decides_then_the_id() {
    let mut world = World::default();
    world.must(put_queue("q", QueueSettings::default()));
    for (id, choice) in [("103", "q/1/5"), ("102", "q/1/2"), ("104", "q/1/2"), ("101", "q/1/9")] {
        world.ready(id, &[choice]);
    }
    check(
        world,
        ["k1", "k2", "k3", "k4"]
            .iter()
            .zip(["o1", "o2", "o3", "o4"])
            .map(|(k, o)| say(1, reserve_from("q", k, o)))
            .collect(),
        &[
            "o1 102 live | o1 to 102 | 102=ringing",
            "o2 104 live | o2 to 104 | 104=ringing",
            "o3 103 live | o3 to 103 | 103=ringing",
            "o4 101 live | o4 to 101 | 101=ringing",
        ],
    );
}

#[test]
fn a_lower_tier_comes_before_a_longer_idle_agent() {
    check(
        one_after_another(QueueSettings::default(), &[("100", "q/2"), ("101", "q/1"), ("102", "q/0")]),
        vec![
            say(9, reserve_from("q", "k1", "o1")),
            say(9, reserve_from("q", "k2", "o2")),
            say(9, reserve_from("q", "k3", "o3")),
            say(9, reserve_from("q", "k4", "o4")),
        ],
        &[
            "o1 102 live | o1 to 102 | 102=ringing",
            "o2 101 live | o2 to 101 | 101=ringing",
            "o3 100 live | o3 to 100 | 100=ringing",
            "no_agent of 3 slot=3",
        ],
    );
}

#[test]
fn a_tier_opens_its_wait_after_the_calls_first_reserve() {
    let settings = QueueSettings { tier_wait_sec: 10, ..QueueSettings::default() };
    check(
        one_after_another(settings, &[("100", "q/3"), ("101", "q/2"), ("102", "q/1"), ("103", "q/3")]),
        vec![
            say(1_000, reserve_from("q", "k1", "o1")),
            verb(5_000, "o1", Verb::NoAnswer),
            // The one who was just tried is free again and nobody else is open: tried again.
            say(5_000, reserve_from("q", "k1", "o2")),
            verb(6_000, "o2", Verb::NoAnswer),
            say(10_999, reserve_for("101", "q", "k1", "o3")),
            say(11_000, reserve_from("q", "k1", "o3")),
            verb(12_000, "o3", Verb::NoAnswer),
            say(21_000, reserve_from("q", "k1", "o4")),
            // Another call has waits of its own.
            say(21_000, pause("102", "")),
            say(21_000, reserve_from("q", "k2", "o5")),
        ],
        &[
            "o1 102 live | o1 to 102 | 102=ringing",
            "o1 102 no_answer | o1 no_answer misses 1 | 102=ready",
            "o2 102 live | o2 to 102 | 102=ringing",
            "o2 102 no_answer | o2 no_answer misses 2 | 102=ready",
            "not_offerable tier",
            "o3 101 live | o3 to 101 | 101=ringing",
            "o3 101 no_answer | o3 no_answer misses 1 | 101=ready",
            "o4 100 live | o4 to 100 | 100=ringing",
            "ok | 102 break() | 102=paused",
            "no_agent of 4 status=1 slot=1 tier=2 @31000 | k2 seen",
        ],
    );
}

#[test]
fn a_tier_opens_its_wait_after_a_first_reserve_that_found_nobody() {
    let settings = QueueSettings { tier_wait_sec: 10, ..QueueSettings::default() };
    check(
        one_after_another(settings, &[("100", "q/2"), ("101", "q/1")]),
        vec![
            say(1_000, pause("101", "")),
            say(1_000, reserve_from("q", "k1", "o1")),
            say(10_999, reserve_from("q", "k1", "o2")),
            say(11_000, reserve_from("q", "k1", "o3")),
        ],
        &[
            "ok | 101 break() | 101=paused",
            "no_agent of 2 status=1 tier=1 @11000 | k1 seen",
            "no_agent of 2 status=1 tier=1 @11000",
            "o3 100 live | o3 to 100 | 100=ringing",
        ],
    );
}

#[test]
fn without_a_wait_all_tiers_are_open_at_once() {
    check(
        one_after_another(QueueSettings::default(), &[("100", "q/9"), ("101", "q/1")]),
        vec![say(5, pause("101", "")), say(5, reserve_from("q", "k1", "o1"))],
        &["ok | 101 break() | 101=paused", "o1 100 live | o1 to 100 | 100=ringing"],
    );
}

fn tagged(rule: TagMatch) -> World {
    let tags = vec![tag_id("english"), tag_id("billing")];
    let settings = QueueSettings {
        required_tags: Some(RequiredTags { rule, tags: tags.clone() }),
        ..QueueSettings::default()
    };
    let mut world = one_after_another(settings, &[("100", "q"), ("101", "q"), ("102", "q")]);
    world.must(put_agent("101", AgentEntry { tags: tags[..1].to_vec(), ..entry("101") }));
    world.must(put_agent("102", AgentEntry { tags, ..entry("102") }));
    world
}

#[test]
fn required_tags_are_all_or_any() {
    check(
        tagged(TagMatch::All),
        vec![
            say(9, explain("101", Some("q"))),
            say(9, reserve_from("q", "k1", "o1")),
            say(9, reserve_from("q", "k2", "o2")),
            // A direct offer asks for none.
            say(9, reserve("100", "k2", "o2")),
        ],
        &[
            "not offerable: tags",
            "o1 102 live | o1 to 102 | 102=ringing",
            "no_agent of 3 slot=1 tags=2",
            "o2 100 live | o2 to 100 | 100=ringing",
        ],
    );
    check(
        tagged(TagMatch::Any),
        vec![
            say(9, explain("100", Some("q"))),
            say(9, reserve_from("q", "k1", "o1")),
            say(9, reserve_from("q", "k2", "o2")),
            say(9, reserve_from("q", "k3", "o3")),
        ],
        &[
            "not offerable: tags",
            "o1 101 live | o1 to 101 | 101=ringing",
            "o2 102 live | o2 to 102 | 102=ringing",
            "no_agent of 3 slot=2 tags=1",
        ],
    );
}

#[test]
fn who_was_just_tried_is_excluded_while_others_are_free_and_only_then() {
    check(
        one_after_another(
            QueueSettings { reject_cooldown_sec: 0, ..QueueSettings::default() },
            &[("100", "q"), ("101", "q")],
        ),
        vec![
            say(5, reserve_from("q", "k1", "o1")),
            verb(6, "o1", Verb::Reject),
            // Longest idle again, for another call.
            say(7, reserve_for("100", "q", "k1", "o2")),
            say(7, reserve_from("q", "k1", "o2")),
            verb(8, "o2", Verb::NoAnswer),
            // Everybody was tried: the longest idle of them.
            say(9, reserve_from("q", "k1", "o3")),
            verb(9, "o3", Verb::Cancel),
            say(10, event("101", AgentEvent::Logout)),
            say(10, reserve_for("100", "q", "k1", "o4")),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o1 100 rejected | o1 rejected | 100=ready",
            "not_offerable excluded",
            "o2 101 live | o2 to 101 | 101=ringing",
            "o2 101 no_answer | o2 no_answer misses 1 | 101=ready",
            "o3 100 live | o3 to 100 | 100=ringing",
            "o3 100 cancelled | o3 cancelled | 100=ready",
            "ok | 101 offline, 101 left q | 101=offline",
            "o4 100 live | o4 to 100 | 100=ringing",
        ],
    );
}

#[test]
fn a_router_may_exclude_agents_itself() {
    let excluding = |call: &str, offer: &str, exclude: &[&str]| Input::ReserveQueue {
        queue: queue_id("q"),
        ask: ask(call, offer),
        exclude: exclude.iter().map(|id| agent_id(id)).collect(),
        prefer: Vec::new(),
    };
    check(
        one_after_another(QueueSettings::default(), &[("100", "q"), ("101", "q")]),
        vec![
            say(5, excluding("k1", "o1", &["100", "101"])),
            say(5, excluding("k1", "o1", &["100"])),
            // A retry may leave the list out.
            say(5, reserve_from("q", "k1", "o1")),
        ],
        &["no_agent of 2 excluded=2", "o1 101 live | o1 to 101 | 101=ringing", "o1 101 live unchanged"],
    );
}

#[test]
fn a_refusal_counts_agents_per_failing_clause_and_says_who_could_be_next() {
    let mut world = sales(&["100", "101", "102", "103"]);
    world.must(reserve("100", "k1", "o1"));
    world.must(pause("101", ""));
    world.must(crate::common::gone(2, &crate::common::aor("101"), "c1"));
    world.must(reserve_for("102", "q", "k2", "o2"));
    world.verb("o2", Verb::Reject);
    world.must(reserve_for("103", "q", "k3", "o3"));
    world.verb("o3", answer());
    world.must(end_call("k3"));
    check(
        world,
        vec![say(0, reserve_from("q", "k9", "o9")), tick(5_000), say(5_000, reserve_from("q", "k9", "o9"))],
        &[
            "no_agent of 4 status=1 slot=1 reachable=1 wrap_up=1 cooldown=1 @5000",
            "ok unchanged | 102 cooldown over | 102=ready",
            "o9 102 live | o9 to 102 | 102=ringing",
        ],
    );
}

#[test]
fn an_agent_with_a_free_slot_left_goes_to_the_end_of_the_line_when_offered_a_call() {
    let mut world = one_after_another(QueueSettings::default(), &[("100", "q"), ("101", "q")]);
    for id in ["100", "101"] {
        world.must(put_agent(id, AgentEntry { capacity: 2, ..entry(id) }));
    }
    check(
        world,
        vec![
            say(5, reserve_from("q", "k1", "o1")),
            say(6, reserve_from("q", "k2", "o2")),
            say(7, reserve_from("q", "k3", "o3")),
            say(8, reserve_from("q", "k4", "o4")),
            say(9, event_with("100", AgentEvent::Login, &["q"])),
            say(9, reserve_from("q", "k5", "o5")),
        ],
        &[
            "o1 100 live | o1 to 100",
            "o2 101 live | o2 to 101",
            "o3 100 live | o3 to 100 | 100=ringing",
            "o4 101 live | o4 to 101 | 101=ringing",
            "ok unchanged",
            "no_agent of 2 slot=2",
        ],
    );
}

#[test]
fn a_queue_nobody_is_in_has_no_agent() {
    check(
        sales_with(QueueSettings::default(), &[]),
        vec![say(0, reserve_from("q", "k1", "o1")), say(0, reserve_from("p", "k1", "o1"))],
        &["no_agent of 0", "unknown_queue"],
    );
}
