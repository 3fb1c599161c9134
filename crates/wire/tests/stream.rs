#![cfg(test)]
//! Stream frames: what is written reads back, borrowed and owned writing agree, parts are legal, and
//! nothing a peer sends panics.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use ringfence_core::row::{AgentRow, QueueRow, View};
use ringfence_core::{AgentId, QueueId, TagId, Time};
use ringfence_wire::frame::{CLIENT_FRAME_BYTES_MAX, SNAPSHOT_PART_BYTES_MAX};
use ringfence_wire::mask;
use ringfence_wire::server::{Delta, Snapshot, SnapshotEnd};
use ringfence_wire::{
    BadView, ClientFrame, DeltaRef, FrameError, Profile, RequestId, Resume, RowRef, ServerFrame, SnapshotRef,
    ViewSpec, json,
};
use rows::{
    any_agent, any_counts, any_id, any_queue, any_text, busy_agent, counts, idle_agent, queue_id, queue_row,
    time,
};

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "support/rows.rs"]
mod rows;

fn any_view() -> impl Strategy<Value = ViewSpec> {
    let view = prop_oneof![
        Just(View::Account),
        any_id().prop_map(|id| View::Queue(QueueId::parse(&id).unwrap())),
        any_id().prop_map(|id| View::Tag(TagId::parse(&id).unwrap())),
        any_id().prop_map(|id| View::Agent(AgentId::parse(&id).unwrap())),
    ];
    let profile = prop_oneof![Just(Profile::Full), Just(Profile::Masked), Just(Profile::Anonymous)];
    (view, profile).prop_map(|(view, profile)| ViewSpec { view, profile })
}

fn parts_of(snapshot: &SnapshotRef<'_>) -> Vec<Snapshot> {
    let parts = json::snapshot_parts(snapshot);
    let read = |bytes: &Vec<u8>| match json::decode_server(bytes) {
        Ok(ServerFrame::Snapshot(part)) => part,
        other => panic!("no snapshot part: {other:?}"),
    };
    let alone = |part: &Snapshot| part.agents.len() + part.queues.len() == 1;
    parts
        .iter()
        .map(|bytes| (bytes.len(), read(bytes)))
        .inspect(|(bytes, part)| assert!(*bytes <= SNAPSHOT_PART_BYTES_MAX || alone(part), "{bytes} bytes"))
        .map(|(_, part)| part)
        .collect()
}

/// Puts the parts together again, and checks that they are parts of one.
fn check_parts(snapshot: &SnapshotRef<'_>) -> usize {
    let parts = parts_of(snapshot);
    let n = parts.len();
    let end = SnapshotEnd {
        tiles: snapshot.counts.tiles(),
        buckets: snapshot.counts,
        count: (snapshot.agents.len() + snapshot.queues.len()) as u64,
        hash: snapshot.hash,
    };
    for (number, part) in parts.iter().enumerate() {
        assert_eq!((part.part as usize, part.epoch, part.seq), (number, snapshot.epoch, snapshot.seq));
        assert_eq!(part.view, snapshot.view.to_string());
        assert_eq!(part.end, (number + 1 == n).then_some(end));
    }
    let masked: Vec<Arc<AgentRow>> =
        snapshot.agents.iter().map(|row| mask::shared(row, snapshot.view.profile)).collect();
    assert_eq!(parts.iter().flat_map(|part| part.agents.clone()).collect::<Vec<_>>(), masked);
    assert_eq!(parts.iter().flat_map(|part| part.queues.clone()).collect::<Vec<_>>(), snapshot.queues);
    n
}

fn shared<T>(rows: Vec<T>) -> Vec<Arc<T>> {
    rows.into_iter().map(Arc::new).collect()
}

