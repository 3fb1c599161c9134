//! What agents want: events, breaks, and what they leave alone.

use ringfence_core::Input;
use ringfence_core::agent::{Role, Status};
use ringfence_core::input::{AgentEvent, EventInput, PauseReason};

use crate::common::scenario::{answer, check, run, say, say_by, tick, verb};
use crate::common::{
    World, agent_id, at, end_call, event, event_of, pause, put_queue, reason, reserve, reserve_from, sales,
};

#[test]
fn a_pause_in_a_call_changes_the_status_only_and_the_wrap_up_runs_on() {
    check(
        sales(&["100"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            verb(0, "o1", answer()),
            say(1, pause("100", "")),
            say(2, end_call("k1")),
            tick(10_001),
            tick(10_002),
            say(10_003, event("100", AgentEvent::Unpause)),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o1 100 accepted | o1 answered | 100=in_call",
            "ok | 100 break()",
            "ok | 100 leg k1 over wrap-up 10002, k1 ended | 100=paused",
            "ok unchanged",
            "ok unchanged | 100 wrapped up k1",
            "ok | 100 available | 100=ready",
        ],
    );
}

#[test]
fn a_logout_in_a_call_leaves_the_call_alone() {
    check(
        sales(&["100"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            verb(0, "o1", answer()),
            say(1, event("100", AgentEvent::Logout)),
            say(2, end_call("k1")),
            tick(10_002),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o1 100 accepted | o1 answered | 100=in_call",
            "ok | 100 offline, 100 left q",
            "ok | 100 leg k1 over wrap-up 10002, k1 ended | 100=offline",
            "ok unchanged | 100 wrapped up k1",
        ],
    );
}

#[test]
fn events_that_change_nothing_emit_nothing() {
    let mut world = sales(&["100"]);
    world.must(Input::PutReason(reason("lunch", false)));
    check(
        world,
        vec![
            say(0, event("100", AgentEvent::Available)),
            say(0, event("100", AgentEvent::Login)),
            say(0, event("100", AgentEvent::Unpause)),
            say(0, event("100", AgentEvent::EndWrapUp)),
            say(0, event("100", AgentEvent::ExtendWrapUp { sec: 60 })),
            say(0, pause("100", "lunch")),
            say(1, pause("100", "lunch")),
            say(2, event("100", AgentEvent::Logout)),
            say(3, event("100", AgentEvent::Logout)),
            say(3, Input::PutReason(reason("lunch", false))),
            say(3, put_queue("q", ringfence_core::queue::QueueSettings::default())),
            say(3, end_call("nobody")),
            say(3, end_call("nobody")),
        ],
        &[
            "ok unchanged",
            "ok unchanged",
            "ok unchanged",
            "ok unchanged",
            "ok unchanged",
            "ok | 100 break(lunch) | 100=paused",
            "ok unchanged",
            "ok | 100 offline, 100 left q | 100=offline",
            "ok unchanged",
            "ok unchanged",
            "ok unchanged",
            // An end that comes before its call absorbs it.
            "ok | nobody ended",
            "ok unchanged",
        ],
    );
}

#[test]
fn pause_and_unpause_while_offline_are_refused() {
    let mut world = sales(&["100"]);
    world.must(event("100", AgentEvent::Logout));
    check(
        world,
        vec![
            say(0, pause("100", "")),
            say(0, event("100", AgentEvent::Unpause)),
            say(0, event("100", AgentEvent::Available)),
        ],
        &["not_logged_in", "not_logged_in", "ok | 100 available | 100=idle"],
    );
}

#[test]
fn a_pause_while_paused_changes_the_reason_and_the_time_belongs_to_the_first() {
    let mut world = sales(&["100"]);
    world.must(Input::PutReason(reason("lunch", false)));
    let (world, lines) = run(
        world,
        vec![
            say(0, pause("100", "lunch")),
            say(70, pause("100", "")),
            say(100, event("100", AgentEvent::Unpause)),
        ],
    );
    assert_eq!(
        lines,
        ["ok | 100 break(lunch) | 100=paused", "ok | 100 break()", "ok | 100 available | 100=ready"]
    );
    let pauses = &world.account.agent(&agent_id("100")).unwrap().ledger.today.pauses;
    assert_eq!(*pauses, [(Some(crate::common::reason_id("lunch")), 70), (None, 30)]);
}

#[test]
fn an_unknown_reason_is_refused_and_a_supervisors_reason_is_not_for_agents() {
    let mut world = sales(&["100"]);
    world.must(Input::PutReason(PauseReason { supervisor_only: true, ..reason("coaching", false) }));
    check(
        world,
        vec![
            say(0, pause("100", "nothing")),
            say_by(0, Role::Agent, pause("100", "coaching")),
            say_by(0, Role::Supervisor, pause("100", "coaching")),
        ],
        &["unknown_reason", "invalid", "ok | 100 break(coaching) | 100=paused"],
    );
}

#[test]
fn a_break_keeps_the_terms_it_was_begun_under() {
    let mut world = sales(&["100"]);
    world.must(Input::PutReason(PauseReason { max_sec: Some(60), ..reason("open", true) }));
    world.must(pause("100", "open"));
    check(
        world,
        vec![
            say(0, Input::RemoveReason { reason: crate::common::reason_id("open") }),
            say(0, reserve("100", "k1", "o1")),
            // Over its length it is shown, not ended.
            tick(15_000),
            tick(60_001),
        ],
        &[
            "ok | removed open",
            "o1 100 live | o1 to 100 | 100=ringing",
            "ok unchanged",
            "ok unchanged | o1 no_answer | 100=paused",
        ],
    );
}

#[test]
fn forgiving_misses_does_not_move_the_time_since_which_an_agent_is_available() {
    let (mut world, _) = run(
        sales(&["100"]),
        vec![say(5, reserve_from("q", "k1", "o1")), verb(5, "o1", ringfence_core::input::Verb::NoAnswer)],
    );
    for back in [AgentEvent::Login, AgentEvent::Unpause, AgentEvent::Available] {
        world.now = at(9);
        world.must(event("100", back));
        let agent = world.account.agent(&agent_id("100")).unwrap();
        assert_eq!((agent.misses, agent.status_since), (0, at(0)));
        assert_eq!(agent.status, Status::Available);
    }
}

#[test]
fn an_event_may_insist_on_the_row_it_has_seen() {
    let world = sales(&["100"]);
    let seq = world.account.agent(&agent_id("100")).unwrap().seq;
    let insist = |expected| {
        Input::Event(EventInput { expected_seq: Some(expected), ..event_of("100", AgentEvent::Logout) })
    };
    check(
        world,
        vec![say(0, insist(seq - 1)), say(0, insist(seq)), say(0, insist(seq))],
        &["seq_mismatch", "ok | 100 offline, 100 left q | 100=offline", "seq_mismatch"],
    );
}

#[test]
fn an_agent_nobody_knows_is_refused_and_made_on_a_development_server() {
    let first = |id: &str, event| Input::Event(EventInput { create: true, ..event_of(id, event) });
    check(
        World::default(),
        vec![
            say(0, event("100", AgentEvent::Login)),
            // Refused means not made either.
            say(0, first("100", AgentEvent::Pause { reason: None })),
            say(0, event("100", AgentEvent::Login)),
            say(0, first("100", AgentEvent::Login)),
            say(0, crate::common::bindings(1, "100@x.example", vec![crate::common::contact("c1", None)])),
        ],
        &[
            "unknown_agent",
            "not_logged_in",
            "unknown_agent",
            "ok | put 100, 100 available | 100=unreachable",
            "fed 1/0/0 | bound 100@x.example c1 | 100=idle",
        ],
    );
}
