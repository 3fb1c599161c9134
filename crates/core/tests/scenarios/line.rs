//! Callers who wait, and how each way of becoming free finds the next of them (model.md §6, the brain).

use ringfence_core::Input;
use ringfence_core::agent::{AgentEntry, Role};
use ringfence_core::call::Direction;
use ringfence_core::feed::CallPhase;
use ringfence_core::input::{AgentEvent, Enqueue, Verb};
use ringfence_core::queue::{QueueSettings, RequiredTags, Strategy, TagMatch};

use crate::common::scenario::{When, answer, check, run, say, say_by, tick, verb};
use crate::common::{
    World, at, bindings, call_id, call_leg, contact, dequeue, end_call, enqueue, enqueue_as, entry, event,
    event_with, gone, pause, put_agent, put_queue, queue_id, requeue, reserve_from, router_down, router_id,
    router_up, sales, tag_id,
};

/// Agents of queue "q" whose phones are there, a router that is attached, and nobody available yet.
fn staffed(agents: &[&str], settings: QueueSettings) -> World {
    let mut world = sales(agents);
    world.must(put_queue("q", settings));
    world.must(router_up("r1"));
    world
}

fn quick() -> QueueSettings {
    QueueSettings { wrap_up_sec: Some(0), reject_cooldown_sec: 0, ..QueueSettings::default() }
}

/// The only agent talks to "k0" under offer "o0".
fn busy(settings: QueueSettings) -> World {
    let mut world = staffed(&["100"], settings);
    world.must(reserve_from("q", "k0", "o0"));
    world.verb("o0", answer());
    world
}

#[test]
fn a_caller_who_finds_somebody_free_is_connected_at_once_also_without_an_attached_router() {
    check(
        sales(&["100"]),
        vec![
            say(0, enqueue_as("q", "k1", 0, "")),
            verb(0, "ofr_7_1", answer()),
            say(0, enqueue_as("q", "k1", 0, "")),
        ],
        &[
            "ofr_7_1 100 live | k1 waits in q, ofr_7_1 to 100 | 100=ringing",
            "ofr_7_1 100 accepted | ofr_7_1 answered | 100=in_call",
            "k1 place 1 of 1 | k1 waits in q",
        ],
    );
}

#[test]
fn a_caller_who_finds_nobody_free_waits_and_is_told_the_place_again_when_asking_again() {
    check(
        busy(quick()),
        vec![
            say(0, enqueue("q", "k1")),
            say(10, enqueue("q", "k2")),
            say(20, enqueue("q", "k1")),
            say(20, enqueue("q", "k2")),
        ],
        &[
            "k1 place 1 of 1 | k1 waits in q",
            "k2 place 2 of 2 | k2 waits in q",
            "k1 place 1 of 2 unchanged",
            "k2 place 2 of 2 unchanged",
        ],
    );
}

#[test]
fn the_end_of_a_call_brings_the_next_caller_in_the_same_record() {
    check(
        busy(quick()),
        vec![say(0, enqueue("q", "k1")), say(10, enqueue("q", "k2")), say(500, end_call("k0"))],
        &[
            "k1 place 1 of 1 | k1 waits in q",
            "k2 place 2 of 2 | k2 waits in q",
            "ok | 100 leg k0 over, k0 ended, ofr_7_2 to 100 | 100=ringing",
        ],
    );
}

#[test]
fn priority_goes_first_and_among_equals_who_came_first() {
    check(
        busy(quick()),
        vec![
            say(0, enqueue("q", "k1")),
            say(10, enqueue_as("q", "k2", 5, "r1")),
            say(20, enqueue_as("q", "k3", 5, "r1")),
            say(30, enqueue_as("q", "k3", 5, "r1")),
            say(500, end_call("k0")),
            say(600, end_call("k2")),
            say(700, end_call("k3")),
        ],
        &[
            "k1 place 1 of 1 | k1 waits in q",
            "k2 place 1 of 2 | k2 waits in q",
            "k3 place 2 of 3 | k3 waits in q",
            "k3 place 2 of 3 unchanged",
            "ok | 100 leg k0 over, k0 ended, ofr_7_2 to 100 | 100=ringing",
            "ok | ofr_7_2 cancelled, k2 ended, ofr_7_3 to 100",
            "ok | ofr_7_3 cancelled, k3 ended, ofr_7_4 to 100",
        ],
    );
}