proptest! {
    #[test]
    fn a_view_reads_back_from_its_text_and_from_its_object(view in any_view()) {
        prop_assert_eq!(&ViewSpec::parse(&view.to_string()), &Ok(view.clone()));
        let object = serde_json::to_string(&view).unwrap();
        prop_assert_eq!(&serde_json::from_str::<ViewSpec>(&object).unwrap(), &view);
        let text = serde_json::to_string(&view.to_string()).unwrap();
        prop_assert_eq!(&serde_json::from_str::<ViewSpec>(&text).unwrap(), &view);
    }

    #[test]
    fn two_views_never_have_the_same_text(one in any_view(), other in any_view()) {
        prop_assert_eq!(one == other, one.to_string() == other.to_string());
    }

    #[test]
    fn a_resume_token_reads_back(epoch: u64, seq: u64) {
        let token = Resume { epoch, seq };
        prop_assert_eq!(token.to_string().parse(), Ok(token));
    }

    #[test]
    fn any_snapshot_comes_back_from_its_parts(
        view in any_view(),
        (epoch, seq, hash) in any::<(u64, u64, u32)>(),
        agents in vec(any_agent(), 0..60),
        queues in vec(any_queue(), 0..20),
        counts in any_counts(),
    ) {
        let (agents, queues) = (shared(agents), shared(queues));
        check_parts(&SnapshotRef { view: &view, epoch, seq, agents: &agents, queues: &queues, counts, hash });
    }

    #[test]
    fn a_borrowed_delta_is_written_as_the_owned_one(
        view in any_view(),
        (from, to, at, folded) in any::<(u64, u64, u64, u64)>(),
        agents in vec((any_agent(), any::<bool>()), 0..8),
        queues in vec(any_queue(), 0..4),
        removed in vec(any_id(), 0..4),
        counts in any_counts(),
    ) {
        let removed_queues: Vec<QueueId> = removed.iter().map(|id| QueueId::parse(id).unwrap()).collect();
        let removed: Vec<AgentId> = removed.iter().map(|id| AgentId::parse(id).unwrap()).collect();
        let queues = shared(queues);
        let borrowed: Vec<RowRef<'_>> =
            agents.iter().map(|(row, directory_changed)| RowRef { row, directory_changed: *directory_changed }).collect();
        let bytes = json::encode_delta(&DeltaRef {
            view: &view, from, to, at: Time::from_ms(at), agents: &borrowed, queues: &queues,
            removed: &removed, removed_queues: &removed_queues, counts, folded,
        });
        let sent = |(row, directory_changed): &(AgentRow, bool)| {
            let row = mask::row(row, view.profile).into_owned();
            let directory = row.directory.filter(|_| *directory_changed);
            Arc::new(AgentRow { directory, ..row })
        };
        let owned = ServerFrame::Delta(Delta {
            view: view.to_string(), from, to, at: Time::from_ms(at), agents: agents.iter().map(sent).collect(),
            queues, removed, removed_queues, tiles: counts.tiles(), buckets: counts, folded,
        });
        prop_assert_eq!(String::from_utf8(bytes.clone()).unwrap(), String::from_utf8(json::encode(&owned)).unwrap());
        prop_assert_eq!(json::decode_server(&bytes), Ok(owned));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = json::decode_client(&bytes);
        let _ = json::decode_server(&bytes);
    }

    #[test]
    fn no_text_makes_a_view_panic(text in any_text(), id in any_id()) {
        let _ = ViewSpec::parse(&text);
        let _ = ViewSpec::parse(&format!("queue:{id}%{text};{text}"));
        let _ = text.parse::<Resume>();
    }

    #[test]
    fn no_mutation_of_a_golden_frame_makes_a_decoder_panic(
        file in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        with in vec(any::<u8>(), 0..4),
        cut in 0..6_usize,
    ) {
        let golden: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
            .unwrap().map(|entry| entry.unwrap().path()).collect();
        let mut bytes = std::fs::read(&golden[file.index(golden.len())]).unwrap();
        let at = at.index(bytes.len());
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, with);
        let _ = json::decode_client(&bytes);
        let _ = json::decode_server(&bytes);
        let _ = json::decode_server(&bytes[..at]);
    }
}

#[test]
fn a_large_snapshot_fills_its_parts() {
    let agents: Vec<_> = (0..2_000).map(|n| Arc::new(busy_agent(&format!("a{n}"), n))).collect();
    let queues: Vec<_> = (0..300).map(|n| Arc::new(queue_row(&format!("q{n}"), n))).collect();
    let view = ViewSpec::masked(View::Account);
    let snapshot = SnapshotRef {
        view: &view,
        epoch: 1,
        seq: 9,
        agents: &agents,
        queues: &queues,
        counts: counts(),
        hash: 7,
    };
    let parts = check_parts(&snapshot);
    let bytes: usize = json::snapshot_parts(&snapshot).iter().map(Vec::len).sum();
    assert!(parts <= bytes / (SNAPSHOT_PART_BYTES_MAX - 2_048) + 1, "{parts} parts for {bytes} bytes");
    assert!(parts > 10);
}

