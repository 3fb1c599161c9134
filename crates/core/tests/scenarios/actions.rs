//! What supervisors do to agents.

use ringfence_core::Input;
use ringfence_core::agent::{AgentEntry, Role};
use ringfence_core::call::Direction;
use ringfence_core::fact::Change;
use ringfence_core::feed::CallPhase;
use ringfence_core::input::{Action, ActionInput, AgentEvent, PauseReason, When};
use ringfence_core::queue::QueueSettings;

use crate::common::scenario::{When as Said, answer, check, run, say, say_by, tick, verb};
use crate::common::{
    World, act, action_of, agent_id, at, by, call_leg, end_call, entry, event, event_for, event_with,
    put_agent, reason, reason_id, reserve, reserve_from, sales, sales_with,
};

const WATCH: Role = Role::Supervisor;

fn supervise(ms: u64, action: Action) -> Said {
    say_by(ms, WATCH, act("100", action))
}

fn dry(ms: u64, action: Action) -> Said {
    say_by(ms, WATCH, Input::Act(ActionInput { dry_run: true, ..action_of("100", action) }))
}

fn pause() -> Action {
    Action::Pause { reason: None }
}

fn talking() -> World {
    let mut world = sales(&["100"]);
    world.must(reserve_from("q", "k1", "o1"));
    let (world, _) = run(world, vec![verb(0, "o1", answer())]);
    world
}

#[test]
fn a_supervisor_pauses_frees_and_logs_out_an_agent_at_once() {
    check(
        sales(&["100"]),
        vec![
            supervise(0, pause()),
            supervise(1, pause()),
            supervise(2, Action::Available),
            supervise(3, Action::Logout),
            supervise(4, pause()),
            supervise(5, Action::Available),
            supervise(6, Action::EndWrapUp),
            say_by(7, WATCH, act("nobody", pause())),
        ],
        &[
            "ok | pause of 100, 100 break() | 100=paused",
            "ok unchanged",
            "ok | available of 100, 100 available | 100=ready",
            "ok | logout of 100, 100 offline, 100 left q | 100=offline",
            "not_logged_in",
            "ok | available of 100, 100 available | 100=idle",
            "ok unchanged",
            "unknown_agent",
        ],
    );
}

#[test]
fn during_a_call_it_becomes_the_next_status() {
    for (action, next, then) in [
        (pause(), "100 next break()", "100 break(), 100 nothing next | 100=paused"),
        (Action::Logout, "100 next offline", "100 offline, 100 left q, 100 nothing next | 100=offline"),
    ] {
        let word = action.as_str();
        check(
            talking(),
            vec![
                supervise(1, action.clone()),
                supervise(1, action),
                say(2, end_call("k1")),
                supervise(3, Action::EndWrapUp),
            ],
            &[
                &format!("ok | {word} of 100, {next}"),
                "ok unchanged",
                "ok | 100 leg k1 over wrap-up 10002, k1 ended | 100=wrap_up",
                &format!("ok | end_wrap_up of 100, 100 wrapped up k1, {then}"),
            ],
        );
    }
    let mut world = talking();
    world.must(crate::common::pause("100", ""));
    check(world, vec![supervise(1, Action::Available)], &["ok | available of 100, 100 next available"]);
}

#[test]
fn while_it_rings_or_in_wrap_up_it_is_done_at_once() {
    check(
        sales(&["100"]),
        vec![say(0, reserve_from("q", "k1", "o1")), supervise(1, pause())],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "ok | pause of 100, 100 break(), o1 rescinded:paused | 100=paused",
        ],
    );
    check(
        talking(),
        vec![say(1, end_call("k1")), supervise(2, Action::Available)],
        &[
            "ok | 100 leg k1 over wrap-up 10001, k1 ended | 100=wrap_up",
            "ok | available of 100, 100 wrapped up k1 | 100=ready",
        ],
    );
}

#[test]
fn an_action_may_insist_on_the_row_it_has_seen() {
    let world = sales(&["100"]);
    let seq = world.account.agent(&agent_id("100")).unwrap().seq;
    let insist = |seq, dry_run| {
        let input = ActionInput { expected_seq: Some(seq), dry_run, ..action_of("100", pause()) };
        say_by(0, WATCH, Input::Act(input))
    };
    check(
        world,
        vec![insist(seq - 1, false), insist(seq - 1, true), insist(seq, false), insist(seq, false)],
        &["seq_mismatch", "seq_mismatch", "ok | pause of 100, 100 break() | 100=paused", "seq_mismatch"],
    );
}

#[test]
fn the_note_is_kept_with_what_was_done_and_bounded() {
    let noted = |note: &str| {
        let input = ActionInput { note: Some(note.to_owned()), ..action_of("100", pause()) };
        say_by(0, WATCH, Input::Act(input))
    };
    check(
        sales(&["100"]),
        vec![noted(&"x".repeat(513)), noted("coaching"), noted("again")],
        &["limit_reached", "ok | pause of 100 (coaching), 100 break() | 100=paused", "ok unchanged"],
    );
}

