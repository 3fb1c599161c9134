//! Contacts: registrations, expiry, OPTIONS, the grace, permanent ones.

use ringfence_core::agent::{AddressKind, AgentEntry};
use ringfence_core::feed::{FeedItem, FeedWhat, Qualify, SeenContact, Stamp};
use ringfence_core::input::{AccountSettings, AgentEvent};
use ringfence_core::{Input, Time};

use crate::common::scenario::{When, answer, check, run, say, tick, verb};
use crate::common::{
    World, address, agent_id, aor, at, bindings, contact, entry, event, event_with, feed, gone, put_agent,
    qualify, reserve, reserve_from, sales, store,
};

/// The whole set of contacts of 100, each with the end of its lease.
fn registered(ms: u64, seq: u64, contacts: &[(&str, u64)]) -> When {
    let contacts = contacts.iter().map(|(id, until)| contact(id, Some(at(*until)))).collect();
    say(ms, bindings(seq, &aor("100"), contacts))
}

fn grace(ms: u64) -> World {
    let mut world = sales(&["100"]);
    world
        .must(Input::SetSettings(AccountSettings { unreachable_grace_ms: ms, ..AccountSettings::default() }));
    world
}

#[test]
fn losing_the_last_contact_rescinds() {
    check(
        sales(&["100"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            say(1, gone(2, &aor("100"), "c1")),
            say(2, reserve("100", "k1", "o2")),
            registered(3, 3, &[("c2", 60_000)]),
            say(4, reserve("100", "k1", "o2")),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "fed 1/0/0 | unbound 100@sip.example c1, o1 rescinded:unreachable | 100=unreachable",
            "not_offerable reachable",
            "fed 1/0/0 | bound 100@sip.example c2 | 100=ready",
            "o2 100 live | o2 to 100 | 100=ringing",
        ],
    );
}

#[test]
fn losing_one_of_several_contacts_changes_nothing() {
    check(
        sales(&["100"]),
        vec![
            registered(0, 2, &[("c2", 60_000), ("c3", 90_000)]),
            say(1, reserve_from("q", "k1", "o1")),
            say(2, gone(3, &aor("100"), "c2")),
            tick(20_001),
            say(20_001, gone(4, &aor("100"), "c3")),
        ],
        &[
            "fed 1/0/0 | bound 100@sip.example c2, bound 100@sip.example c3, unbound 100@sip.example c1",
            "o1 100 live | o1 to 100 | 100=ringing",
            "fed 1/0/0 | unbound 100@sip.example c2",
            "ok unchanged | o1 no_answer misses 1 | 100=ready",
            "fed 1/0/0 | unbound 100@sip.example c3 | 100=unreachable",
        ],
    );
}

#[test]
fn losing_the_phone_in_a_call_does_not_end_the_call() {
    check(
        sales(&["100"]),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            verb(0, "o1", answer()),
            say(1, gone(2, &aor("100"), "c1")),
            say(2, crate::common::end_call("k1")),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "o1 100 accepted | o1 answered | 100=in_call",
            "fed 1/0/0 | unbound 100@sip.example c1",
            "ok | 100 leg k1 over wrap-up 10002, k1 ended | 100=unreachable",
        ],
    );
}

#[test]
fn with_a_grace_the_loss_is_shown_late_and_the_fence_sees_it_at_once() {
    check(
        grace(2_000),
        vec![
            say(0, reserve_from("q", "k1", "o1")),
            say(1, gone(2, &aor("100"), "c1")),
            tick(2_000),
            tick(2_001),
            registered(3_000, 3, &[("c2", 600_000)]),
            say(4_000, gone(4, &aor("100"), "c2")),
            say(4_000, reserve("100", "k1", "o2")),
            say(4_000, reserve_from("q", "k1", "o2")),
            registered(5_000, 5, &[("c3", 600_000)]),
            say(5_000, reserve_from("q", "k1", "o2")),
            tick(6_000),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "fed 1/0/0 | unbound 100@sip.example c1",
            "ok unchanged",
            "ok unchanged | settled 100, o1 rescinded:unreachable | 100=unreachable",
            "fed 1/0/0 | bound 100@sip.example c2 | 100=ready",
            "fed 1/0/0 | unbound 100@sip.example c2 | 100=idle",
            "not_offerable reachable",
            "no_agent of 1 reachable=1",
            "fed 1/0/0 | bound 100@sip.example c3 | 100=ready",
            "o2 100 live | o2 to 100 | 100=ringing",
            "ok unchanged",
        ],
    );
}

