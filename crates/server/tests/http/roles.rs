//! Who may do what: every route with every scope alone.

use serde_json::json;

use crate::client::Request;
use crate::server::{dev, problem, serving};

/// Method, path, and the scopes of which any opens it.
type Row = (&'static str, &'static str, &'static [&'static str]);

const READ: &[&str] = &["presence:read", "presence:supervise"];
const WRITE: &[&str] = &["presence:write", "presence:supervise"];

const TABLE: &[Row] = &[
    ("GET", "/v1/agents", &["agents:read", "agents:manage"]),
    ("GET", "/v1/agents/a", &["agents:read", "agents:manage"]),
    ("PUT", "/v1/agents/a", &["agents:manage"]),
    ("DELETE", "/v1/agents/a", &["agents:manage"]),
    ("GET", "/v1/queues", &["queues:read", "queues:manage"]),
    ("GET", "/v1/queues/q", &["queues:read", "queues:manage"]),
    ("PUT", "/v1/queues/q", &["queues:manage"]),
    ("DELETE", "/v1/queues/q", &["queues:manage"]),
    ("GET", "/v1/pause-reasons", &["queues:read", "queues:manage"]),
    ("GET", "/v1/pause-reasons/r", &["queues:read", "queues:manage"]),
    ("PUT", "/v1/pause-reasons/r", &["queues:manage"]),
    ("DELETE", "/v1/pause-reasons/r", &["queues:manage"]),
    ("GET", "/v1/settings", &["agents:read", "agents:manage"]),
    ("PUT", "/v1/settings", &["agents:manage"]),
    ("POST", "/v1/agents/a/events", WRITE),
    ("GET", "/v1/presence", READ),
    ("GET", "/v1/agents/a/presence", READ),
    ("GET", "/v1/agents/a/eligibility", &["presence:read", "presence:supervise", "router"]),
    ("POST", "/v1/queues/q/reserve", &["router"]),
    ("POST", "/v1/agents/a/reserve", &["router"]),
    ("GET", "/v1/offers/o", &["router"]),
    ("POST", "/v1/offers/o/ringing", &["router"]),
    ("POST", "/v1/offers/o/answer", &["router"]),
    ("POST", "/v1/offers/o/reject", &["router"]),
    ("POST", "/v1/offers/o/busy", &["router"]),
    ("POST", "/v1/offers/o/no-answer", &["router"]),
    ("POST", "/v1/offers/o/failed", &["router"]),
    ("POST", "/v1/offers/o/cancel", &["router"]),
    ("POST", "/v1/offers/o/extend", &["router"]),
    ("POST", "/v1/calls/c/end", &["router"]),
    ("POST", "/v1/registrar/events", &["registrar"]),
    ("PUT", "/v1/registrar/snapshot", &["registrar"]),
    ("POST", "/v1/calls/events", &["registrar"]),
    ("POST", "/v1/tickets", &["wallboard"]),
    ("GET", "/v1/keys", &[]),
    ("POST", "/v1/keys", &[]),
    ("DELETE", "/v1/keys/k", &[]),
    ("POST", "/agent", WRITE),
    ("GET", "/agent?userId=a", READ),
    ("GET", "/presence", READ),
    ("POST", "/presence/event", &["presence:write", "presence:supervise", "registrar"]),
];

const SCOPES: [&str; 12] = [
    "agents:read",
    "agents:manage",
    "presence:read",
    "presence:write",
    "presence:supervise",
    "queues:read",
    "queues:manage",
    "router",
    "registrar",
    "wallboard",
    "numbers",
    "admin",
];

#[tokio::test]
async fn each_scope_opens_its_routes_and_no_other() {
    serving(dev(), async |server| {
        for scope in SCOPES {
            let key = server.key("acme", &[scope]).await;
            for (method, path, opened_by) in TABLE {
                let reply = server.send(Request::new(method, path).key(&key).json(&json!({}))).await;
                if scope == "admin" || opened_by.contains(&scope) {
                    assert!(
                        reply.status != 403 && reply.status < 500,
                        "{scope} {method} {path}: {}",
                        reply.text()
                    );
                } else {
                    let refused = problem(&reply, 403, "missing_scope");
                    let named = opened_by.first().copied().unwrap_or("admin");
                    assert_eq!(refused["scope"], named, "{method} {path}");
                    assert_eq!(refused["held"], json!([scope]));
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn no_route_but_the_open_ones_answers_without_a_credential() {
    serving(dev(), async |server| {
        for (method, path, _) in TABLE {
            let stranger = Request::new(method, path).header("host", "board.example").json(&json!({}));
            problem(&server.send(stranger).await, 401, "unauthorized");
        }
    })
    .await;
}

#[tokio::test]
async fn a_presence_event_needs_the_scope_of_its_kind() {
    serving(dev(), async |server| {
        let registrar = server.key("acme", &["registrar"]).await;
        let writer = server.key("acme", &["presence:write"]).await;
        let post =
            |key: &str, body: serde_json::Value| Request::new("POST", "/presence/event").key(key).json(&body);
        let login = json!({ "type": "agent", "userId": 1, "event": "login" });
        let register = json!({ "type": "register", "aor": "1@acme.test", "contacts": [] });
        problem(&server.send(post(&registrar, login.clone())).await, 403, "missing_scope");
        problem(&server.send(post(&writer, register.clone())).await, 403, "missing_scope");
        assert_eq!(server.send(post(&writer, login)).await.status, 200);
        assert_eq!(server.send(post(&registrar, register)).await.status, 200);
    })
    .await;
}
