//! Agents who dial out themselves.

use ringfence_core::Input;
use ringfence_core::agent::{AgentEntry, Role};
use ringfence_core::call::Direction;
use ringfence_core::feed::CallPhase;
use ringfence_core::input::{AgentEvent, PauseReason, Verb, When};

use crate::common::scenario::{When as Said, answer, check, run, say, say_by, tick, verb};
use crate::common::{
    World, agent_id, at, call_leg, end_call, entry, event, event_for, event_with, gone, pause, put_agent,
    reason, reserve, reserve_from, sales, self_reserve, store,
};

/// An agent dials out on k1 by offer o1.
fn dial(ms: u64) -> Said {
    say_by(ms, Role::Agent, self_reserve("100", "k1", "o1"))
}

/// 100 in its wrap-up until 10 s, after a call of the queue.
fn wrapping() -> World {
    let (world, _) = run(
        sales(&["100"]),
        vec![say(0, reserve_from("q", "k0", "o0")), verb(0, "o0", answer()), say(0, end_call("k0"))],
    );
    world
}

#[test]
fn answered_it_is_a_call_that_goes_out_and_has_no_wrap_up() {
    let (world, lines) = run(sales(&["100"]), vec![dial(0), verb(1, "o1", answer())]);
    assert_eq!(
        lines,
        ["o1 100 live | o1 outbound by 100 | 100=ringing", "o1 100 accepted | o1 answered | 100=in_call"]
    );
    let live = world.account.row(&agent_id("100")).unwrap().live.unwrap();
    assert_eq!(live.calls[0].direction, Direction::Outbound);
    let today = &world.account.agent(&agent_id("100")).unwrap().ledger.today;
    assert_eq!((today.offered, today.accepted), (0, 0), "nobody offered it anything");
    check(world, vec![say(2, end_call("k1"))], &["ok | 100 leg k1 over, k1 ended | 100=ready"]);
}

#[test]
fn of_an_agent_and_a_router_exactly_one_wins() {
    check(
        sales(&["100"]),
        vec![dial(0), say(0, reserve_from("q", "k2", "o2")), say(0, reserve("100", "k2", "o2"))],
        &["o1 100 live | o1 outbound by 100 | 100=ringing", "no_agent of 1 slot=1", "not_offerable slot"],
    );
    check(
        sales(&["100"]),
        vec![say(0, reserve_from("q", "k2", "o2")), dial(0), verb(1, "o2", Verb::Reject), dial(1)],
        &[
            "o2 100 live | o2 to 100 | 100=ringing",
            "not_offerable slot",
            "o2 100 rejected | o2 rejected cooldown 5001 | 100=idle",
            // The cooldown is about calls that come in.
            "o1 100 live | o1 outbound by 100 | 100=ringing",
        ],
    );
}

#[test]
fn clause_2_becomes_may_place() {
    let mut world = sales(&["100"]);
    for (id, allow_inbound, allow_outbound) in [("in", true, false), ("out", false, true)] {
        world.must(Input::PutReason(PauseReason { allow_outbound, ..reason(id, allow_inbound) }));
    }
    check(
        world,
        vec![
            say(0, pause("100", "in")),
            dial(0),
            say(0, pause("100", "out")),
            dial(0),
            // Turned while it lives, it is taken back.
            say(1, pause("100", "in")),
            say(2, event("100", AgentEvent::Logout)),
            dial(2),
        ],
        &[
            "ok | 100 break(in) | 100=paused",
            "not_offerable status",
            "ok | 100 break(out)",
            "o1 100 live | o1 outbound by 100 | 100=ringing",
            "ok | 100 break(in), o1 rescinded:paused | 100=paused",
            "ok | 100 offline, 100 left q | 100=offline",
            // The same offer again is told what became of it.
            "o1 100 rescinded:paused unchanged",
        ],
    );
}

#[test]
fn the_other_clauses_stand() {
    let flags = [
        ("is_agent", AgentEntry { is_agent: false, ..entry("100") }),
        ("active", AgentEntry { active: false, ..entry("100") }),
        ("voice", AgentEntry { voice: false, ..entry("100") }),
    ];
    for (clause, entry) in flags {
        let mut world = sales(&["100"]);
        world.must(put_agent("100", entry));
        check(world, vec![dial(0)], &[&format!("not_offerable {clause}")]);
    }
    let mut world = sales(&["100"]);
    world.must(gone(2, &crate::common::aor("100"), "c1"));
    check(world, vec![dial(0)], &["not_offerable reachable"]);
    let mut world = sales(&["100"]);
    world.must(call_leg(2, CallPhase::Start, "100", "x1", Direction::Inbound));
    check(world, vec![dial(0)], &["not_offerable external_call"]);
    let mut world = wrapping();
    world.must(event_for(When::AfterCall, "100", AgentEvent::Logout));
    check(world, vec![dial(0)], &["not_offerable pending"]);
    check(
        sales(&["100"]),
        vec![say(0, self_reserve("nobody", "k1", "o1")), say(0, end_call("k1")), dial(0)],
        &["unknown_agent", "ok | k1 ended", "call_ended"],
    );
}

