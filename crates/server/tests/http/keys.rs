//! Keys and tickets.

use ringfence::{Engine, Options};
use ringfence_server::{ServeError, Server, ServerConfig};
use serde_json::{Value, json};

use crate::client::Request;
use crate::server::{DEV_KEY, START_MS, dev, loopback, serving};

#[tokio::test]
async fn a_key_is_shown_once_works_and_is_revoked_at_once() {
    serving(dev(), async |server| {
        let body =
            json!({ "account_id": "acme", "scopes": ["wallboard", "presence:read"], "label": "lobby" });
        let made = server.must(201, "POST", "/v1/keys", body).await;
        let secret = made["key"].as_str().unwrap();
        assert_eq!((secret.len(), secret.starts_with("sk_")), (67, true));
        let whoami = || Request::new("GET", "/v1/whoami").key(secret);
        let who = server.send(whoami()).await.json();
        assert_eq!(
            (&who["account_id"], &who["scopes"]),
            (&json!("acme"), &json!(["presence:read", "wallboard"]))
        );
        let listed = server.must(200, "GET", "/v1/keys", Value::Null).await;
        assert_eq!((&listed["data"][0]["id"], &listed["data"][0]["key"]), (&made["id"], &Value::Null));
        assert!(!listed.to_string().contains(secret));
        let target = format!("/v1/keys/{}", made["id"].as_str().unwrap());
        server.must(200, "DELETE", &target, Value::Null).await;
        server.refused(401, "unauthorized", whoami()).await;
        server.refused(404, "unknown_key", Request::new("DELETE", &target).key(DEV_KEY)).await;
    })
    .await;
}

#[tokio::test]
async fn a_key_ends_at_its_expiry() {
    serving(dev(), async |server| {
        let body = json!({ "account_id": "acme", "scopes": ["wallboard"], "expires_at": START_MS + 1_000 });
        let made = server.must(201, "POST", "/v1/keys", body).await;
        let whoami = || Request::new("GET", "/v1/whoami").key(made["key"].as_str().unwrap());
        assert_eq!(server.send(whoami()).await.status, 200);
        server.clock.advance_ms(1_000);
        server.refused(401, "unauthorized", whoami()).await;
    })
    .await;
}

#[tokio::test]
async fn an_accounts_administrator_sees_and_makes_keys_of_that_account_only() {
    serving(dev(), async |server| {
        let admin = server.key("acme", &["admin"]).await;
        server.key("other", &["router"]).await;
        let listed = server.send(Request::new("GET", "/v1/keys").key(&admin)).await.json();
        assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
        let make = |body: Value| Request::new("POST", "/v1/keys").key(&admin).json(&body);
        let own = server.send(make(json!({ "scopes": ["router"] }))).await.json();
        assert_eq!(own["account_id"], "acme");
        server
            .refused(404, "unknown_account", make(json!({ "account_id": "other", "scopes": ["router"] })))
            .await;
        let typo = server.refused(400, "invalid", make(json!({ "scopes": ["wallbord"] }))).await;
        assert_eq!(
            (&typo["field"], &typo["hint"]),
            (&json!("scopes[0]"), &json!("did you mean \"wallboard\"?"))
        );
        server.refused(400, "invalid", make(json!({ "scopes": [] }))).await;
    })
    .await;
}

#[tokio::test]
async fn an_administrator_without_account_says_which_one_is_meant() {
    serving(dev(), async |server| {
        let made = server.must(201, "POST", "/v1/keys", json!({ "scopes": ["admin"] })).await;
        let roster = || Request::new("GET", "/v1/presence").key(made["key"].as_str().unwrap());
        server.refused(400, "account_required", roster()).await;
        assert_eq!(server.send(roster().header("x-account-id", "acme")).await.status, 200);
        let router = Request::new("POST", "/v1/keys").key(DEV_KEY).json(&json!({ "scopes": ["router"] }));
        server.refused(400, "invalid", router).await;
    })
    .await;
}

#[tokio::test]
async fn a_ticket_is_good_for_half_a_minute() {
    serving(dev(), async |server| {
        let made = server.must(201, "POST", "/v1/tickets", Value::Null).await;
        assert_eq!(made["expires_at"], START_MS + 30_000);
        assert!(made["ticket"].as_str().is_some_and(|ticket| ticket.starts_with("tkt_")));
    })
    .await;
}

#[tokio::test]
async fn a_public_address_without_a_key_is_refused() {
    let engine = Engine::open(Options::memory()).await.unwrap();
    let public = "0.0.0.0:0".parse().unwrap();
    let refused = Server::bind(engine.clone(), ServerConfig::new(public));
    assert!(matches!(refused, Err(ServeError::PublicWithoutKey { .. })));
    let minted_only = Server::bind(engine.clone(), ServerConfig { dev: true, ..ServerConfig::new(public) });
    assert!(matches!(minted_only, Err(ServeError::PublicWithoutKey { .. })));
    let bound =
        Server::bind(engine.clone(), ServerConfig { dev: true, ..ServerConfig::new(loopback()) }).unwrap();
    assert!(bound.dev_key().is_some_and(|key| key.starts_with("sk_dev_")));
    drop(bound);
    engine.shutdown().await.unwrap();
}
