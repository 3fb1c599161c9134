#![cfg(test)]
//! One file per frame, byte for byte as it goes over the wire. `BLESS=1` writes them anew; a difference in a review is a
//! change of the protocol.

use std::path::PathBuf;
use std::sync::Arc;

use ringfence_core::row::View;
use ringfence_wire::client::{Ack, Cmd, Refresh, Resync, Subscribe, Unsubscribe};
use ringfence_wire::server::{
    Bye, Delta, Error, Heartbeat, Hello, How, Limits, Reply, Reset, Snapshot, SnapshotEnd, Subscribed,
    ViewBeat,
};
use ringfence_wire::{
    ClientFrame, CloseCode, DeltaRef, Profile, RateClass, RawJson, RequestId, Resume, RowRef, ServerFrame,
    ViewSpec, json,
};
use rows::{agent_id, busy_agent, counts, idle_agent, queue_id, queue_row, time};

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "support/rows.rs"]
mod rows;

fn check(name: &str, bytes: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.json"));
    let line = [bytes, b"\n"].concat();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &line).unwrap();
    }
    let golden = std::fs::read(&path).unwrap_or_default();
    assert_eq!(
        String::from_utf8_lossy(&line),
        String::from_utf8_lossy(&golden),
        "{name}.json differs; BLESS=1 writes it anew"
    );
}

fn server(name: &str, frame: &ServerFrame) {
    let bytes = json::encode(frame);
    check(name, &bytes);
    assert_eq!(json::decode_server(&bytes).as_ref(), Ok(frame), "{name} reads back");
}

fn client(name: &str, frame: &ClientFrame) {
    let bytes = json::encode_client(frame);
    check(name, &bytes);
    assert_eq!(json::decode_client(&bytes).as_ref(), Ok(frame), "{name} reads back");
}

fn queue_view() -> String {
    ViewSpec { view: View::Queue(queue_id("q_1")), profile: Profile::Full }.to_string()
}

#[test]
fn hello() {
    server(
        "hello",
        &ServerFrame::Hello(Hello {
            session: "s_1".to_owned(),
            node: "n1".to_owned(),
            now: time(0),
            heartbeat_ms: 5_000,
            limits: Limits::default(),
            build: "0.1.0".to_owned(),
        }),
    );
}

#[test]
fn subscribed() {
    let id = RequestId::Number(1);
    let frame = Subscribed { id, view: queue_view(), epoch: 3, seq: 42, how: How::CatchUp };
    server("subscribed", &ServerFrame::Subscribed(frame));
}

#[test]
fn snapshot_of_two_parts() {
    let first = Snapshot {
        view: queue_view(),
        epoch: 3,
        seq: 42,
        part: 0,
        agents: vec![Arc::new(busy_agent("1001", 41))],
        queues: Vec::new(),
        end: None,
    };
    let end = SnapshotEnd { tiles: counts().tiles(), buckets: counts(), count: 3, hash: 0xdead_beef };
    let last = Snapshot {
        part: 1,
        agents: vec![Arc::new(idle_agent("1002", 40))],
        queues: vec![Arc::new(queue_row("q_1", 42))],
        end: Some(end),
        ..first.clone()
    };
    server("snapshot", &ServerFrame::Snapshot(first));
    server("snapshot_last", &ServerFrame::Snapshot(last));
}

#[test]
fn delta() {
    let mut changed = busy_agent("1001", 44);
    changed.directory = None;
    let frame = Delta {
        view: queue_view(),
        from: 42,
        to: 45,
        at: time(100),
        agents: vec![Arc::new(changed)],
        queues: vec![Arc::new(queue_row("q_1", 45))],
        removed: vec![agent_id("1002")],
        removed_queues: vec![queue_id("q_2")],
        tiles: counts().tiles(),
        buckets: counts(),
        folded: 3,
    };
    let empty = Delta {
        agents: Vec::new(),
        queues: Vec::new(),
        removed: Vec::new(),
        removed_queues: Vec::new(),
        ..frame.clone()
    };
    server("delta", &ServerFrame::Delta(frame));
    server("delta_empty", &ServerFrame::Delta(empty));
}

#[test]
fn rows_under_each_profile() {
    let agent = busy_agent("1001", 44);
    for profile in Profile::ALL {
        let view = ViewSpec { view: View::Account, profile };
        let bytes = json::encode_delta(&DeltaRef {
            view: &view,
            from: 43,
            to: 44,
            at: time(100),
            agents: &[RowRef { row: &agent, directory_changed: true }],
            queues: &[],
            removed: &[],
            removed_queues: &[],
            counts: counts(),
            folded: 1,
        });
        check(&format!("delta_{}", profile.as_str()), &bytes);
    }
}

#[test]
fn heartbeat() {
    let beat = |view: &str, seq, hash| ViewBeat { view: view.to_owned(), seq, hash };
    let views = vec![beat("account", 45, Some(0xdead_beef)), beat("agent:1001;full", 44, None)];
    server("heartbeat", &ServerFrame::Heartbeat(Heartbeat { now: time(200), views }));
}

#[test]
fn reset() {
    server("reset", &ServerFrame::Reset(Reset { view: queue_view(), why: "ahead".into() }));
}

#[test]
fn reply() {
    let body = RawJson::of(&serde_json::json!({"offer_id": "ofr_7_1"})).unwrap();
    let rid = RequestId::Text("r-1".to_owned());
    server("reply", &ServerFrame::Reply(Reply { rid, status: 201, body }));
}

#[test]
fn error() {
    let frame = Error {
        id: Some(RequestId::Number(1)),
        code: "bad_view".into(),
        message: "there is no such queue".into(),
        retry: false,
    };
    server("error", &ServerFrame::Error(frame.clone()));
    server("error_of_no_request", &ServerFrame::Error(Error { id: None, retry: true, ..frame }));
}

#[test]
fn bye() {
    server("bye", &ServerFrame::Bye(Bye { code: CloseCode::Draining, retry_ms: [500, 4_500] }));
}

#[test]
fn subscribe() {
    let id = RequestId::Number(1);
    let view = ViewSpec { view: View::Queue(queue_id("q_1")), profile: Profile::Full };
    let first =
        Subscribe { id, view: ViewSpec::masked(View::Account), since: None, class: None, heartbeat_ms: None };
    client("subscribe", &ClientFrame::Subscribe(first.clone()));
    client(
        "subscribe_since",
        &ClientFrame::Subscribe(Subscribe {
            view,
            since: Some(Resume { epoch: 3, seq: 42 }),
            class: Some(RateClass::Ms250),
            heartbeat_ms: Some(10_000),
            ..first
        }),
    );
}

#[test]
fn frames_that_name_a_view() {
    let view = ViewSpec { view: View::Agent(agent_id("1001")), profile: Profile::Anonymous };
    client("unsubscribe", &ClientFrame::Unsubscribe(Unsubscribe { view: view.clone() }));
    client("resync", &ClientFrame::Resync(Resync { view: view.clone() }));
    client("ack", &ClientFrame::Ack(Ack { view, seq: 45 }));
}

#[test]
fn refresh() {
    client("refresh", &ClientFrame::Refresh(Refresh { token: "tk_1".to_owned() }));
}

#[test]
fn cmd() {
    let serde_json::Value::Object(body) = serde_json::json!({"queue_id": "q_1", "call_id": "call_1"}) else {
        unreachable!()
    };
    let rid = RequestId::Number(7);
    client("cmd", &ClientFrame::Cmd(Cmd { rid, op: "reserve".to_owned(), body }));
}