#[test]
fn it_may_take_a_slot_in_wrap_up_whose_deadline_runs_on() {
    check(
        wrapping(),
        vec![
            say(1, reserve("100", "k2", "o2")),
            dial(1),
            verb(2, "o1", answer()),
            say(3, end_call("k1")),
            tick(9_999),
            tick(10_000),
        ],
        &[
            "not_offerable wrap_up",
            "o1 100 live | o1 outbound by 100 | 100=ringing",
            "o1 100 accepted | o1 answered | 100=in_call",
            "ok | 100 leg k1 over, k1 ended | 100=wrap_up",
            "ok unchanged",
            "ok unchanged | 100 wrapped up k0 | 100=ready",
        ],
    );
    check(
        wrapping(),
        vec![dial(1), verb(2, "o1", answer()), tick(10_000), say(10_001, end_call("k1"))],
        &[
            "o1 100 live | o1 outbound by 100 | 100=ringing",
            "o1 100 accepted | o1 answered | 100=in_call",
            "ok unchanged | 100 wrapped up k0",
            "ok | 100 leg k1 over, k1 ended | 100=ready",
        ],
    );
    check(
        wrapping(),
        vec![dial(1), verb(2, "o1", Verb::Failed { code: 486 }), say(3, reserve("100", "k2", "o2"))],
        &[
            "o1 100 live | o1 outbound by 100 | 100=ringing",
            "o1 100 failed:486 | o1 failed:486 | 100=wrap_up",
            "not_offerable wrap_up",
        ],
    );
}

#[test]
fn the_slot_it_takes_in_wrap_up_is_one_slot_and_leaves_the_others_free() {
    let mut world = sales(&[]);
    world.must(put_agent("100", AgentEntry { capacity: 2, ..entry("100") }));
    world.register("100");
    world.must(event_with("100", AgentEvent::Login, &["q"]));
    let (world, _) = run(
        world,
        vec![
            say(0, reserve_from("q", "k0", "o0")),
            verb(0, "o0", answer()),
            say(0, reserve("100", "k2", "o2")),
            verb(0, "o2", answer()),
            say(0, end_call("k0")),
            dial(1),
        ],
    );
    check(
        world,
        vec![
            say(2, reserve_from("q", "k3", "o3")),
            say(3, end_call("k2")),
            // One slot dials, in the time of its wrap-up; the other is free.
            say(4, reserve_from("q", "k3", "o3")),
            say(5, self_reserve("100", "k4", "o4")),
        ],
        &[
            "no_agent of 1 slot=1",
            "ok | 100 leg k2 over, k2 ended | 100=ready",
            "o3 100 live | o3 to 100 | 100=ringing",
            "not_offerable slot",
        ],
    );
}

#[test]
fn an_unmatched_leg_from_the_agent_is_the_offers_own_and_no_external_call() {
    let leg = |ms, seq, phase, id: &str| say(ms, call_leg(seq, phase, "100", id, Direction::Outbound));
    check(
        sales(&["100"]),
        vec![
            dial(0),
            leg(1, 2, CallPhase::Start, "x1"),
            leg(2, 3, CallPhase::State, "x1"),
            verb(3, "o1", answer()),
            leg(4, 4, CallPhase::State, "x1"),
            // A second one is explained by nothing.
            leg(5, 5, CallPhase::Start, "x2"),
        ],
        &[
            "o1 100 live | o1 outbound by 100 | 100=ringing",
            "fed 1/0/0 | o1 leg x1",
            "fed 0/1/0",
            "o1 100 accepted | o1 answered | 100=in_call",
            "fed 0/1/0",
            "fed 1/0/0 | 100 external x2 | 100=external_call",
        ],
    );
    // Nor is one beside an offer that comes in.
    check(
        sales(&["100"]),
        vec![say(0, reserve_from("q", "k1", "o1")), leg(1, 2, CallPhase::Start, "x1")],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "fed 1/0/0 | 100 external x1, o1 rescinded:external_call | 100=external_call",
        ],
    );
    // A phone that is rung first, to be connected out then, is the same.
    check(
        sales(&["100"]),
        vec![dial(0), say(1, call_leg(2, CallPhase::Start, "100", "x1", Direction::Inbound))],
        &["o1 100 live | o1 outbound by 100 | 100=ringing", "fed 1/0/0 | o1 leg x1"],
    );
}

#[test]
fn the_same_offer_id_is_the_same_reserve_and_no_other() {
    check(
        sales(&["100"]),
        vec![dial(0), dial(1), say(2, reserve("100", "k1", "o1")), tick(20_000), dial(20_001)],
        &[
            "o1 100 live | o1 outbound by 100 | 100=ringing",
            "o1 100 live unchanged",
            "offer_id_reused",
            // Nobody answered out there: no miss.
            "ok unchanged | o1 no_answer | 100=ready",
            "o1 100 no_answer unchanged",
        ],
    );
}

#[test]
fn a_restart_knows_whose_slot_was_taken() {
    let (mut world, _) = run(wrapping(), vec![dial(1), verb(2, "o1", answer())]);
    let mut disk = store::Disk::default();
    disk.checkpoint(&mut world.account);
    let mut restored = disk.restore();
    restored.step(end_call("k1"), &crate::common::by(Role::Api), at(3));
    store::assert_same_image(
        &restored,
        &{
            world.now = at(3);
            world.must(end_call("k1"));
            world.account
        },
        "both freed the slot to its wrap-up",
    );
}