#[test]
fn a_grace_under_way_ends_after_a_restart_too() {
    let (mut world, _) = run(grace(2_000), vec![say(1, gone(2, &aor("100"), "c1"))]);
    let mut disk = store::Disk::default();
    disk.checkpoint(&mut world.account);
    for mut account in [store::replayed(&world.journal), disk.restore()] {
        assert!(account.next_deadline().is_some_and(|due| due <= at(2_001)), "{:?}", account.next_deadline());
        account.step(Input::Tick, &ringfence_core::agent::By::SYSTEM, at(2_001));
        let agent = account.agent(&agent_id("100")).unwrap();
        assert_eq!(agent.standing.bucket, ringfence_core::bucket::Bucket::Unreachable);
    }
}

#[test]
fn an_expired_contact_is_refused_also_when_no_tick_came() {
    let given = || {
        let mut world = sales(&["100"]);
        world.must(bindings(2, &aor("100"), vec![contact("c1", Some(at(60_000)))]));
        world
    };
    check(
        given(),
        vec![say(59_999, reserve_from("q", "k1", "o1")), tick(60_000)],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "ok unchanged | unbound 100@sip.example c1, o1 rescinded:unreachable | 100=unreachable",
        ],
    );
    check(
        given(),
        vec![say(60_000, reserve_from("q", "k1", "o1"))],
        &["no_agent of 1 reachable=1 | unbound 100@sip.example c1 | 100=unreachable"],
    );
    check(
        given(),
        vec![
            say(59_999, reserve_from("q", "k1", "o1")),
            // The contact's end comes before the answer, and so does what it causes.
            verb(60_000, "o1", answer()),
        ],
        &[
            "o1 100 live | o1 to 100 | 100=ringing",
            "offer_ended rescinded:unreachable | unbound 100@sip.example c1, o1 rescinded:unreachable \
             | 100=unreachable",
        ],
    );
}

