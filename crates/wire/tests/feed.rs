#![cfg(test)]
//! Feed events and snapshots: what an emitter sends is read item by item, and the recorded ones all are.

use ringfence_core::feed::{CallPhase, Event, EventContact, EventKind, Party, Qualify};
use ringfence_core::{AgentId, SourceId, Time};
use ringfence_wire::feed_event::{self, BadBody, BadCode, BadEvent, EVENTS_MAX, TEXT_BYTES_MAX};
use ringfence_wire::feed_snapshot;

/// Recorded from Kamailio 5.6.3 with the configuration of `docs/integrations/kamailio`.
const RECORDED: &[u8] = include_bytes!("../../feeds/tests/samples/kamailio/events.ndjson");
/// The page that shows one event of each sort.
const PAGE: &str = include_str!("../../../docs/integrations/kamailio/README.md");

const GOOD: &str = r#"{"source":"kam1","epoch":5,"seq":1,"at":1000,"kind":"heartbeat","contacts_total":7,"users_total":6,"lost":0}"#;

fn good() -> Event {
    let kind = EventKind::Heartbeat { contacts_total: Some(7), users_total: Some(6), lost: 0 };
    Event { source: SourceId::parse("kam1").unwrap(), epoch: 5, seq: 1, at: Time::from_ms(1000), kind }
}

