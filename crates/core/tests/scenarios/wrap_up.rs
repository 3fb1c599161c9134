//! The work after a call: whose it is, how long it lasts, and who ends it.

use ringfence_core::Input;
use ringfence_core::agent::{AgentEntry, Role, State};
use ringfence_core::call::Direction;
use ringfence_core::feed::CallPhase;
use ringfence_core::input::AgentEvent;
use ringfence_core::queue::QueueSettings;

use crate::common::scenario::{answer, check, run, say, say_by, tick, verb};
use crate::common::{
    World, agent_id, at, by, call_leg, end_call, end_leg, entry, event, event_with, explain, put_agent,
    put_queue, reserve, reserve_for, reserve_from, sales_with, store,
};

fn wrapping(settings: QueueSettings) -> World {
    let (world, _) = run(
        sales_with(settings, &["100"]),
        vec![say(0, reserve_from("q", "k1", "o1")), verb(0, "o1", answer()), say(0, end_call("k1"))],
    );
    world
}

#[test]
fn a_wrap_up_is_extended_within_its_bound() {
    let settings = QueueSettings { wrap_up_sec: Some(10), wrap_up_max_sec: 30, ..QueueSettings::default() };
    check(
        wrapping(settings),
        vec![
            say(5_000, event("100", AgentEvent::ExtendWrapUp { sec: 5 })),
            tick(14_999),
            say(14_999, event("100", AgentEvent::ExtendWrapUp { sec: 600 })),
            say(14_999, event("100", AgentEvent::ExtendWrapUp { sec: 1 })),
            tick(29_999),
            tick(30_000),
        ],
        &[
            "ok | 100 wrap-up 15000",
            "ok unchanged",
            "ok | 100 wrap-up 30000",
            "ok unchanged",
            "ok unchanged",
            "ok unchanged | 100 wrapped up k1 | 100=ready",
        ],
    );
}

#[test]
fn a_wrap_up_without_an_end_is_bounded() {
    let settings = QueueSettings { wrap_up_sec: None, wrap_up_max_sec: 60, ..QueueSettings::default() };
    let mut world = wrapping(settings);
    let row = world.account.row(&agent_id("100")).unwrap().live.unwrap();
    assert_eq!(row.wrap_ups.first().map(|wrap_up| wrap_up.until), Some(None), "until ended by hand");
    world.now = at(60_000);
    let outcome = world.step(Input::Tick);
    assert!(outcome.record.is_some());
    assert_eq!(world.account.agent(&agent_id("100")).unwrap().state(), State::Waiting);
}

#[test]
fn available_and_end_wrap_up_end_it() {
    for (end, facts) in [
        (AgentEvent::Available, "ok | 100 wrapped up k1 | 100=ready"),
        (AgentEvent::EndWrapUp, "ok | 100 wrapped up k1 | 100=ready"),
    ] {
        check(
            wrapping(QueueSettings::default()),
            vec![say(1, event("100", end.clone())), say(1, event("100", end)), tick(10_000)],
            &[facts, "ok unchanged", "ok unchanged"],
        );
    }
}

#[test]
fn available_from_a_break_ends_the_wrap_up_and_the_break() {
    let mut world = wrapping(QueueSettings::default());
    world.must(crate::common::pause("100", ""));
    check(
        world,
        vec![say(1, event("100", AgentEvent::Available))],
        &["ok | 100 available, 100 wrapped up k1 | 100=ready"],
    );
}

#[test]
fn a_wrap_up_outlives_the_queue_and_a_login() {
    check(
        wrapping(QueueSettings::default()),
        vec![
            say(1, Input::RemoveQueue { queue: crate::common::queue_id("q") }),
            say(2, event("100", AgentEvent::Logout)),
            say(3, event("100", AgentEvent::Login)),
            tick(9_999),
            tick(10_000),
        ],
        &[
            "ok | 100 left q, removed q",
            "ok | 100 offline | 100=offline",
            "ok | 100 available | 100=wrap_up",
            "ok unchanged",
            "ok unchanged | 100 wrapped up k1 | 100=idle",
        ],
    );
}

/// 100 with two slots in queues "q" (10 s of wrap-up) and "p" (2 s).
fn two_slots() -> World {
    let mut world = sales_with(QueueSettings::default(), &["101"]);
    world.must(put_queue("p", QueueSettings { wrap_up_sec: Some(2), ..QueueSettings::default() }));
    world.must(put_agent("100", AgentEntry { capacity: 2, ..entry("100") }));
    world.register("100");
    world.must(event_with("100", AgentEvent::Login, &["q", "p"]));
    world
}

#[test]
fn a_call_of_a_second_queue_does_not_shorten_it() {
    check(
        two_slots(),
        vec![
            say(0, reserve_for("100", "q", "k1", "o1")),
            verb(0, "o1", answer()),
            say(0, end_call("k1")),
            say(1, reserve_for("100", "p", "k2", "o2")),
            verb(1, "o2", answer()),
            say(1, end_call("k2")),
            tick(2_001),
            tick(9_999),
            tick(10_000),
        ],
        &[
            "o1 100 live | o1 to 100",
            "o1 100 accepted | o1 answered",
            "ok | 100 leg k1 over wrap-up 10000, k1 ended",
            "o2 100 live | o2 to 100 | 100=ringing",
            "o2 100 accepted | o2 answered | 100=in_call",
            "ok | 100 leg k2 over wrap-up 2001, k2 ended | 100=wrap_up",
            "ok unchanged | 100 wrapped up k2 | 100=ready",
            "ok unchanged",
            "ok unchanged | 100 wrapped up k1",
        ],
    );
}