#[test]
fn actions_are_for_supervisors_and_administrators_and_so_are_their_reasons() {
    let mut world = sales(&["100"]);
    world.must(Input::PutReason(PauseReason { supervisor_only: true, ..reason("coaching", false) }));
    let coaching = Action::Pause { reason: Some(reason_id("coaching")) };
    let said = |role| say_by(0, role, act("100", coaching.clone()));
    let as_agent = AgentEvent::Pause { reason: Some(reason_id("coaching")) };
    check(
        world,
        vec![
            said(Role::Agent),
            said(Role::Router),
            said(Role::Registrar),
            say_by(0, Role::Agent, event("100", as_agent)),
            said(Role::Supervisor),
            say_by(1, Role::Api, act("100", Action::Available)),
            said_at(2, Role::System, coaching.clone()),
        ],
        &[
            "supervisors_only",
            "supervisors_only",
            "supervisors_only",
            "invalid",
            "ok | pause of 100, 100 break(coaching) | 100=paused",
            "ok | available of 100, 100 available | 100=ready",
            "ok | pause of 100, 100 break(coaching) | 100=paused",
        ],
    );
}

fn said_at(ms: u64, role: Role, action: Action) -> Said {
    say_by(ms, role, act("100", action))
}

/// 100 has three slots: a call, an offer and a wrap-up; and an external call of a registrar's.
fn stuck() -> World {
    let settings = QueueSettings { wrap_up_sec: None, ..QueueSettings::default() };
    let mut world = sales_with(settings, &[]);
    world.must(put_agent("100", AgentEntry { capacity: 3, ..entry("100") }));
    world.register("100");
    world.must(event_with("100", AgentEvent::Login, &["q"]));
    let (world, _) = run(
        world,
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            verb(0, "o1", answer()),
            say(0, end_call("k1")),
            say(0, reserve_from("q", "k2", "o2")),
            verb(0, "o2", answer()),
            say(0, reserve("100", "k3", "o3")),
        ],
    );
    world
}

#[test]
fn clear_stuck_ends_all_that_holds_the_agent_in_one_record_of_the_supervisors() {
    let (mut world, lines) =
        run(stuck(), vec![supervise(1, Action::ClearStuck), supervise(1, Action::ClearStuck)]);
    assert_eq!(
        lines,
        [
            "ok | clear_stuck of 100, 100 wrapped up k1, 100 leg k2 over, o3 rescinded:supervisor | 100=ready",
            "ok unchanged"
        ]
    );
    let record = world.journal.last().unwrap();
    assert_eq!(record.by, by(WATCH));
    assert!(record.facts.iter().all(|fact| fact.by.is_none()), "all of it is the supervisor's");
    world.must(call_leg(2, CallPhase::Start, "100", "x1", Direction::Inbound));
    check(
        world,
        vec![
            supervise(2, Action::ClearStuck),
            // It is over, whoever says late that it began.
            say(3, call_leg(3, CallPhase::State, "100", "x1", Direction::Inbound)),
            say(4, reserve("100", "k4", "o4")),
        ],
        &[
            "ok | clear_stuck of 100, 100 external x1 over | 100=ready",
            "fed 0/1/0",
            "o4 100 live | o4 to 100",
        ],
    );
}

#[test]
fn who_is_cleared_is_free_and_becomes_what_was_to_come() {
    let mut world = talking();
    world.must(event_for(When::AfterCall, "100", AgentEvent::Pause { reason: None }));
    check(
        world,
        vec![dry(1, Action::ClearStuck), supervise(1, Action::ClearStuck), tick(10_001)],
        &[
            "would: 100 leg k1 over, 100 break(), 100 nothing next",
            "ok | clear_stuck of 100, 100 leg k1 over, 100 break(), 100 nothing next | 100=paused",
            "ok unchanged",
        ],
    );
}

#[test]
fn a_dry_run_says_what_would_change_and_changes_nothing() {
    check(
        stuck(),
        vec![
            dry(1, Action::ClearStuck),
            dry(1, Action::EndWrapUp),
            dry(1, Action::Available),
            dry(1, pause()),
            dry(1, Action::Logout),
            say_by(1, Role::Agent, Input::Act(ActionInput { dry_run: true, ..action_of("100", pause()) })),
        ],
        &[
            "would: 100 wrapped up k1, 100 leg k2 over, o3 rescinded:supervisor",
            "would: 100 wrapped up k1",
            // The status is that already; the wrap-up has an action of its own.
            "would: ",
            "would: 100 next break()",
            "would: 100 next offline",
            "supervisors_only",
        ],
    );
    check(
        sales(&["100"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            dry(1, pause()),
            dry(1, Action::Logout),
            dry(1, Action::Available),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "would: 100 break(), o1 rescinded:paused",
            "would: 100 offline, 100 left q, o1 rescinded:logout",
            "would: ",
        ],
    );
}

#[test]
fn the_journal_says_which_action_it_was() {
    let (world, _) = run(sales(&["100"]), vec![supervise(0, Action::Logout)]);
    let first = &world.journal.last().unwrap().facts[0].change;
    assert!(matches!(first, Change::Acted { action: Action::Logout, .. }), "{first:?}");
    assert_eq!(world.account.agent(&agent_id("100")).unwrap().changed_by, by(WATCH));
    assert_eq!(world.account.agent(&agent_id("100")).unwrap().status_since, at(0));
}