#[test]
fn an_empty_snapshot_is_one_last_part() {
    let view = ViewSpec::masked(View::Account);
    let (agents, queues): (Vec<Arc<AgentRow>>, Vec<Arc<QueueRow>>) = (Vec::new(), Vec::new());
    let counts = ringfence_core::bucket::BucketCounts::default();
    let snapshot =
        SnapshotRef { view: &view, epoch: 1, seq: 9, agents: &agents, queues: &queues, counts, hash: 0 };
    assert_eq!(check_parts(&snapshot), 1);
}

#[test]
fn a_row_larger_than_a_part_is_a_part_by_itself() {
    let mut large = busy_agent("large", 2);
    let mut directory = large.directory.as_deref().unwrap().clone();
    directory.name = Some("x".repeat(SNAPSHOT_PART_BYTES_MAX));
    large.directory = Some(Arc::new(directory));
    let agents = vec![Arc::new(idle_agent("1", 1)), Arc::new(large), Arc::new(idle_agent("3", 3))];
    let queues = vec![Arc::new(queue_row("q", 1))];
    let view = ViewSpec::masked(View::Account);
    let snapshot = SnapshotRef {
        view: &view,
        epoch: 1,
        seq: 3,
        agents: &agents,
        queues: &queues,
        counts: counts(),
        hash: 0,
    };
    assert_eq!(check_parts(&snapshot), 3);
}

