//! `ring_all`: one reserve rings a group, and one of it wins.

use ringfence_core::Input;
use ringfence_core::input::{Reply, Verb};
use ringfence_core::offer::GROUP_MAX;
use ringfence_core::queue::{QueueSettings, Strategy};

use crate::common::scenario::{answer, check, say, stale, tick, verb};
use crate::common::{
    World, agent_id, end_call, end_leg, oracle, pause, reserve_for, reserve_from, reserve_preferring,
    sales_with, store,
};

fn everybody() -> QueueSettings {
    let (strategy, wrap_up_sec) = (Strategy::RingAll, Some(0));
    QueueSettings { strategy, wrap_up_sec, ..QueueSettings::default() }
}

fn floor(agents: &[&str]) -> World {
    sales_with(everybody(), agents)
}

const THREE_RING: &str = "o1 100 live + ofr_7_2 101 live + ofr_7_3 102 live | o1 to 100, ofr_7_2 to 101, \
                          ofr_7_3 to 102 | 100=ringing 101=ringing 102=ringing";

#[test]
fn all_of_the_lowest_tier_that_has_anybody_ring_by_position_then_id() {
    let mut world = floor(&[]);
    for (id, choice) in [("104", "q/1"), ("100", "q/1"), ("102", "q/2"), ("101", "q/2/7"), ("103", "q/2")] {
        world.ready(id, &[choice]);
    }
    check(
        world,
        vec![
            say(1, reserve_from("q", "k1", "o1")),
            say(1, reserve_from("q", "k2", "o2")),
            say(1, reserve_from("q", "k3", "o3")),
        ],
        &[
            "o1 100 live + ofr_7_2 104 live | o1 to 100, ofr_7_2 to 104 | 100=ringing 104=ringing",
            "o2 102 live + ofr_7_4 103 live + ofr_7_5 101 live | o2 to 102, ofr_7_4 to 103, ofr_7_5 to 101 | \
             101=ringing 102=ringing 103=ringing",
            "no_agent of 5 slot=5",
        ],
    );
}

#[test]
fn the_first_to_answer_wins_and_the_others_have_lost_the_race_in_the_same_record() {
    check(
        floor(&["100", "101", "102"]),
        vec![
            say(0, reserve_from("q", "k", "o1")),
            verb(1, "ofr_7_2", answer()),
            // No miss, no cooldown; the token says so to whoever comes too late.
            verb(1, "o1", answer()),
            verb(1, "ofr_7_3", Verb::Reject),
            verb(1, "ofr_7_2", answer()),
            say(2, reserve_from("q", "k2", "o2")),
        ],
        &[
            THREE_RING,
            "ofr_7_2 101 accepted + o1 100 lost_race + ofr_7_3 102 lost_race | ofr_7_2 answered, o1 lost_race, \
             ofr_7_3 lost_race | 100=ready 101=in_call 102=ready",
            "offer_ended lost_race",
            "offer_ended lost_race",
            "ofr_7_2 101 accepted + o1 100 lost_race + ofr_7_3 102 lost_race unchanged",
            "o2 100 live + ofr_7_5 102 live | o2 to 100, ofr_7_5 to 102 | 100=ringing 102=ringing",
        ],
    );
}

#[test]
fn who_rejects_or_misses_leaves_the_group_and_with_the_last_the_call_is_free_again() {
    let settings = QueueSettings { reject_cooldown_sec: 0, ..everybody() };
    check(
        sales_with(settings, &["100", "101", "102"]),
        vec![
            say(0, reserve_from("q", "k", "o1")),
            verb(1, "o1", Verb::Reject),
            say(2, reserve_from("q", "k", "o2")),
            verb(3, "ofr_7_3", Verb::NoAnswer),
            verb(4, "ofr_7_2", Verb::Reject),
            // All were tried, so all ring again.
            say(5, reserve_from("q", "k", "o2")),
        ],
        &[
            THREE_RING,
            "o1 100 rejected + ofr_7_2 101 live + ofr_7_3 102 live | o1 rejected | 100=ready",
            "call_already_offered ofr_7_2 101",
            "ofr_7_3 102 no_answer + o1 100 rejected + ofr_7_2 101 live | ofr_7_3 no_answer misses 1 | 102=ready",
            "ofr_7_2 101 rejected + o1 100 rejected + ofr_7_3 102 no_answer | ofr_7_2 rejected | 101=ready",
            "o2 100 live + ofr_7_5 101 live + ofr_7_6 102 live | o2 to 100, ofr_7_5 to 101, ofr_7_6 to 102 | \
             100=ringing 101=ringing 102=ringing",
        ],
    );
}

#[test]
fn whoever_was_not_tried_yet_rings_before_those_who_were() {
    let settings = QueueSettings { reject_cooldown_sec: 0, ..everybody() };
    let mut world = sales_with(settings, &["100", "101"]);
    world.must(pause("101", ""));
    check(
        world,
        vec![
            say(0, reserve_from("q", "k", "o1")),
            verb(1, "o1", Verb::Reject),
            say(2, crate::common::event("101", ringfence_core::input::AgentEvent::Unpause)),
            say(2, reserve_from("q", "k", "o2")),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o1 100 rejected | o1 rejected | 100=ready",
            "ok | 101 available | 101=ready",
            "o2 101 live | o2 to 101 | 101=ringing",
        ],
    );
}

