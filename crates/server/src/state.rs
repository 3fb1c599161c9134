//! What all requests of a server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ringfence::{AccountId, Engine, Time};
use tokio::sync::Semaphore;

use crate::auth::{KeyRing, NoRandom, Principal, Tickets, random_text};
use crate::config::ServerConfig;
use crate::metrics::Metrics;
use crate::rate::RateLimits;
use crate::repeat::Repeats;
use crate::routes::Turns;
use crate::sipio::event::Registrations;
use crate::stream::Streams;

/// The server's state, behind an `Arc`.
pub(crate) struct App {
    pub engine: Engine,
    pub config: ServerConfig,
    pub keys: KeyRing,
    pub tickets: Tickets,
    pub rates: RateLimits,
    pub streams: Streams,
    pub metrics: Metrics,
    /// Bytes that request bodies may take, in KiB.
    pub bodies: Semaphore,
    pub handshakes: Semaphore,
    pub registrations: Registrations,
    pub repeats: Arc<Repeats>,
    pub turns: Turns,
    /// Tells this server's request ids from another's.
    pub instance: String,
    pub requests: AtomicU64,
}

impl App {
    /// Believes the keys of the engine's store, and in development `dev_key` too.
    pub fn new(engine: Engine, config: ServerConfig, dev_key: Option<&str>) -> Result<Self, NoRandom> {
        let keys = KeyRing::load(&engine);
        if let Some(secret) = dev_key {
            keys.add_development(secret);
        }
        let limits = &config.limits;
        Ok(Self {
            keys,
            tickets: Tickets::new(limits.tickets_open),
            rates: RateLimits::new(limits),
            streams: Streams::new(&engine, &config),
            metrics: Metrics::default(),
            bodies: crate::body::budget(limits.bodies_bytes),
            handshakes: Semaphore::new(limits.handshakes),
            registrations: Registrations::default(),
            repeats: Arc::default(),
            turns: Turns::default(),
            instance: random_text::<4>("")?,
            requests: AtomicU64::new(1),
            engine,
            config,
        })
    }

    /// The engine's clock.
    pub fn now(&self) -> Time {
        self.engine.now()
    }

    /// Uses a ticket up. None: there is none such (any more), or the key it was made with is gone.
    pub fn redeem_ticket(&self, ticket: &str) -> Option<Principal> {
        let now = self.now();
        self.tickets.redeem(ticket, now).filter(|principal| self.keys.lives(&principal.key_id, now))
    }

    /// Whether a credential that was believed still is.
    pub fn still_believes(&self, principal: &Principal) -> bool {
        self.keys.lives(&principal.key_id, self.now())
    }

    pub fn account(&self, id: &AccountId) -> ringfence::Account {
        self.engine.account(id)
    }

    pub fn mint_request_id(&self) -> String {
        format!("req_{}_{}", self.instance, self.requests.fetch_add(1, Ordering::Relaxed))
    }
}
