//! Reserve, and every later step.

use serde_json::{Value, json};

use crate::client::Request;
use crate::server::{DEV_KEY, START_MS, dev, serving};

const QUEUES: &str = r#"[{"queue_id":"q1","tier":1}]"#;

fn queues() -> Value {
    serde_json::from_str(QUEUES).unwrap()
}

fn post(target: &str, body: &Value) -> Request {
    Request::new("POST", target).key(DEV_KEY).json(body)
}

#[tokio::test]
async fn a_call_is_reserved_rung_answered_and_ended() {
    serving(dev(), async |server| {
        server.ready("1001", queues()).await;
        let ask = json!({ "call_id": "c1", "offer_id": "o1" });
        let grant = server.must(201, "POST", "/v1/queues/q1/reserve", ask.clone()).await;
        assert_eq!(
            grant,
            json!({
                "offer_id": "o1", "fence": grant["fence"], "call_id": "c1", "queue_id": "q1", "agent_id": "1001",
                "addresses": [{ "type": "extension", "target": "1001", "ring": true }],
                "granted_at": START_MS, "expires_at": START_MS + 20_000,
                "agent": grant["agent"], "seq": grant["seq"], "changed": true,
            })
        );
        let again = server.must(200, "POST", "/v1/queues/q1/reserve", ask).await;
        assert_eq!((&again["fence"], &again["outcome"]), (&grant["fence"], &Value::Null));
        let fence = json!({ "fence": grant["fence"] });
        let ringing = server.must(200, "POST", "/v1/offers/o1/ringing", fence.clone()).await;
        assert_eq!(ringing["outcome"], Value::Null);
        let answered = server.must(200, "POST", "/v1/offers/o1/answer", fence.clone()).await;
        assert_eq!((&answered["outcome"], &answered["changed"]), (&json!("accepted"), &json!(true)));
        let repeated = server.must(200, "POST", "/v1/offers/o1/answer", fence.clone()).await;
        assert_eq!(repeated["changed"], false);
        let busy = server.refused(409, "no_agent", post("/v1/queues/q1/reserve", &json!({ "call_id": "c2" }))).await;
        assert_eq!((&busy["queue_id"], &busy["failing"]["slot"]), (&json!("q1"), &json!(1)));
        server.must(200, "POST", "/v1/calls/c1/end", json!({})).await;
        let row = server.must(200, "GET", "/v1/agents/1001/presence", Value::Null).await;
        assert_eq!(row["agent"]["live"]["bucket"], "wrap_up");
        let waiting = server.refused(409, "no_agent", post("/v1/queues/q1/reserve", &json!({ "call_id": "c3" }))).await;
        assert_eq!(waiting["earliest"], START_MS + 10_000);
    })
    .await;
}

#[tokio::test]
async fn a_preferred_agent_comes_before_the_one_who_is_idle_longest() {
    serving(dev(), async |server| {
        for agent in ["1001", "1002", "1003"] {
            server.ready(agent, queues()).await;
        }
        let ask = json!({ "call_id": "c1", "prefer": ["1009", "1003"] });
        assert_eq!(server.must(201, "POST", "/v1/queues/q1/reserve", ask).await["agent_id"], "1003");
        let ask = json!({ "call_id": "c2", "prefer": ["1003"] });
        assert_eq!(server.must(201, "POST", "/v1/queues/q1/reserve", ask).await["agent_id"], "1001");
        let many: Vec<String> = (0..65).map(|n| n.to_string()).collect();
        let ask = json!({ "call_id": "c3", "prefer": many });
        server.refused(409, "limit_reached", post("/v1/queues/q1/reserve", &ask)).await;
    })
    .await;
}

#[tokio::test]
async fn a_reserved_agent_is_offered_to_nobody_else_and_says_why() {
    serving(dev(), async |server| {
        server.ready("1001", queues()).await;
        let why = server.must(200, "GET", "/v1/agents/1001/eligibility?queue_id=q1", Value::Null).await;
        assert_eq!(why["offerable"], true);
        let grant = server.must(201, "POST", "/v1/agents/1001/reserve", json!({ "call_id": "c1" })).await;
        let taken = server
            .refused(409, "not_offerable", post("/v1/agents/1001/reserve", &json!({ "call_id": "c2" })))
            .await;
        let checks = taken["checks"].as_array().unwrap();
        let failing: Vec<_> =
            checks.iter().filter(|check| check["ok"] == false).map(|check| &check["clause"]).collect();
        assert_eq!(failing, ["slot"]);
        let why = server.must(200, "GET", "/v1/agents/1001/eligibility", Value::Null).await;
        assert_eq!((&why["offerable"], &why["checks"]), (&json!(false), &taken["checks"]));
        let twice = server
            .refused(409, "call_already_offered", post("/v1/queues/q1/reserve", &json!({ "call_id": "c1" })))
            .await;
        assert_eq!(twice["offer_id"], grant["offer_id"]);
    })
    .await;
}

