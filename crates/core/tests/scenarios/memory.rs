//! What is remembered, for how long, and what is forgotten.

use ringfence_core::call::Direction;
use ringfence_core::feed::CallPhase;
use ringfence_core::input::Verb;
use ringfence_core::{Input, TOMBSTONE_MS};

use crate::common::scenario::{answer, check, run, say, verb};
use crate::common::{
    agent_id, at, call_leg, end_call, offer_id, put_agent, reserve, reserve_for, reserve_from, sales, store,
};

const TEN_MINUTES: u64 = 600_000;

#[test]
fn an_ended_offer_is_remembered_ten_minutes_and_then_forgotten() {
    let (mut world, _) = run(
        sales(&["100", "101"]),
        vec![say(0, reserve_for("100", "q", "k1", "o1")), verb(0, "o1", Verb::Cancel)],
    );
    let fence = world.account.offer(&offer_id("o1")).unwrap().offer.fence;
    let cancel = || Input::Offer { offer: offer_id("o1"), fence, verb: Verb::Cancel };
    for (ms, known) in [(TEN_MINUTES, true), (TEN_MINUTES + 1, false)] {
        world.now = at(ms);
        world.must(reserve("101", &format!("t{ms}"), ""));
        world.must(end_call(&format!("t{ms}")));
        let outcome = world.step(cancel());
        let code = outcome.reply.as_ref().map_or_else(|refusal| refusal.code(), |_| "known");
        assert_eq!(code, if known { "known" } else { "unknown_offer" }, "after {ms} ms");
    }
    // Then the id is free for another request.
    assert!(world.step(reserve("100", "k2", "o1")).reply.is_ok());
    store::check_replay(&world);
}

#[test]
fn a_live_offer_and_a_call_are_never_forgotten() {
    let (world, _) = run(
        sales(&["100", "101"]),
        vec![say(0, reserve_for("100", "q", "k1", "o1")), verb(0, "o1", answer()), say(1, end_call("gone"))],
    );
    check(
        world,
        vec![
            say(TEN_MINUTES + 5, reserve("101", "k1", "o2")),
            say(TEN_MINUTES + 5, reserve("101", "gone", "o3")),
            verb(TEN_MINUTES + 6, "o2", Verb::Cancel),
            // Forgotten only now that something happened: a call of that name is new.
            say(TEN_MINUTES + 6, reserve("101", "gone", "o3")),
            say(TEN_MINUTES + 7, end_call("k1")),
        ],
        &[
            "o2 101 live | o2 to 101 | 101=ringing",
            "not_offerable slot",
            "o2 101 cancelled | o2 cancelled | 101=ready",
            "o3 101 live | o3 to 101 | 101=ringing",
            "ok | 100 leg k1 over wrap-up 610007, k1 ended | 100=wrap_up",
        ],
    );
}

#[test]
fn who_was_tried_is_remembered_as_long_as_the_call_is_tried() {
    let minute = 60_000;
    let mut when = Vec::new();
    for n in 0..12_u64 {
        let offer: &'static str =
            ["o0", "o1", "o2", "o3", "o4", "o5", "o6", "o7", "o8", "o9", "o10", "o11"][n as usize];
        let target = if n == 0 { "100" } else { "101" };
        when.push(say(n * minute, reserve(target, "k1", offer)));
        when.push(verb(n * minute, offer, Verb::Cancel));
    }
    when.push(say(12 * minute, reserve_for("100", "q", "k1", "o12")));
    let mut world = sales(&["100", "101", "102"]);
    world.must(put_agent("102", crate::common::entry("102")));
    let (_, lines) = run(world, when);
    assert_eq!(lines.last().map(String::as_str), Some("not_offerable excluded"));
}