#[test]
fn a_cancel_withdraws_one_offer_and_the_end_of_the_call_all_of_them() {
    check(
        floor(&["100", "101", "102"]),
        vec![
            say(0, reserve_from("q", "k", "o1")),
            verb(1, "ofr_7_2", Verb::Cancel),
            say(2, end_leg("k", "102")),
            say(3, reserve_from("q", "k2", "o2")),
            say(4, end_call("k2")),
            say(5, end_call("k")),
        ],
        &[
            THREE_RING,
            "ofr_7_2 101 cancelled + o1 100 live + ofr_7_3 102 live | ofr_7_2 cancelled | 101=ready",
            "ok | ofr_7_3 cancelled | 102=ready",
            "o2 101 live + ofr_7_5 102 live | o2 to 101, ofr_7_5 to 102 | 101=ringing 102=ringing",
            "ok | o2 cancelled, ofr_7_5 cancelled, k2 ended | 101=ready 102=ready",
            "ok | o1 cancelled, k ended | 100=ready",
        ],
    );
}

#[test]
fn each_of_a_group_has_a_token_and_a_lease_of_its_own() {
    let by_token = |n: u64| Input::EndCall {
        call: crate::common::call_id("k"),
        agent: None,
        fence: Some(ringfence_core::offer::Fence { term: 7, n }),
    };
    check(
        floor(&["100", "101", "102"]),
        vec![
            say(0, reserve_from("q", "k", "o1")),
            // The next one's token is not this one's.
            stale(1, "o1", answer()),
            verb(1, "ofr_7_3", Verb::Extend { lease_ms: 60_000 }),
            tick(20_000),
            say(20_001, by_token(2)),
            say(20_001, by_token(3)),
        ],
        &[
            THREE_RING,
            "stale_fence",
            "ofr_7_3 102 live + o1 100 live + ofr_7_2 101 live | ofr_7_3 until 60001",
            "ok unchanged | o1 no_answer misses 1, ofr_7_2 no_answer misses 1 | 100=ready 101=ready",
            "stale_fence",
            "ok | ofr_7_3 cancelled, k ended | 102=ready",
        ],
    );
}

#[test]
fn a_retry_is_told_the_whole_group_and_what_became_of_it() {
    check(
        floor(&["100", "101", "102"]),
        vec![
            say(0, reserve_from("q", "k", "o1")),
            say(1, pause("101", "")),
            say(2, reserve_from("q", "k", "o1")),
            verb(3, "o1", answer()),
            say(4, reserve_from("q", "k", "o1")),
        ],
        &[
            THREE_RING,
            "ok | 101 break(), ofr_7_2 rescinded:paused | 101=paused",
            "o1 100 live + ofr_7_2 101 rescinded:paused + ofr_7_3 102 live unchanged",
            "o1 100 accepted + ofr_7_2 101 rescinded:paused + ofr_7_3 102 lost_race | o1 answered, ofr_7_3 lost_race \
             | 100=in_call 102=ready",
            "o1 100 accepted + ofr_7_2 101 rescinded:paused + ofr_7_3 102 lost_race unchanged",
        ],
    );
}

#[test]
fn no_more_ring_at_once_than_a_group_may_have() {
    let ids: Vec<String> = (0..GROUP_MAX + 1).map(|n| (100 + n).to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut world = floor(&ids);
    let Ok(Reply::Granted { grant, .. }) = world.must(reserve_from("q", "k1", "o1")).reply else {
        panic!("no grant")
    };
    assert_eq!(grant.group.len() + 1, GROUP_MAX);
    let Ok(Reply::Granted { grant, .. }) = world.must(reserve_from("q", "k2", "o2")).reply else {
        panic!("no grant")
    };
    assert_eq!((grant.offer.agent_id.as_str(), grant.group.len()), ("132", 0));
    world.verb("o1", answer());
    oracle::check(&world.account, world.now);
    store::check_replay(&world);
}

#[test]
fn a_group_goes_on_after_a_restart_and_has_one_winner_then() {
    let mut world = floor(&["100", "101", "102"]);
    world.must(reserve_from("q", "k", "o1"));
    world.verb("o1", Verb::Reject);
    let mut disk = store::Disk::default();
    disk.checkpoint(&mut world.account);
    for account in [disk.restore(), store::replayed(&world.journal)] {
        let mut world = World { account, now: world.now, journal: world.journal.clone() };
        assert_eq!(
            world.step(reserve_from("q", "k", "o2")).reply.unwrap_err().code(),
            "call_already_offered"
        );
        assert!(world.verb("ofr_7_3", answer()).reply.is_ok());
        oracle::check(&world.account, world.now);
        assert_eq!(world.account.agent(&agent_id("101")).unwrap().live_offers().count(), 0);
    }
}

#[test]
fn an_id_of_the_routers_own_is_never_given_to_another_of_the_group() {
    check(
        floor(&["100", "101"]),
        vec![say(0, reserve_from("q", "k", "ofr_7_2"))],
        &[
            "ofr_7_2 100 live + ofr_7_2_1 101 live | ofr_7_2 to 100, ofr_7_2_1 to 101 | 100=ringing 101=ringing",
        ],
    );
}

#[test]
fn a_preferred_agent_and_one_who_is_named_ring_alone() {
    check(
        floor(&["100", "101", "102"]),
        vec![
            say(0, reserve_preferring("q", "k1", "o1", &["101"])),
            say(0, reserve_for("102", "q", "k2", "o2")),
        ],
        &["o1 101 live | o1 to 101 | 101=ringing", "o2 102 live | o2 to 102 | 102=ringing"],
    );
}
