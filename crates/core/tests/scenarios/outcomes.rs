//! How offers end: misses, cooldowns, rescinds.

use ringfence_core::Input;
use ringfence_core::agent::AgentEntry;
use ringfence_core::fence::PausedInbound;
use ringfence_core::input::{AccountSettings, AgentEvent, Verb};
use ringfence_core::queue::QueueSettings;

use crate::common::scenario::{When, answer, check, say, tick, verb};
use crate::common::{
    World, end_call, entry, event, oracle, pause, put_agent, put_queue, reason, reserve, reserve_for,
    reserve_from, sales, sales_with, store,
};

#[test]
fn reject_busy_and_failed_cool_the_agent_down_for_what_the_queue_says() {
    let settings = QueueSettings {
        reject_cooldown_sec: 2,
        busy_cooldown_sec: 3,
        failed_cooldown_sec: 4,
        ..QueueSettings::default()
    };
    for (step, word, sec) in [
        (Verb::Reject, "rejected", 2),
        (Verb::Busy, "busy", 3),
        (Verb::Failed { code: 486 }, "failed:486", 4),
    ] {
        let over = sec * 1_000;
        check(
            sales_with(settings.clone(), &["100"]),
            vec![
                say(0, reserve_from("q", "k1", "o1")),
                verb(0, "o1", step),
                say(over - 1, reserve_from("q", "k1", "o2")),
                say(over, reserve_from("q", "k1", "o2")),
            ],
            &[
                "o1 100 live | o1 to 100 | 100=ringing",
                &format!("o1 100 {word} | o1 {word} cooldown {over} | 100=idle"),
                &format!("no_agent of 1 cooldown=1 @{over}"),
                "o2 100 live | 100 cooldown over, o2 to 100 | 100=ringing",
            ],
        );
    }
}

#[test]
fn a_direct_offer_and_a_queue_without_cooldowns_set_none() {
    let settings = QueueSettings { reject_cooldown_sec: 0, ..QueueSettings::default() };
    check(
        sales_with(settings, &["100"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            verb(0, "o1", Verb::Reject),
            say(0, reserve("100", "k2", "o2")),
            verb(0, "o2", Verb::Busy),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o1 100 rejected | o1 rejected | 100=ready",
            "o2 100 live | o2 to 100 | 100=ringing",
            "o2 100 busy | o2 busy | 100=ready",
        ],
    );
}

#[test]
fn a_running_cooldown_is_not_shortened_by_another_outcome() {
    for (step, misses) in [(Verb::Cancel, ""), (Verb::NoAnswer, " misses 1")] {
        let word = if step == Verb::Cancel { "cancelled" } else { "no_answer" };
        check(
            two_slots(),
            vec![
                say(0, reserve_from("q", "k1", "o1")),
                say(0, reserve_from("q", "k2", "o2")),
                verb(0, "o1", Verb::Reject),
                verb(1_000, "o2", step),
                tick(4_999),
                tick(5_000),
            ],
            &[
                "o1 100 live | o1 to 100",
                "o2 100 live | o2 to 100 | 100=ringing",
                "o1 100 rejected | o1 rejected cooldown 5000 | 100=idle",
                &format!("o2 100 {word} | o2 {word}{misses} cooldown 5000"),
                "ok unchanged",
                "ok unchanged | 100 cooldown over | 100=ready",
            ],
        );
    }
}

fn two_slots() -> World {
    let mut world = sales(&["100"]);
    world.must(put_agent("100", AgentEntry { capacity: 2, ..entry("100") }));
    world
}

#[test]
fn a_miss_can_cool_down_too() {
    let settings = QueueSettings { no_answer_cooldown_sec: 7, ..QueueSettings::default() };
    check(
        sales_with(settings, &["100"]),
        vec![say(0, reserve_from("q", "k1", "o1")), tick(20_000), tick(27_000)],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "ok unchanged | o1 no_answer misses 1 cooldown 27000 | 100=idle",
            "ok unchanged | 100 cooldown over | 100=ready",
        ],
    );
}

fn missed(n: u64) -> Vec<When> {
    let mut when = Vec::new();
    for miss in 0..n {
        let (call, offer) = (format!("k{miss}"), ["o0", "o1", "o2", "o3"][miss as usize]);
        when.push(say(miss, reserve_from("q", &call, offer)));
        when.push(verb(miss, offer, Verb::NoAnswer));
    }
    when
}

#[test]
fn the_third_miss_in_a_row_puts_the_agent_on_break() {
    check(
        sales(&["100"]),
        missed(3),
        &[
            "o0 100 live | o0 to 100 | 100=ringing",
            "o0 100 no_answer | o0 no_answer misses 1 | 100=ready",
            "o1 100 live | o1 to 100 | 100=ringing",
            "o1 100 no_answer | o1 no_answer misses 2 | 100=ready",
            "o2 100 live | o2 to 100 | 100=ringing",
            "o2 100 no_answer | o2 no_answer misses 3, 100 break(rona) | 100=paused",
        ],
    );
}

