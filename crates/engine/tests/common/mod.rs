//! What the engine's tests share: a directory that goes away, an account with people in it.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use ringfence::core::agent::{Address, AddressKind, AgentEntry, By};
use ringfence::core::input::{AgentEvent, Ask, EventInput, QueueChoice, When};
use ringfence::core::queue::QueueSettings;
use ringfence::{Account, AccountId, AgentId, CallId, Engine, Error, OfferAnswer, OfferId, QueueId};

pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ringfence-{name}-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn id<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("an id")
}

pub fn account(engine: &Engine) -> Account {
    engine.account(&id::<AccountId>("acme"))
}

pub fn ask(call: &str) -> Ask {
    Ask { call: id(call), offer: None, lease_ms: None, router: None }
}

pub fn ask_as(call: &str, offer: &str) -> Ask {
    Ask { offer: Some(id::<OfferId>(offer)), ..ask(call) }
}

/// An agent on a phone that needs no registration, available in `queue`.
pub async fn hire(account: &Account, agent: &str, queue: &str) {
    let number: u64 = agent.bytes().fold(7, |sum, byte| (sum * 31 + u64::from(byte)) % 10_000_000_000);
    let address = Address { kind: AddressKind::Tel, target: format!("+1{number:010}"), ring: true };
    let entry = AgentEntry { addresses: vec![address], ..AgentEntry::default() };
    account.put_agent(By::SYSTEM, id(agent), entry).await.expect("an agent");
    event(account, agent, AgentEvent::Available, Some(queue)).await.expect("available");
}

pub async fn event(
    account: &Account,
    agent: &str,
    event: AgentEvent,
    queue: Option<&str>,
) -> Result<ringfence::AgentAnswer, Error> {
    let queues =
        queue.map(|queue| vec![QueueChoice { queue: id::<QueueId>(queue), tier: None, position: None }]);
    let input = EventInput {
        agent: id::<AgentId>(agent),
        event,
        queues,
        create: false,
        expected_seq: None,
        when: When::Now,
    };
    account.event(By::SYSTEM, input).await
}

pub async fn queue_without_wrap_up(account: &Account, queue: &str) {
    let settings = QueueSettings { wrap_up_sec: Some(0), ..QueueSettings::default() };
    account.put_queue(By::SYSTEM, id(queue), settings).await.expect("a queue");
}

pub async fn reserve(account: &Account, queue: &str, call: &str) -> Result<OfferAnswer, Error> {
    account.reserve_queue(By::ROUTER, id(queue), ask(call), Vec::new()).await
}

pub async fn end(account: &Account, call: &str) {
    account.end_call(By::ROUTER, id::<CallId>(call), None, None).await.expect("an end");
}
