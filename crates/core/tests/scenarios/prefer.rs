//! Preferred agents: tried first, by the same fence as everybody.

use ringfence_core::Input;
use ringfence_core::agent::AgentEntry;
use ringfence_core::input::{PREFER_MAX, Verb};
use ringfence_core::queue::{QueueSettings, RequiredTags, Strategy, TagMatch};

use crate::common::scenario::{check, say, verb};
use crate::common::{
    World, agent_id, ask, at, entry, event_with, pause, put_agent, put_queue, queue_id, reserve_from,
    reserve_preferring, tag_id,
};

/// Agents who were made ready at 0, 1, 2 … in this order, with these choices of "q".
fn floor(settings: QueueSettings, agents: &[(&str, &str)]) -> World {
    let mut world = World::default();
    world.must(put_queue("q", settings));
    for (n, (id, choice)) in agents.iter().enumerate() {
        world.now = at(n as u64);
        world.ready(id, &[choice]);
    }
    world
}

#[test]
fn who_is_preferred_comes_before_strategy_and_tier_in_the_order_of_the_list() {
    for strategy in Strategy::ALL {
        let settings = QueueSettings { strategy, ..QueueSettings::default() };
        check(
            floor(settings, &[("100", "q/1"), ("101", "q/1"), ("102", "q/3"), ("103", "q/2")]),
            vec![
                say(5, reserve_preferring("q", "k1", "o1", &["102", "103"])),
                // The first is taken by now.
                say(5, reserve_preferring("q", "k2", "o2", &["102", "103"])),
                // A retry may leave the list out.
                say(5, reserve_from("q", "k2", "o2")),
            ],
            &[
                "o1 102 live | o1 to 102 | 102=ringing",
                "o2 103 live | o2 to 103 | 103=ringing",
                "o2 103 live unchanged",
            ],
        );
    }
}

#[test]
fn who_fails_any_clause_is_passed_over_and_the_strategy_chooses() {
    let tags = vec![tag_id("vip")];
    let required_tags = Some(RequiredTags { rule: TagMatch::All, tags: tags.clone() });
    let settings = QueueSettings { tier_wait_sec: 10, required_tags, ..QueueSettings::default() };
    let mut world = floor(settings, &[("100", "q/1"), ("101", "q/1"), ("102", "q/2"), ("103", "q/1")]);
    for id in ["100", "101", "102"] {
        world.must(put_agent(id, AgentEntry { tags: tags.clone(), ..entry(id) }));
    }
    world.ready("104", &["p"]);
    world.must(pause("101", ""));
    let excluding = Input::ReserveQueue {
        queue: queue_id("q"),
        ask: ask("k1", "o1"),
        exclude: vec![agent_id("100")],
        prefer: vec![agent_id("100")],
    };
    check(
        world,
        vec![
            say(9, excluding),
            // On a break, behind a tier that is not open, without the tag, not a member, not known.
            say(9, reserve_preferring("q", "k1", "o1", &["101", "102", "103", "104", "999"])),
        ],
        &[
            "no_agent of 4 status=1 tags=1 tier=1 excluded=1 @10009 | k1 seen",
            "o1 100 live | o1 to 100 | 100=ringing",
        ],
    );
}

#[test]
fn who_was_just_tried_is_preferred_again_only_when_nobody_else_is_free() {
    let settings = QueueSettings { reject_cooldown_sec: 0, ..QueueSettings::default() };
    check(
        floor(settings, &[("100", "q"), ("101", "q"), ("102", "q")]),
        vec![
            say(5, reserve_preferring("q", "k", "o1", &["102"])),
            verb(5, "o1", Verb::Reject),
            say(6, reserve_preferring("q", "k", "o2", &["102"])),
            verb(6, "o2", Verb::Reject),
            say(7, event_with("101", ringfence_core::input::AgentEvent::Available, &[])),
            // Both have been tried, and 102 has been idle for longer as well; 100 is preferred.
            say(7, reserve_preferring("q", "k", "o3", &["100"])),
        ],
        &[
            "o1 102 live | o1 to 102 | 102=ringing",
            "o1 102 rejected | o1 rejected | 102=ready",
            "o2 100 live | o2 to 100 | 100=ringing",
            "o2 100 rejected | o2 rejected | 100=ready",
            "ok | 101 left q | 101=idle",
            "o3 100 live | o3 to 100 | 100=ringing",
        ],
    );
}

#[test]
fn no_more_may_be_preferred_than_the_limit() {
    let many: Vec<String> = (0..=PREFER_MAX).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    check(
        floor(QueueSettings::default(), &[("100", "q")]),
        vec![
            say(5, reserve_preferring("q", "k", "o1", &many)),
            say(5, reserve_preferring("q", "k", "o1", &many[1..])),
        ],
        &["limit_reached", "o1 100 live | o1 to 100 | 100=ringing"],
    );
}
