//! Every sort of refusal, and that none of them changes anything.

use ringfence_server::{Limits, ServerConfig};
use serde_json::{Value, json};

use crate::client::{Request, raw};
use crate::server::{DEV_KEY, dev, problem, serving};

fn event(body: &str) -> Request {
    Request::new("POST", "/v1/agents/1001/events").key(DEV_KEY).text("application/json", body)
}

#[tokio::test]
async fn a_body_that_cannot_be_read_says_where_and_what_was_meant() {
    serving(dev(), async |server| {
        let malformed = server.refused(400, "malformed_json", event("{\"event\": \n oops}")).await;
        assert_eq!((&malformed["line"], &malformed["column"]), (&json!(2), &json!(2)));
        let unknown = server.refused(400, "unknown_field", event(r#"{"evnet":"login"}"#)).await;
        assert_eq!(
            (&unknown["field"], &unknown["hint"]),
            (&json!("evnet"), &json!("did you mean \"event\"?"))
        );
        let nested = r#"{"event":"login","queues":[{"queue_id":"q1","teir":1}]}"#;
        let nested = server.refused(400, "unknown_field", event(nested)).await;
        assert_eq!(
            (&nested["field"], &nested["hint"]),
            (&json!("queues[0].teir"), &json!("did you mean \"tier\"?"))
        );
        let wrong = r#"{"event":"login","queues":[{"queue_id":"q1","tier":"first"}]}"#;
        let wrong = server.refused(400, "invalid", event(wrong)).await;
        assert_eq!(wrong["field"], "queues[0].tier");
        let missing = server.refused(400, "missing_field", event("{}")).await;
        assert_eq!(missing["field"], "event");
        let word = server.refused(400, "invalid", event(r#"{"event":"avalable"}"#)).await;
        assert_eq!(word["hint"], "did you mean \"available\"?");
        server.refused(400, "invalid", event(r#"{"event":"login","when":"after_call"}"#)).await;
        server.refused(400, "invalid", event(r#"{"event":"login","reason_id":"r"}"#)).await;
        server.refused(400, "missing_field", event(r#"{"event":"extend_wrap_up"}"#)).await;
        let form = Request::new("POST", "/v1/agents/1001/events").key(DEV_KEY);
        server
            .refused(
                415,
                "unsupported_media_type",
                form.text("application/x-www-form-urlencoded", "event=login"),
            )
            .await;
        assert_eq!(server.seq().await, 0);
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_missing() {
    serving(dev(), async |server| {
        let get = |target: &str| Request::new("GET", target).key(DEV_KEY);
        let unknown = server.refused(404, "unknown_agent", get("/v1/agents/7/presence")).await;
        assert_eq!(unknown["agent_id"], "7");
        server.refused(404, "unknown_queue", get("/v1/queues/q9")).await;
        server.refused(404, "unknown_offer", get("/v1/offers/o9")).await;
        server.refused(404, "unknown_route", get("/v1/nothing")).await;
        let wrong = server.send(Request::new("PATCH", "/v1/presence").key(DEV_KEY)).await;
        problem(&wrong, 405, "method_not_allowed");
        assert!(wrong.header("allow").is_some_and(|allow| allow.contains("GET")), "{:?}", wrong.headers);
        let filter = server.refused(400, "unknown_parameter", get("/v1/presence?buckets=ready")).await;
        assert_eq!(filter["hint"], "did you mean \"bucket\"?");
        server.refused(400, "invalid", get("/v1/presence?bucket=sleeping")).await;
        server.refused(400, "invalid", get("/v1/presence?limit=501")).await;
        let long = format!("/v1/agents/{}/presence", "9".repeat(65));
        server.refused(400, "invalid", get(&long)).await;
        server.refused(400, "invalid", get("/v1/agents/%00/presence")).await;
        server.refused(400, "invalid", get("/v1/agents/%ff/presence")).await;
    })
    .await;
}

#[tokio::test]
async fn a_credential_is_needed_and_has_to_be_a_good_one() {
    serving(dev(), async |server| {
        let bare = server.send(Request::new("GET", "/v1/whoami")).await;
        problem(&bare, 401, "unauthorized");
        assert_eq!(bare.header("www-authenticate"), Some("Bearer"));
        for secret in ["sk_nothing", "", &"x".repeat(4_000)] {
            server.refused(401, "unauthorized", Request::new("GET", "/v1/whoami").key(secret)).await;
        }
        let basic = Request::new("GET", "/v1/whoami").header("authorization", "Basic eDp5");
        server.refused(401, "unauthorized", basic).await;
    })
    .await;
}

#[tokio::test]
async fn another_account_does_not_exist() {
    serving(dev(), async |server| {
        let key = server.key("acme", &["presence:read", "presence:write"]).await;
        let own = Request::new("GET", "/v1/presence").key(&key);
        assert_eq!(server.send(own.clone()).await.status, 200);
        assert_eq!(server.send(own.clone().header("x-account-id", "acme")).await.status, 200);
        server.refused(404, "unknown_account", own.header("x-account-id", "other")).await;
        let theirs = Request::new("GET", "/agent?accountId=other&userId=1").key(&key);
        server.refused(404, "unknown_account", theirs).await;
        let body = json!({ "accountId": "other", "userId": 1, "event": "login" });
        server.refused(404, "unknown_account", Request::new("POST", "/agent").key(&key).json(&body)).await;
    })
    .await;
}

#[tokio::test]
async fn bodies_and_heads_have_limits() {
    let limits = Limits { body_bytes: 100, feed_bytes: 200, ..Limits::default() };
    serving(ServerConfig { limits, ..dev() }, async |server| {
        let long = json!({ "event": "login", "queues": [{ "queue_id": "q".repeat(100) }] }).to_string();
        let over = server.refused(413, "body_too_large", event(&long)).await;
        assert_eq!(over["limit"], 100);
        let chunked = format!(
            "POST /v1/agents/1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {DEV_KEY}\r\n\
             transfer-encoding: chunked\r\n\r\n65\r\n{}\r\n0\r\n\r\n",
            "x".repeat(101)
        );
        problem(&raw(server.addr, chunked.as_bytes()).await, 413, "body_too_large");
        let feed = Request::new("POST", "/v1/registrar/events").key(DEV_KEY).text("application/x-ndjson", &" ".repeat(201));
        server.refused(413, "body_too_large", feed).await;
        let head = server.send(Request::new("GET", "/livez").header("x-long", &"x".repeat(20_000))).await;
        assert_eq!(head.status, 431);
        assert_eq!(server.seq().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_callers_request_id_comes_back_unless_it_could_do_harm() {
    serving(dev(), async |server| {
        let given = server.send(Request::new("GET", "/v1/presence").header("x-request-id", "abc-1.2")).await;
        assert_eq!(given.header("x-request-id"), Some("abc-1.2"));
        assert_eq!(given.json()["request_id"], "abc-1.2");
        let odd = server.send(Request::new("GET", "/livez").header("x-request-id", "a b\"")).await;
        assert!(odd.header("x-request-id").is_some_and(|id| id.starts_with("req_")));
    })
    .await;
}

#[tokio::test]
async fn a_stale_expected_seq_is_a_failed_precondition() {
    serving(dev(), async |server| {
        let login = server.must(200, "POST", "/v1/agents/1001/events", json!({ "event": "login" })).await;
        let seq = login["agent"]["seq"].as_u64().unwrap();
        let stale = event(&json!({ "event": "logout", "expected_seq": seq + 5 }).to_string());
        let refused = server.refused(412, "seq_mismatch", stale).await;
        assert_eq!((&refused["expected_seq"], &refused["found_seq"]), (&json!(seq + 5), &json!(seq)));
        server
            .must(200, "POST", "/v1/agents/1001/events", json!({ "event": "logout", "expected_seq": seq }))
            .await;
        server.refused(409, "not_logged_in", event(r#"{"event":"pause"}"#)).await;
        assert_eq!(server.must(200, "GET", "/v1/agents/1001", Value::Null).await["id"], "1001");
    })
    .await;
}