#[test]
fn every_way_of_becoming_free_takes_the_next_caller() {
    let waiting = |given: World| {
        let mut world = given;
        world.must(enqueue("q", "k1"));
        world
    };
    // Wrap-up over, by time and by hand.
    let wrapping = || {
        let mut world = busy(QueueSettings::default());
        world.must(end_call("k0"));
        waiting(world)
    };
    check(
        wrapping(),
        vec![tick(10_000)],
        &["ok unchanged | 100 wrapped up k0, ofr_7_2 to 100 | 100=ringing"],
    );
    check(
        wrapping(),
        vec![say(5, event("100", AgentEvent::EndWrapUp))],
        &["ok | 100 wrapped up k0, ofr_7_2 to 100 | 100=ringing"],
    );
    // Unpause, login, membership, a phone that registers, the end of an external call, a cooldown.
    let paused = || {
        let mut world = staffed(&["100"], quick());
        world.must(pause("100", ""));
        waiting(world)
    };
    check(
        paused(),
        vec![say(5, event("100", AgentEvent::Unpause))],
        &["ok | 100 available, ofr_7_1 to 100 | 100=ringing"],
    );
    check(
        paused(),
        vec![say(5, event("100", AgentEvent::Available))],
        &["ok | 100 available, ofr_7_1 to 100 | 100=ringing"],
    );
    let mut elsewhere = paused();
    elsewhere.must(put_agent("101", entry("101")));
    elsewhere.must(bindings(50, "101@sip.example", vec![contact("c101", Some(at(3_600_000)))]));
    elsewhere.must(event("101", AgentEvent::Login));
    check(
        elsewhere,
        vec![say(5, event_with("101", AgentEvent::Available, &["q"]))],
        &["ok | 101 joined q/1/0, ofr_7_1 to 101 | 101=ringing"],
    );
    let mut deaf = staffed(&["100"], quick());
    deaf.must(gone(60, "100@sip.example", "c1"));
    check(
        waiting(deaf),
        vec![say(5, bindings(61, "100@sip.example", vec![contact("c1", Some(at(3_600_000)))]))],
        &["fed 1/0/0 | bound 100@sip.example c1, ofr_7_1 to 100 | 100=ringing"],
    );
    let mut talking = staffed(&["100"], quick());
    talking.must(call_leg(70, CallPhase::Start, "100", "x1", Direction::Outbound));
    check(
        waiting(talking),
        vec![say(5, call_leg(71, CallPhase::End, "100", "x1", Direction::Outbound))],
        &["fed 1/0/0 | 100 external x1 over, ofr_7_1 to 100 | 100=ringing"],
    );
    let mut cooling = staffed(&["100"], QueueSettings::default());
    cooling.must(reserve_from("q", "k0", "o0"));
    cooling.verb("o0", Verb::Reject);
    check(
        waiting(cooling),
        vec![tick(5_000)],
        &["ok unchanged | 100 cooldown over, ofr_7_2 to 100 | 100=ringing"],
    );
}

