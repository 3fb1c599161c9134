//! R1: registrar feeds are idempotent and free of order. Ordering is per contact, by stamp; what is said again, late or
//! out of turn changes nothing that newer words have settled.

#![cfg(test)]

mod common;

use std::collections::BTreeSet;

use common::{World, aor, at, by, contact, entry, oracle, put_agent, source_id, store};
use proptest::prelude::*;
use ringfence_core::agent::Role;
use ringfence_core::contact::{Contact, Lease};
use ringfence_core::feed::{FeedItem, FeedWhat, Qualify, SeenContact, Stamp};
use ringfence_core::{Input, Page};

/// What one source says of one AoR; its place in the list is its seq.
#[derive(Debug, Clone)]
enum Word {
    Bindings(Vec<(u8, Option<u64>)>),
    Gone(u8),
    Qualify(u8, Qualify),
}

type Said = (u8, u8, Word);

fn word() -> impl Strategy<Value = Word> {
    let lease = prop::option::of((1_u64..9).prop_map(|n| n * 1_000_000));
    let qualify = prop::sample::select(vec![Qualify::Unknown, Qualify::Ok, Qualify::Failed]);
    prop_oneof![
        4 => prop::collection::btree_map(0..3_u8, lease, 0..3).prop_map(|set| Word::Bindings(set.into_iter().collect())),
        2 => (0..3_u8).prop_map(Word::Gone),
        2 => (0..3_u8, qualify).prop_map(|(n, qualify)| Word::Qualify(n, qualify)),
    ]
}

/// Two sources on two AoRs of two agents.
fn history() -> impl Strategy<Value = Vec<Said>> {
    prop::collection::vec((0..2_u8, 0..2_u8, word()), 1..14)
}

/// The history as it arrives: everything at least once, some of it twice, in any order.
fn with_arrivals() -> impl Strategy<Value = (Vec<Said>, Vec<usize>)> {
    history().prop_flat_map(|history| {
        let len = history.len();
        let arrivals = prop::collection::vec(0..len, 0..len).prop_flat_map(move |again| {
            let all: Vec<usize> = (0..len).chain(again).collect();
            Just(all).prop_shuffle()
        });
        (Just(history), arrivals)
    })
}

fn item(said: &Said, seq: usize) -> FeedItem {
    let (source, agent, word) = said;
    let name = aor(&format!("{}", 100 + agent));
    let what = match word {
        Word::Bindings(contacts) => {
            let contacts = contacts.iter().map(|(n, lease)| seen(*n, *lease, seq)).collect();
            FeedWhat::Bindings { aor: name, contacts, hold_unconfirmed_until: None }
        }
        Word::Gone(n) => FeedWhat::Gone { aor: name, contacts: vec![format!("c{n}")] },
        Word::Qualify(n, qualify) => {
            FeedWhat::Qualify { aor: name, contact: format!("c{n}"), qualify: *qualify }
        }
    };
    let stamp = Stamp { epoch: 1, seq: seq as u64 + 1 };
    FeedItem { source: source_id(&format!("kam{source}")), stamp, what }
}

fn seen(n: u8, lease: Option<u64>, seq: usize) -> SeenContact {
    let uri = format!("sip:c{n}@192.0.2.{seq}");
    SeenContact { uri, ..contact(&format!("c{n}"), lease.map(at)) }
}

fn world() -> World {
    let mut world = World::default();
    world.must(put_agent("100", entry("100")));
    world.must(put_agent("101", entry("101")));
    world
}

fn deliver(world: &mut World, items: impl IntoIterator<Item = FeedItem>) {
    for item in items {
        world.step_by(Input::Feed { items: vec![item], create: false }, &by(Role::Registrar));
        oracle::check(&world.account, world.now);
    }
}

/// A snapshot: each source's set of each AoR, as in the end it is, with what OPTIONS pings say.
fn full_sets(world: &World, seq: usize) -> Vec<FeedItem> {
    let mut items = Vec::new();
    for source in 0..2_u8 {
        for agent in 0..2_u8 {
            let name = aor(&format!("{}", 100 + agent));
            let own = contacts(world)
                .into_iter()
                .filter(|(of, contact)| *of == name && contact.source == source_id(&format!("kam{source}")));
            let said = own.map(|(_, contact)| SeenContact {
                id: contact.id.clone(),
                uri: contact.uri.clone(),
                lease: lease_end(&contact),
                instance: None,
                user_agent: None,
                qualify: Some(contact.qualify),
            });
            let what = FeedWhat::Bindings {
                aor: name.clone(),
                contacts: said.collect(),
                hold_unconfirmed_until: None,
            };
            let stamp = Stamp { epoch: 1, seq: seq as u64 };
            items.push(FeedItem { source: source_id(&format!("kam{source}")), stamp, what });
        }
    }
    items
}

fn lease_end(contact: &Contact) -> Option<ringfence_core::Time> {
    match contact.lease() {
        Lease::Until(end) => Some(end),
        Lease::None | Lease::Held => None,
    }
}

