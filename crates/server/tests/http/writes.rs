//! What live writes are answered with, and when they hold.

use serde_json::{Value, json};

use crate::client::Request;
use crate::server::{DEV_KEY, Running, dev, serving};

fn post(target: &str, body: &Value) -> Request {
    Request::new("POST", target).key(DEV_KEY).json(body)
}

/// The answer of a live write holds the agent's whole row, in this bucket.
fn shows(answer: &Value, agent: &str, bucket: &str) {
    let row = &answer["agent"];
    assert_eq!((&row["agent_id"], &row["live"]["bucket"]), (&json!(agent), &json!(bucket)), "{answer}");
    assert!(row["directory"].is_object() && row["today"].is_object(), "whole: {row}");
    assert!(answer["seq"].is_u64() && answer["changed"].is_boolean(), "{answer}");
}

/// The same where the write changed the row, which then is not older than the write.
fn moved(answer: &Value, agent: &str, bucket: &str) {
    shows(answer, agent, bucket);
    assert!(
        answer["changed"] == true && answer["agent"]["seq"].as_u64() >= answer["seq"].as_u64(),
        "{answer}"
    );
}

async fn every_step_shows_the_agent(server: &Running) {
    let must = async |target: &str, body: Value| {
        let status = if target.ends_with("/reserve") { 201 } else { 200 };
        server.must(status, "POST", target, body).await
    };
    let no_pause = json!({ "reject_cooldown_sec": 0, "busy_cooldown_sec": 0, "failed_cooldown_sec": 0, "wrap_up_sec": 7 });
    server.must(200, "PUT", "/v1/queues/q1", no_pause).await;
    server.ready("1001", json!([{ "queue_id": "q1" }])).await;
    for (call, verb) in ["reject", "busy", "failed", "no-answer", "cancel"].into_iter().enumerate() {
        let grant = must("/v1/queues/q1/reserve", json!({ "call_id": format!("c{call}") })).await;
        moved(&grant, "1001", "ringing");
        let offer = format!("/v1/offers/{}", grant["offer_id"].as_str().unwrap());
        let fence = json!({ "fence": grant["fence"] });
        moved(&must(&format!("{offer}/{verb}"), fence.clone()).await, "1001", "ready");
        let again = must(&format!("{offer}/{verb}"), fence).await;
        assert_eq!(again["changed"], false);
        shows(&again, "1001", "ready");
    }
    let grant =
        must("/v1/agents/1001/reserve", json!({ "call_id": "c", "queue_id": "q1", "offer_id": "o" })).await;
    moved(&grant, "1001", "ringing");
    let retry = json!({ "call_id": "c", "queue_id": "q1", "offer_id": "o" });
    let retried = server.must(200, "POST", "/v1/agents/1001/reserve", retry).await;
    assert_eq!((&retried["changed"], &retried["outcome"]), (&json!(false), &Value::Null));
    shows(&retried, "1001", "ringing");
    let fence = &grant["fence"];
    shows(
        &must("/v1/offers/o/ringing", json!({ "fence": fence, "leg_call_id": "leg" })).await,
        "1001",
        "ringing",
    );
    moved(
        &must("/v1/offers/o/extend", json!({ "fence": fence, "lease_ms": 30_000 })).await,
        "1001",
        "ringing",
    );
    moved(&must("/v1/offers/o/answer", json!({ "fence": fence })).await, "1001", "in_call");
    let ended = must("/v1/calls/c/end", json!({})).await;
    moved(&ended, "1001", "wrap_up");
    assert_eq!(ended["agents"], Value::Null);
    shows(&must("/v1/calls/c/end", json!({ "agent_id": "1001" })).await, "1001", "wrap_up");
    moved(&must("/v1/agents/1001/events", json!({ "event": "end_wrap_up" })).await, "1001", "ready");
    let nobody = must("/v1/calls/never/end", json!({})).await;
    assert_eq!((&nobody["agent"], &nobody["changed"]), (&Value::Null, &json!(true)));
}

#[tokio::test]
async fn every_live_write_shows_the_agent_as_it_left_it() {
    serving(dev(), every_step_shows_the_agent).await;
}

