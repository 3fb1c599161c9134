//! Every conflict says who holds what was asked for; every denial, what is missing.

use serde_json::{Value, json};

use crate::client::Request;
use crate::server::{DEV_KEY, dev, serving};

fn post(target: &str, body: &Value) -> Request {
    Request::new("POST", target).key(DEV_KEY).json(body)
}

#[tokio::test]
async fn an_agent_who_cannot_be_offered_a_call_is_shown_with_what_holds_them() {
    serving(dev(), async |server| {
        server.ready("1001", json!([{ "queue_id": "q1" }])).await;
        let ask = json!({ "call_id": "c1", "offer_id": "o1" });
        let grant = server.must(201, "POST", "/v1/queues/q1/reserve", ask).await;
        let other = post("/v1/agents/1001/reserve", &json!({ "call_id": "c2" }));
        let rung = server.refused(409, "not_offerable", other.clone()).await;
        assert_eq!(
            (&rung["agent_id"], &rung["offers"][0]["offer_id"], &rung["offers"][0]["call_id"]),
            (&json!("1001"), &json!("o1"), &json!("c1"))
        );
        server.must(200, "POST", "/v1/offers/o1/answer", json!({ "fence": grant["fence"] })).await;
        let talking = server.refused(409, "not_offerable", other).await;
        assert_eq!((&talking["offers"], &talking["calls"][0]["call_id"]), (&json!([]), &json!("c1")));
        let delete = Request::new("DELETE", "/v1/agents/1001").key(DEV_KEY);
        let in_call = server.refused(409, "agent_in_call", delete).await;
        assert_eq!((&in_call["agent_id"], &in_call["calls"][0]["call_id"]), (&json!("1001"), &json!("c1")));
    })
    .await;
}

#[tokio::test]
async fn a_step_that_comes_too_late_or_with_another_token_is_told_whose_offer_it_was() {
    serving(dev(), async |server| {
        server.ready("1001", json!([{ "queue_id": "q1" }])).await;
        let holder = |problem: &Value| {
            let names = ["offer_id", "agent_id", "call_id", "queue_id"];
            assert_eq!(names.map(|name| &problem[name]), ["o1", "1001", "c1", "q1"], "{problem}");
        };
        let ask = json!({ "call_id": "c1", "offer_id": "o1", "lease_ms": 5_000 });
        let grant = server.must(201, "POST", "/v1/queues/q1/reserve", ask).await;
        holder(
            &server
                .refused(409, "stale_fence", post("/v1/offers/o1/answer", &json!({ "fence": "1.1" })))
                .await,
        );
        let reused = post("/v1/agents/1001/reserve", &json!({ "call_id": "c2", "offer_id": "o1" }));
        holder(&server.refused(409, "offer_id_reused", reused).await);
        let again = post("/v1/queues/q1/reserve", &json!({ "call_id": "c1" }));
        let offered = server.refused(409, "call_already_offered", again).await;
        assert_eq!((&offered["offer_id"], &offered["agent_id"]), (&json!("o1"), &json!("1001")));
        server.clock.advance_ms(5_001);
        let answer = post("/v1/offers/o1/answer", &json!({ "fence": grant["fence"] }));
        holder(&server.refused(409, "lease_expired", answer).await);
        let ask = json!({ "call_id": "c1", "offer_id": "o2" });
        let grant = server.must(201, "POST", "/v1/queues/q1/reserve", ask).await;
        server.must(200, "POST", "/v1/offers/o2/cancel", json!({ "fence": grant["fence"] })).await;
        let answer = post("/v1/offers/o2/answer", &json!({ "fence": grant["fence"] }));
        let ended = server.refused(409, "offer_ended", answer).await;
        assert_eq!((&ended["agent_id"], &ended["outcome"]), (&json!("1001"), &json!("cancelled")));
    })
    .await;
}

#[tokio::test]
async fn a_full_call_names_who_is_in_it_and_a_taken_address_who_has_it() {
    serving(dev(), async |server| {
        for agent in 1001..=1033 {
            server.ready(&agent.to_string(), json!([])).await;
        }
        for agent in 1001..=1032 {
            let ask = json!({ "call_id": "c", "offer_id": format!("o{agent}") });
            let grant = server.must(201, "POST", &format!("/v1/agents/{agent}/reserve"), ask).await;
            let target = format!("/v1/offers/o{agent}/answer");
            server.must(200, "POST", &target, json!({ "fence": grant["fence"] })).await;
        }
        let one_more = post("/v1/agents/1033/reserve", &json!({ "call_id": "c" }));
        let full = server.refused(409, "call_full", one_more).await;
        let inside: Vec<String> = (1001..=1032).map(|agent| agent.to_string()).collect();
        assert_eq!((&full["limit"], &full["agent_ids"]), (&json!(32), &json!(inside)));
        let put = Request::new("PUT", "/v1/agents/2000").key(DEV_KEY).json(&json!({ "extension": "1001" }));
        assert_eq!(server.refused(409, "address_taken", put).await["agent_id"], "1001");
    })
    .await;
}

#[tokio::test]
async fn a_membership_somebody_else_decides_names_the_scope_that_does() {
    serving(dev(), async |server| {
        for (mode, scope) in [("static", "agents:manage"), ("supervised", "presence:supervise")] {
            let queue = json!({ "membership_mode": mode });
            server.must(200, "PUT", &format!("/v1/queues/{mode}"), queue).await;
            let key = server.key("default", &["presence:write"]).await;
            let join = json!({ "event": "login", "queues": [{ "queue_id": mode }] });
            let join = |key: &str| Request::new("POST", "/v1/agents/1001/events").key(key).json(&join);
            let denied = server.refused(403, "membership_denied", join(&key)).await;
            assert_eq!((&denied["scope"], &denied["queue_id"]), (&json!(scope), &json!(mode)));
            let key = server.key("default", &["presence:write", scope]).await;
            assert_eq!(server.send(join(&key)).await.status, 200, "{mode}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_parameter_or_field_nobody_reads_is_refused_on_writes_too() {
    serving(dev(), async |server| {
        for (method, target) in [
            ("POST", "/v1/agents/1001/events?expectd_seq=1"),
            ("PUT", "/v1/agents/1001?name=Ana"),
            ("DELETE", "/v1/agents/1001?when=after_call"),
            ("POST", "/v1/queues/q1/reserve?call_id=c1"),
            ("POST", "/v1/offers/o1/answer?fence=1.1"),
            ("POST", "/v1/tickets?account=acme"),
            ("GET", "/v1/whoami?after_seq=1"),
            ("POST", "/agent?accountId=acme"),
        ] {
            server
                .refused(400, "unknown_parameter", Request::new(method, target).key(DEV_KEY).json(&json!({})))
                .await;
        }
        let read = Request::new("GET", "/v1/agents?curser=a").key(DEV_KEY);
        assert_eq!(server.refused(400, "unknown_parameter", read).await["hint"], "did you mean \"cursor\"?");
        server.refused(400, "unknown_field", post("/v1/tickets", &json!({ "account": "acme" }))).await;
        let delete = Request::new("DELETE", "/v1/agents/1001").key(DEV_KEY);
        server.refused(400, "unknown_field", delete.json(&json!({ "when": "after_call" }))).await;
        let typo = json!({ "fence": "1.1", "expectd_seq": 7 });
        let typo = server.refused(400, "unknown_field", post("/v1/offers/o1/answer", &typo)).await;
        assert_eq!(
            (&typo["field"], &typo["hint"]),
            (&json!("expectd_seq"), &json!("did you mean \"expected_seq\"?"))
        );
    })
    .await;
}