#[tokio::test]
async fn a_step_needs_the_offers_own_token_and_a_live_lease() {
    serving(dev(), async |server| {
        server.ready("1001", queues()).await;
        let grant = server
            .must(
                201,
                "POST",
                "/v1/queues/q1/reserve",
                json!({ "call_id": "c1", "offer_id": "o1", "lease_ms": 5_000 }),
            )
            .await;
        let before = server.seq().await;
        server.refused(409, "stale_fence", post("/v1/offers/o1/answer", &json!({ "fence": "1.1" }))).await;
        server.refused(400, "invalid", post("/v1/offers/o1/answer", &json!({ "fence": "seven" }))).await;
        server
            .refused(
                400,
                "unknown_field",
                post("/v1/offers/o1/reject", &json!({ "fence": "1.1", "code": 486 })),
            )
            .await;
        assert_eq!(server.seq().await, before);
        let fence = &grant["fence"];
        let later = server
            .must(200, "POST", "/v1/offers/o1/extend", json!({ "fence": fence, "lease_ms": 8_000 }))
            .await;
        assert_eq!(later["expires_at"], START_MS + 8_000);
        server.clock.advance_ms(8_001);
        let late = server
            .refused(409, "lease_expired", post("/v1/offers/o1/answer", &json!({ "fence": fence })))
            .await;
        assert_eq!(late["outcome"], "no_answer");
        let ended = server.must(200, "GET", "/v1/offers/o1", Value::Null).await;
        assert_eq!(ended["outcome"], "no_answer");
    })
    .await;
}

#[tokio::test]
async fn each_way_to_end_an_offer_is_its_outcome() {
    serving(dev(), async |server| {
        server.must(200, "PUT", "/v1/queues/q1", json!({ "reject_cooldown_sec": 0, "busy_cooldown_sec": 0, "failed_cooldown_sec": 0, "max_no_answer": 0 })).await;
        server.ready("1001", queues()).await;
        for (number, (verb, outcome)) in
            [("reject", "rejected"), ("busy", "busy"), ("no-answer", "no_answer"), ("cancel", "cancelled"), ("failed", "failed")]
                .into_iter()
                .enumerate()
        {
            let grant = server.must(201, "POST", "/v1/queues/q1/reserve", json!({ "call_id": format!("c{number}") })).await;
            let target = format!("/v1/offers/{}/{verb}", grant["offer_id"].as_str().unwrap());
            let ended = server.must(200, "POST", &target, json!({ "fence": grant["fence"] })).await;
            assert_eq!((&ended["outcome"], &ended["changed"]), (&json!(outcome), &json!(true)), "{verb}");
            let answer = target.replace(verb, "answer");
            let refused = server.refused(409, "offer_ended", post(&answer, &json!({ "fence": grant["fence"] }))).await;
            assert_eq!(refused["outcome"], outcome);
        }
    })
    .await;
}

#[tokio::test]
async fn an_offer_id_names_one_request() {
    serving(dev(), async |server| {
        server.ready("1001", queues()).await;
        server.must(201, "POST", "/v1/queues/q1/reserve", json!({ "call_id": "c1", "offer_id": "o1" })).await;
        let other = post("/v1/queues/q1/reserve", &json!({ "call_id": "c2", "offer_id": "o1" }));
        server.refused(409, "offer_id_reused", other).await;
        let pause = json!({ "event": "pause" });
        server.must(200, "POST", "/v1/agents/1001/events", pause).await;
        let ended = server
            .must(200, "POST", "/v1/queues/q1/reserve", json!({ "call_id": "c1", "offer_id": "o1" }))
            .await;
        assert_eq!((&ended["outcome"], &ended["cause"]), (&json!("rescinded"), &json!("paused")));
    })
    .await;
}
