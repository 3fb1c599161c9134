//! Grants, tokens and leases.

use ringfence_core::input::{Ask, Reply, Verb};
use ringfence_core::{Input, Refusal};

use crate::common::scenario::{answer, check, run, say, stale, tick, verb};
use crate::common::{
    agent_id, ask, at, end_call, offer_id, reserve, reserve_for, reserve_from, sales, store,
};

#[test]
fn a_lease_runs_out_in_time_and_never_earlier() {
    check(
        sales(&["100"]),
        vec![say(0, reserve_from("q", "k1", "o1")), tick(19_999), tick(20_000), tick(30_000)],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "ok unchanged",
            "ok unchanged | o1 no_answer misses 1 | 100=ready",
            "ok unchanged",
        ],
    );
}

#[test]
fn a_step_after_the_lease_is_told_so_with_and_without_a_tick_before() {
    check(
        sales(&["100", "101"]),
        vec![
            say(0, reserve_for("100", "q", "k1", "o1")),
            say(0, reserve_for("101", "q", "k2", "o2")),
            tick(20_000),
            verb(20_000, "o1", answer()),
            verb(20_000, "o1", Verb::Cancel),
            verb(20_000, "o1", Verb::NoAnswer),
            verb(20_000, "o1", Verb::Ringing { leg: None }),
            verb(20_000, "o1", Verb::Extend { lease_ms: 20_000 }),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o2 101 live | o2 to 101 | 101=ringing",
            "ok unchanged | o1 no_answer misses 1, o2 no_answer misses 1 | 100=ready 101=ready",
            "lease_expired",
            "lease_expired",
            "lease_expired",
            "lease_expired",
            "lease_expired",
        ],
    );
    check(
        sales(&["100"]),
        vec![say(0, reserve_from("q", "k1", "o1")), verb(20_000, "o1", answer())],
        &["o1 100 live | o1 to 100 | 100=ringing", "lease_expired | o1 no_answer misses 1 | 100=ready"],
    );
}

