//! The roster, its filters and pages, and what of it is hidden.

use serde_json::{Value, json};

use crate::client::Request;
use crate::server::{dev, serving};

#[tokio::test]
async fn the_roster_has_everybody_and_both_levels_of_counts() {
    serving(dev(), async |server| {
        server.ready("1001", json!([{ "queueId": "q1", "level": 2 }])).await;
        server
            .must(200, "PUT", "/v1/agents/1002", json!({ "name": "Ana", "tag_ids": ["vip"], "active": 1 }))
            .await;
        server.must(200, "POST", "/v1/agents/1003/events", json!({ "event": "login" })).await;
        let roster = server.must(200, "GET", "/v1/presence", Value::Null).await;
        assert!(roster["epoch"].as_str().is_some_and(|epoch| epoch.parse::<u64>().is_ok()));
        assert_eq!(
            (&roster["buckets"]["ready"], &roster["buckets"]["offline"], &roster["buckets"]["unreachable"]),
            (&json!(1), &json!(1), &json!(1))
        );
        assert_eq!((&roster["tiles"]["available"], &roster["tiles"]["offline"]), (&json!(1), &json!(2)));
        assert_eq!(ids(&roster), ["1001", "1002", "1003"]);
        assert_eq!(roster["queues"][0]["queue_id"], "q1");
        assert_eq!(roster["agents"][0]["directory"]["queues"][0]["tier"], 2);
        let filtered = async |query: &str| {
            ids(&server.must(200, "GET", &format!("/v1/presence?{query}"), Value::Null).await)
        };
        assert_eq!(filtered("bucket=ready,offline").await, ["1001", "1002"]);
        assert_eq!(filtered("tile=offline").await, ["1002", "1003"]);
        assert_eq!(filtered("status=available").await, ["1001", "1003"]);
        assert_eq!(filtered("queue_id=q1").await, ["1001"]);
        assert_eq!(filtered("tag_id=vip&bucket=ready&bucket=offline").await, ["1002"]);
    })
    .await;
}

fn ids(roster: &Value) -> Vec<String> {
    let agents = roster["agents"].as_array().unwrap().iter();
    agents.map(|row| row["agent_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_follow_one_another_without_gap_or_overlap() {
    serving(dev(), async |server| {
        for agent in 1..=7 {
            server.must(200, "PUT", &format!("/v1/agents/{agent}"), json!({})).await;
        }
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let target = format!("/v1/presence?limit=3&count=exact{cursor}");
            let page = server.must(200, "GET", &target, Value::Null).await;
            assert_eq!(page["total"], 7);
            seen.extend(ids(&page));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, ["1", "2", "3", "4", "5", "6", "7"]);
    })
    .await;
}

#[tokio::test]
async fn peers_are_masked_without_the_scope_for_numbers() {
    serving(dev(), async |server| {
        server.ready("1001", json!([])).await;
        let call = json!({ "event": "start", "call_id": "x", "agent_id": "1001", "direction": "inbound", "peer": "+15559876543" });
        server.must(200, "POST", "/v1/calls/events", call).await;
        let peer = async |key: &str| {
            let reply = server.send(Request::new("GET", "/v1/agents/1001/presence").key(key)).await.json();
            reply["agent"]["live"]["external"][0]["peer"].as_str().unwrap().to_owned()
        };
        let masked = server.key("default", &["presence:read"]).await;
        let full = server.key("default", &["presence:read", "numbers"]).await;
        assert_eq!(peer(&masked).await, "…6543");
        assert_eq!(peer(&full).await, "+15559876543");
        let roster = server.send(Request::new("GET", "/v1/presence").key(&masked)).await.text();
        assert!(!roster.contains("5559876543"));
    })
    .await;
}

#[tokio::test]
async fn an_agent_is_put_read_and_removed() {
    serving(dev(), async |server| {
        let entry = json!({
            "id": "7", "name": "Ana", "kind": "ai", "capacity": 3, "ring_method": "linear", "voice": 0,
            "addresses": [{ "type": "tel", "target": "+15550001111" }, { "type": "extension", "target": "700" }]
        });
        let put = server.must(200, "PUT", "/v1/agents/7", entry.clone()).await;
        assert_eq!((&put["changed"], &put["agent"]["directory"]["capacity"]), (&json!(true), &json!(3)));
        assert_eq!(server.must(200, "PUT", "/v1/agents/7", entry).await["changed"], false);
        let read = server.must(200, "GET", "/v1/agents/7", Value::Null).await;
        assert_eq!((&read["id"], &read["extension"], &read["kind"]), (&json!("7"), &json!("700"), &json!("ai")));
        let taken = Request::new("PUT", "/v1/agents/8").key(crate::server::DEV_KEY).json(&json!({ "extension": "700" }));
        let taken = server.refused(409, "address_taken", taken).await;
        assert_eq!(taken["agent_id"], "7");
        server.must(200, "DELETE", "/v1/agents/7", Value::Null).await;
        assert_eq!(server.get("/v1/agents/7").await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn queues_reasons_and_settings_are_put_and_removed() {
    serving(dev(), async |server| {
        server.must(200, "PUT", "/v1/queues/q1", json!({ "name": "Sales", "wrap_up_sec": null })).await;
        assert_eq!(server.must(200, "GET", "/v1/queues/q1", Value::Null).await["id"], "q1");
        let bad = Request::new("PUT", "/v1/queues/q1").key(crate::server::DEV_KEY);
        let range =
            server.refused(400, "invalid", bad.clone().json(&json!({ "agent_ring_timeout_sec": 0 }))).await;
        assert_eq!(range["field"], "agent_ring_timeout_sec");
        let typo = server.refused(400, "unknown_field", bad.json(&json!({ "wrapup_sec": 5 }))).await;
        assert_eq!(typo["hint"], "did you mean \"wrap_up_sec\"?");
        server
            .must(200, "PUT", "/v1/pause-reasons/r1", json!({ "name": "Lunch", "allow_inbound": true }))
            .await;
        server.must(200, "PUT", "/v1/settings", json!({ "paused_inbound": "none" })).await;
        server.must(200, "DELETE", "/v1/pause-reasons/r1", Value::Null).await;
        server.must(200, "DELETE", "/v1/queues/q1", Value::Null).await;
        assert_eq!(server.get("/v1/queues/q1").await.status, 404);
    })
    .await;
}