fn contacts(world: &World) -> Vec<(String, Contact)> {
    let mut all = Vec::new();
    for (_, page) in world.account.image().pages {
        match page {
            Some(Page::Aors(aors)) => {
                for (_, aor) in aors {
                    all.extend(aor.contacts.into_iter().map(|contact| (aor.name.clone(), contact)));
                }
            }
            Some(Page::Agents(_) | Page::Queues(_) | Page::Offers(_) | Page::Calls(_)) | None => {}
        }
    }
    all
}

/// Who is bound where, until when: what the order must not show in.
fn bound(world: &World) -> BTreeSet<(String, String, String, String, Option<u64>)> {
    let row = |(aor, contact): (String, Contact)| {
        let end = lease_end(&contact).map(|end| end.ms());
        (aor, contact.source.to_string(), contact.id, contact.uri, end)
    };
    contacts(world).into_iter().map(row).collect()
}

fn qualified(world: &World) -> BTreeSet<(String, String, String, String)> {
    let row = |(aor, contact): (String, Contact)| {
        (aor, contact.source.to_string(), contact.id, format!("{:?}", contact.qualify))
    };
    contacts(world).into_iter().map(row).collect()
}

fn in_order(history: &[Said]) -> World {
    let mut world = world();
    deliver(&mut world, history.iter().enumerate().map(|(seq, said)| item(said, seq)));
    world
}

proptest! {
    #![proptest_config(common::cases(512))]

    #[test]
    fn r1_any_order_with_any_repeats_binds_the_same_contacts((history, arrivals) in with_arrivals()) {
        let mut expected = in_order(&history);
        let mut world = world();
        deliver(&mut world, arrivals.iter().map(|n| item(&history[*n], *n)));
        prop_assert_eq!(bound(&world), bound(&expected));
        // Whether OPTIONS pings reached a contact before it was heard of cannot be known; a snapshot says it again.
        let full = full_sets(&expected, history.len() + 1);
        deliver(&mut expected, full.clone());
        deliver(&mut world, full);
        prop_assert_eq!(bound(&world), bound(&expected));
        prop_assert_eq!(qualified(&world), qualified(&expected));
        store::check_replay(&world);
    }

    #[test]
    fn r1_replaying_any_suffix_any_number_of_times_and_then_a_snapshot_gives_the_same_state(
        history in history(),
        suffixes in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
    ) {
        let mut expected = in_order(&history);
        let mut world = in_order(&history);
        let before = world.account.seq();
        for from in suffixes {
            let from = from.index(history.len());
            deliver(&mut world, (from..history.len()).map(|n| item(&history[n], n)));
        }
        prop_assert_eq!(world.account.seq(), before, "what is known already writes no record");
        let full = full_sets(&expected, history.len() + 1);
        deliver(&mut expected, full.clone());
        deliver(&mut world, full);
        store::assert_same_image(&world.account, &expected.account, "the same state to the last byte");
    }

    /// Nothing of one source or one AoR depends on what another says.
    #[test]
    fn r1_sources_and_aors_do_not_disturb_one_another(history in history()) {
        let whole = in_order(&history);
        for source in 0..2_u8 {
            for agent in 0..2_u8 {
                let mut alone = world();
                let own = history.iter().enumerate().filter(|(_, said)| said.0 == source && said.1 == agent);
                deliver(&mut alone, own.map(|(seq, said)| item(said, seq)));
                let name = (aor(&format!("{}", 100 + agent)), format!("kam{source}"));
                let of = |world: &World| -> BTreeSet<_> {
                    bound(world).into_iter().filter(|row| (row.0.clone(), row.1.clone()) == name).collect()
                };
                prop_assert_eq!(of(&whole), of(&alone));
            }
        }
    }
}

#[test]
fn a_removal_that_overtakes_its_registration_still_removes() {
    for removal in [Word::Gone(0), Word::Bindings(vec![])] {
        let history = [(0, 0, Word::Bindings(vec![(0, None)])), (0, 0, removal)];
        let mut world = world();
        deliver(&mut world, [1, 0, 1].map(|n| item(&history[n], n)));
        assert!(bound(&world).is_empty(), "{:?}", bound(&world));
    }
}

#[test]
fn an_older_set_does_not_bring_back_what_a_newer_one_left_out_of_an_aor_nobody_has() {
    let set = |seq: u64, contacts: Vec<SeenContact>| FeedItem {
        source: source_id("kam0"),
        stamp: Stamp { epoch: 1, seq },
        what: FeedWhat::Bindings { aor: aor("999"), contacts, hold_unconfirmed_until: None },
    };
    let mut world = world();
    deliver(
        &mut world,
        [set(1, vec![contact("c1", None)]), set(2, vec![]), set(1, vec![contact("c1", None)])],
    );
    assert!(bound(&world).is_empty());
}