#[test]
fn a_lease_is_over_at_its_end_however_much_else_is_due() {
    let ids: Vec<String> = (100..200).map(|n| n.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut world = sales(&ids);
    for id in &ids {
        world.must(reserve(id, &format!("k{id}"), &format!("o{id}")));
    }
    world.now = at(20_000);
    let outcome = world.verb("o199", answer());
    assert!(outcome.more, "a record touches 64 agents");
    assert!(matches!(outcome.reply, Err(Refusal::LeaseExpired { .. })), "{:?}", outcome.reply);
    assert!(!world.step(Input::Tick).more);
    store::check_replay(&world);
}

#[test]
fn a_lease_has_the_length_of_the_queue_or_the_one_asked_for_and_can_be_extended() {
    let asked = Input::ReserveAgent {
        agent: agent_id("101"),
        queue: None,
        ask: Ask { lease_ms: Some(1_000), ..ask("k2", "o2") },
    };
    check(
        sales(&["100", "101"]),
        vec![
            say(0, reserve_for("100", "q", "k1", "o1")),
            say(0, asked),
            tick(999),
            tick(1_000),
            verb(19_999, "o1", Verb::Extend { lease_ms: 120_001 }),
            verb(19_999, "o1", Verb::Extend { lease_ms: 30_000 }),
            verb(19_999, "o1", Verb::Extend { lease_ms: 30_000 }),
            tick(49_998),
            tick(49_999),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o2 101 live | o2 to 101 | 101=ringing",
            "ok unchanged",
            "ok unchanged | o2 no_answer | 101=ready",
            "invalid",
            "o1 100 live | o1 until 49999",
            "o1 100 live unchanged",
            "ok unchanged",
            "ok unchanged | o1 no_answer misses 1 | 100=ready",
        ],
    );
}

#[test]
fn the_same_step_again_changes_nothing() {
    let steps = [
        (answer(), "accepted", "o1 answered | 100=in_call"),
        (Verb::Reject, "rejected", "o1 rejected cooldown 5001 | 100=idle"),
        (Verb::Busy, "busy", "o1 busy cooldown 5001 | 100=idle"),
        (Verb::Failed { code: 503 }, "failed:503", "o1 failed:503 cooldown 5001 | 100=idle"),
        (Verb::NoAnswer, "no_answer", "o1 no_answer misses 1 | 100=ready"),
        (Verb::Cancel, "cancelled", "o1 cancelled | 100=ready"),
    ];
    for (step, word, facts) in steps {
        let other = if step == Verb::Cancel { Verb::Busy } else { Verb::Cancel };
        check(
            sales(&["100"]),
            vec![
                say(0, reserve_from("q", "k1", "o1")),
                verb(1, "o1", step.clone()),
                verb(2, "o1", step.clone()),
                verb(60_000, "o1", other),
            ],
            &[
                "o1 100 live | o1 to 100 | 100=ringing",
                &format!("o1 100 {word} | {facts}"),
                &format!("o1 100 {word} unchanged"),
                &match word {
                    "rejected" | "busy" | "failed:503" => {
                        format!("offer_ended {word} | 100 cooldown over | 100=ready")
                    }
                    _ => format!("offer_ended {word}"),
                },
            ],
        );
    }
}

#[test]
fn a_failure_with_another_code_is_no_repeat() {
    check(
        sales(&["100"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            verb(0, "o1", Verb::Failed { code: 503 }),
            verb(0, "o1", Verb::Failed { code: 480 }),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o1 100 failed:503 | o1 failed:503 cooldown 5000 | 100=idle",
            "offer_ended failed:503",
        ],
    );
}

#[test]
fn a_token_that_is_not_the_offers_own_changes_nothing_before_and_after_the_end() {
    let verbs = [
        answer(),
        Verb::Reject,
        Verb::Busy,
        Verb::NoAnswer,
        Verb::Failed { code: 500 },
        Verb::Cancel,
        Verb::Extend { lease_ms: 60_000 },
        Verb::Ringing { leg: Some(crate::common::call_id("leg")) },
    ];
    for step in verbs {
        // `check` compares the whole image around a step that writes no record.
        check(
            sales(&["100"]),
            vec![
                say(0, reserve_from("q", "k1", "o1")),
                stale(1, "o1", step.clone()),
                verb(2, "o1", answer()),
                stale(3, "o1", step),
            ],
            &[
                "o1 100 live | o1 to 100 | 100=ringing",
                "stale_fence",
                "o1 100 accepted | o1 answered | 100=in_call",
                "stale_fence",
            ],
        );
    }
}

#[test]
fn the_end_of_a_call_takes_the_token_of_one_of_its_legs_however_long_ago_it_was_answered() {
    let (mut world, _) = run(
        sales(&["100", "101"]),
        vec![say(0, reserve_for("100", "q", "k1", "o1")), verb(0, "o1", answer())],
    );
    let fence = world.account.offer(&offer_id("o1")).unwrap().offer.fence;
    let end = |n: u64| Input::EndCall {
        call: crate::common::call_id("k1"),
        agent: None,
        fence: Some(ringfence_core::offer::Fence { n, ..fence }),
    };
    for ms in [1, 11 * 60_000] {
        world.now = at(ms);
        // Something happens, so that what is old is forgotten.
        world.must(reserve("101", &format!("t{ms}"), ""));
        world.must(end_call(&format!("t{ms}")));
        let outcome = world.step(end(fence.n + 9));
        assert!(
            matches!(outcome.reply, Err(Refusal::StaleFence { .. })),
            "after {ms} ms: {:?}",
            outcome.reply
        );
        assert!(outcome.record.is_none());
    }
    assert_eq!(
        world.step(end(fence.n)).reply,
        Ok(Reply::Ended { agents: vec![agent_id("100")], changed: true })
    );
    assert!(world.account.agent(&agent_id("100")).unwrap().calls().next().is_none());
}

#[test]
fn the_same_offer_id_is_the_same_grant_live_and_ended() {
    check(
        sales(&["100", "101"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            say(1, reserve_from("q", "k1", "o1")),
            verb(2, "o1", Verb::Cancel),
            say(3, reserve_from("q", "k1", "o1")),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o1 100 live unchanged",
            "o1 100 cancelled | o1 cancelled | 100=ready",
            "o1 100 cancelled unchanged",
        ],
    );
}

#[test]
fn the_same_offer_id_for_another_request_is_refused() {
    let with_lease = Input::ReserveQueue {
        queue: crate::common::queue_id("q"),
        ask: Ask { lease_ms: Some(5_000), ..ask("k1", "o1") },
        exclude: vec![],
        prefer: vec![],
    };
    check(
        sales(&["100", "101"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            say(1, reserve_from("q", "k2", "o1")),
            say(1, reserve_for("100", "q", "k1", "o1")),
            say(1, reserve("100", "k1", "o1")),
            say(1, with_lease),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "offer_id_reused",
            "offer_id_reused",
            "offer_id_reused",
            "offer_id_reused",
        ],
    );
}

#[test]
fn an_id_the_caller_took_is_not_minted_again() {
    // The first token of the account is 7.1; the caller uses the id that the second grant would be given.
    check(
        sales(&["100", "101"]),
        vec![
            say(0, reserve("100", "k1", "ofr_7_2")),
            say(0, reserve("101", "k2", "")),
            verb(1, "ofr_7_2", answer()),
        ],
        &[
            "ofr_7_2 100 live | ofr_7_2 to 100 | 100=ringing",
            "ofr_7_2_1 101 live | ofr_7_2_1 to 101 | 101=ringing",
            "ofr_7_2 100 accepted | ofr_7_2 answered | 100=in_call",
        ],
    );
}

#[test]
fn a_call_with_a_live_offer_is_refused_and_the_offer_named() {
    check(
        sales(&["100", "101"]),
        vec![
            say(0, reserve("100", "k1", "o1")),
            say(0, reserve("101", "k1", "o2")),
            say(0, reserve_from("q", "k1", "o3")),
            verb(0, "o1", answer()),
            // Answered: it may be reserved again, for a transfer.
            say(0, reserve_from("q", "k1", "o4")),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "call_already_offered o1 100",
            "call_already_offered o1 100",
            "o1 100 accepted | o1 answered | 100=in_call",
            "o4 101 live | o4 to 101 | 101=ringing",
        ],
    );
}

#[test]
fn a_slot_is_offered_once() {
    check(
        sales(&["100"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            say(0, reserve_from("q", "k2", "o2")),
            say(0, reserve("100", "k2", "o2")),
            verb(0, "o1", Verb::Cancel),
            // Only grants are remembered: the refused id is free.
            say(0, reserve("100", "k3", "o2")),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "no_agent of 1 slot=1",
            "not_offerable slot",
            "o1 100 cancelled | o1 cancelled | 100=ready",
            "o2 100 live | o2 to 100 | 100=ringing",
        ],
    );
}

#[test]
fn after_an_unclean_start_every_live_offer_has_its_full_length_again_and_none_less() {
    let given = || {
        let (world, _) = run(
            sales(&["100", "101"]),
            vec![
                say(0, reserve_for("100", "q", "k1", "o1")),
                say(0, reserve_for("101", "q", "k2", "o2")),
                verb(1_000, "o2", Verb::Extend { lease_ms: 60_000 }),
            ],
        );
        world
    };
    check(
        given(),
        vec![say(10_000, Input::Rearm), tick(29_999), tick(30_000), tick(60_999), tick(61_000)],
        &[
            // o2 had longer than its full length left: it keeps that.
            "ok | o1 until 30000",
            "ok unchanged",
            "ok unchanged | o1 no_answer misses 1 | 100=ready",
            "ok unchanged",
            "ok unchanged | o2 no_answer misses 1 | 101=ready",
        ],
    );
    // What ran out while nobody served is re-armed too: release is late, never early.
    check(
        given(),
        vec![say(90_000, Input::Rearm), tick(109_999), tick(110_000)],
        &[
            "ok | o1 until 110000, o2 until 110000",
            "ok unchanged",
            "ok unchanged | o1 no_answer misses 1, o2 no_answer misses 1 | 100=ready 101=ready",
        ],
    );
}
