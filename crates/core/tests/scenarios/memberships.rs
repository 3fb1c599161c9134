//! Who is in which queue, and who may say so.

use ringfence_core::Input;
use ringfence_core::agent::{MembershipMode, Role};
use ringfence_core::input::AgentEvent;
use ringfence_core::queue::QueueSettings;

use crate::common::scenario::{check, run, say, say_by};
use crate::common::{
    World, assign, event, event_with, pause, put_queue, queue_id, reserve_from, sales, unassign,
};

/// Queues "s" (static), "d" (dynamic) and "v" (supervised), and an agent in none.
fn three_modes() -> World {
    let mut world = World::default();
    for (id, mode) in
        [("s", MembershipMode::Static), ("d", MembershipMode::Dynamic), ("v", MembershipMode::Supervised)]
    {
        world.must(put_queue(id, QueueSettings { membership_mode: mode, ..QueueSettings::default() }));
    }
    world.ready("100", &[]);
    world
}

fn queues(list: &[&str]) -> Input {
    event_with("100", AgentEvent::Login, list)
}

#[test]
fn the_mode_of_a_queue_says_who_may_put_an_agent_into_it() {
    check(
        three_modes(),
        vec![
            say_by(0, Role::Agent, queues(&["d", "s"])),
            say_by(0, Role::Agent, queues(&["d", "v"])),
            say_by(0, Role::Agent, queues(&["d"])),
            say_by(0, Role::Supervisor, queues(&["d", "s"])),
            say_by(0, Role::Supervisor, queues(&["d", "v"])),
            say_by(0, Role::Api, queues(&["d", "s", "v"])),
        ],
        &[
            "membership_denied static",
            "membership_denied supervised",
            "ok | 100 joined d/1/0 | 100=ready",
            "membership_denied static",
            "ok | 100 joined v/1/0",
            "ok | 100 joined s/1/0",
        ],
    );
}

#[test]
fn a_list_replaces_the_agents_own_memberships_only() {
    let mut world = three_modes();
    world.must(queues(&["d", "s", "v"]));
    world.must(put_queue("d2", QueueSettings::default()));
    check(
        world,
        vec![
            say_by(0, Role::Agent, queues(&["d2"])),
            say_by(0, Role::Agent, queues(&["d2"])),
            // Naming an assigned queue is no change, and its tier stays as it was assigned.
            say_by(0, Role::Agent, queues(&["d2", "s/7", "v/7"])),
            say_by(0, Role::Agent, event("100", AgentEvent::Login)),
            say_by(0, Role::Agent, queues(&[])),
        ],
        &[
            "ok | 100 left d, 100 joined d2/1/0",
            "ok unchanged",
            "ok unchanged",
            "ok unchanged",
            "ok | 100 left d2",
        ],
    );
}

#[test]
fn a_logout_clears_the_agents_own_memberships_only() {
    let mut world = three_modes();
    world.must(queues(&["d", "s", "v"]));
    check(
        world,
        vec![
            say_by(0, Role::Agent, event("100", AgentEvent::Logout)),
            say_by(0, Role::Agent, event("100", AgentEvent::Login)),
            say(0, reserve_from("d", "k1", "o1")),
            say(0, reserve_from("s", "k1", "o1")),
        ],
        &[
            "ok | 100 offline, 100 left d | 100=offline",
            "ok | 100 available | 100=ready",
            "no_agent of 0",
            "o1 100 live | o1 to 100 | 100=ringing",
        ],
    );
}

#[test]
fn a_queue_named_twice_is_refused_and_nothing_of_the_event_happens() {
    check(
        three_modes(),
        vec![
            say(0, event_with("100", AgentEvent::Logout, &["d", "d/2"])),
            say(0, event_with("100", AgentEvent::Logout, &["new", "d", "new"])),
            say_by(0, Role::Agent, event_with("100", AgentEvent::Logout, &["d", "s"])),
            say(
                0,
                event_with("100", AgentEvent::Pause { reason: Some(crate::common::reason_id("no")) }, &["d"]),
            ),
        ],
        &["duplicate_queue", "duplicate_queue", "membership_denied static", "unknown_reason"],
    );
}

#[test]
fn an_unknown_queue_is_made_with_the_defaults() {
    check(
        three_modes(),
        vec![say_by(0, Role::Agent, queues(&["new/3/2"])), say(0, reserve_from("new", "k1", "o1"))],
        &["ok | put new, 100 joined new/3/2 | 100=ready", "o1 100 live | o1 to 100 | 100=ringing"],
    );
}

#[test]
fn a_tier_moves_with_the_list_and_stays_when_the_list_does_not_name_one() {
    check(
        sales(&["100"]),
        vec![
            say(0, queues(&["q/4/7"])),
            say(0, queues(&["q"])),
            say(0, queues(&["q/4"])),
            say(0, queues(&["q/4/8"])),
            say(0, event("100", AgentEvent::Login)),
        ],
        &["ok | 100 joined q/4/7", "ok unchanged", "ok unchanged", "ok | 100 joined q/4/8", "ok unchanged"],
    );
}