/// An event of the kind with these fields.
fn with(kind: &str, fields: &str) -> String {
    format!(r#"{{"source":"kam1","epoch":5,"seq":1,"at":1000,"kind":"{kind}"{fields}}}"#)
}

fn one(text: &str) -> Result<EventKind, BadEvent> {
    let mut items = feed_event::parse(text.as_bytes()).unwrap();
    assert_eq!(items.len(), 1, "{text}");
    items.remove(0).map(|event| event.kind)
}

fn refused(text: &str, code: BadCode, why: &str) {
    let error = one(text).unwrap_err();
    assert_eq!(error.code, code, "{text}: {error}");
    assert!(error.message.contains(why), "{text}: {error}");
}

fn contact(id: &str, uri: &str) -> EventContact {
    EventContact {
        id: id.to_owned(),
        uri: uri.to_owned(),
        expires_at: None,
        instance: None,
        received: None,
        user_agent: None,
        qualify: None,
    }
}

#[test]
fn every_recorded_event_is_read() {
    let lines = RECORDED.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let events = feed_event::parse(RECORDED).unwrap();
    assert_eq!(events.len(), lines.count());
    let events: Vec<Event> = events.into_iter().collect::<Result<_, _>>().unwrap();
    for pair in events.windows(2) {
        let follows = pair[1].epoch == pair[0].epoch && pair[1].seq == pair[0].seq + 1;
        assert!(follows || (pair[1].epoch > pair[0].epoch && pair[1].seq == 1), "{pair:?}");
    }
}

#[test]
fn every_event_of_the_page_is_read() {
    let events: Vec<&str> = PAGE.lines().filter(|line| line.starts_with(r#"{"source""#)).collect();
    assert!(events.len() >= 12);
    let read = feed_event::parse(events.join("\n").as_bytes()).unwrap();
    assert_eq!(read.iter().filter(|event| event.is_ok()).count(), events.len(), "{read:?}");
}

#[test]
fn a_recorded_refresh_has_both_contacts() {
    let line = RECORDED.split(|byte| *byte == b'\n').nth(2).unwrap();
    let EventKind::Bindings { aor, contacts } = one(std::str::from_utf8(line).unwrap()).unwrap() else {
        panic!("bindings")
    };
    assert_eq!(aor, "1001@acme.test");
    let second = EventContact {
        expires_at: Some(Time::from_ms(1_795_324_357_000)),
        instance: Some("<urn:uuid:5d0c6a1e-0000-4000-8000-000000000002>".to_owned()),
        user_agent: Some("Zoiper \"soft\" 5.6\\x".to_owned()),
        ..contact("uloc-1-6b027989-3487-2", "sip:1001@127.0.0.1:47358")
    };
    assert_eq!(contacts[1], second);
}

#[test]
fn a_body_is_an_object_an_array_or_lines() {
    let expect = |body: &str, n: usize| {
        assert_eq!(feed_event::parse(body.as_bytes()), Ok(vec![Ok(good()); n]), "{body}");
    };
    expect("", 0);
    expect(" \r\n ", 0);
    expect("[]", 0);
    expect(GOOD, 1);
    expect(&GOOD.replace(',', ",\n  "), 1);
    expect(&format!("\n [{GOOD}, {GOOD}]\n"), 2);
    expect(&format!("{GOOD}\n{GOOD}\r\n\n{GOOD}\n"), 3);
}

#[test]
fn good_lines_between_bad_ones_are_kept() {
    let body = format!("{{\"source\":\n{GOOD}\n\n7\n{GOOD}\n\u{1}\n");
    let read = feed_event::parse(body.as_bytes()).unwrap();
    let summary: Vec<Result<(), (usize, BadCode)>> =
        read.iter().map(|item| item.as_ref().map(|_| ()).map_err(|bad| (bad.index, bad.code))).collect();
    assert_eq!(
        summary,
        [
            Err((0, BadCode::NotJson)),
            Ok(()),
            Err((3, BadCode::NotAnObject)),
            Ok(()),
            Err((5, BadCode::NotJson))
        ]
    );
}

#[test]
fn a_line_that_is_no_utf_8_costs_only_itself() {
    let mut body = with("gone", r#","aor":"1@a","contacts":["x"]"#).into_bytes();
    let x = body.iter().position(|byte| *byte == b'x').unwrap();
    body[x] = 0xff;
    body.push(b'\n');
    body.extend_from_slice(GOOD.as_bytes());
    let read = feed_event::parse(&body).unwrap();
    assert_eq!(read.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn an_array_that_breaks_off_keeps_what_stood_before() {
    let read = feed_event::parse(format!(r#"[{GOOD},{{"seq":1}},{GOOD},{{"sou"#).as_bytes()).unwrap();
    let codes: Vec<_> =
        read.iter().map(|item| item.as_ref().err().map(|bad| (bad.index, bad.code))).collect();
    assert_eq!(codes, [None, Some((1, BadCode::MissingField)), None, Some((3, BadCode::NotJson))]);
}

#[test]
fn a_body_of_too_many_events_is_refused_as_a_whole() {
    let of = |n| (vec![GOOD; n].join("\n"), format!("[{}]", vec![GOOD; n].join(",")));
    let (lines, array) = of(EVENTS_MAX);
    assert_eq!(feed_event::parse(lines.as_bytes()).map(|events| events.len()), Ok(EVENTS_MAX));
    assert_eq!(feed_event::parse(array.as_bytes()).map(|events| events.len()), Ok(EVENTS_MAX));
    let (lines, array) = of(EVENTS_MAX + 1);
    assert_eq!(feed_event::parse(lines.as_bytes()), Err(BadBody::TooManyEvents));
    assert_eq!(feed_event::parse(array.as_bytes()), Err(BadBody::TooManyEvents));
}

#[test]
fn unknown_fields_and_the_account_are_ignored() {
    let text = with("heartbeat", r#","account":{"any":[1]},"more":"x","contacts_total":null"#);
    let empty = EventKind::Heartbeat { contacts_total: None, users_total: None, lost: 0 };
    assert_eq!(one(&text), Ok(empty));
}

#[test]
fn the_envelope_is_checked() {
    refused("[7]", BadCode::NotAnObject, "a number, not an object");
    refused("{}", BadCode::MissingField, "`kind`");
    refused(&GOOD.replace("heartbeat", "hartbeat"), BadCode::BadValue, "none of bindings, gone, qualify");
    refused(&GOOD.replace(r#""kam1""#, r#""""#), BadCode::BadId, "`source`: an id is 1 to 64 bytes long");
    refused(&GOOD.replace(r#""kam1""#, "[]"), BadCode::WrongType, "`source` is an array, not an id");
    refused(&GOOD.replace(r#""seq":1"#, r#""seq":0"#), BadCode::BadValue, "`seq` is 0");
    refused(&GOOD.replace(r#""seq":1"#, r#""seq":-1"#), BadCode::BadValue, "`seq` is negative");
    refused(&GOOD.replace(r#""seq":1,"#, ""), BadCode::MissingField, "`seq`");
    refused(
        &GOOD.replace(r#""at":1000"#, r#""at":1000.5"#),
        BadCode::WrongType,
        "`at` is a number with a fraction",
    );
    refused(&GOOD.replace(r#""epoch":5"#, r#""epoch":"5""#), BadCode::WrongType, "`epoch` is a text");
    refused(
        &GOOD.replace(r#""epoch":5"#, r#""epoch":1e30"#),
        BadCode::WrongType,
        "`epoch` is a number with a",
    );
    refused(&GOOD.replace(r#""lost":0"#, r#""lost":-1"#), BadCode::BadValue, "`lost` is negative");
    assert!(one(&GOOD.replace(r#""kam1""#, "7")).is_ok(), "a number is an id");
}

#[test]
fn contacts_are_checked() {
    let bindings =
        |contact: &str| with("bindings", &format!(r#","aor":"1001@acme.test","contacts":[{contact}]"#));
    let fine = r#"{"id":"c1","uri":"sip:1"}"#;
    assert!(one(&bindings(fine)).is_ok());
    refused(&bindings(&format!("{fine},7")), BadCode::NotAnObject, "contacts[1] is a number");
    refused(&bindings(r#"{"id":"c1"}"#), BadCode::MissingField, "`contacts[0].uri` is missing");
    refused(&bindings(r#"{"id":"","uri":"x"}"#), BadCode::BadValue, "`contacts[0].id` is empty");
    refused(
        &bindings(r#"{"id":7,"uri":"x"}"#),
        BadCode::WrongType,
        "`contacts[0].id` is a number, not a text",
    );
    refused(
        &bindings(r#"{"id":"c","uri":"x","expires_at":-5}"#),
        BadCode::BadValue,
        "`contacts[0].expires_at` is negative",
    );
    refused(
        &bindings(r#"{"id":"c","uri":"x","qualify":"maybe"}"#),
        BadCode::BadValue,
        "`contacts[0].qualify` is none of reachable, unreachable, unknown",
    );
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    refused(
        &bindings(&format!(r#"{{"id":"c","uri":"x","user_agent":"{long}"}}"#)),
        BadCode::TooLong,
        "`contacts[0].user_agent` has 513 bytes; the most is 512",
    );
    refused(
        &bindings(&vec![fine; 65].join(",")),
        BadCode::TooMany,
        "`contacts` has 65 items; the most is 64",
    );
    refused(&with("bindings", r#","aor":"1001@acme.test""#), BadCode::MissingField, "`contacts`");
    refused(
        &with("bindings", r#","aor":"1001","contacts":[]"#),
        BadCode::BadValue,
        "`aor`: an AoR is user@domain",
    );
    let aor = format!(r#","aor":"{}@a","contacts":[]"#, "1".repeat(255));
    refused(&with("bindings", &aor), BadCode::TooLong, "`aor` has 257 bytes");
    let canonical = one(&with("bindings", r#","aor":"sip:1001@ACME.test","contacts":[]"#));
    assert_eq!(canonical, Ok(EventKind::Bindings { aor: "1001@acme.test".to_owned(), contacts: Vec::new() }));
}

#[test]
fn gone_takes_ids_by_themselves_or_in_objects() {
    let gone = |contacts: &str| one(&with("gone", &format!(r#","aor":"1@a","contacts":[{contacts}]"#)));
    let contacts = vec!["c1".to_owned(), "c2".to_owned()];
    assert_eq!(
        gone(r#""c1",{"id":"c2","uri":"x"}"#),
        Ok(EventKind::Gone { aor: "1@a".to_owned(), contacts })
    );
    assert_eq!(gone("").unwrap_err().code, BadCode::BadValue);
    assert_eq!(gone(r#""""#).unwrap_err().message, "`contacts[0]` is empty");
    assert_eq!(gone("7").unwrap_err().code, BadCode::NotAnObject);
    assert_eq!(gone("{}").unwrap_err().message, "`contacts[0].id` is missing");
}

#[test]
fn qualify_is_said_by_the_contact_or_else_by_the_cause() {
    let qualify = |fields: &str| one(&with("qualify", &format!(r#","aor":"1@a",{fields}"#)));
    let is = |qualify| {
        let (aor, contact) = ("1@a".to_owned(), "c".to_owned());
        Ok(EventKind::Qualify { aor, contact, qualify })
    };
    assert_eq!(qualify(r#""cause":"unreachable","contacts":[{"id":"c"}]"#), is(Qualify::Failed));
    assert_eq!(
        qualify(r#""cause":"unknown","contacts":[{"id":"c","qualify":"reachable"}]"#),
        is(Qualify::Ok)
    );
    assert_eq!(qualify(r#""cause":"unknown","contacts":[{"id":"c"}]"#), is(Qualify::Unknown));
    assert_eq!(qualify(r#""contacts":[{"id":"c"}]"#).unwrap_err().message, "`cause` is missing");
    assert_eq!(qualify(r#""cause":"reachable","contacts":[]"#).unwrap_err().code, BadCode::BadValue);
    let two = r#""cause":"reachable","contacts":[{"id":"c"},{"id":"d"}]"#;
    assert_eq!(qualify(two).unwrap_err().code, BadCode::BadValue);
}

#[test]
fn a_call_is_over_when_it_says_so() {
    let phase = |event: &str, state: &str| {
        let fields = format!(
            r#","event":"{event}","state":"{state}","call_id":"c","agent":"1001","direction":"inbound""#
        );
        match one(&with("call", &fields)) {
            Ok(EventKind::Call(call)) => call.phase,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(phase("start", "trying"), CallPhase::Start);
    assert_eq!(phase("state", "confirmed"), CallPhase::State);
    assert_eq!(phase("state", "ended"), CallPhase::End);
    assert_eq!(phase("state", "terminated"), CallPhase::End);
    assert_eq!(phase("end", "ended"), CallPhase::End);
}

#[test]
fn a_call_names_its_party() {
    let party =
        |fields: &str| match one(&with("call", &format!(r#","event":"start","call_id":"c",{fields}"#))) {
            Ok(EventKind::Call(call)) => Ok(call.party),
            Ok(other) => panic!("{other:?}"),
            Err(bad) => Err(bad.message),
        };
    let agent = Party::Agent(AgentId::parse("1001").unwrap());
    assert_eq!(party(r#""direction":"inbound","aor":"1@A""#), Ok(Party::Aor("1@a".to_owned())));
    assert_eq!(party(r#""direction":"inbound","agent":1001,"aor":"1@a""#), Ok(agent));
    assert_eq!(party(r#""direction":"inbound""#), Err("`agent` or `aor` is missing".to_owned()));
    assert_eq!(
        party(r#""direction":"sideways","agent":"1""#),
        Err("`direction` is none of inbound, outbound".to_owned())
    );
}

#[test]
fn a_snapshot_is_taken_whole_or_not_at_all() {
    let snapshot = |bindings: &str| {
        let body =
            format!(r#"{{"source":"kam1","epoch":5,"cut":7,"at":1000,"more":1,"bindings":{bindings}}}"#);
        feed_snapshot::parse(body.as_bytes())
    };
    let read =
        snapshot(r#"[{"aor":"1@A","contacts":[{"id":"c","uri":"u"}]},{"aor":"2@a","contacts":[]}]"#).unwrap();
    assert_eq!((read.epoch, read.cut, read.at), (5, 7, Time::from_ms(1000)));
    assert_eq!(read.bindings, [("1@a".to_owned(), vec![contact("c", "u")]), ("2@a".to_owned(), Vec::new())]);
    let refused = |bindings: &str, code: BadCode, why: &str| {
        let error = snapshot(bindings).unwrap_err();
        assert_eq!(error.code, code, "{bindings}: {error}");
        assert!(error.message.contains(why), "{bindings}: {error}");
    };
    refused("null", BadCode::MissingField, "`bindings` is missing");
    refused("{}", BadCode::WrongType, "`bindings` is not an array");
    refused("[7]", BadCode::NotAnObject, "bindings[0] is a number");
    refused(
        r#"[{"aor":"1@a","contacts":[]},{"aor":"2@a","contacts":[{"id":"c"}]}]"#,
        BadCode::MissingField,
        "`bindings[1].contacts[0].uri` is missing",
    );
    refused(
        r#"[{"aor":"1@a","contacts":[]},{"aor":"1@A","contacts":[]}]"#,
        BadCode::BadValue,
        "`bindings[1].aor` is listed twice",
    );
    refused(r#"[{"aor":"1@a","contacts":[]}"#, BadCode::NotJson, "");
    let error =
        feed_snapshot::parse(br#"{"source":"kam1","epoch":5,"cut":-7,"at":1000,"bindings":[]}"#).unwrap_err();
    assert!(error.to_string().contains("`cut` is negative"), "{error}");
    assert_eq!(feed_snapshot::parse(b"[]").unwrap_err().code, BadCode::NotAnObject);
    assert_eq!(feed_snapshot::parse(b"").unwrap_err().code, BadCode::NotAnObject);
}