#[test]
fn a_transfer_leaves_each_agent_their_own() {
    check(
        two_slots(),
        vec![
            say(0, reserve_for("100", "q", "k1", "o1")),
            verb(0, "o1", answer()),
            say(1, reserve_for("101", "q", "k1", "o2")),
            verb(1, "o2", answer()),
            say(2, end_leg("k1", "100")),
            say(3, end_call("k1")),
            tick(10_002),
            tick(10_003),
        ],
        &[
            "o1 100 live | o1 to 100",
            "o1 100 accepted | o1 answered",
            "o2 101 live | o2 to 101 | 101=ringing",
            "o2 101 accepted | o2 answered | 101=in_call",
            "ok | 100 leg k1 over wrap-up 10002",
            "ok | 101 leg k1 over wrap-up 10003, k1 ended | 101=wrap_up",
            "ok unchanged | 100 wrapped up k1",
            "ok unchanged | 101 wrapped up k1 | 101=ready",
        ],
    );
}

#[test]
fn a_restart_neither_loses_nor_shortens_it() {
    let mut world = wrapping(QueueSettings::default());
    world.must(event("100", AgentEvent::ExtendWrapUp { sec: 7 }));
    let mut disk = store::Disk::default();
    disk.checkpoint(&mut world.account);
    let mut restored = disk.restore();
    for (now, state) in [(16_999, State::WrapUp), (17_000, State::Waiting)] {
        restored.step(Input::Tick, &by(Role::System), at(now));
        assert_eq!(restored.agent(&agent_id("100")).unwrap().state(), state, "{now}");
    }
}

#[test]
fn a_supervisor_can_end_it() {
    check(
        wrapping(QueueSettings { wrap_up_sec: None, ..QueueSettings::default() }),
        vec![say_by(1, Role::Supervisor, event("100", AgentEvent::EndWrapUp))],
        &["ok | 100 wrapped up k1 | 100=ready"],
    );
}

#[test]
fn an_external_call_causes_none_and_leaves_the_one_that_runs_alone() {
    let external = |seq, phase| call_leg(seq, phase, "100", "x1", Direction::Outbound);
    check(
        wrapping(QueueSettings::default()),
        vec![
            say(1, external(2, CallPhase::Start)),
            say(2, external(3, CallPhase::End)),
            tick(10_000),
            say(11_000, external(4, CallPhase::Start)),
        ],
        &[
            "fed 1/0/0 | 100 external x1 | 100=external_call",
            "fed 1/0/0 | 100 external x1 over | 100=wrap_up",
            "ok unchanged | 100 wrapped up k1 | 100=ready",
            "fed 0/1/0",
        ],
    );
}

#[test]
fn one_without_an_end_is_at_its_bound_already_and_cannot_be_extended() {
    check(
        wrapping(QueueSettings { wrap_up_sec: None, wrap_up_max_sec: 60, ..QueueSettings::default() }),
        vec![say(1, event("100", AgentEvent::ExtendWrapUp { sec: 9 })), tick(59_999), tick(60_000)],
        &["ok unchanged", "ok unchanged", "ok unchanged | 100 wrapped up k1 | 100=ready"],
    );
}

#[test]
fn the_same_call_is_wrapped_up_twice_at_once_and_each_ends_at_its_own_time() {
    let twice = || {
        vec![
            say(0, reserve_for("100", "q", "k1", "o1")),
            verb(0, "o1", answer()),
            say(0, end_leg("k1", "100")),
            // The call comes back to the agent, by another queue with a shorter wrap-up.
            say(1_000, reserve_for("100", "p", "k1", "o2")),
            verb(1_000, "o2", answer()),
            say(1_000, end_leg("k1", "100")),
        ]
    };
    let (world, _) = run(two_slots(), twice());
    check(
        world,
        vec![tick(3_000), say(3_000, explain("100", None)), tick(9_999), tick(10_000)],
        &[
            "ok unchanged | 100 wrapped up k1 | 100=ready",
            "offerable",
            "ok unchanged",
            "ok unchanged | 100 wrapped up k1",
        ],
    );
    let (world, _) = run(two_slots(), twice());
    let (world, lines) = run(world, vec![say(1_001, event("100", AgentEvent::ExtendWrapUp { sec: 5 }))]);
    assert_eq!(lines, ["ok | 100 wrap-up 15000, 100 wrap-up 8000"], "each by its own end");
    let ends: Vec<_> = world.account.agent(&agent_id("100")).unwrap().wrap_ups().map(|w| w.until).collect();
    assert_eq!(ends, [at(15_000), at(8_000)]);
}

#[test]
fn nobody_is_offered_a_call_they_are_in() {
    check(
        two_slots(),
        vec![
            say(0, reserve_for("100", "q", "k1", "o1")),
            verb(0, "o1", answer()),
            say(1, reserve("100", "k1", "o2")),
            say(1, reserve_for("100", "q", "k1", "o2")),
            say(1, reserve_from("p", "k1", "o2")),
            // Who is not in it is, and is alone in being so.
            say(1, reserve_from("q", "k1", "o2")),
            verb(1, "o2", answer()),
            say(1, reserve_from("q", "k1", "o3")),
            say(2, end_leg("k1", "100")),
            say(2, reserve("100", "k1", "o3")),
        ],
        &[
            "o1 100 live | o1 to 100",
            "o1 100 accepted | o1 answered",
            "not_offerable excluded",
            "not_offerable excluded",
            "no_agent of 1 excluded=1",
            "o2 101 live | o2 to 101 | 101=ringing",
            "o2 101 accepted | o2 answered | 101=in_call",
            "no_agent of 2 slot=1 excluded=1",
            "ok | 100 leg k1 over wrap-up 10002",
            "o3 100 live | o3 to 100 | 100=ringing",
        ],
    );
}
