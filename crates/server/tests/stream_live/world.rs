#![cfg(test)]
//! A server with an engine in memory, and plain HTTP to talk to it.

use std::net::SocketAddr;
use std::time::Duration;

use ringfence::core::agent::By;
use ringfence::core::input::{AgentEvent, EventInput, QueueChoice, When};
use ringfence::{Account, AccountId, AgentId, Engine, Options, QueueId};
use ringfence_server::{Server, ServerConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const DEV_KEY: &str = "sk_test";

pub struct World {
    pub engine: Engine,
    pub account: Account,
    pub addr: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let engine = Engine::open(Options { create_on_first_use: true, ..Options::memory() }).await.unwrap();
        let mut config = ServerConfig::new("127.0.0.1:0".parse().unwrap());
        config.dev = true;
        config.dev_key = Some(DEV_KEY.to_owned());
        config.limits.drain_ms = 3_000;
        change(&mut config);
        let bound = Server::bind(engine.clone(), config).unwrap();
        let addr = bound.addr();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(async move { bound.run(async { drop(stopped.await) }).await.unwrap() });
        let account = engine.account(&AccountId::parse("default").unwrap());
        Self { engine, account, addr, stop, served }
    }

    pub async fn event(&self, agent: u32, event: AgentEvent) {
        self.event_in(agent, event, None).await;
    }

    pub async fn event_in(&self, agent: u32, event: AgentEvent, queues: Option<&[&str]>) {
        let choice =
            |id: &&str| QueueChoice { queue: QueueId::parse(id).unwrap(), tier: None, position: None };
        let queues = queues.map(|ids| ids.iter().map(choice).collect());
        let agent = AgentId::parse(&agent.to_string()).unwrap();
        let input = EventInput { agent, event, queues, create: true, expected_seq: None, when: When::Now };
        self.account.event(By::SYSTEM, input).await.unwrap();
    }

    /// So many agents, logged in.
    pub async fn staff(&self, count: u32) {
        for n in 0..count {
            self.event(1000 + n, AgentEvent::Login).await;
        }
    }

    /// Changes one agent's status, there and back, so many times.
    pub async fn stir(&self, agent: u32, times: u32) {
        for n in 0..times {
            let event = if n % 2 == 0 { AgentEvent::Pause { reason: None } } else { AgentEvent::Available };
            self.event(agent, event).await;
        }
    }

    pub async fn seq(&self) -> u64 {
        self.account.roster().await.unwrap().seq
    }

    pub async fn http(&self, method: &str, path: &str, key: &str, body: Option<Value>) -> (u16, Value) {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.addr,
            body.len(),
        );
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    pub async fn presence(&self) -> Value {
        let (status, presence) = self.http("GET", "/v1/presence", DEV_KEY, None).await;
        assert_eq!(status, 200);
        presence
    }

    pub async fn ticket(&self) -> String {
        let (status, answer) = self.http("POST", "/v1/tickets", DEV_KEY, Some(json!({}))).await;
        assert_eq!(status, 201, "{answer}");
        answer["ticket"].as_str().unwrap().to_owned()
    }

    /// A key of the default account: its id and the key itself.
    pub async fn key(&self, scopes: &[&str]) -> (String, String) {
        let body = json!({ "scopes": scopes, "account_id": "default" });
        let (status, answer) = self.http("POST", "/v1/keys", DEV_KEY, Some(body)).await;
        assert_eq!(status, 201, "{answer}");
        (answer["id"].as_str().unwrap().to_owned(), answer["key"].as_str().unwrap().to_owned())
    }

    /// A number of `/metrics`.
    pub async fn metric(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.addr);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let line = answer.lines().find(|line| line.starts_with(&format!("ringfence_{name} ")));
        line.unwrap_or_else(|| panic!("no {name}")).rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// The server begins to drain; [`World::end`] waits for it.
    pub fn stop(self) -> Stopping {
        self.stop.send(()).unwrap();
        Stopping { engine: self.engine, served: self.served }
    }

    /// The clients go first: one that stays and reads nothing more is given its time for last words.
    pub async fn end(self, clients: impl Sized) {
        drop(clients);
        self.stop().end().await;
    }
}

pub struct Stopping {
    engine: Engine,
    served: JoinHandle<()>,
}

impl Stopping {
    pub async fn end(self) {
        tokio::time::timeout(PATIENCE, self.served).await.expect("the server stops").unwrap();
        self.engine.shutdown().await.unwrap();
    }
}