#[test]
fn every_way_back_forgives_the_misses() {
    for back in [AgentEvent::Available, AgentEvent::Unpause, AgentEvent::Login] {
        let mut when = missed(3);
        when.push(say(10, event("100", back)));
        when.push(say(10, reserve_from("q", "k9", "o9")));
        when.push(tick(20_010));
        let (_, lines) = crate::common::scenario::run(sales(&["100"]), when);
        assert_eq!(
            lines[6..],
            [
                "ok | 100 available | 100=ready",
                "o9 100 live | o9 to 100 | 100=ringing",
                "ok unchanged | o9 no_answer misses 1 | 100=ready"
            ]
        );
    }
}

#[test]
fn an_accepted_call_forgives_the_misses_and_a_rejected_one_does_not() {
    let settings = QueueSettings { wrap_up_sec: Some(0), reject_cooldown_sec: 0, ..QueueSettings::default() };
    let mut when = missed(2);
    when.push(say(10, reserve_from("q", "k8", "o8")));
    when.push(verb(10, "o8", Verb::Reject));
    when.push(say(10, reserve_from("q", "k9", "o9")));
    when.push(verb(10, "o9", answer()));
    when.push(say(10, end_call("k9")));
    when.push(say(10, reserve_from("q", "k10", "o10")));
    when.push(tick(20_010));
    let (_, lines) = crate::common::scenario::run(sales_with(settings, &["100"]), when);
    assert_eq!(
        lines[4..],
        [
            "o8 100 live | o8 to 100 | 100=ringing",
            "o8 100 rejected | o8 rejected misses 2 | 100=ready",
            "o9 100 live | o9 to 100 | 100=ringing",
            "o9 100 accepted | o9 answered | 100=in_call",
            "ok | 100 leg k9 over, k9 ended | 100=ready",
            "o10 100 live | o10 to 100 | 100=ringing",
            "ok unchanged | o10 no_answer misses 1 | 100=ready",
        ]
    );
}

#[test]
fn direct_misses_do_not_count_and_zero_means_never() {
    let given = || sales_with(QueueSettings { max_no_answer: 1, ..QueueSettings::default() }, &["100"]);
    check(
        given(),
        vec![
            say(0, reserve("100", "k1", "o1")),
            tick(20_000),
            say(20_000, reserve_from("q", "k2", "o2")),
            tick(40_000),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "ok unchanged | o1 no_answer | 100=ready",
            "o2 100 live | o2 to 100 | 100=ringing",
            "ok unchanged | o2 no_answer misses 1, 100 break(rona) | 100=paused",
        ],
    );
    let mut never = given();
    never.must(put_queue("q", QueueSettings { max_no_answer: 0, ..QueueSettings::default() }));
    check(
        never,
        missed(2),
        &[
            "o0 100 live | o0 to 100 | 100=ringing",
            "o0 100 no_answer | o0 no_answer misses 1 | 100=ready",
            "o1 100 live | o1 to 100 | 100=ringing",
            "o1 100 no_answer | o1 no_answer misses 2 | 100=ready",
        ],
    );
}

#[test]
fn the_limit_is_that_of_the_queue_of_the_latest_miss() {
    let mut world = sales(&[]);
    world.must(put_queue("strict", QueueSettings { max_no_answer: 2, ..QueueSettings::default() }));
    world.ready("100", &["q", "strict"]);
    check(
        world,
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            verb(0, "o1", Verb::NoAnswer),
            say(0, reserve_from("strict", "k2", "o2")),
            verb(0, "o2", Verb::NoAnswer),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o1 100 no_answer | o1 no_answer misses 1 | 100=ready",
            "o2 100 live | o2 to 100 | 100=ringing",
            "o2 100 no_answer | o2 no_answer misses 2, 100 break(rona) | 100=paused",
        ],
    );
}

#[test]
fn the_miss_that_puts_on_break_rescinds_the_agents_other_offer() {
    let mut world = two_slots();
    world.must(put_queue("q", QueueSettings { max_no_answer: 1, ..QueueSettings::default() }));
    check(
        world,
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            say(1, reserve_from("q", "k2", "o2")),
            // The answer comes too late: what the deadline caused comes before it.
            verb(20_000, "o2", answer()),
        ],
        &[
            "o1 100 live | o1 to 100",
            "o2 100 live | o2 to 100 | 100=ringing",
            "offer_ended rescinded:paused | o1 no_answer misses 1, 100 break(rona), o2 rescinded:paused misses 1 \
             | 100=paused",
        ],
    );
}

