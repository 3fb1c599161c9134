//! What registrars post.

use serde_json::{Value, json};

use crate::client::Request;
use crate::server::{DEV_KEY, START_MS, dev, serving};

fn bindings(seq: u64, agent: &str) -> Value {
    let contact = json!({ "id": format!("{agent}-a"), "uri": format!("sip:{agent}@192.0.2.7"), "expires_at": START_MS + 60_000 });
    json!({
        "source": "kam1", "epoch": 7, "seq": seq, "at": START_MS, "kind": "bindings", "cause": "registered",
        "aor": format!("{agent}@acme.test"), "contacts": [contact], "account": "somebody-else", "extra": 1
    })
}

fn events(kind: &str, body: &str) -> Request {
    Request::new("POST", "/v1/registrar/events").key(DEV_KEY).text(kind, body)
}

#[tokio::test]
async fn good_and_bad_events_of_one_body_are_told_apart() {
    serving(dev(), async |server| {
        let body = format!(
            "{}\n\nthis is no json\n{{\"kind\":\"bindings\"}}\n{}\n",
            bindings(1, "1001"),
            bindings(2, "1002")
        );
        let report = server.send(events("application/x-ndjson", &body)).await.json();
        assert_eq!((&report["accepted"], &report["duplicates"]), (&json!(2), &json!(0)));
        assert_eq!(report["snapshot_wanted"], true);
        let refused: Vec<_> =
            report["refused"].as_array().unwrap().iter().map(|one| (&one["index"], &one["code"])).collect();
        assert_eq!(refused, [(&json!(2), &json!("not_json")), (&json!(3), &json!("missing_field"))]);
        assert!(report["refused"][1]["message"].as_str().is_some_and(|message| message.contains("seq")
            || message.contains("source")
            || message.contains("aor")));
        for agent in ["1001", "1002"] {
            let live = server.must(200, "GET", &format!("/v1/agents/{agent}/presence"), Value::Null).await;
            assert_eq!(live["agent"]["live"]["reachable"], true);
        }
    })
    .await;
}

#[tokio::test]
async fn one_object_and_an_array_are_read_too_and_repetitions_are_counted() {
    serving(dev(), async |server| {
        let one = server.send(events("application/json", &bindings(1, "1001").to_string())).await.json();
        assert_eq!(one["accepted"], 1);
        let both = json!([bindings(1, "1001"), bindings(2, "1002")]).to_string();
        let report = server.send(events("application/json", &both)).await.json();
        assert_eq!((&report["accepted"], &report["duplicates"]), (&json!(1), &json!(1)));
        let mut old = bindings(9, "1001");
        old["epoch"] = json!(6);
        let report = server
            .send(events("application/json", &json!([bindings(3, "1003"), old]).to_string()))
            .await
            .json();
        assert_eq!(
            (&report["refused"][0]["index"], &report["refused"][0]["code"]),
            (&json!(1), &json!("old_epoch"))
        );
        server.refused(400, "malformed_json", events("application/json", " ")).await;
    })
    .await;
}

#[tokio::test]
async fn a_snapshot_sweeps_what_it_leaves_out_and_a_bad_one_sweeps_nothing() {
    serving(dev(), async |server| {
        let both = json!([bindings(1, "1001"), bindings(2, "1002")]).to_string();
        server.send(events("application/json", &both)).await;
        let put = |body: &Value| Request::new("PUT", "/v1/registrar/snapshot").key(DEV_KEY).json(body);
        let entry = |agent: &str| json!({ "aor": format!("{agent}@acme.test"), "contacts": bindings(1, agent)["contacts"] });
        let bad = json!({ "source": "kam1", "epoch": 7, "cut": 2, "at": START_MS, "bindings": [entry("1002"), entry("1002")] });
        server.refused(400, "bad_snapshot", put(&bad)).await;
        let good = json!({ "source": "kam1", "epoch": 7, "cut": 2, "at": START_MS, "bindings": [entry("1002")] });
        let reply = server.send(put(&good)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.json()["snapshot_wanted"], false);
        let reachable = async |agent: &str| {
            server.must(200, "GET", &format!("/v1/agents/{agent}/presence"), Value::Null).await["agent"]["live"]["reachable"] == true
        };
        assert!(!reachable("1001").await);
        assert!(reachable("1002").await);
    })
    .await;
}

#[tokio::test]
async fn calls_are_taken_as_feed_events_and_in_the_short_form() {
    serving(dev(), async |server| {
        server.ready("1001", json!([{ "queue_id": "q1" }])).await;
        let bucket = async || {
            server.must(200, "GET", "/v1/agents/1001/presence", Value::Null).await["agent"]["live"]["bucket"].clone()
        };
        let post = async |body: Value| server.must(200, "POST", "/v1/calls/events", body).await;
        let call = |seq: u64, event: &str| {
            json!({ "source": "kam1", "epoch": 1, "seq": seq, "at": START_MS, "kind": "call", "event": event,
                    "call_id": "x1", "aor": "1001@acme.test", "direction": "outbound", "peer": "trunk@carrier.test" })
        };
        assert_eq!(post(call(1, "start")).await["accepted"], 1);
        assert_eq!(bucket().await, "external_call");
        assert_eq!(post(call(2, "end")).await["accepted"], 1);
        assert_eq!(bucket().await, "ready");
        let start = json!({ "event": "start", "call_id": "x2", "agent_id": 1001, "direction": "outbound", "peer": "+15559876543" });
        assert_eq!(post(start).await["accepted"], 1);
        assert_eq!(bucket().await, "external_call");
        assert_eq!(post(json!([{ "event": "end", "call_id": "x2", "agent_id": "1001" }])).await["accepted"], 1);
        assert_eq!(bucket().await, "ready");
        let wrong = post(bindings(3, "1001")).await;
        assert_eq!(wrong["refused"][0]["code"], "not_a_call");
    })
    .await;
}

#[tokio::test]
async fn a_short_call_is_read_strictly() {
    serving(dev(), async |server| {
        let post = |body: Value| Request::new("POST", "/v1/calls/events").key(DEV_KEY).json(&body);
        let typo = json!({ "event": "start", "call_id": "x", "agent": 1001, "direction": "inbound" });
        let typo = server.refused(400, "unknown_field", post(typo)).await;
        assert_eq!(typo["hint"], "did you mean \"agent_id\"?");
        server
            .refused(400, "invalid", post(json!({ "event": "start", "call_id": "x", "agent_id": 1 })))
            .await;
        server.refused(400, "invalid", post(json!({ "event": "end", "call_id": "x" }))).await;
    })
    .await;
}