#[test]
fn an_expired_contact_is_refused_however_much_else_is_due() {
    let ids: Vec<String> = (100..200).map(|n| n.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut world = sales(&ids);
    for id in &ids {
        world.must(bindings(2, &aor(id), vec![contact("c1", Some(at(60_000)))]));
    }
    world.now = at(60_000);
    let outcome = world.step(reserve("199", "k1", "o1"));
    assert!(outcome.more, "a record touches 64 agents");
    assert_eq!(outcome.reply.unwrap_err().code(), "not_offerable");
}

#[test]
fn the_same_message_again_says_nothing() {
    check(
        sales(&["100"]),
        vec![
            registered(0, 2, &[("c1", 60_000)]),
            registered(0, 2, &[("c1", 60_000)]),
            say(0, gone(3, &aor("100"), "c1")),
            say(0, gone(3, &aor("100"), "c1")),
            registered(0, 2, &[("c1", 60_000)]),
        ],
        &[
            "fed 1/0/0 | bound 100@sip.example c1",
            "fed 0/1/0",
            "fed 1/0/0 | unbound 100@sip.example c1 | 100=unreachable",
            "fed 0/1/0",
            "fed 0/1/0",
        ],
    );
}

#[test]
fn a_refresh_within_the_stored_expiry_writes_no_record_and_holds() {
    check(
        sales(&["100"]),
        vec![
            registered(0, 2, &[("c1", 60_000)]),
            // Stored with a pad of a lease's length: until 120 s.
            registered(50_000, 3, &[("c1", 110_000)]),
            tick(60_000),
            tick(109_999),
            registered(109_999, 4, &[("c1", 169_999)]),
            tick(120_000),
            tick(169_999),
        ],
        &[
            "fed 1/0/0 | bound 100@sip.example c1",
            "fed 1/0/0",
            "ok unchanged",
            "ok unchanged",
            "fed 1/0/0 | bound 100@sip.example c1",
            "ok unchanged",
            "ok unchanged | unbound 100@sip.example c1 | 100=unreachable",
        ],
    );
}

#[test]
fn a_refresh_may_shorten_the_lease() {
    check(
        sales(&["100"]),
        vec![registered(0, 2, &[("c1", 60_000)]), registered(1, 3, &[("c1", 5_000)]), tick(5_000)],
        &[
            "fed 1/0/0 | bound 100@sip.example c1",
            "fed 1/0/0",
            "ok unchanged | unbound 100@sip.example c1 | 100=unreachable",
        ],
    );
}

#[test]
fn what_a_qualify_says_counts_and_revives_nobody() {
    let says = |ms, seq, word| say(ms, qualify(seq, &aor("100"), "c1", word));
    check(
        sales(&["100"]),
        vec![
            says(0, 2, Qualify::Failed),
            says(0, 3, Qualify::Failed),
            says(0, 4, Qualify::Ok),
            // An older word comes late.
            says(0, 3, Qualify::Failed),
            registered(1, 5, &[("c1", 1_000)]),
            tick(1_000),
            says(1_001, 6, Qualify::Ok),
            // Nobody has this one.
            say(1_001, qualify(7, "999@sip.example", "c1", Qualify::Ok)),
        ],
        &[
            "fed 1/0/0 | bound 100@sip.example c1 | 100=unreachable",
            "fed 1/0/0",
            "fed 1/0/0 | bound 100@sip.example c1 | 100=ready",
            "fed 0/1/0",
            "fed 1/0/0 | bound 100@sip.example c1",
            "ok unchanged | unbound 100@sip.example c1 | 100=unreachable",
            "fed 0/1/0",
            "fed 0/1/0",
        ],
    );
}

#[test]
fn a_qualify_that_says_nothing_new_still_outdates_older_ones() {
    let says = |seq, word| say(0, qualify(seq, &aor("100"), "c1", word));
    check(
        sales(&["100"]),
        vec![says(2, Qualify::Ok), says(5, Qualify::Ok), says(4, Qualify::Failed)],
        &["fed 1/0/0 | bound 100@sip.example c1", "fed 1/0/0", "fed 0/1/0"],
    );
}

#[test]
fn registrations_and_qualifies_are_ordered_apart() {
    let set = |ms, seq, word| {
        let contact = SeenContact { qualify: Some(word), ..contact("c1", Some(at(60_000))) };
        say(ms, bindings(seq, &aor("100"), vec![contact]))
    };
    check(
        sales(&["100"]),
        vec![
            say(0, qualify(5, &aor("100"), "c1", Qualify::Failed)),
            // Sent before the ping, come after it: the lease is news, what it says of pings is not.
            set(1, 4, Qualify::Ok),
            set(2, 6, Qualify::Ok),
            say(3, qualify(5, &aor("100"), "c1", Qualify::Failed)),
            tick(60_000),
        ],
        &[
            "fed 1/0/0 | bound 100@sip.example c1 | 100=unreachable",
            "fed 1/0/0 | bound 100@sip.example c1",
            "fed 1/0/0 | bound 100@sip.example c1 | 100=ready",
            "fed 0/1/0",
            "ok unchanged | unbound 100@sip.example c1 | 100=unreachable",
        ],
    );
}

#[test]
fn an_older_epoch_says_nothing_and_a_newer_one_holds_what_it_leaves_out() {
    let set = |epoch, seq, contacts: Vec<SeenContact>, hold: Option<Time>| {
        let what = FeedWhat::Bindings { aor: aor("100"), contacts, hold_unconfirmed_until: hold };
        let source = crate::common::source_id("kam1");
        feed(FeedItem { source, stamp: Stamp { epoch, seq }, what })
    };
    check(
        sales(&["100"]),
        vec![
            say(0, set(2, 1, vec![contact("c2", Some(at(600_000)))], Some(at(120_000)))),
            say(0, set(1, 900, vec![], None)),
            tick(119_999),
            tick(120_000),
            // Confirmed in the new epoch without a record, then left out: nothing is held for that one.
            say(130_000, set(3, 1, vec![contact("c2", Some(at(700_000)))], None)),
            say(130_000, set(3, 2, vec![], Some(at(900_000)))),
        ],
        &[
            "fed 1/0/0 | bound 100@sip.example c2",
            "fed 0/1/0",
            "ok unchanged",
            "ok unchanged | unbound 100@sip.example c1",
            "fed 1/0/0",
            "fed 1/0/0 | unbound 100@sip.example c2 | 100=unreachable",
        ],
    );
}

#[test]
fn a_ringable_tel_address_and_a_sip_endpoint_are_permanent_contacts() {
    let tel = |ring| AgentEntry {
        addresses: vec![address(AddressKind::Tel, "+15559876543", ring)],
        ..AgentEntry::default()
    };
    let endpoint = AgentEntry { sip_endpoint: true, ..AgentEntry::default() };
    for (entry, reachable) in [(tel(true), true), (tel(false), false), (endpoint, true)] {
        let mut world = World::default();
        world.must(put_agent("ann", entry));
        world.must(event_with("ann", AgentEvent::Login, &["q"]));
        world.now = at(1);
        let outcome = world.step(reserve("ann", "k1", "o1"));
        assert_eq!(outcome.reply.is_ok(), reachable);
    }
    let mut world = World::default();
    world.must(put_agent("ann", tel(true)));
    world.must(event_with("ann", AgentEvent::Login, &["q"]));
    check(
        world,
        vec![say(0, reserve("ann", "k1", "o1")), say(1, put_agent("ann", tel(false)))],
        &[
            "o1 ann live | o1 to ann | ann=ringing",
            "ok | put ann, o1 rescinded:unreachable | ann=unreachable",
        ],
    );
}

#[test]
fn an_aor_maps_to_its_extension_or_sip_address() {
    let sip = AgentEntry {
        addresses: vec![address(AddressKind::Sip, "ann@sip.example", true)],
        ..AgentEntry::default()
    };
    let mut world = World::default();
    world.must(put_agent("ann", sip));
    world.must(put_agent("100", entry("100")));
    check(
        world,
        vec![
            say(0, event("ann", AgentEvent::Login)),
            say(0, event("100", AgentEvent::Login)),
            say(0, bindings(1, "sip:ann@SIP.example", vec![contact("c1", None)])),
            // The user part of a SIP address is nobody's extension.
            say(0, bindings(2, "ann@other.example", vec![contact("c1", None)])),
            say(0, bindings(3, "100@anywhere.example", vec![contact("c1", None)])),
            say(0, bindings(4, "nonsense", vec![contact("c1", None)])),
        ],
        &[
            "ok | ann available | ann=unreachable",
            "ok | 100 available | 100=unreachable",
            "fed 1/0/0 | bound ann@sip.example c1 | ann=idle",
            "fed 1/0/0 | bound ann@other.example c1",
            "fed 1/0/0 | bound 100@anywhere.example c1 | 100=idle",
            "fed 0/0/1",
        ],
    );
}

#[test]
fn a_binding_that_comes_before_the_agent_attaches_later() {
    check(
        World::default(),
        vec![
            say(0, bindings(1, &aor("100"), vec![contact("c1", None)])),
            say(1, put_agent("100", entry("100"))),
            say(2, event("100", AgentEvent::Login)),
            // And when the extension moves to somebody else, so does the phone.
            say(3, put_agent("100", AgentEntry::default())),
            say(4, put_agent("200", AgentEntry { addresses: entry("100").addresses, ..entry("200") })),
            say(5, event("200", AgentEvent::Login)),
            say(6, Input::RemoveAgent { agent: agent_id("200") }),
            say(7, put_agent("100", entry("100"))),
        ],
        &[
            "fed 1/0/0 | bound 100@sip.example c1",
            "ok | put 100 | 100=offline",
            "ok | 100 available | 100=idle",
            "ok | put 100 | 100=unreachable",
            "ok | put 200 | 200=offline",
            "ok | 200 available | 200=idle",
            "ok | removed 200",
            "ok | put 100 | 100=idle",
        ],
    );
}

#[test]
fn an_aor_goes_to_the_sip_address_before_the_extension_and_back() {
    let sip =
        AgentEntry { addresses: vec![address(AddressKind::Sip, "100@sip.example", true)], ..entry("ann") };
    let mut world = sales(&["100"]);
    world.must(put_agent("ann", AgentEntry::default()));
    world.must(event("ann", AgentEvent::Login));
    let (mut world, lines) = run(
        world,
        vec![
            say(0, put_agent("ann", sip.clone())),
            say(1, put_agent("ann", AgentEntry::default())),
            say(2, put_agent("ann", sip)),
            say(3, Input::RemoveAgent { agent: agent_id("ann") }),
        ],
    );
    assert_eq!(
        lines,
        [
            "ok | put ann, settled 100 | 100=unreachable ann=idle",
            "ok | put ann, settled 100 | 100=ready ann=unreachable",
            "ok | put ann, settled 100 | 100=unreachable ann=idle",
            "ok | removed ann, settled 100 | 100=ready",
        ]
    );
    let mut disk = store::Disk::default();
    disk.checkpoint(&mut world.account);
    let mut restored = disk.restore();
    assert!(restored.step(Input::Tick, &ringfence_core::agent::By::SYSTEM, world.now).record.is_none());
    crate::common::oracle::check(&restored, world.now);
}
