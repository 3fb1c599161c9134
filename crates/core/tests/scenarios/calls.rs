//! Calls of the fence and the work after them.

use ringfence_core::Input;
use ringfence_core::agent::{AgentEntry, State};
use ringfence_core::input::{AgentEvent, Verb};
use ringfence_core::queue::QueueSettings;

use crate::common::scenario::{answer, check, run, say, tick, verb};
use crate::common::{
    World, agent_id, at, end_call, end_leg, entry, put_agent, put_queue, reserve, reserve_from, sales,
    sales_with,
};

#[test]
fn the_wrap_up_is_the_queues_as_it_was_when_the_call_was_answered() {
    check(
        sales(&["100"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            verb(0, "o1", answer()),
            say(1, put_queue("q", QueueSettings { wrap_up_sec: Some(99), ..QueueSettings::default() })),
            say(2, end_call("k1")),
            say(10_001, reserve("100", "k2", "o2")),
            tick(10_002),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o1 100 accepted | o1 answered | 100=in_call",
            "ok | put q",
            "ok | 100 leg k1 over wrap-up 10002, k1 ended | 100=wrap_up",
            "not_offerable wrap_up",
            "ok unchanged | 100 wrapped up k1 | 100=ready",
        ],
    );
}

#[test]
fn a_direct_call_and_a_queue_that_says_zero_have_no_wrap_up() {
    let settings = QueueSettings { wrap_up_sec: Some(0), ..QueueSettings::default() };
    check(
        sales_with(settings, &["100"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            verb(0, "o1", answer()),
            say(0, end_call("k1")),
            say(0, reserve("100", "k2", "o2")),
            verb(0, "o2", answer()),
            say(0, end_call("k2")),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o1 100 accepted | o1 answered | 100=in_call",
            "ok | 100 leg k1 over, k1 ended | 100=ready",
            "o2 100 live | o2 to 100 | 100=ringing",
            "o2 100 accepted | o2 answered | 100=in_call",
            "ok | 100 leg k2 over, k2 ended | 100=ready",
        ],
    );
}

#[test]
fn an_ended_call_absorbs_what_comes_after() {
    check(
        sales(&["100"]),
        vec![
            say(0, reserve("100", "k1", "o1")),
            say(1, end_call("k1")),
            verb(2, "o1", answer()),
            say(2, reserve("100", "k1", "o2")),
            say(2, end_call("k1")),
            // Also one that ended before it was heard of.
            say(2, end_call("k2")),
            say(2, reserve("100", "k2", "o3")),
            say(2, reserve_from("q", "k2", "o4")),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "ok | o1 cancelled, k1 ended | 100=ready",
            "offer_ended cancelled",
            "call_ended",
            "ok unchanged",
            "ok | k2 ended",
            "call_ended",
            "call_ended",
        ],
    );
}

#[test]
fn ending_one_leg_leaves_the_others() {
    check(
        sales(&["100", "101", "102"]),
        vec![
            say(0, reserve("100", "k1", "o1")),
            verb(0, "o1", answer()),
            say(1, reserve("101", "k1", "o2")),
            verb(1, "o2", answer()),
            say(2, reserve("102", "k1", "o3")),
            say(3, end_leg("k1", "100")),
            say(3, end_leg("k1", "100")),
            say(4, end_leg("k1", "102")),
            say(5, end_call("k1")),
            say(5, end_leg("k1", "nobody")),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o1 100 accepted | o1 answered | 100=in_call",
            "o2 101 live | o2 to 101 | 101=ringing",
            "o2 101 accepted | o2 answered | 101=in_call",
            "o3 102 live | o3 to 102 | 102=ringing",
            "ok | 100 leg k1 over | 100=ready",
            "ok unchanged",
            "ok | o3 cancelled | 102=ready",
            "ok | 101 leg k1 over, k1 ended | 101=ready",
            "unknown_agent",
        ],
    );
}

#[test]
fn a_call_nobody_ends_ends_by_itself() {
    let four_hours = 4 * 3_600_000;
    check(
        sales(&["100"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            verb(0, "o1", answer()),
            tick(four_hours - 1),
            tick(four_hours),
            tick(four_hours + 10_000),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o1 100 accepted | o1 answered | 100=in_call",
            "ok unchanged",
            "ok unchanged | 100 leg k1 over wrap-up 14410000 | 100=wrap_up",
            "ok unchanged | 100 wrapped up k1 | 100=ready",
        ],
    );
}

fn three_slots() -> World {
    let mut world = sales(&[]);
    world.must(put_agent("100", AgentEntry { capacity: 3, ..entry("100") }));
    world.register("100");
    world.must(crate::common::event_with("100", AgentEvent::Login, &["q"]));
    world
}

#[test]
fn three_slots_take_three_calls_and_the_bucket_is_in_call_only_when_none_is_free() {
    check(
        three_slots(),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            verb(1, "o1", answer()),
            say(2, reserve_from("q", "k2", "o2")),
            say(3, reserve("100", "k3", "o3")),
            verb(4, "o3", answer()),
            say(5, reserve_from("q", "k4", "o4")),
            verb(6, "o2", Verb::Reject),
            say(7, end_call("k1")),
            tick(5_006),
            say(5_007, reserve_from("q", "k5", "o5")),
            tick(10_007),
        ],
        &[
            "o1 100 live | o1 to 100",
            "o1 100 accepted | o1 answered",
            "o2 100 live | o2 to 100",
            "o3 100 live | o3 to 100 | 100=in_call",
            "o3 100 accepted | o3 answered",
            "no_agent of 1 slot=1",
            "o2 100 rejected | o2 rejected cooldown 5006 | 100=idle",
            "ok | 100 leg k1 over wrap-up 10007, k1 ended",
            "ok unchanged | 100 cooldown over | 100=ready",
            "o5 100 live | o5 to 100 | 100=in_call",
            "ok unchanged | 100 wrapped up k1 | 100=ready",
        ],
    );
}

#[test]
fn the_wrap_up_of_one_slot_does_not_hold_up_another() {
    let (world, _) = run(
        three_slots(),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            verb(0, "o1", answer()),
            say(0, reserve_from("q", "k2", "o2")),
            verb(0, "o2", answer()),
            say(0, reserve_from("q", "k3", "o3")),
            verb(0, "o3", answer()),
            say(1, end_call("k1")),
            say(2, end_call("k2")),
        ],
    );
    let agent = world.account.agent(&agent_id("100")).unwrap();
    assert_eq!((agent.state(), agent.busy(), agent.wrap_ups().count()), (State::InCall, 1, 2));
    check(
        world,
        vec![
            say(3, reserve_from("q", "k4", "o4")),
            tick(10_001),
            say(10_001, reserve_from("q", "k4", "o4")),
            tick(10_002),
        ],
        &[
            "no_agent of 1 wrap_up=1 @10001",
            "ok unchanged | 100 wrapped up k1 | 100=ready",
            "o4 100 live | o4 to 100 | 100=in_call",
            "ok unchanged | 100 wrapped up k2 | 100=ready",
        ],
    );
}

#[test]
fn wrap_up_and_cooldown_are_over_at_their_end_however_much_else_is_due() {
    let ids: Vec<String> = (100..200).map(|n| n.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let settings =
        QueueSettings { wrap_up_sec: Some(10), reject_cooldown_sec: 10, ..QueueSettings::default() };
    let mut world = sales_with(settings, &ids);
    for (n, id) in ids.iter().enumerate() {
        let (call, offer) = (format!("k{id}"), format!("o{id}"));
        world.must(crate::common::reserve_for(id, "q", &call, &offer));
        if n == 98 {
            world.verb(&offer, Verb::Reject);
        } else {
            crate::common::verb_answer(&mut world, &offer);
            world.must(end_call(&call));
        }
    }
    for (now, granted) in [(9_999, false), (10_000, true)] {
        world.now = at(now);
        for id in ["199", "198"] {
            let outcome = world.step(reserve(id, &format!("n{id}"), &format!("p{id}")));
            assert_eq!(outcome.reply.is_ok(), granted, "{id} at {now}: {:?}", outcome.reply);
        }
    }
    while world.step(Input::Tick).more {}
    crate::common::oracle::check(&world.account, world.now);
    crate::common::store::check_replay(&world);
}
