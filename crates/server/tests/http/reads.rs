//! What was written is read back, in lists too, and not before it is there.

use std::pin::pin;

use ringfence_server::{Limits, ServerConfig};
use serde_json::{Value, json};

use crate::client::Request;
use crate::server::{DEV_KEY, Running, START_MS, dev, serving};

fn get(target: &str) -> Request {
    Request::new("GET", target).key(DEV_KEY)
}

/// What of `document` has the names of `written`.
fn of(document: &Value, written: &Value) -> Value {
    let names = written.as_object().unwrap().keys();
    names.map(|name| (name.clone(), document[name].clone())).collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test]
async fn an_agent_is_read_as_it_was_written_and_may_be_written_as_it_was_read() {
    serving(dev(), async |server| {
        let entry = json!({
            "id": "7", "name": "Ana", "kind": "ai", "capacity": 3, "ring_method": "linear", "voice": true,
            "is_agent": true, "active": false, "tag_ids": ["vip"], "sip_endpoint": true, "extension": "700",
            "addresses": [
                { "type": "extension", "target": "700", "ring": false },
                { "type": "tel", "target": "+15550001111", "ring": true },
                { "type": "sip", "target": "ana@acme.test", "ring": true },
            ],
        });
        let put = server.must(200, "PUT", "/v1/agents/7", entry.clone()).await;
        let event = json!({ "event": "login", "queues": [{ "queue_id": "q1", "tier": 2 }] });
        server.must(200, "POST", "/v1/agents/7/events", event).await;
        let read = server.must(200, "GET", "/v1/agents/7", Value::Null).await;
        assert_eq!(of(&read, &entry), entry);
        assert_eq!(
            read["queues"],
            json!([{ "queue_id": "q1", "tier": 2, "position": 0, "mode": "dynamic" }])
        );
        let row = server.must(200, "GET", "/v1/agents/7/presence", Value::Null).await["agent"].clone();
        assert_eq!((&read["live"], &read["today"], &read["seq"]), (&row["live"], &row["today"], &row["seq"]));
        assert!(row["seq"].as_u64() > put["agent"]["seq"].as_u64());
        let again = server.must(200, "PUT", "/v1/agents/7", of(&read, &entry)).await;
        assert_eq!(again["changed"], false);
        let short = json!({ "name": "Ben", "extension": "701" });
        server.must(200, "PUT", "/v1/agents/8", short.clone()).await;
        let read = server.must(200, "GET", "/v1/agents/8", Value::Null).await;
        assert_eq!(read["addresses"], json!([{ "type": "extension", "target": "701", "ring": true }]));
        assert_eq!(server.must(200, "PUT", "/v1/agents/8", short).await["changed"], false);
    })
    .await;
}

