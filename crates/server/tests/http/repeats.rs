//! `Idempotency-Key`: a write that comes again is done once.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::Request;
use crate::server::{DEV_KEY, dev, problem, serving};

fn keyed(method: &str, target: &str, body: &Value, key: &str) -> Request {
    Request::new(method, target).key(DEV_KEY).header("idempotency-key", key).json(body)
}

#[tokio::test]
async fn a_write_that_comes_again_is_answered_as_before_and_done_once() {
    serving(dev(), async |server| {
        for agent in ["1001", "1002"] {
            server.ready(agent, json!([{ "queue_id": "q1" }])).await;
        }
        let reserve = keyed("POST", "/v1/queues/q1/reserve", &json!({ "call_id": "c1" }), "r1");
        let first = server.send(reserve.clone()).await;
        assert_eq!((first.status, first.header("idempotency-replayed")), (201, None), "{}", first.text());
        let seq = server.seq().await;
        // Without an offer id it would be another reserve, and be refused.
        let again = server.send(reserve).await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")));
        assert_eq!(again.header("content-type"), Some("application/json"));
        assert_eq!(again.body, first.body);
        let make = json!({ "account_id": "acme", "scopes": ["wallboard"] });
        for _ in 0..2 {
            assert_eq!(server.send(keyed("POST", "/v1/keys", &make, "k1")).await.status, 201);
        }
        let keys = server.must(200, "GET", "/v1/keys", Value::Null).await;
        assert_eq!(keys["data"].as_array().map(Vec::len), Some(1));
        let delete = keyed("DELETE", "/v1/queues/q9", &json!({}), "d1");
        server.must(200, "PUT", "/v1/queues/q9", json!({})).await;
        for _ in 0..2 {
            assert_eq!(server.send(delete.clone()).await.status, 200, "the second finds it gone already");
        }
        assert_eq!(server.seq().await, seq + 2);
    })
    .await;
}

#[tokio::test]
async fn a_key_stands_for_one_request_of_one_caller_and_refusals_are_asked_afresh() {
    serving(dev(), async |server| {
        let event = |body: Value, key: &str| keyed("POST", "/v1/agents/1001/events", &body, key);
        let pause = event(json!({ "event": "pause" }), "e1");
        server.refused(409, "not_logged_in", pause.clone()).await;
        assert_eq!(server.send(event(json!({ "event": "login" }), "e0")).await.status, 200);
        assert_eq!(server.send(pause.clone()).await.status, 200, "what was refused is no answer to keep");
        let other = server.send(event(json!({ "event": "logout" }), "e1")).await;
        let reused = problem(&other, 422, "idempotency_key_reused");
        assert!(reused["first_request_id"].as_str().is_some_and(|id| id.starts_with("req_")));
        let elsewhere = keyed("POST", "/v1/agents/1002/events", &json!({ "event": "pause" }), "e1");
        problem(&server.send(elsewhere).await, 422, "idempotency_key_reused");
        let theirs = server.key("default", &["presence:write"]).await;
        let theirs =
            Request::new("POST", "/v1/agents/1001/events").key(&theirs).header("idempotency-key", "e1");
        let theirs = server.send(theirs.json(&json!({ "event": "available" }))).await;
        assert_eq!(
            (theirs.status, theirs.header("idempotency-replayed")),
            (200, None),
            "another caller's key"
        );
        let live = server.must(200, "GET", "/v1/agents/1001/presence", Value::Null).await;
        assert_eq!(live["agent"]["live"]["status"], "available");
        server.refused(400, "invalid", event(json!({ "event": "login" }), &"x".repeat(256))).await;
        server.clock.advance_ms(10 * 60 * 1000);
        let late = server.send(pause).await;
        assert_eq!((late.status, late.header("idempotency-replayed")), (200, None));
        assert_eq!(late.json()["agent"]["live"]["status"], "on_break");
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_hangs_up_finds_its_write_done_once() {
    serving(dev(), async |server| {
        server.ready("1001", json!([{ "queue_id": "q1" }])).await;
        for number in 0..20 {
            let body = json!({ "call_id": format!("c{number}") }).to_string();
            let key = format!("hangs-up-{number}");
            let bytes = format!(
                "POST /v1/queues/q1/reserve HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {DEV_KEY}\r\n\
                 content-type: application/json\r\nidempotency-key: {key}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let mut stream = TcpStream::connect(server.addr).await.unwrap();
            stream.write_all(bytes.as_bytes()).await.unwrap();
            drop(stream);
            let again = keyed("POST", "/v1/queues/q1/reserve", &json!({ "call_id": format!("c{number}") }), &key);
            let grant = loop {
                let reply = server.send(again.clone()).await;
                if reply.status == 201 {
                    break reply.json();
                }
                problem(&reply, 409, "idempotency_key_under_way");
            };
            let target = format!("/v1/offers/{}/cancel", grant["offer_id"].as_str().unwrap());
            let cancelled = server.must(200, "POST", &target, json!({ "fence": grant["fence"] })).await;
            assert_eq!(cancelled["agent"]["live"]["bucket"], "ready");
        }
    })
    .await;
}