#[test]
fn views_are_refused_with_the_reason() {
    let refused = |text: &str, why: &str| {
        let error = serde_json::from_str::<ViewSpec>(text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    };
    refused("{}", "names what to watch");
    refused(r#"{"profile":"full"}"#, "names what to watch");
    refused(r#"{"queue":"a","tag":"b"}"#, "both `queue` and `tag`");
    refused(r#"{"queue":"a","queue":"b"}"#, "both `queue` and `queue`");
    refused(r#"{"account":false}"#, r#"{"account":true}"#);
    refused(r#"{"account":{"id":1}}"#, r#"{"account":true}"#);
    refused(r#"{"queues":"a"}"#, "knows nothing of `queues`");
    refused(r#"{"router":"r_1"}"#, "needs a router connection");
    refused(r#"{"queue":""}"#, "`queue` of a view: an id is 1 to 64 bytes long");
    refused(r#"{"agent":{"id":7}}"#, "`agent` of a view: invalid type");
    refused(r#"{"account":true,"profile":"clear"}"#, "no profile `clear`");
    refused(r#"{"account":true,"profile":"full","profile":"masked"}"#, "duplicate field `profile`");
    refused("7", "a view: an object like");
    refused(r#""router:r_1""#, "needs a router connection");
    assert_eq!(ViewSpec::parse("account:1"), Err(BadView::Account));
    assert_eq!(ViewSpec::parse("queue:a%3b"), Err(BadView::Escape));
    assert_eq!(ViewSpec::parse(""), Err(BadView::Empty));
}

#[test]
fn canonical_texts() {
    let text = |view: &str| serde_json::from_str::<ViewSpec>(view).unwrap().to_string();
    assert_eq!(text(r#"{"account":true}"#), "account");
    assert_eq!(text(r#"{"queue":"q_1","profile":"masked"}"#), "queue:q_1");
    assert_eq!(text(r#"{"profile":"full","queue":"q_1"}"#), "queue:q_1;full");
    assert_eq!(text(r#"{"agent":1001,"profile":"anonymous"}"#), "agent:1001;anonymous");
    assert_eq!(text(r#"{"tag":"a;full"}"#), "tag:a%3Bfull");
    assert_eq!(text(r#"{"tag":"50%"}"#), "tag:50%25");
}

#[test]
fn client_frames_are_refused_with_the_reason_and_the_request() {
    let refused = |text: &str, code: &str, id: Option<u64>, why: &str| {
        let error = json::decode_client(text.as_bytes()).unwrap_err();
        assert_eq!((error.code(), error.id()), (code, id.map(RequestId::Number).as_ref()), "{text}");
        assert!(error.to_string().contains(why), "{text}: {error}");
    };
    refused("", "not_a_frame", None, "without `{`");
    refused("[1]", "not_a_frame", None, "without `{`");
    refused(r#"["ack","account",5]"#, "not_a_frame", None, "without `{`");
    refused("{", "not_a_frame", None, "EOF");
    refused(r#"{"id":1}"#, "not_a_frame", None, "missing field `type`");
    refused(r#"{"type":"subscrib","id":1}"#, "unknown_type", Some(1), "`subscrib`");
    refused(r#"{"type":"subscribe","id":1}"#, "bad_frame", Some(1), "missing field `view`");
    refused(r#"{"type":"subscribe","id":1,"view":{"x":1}}"#, "bad_view", Some(1), "`x`");
    refused(
        r#"{"type":"subscribe","id":1,"view":"account","sinse":{}}"#,
        "bad_frame",
        Some(1),
        "unknown field `sinse`",
    );
    refused(
        r#"{"type":"subscribe","id":1,"view":"account","class":7}"#,
        "bad_frame",
        Some(1),
        "7 is no rate class; give one of 0, 100, 250, 1000",
    );
    refused(
        r#"{"type":"subscribe","id":1,"view":"account","since":{"epoch":3,"seq":1}}"#,
        "bad_frame",
        Some(1),
        "expected",
    );
    refused(
        r#"{"type":"subscribe","id":1,"view":"account","since":{"epoch":"x","seq":1}}"#,
        "bad_frame",
        Some(1),
        "an epoch is the text the server gave",
    );
    refused(
        r#"{"type":"subscribe","id":-1,"view":"account"}"#,
        "bad_frame",
        None,
        "a request id: a whole number",
    );
    refused(r#"{"type":"ack","view":"account","seq":-1}"#, "bad_frame", None, "-1");
    refused(r#"{"type":"cmd","rid":9}"#, "bad_frame", Some(9), "missing field `op`");
    let large = format!(r#"{{"type":"refresh","token":"{}"}}"#, "x".repeat(CLIENT_FRAME_BYTES_MAX));
    refused(&large, "too_large", None, "the most is 4096");
}

#[test]
fn a_view_is_named_by_object_or_by_text() {
    let object = json::decode_client(br#"{"type":"resync","view":{"queue":"q_1"}}"#);
    let text = json::decode_client(br#"{"type":"resync","view":"queue:q_1"}"#);
    assert_eq!(object, text);
    assert!(
        matches!(text, Ok(ClientFrame::Resync(frame)) if frame.view.view == View::Queue(queue_id("q_1")))
    );
}

#[test]
fn a_token_is_in_no_debug_output() {
    let frame = json::decode_client(br#"{"type":"refresh","token":"secret"}"#).unwrap();
    assert!(!format!("{frame:?}").contains("secret"));
}

#[test]
fn a_client_skips_what_a_newer_server_adds() {
    let field = json::decode_server(br#"{"type":"reset","view":"account","why":"ahead","more":[1]}"#);
    assert!(matches!(field, Ok(ServerFrame::Reset(_))));
    let frame = json::decode_server(br#"{"type":"weather","is":"fine"}"#);
    assert_eq!(frame, Err(FrameError::UnknownType { kind: "weather".to_owned(), id: None }));
}

#[test]
fn a_last_part_without_its_proof_is_refused() {
    let part = r#"{"type":"snapshot","view":"account","epoch":"1","seq":1,"part":0,"last":true,"agents":[],"queues":[]}"#;
    let error = json::decode_server(part.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("the last part of a snapshot has"), "{error}");
}

#[test]
fn times_are_milliseconds() {
    let frame =
        json::decode_server(format!(r#"{{"type":"heartbeat","now":{},"views":[]}}"#, rows::NOW).as_bytes());
    assert!(matches!(frame, Ok(ServerFrame::Heartbeat(beat)) if beat.now == time(0)));
}