#[tokio::test]
async fn queues_reasons_and_settings_are_read_as_they_were_written() {
    serving(dev(), async |server| {
        let queue = json!({
            "id": "q1", "name": "Sales", "strategy": "longest_idle", "membership_mode": "supervised",
            "agent_ring_timeout_sec": 21, "wrap_up_sec": null, "wrap_up_max_sec": 60, "max_no_answer": 4,
            "reject_cooldown_sec": 1, "busy_cooldown_sec": 2, "failed_cooldown_sec": 3,
            "no_answer_cooldown_sec": 4, "tier_wait_sec": 5,
            "required_tags": { "match": "all", "tags": ["vip"] },
        });
        server.must(200, "PUT", "/v1/queues/q1", queue.clone()).await;
        server.ready("1001", json!([{ "queue_id": "q1" }])).await;
        let read = server.must(200, "GET", "/v1/queues/q1", Value::Null).await;
        assert_eq!(of(&read, &queue), queue);
        assert_eq!((&read["members"], &read["ready"], &read["waiting"]), (&json!(1), &json!(1), &json!(0)));
        assert_eq!(server.must(200, "PUT", "/v1/queues/q1", of(&read, &queue)).await["changed"], false);
        let other = Request::new("PUT", "/v1/queues/q1").key(DEV_KEY).json(&json!({ "id": "q2" }));
        assert_eq!(server.refused(400, "invalid", other).await["field"], "id");
        let reason = json!({
            "id": "r1", "name": "Lunch", "allow_inbound": true, "allow_outbound": false, "max_sec": 1800,
            "productive": true, "supervisor_only": true,
        });
        server.must(200, "PUT", "/v1/pause-reasons/r1", reason.clone()).await;
        assert_eq!(server.must(200, "GET", "/v1/pause-reasons/r1", Value::Null).await, reason);
        let settings = json!({ "paused_inbound": "none", "unreachable_grace_ms": 1_500 });
        server.must(200, "PUT", "/v1/settings", settings.clone()).await;
        assert_eq!(server.must(200, "GET", "/v1/settings", Value::Null).await, settings);
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_cannot_be_read_or_removed() {
    serving(dev(), async |server| {
        for (path, code) in [
            ("/v1/agents/7", "unknown_agent"),
            ("/v1/queues/q7", "unknown_queue"),
            ("/v1/pause-reasons/r7", "unknown_reason"),
        ] {
            for method in ["GET", "DELETE"] {
                server.refused(404, code, Request::new(method, path).key(DEV_KEY)).await;
            }
        }
        // In a body it is the body that is at fault.
        server.must(200, "POST", "/v1/agents/1001/events", json!({ "event": "login" })).await;
        let pause = Request::new("POST", "/v1/agents/1001/events").key(DEV_KEY);
        let pause = pause.json(&json!({ "event": "pause", "reason_id": "r7" }));
        assert_eq!(server.refused(400, "unknown_reason", pause).await["field"], "reason_id");
    })
    .await;
}

/// The ids of a list, page after page.
async fn all_pages(server: &Running, list: &str, limit: usize) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.must(200, "GET", &format!("{list}&limit={limit}{cursor}"), Value::Null).await;
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= limit);
        seen.extend(data.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
    }
}

#[tokio::test]
async fn lists_come_in_pages_without_gap_or_overlap() {
    serving(dev(), async |server| {
        let ids: Vec<String> = (1..=7).map(|n| format!("x{n}")).collect();
        for id in &ids {
            server.must(200, "PUT", &format!("/v1/agents/{id}"), json!({ "name": id })).await;
            server.must(200, "PUT", &format!("/v1/queues/{id}"), json!({ "name": id })).await;
            server.must(200, "PUT", &format!("/v1/pause-reasons/{id}"), json!({ "name": id })).await;
        }
        for list in ["/v1/agents", "/v1/queues", "/v1/pause-reasons"] {
            for limit in [1, 3, 7, 500] {
                assert_eq!(all_pages(server, &format!("{list}?count=exact"), limit).await, ids, "{list}");
            }
            let page = server.must(200, "GET", &format!("{list}?limit=2&count=exact"), Value::Null).await;
            assert_eq!((&page["total"], &page["data"][1]["name"]), (&json!(7), &json!("x2")), "{list}");
            server.refused(400, "invalid", get(&format!("{list}?limit=501"))).await;
            server.refused(400, "unknown_parameter", get(&format!("{list}?page=2"))).await;
        }
        for _ in 0..3 {
            server.key("acme", &["wallboard"]).await;
        }
        assert_eq!(all_pages(server, "/v1/keys?count=exact", 2).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn agents_are_listed_by_what_they_are_and_do() {
    serving(dev(), async |server| {
        server.ready("1001", json!([{ "queue_id": "q1" }])).await;
        server.must(200, "PUT", "/v1/agents/1002", json!({ "tag_ids": ["vip"] })).await;
        let listed =
            async |query: &str| server.must(200, "GET", &format!("/v1/agents?{query}"), Value::Null).await;
        let ids = |list: &Value| -> Vec<String> {
            list["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["id"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(ids(&listed("bucket=ready").await), ["1001"]);
        assert_eq!(ids(&listed("tag_id=vip").await), ["1002"]);
        assert_eq!(ids(&listed("queue_id=q1&status=available").await), ["1001"]);
        let plain = listed("").await;
        assert_eq!((ids(&plain).len(), &plain["data"][0]["live"]), (2, &Value::Null));
        assert_eq!(listed("include=live").await["data"][0]["live"]["bucket"], "ready");
        server.refused(400, "invalid", get("/v1/agents?include=everything")).await;
    })
    .await;
}

const READS: [&str; 10] = [
    "/v1/presence?",
    "/v1/agents?",
    "/v1/queues?",
    "/v1/pause-reasons?",
    "/v1/settings?",
    "/v1/agents/1001?",
    "/v1/agents/1001/presence?",
    "/v1/agents/1001/eligibility?",
    "/v1/queues/q1?",
    "/v1/offers/o1?",
];

async fn with_an_offer(server: &Running) {
    server.ready("1001", json!([{ "queue_id": "q1" }])).await;
    let ask = json!({ "call_id": "c1", "offer_id": "o1" });
    server.must(201, "POST", "/v1/queues/q1/reserve", ask).await;
}

#[tokio::test]
async fn a_read_waits_for_the_write_it_names() {
    let limits = Limits { read_wait_ms: 60_000, ..Limits::default() };
    serving(ServerConfig { limits, ..dev() }, async |server| {
        with_an_offer(server).await;
        for read in READS {
            let seq = server.seq().await;
            server.must(200, "GET", &format!("{read}after_seq={seq}"), Value::Null).await;
            let target = format!("{read}after_seq={}", seq + 1);
            let mut read = pin!(server.get(&target));
            tokio::select! {
                biased;
                early = &mut read => panic!("{target} was answered before the write: {}", early.text()),
                _ = server.get("/v1/whoami") => {}
            }
            server.must(200, "PUT", "/v1/queues/other", json!({ "name": seq.to_string() })).await;
            let reply = read.await;
            assert_eq!(reply.status, 200, "{target}: {}", reply.text());
        }
    })
    .await;
}

#[tokio::test]
async fn a_read_after_what_nobody_wrote_says_how_far_it_came() {
    let limits = Limits { read_wait_ms: 10, ..Limits::default() };
    serving(ServerConfig { limits, ..dev() }, async |server| {
        with_an_offer(server).await;
        let roster = server.must(200, "GET", "/v1/presence", Value::Null).await;
        let seq = roster["seq"].as_u64().unwrap();
        for read in READS {
            let refused =
                server.refused(412, "seq_not_reached", get(&format!("{read}after_seq={}", seq + 1))).await;
            assert_eq!(
                (&refused["field"], &refused["after_seq"], &refused["found_seq"], &refused["epoch"]),
                (&json!("after_seq"), &json!(seq + 1), &json!(seq), &roster["epoch"]),
                "{read}"
            );
        }
        server.refused(400, "invalid", get("/v1/presence?after_seq=soon")).await;
        assert_eq!(roster["agents"][0]["live"]["offers"][0]["expires_at"], START_MS + 20_000);
    })
    .await;
}
