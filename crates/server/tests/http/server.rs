//! A server for one test, stopped at its end.

use std::net::SocketAddr;

use ringfence::{Clock, Engine, Options, Time};
use ringfence_server::{Server, ServerConfig};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::client::{Reply, Request, send};

pub const DEV_KEY: &str = "dev-key-of-the-tests";

/// When tests begin.
pub const START_MS: u64 = 1_763_800_000_000;

/// A running server, and the key that may do everything.
pub struct Running {
    pub addr: SocketAddr,
    pub clock: Clock,
}

pub fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A development server, which makes agents at their first use.
pub fn dev() -> ServerConfig {
    ServerConfig { dev: true, dev_key: Some(DEV_KEY.to_owned()), ..ServerConfig::new(loopback()) }
}

/// Runs `test` against a server with an empty engine; then stops both, as their owner has to.
pub async fn serving(config: ServerConfig, test: impl AsyncFnOnce(&Running)) {
    serving_from(Options::memory(), config, test).await;
}

/// The same with an engine that is opened so.
pub async fn serving_from(options: Options, config: ServerConfig, test: impl AsyncFnOnce(&Running)) {
    let clock = Clock::manual(Time::from_ms(START_MS));
    let options = Options { create_on_first_use: config.dev, clock: clock.clone(), ..options };
    let engine = Engine::open(options).await.unwrap();
    let bound = Server::bind(engine.clone(), config).unwrap();
    let running = Running { addr: bound.addr(), clock };
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(bound.run(async move {
        let _ = stopped.await;
    }));
    test(&running).await;
    drop(stop);
    server.await.unwrap().unwrap();
    engine.shutdown().await.unwrap();
}

impl Running {
    pub async fn send(&self, request: Request) -> Reply {
        send(self.addr, &request).await
    }

    /// With the development key, in its default account.
    pub async fn call(&self, method: &str, target: &str, body: Value) -> Reply {
        let request = Request::new(method, target).key(DEV_KEY);
        self.send(if body.is_null() { request } else { request.json(&body) }).await
    }

    pub async fn get(&self, target: &str) -> Reply {
        self.call("GET", target, Value::Null).await
    }

    /// The call succeeds with this status; its document.
    pub async fn must(&self, status: u16, method: &str, target: &str, body: Value) -> Value {
        let reply = self.call(method, target, body).await;
        assert_eq!(reply.status, status, "{method} {target}: {}", reply.text());
        reply.json()
    }

    /// The problem's document; everything a problem has to have is checked.
    pub async fn refused(&self, status: u16, code: &str, request: Request) -> Value {
        problem(&self.send(request).await, status, code)
    }

    /// An agent who could be offered a call now.
    pub async fn ready(&self, agent: &str, queues: Value) {
        self.must(
            200,
            "POST",
            &format!("/v1/agents/{agent}/events"),
            json!({ "event": "login", "queues": queues }),
        )
        .await;
        self.register(agent).await;
    }

    /// Gives the agent a phone.
    pub async fn register(&self, agent: &str) {
        let contact = json!({ "uri": format!("sip:{agent}@192.0.2.7"), "expires": 3600 });
        let body = json!({ "type": "register", "aor": format!("{agent}@acme.test"), "contacts": [contact] });
        self.must(200, "POST", "/presence/event", body).await;
    }

    /// A key of the account with these scopes.
    pub async fn key(&self, account: &str, scopes: &[&str]) -> String {
        let body = json!({ "account_id": account, "scopes": scopes });
        let made = self.must(201, "POST", "/v1/keys", body).await;
        made["key"].as_str().unwrap().to_owned()
    }

    pub async fn seq(&self) -> u64 {
        self.must(200, "GET", "/v1/presence", Value::Null).await["seq"].as_u64().unwrap()
    }
}

pub fn problem(reply: &Reply, status: u16, code: &str) -> Value {
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{}", reply.text());
    let document = reply.json();
    assert_eq!((reply.status, document["code"].as_str()), (status, Some(code)), "{document}");
    assert_eq!(document["status"], status);
    assert_eq!(document["type"], format!("urn:ringfence:problem:{code}"));
    assert_eq!(document["request_id"].as_str(), reply.header("x-request-id"));
    for member in ["title", "detail"] {
        assert!(document[member].as_str().is_some_and(|text| !text.is_empty()), "{document}");
    }
    assert_eq!(matches!(status, 429 | 503), reply.header("retry-after").is_some(), "{document}");
    document
}
