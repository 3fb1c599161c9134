//! Calls the fence did not give, and the legs of those it did.

use ringfence_core::Input;
use ringfence_core::call::Direction;
use ringfence_core::feed::{CallEvent, CallPhase, FeedWhat};
use ringfence_core::input::Verb;

use crate::common::scenario::{When, answer, check, run, say, tick, verb};
use crate::common::{
    agent_id, call_id, call_leg, end_call, feed, item, leg, offer_id, reserve, reserve_for, reserve_from,
    sales,
};

fn begins(ms: u64, call: &str, direction: Direction) -> When {
    say(ms, call_leg(100 + ms, CallPhase::Start, "100", call, direction))
}

fn goes_on(ms: u64, call: &str, direction: Direction) -> When {
    say(ms, call_leg(100 + ms, CallPhase::State, "100", call, direction))
}

fn ends(ms: u64, call: &str) -> When {
    say(ms, call_leg(100 + ms, CallPhase::End, "100", call, Direction::Inbound))
}

/// A leg that names its offer.
fn claims(ms: u64, call: &str, offer: &str) -> When {
    let event = leg(CallPhase::Start, "100", call, Direction::Inbound);
    let event = CallEvent { offer_id: Some(offer_id(offer)), ..event };
    say(ms, feed(item(100 + ms, FeedWhat::Call(event))))
}

#[test]
fn an_external_call_shuts_the_fence_and_is_over_when_the_last_one_ends() {
    check(
        sales(&["100"]),
        vec![
            begins(0, "x1", Direction::Outbound),
            begins(1, "x1", Direction::Outbound),
            begins(2, "x2", Direction::Inbound),
            say(3, reserve_from("q", "k1", "o1")),
            ends(4, "x1"),
            say(5, reserve("100", "k1", "o1")),
            ends(6, "x2"),
            ends(7, "x2"),
            say(8, reserve("100", "k1", "o1")),
        ],
        &[
            "fed 1/0/0 | 100 external x1 | 100=external_call",
            "fed 0/1/0",
            "fed 1/0/0 | 100 external x2",
            "no_agent of 1 external_call=1",
            "fed 1/0/0 | 100 external x1 over",
            "not_offerable external_call",
            "fed 1/0/0 | 100 external x2 over | 100=ready",
            "fed 0/1/0",
            "o1 100 live | o1 to 100 | 100=ringing",
        ],
    );
}

#[test]
fn an_external_call_rescinds_and_an_own_leg_does_not() {
    check(
        sales(&["100"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            // Nothing else explains an inbound leg while an offer rings.
            begins(1, "leg1", Direction::Inbound),
            goes_on(2, "leg1", Direction::Inbound),
            // The next one it cannot be.
            begins(3, "x1", Direction::Inbound),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "fed 1/0/0 | o1 leg leg1",
            "fed 0/1/0",
            "fed 1/0/0 | 100 external x1, o1 rescinded:external_call | 100=external_call",
        ],
    );
    check(
        sales(&["100"]),
        vec![say(0, reserve_from("q", "k1", "o1")), begins(1, "x1", Direction::Outbound)],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "fed 1/0/0 | 100 external x1, o1 rescinded:external_call | 100=external_call",
        ],
    );
}