#[test]
fn a_break_that_lets_queue_offers_through_does_not_keep_an_agent_ringing_for_ever() {
    let mut world = sales_with(QueueSettings { max_no_answer: 1, ..QueueSettings::default() }, &["100"]);
    world.must(Input::PutReason(reason("open", true)));
    world.must(Input::SetSettings(AccountSettings {
        paused_inbound: PausedInbound::DirectAndQueue,
        ..AccountSettings::default()
    }));
    world.must(pause("100", "open"));
    check(
        world,
        vec![say(0, reserve_from("q", "k1", "o1")), tick(20_000), say(20_000, reserve_from("q", "k1", "o2"))],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "ok unchanged | o1 no_answer misses 1, 100 break(rona) | 100=paused",
            "no_agent of 1 status=1",
        ],
    );
}

#[test]
fn a_pause_while_offering_rescinds_once_and_is_no_miss() {
    check(
        sales(&["100"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            say(1, pause("100", "")),
            verb(2, "o1", answer()),
            tick(20_000),
            say(20_000, event("100", AgentEvent::Unpause)),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "ok | 100 break(), o1 rescinded:paused | 100=paused",
            "offer_ended rescinded:paused",
            "ok unchanged",
            "ok | 100 available | 100=ready",
        ],
    );
}

#[test]
fn a_pause_that_lets_direct_offers_through_rescinds_queue_offers_only() {
    let mut world = two_slots();
    world.must(Input::PutReason(reason("open", true)));
    check(
        world,
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            say(0, reserve("100", "k2", "o2")),
            say(1, pause("100", "open")),
            verb(2, "o2", answer()),
        ],
        &[
            "o1 100 live | o1 to 100",
            "o2 100 live | o2 to 100 | 100=ringing",
            "ok | 100 break(open), o1 rescinded:paused | 100=paused",
            "o2 100 accepted | o2 answered",
        ],
    );
}

#[test]
fn a_setting_that_closes_breaks_rescinds() {
    let open =
        |paused_inbound| Input::SetSettings(AccountSettings { paused_inbound, ..AccountSettings::default() });
    let mut world = sales(&["100"]);
    world.must(Input::PutReason(reason("open", true)));
    world.must(pause("100", "open"));
    check(
        world,
        vec![
            say(0, reserve("100", "k1", "o1")),
            say(1, open(PausedInbound::None)),
            say(2, reserve("100", "k1", "o2")),
            say(3, open(PausedInbound::DirectAndQueue)),
            say(4, reserve_from("q", "k1", "o3")),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "ok | settings, settled 100, o1 rescinded:paused | 100=paused",
            "not_offerable status",
            "ok | settings, settled 100",
            "o3 100 live | o3 to 100 | 100=ringing",
        ],
    );
}

#[test]
fn a_logout_and_a_removal_rescind() {
    check(
        sales(&["100", "101"]),
        vec![
            say(0, reserve_for("100", "q", "k1", "o1")),
            say(0, reserve_for("101", "q", "k2", "o2")),
            say(1, event("100", AgentEvent::Logout)),
            say(1, Input::RemoveAgent { agent: crate::common::agent_id("101") }),
            say(1, reserve_from("q", "k1", "o3")),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o2 101 live | o2 to 101 | 101=ringing",
            "ok | 100 offline, 100 left q, o1 rescinded:logout | 100=offline",
            "ok | o2 rescinded:removed, removed 101",
            "no_agent of 0",
        ],
    );
}

#[test]
fn a_queue_that_is_deleted_takes_its_live_offers_with_it() {
    check(
        sales(&["100", "101"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            say(0, reserve("101", "k2", "o2")),
            say(1, Input::RemoveQueue { queue: crate::common::queue_id("q") }),
            say(1, reserve_from("q", "k1", "o3")),
            verb(1, "o2", answer()),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o2 101 live | o2 to 101 | 101=ringing",
            "ok | o1 rescinded:removed, 100 left q, 101 left q, removed q | 100=idle",
            "unknown_queue",
            "o2 101 accepted | o2 answered | 101=in_call",
        ],
    );
}

#[test]
fn a_setting_that_turns_more_agents_than_a_record_may_touch_goes_on_in_the_next() {
    let ids: Vec<String> = (100..250).map(|n| n.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut world = sales(&ids);
    world.must(Input::PutReason(reason("open", true)));
    for id in &ids {
        world.must(pause(id, "open"));
        world.must(reserve(id, &format!("k{id}"), &format!("o{id}")));
    }
    world.now = crate::common::at(1);
    let settings = AccountSettings { paused_inbound: PausedInbound::None, ..AccountSettings::default() };
    let mut touched = vec![world.must(Input::SetSettings(settings)).touched.agents.len()];
    while world.account.next_deadline().is_some_and(|due| due <= world.now) {
        touched.push(world.must(Input::Tick).touched.agents.len());
    }
    assert!(touched.iter().all(|count| *count <= 64), "{touched:?}");
    assert_eq!(touched.iter().sum::<usize>(), ids.len());
    oracle::check(&world.account, world.now);
    store::check_replay(&world);
}
