//! What an agent is to become later: after the call, and at a clock time.

use ringfence_core::agent::{AgentEntry, Role, Status};
use ringfence_core::input::{AgentEvent, PauseReason, Verb, When};
use ringfence_core::queue::QueueSettings;
use ringfence_core::row::{Next, StatusWord};
use ringfence_core::{Input, Time};

use crate::common::scenario::{When as Said, answer, check, run, say, say_by, tick, verb};
use crate::common::{
    World, agent_id, at, by, end_call, entry, event, event_for, event_with, explain, pause, put_agent,
    reason, reason_id, reserve, reserve_for, reserve_from, sales, sales_with, store,
};

fn later(event: AgentEvent) -> Input {
    event_for(When::AfterCall, "100", event)
}

fn lunch() -> AgentEvent {
    AgentEvent::Pause { reason: Some(reason_id("lunch")) }
}

fn logout_at(ms: u64) -> Input {
    event_for(When::At(at(ms)), "100", AgentEvent::Logout)
}

fn next(world: &World) -> Option<Next> {
    world.account.row(&agent_id("100")).unwrap().live.unwrap().next.clone()
}

/// 100 talks on k1 since 0, and a reason "lunch" is there.
fn talking() -> World {
    let mut world = sales(&["100", "101"]);
    world.must(Input::PutReason(reason("lunch", false)));
    let (world, _) = run(world, vec![say(0, reserve_for("100", "q", "k1", "o1")), verb(0, "o1", answer())]);
    world
}

#[test]
fn a_pause_for_after_the_call_comes_when_the_wrap_up_is_over_in_the_record_that_ends_it() {
    check(
        talking(),
        vec![
            say_by(1, Role::Agent, later(lunch())),
            say(2, end_call("k1")),
            tick(10_001),
            tick(10_002),
            say(10_003, event("100", AgentEvent::Unpause)),
        ],
        &[
            "ok | 100 next break(lunch)",
            "ok | 100 leg k1 over wrap-up 10002, k1 ended | 100=wrap_up",
            "ok unchanged",
            "ok unchanged | 100 wrapped up k1, 100 break(lunch), 100 nothing next | 100=paused",
            "ok | 100 available | 100=ready",
        ],
    );
}

#[test]
fn a_logout_for_after_the_call_clears_the_agents_own_queues_and_without_wrap_up_comes_with_the_end() {
    let mut world = sales_with(QueueSettings { wrap_up_sec: Some(0), ..QueueSettings::default() }, &["100"]);
    world.must(reserve_from("q", "k1", "o1"));
    check(
        world,
        vec![
            verb(0, "o1", answer()),
            say(1, later(AgentEvent::Logout)),
            say(2, end_call("k1")),
            say(3, event("100", AgentEvent::Login)),
        ],
        &[
            "o1 100 accepted | o1 answered | 100=in_call",
            "ok | 100 next offline",
            "ok | 100 leg k1 over, k1 ended, 100 offline, 100 left q, 100 nothing next | 100=offline",
            "ok | 100 available | 100=idle",
        ],
    );
}

#[test]
fn available_for_after_the_call_ends_the_break_that_was_begun_in_it() {
    check(
        talking(),
        vec![
            say(1, pause("100", "lunch")),
            say(2, later(AgentEvent::Available)),
            say(3, end_call("k1")),
            tick(10_003),
        ],
        &[
            "ok | 100 break(lunch)",
            "ok | 100 next available",
            "ok | 100 leg k1 over wrap-up 10003, k1 ended | 100=paused",
            "ok unchanged | 100 wrapped up k1, 100 available, 100 nothing next | 100=ready",
        ],
    );
}

#[test]
fn who_is_free_already_gets_it_at_once() {
    let mut world = sales(&["100"]);
    world.must(Input::PutReason(reason("lunch", false)));
    check(world, vec![say(0, later(lunch()))], &["ok | 100 break(lunch) | 100=paused"]);
}