#[test]
fn an_own_leg_is_known_by_its_offer_by_the_router_and_by_the_calls_id() {
    check(
        sales(&["100"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            claims(1, "leg1", "o1"),
            goes_on(2, "leg1", Direction::Outbound),
            goes_on(3, "k1", Direction::Outbound),
            verb(4, "o1", Verb::Ringing { leg: Some(call_id("leg2")) }),
            verb(4, "o1", Verb::Ringing { leg: Some(call_id("leg2")) }),
            verb(5, "o1", Verb::Answer { leg: Some(call_id("leg3")) }),
            goes_on(6, "leg3", Direction::Inbound),
            goes_on(6, "k1", Direction::Inbound),
            ends(7, "leg3"),
            // In a call, an unknown leg is not the fence's.
            goes_on(8, "x1", Direction::Inbound),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "fed 1/0/0 | o1 leg leg1",
            "fed 0/1/0",
            "fed 0/1/0",
            "o1 100 live | o1 leg leg2",
            "o1 100 live unchanged",
            "o1 100 accepted | o1 leg leg3, o1 answered | 100=in_call",
            "fed 0/1/0",
            "fed 0/1/0",
            "fed 0/1/0",
            "fed 1/0/0 | 100 external x1 | 100=external_call",
        ],
    );
}

#[test]
fn with_several_offers_an_unmatched_inbound_leg_is_that_of_the_oldest_without_one() {
    let mut world = sales(&["100"]);
    let entry = ringfence_core::agent::AgentEntry { capacity: 2, ..crate::common::entry("100") };
    world.must(crate::common::put_agent("100", entry));
    check(
        world,
        vec![
            say(0, reserve_for("100", "q", "k1", "o1")),
            say(1, reserve_for("100", "q", "k2", "o2")),
            begins(2, "leg1", Direction::Inbound),
            begins(3, "leg2", Direction::Inbound),
            begins(4, "x1", Direction::Inbound),
        ],
        &[
            "o1 100 live | o1 to 100",
            "o2 100 live | o2 to 100 | 100=ringing",
            "fed 1/0/0 | o1 leg leg1",
            "fed 1/0/0 | o2 leg leg2",
            "fed 1/0/0 | 100 external x1, o1 rescinded:external_call, o2 rescinded:external_call \
             | 100=external_call",
        ],
    );
}

#[test]
fn an_ended_external_call_absorbs_a_late_start_also_one_that_was_never_heard_of() {
    check(
        sales(&["100"]),
        vec![
            begins(0, "x1", Direction::Inbound),
            ends(1, "x1"),
            begins(2, "x1", Direction::Inbound),
            goes_on(3, "x1", Direction::Inbound),
            // The end is remembered, and no row says anything new.
            ends(4, "x2"),
            begins(5, "x2", Direction::Inbound),
            ends(6, "x2"),
        ],
        &[
            "fed 1/0/0 | 100 external x1 | 100=external_call",
            "fed 1/0/0 | 100 external x1 over | 100=ready",
            "fed 0/1/0",
            "fed 0/1/0",
            "fed 0/1/0 | 100 external x2 over",
            "fed 0/1/0",
            "fed 0/1/0",
        ],
    );
}

#[test]
fn the_end_of_an_unknown_call_shows_in_no_row() {
    let mut world = sales(&["100"]);
    let before = world.account.row(&agent_id("100"));
    let outcome = world.step(call_leg(9, CallPhase::End, "100", "x2", Direction::Inbound));
    assert!(outcome.record.is_some(), "it is remembered");
    assert!(outcome.touched.is_empty(), "{:?}", outcome.touched);
    assert_eq!(world.account.row(&agent_id("100")), before);
}

#[test]
fn an_external_call_nobody_ends_ends_by_itself() {
    let four_hours = 4 * 3_600_000;
    check(
        sales(&["100"]),
        vec![
            begins(0, "x1", Direction::Inbound),
            begins(0, "x2", Direction::Outbound),
            tick(four_hours - 1),
            tick(four_hours),
        ],
        &[
            "fed 1/0/0 | 100 external x1 | 100=external_call",
            "fed 1/0/0 | 100 external x2",
            "ok unchanged",
            "ok unchanged | 100 external x1 over, 100 external x2 over | 100=ready",
        ],
    );
}

#[test]
fn external_calls_cause_no_wrap_up_and_wait_for_none() {
    check(
        sales(&["100"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            verb(0, "o1", answer()),
            begins(1, "x1", Direction::Outbound),
            say(2, end_call("k1")),
            ends(3, "x1"),
            tick(10_002),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o1 100 accepted | o1 answered | 100=in_call",
            "fed 1/0/0 | 100 external x1 | 100=external_call",
            "ok | 100 leg k1 over wrap-up 10002, k1 ended",
            "fed 1/0/0 | 100 external x1 over | 100=wrap_up",
            "ok unchanged | 100 wrapped up k1 | 100=ready",
        ],
    );
}

#[test]
fn a_leg_may_be_told_of_by_its_aor_and_by_an_agent_nobody_knows() {
    let by_aor = |aor: &str| {
        let event = leg(CallPhase::Start, "100", "x1", Direction::Outbound);
        let party = ringfence_core::feed::Party::Aor(aor.to_owned());
        feed(item(9, FeedWhat::Call(CallEvent { party, ..event })))
    };
    check(
        sales(&["100"]),
        vec![
            say(0, by_aor("999@sip.example")),
            say(0, call_leg(9, CallPhase::Start, "999", "x1", Direction::Outbound)),
            say(0, by_aor("sip:100@SIP.example")),
        ],
        &["fed 0/0/1", "fed 0/0/1", "fed 1/0/0 | 100 external x1 | 100=external_call"],
    );
}

#[test]
fn removing_an_agent_in_a_call_is_refused_and_with_an_external_one_it_is_not() {
    let remove = || Input::RemoveAgent { agent: agent_id("100") };
    let (world, _) = run(
        sales(&["100"]),
        vec![
            say(0, reserve("100", "k1", "o1")),
            verb(0, "o1", answer()),
            begins(1, "x1", Direction::Outbound),
        ],
    );
    check(
        world,
        vec![
            say(2, remove()),
            say(2, end_call("k1")),
            say(2, remove()),
            say(2, remove()),
            goes_on(3, "x1", Direction::Outbound),
            tick(5 * 3_600_000),
        ],
        &[
            "agent_in_call",
            "ok | 100 leg k1 over, k1 ended",
            "ok | removed 100",
            "unknown_agent",
            "fed 0/0/1",
            "ok unchanged",
        ],
    );
}