#[test]
fn after_an_outcome_other_than_accepted_the_call_keeps_its_place_and_the_next_agent_is_tried() {
    check(
        staffed(&["100", "101"], quick()),
        vec![
            say(0, enqueue("q", "k1")),
            say(0, enqueue("q", "k2")),
            say(0, enqueue("q", "k3")),
            verb(100, "ofr_7_1", Verb::Reject),
            verb(200, "ofr_7_3", Verb::NoAnswer),
        ],
        &[
            "ofr_7_1 100 live | k1 waits in q, ofr_7_1 to 100 | 100=ringing",
            "ofr_7_2 101 live | k2 waits in q, ofr_7_2 to 101 | 101=ringing",
            "k3 place 3 of 3 | k3 waits in q",
            "ofr_7_1 100 rejected | ofr_7_1 rejected, ofr_7_3 to 100",
            "ofr_7_3 100 no_answer | ofr_7_3 no_answer misses 1, ofr_7_4 to 100",
        ],
    );
}

#[test]
fn a_caller_waits_no_longer_than_max_wait_also_when_an_offer_rings_at_that_time() {
    check(
        busy(QueueSettings { max_wait_sec: 30, ..quick() }),
        vec![say(0, enqueue("q", "k1")), tick(29_999), tick(30_000), say(30_000, enqueue("q", "k1"))],
        &[
            "k1 place 1 of 1 | k1 waits in q",
            "ok unchanged",
            "ok unchanged | k1 max_wait",
            "k1 place 1 of 1 | k1 waits in q",
        ],
    );
    check(
        busy(QueueSettings { max_wait_sec: 30, ..quick() }),
        vec![say(0, enqueue("q", "k1")), say(15_000, end_call("k0")), tick(30_000), tick(35_000)],
        &[
            "k1 place 1 of 1 | k1 waits in q",
            "ok | 100 leg k0 over, k0 ended, ofr_7_2 to 100 | 100=ringing",
            "ok unchanged",
            "ok unchanged | ofr_7_2 no_answer misses 1, k1 max_wait | 100=ready",
        ],
    );
}

#[test]
fn a_line_that_is_full_and_a_queue_where_nobody_is_logged_in_are_told_at_once() {
    let mut world = busy(QueueSettings { max_queued: 1, ..quick() });
    world.must(put_queue("empty", quick()));
    check(
        world,
        vec![
            say(0, enqueue("q", "k1")),
            say(0, enqueue("q", "k2")),
            say(0, enqueue("empty", "k2")),
            say(0, enqueue("nowhere", "k2")),
            say(0, enqueue("empty", "k1")),
        ],
        &["k1 place 1 of 1 | k1 waits in q", "queue_full", "no_agents", "unknown_queue", "already_queued q"],
    );
}

#[test]
fn a_caller_taken_out_is_gone_and_may_go_back_to_the_old_place() {
    check(
        busy(quick()),
        vec![
            say(0, enqueue("q", "k1")),
            say(10, enqueue("q", "k2")),
            say(20, dequeue("k1")),
            say(20, dequeue("k1")),
            say(30, requeue("k1")),
            say(40, end_call("k0")),
            say(50, dequeue("k1")),
            say(60, requeue("k7")),
            say(60, dequeue("k7")),
        ],
        &[
            "k1 place 1 of 1 | k1 waits in q",
            "k2 place 2 of 2 | k2 waits in q",
            "ok | k1 dequeued",
            "ok unchanged",
            "k1 place 1 of 2 | k1 waits in q",
            "ok | 100 leg k0 over, k0 ended, ofr_7_2 to 100 | 100=ringing",
            "ok | ofr_7_2 cancelled, k1 dequeued, ofr_7_3 to 100",
            "not_queued",
            "not_queued",
        ],
    );
}

#[test]
fn an_answered_caller_may_go_back_to_the_old_place() {
    check(
        busy(quick()),
        vec![
            say(0, enqueue("q", "k1")),
            say(10, enqueue("q", "k2")),
            say(20, end_call("k0")),
            verb(30, "ofr_7_2", answer()),
            say(40, requeue("k1")),
        ],
        &[
            "k1 place 1 of 1 | k1 waits in q",
            "k2 place 2 of 2 | k2 waits in q",
            "ok | 100 leg k0 over, k0 ended, ofr_7_2 to 100 | 100=ringing",
            "ofr_7_2 100 accepted | ofr_7_2 answered | 100=in_call",
            "k1 place 1 of 2 | k1 waits in q",
        ],
    );
}

