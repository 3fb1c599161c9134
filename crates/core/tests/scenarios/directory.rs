//! Agents, queues and settings as administrators write them.

use ringfence_core::Input;
use ringfence_core::agent::{Address, AddressKind, AgentEntry, RingMethod};
use ringfence_core::input::{AccountSettings, Reply};
use ringfence_core::queue::QueueSettings;

use crate::common::scenario::{check, say};
use crate::common::{
    World, address, agent_id, bindings, contact, entry, event, feed, item, put_agent, put_queue, reserve,
    sales,
};

fn with(addresses: Vec<Address>) -> AgentEntry {
    AgentEntry { addresses, ..AgentEntry::default() }
}

#[test]
fn an_address_is_unique_within_an_account_whatever_its_kind() {
    for (kind, target) in [
        (AddressKind::Extension, "100"),
        (AddressKind::Sip, "ann@x.example"),
        (AddressKind::Tel, "+15550001"),
    ] {
        let entry = || with(vec![address(kind, target, true)]);
        check(
            World::default(),
            vec![
                say(0, put_agent("ann", entry())),
                say(0, put_agent("bob", entry())),
                say(0, put_agent("ann", entry())),
                say(0, put_agent("ann", AgentEntry::default())),
                say(0, put_agent("bob", entry())),
                say(0, Input::RemoveAgent { agent: agent_id("bob") }),
                say(0, put_agent("ann", entry())),
                say(
                    0,
                    put_agent("ann", with(vec![address(kind, target, true), address(kind, target, false)])),
                ),
            ],
            &[
                "ok | put ann | ann=offline",
                "address_taken",
                "ok unchanged",
                "ok | put ann",
                "ok | put bob | bob=offline",
                "ok | removed bob",
                "ok | put ann",
                "invalid",
            ],
        );
    }
}

#[test]
fn a_tel_address_is_no_extension() {
    let mut world = World::default();
    world.must(put_agent("ann", with(vec![address(AddressKind::Tel, "+15550001", false)])));
    world.must(event("ann", ringfence_core::input::AgentEvent::Login));
    check(
        world,
        vec![say(0, bindings(1, "+15550001@carrier.example", vec![contact("c1", None)]))],
        &["fed 1/0/0 | bound +15550001@carrier.example c1"],
    );
}

#[test]
fn what_is_no_address_or_out_of_range_is_refused() {
    let bad = [
        with(vec![address(AddressKind::Extension, "10a", true)]),
        with(vec![address(AddressKind::Extension, "", true)]),
        with(vec![address(AddressKind::Sip, "ann", true)]),
        with(vec![address(AddressKind::Sip, "ann@X.example", true)]),
        with(vec![address(AddressKind::Tel, "15550001", true)]),
        AgentEntry { capacity: 0, ..AgentEntry::default() },
        AgentEntry { capacity: 1001, ..AgentEntry::default() },
    ];
    for entry in bad {
        check(World::default(), vec![say(0, put_agent("ann", entry))], &["invalid"]);
    }
    let settings = [
        QueueSettings { agent_ring_timeout_sec: 0, ..QueueSettings::default() },
        QueueSettings { agent_ring_timeout_sec: 121, ..QueueSettings::default() },
        QueueSettings { wrap_up_sec: Some(3601), ..QueueSettings::default() },
        QueueSettings { reject_cooldown_sec: 3601, ..QueueSettings::default() },
    ];
    for settings in settings {
        check(World::default(), vec![say(0, put_queue("q", settings))], &["invalid"]);
    }
    let grace = AccountSettings { unreachable_grace_ms: 30_001, ..AccountSettings::default() };
    check(World::default(), vec![say(0, Input::SetSettings(grace))], &["invalid"]);
}

#[test]
fn an_offer_carries_the_ringable_addresses_in_the_order_of_the_ring_method() {
    let addresses = vec![
        address(AddressKind::Tel, "+15550001", true),
        address(AddressKind::Sip, "ann@x.example", true),
        address(AddressKind::Sip, "quiet@x.example", false),
        address(AddressKind::Extension, "100", true),
    ];
    for (ring_method, expected) in [
        (RingMethod::Ringall, ["+15550001", "ann@x.example", "100"]),
        (RingMethod::Linear, ["100", "ann@x.example", "+15550001"]),
    ] {
        let mut world = World::default();
        world.must(put_agent("ann", AgentEntry { ring_method, ..with(addresses.clone()) }));
        world.must(event("ann", ringfence_core::input::AgentEvent::Login));
        let Ok(Reply::Granted { grant, .. }) = world.must(reserve("ann", "k1", "o1")).reply else { panic!() };
        let rung: Vec<&str> = grant.offer.addresses.iter().map(|address| address.target.as_str()).collect();
        assert_eq!(rung, expected);
    }
}

#[test]
fn a_development_server_makes_the_agent_at_its_first_use() {
    let first_register = |user: &str| {
        let what = ringfence_core::feed::FeedWhat::Bindings {
            aor: format!("{user}@x.example"),
            contacts: vec![contact("c1", None)],
            hold_unconfirmed_until: None,
        };
        Input::Feed { items: vec![item(1, what)], create: true }
    };
    check(
        sales(&["100"]),
        vec![
            say(0, first_register("101")),
            say(0, event("101", ringfence_core::input::AgentEvent::Login)),
            // An extension somebody has already is left to them.
            say(0, first_register("100")),
            // Without that mode the binding is kept, and nobody made.
            say(0, bindings(1, "102@x.example", vec![contact("c1", None)])),
            // An empty set makes nobody.
            say(
                0,
                feed(item(
                    1,
                    ringfence_core::feed::FeedWhat::Gone { aor: "103@x.example".into(), contacts: vec![] },
                )),
            ),
        ],
        &[
            "fed 1/0/0 | put 101, bound 101@x.example c1 | 101=offline",
            "ok | 101 available | 101=idle",
            "fed 1/0/0 | bound 100@x.example c1",
            "fed 1/0/0 | bound 102@x.example c1",
            "fed 0/1/0",
        ],
    );
}

#[test]
fn an_agent_made_by_a_register_has_id_extension_and_user_part_alike() {
    let mut world = World::default();
    let what = ringfence_core::feed::FeedWhat::Bindings {
        aor: "0815@x.example".to_owned(),
        contacts: vec![contact("c1", None)],
        hold_unconfirmed_until: None,
    };
    world.must(Input::Feed { items: vec![item(1, what)], create: true });
    let agent = world.account.agent(&agent_id("0815")).unwrap();
    assert_eq!(*agent.entry, entry("0815"));
    assert_eq!(agent.entry.extension(), Some("0815"));
    assert!(agent.entry.is_agent && agent.standing.reachable);
}