#[tokio::test]
async fn every_live_write_shows_the_agent_also_while_a_roster_is_kept() {
    serving(dev(), async |server| {
        server.must(200, "GET", "/v1/presence", Value::Null).await;
        every_step_shows_the_agent(server).await;
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_conference_shows_everybody_it_ended_for() {
    serving(dev(), async |server| {
        for agent in ["1002", "1001", "1003"] {
            server.ready(agent, json!([{ "queue_id": "q1" }])).await;
            let target = format!("/v1/agents/{agent}/reserve");
            let grant = server.must(201, "POST", &target, json!({ "call_id": "c", "offer_id": agent })).await;
            let fence = json!({ "fence": grant["fence"] });
            server.must(200, "POST", &format!("/v1/offers/{agent}/answer"), fence).await;
        }
        let one = server.must(200, "POST", "/v1/calls/c/end", json!({ "agent_id": "1003" })).await;
        moved(&one, "1003", "ready");
        let rest = server.must(200, "POST", "/v1/calls/c/end", Value::Null).await;
        let ids: Vec<_> = rest["agents"].as_array().unwrap().iter().map(|row| &row["agent_id"]).collect();
        assert_eq!(ids, ["1001", "1002"]);
        assert!(rest["agents"].as_array().unwrap().iter().all(|row| row["seq"] == rest["seq"]));
        assert_eq!(rest["agent"], rest["agents"][0]);
    })
    .await;
}

#[tokio::test]
async fn a_peers_number_is_masked_in_the_answer_of_a_write_too() {
    serving(dev(), async |server| {
        server.ready("1001", json!([])).await;
        let call = json!({ "event": "start", "call_id": "x", "agent_id": "1001", "direction": "inbound", "peer": "+15559876543" });
        server.must(200, "POST", "/v1/calls/events", call).await;
        let key = server.key("default", &["presence:write"]).await;
        let pause = Request::new("POST", "/v1/agents/1001/events").key(&key).json(&json!({ "event": "pause" }));
        let row = server.send(pause).await.json();
        assert_eq!(row["agent"]["live"]["external"][0]["peer"], "…6543");
    })
    .await;
}

#[tokio::test]
async fn a_command_for_a_row_that_changed_is_refused_with_both_seqs() {
    serving(dev(), async |server| {
        server.ready("1001", json!([{ "queue_id": "q1" }])).await;
        let row = async || {
            let read = server.must(200, "GET", "/v1/agents/1001/presence", Value::Null).await;
            read["agent"]["seq"].as_u64().unwrap()
        };
        let stale = async |target: &str, mut body: Value, found: u64| {
            body["expected_seq"] = json!(found + 1);
            let before = server.seq().await;
            let refused = server.refused(412, "seq_mismatch", post(target, &body)).await;
            let seqs = (&refused["field"], &refused["expected_seq"], &refused["found_seq"]);
            assert_eq!(seqs, (&json!("expected_seq"), &json!(found + 1), &json!(found)), "{target}");
            assert_eq!(server.seq().await, before, "{target}");
            body["expected_seq"] = json!(found);
            body
        };
        let queue = server.must(200, "GET", "/v1/queues/q1", Value::Null).await["seq"].as_u64().unwrap();
        stale("/v1/queues/q1/reserve", json!({ "call_id": "c" }), queue).await;
        let ask =
            stale("/v1/agents/1001/reserve", json!({ "call_id": "c", "offer_id": "o" }), row().await).await;
        let grant = server.must(201, "POST", "/v1/agents/1001/reserve", ask.clone()).await;
        // The row has moved on, and the retry is one all the same.
        server.must(200, "POST", "/v1/agents/1001/reserve", ask).await;
        let fence = &grant["fence"];
        for (verb, body) in [
            ("ringing", json!({ "fence": fence, "leg_call_id": "leg" })),
            ("reject", json!({ "fence": fence })),
            ("busy", json!({ "fence": fence })),
            ("no-answer", json!({ "fence": fence })),
            ("failed", json!({ "fence": fence, "code": 480 })),
            ("cancel", json!({ "fence": fence })),
            ("extend", json!({ "fence": fence, "lease_ms": 9_000 })),
        ] {
            stale(&format!("/v1/offers/o/{verb}"), body, row().await).await;
        }
        let answer = stale("/v1/offers/o/answer", json!({ "fence": fence }), row().await).await;
        server.must(200, "POST", "/v1/offers/o/answer", answer).await;
        let end = stale("/v1/calls/c/end", json!({ "agent_id": "1001" }), row().await).await;
        server.must(200, "POST", "/v1/calls/c/end", end).await;
        let nobody = post("/v1/calls/c/end", &json!({ "expected_seq": 1 }));
        assert_eq!(server.refused(400, "invalid", nobody).await["field"], "expected_seq");
    })
    .await;
}