#[test]
fn a_caller_who_hangs_up_leaves_the_line_and_takes_the_ringing_offer_back() {
    check(
        busy(quick()),
        vec![say(0, enqueue("q", "k1")), say(5, end_call("k1")), say(9, end_call("k0"))],
        &["k1 place 1 of 1 | k1 waits in q", "ok | k1 ended", "ok | 100 leg k0 over, k0 ended | 100=ready"],
    );
    check(
        staffed(&["100"], quick()),
        vec![say(0, enqueue("q", "k1")), say(0, enqueue("q", "k2")), say(5, end_call("k1"))],
        &[
            "ofr_7_1 100 live | k1 waits in q, ofr_7_1 to 100 | 100=ringing",
            "k2 place 2 of 2 | k2 waits in q",
            "ok | ofr_7_1 cancelled, k1 ended, ofr_7_2 to 100",
        ],
    );
}

#[test]
fn a_tier_that_opens_brings_the_caller_who_waited_for_it() {
    let mut world = busy(QueueSettings { tier_wait_sec: 10, ..quick() });
    world.must(put_agent("101", entry("101")));
    world.must(bindings(50, "101@sip.example", vec![contact("c101", Some(at(3_600_000)))]));
    world.must(event_with("101", AgentEvent::Available, &["q/2"]));
    check(
        world,
        vec![say(0, enqueue("q", "k1")), tick(9_999), tick(10_000)],
        &["k1 place 1 of 1 | k1 waits in q", "ok unchanged", "ok unchanged | ofr_7_2 to 101 | 101=ringing"],
    );
}

#[test]
fn somebody_who_joins_a_higher_tier_takes_the_caller_when_it_opens() {
    let mut world = busy(QueueSettings { tier_wait_sec: 10, ..quick() });
    world.must(put_agent("101", entry("101")));
    world.must(bindings(50, "101@sip.example", vec![contact("c101", Some(at(3_600_000)))]));
    check(
        world,
        vec![
            say(0, enqueue("q", "k1")),
            say(4_000, event_with("101", AgentEvent::Available, &["q/3"])),
            tick(19_999),
            tick(20_000),
        ],
        &[
            "k1 place 1 of 1 | k1 waits in q",
            "ok | 101 joined q/3/0, 101 available | 101=ready",
            "ok unchanged",
            "ok unchanged | ofr_7_2 to 101 | 101=ringing",
        ],
    );
}

#[test]
fn a_call_that_asks_for_tags_waits_for_somebody_who_has_them() {
    let mut world = staffed(&["100"], quick());
    world.must(put_agent("101", AgentEntry { tags: vec![tag_id("french")], ..entry("101") }));
    world.must(bindings(50, "101@sip.example", vec![contact("c101", Some(at(3_600_000)))]));
    let french = |call: &str| {
        Input::Enqueue(Enqueue {
            queue: queue_id("q"),
            call: call_id(call),
            priority: 0,
            caller: None,
            required_tags: Some(RequiredTags { rule: TagMatch::All, tags: vec![tag_id("french")] }),
            router: Some(router_id("r1")),
        })
    };
    check(
        world,
        vec![
            say(0, french("k1")),
            say(0, enqueue("q", "k2")),
            say(5, event_with("101", AgentEvent::Available, &["q"])),
        ],
        &[
            "k1 place 1 of 1 | k1 waits in q",
            "ofr_7_1 100 live | k2 waits in q, ofr_7_1 to 100 | 100=ringing",
            "ok | 101 joined q/1/0, 101 available, ofr_7_2 to 101 | 101=ringing",
        ],
    );
}