#[test]
fn the_end_of_an_external_call_is_remembered_ten_minutes() {
    let begins = |ms| say(ms, call_leg(5, CallPhase::Start, "100", "x1", Direction::Inbound));
    let ends = |ms| say(ms, call_leg(6, CallPhase::End, "100", "x1", Direction::Inbound));
    check(
        sales(&["100", "101"]),
        vec![
            begins(0),
            ends(0),
            say(TEN_MINUTES, end_call("t1")),
            begins(TEN_MINUTES),
            say(TEN_MINUTES + 1, end_call("t2")),
            begins(TEN_MINUTES + 1),
        ],
        &[
            "fed 1/0/0 | 100 external x1 | 100=external_call",
            "fed 1/0/0 | 100 external x1 over | 100=ready",
            "ok | t1 ended",
            "fed 0/1/0",
            "ok | t2 ended",
            "fed 1/0/0 | 100 external x1 | 100=external_call",
        ],
    );
}

#[test]
fn a_removed_agent_leaves_a_tombstone_for_a_while() {
    let mut world = sales(&["100", "101"]);
    let removed = world.must(Input::RemoveAgent { agent: agent_id("100") }).record.unwrap().seq;
    let tombs: Vec<_> = world.account.tombstones().map(|tomb| (tomb.seq, tomb.agent.clone())).collect();
    assert_eq!(tombs, [(removed, Some(agent_id("100")))]);
    world.now = at(TOMBSTONE_MS);
    world.must(end_call("t1"));
    assert_eq!((world.account.tombstones().count(), world.account.tombstone_floor()), (1, 0));
    world.now = at(TOMBSTONE_MS + 1);
    world.must(end_call("t2"));
    assert_eq!((world.account.tombstones().count(), world.account.tombstone_floor()), (0, removed));
}

#[test]
fn a_storm_of_calls_leaves_a_bounded_memory() {
    let mut world = sales(&["100"]);
    for n in 0..200_u64 {
        world.now = at(n * 60_000);
        let (call, offer) = (format!("k{n}"), format!("o{n}"));
        world.must(reserve_from("q", &call, &offer));
        world.verb(&offer, Verb::Cancel);
        world.must(end_call(&call));
        world.must(call_leg(n + 2, CallPhase::End, "100", &format!("x{n}"), Direction::Inbound));
    }
    let image = world.account.image();
    let kept: usize = image
        .pages
        .iter()
        .map(|(_, page)| match page {
            Some(ringfence_core::Page::Offers(entries)) => entries.len(),
            Some(ringfence_core::Page::Calls(entries)) => entries.len(),
            Some(
                ringfence_core::Page::Agents(_)
                | ringfence_core::Page::Queues(_)
                | ringfence_core::Page::Aors(_),
            )
            | None => 0,
        })
        .sum();
    assert_eq!(kept, 2 * 11, "ten minutes' worth, at one a minute");
    assert_eq!(image.head.ended_externals.len(), 11);
    store::check_replay(&world);
}

#[test]
fn an_offer_id_used_again_is_not_mistaken_for_the_one_whose_call_goes_on() {
    let mut world = sales(&["100", "101"]);
    world.must(put_agent(
        "100",
        ringfence_core::agent::AgentEntry { capacity: 2, ..crate::common::entry("100") },
    ));
    let (world, _) = run(
        world,
        vec![
            say(0, reserve_for("100", "q", "k1", "o1")),
            verb(0, "o1", answer()),
            say(TEN_MINUTES + 1, end_call("t1")),
            say(TEN_MINUTES + 1, reserve_for("100", "q", "k2", "o1")),
            verb(TEN_MINUTES + 1, "o1", answer()),
        ],
    );
    let mut world = world;
    let event = crate::common::leg(CallPhase::State, "100", "leg2", Direction::Inbound);
    let event = ringfence_core::feed::CallEvent { offer_id: Some(offer_id("o1")), ..event };
    let what = ringfence_core::feed::FeedWhat::Call(event);
    world.must(crate::common::feed(crate::common::item(9, what)));
    let agent = world.account.agent(&agent_id("100")).unwrap();
    let legs: Vec<_> =
        agent.calls().map(|call| (call.call_id.as_str(), call.leg_call_id.is_some())).collect();
    assert_eq!(legs, [("k1", false), ("k2", true)]);
}
