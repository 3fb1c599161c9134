#![cfg(test)]
//! Kamailio's answers made into a snapshot: the recorded ones, and every way they can be wrong.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use ringfence_core::Time;
use ringfence_core::feed::{EventContact, EventKind};
use ringfence_feeds::AdapterError;
use ringfence_feeds::kamailio::{LeftOut, Pulled, snapshot};
use ringfence_wire::feed_event;
use serde_json::{Value, json};

const EPOCH: &[u8] = include_bytes!("samples/kamailio/epoch.json");
const DUMP: &[u8] = include_bytes!("samples/kamailio/ul_dump.json");
const EVENTS: &[u8] = include_bytes!("samples/kamailio/events.ndjson");

const NOW: u64 = 1_795_324_307_626;

/// A dump of one table.
fn dump(aors: &Value) -> Vec<u8> {
    json!({"jsonrpc": "2.0", "id": 1, "result": {"Domains": [{"Domain": {"Domain": "location", "AoRs": aors}}]}})
        .to_string()
        .into_bytes()
}

fn aor(name: &str, contacts: &[Value]) -> Value {
    let contacts: Vec<Value> = contacts.iter().map(|contact| json!({ "Contact": contact })).collect();
    json!({"Info": {"AoR": name, "HashID": 1, "Contacts": contacts}})
}

fn contact(ruid: &str, expires: impl Into<Value>) -> Value {
    json!({"Address": "sip:1@127.0.0.1:5060", "Expires": expires.into(), "Ruid": ruid, "Received": "[not set]"})
}

fn check(aors: &Value) -> Pulled {
    snapshot(EPOCH, &dump(aors), EPOCH).unwrap()
}

fn check_refused(before: &[u8], dump: &[u8], after: &[u8], why: &str) -> AdapterError {
    let error = snapshot(before, dump, after).unwrap_err();
    assert!(error.to_string().contains(why), "{error}");
    error
}

fn epoch(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut reply: Value = serde_json::from_slice(EPOCH).unwrap();
    change(&mut reply);
    reply.to_string().into_bytes()
}

#[test]
fn the_recorded_dump_is_what_the_recorded_events_left() {
    let Pulled { snapshot, left_out } = snapshot(EPOCH, DUMP, EPOCH).unwrap();
    assert_eq!((snapshot.source.as_str(), snapshot.epoch, snapshot.cut), ("kam1", 1_795_324_297_454, 47));
    assert_eq!((snapshot.at, left_out), (Time::from_ms(NOW), LeftOut::default()));

    let mut said: BTreeMap<String, Vec<EventContact>> = BTreeMap::new();
    let events = feed_event::parse(EVENTS).unwrap().into_iter().map(Result::unwrap);
    for event in events.take_while(|event| event.seq <= snapshot.cut) {
        match event.kind {
            EventKind::Bindings { aor, contacts } => {
                said.insert(aor, contacts);
            }
            EventKind::Gone { aor, contacts: gone } => {
                said.entry(aor).or_default().retain(|contact| !gone.contains(&contact.id));
            }
            EventKind::Qualify { .. } | EventKind::Heartbeat { .. } | EventKind::Call(_) => {}
        }
    }
    said.retain(|_, contacts| !contacts.is_empty());
    // Silent since its registration: Kamailio has cut its lease short, and tells by event only when it is over.
    let silent = said.get_mut("1007@acme.test").unwrap();
    silent[0].expires_at = Some(Time::from_ms(1_795_324_316_000));
    assert_eq!(snapshot.bindings.into_iter().collect::<BTreeMap<_, _>>(), said);
}

#[test]
fn the_cut_counts_what_was_queued() {
    let before = epoch(|reply| reply["queued"] = json!(5));
    let after = epoch(|reply| reply["seq"] = json!(90));
    assert_eq!(snapshot(&before, DUMP, &after).unwrap().snapshot.cut, 52);
}

#[test]
fn a_restart_between_the_readings_is_told() {
    let after = epoch(|reply| reply["epoch"] = json!(1_795_324_327_902_u64));
    let error = snapshot(EPOCH, DUMP, &after).unwrap_err();
    assert_eq!(error, AdapterError::Restarted { before: 1_795_324_297_454, after: 1_795_324_327_902 });
    let after = epoch(|reply| reply["source"] = json!("kam2"));
    check_refused(EPOCH, DUMP, &after, "\"kam1\", then \"kam2\"");
}

#[test]
fn expiry_is_seconds_or_a_word() {
    let contacts = [
        contact("seconds", 50),
        contact("now", 0),
        contact("past", -3),
        contact("held", "permanent"),
        contact("over", "expired"),
        contact("away", "deleted"),
    ];
    let Pulled { snapshot, left_out } = check(&json!([aor("1@a", &contacts)]));
    let read: Vec<(&str, Option<u64>)> =
        snapshot.bindings[0].1.iter().map(|c| (c.id.as_str(), c.expires_at.map(Time::ms))).collect();
    assert_eq!(
        read,
        [("seconds", Some(1_795_324_357_000)), ("now", Some(1_795_324_307_000)), ("held", None)],
        "the registrar counts whole seconds"
    );
    assert_eq!(left_out, LeftOut { ended: 3, ..LeftOut::default() });
}