#[test]
fn a_freed_agent_walks_its_queues_by_tier_and_among_equals_by_weight_times_age() {
    let mut world = staffed(&["100"], quick());
    world.must(put_queue("heavy", QueueSettings { weight: 3, ..quick() }));
    world.must(put_queue("first", quick()));
    world.must(event_with("100", AgentEvent::Available, &["q/1", "heavy/1", "first/0"]));
    world.must(reserve_from("q", "k0", "o0"));
    world.verb("o0", answer());
    check(
        world,
        vec![
            say(0, enqueue("q", "k1")),
            say(600, enqueue("heavy", "k2")),
            say(800, enqueue("first", "k3")),
            // 800 of weight 1 against 3 times 201, then against 3 times 401.
            say(801, end_call("k0")),
            say(801, end_call("k3")),
            say(801, end_call("k1")),
        ],
        &[
            "k1 place 1 of 1 | k1 waits in q",
            "k2 place 1 of 1 | k2 waits in heavy",
            "k3 place 1 of 1 | k3 waits in first",
            "ok | 100 leg k0 over, k0 ended, ofr_7_2 to 100 | 100=ringing",
            "ok | ofr_7_2 cancelled, k3 ended, ofr_7_3 to 100",
            "ok | ofr_7_3 cancelled, k1 ended, ofr_7_4 to 100",
        ],
    );
}

#[test]
fn with_no_router_attached_a_line_does_not_push_and_the_next_one_that_attaches_is_told() {
    check(
        busy(quick()),
        vec![
            say(0, enqueue("q", "k1")),
            say(10, router_down("r1")),
            say(20, end_call("k0")),
            say(30, router_up("r2")),
            tick(30),
        ],
        &[
            "k1 place 1 of 1 | k1 waits in q",
            "ok",
            "ok | 100 leg k0 over, k0 ended | 100=ready",
            "ok | ofr_7_2 to 100 | 100=ringing",
            "ok unchanged",
        ],
    );
}

#[test]
fn with_no_router_attached_who_asks_again_is_offered_whoever_is_free_by_now() {
    let mut world = busy(quick());
    world.must(router_down("r1"));
    check(
        world,
        vec![
            say(0, enqueue("q", "k1")),
            say(20, end_call("k0")),
            say(30, enqueue("q", "k1")),
            say(30, enqueue("q", "k1")),
        ],
        &[
            "k1 place 1 of 1 | k1 waits in q",
            "ok | 100 leg k0 over, k0 ended | 100=ready",
            "ofr_7_2 100 live | ofr_7_2 to 100 | 100=ringing",
            "ofr_7_2 100 live unchanged",
        ],
    );
}

#[test]
fn a_router_that_does_not_come_back_loses_its_unanswered_offers_and_one_that_does_keeps_them() {
    let ringing = || {
        let mut world = staffed(&["100"], quick());
        world.must(enqueue("q", "k1"));
        world
    };
    check(
        ringing(),
        vec![say(0, router_down("r1")), tick(4_999), tick(5_000)],
        &["ok", "ok unchanged", "ok unchanged | ofr_7_1 rescinded:router_gone | 100=ready"],
    );
    check(
        ringing(),
        vec![say(0, router_down("r1")), say(4_000, router_up("r1")), tick(5_000)],
        &["ok", "ok", "ok unchanged"],
    );
}

#[test]
fn a_removed_queue_lets_its_callers_go() {
    check(
        busy(quick()),
        vec![say(0, enqueue("q", "k1")), say(5, Input::RemoveQueue { queue: queue_id("q") })],
        &["k1 place 1 of 1 | k1 waits in q", "ok | k1 queue_removed, 100 left q, removed q"],
    );
}

