//! Callers who wait: a place, an offer, and a way out.

use serde_json::{Value, json};

use crate::client::Request;
use crate::server::{DEV_KEY, Running, START_MS, dev, serving};

fn post(target: &str, body: &Value) -> Request {
    Request::new("POST", target).key(DEV_KEY).json(body)
}

/// One agent in queue "q1" without wrap-up, who talks in call "c0".
async fn busy(server: &Running) {
    server.must(200, "PUT", "/v1/queues/q1", json!({ "wrap_up_sec": 0, "max_queued": 2 })).await;
    server.ready("1001", json!([{ "queue_id": "q1", "tier": 1 }])).await;
    let ask = json!({ "call_id": "c0", "offer_id": "o0" });
    let grant = server.must(201, "POST", "/v1/queues/q1/reserve", ask).await;
    server.must(200, "POST", "/v1/offers/o0/answer", json!({ "fence": grant["fence"] })).await;
}

#[tokio::test]
async fn a_caller_waits_is_offered_who_is_free_and_leaves_the_line_with_the_answer() {
    serving(dev(), async |server| {
        busy(server).await;
        let ask = json!({ "call_id": "c1", "caller": "+441632960123", "router_id": "r1" });
        let place = server.must(202, "POST", "/v1/queues/q1/calls", ask.clone()).await;
        assert_eq!(
            place,
            json!({
                "call_id": "c1", "queue_id": "q1", "place": 1, "waiting": 1, "estimate_ms": null,
                "since": START_MS, "until": START_MS + 600_000, "seq": place["seq"], "changed": true,
            })
        );
        let again = server.must(200, "POST", "/v1/queues/q1/calls", ask.clone()).await;
        assert_eq!((&again["place"], &again["changed"]), (&json!(1), &json!(false)));
        let queue = server.must(200, "GET", "/v1/queues/q1", Value::Null).await;
        assert_eq!((&queue["waiting"], &queue["oldest_since"]), (&json!(1), &json!(START_MS)));
        server.must(200, "POST", "/v1/calls/c0/end", json!({})).await;
        let offer = server.must(201, "POST", "/v1/queues/q1/calls", ask.clone()).await;
        assert_eq!((&offer["call_id"], &offer["agent_id"]), (&json!("c1"), &json!("1001")));
        assert_eq!(offer["agent"]["live"]["bucket"], "ringing");
        let same = server.must(200, "POST", "/v1/queues/q1/calls", ask).await;
        assert_eq!(same["fence"], offer["fence"]);
        let id = offer["offer_id"].as_str().unwrap();
        let answer = format!("/v1/offers/{id}/answer");
        server.must(200, "POST", &answer, json!({ "fence": offer["fence"] })).await;
        let queue = server.must(200, "GET", "/v1/queues/q1", Value::Null).await;
        assert_eq!(queue["waiting"], 0);
    })
    .await;
}

#[tokio::test]
async fn a_line_says_why_it_takes_nobody_and_who_is_taken_out_may_go_back() {
    serving(dev(), async |server| {
        busy(server).await;
        let calls = "/v1/queues/q1/calls";
        server.must(202, "POST", calls, json!({ "call_id": "c1" })).await;
        server.must(202, "POST", calls, json!({ "call_id": "c2", "priority": 3 })).await;
        let full = server.refused(409, "queue_full", post(calls, &json!({ "call_id": "c3" }))).await;
        assert_eq!((&full["waiting"], &full["limit"]), (&json!(2), &json!(2)));
        server.must(200, "PUT", "/v1/queues/q2", json!({})).await;
        server.refused(409, "no_agents", post("/v1/queues/q2/calls", &json!({ "call_id": "c3" }))).await;
        let elsewhere =
            server.refused(409, "already_queued", post("/v1/queues/q2/calls", &json!({ "call_id": "c1" })));
        assert_eq!(elsewhere.await["queue_id"], "q1");
        let not_there = Request::new("DELETE", "/v1/queues/q2/calls/c1").key(DEV_KEY);
        server.refused(404, "not_queued", not_there).await;
        let out = server.must(200, "DELETE", "/v1/queues/q1/calls/c1", Value::Null).await;
        assert_eq!(out["changed"], true);
        let out = server.must(200, "DELETE", "/v1/queues/q1/calls/c1", Value::Null).await;
        assert_eq!(out["changed"], false);
        let back = server.must(202, "POST", "/v1/queues/q1/calls/c1/requeue", Value::Null).await;
        assert_eq!((&back["place"], &back["since"]), (&json!(2), &json!(START_MS)));
        server.refused(400, "invalid", post(calls, &json!({ "call_id": "c9", "priority": 2000 }))).await;
        server.refused(400, "unknown_field", post(calls, &json!({ "call_id": "c9", "prio": 1 }))).await;
    })
    .await;
}