#[test]
fn with_a_second_slot_free_the_agent_is_free() {
    let mut world = sales(&[]);
    world.must(put_agent("100", AgentEntry { capacity: 2, ..entry("100") }));
    world.register("100");
    world.must(event_with("100", AgentEvent::Login, &["q"]));
    check(
        world,
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            verb(0, "o1", answer()),
            say(0, reserve_from("q", "k2", "o2")),
            verb(0, "o2", answer()),
            say(1, later(AgentEvent::Pause { reason: None })),
            // The slot that ends first: its wrap-up holds it, the other's call does not.
            say(2, end_call("k1")),
            tick(10_002),
            say(10_003, later(AgentEvent::Logout)),
        ],
        &[
            "o1 100 live | o1 to 100",
            "o1 100 accepted | o1 answered",
            "o2 100 live | o2 to 100 | 100=in_call",
            "o2 100 accepted | o2 answered",
            "ok | 100 next break()",
            "ok | 100 leg k1 over wrap-up 10002, k1 ended",
            "ok unchanged | 100 wrapped up k1, 100 break(), 100 nothing next | 100=paused",
            "ok | 100 offline, 100 left q | 100=offline",
        ],
    );
}

#[test]
fn while_it_rings_the_offer_goes_on_and_its_end_frees_the_agent() {
    check(
        sales(&["100"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            say(1, later(AgentEvent::Pause { reason: None })),
            verb(2, "o1", Verb::Reject),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "ok | 100 next break()",
            "o1 100 rejected | o1 rejected cooldown 5002, 100 break(), 100 nothing next | 100=paused",
        ],
    );
}

#[test]
fn a_newer_command_replaces_it() {
    check(
        talking(),
        vec![
            say(1, later(lunch())),
            say(2, later(lunch())),
            say(3, later(AgentEvent::Logout)),
            // What would change nothing when it comes only takes back what was to come.
            say(4, later(AgentEvent::Available)),
            say(5, later(lunch())),
            say(6, pause("100", "")),
            say(7, later(AgentEvent::Logout)),
            say(8, event("100", AgentEvent::Available)),
            say(9, later(AgentEvent::Available)),
            say(10, event("100", AgentEvent::EndWrapUp)),
        ],
        &[
            "ok | 100 next break(lunch)",
            "ok unchanged",
            "ok | 100 next offline",
            "ok | 100 nothing next",
            "ok | 100 next break(lunch)",
            "ok | 100 break(), 100 nothing next",
            "ok | 100 next offline",
            "ok | 100 available, 100 nothing next",
            "ok unchanged",
            "ok unchanged",
        ],
    );
}

#[test]
fn it_is_taken_back_by_a_command_of_its_own() {
    check(
        talking(),
        vec![
            say(1, later(lunch())),
            say(2, event("100", AgentEvent::CancelPending)),
            say(3, event("100", AgentEvent::CancelPending)),
            say(4, end_call("k1")),
            tick(10_004),
        ],
        &[
            "ok | 100 next break(lunch)",
            "ok | 100 nothing next",
            "ok unchanged",
            "ok | 100 leg k1 over wrap-up 10004, k1 ended | 100=wrap_up",
            "ok unchanged | 100 wrapped up k1 | 100=ready",
        ],
    );
}

#[test]
fn clause_8_fails_while_it_is_set() {
    let mut world = talking();
    world.must(later(lunch()));
    check(
        world,
        vec![say(1, explain("100", None)), say(1, reserve("100", "k2", "o2"))],
        &["not offerable: slot pending", "not_offerable slot pending"],
    );
}

#[test]
fn the_row_shows_what_is_next_and_who_asked_and_the_change_is_theirs() {
    let (mut world, _) = run(talking(), vec![say_by(1, Role::Supervisor, later(lunch()))]);
    let asked = by(Role::Supervisor);
    let shown = Next {
        status: StatusWord::OnBreak,
        reason_id: Some(reason_id("lunch")),
        at: None,
        by: asked.clone(),
    };
    assert_eq!(next(&world), Some(shown));
    world.must(end_call("k1"));
    world.must(event("100", AgentEvent::EndWrapUp));
    assert_eq!(next(&world), None);
    let agent = world.account.agent(&agent_id("100")).unwrap();
    assert_eq!(agent.changed_by, asked, "not of whoever ended the wrap-up");
    assert!(matches!(&agent.status, Status::OnBreak(pause) if pause.since == at(1)));
}

#[test]
fn it_survives_a_restart_and_is_carried_out_after_it() {
    let (mut world, _) = run(talking(), vec![say(1, later(lunch())), say(1, logout_at(90_000))]);
    let mut disk = store::Disk::default();
    disk.checkpoint(&mut world.account);
    let mut restored = disk.restore();
    for (now, input, said) in
        [(2, end_call("k1"), "wrap_up"), (10_002, Input::Tick, "paused"), (90_000, Input::Tick, "offline")]
    {
        let outcome = restored.step(input, &by(Role::Api), at(now));
        assert!(outcome.reply.is_ok());
        assert_eq!(restored.agent(&agent_id("100")).unwrap().standing.bucket.as_str(), said);
    }
}

#[test]
fn a_break_to_come_keeps_the_terms_it_was_asked_for_under() {
    let mut world = talking();
    world.must(Input::PutReason(PauseReason { max_sec: Some(60), ..reason("lunch", true) }));
    let (world, _) = run(
        world,
        vec![
            say(1, later(lunch())),
            say(2, Input::RemoveReason { reason: reason_id("lunch") }),
            say(3, end_call("k1")),
            tick(10_003),
        ],
    );
    let agent = world.account.agent(&agent_id("100")).unwrap();
    let Status::OnBreak(pause) = &agent.status else { panic!("{:?}", agent.status) };
    assert_eq!((pause.allow_inbound, pause.since, pause.until), (true, at(10_003), Some(at(70_003))));
}

#[test]
fn what_cannot_wait_is_refused() {
    let mut world = talking();
    world.must(Input::PutReason(PauseReason { supervisor_only: true, ..reason("coaching", false) }));
    let coaching = || AgentEvent::Pause { reason: Some(reason_id("coaching")) };
    let with_queues = |when| {
        let Input::Event(event) = event_with("100", AgentEvent::Logout, &["q"]) else { unreachable!() };
        Input::Event(ringfence_core::input::EventInput { when, ..event })
    };
    let month = 31 * 86_400_000;
    check(
        world,
        vec![
            say(1, later(AgentEvent::Login)),
            say(1, later(AgentEvent::Unpause)),
            say(1, later(AgentEvent::EndWrapUp)),
            say(1, event_for(When::At(at(5)), "100", lunch())),
            say(1, with_queues(When::AfterCall)),
            say(1, with_queues(When::At(at(5)))),
            say_by(1, Role::Agent, later(coaching())),
            say_by(1, Role::Agent, later(AgentEvent::Pause { reason: Some(reason_id("nothing")) })),
            // Neither in the past nor by a mistake of units.
            say(1, logout_at(1)),
            say(1, event_for(When::At(Time::from_ms(1)), "100", AgentEvent::Logout)),
            say(1, logout_at(month + 2)),
            say(1, logout_at(month + 1)),
            say(2, event("100", AgentEvent::Logout)),
            say(3, later(lunch())),
        ],
        &[
            "invalid",
            "invalid",
            "invalid",
            "invalid",
            "invalid",
            "invalid",
            "invalid",
            "unknown_reason",
            "invalid",
            "invalid",
            "invalid",
            "ok | 100 logout 2678400001",
            "ok | 100 offline, 100 left q",
            "not_logged_in",
        ],
    );
}

#[test]
fn a_logout_at_a_clock_time_comes_at_its_time() {
    let world = sales(&["100"]);
    check(
        world,
        vec![
            say_by(0, Role::Supervisor, logout_at(5_000)),
            say(0, logout_at(5_000)),
            tick(4_999),
            say(4_999, explain("100", Some("q"))),
            tick(5_000),
            tick(9_000),
        ],
        &[
            "ok | 100 logout 5000",
            "ok unchanged",
            "ok unchanged",
            "offerable",
            "ok unchanged | 100 offline, 100 left q, 100 no logout | 100=offline",
            "ok unchanged",
        ],
    );
}

#[test]
fn in_a_call_it_comes_right_after_it_and_the_wrap_up_runs_on() {
    check(
        talking(),
        vec![
            say(1, logout_at(5_000)),
            tick(5_000),
            tick(6_000),
            say(7_000, end_call("k1")),
            say(8_000, event("100", AgentEvent::Login)),
            tick(17_000),
        ],
        &[
            "ok | 100 logout 5000",
            "ok unchanged | 100 logout due 5000",
            "ok unchanged",
            "ok | 100 leg k1 over wrap-up 17000, k1 ended, 100 offline, 100 left q, 100 no logout | 100=offline",
            "ok | 100 available | 100=wrap_up",
            "ok unchanged | 100 wrapped up k1 | 100=idle",
        ],
    );
}

#[test]
fn while_it_rings_a_clock_logout_takes_the_offer_back() {
    check(
        sales(&["100"]),
        vec![say(0, logout_at(5_000)), say(1, reserve_from("q", "k1", "o1")), tick(5_000)],
        &[
            "ok | 100 logout 5000",
            "o1 100 live | o1 to 100 | 100=ringing",
            "ok unchanged | 100 offline, 100 left q, 100 no logout, o1 rescinded:logout | 100=offline",
        ],
    );
}

#[test]
fn clause_8_fails_from_the_moment_a_clock_logout_is_due_however_late_the_timer() {
    let ids: Vec<String> = (100..200).map(|n| n.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut world = sales(&ids);
    for id in &ids {
        world.must(event_for(When::At(at(5_000)), id, AgentEvent::Logout));
    }
    world.now = at(5_000);
    // More are due than one record may touch.
    let outcome = world.step(explain("199", None));
    assert!(outcome.more);
    let said = crate::common::words::reply(&outcome.reply);
    assert_eq!(said, "not offerable: pending");
    while world.step(Input::Tick).more {}
    assert!(world.account.agents().all(|(_, agent)| agent.status == Status::Offline));
}

#[test]
fn a_clock_logout_is_taken_back_moved_and_outlives_a_logout_by_hand() {
    check(
        sales(&["100"]),
        vec![
            say(0, logout_at(5_000)),
            say(0, event("100", AgentEvent::CancelClockLogout)),
            say(0, event("100", AgentEvent::CancelClockLogout)),
            tick(5_000),
            say(5_000, logout_at(6_000)),
            say(5_000, logout_at(7_000)),
            say(5_500, event("100", AgentEvent::Logout)),
            say(5_600, event("100", AgentEvent::Login)),
            tick(6_000),
            tick(7_000),
        ],
        &[
            "ok | 100 logout 5000",
            "ok | 100 no logout",
            "ok unchanged",
            "ok unchanged",
            "ok | 100 logout 6000",
            "ok | 100 logout 7000",
            "ok | 100 offline, 100 left q | 100=offline",
            "ok | 100 available | 100=idle",
            "ok unchanged",
            "ok unchanged | 100 offline, 100 no logout | 100=offline",
        ],
    );
}

/// Both slots set, the call over at this time.
fn both(over: u64, then: &[&str]) {
    let mut steps: Vec<Said> =
        vec![say(1, later(lunch())), say(1, logout_at(20_000)), say(over, end_call("k1"))];
    steps.extend([10_001, 20_000, 30_000].map(|wait| tick(over.max(20_000) + wait)));
    let (_, lines) = run(talking(), steps);
    let said: Vec<&str> = lines.iter().map(String::as_str).filter(|line| *line != "ok unchanged").collect();
    assert_eq!(said[2..], *then);
}

#[test]
fn of_both_the_one_whose_moment_comes_first_comes_first_and_a_due_logout_beats_the_status() {
    both(
        2,
        &[
            "ok | 100 leg k1 over wrap-up 10002, k1 ended | 100=wrap_up",
            "ok unchanged | 100 wrapped up k1, 100 offline, 100 left q, 100 nothing next, 100 no logout | 100=offline",
        ],
    );
    both(
        25_000,
        &[
            "ok | 100 logout due 20000, 100 leg k1 over wrap-up 35000, k1 ended, 100 offline, 100 left q, \
             100 nothing next, 100 no logout | 100=offline",
            "ok unchanged | 100 wrapped up k1",
        ],
    );
    check(
        talking(),
        vec![
            say(1, later(lunch())),
            say(1, logout_at(20_000)),
            say(2, end_call("k1")),
            tick(10_002),
            tick(20_000),
        ],
        &[
            "ok | 100 next break(lunch)",
            "ok | 100 logout 20000",
            "ok | 100 leg k1 over wrap-up 10002, k1 ended | 100=wrap_up",
            "ok unchanged | 100 wrapped up k1, 100 break(lunch), 100 nothing next | 100=paused",
            "ok unchanged | 100 offline, 100 left q, 100 no logout | 100=offline",
        ],
    );
}

#[test]
fn the_row_shows_the_one_of_both_that_comes_first() {
    let (mut world, _) = run(talking(), vec![say(1, later(lunch())), say(1, logout_at(5_000))]);
    let shown = |world: &World| next(world).map(|next| (next.status, next.at));
    assert_eq!(shown(&world), Some((StatusWord::OnBreak, None)), "before its time the logout comes last");
    world.now = at(5_000);
    world.must(Input::Tick);
    assert_eq!(shown(&world), Some((StatusWord::Offline, Some(at(5_000)))), "it no longer waits for wrap-up");
    world.must(event("100", AgentEvent::CancelClockLogout));
    assert_eq!(shown(&world), Some((StatusWord::OnBreak, None)));
    world.must(event("100", AgentEvent::CancelPending));
    assert_eq!(shown(&world), None);
}