#[test]
fn the_estimate_is_the_place_times_the_pace_of_the_line() {
    check(
        busy(quick()),
        vec![
            say(0, enqueue("q", "k1")),
            say(0, enqueue("q", "k2")),
            say(1_000, end_call("k0")),
            verb(1_000, "ofr_7_2", answer()),
            say(5_000, end_call("k1")),
            verb(5_000, "ofr_7_3", answer()),
            say(5_000, enqueue("q", "k3")),
            say(5_000, enqueue("q", "k4")),
        ],
        &[
            "k1 place 1 of 1 | k1 waits in q",
            "k2 place 2 of 2 | k2 waits in q",
            "ok | 100 leg k0 over, k0 ended, ofr_7_2 to 100 | 100=ringing",
            "ofr_7_2 100 accepted | ofr_7_2 answered | 100=in_call",
            "ok | 100 leg k1 over, k1 ended, ofr_7_3 to 100 | 100=ringing",
            "ofr_7_3 100 accepted | ofr_7_3 answered | 100=in_call",
            "k3 place 1 of 1 in 4000 | k3 waits in q",
            "k4 place 2 of 2 in 8000 | k4 waits in q",
        ],
    );
}

#[test]
fn a_freed_agent_with_many_slots_takes_as_many_callers() {
    let mut world = staffed(&["100"], quick());
    world.must(pause("100", ""));
    world.must(put_agent("100", AgentEntry { capacity: 3, ..entry("100") }));
    let enqueued: Vec<When> =
        ["k1", "k2", "k3", "k4"].into_iter().map(|call| say(0, enqueue("q", call))).collect();
    let (world, _) = run(world, enqueued);
    check(
        world,
        vec![say_by(5, Role::Agent, event("100", AgentEvent::Unpause))],
        &["ok | 100 available, ofr_7_1 to 100, ofr_7_2 to 100, ofr_7_3 to 100 | 100=ringing"],
    );
}

#[test]
fn a_long_line_and_many_who_become_free_at_once_go_on_in_records_of_their_own() {
    let ids: Vec<String> = (0..100).map(|n| format!("{}", 200 + n)).collect();
    let mut world = sales(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    for n in 0..100 {
        world.must(enqueue("q", &format!("k{n}")));
        world.must(dequeue(&format!("k{n}")));
    }
    for id in &ids {
        world.must(pause(id, ""));
    }
    for n in 0..100 {
        world.must(requeue(&format!("k{n}")));
    }
    for id in &ids {
        world.must(event(id, AgentEvent::Unpause));
    }
    // Nobody is attached: nothing was pushed. The first router that comes serves the whole line.
    let mut outcome = world.must(router_up("r1"));
    let mut records = 0;
    loop {
        let granted = outcome.record.as_ref().map_or(0, |record| record.facts.len());
        assert!(granted <= 32, "{granted} offers in one record");
        records += usize::from(outcome.record.is_some());
        assert!(records < 10, "it does not end");
        if !outcome.more {
            break;
        }
        outcome = world.must(Input::Tick);
    }
    let ringing = world.account.agents().filter(|(_, agent)| agent.live_offers().count() == 1).count();
    assert_eq!(ringing, 100);
    assert_eq!(records, 4);
}

#[test]
fn a_caller_of_a_ring_all_queue_rings_everybody_who_is_free_and_one_wins() {
    check(
        staffed(&["100", "101"], QueueSettings { strategy: Strategy::RingAll, ..quick() }),
        vec![
            say(0, enqueue("q", "k1")),
            say(0, enqueue("q", "k2")),
            verb(10, "ofr_7_1", Verb::Reject),
            verb(20, "ofr_7_2", answer()),
            say(30, end_call("k1")),
        ],
        &[
            "ofr_7_1 100 live + ofr_7_2 101 live | k1 waits in q, ofr_7_1 to 100, ofr_7_2 to 101 | 100=ringing 101=ringing",
            "k2 place 2 of 2 | k2 waits in q",
            "ofr_7_1 100 rejected + ofr_7_2 101 live | ofr_7_1 rejected, ofr_7_3 to 100",
            "ofr_7_2 101 accepted + ofr_7_1 100 rejected | ofr_7_2 answered | 101=in_call",
            "ok | 101 leg k1 over, k1 ended | 101=ready",
        ],
    );
}
