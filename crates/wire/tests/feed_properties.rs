#![cfg(test)]
//! Feed events and snapshots read back, and nothing an emitter sends panics or costs more than itself.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use ringfence_core::call::Direction;
use ringfence_core::feed::{CallEvent, CallPhase, Event, EventContact, EventKind, Party, Qualify, Snapshot};
use ringfence_core::{AgentId, CallId, OfferId, SourceId, Time};
use ringfence_wire::{feed_event, feed_snapshot, feed_write};

/// Recorded from Kamailio 5.6.3 with the configuration of `docs/integrations/kamailio`.
const RECORDED: &[u8] = include_bytes!("../../feeds/tests/samples/kamailio/events.ndjson");

const GOOD: &str = r#"{"source":"kam1","epoch":5,"seq":1,"at":1000,"kind":"heartbeat","contacts_total":7,"users_total":6,"lost":0}"#;

fn good() -> Event {
    let kind = EventKind::Heartbeat { contacts_total: Some(7), users_total: Some(6), lost: 0 };
    Event { source: SourceId::parse("kam1").unwrap(), epoch: 5, seq: 1, at: Time::from_ms(1000), kind }
}

fn any_contact() -> impl Strategy<Value = EventContact> {
    let text = || option::of("\\PC{0,20}");
    let qualify = option::of(select(vec![Qualify::Ok, Qualify::Failed, Qualify::Unknown]));
    ("\\PC{1,20}", "\\PC{1,20}", option::of(any::<u64>()), text(), text(), text(), qualify).prop_map(
        |(id, uri, expires_at, instance, received, user_agent, qualify)| EventContact {
            id,
            uri,
            expires_at: expires_at.map(Time::from_ms),
            instance,
            received,
            user_agent,
            qualify,
        },
    )
}

fn any_aor() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9.+]{1,10}@[a-z0-9.]{1,10}"
}

fn any_kind() -> impl Strategy<Value = EventKind> {
    let qualify = select(vec![Qualify::Ok, Qualify::Failed, Qualify::Unknown]);
    let party = prop_oneof![
        "[a-z0-9]{1,9}".prop_map(|id| Party::Agent(AgentId::parse(&id).unwrap())),
        any_aor().prop_map(Party::Aor),
    ];
    let phase = select(vec![CallPhase::Start, CallPhase::State, CallPhase::End]);
    let direction = select(vec![Direction::Inbound, Direction::Outbound]);
    let call =
        (phase, "[a-z0-9@]{1,9}", party, direction, option::of("\\PC{0,20}"), option::of("[a-z0-9]{1,9}"))
            .prop_map(|(phase, call_id, party, direction, peer, offer_id)| {
                EventKind::Call(CallEvent {
                    phase,
                    call_id: CallId::parse(&call_id).unwrap(),
                    party,
                    direction,
                    peer,
                    offer_id: offer_id.map(|id| OfferId::parse(&id).unwrap()),
                })
            });
    prop_oneof![
        (any_aor(), vec(any_contact(), 0..4))
            .prop_map(|(aor, contacts)| EventKind::Bindings { aor, contacts }),
        (any_aor(), vec("\\PC{1,20}", 1..4)).prop_map(|(aor, contacts)| EventKind::Gone { aor, contacts }),
        (any_aor(), "\\PC{1,20}", qualify).prop_map(|(aor, contact, qualify)| EventKind::Qualify {
            aor,
            contact,
            qualify
        }),
        any::<(Option<u64>, Option<u64>, u64)>().prop_map(|(contacts_total, users_total, lost)| {
            EventKind::Heartbeat { contacts_total, users_total, lost }
        }),
        call,
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    ("[a-z0-9]{1,9}", any::<u64>(), 1_u64.., any::<u64>(), any_kind()).prop_map(
        |(source, epoch, seq, at, kind)| Event {
            source: SourceId::parse(&source).unwrap(),
            epoch,
            seq,
            at: Time::from_ms(at),
            kind,
        },
    )
}

/// A valid text with a piece replaced, cut or doubled.
fn mutated(text: &[u8], at: Index, len: usize, with: Vec<u8>) -> Vec<u8> {
    let mut bytes = text.to_vec();
    let at = at.index(bytes.len());
    bytes.splice(at..(at + len).min(text.len()), with);
    bytes
}

proptest! {
    #[test]
    fn events_read_back(events in vec(any_event(), 0..5)) {
        let body: Vec<u8> = events.iter().flat_map(feed_write::event_line).collect();
        let read: Result<Vec<Event>, _> = feed_event::parse(&body).unwrap().into_iter().collect();
        prop_assert_eq!(read, Ok(events));
    }

    #[test]
    fn a_snapshot_reads_back(
        (epoch, cut, at) in any::<(u64, u64, u64)>(),
        bindings in proptest::collection::btree_map(any_aor(), vec(any_contact(), 0..3), 0..5),
    ) {
        let source = SourceId::parse("kam1").unwrap();
        let bindings = bindings.into_iter().collect();
        let snapshot = Snapshot { source, epoch, cut, at: Time::from_ms(at), bindings };
        prop_assert_eq!(feed_snapshot::parse(&feed_write::snapshot(&snapshot)), Ok(snapshot));
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = feed_event::parse(&bytes);
        let _ = feed_snapshot::parse(&bytes);
    }

    #[test]
    fn no_json_makes_a_parser_panic(text in r#"([\[\]{},:"0-9.e\-]|null|true|"kind"|"gone"|"contacts"|\n){0,60}"#) {
        let _ = feed_event::parse(text.as_bytes());
        let _ = feed_snapshot::parse(text.as_bytes());
    }

    #[test]
    fn a_good_line_survives_any_neighbours(before in "[^\n]{0,40}", after in "[^\n]{0,40}") {
        let body = format!("x{before}\n{GOOD}\n{after}");
        let read = feed_event::parse(body.as_bytes()).unwrap();
        prop_assert!(read.contains(&Ok(good())), "{read:?}");
    }

    #[test]
    fn the_recorded_lines_a_mutation_does_not_touch_are_kept(
        at in any::<Index>(), len in 0..8_usize, with in vec(any::<u8>(), 0..8),
    ) {
        let body = mutated(RECORDED, at, len, with);
        // An array is another form, in which a break ends everything.
        prop_assume!(!body.trim_ascii_start().starts_with(b"["));
        let whole = feed_event::parse(RECORDED).unwrap();
        let read = feed_event::parse(&body).unwrap();
        let kept = read.iter().filter(|item| item.is_ok()).count();
        // The line where it begins and the one where it ends, and those it runs together with.
        prop_assert!(kept + 3 + len >= whole.len(), "{kept} of {}", whole.len());
        let same_as_before = whole.iter().filter(|item| read.contains(item)).count();
        prop_assert!(same_as_before + 3 >= whole.len(), "{same_as_before} of {}", whole.len());
    }

    #[test]
    fn no_mutation_of_a_snapshot_makes_the_parser_panic(
        at in any::<Index>(), len in 0..8_usize, with in vec(any::<u8>(), 0..8),
    ) {
        let text = br#"{"source":"kam1","epoch":5,"cut":7,"at":1000,"bindings":[{"aor":"1@a","contacts":[{"id":"c","uri":"u"}]}]}"#;
        let _ = feed_snapshot::parse(&mutated(text, at, len, with));
    }
}