#[test]
fn an_expiry_nobody_knows_refuses_the_dump() {
    for unknown in [json!("soon"), json!("50"), json!(1.5), json!(null)] {
        let body = dump(&json!([aor("1@a", &[contact("c", unknown)])]));
        let error = snapshot(EPOCH, &body, EPOCH).unwrap_err();
        assert!(matches!(error, AdapterError::Unexpected { what: "ul.dump", .. }), "{error}");
    }
}

#[test]
fn what_is_not_set_is_absent() {
    let mut bare = contact("c", 50);
    for key in ["Received", "Instance", "User-Agent", "Path"] {
        bare[key] = json!("[not set]");
    }
    let pulled = check(&json!([aor("1@a", &[bare])]));
    let read = &pulled.snapshot.bindings[0].1[0];
    assert_eq!(
        (&read.received, &read.instance, &read.user_agent, &read.qualify),
        (&None, &None, &None, &None)
    );
}

#[test]
fn what_cannot_be_kept_is_left_out_and_counted() {
    let mut no_id = contact("[not set]", 50);
    no_id["Address"] = json!("sip:2");
    let mut long = contact("long", 50);
    long["Address"] = json!("x".repeat(513));
    let many: Vec<Value> = (0..66).map(|n| contact(&format!("c{n}"), 50)).collect();
    let Pulled { snapshot, left_out } = check(&json!([
        aor("1001", &[contact("c", 50)]),
        aor("1@a@b", &[contact("c", 50)]),
        aor("2@a", &[no_id, long, contact("fine", 50)]),
        aor("3@a", &many),
    ]));
    let kept: Vec<(&str, usize)> = snapshot.bindings.iter().map(|(aor, c)| (aor.as_str(), c.len())).collect();
    assert_eq!(kept, [("2@a", 1), ("3@a", 64)]);
    assert_eq!(left_out, LeftOut { aors: 2, contacts: 4, ended: 0 });
}

#[test]
fn an_aor_in_two_tables_is_one() {
    let table = |ruid| json!({"Domain": {"AoRs": [aor("1@A", &[contact(ruid, 50)])]}});
    let body = json!({"result": {"Domains": [table("c1"), table("c2")]}}).to_string();
    let bindings = snapshot(EPOCH, body.as_bytes(), EPOCH).unwrap().snapshot.bindings;
    assert_eq!(bindings.len(), 1);
    assert_eq!((bindings[0].0.as_str(), bindings[0].1.len()), ("1@a", 2));
}

#[test]
fn an_empty_registrar_is_an_empty_snapshot() {
    assert!(check(&json!([])).snapshot.bindings.is_empty());
}

#[test]
fn a_dump_that_lists_fewer_than_it_counts_is_refused() {
    let mut body: Value = serde_json::from_slice(DUMP).unwrap();
    body["result"]["Domains"][0]["Domain"]["AoRs"].as_array_mut().unwrap().pop();
    let error = check_refused(EPOCH, body.to_string().as_bytes(), EPOCH, "6 AoRs are listed of 7");
    assert!(matches!(error, AdapterError::CutShort { .. }), "{error}");
}

#[test]
fn an_rpc_error_is_passed_on() {
    let body = br#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method Not Found"},"id":1}"#;
    let error = check_refused(EPOCH, body, EPOCH, "the error -32601: Method Not Found");
    assert!(matches!(error, AdapterError::Rpc { code: -32601, .. }));
    check_refused(EPOCH, b"{}", EPOCH, "neither `result` nor `error`");
}

#[test]
fn every_truncation_is_told_as_one() {
    for cut in 0..DUMP.trim_ascii_end().len() {
        let error = snapshot(EPOCH, &DUMP[..cut], EPOCH).unwrap_err();
        assert!(
            matches!(error, AdapterError::CutShort { what: "ul.dump", received, .. } if received == cut as u64),
            "{cut}: {error}"
        );
    }
    for cut in 0..EPOCH.trim_ascii_end().len() {
        let error = snapshot(&EPOCH[..cut], DUMP, EPOCH).unwrap_err();
        assert!(matches!(error, AdapterError::CutShort { what: "GET /v1/epoch", .. }), "{cut}: {error}");
    }
}

#[test]
fn an_answer_of_something_else_is_refused() {
    check_refused(b"<html>", DUMP, EPOCH, "GET /v1/epoch: the answer is not what was asked for");
    check_refused(EPOCH, b"[]", EPOCH, "ul.dump: the answer is not what was asked for");
    check_refused(&epoch(|reply| reply["seq"] = json!(-1)), DUMP, EPOCH, "-1");
    check_refused(&epoch(|reply| reply["source"] = json!("")), DUMP, EPOCH, "an id is 1 to 64 bytes");
}

proptest! {
    #[test]
    fn no_mutation_of_the_recorded_answers_panics(
        in_dump: bool, at in any::<Index>(), len in 0..8_usize, with in vec(any::<u8>(), 0..8),
    ) {
        let mutated = |text: &[u8]| {
            let mut bytes = text.to_vec();
            let at = at.index(bytes.len());
            bytes.splice(at..(at + len).min(text.len()), with.clone());
            bytes
        };
        let _ = if in_dump {
            snapshot(EPOCH, &mutated(DUMP), EPOCH)
        } else {
            snapshot(&mutated(EPOCH), DUMP, EPOCH)
        };
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = snapshot(EPOCH, &bytes, EPOCH);
        let _ = snapshot(&bytes, DUMP, &bytes);
    }
}