#[test]
fn a_queue_can_be_left_while_its_offer_rings() {
    check(
        sales(&["100"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            say(0, queues(&[])),
            say(0, pause("100", "")),
            say(0, Input::RemoveQueue { queue: queue_id("q") }),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "ok | 100 left q",
            "ok | 100 break(), o1 rescinded:paused | 100=paused",
            "ok | removed q",
        ],
    );
}

#[test]
fn one_account_has_no_more_queues_than_its_limit_whoever_makes_them() {
    let mut world = World::default();
    world.ready("100", &[]);
    for n in 0..10_000 {
        world.must(put_queue(&format!("q{n}"), QueueSettings::default()));
        world.journal.clear();
    }
    let refused = world.step(queues(&["one-more"]));
    assert!(matches!(refused.reply, Err(ringfence_core::Refusal::Limit { .. })), "{:?}", refused.reply);
    assert!(world.step(queues(&["q9999"])).reply.is_ok());
}

#[test]
fn a_logout_that_names_queues_joins_none_of_them() {
    check(
        sales(&["100"]),
        vec![
            say(0, event_with("100", AgentEvent::Logout, &["q", "new"])),
            say(0, event_with("100", AgentEvent::Logout, &["q", "new"])),
        ],
        &["ok | 100 offline, 100 left q | 100=offline", "ok unchanged"],
    );
}

#[test]
fn an_agent_neither_leaves_nor_moves_what_was_assigned_and_naming_it_is_no_refusal() {
    let mut world = three_modes();
    world.must(assign("100", "s/4"));
    world.must(assign("100", "v/4"));
    for role in [Role::Agent, Role::Router] {
        check_of(&mut world, role, queues(&["s/1", "v/1", "d"]), "100 joined d/1/0");
        check_of(&mut world, role, queues(&[]), "100 left d");
        check_of(&mut world, role, assign("100", "s/1"), "membership_denied static");
        check_of(&mut world, role, unassign("100", "s"), "membership_denied static");
        check_of(&mut world, role, unassign("100", "v"), "membership_denied supervised");
    }
}

#[test]
fn a_supervisor_changes_supervised_memberships_and_names_static_ones_without_harm() {
    let mut world = three_modes();
    world.must(assign("100", "s/4"));
    check(
        world,
        vec![
            say_by(0, Role::Supervisor, queues(&["s/1", "v/2"])),
            say_by(0, Role::Supervisor, queues(&["v/3"])),
            // A list replaces the agent's own memberships only, whoever sends it.
            say_by(0, Role::Supervisor, queues(&[])),
            say_by(0, Role::Supervisor, assign("100", "v/5/6")),
            say_by(0, Role::Supervisor, assign("100", "v")),
            say_by(0, Role::Supervisor, assign("100", "s/5")),
            say_by(0, Role::Supervisor, unassign("100", "s")),
            say_by(0, Role::Supervisor, unassign("100", "v")),
            say_by(0, Role::Supervisor, unassign("100", "v")),
        ],
        &[
            "ok | 100 joined v/2/0",
            "ok | 100 joined v/3/0",
            "ok unchanged",
            "ok | 100 joined v/5/6",
            "ok unchanged",
            "membership_denied static",
            "membership_denied static",
            "ok | 100 left v",
            "ok unchanged",
        ],
    );
}

#[test]
fn an_administrator_assigns_and_takes_back_any_membership() {
    for role in [Role::Api, Role::System] {
        check(
            three_modes(),
            vec![
                say_by(0, role, assign("100", "s/2")),
                say_by(0, role, assign("100", "v")),
                say_by(0, role, assign("100", "d")),
                say_by(0, role, assign("100", "s/3")),
                say_by(0, role, unassign("100", "s")),
                say_by(0, role, unassign("100", "d")),
                say_by(0, role, assign("nobody", "d")),
                say_by(0, role, assign("100", "nothing")),
                say_by(0, role, unassign("100", "nothing")),
            ],
            &[
                "ok | 100 joined s/2/0 | 100=ready",
                "ok | 100 joined v/1/0",
                "ok | 100 joined d/1/0",
                "ok | 100 joined s/3/0",
                "ok | 100 left s",
                "ok | 100 left d",
                "unknown_agent",
                "unknown_queue",
                "unknown_queue",
            ],
        );
    }
}

#[test]
fn a_membership_keeps_its_mode_when_the_queues_turns_until_it_is_assigned_anew() {
    let mut world = sales(&["100"]);
    let fixed = QueueSettings { membership_mode: MembershipMode::Static, ..QueueSettings::default() };
    world.must(put_queue("q", fixed));
    check(
        world,
        vec![
            say_by(0, Role::Agent, queues(&["q/3"])),
            // Nobody but an administrator makes it static.
            say_by(0, Role::Supervisor, assign("100", "q")),
            say_by(0, Role::Api, assign("100", "q")),
            say_by(0, Role::Agent, queues(&[])),
            say_by(0, Role::Agent, event("100", AgentEvent::Logout)),
        ],
        &[
            "ok | 100 joined q/3/0",
            "membership_denied static",
            "ok | 100 joined q/3/0",
            "ok unchanged",
            "ok | 100 offline | 100=offline",
        ],
    );
}

#[test]
fn one_agent_is_in_no_more_queues_than_its_limit_whoever_puts_it_there() {
    let mut world = World::default();
    world.ready("100", &[]);
    let fixed = QueueSettings { membership_mode: MembershipMode::Static, ..QueueSettings::default() };
    for n in 0..256 {
        world.must(put_queue(&format!("s{n}"), fixed.clone()));
        world.must(assign("100", &format!("s{n}")));
    }
    world.must(put_queue("one-more", fixed));
    for input in [assign("100", "one-more"), queues(&["own"])] {
        let refused = world.step(input);
        assert!(matches!(refused.reply, Err(ringfence_core::Refusal::Limit { .. })), "{:?}", refused.reply);
    }
    assert!(world.step(queues(&["s7"])).reply.is_ok());
}

/// One step, and what came of it but for the buckets.
fn check_of(world: &mut World, role: Role, input: Input, then: &str) {
    let given = std::mem::take(world);
    let (after, lines) = run(given, vec![say_by(0, role, input)]);
    *world = after;
    assert!(lines[0].contains(then), "{role:?}: {lines:?}");
}
