//! An engine: opened, asked for accounts, fed, shut down.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use ractor::Actor;
use ringfence_core::feed::{Event, Snapshot};
use ringfence_core::{AccountId, Time};
use ringfence_store::{KeyRow, Opened, TableOp};
use tokio::sync::{Notify, oneshot};

use crate::account::Account;
use crate::clock::wall_ms;
use crate::committer::Committer;
use crate::counters::{Counters, Meters};
use crate::error::{Error, OpenError};
use crate::feed::FeedReport;
use crate::gate::{Gate, Push};
use crate::options::Options;
use crate::shared::Shared;
use crate::source::{SourceStatus, Sources};
use crate::timer::{self, Timer};
use crate::warden::Warden;
use crate::{Durability, HistoryLimits};

/// Below this much free space nothing new is granted or configured; answers, releases and expiry go on.
const FREE_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// How long a shutdown waits for each account's inbox to run empty.
const DRAIN: Duration = Duration::from_secs(10);

/// A presence engine. Clones are handles on the same one; [`Engine::shutdown`] it before the last is dropped.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    /// Dropped with the last handle.
    _guard: Arc<Guard>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Engine").field("term", &self.shared.term).finish_non_exhaustive()
    }
}

/// Sees to it that no engine is forgotten: one that is dropped unstopped is a bug, and a test that does it fails.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.0.is_closed() {
            tracing::error!("an engine was dropped without having been shut down");
            debug_assert!(std::thread::panicking(), "shut the engine down before its last handle is dropped");
        }
    }
}

impl Engine {
    /// Opens the store, takes a new term, and is ready to serve. Accounts are loaded when they are first needed, and
    /// in the background.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let (durability, data, history) = (options.durability, options.data.clone(), options.history);
        let (opened, kept_keys) = tokio::task::spawn_blocking(move || open_store(durability, data, history))
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        for warning in &opened.warnings {
            tracing::warn!(warning, "while opening the data directory");
        }
        let clock = options.clock.clone();
        clock.not_before(Time::from_ms(opened.last_at));
        let durable = durability != Durability::Memory;
        let shared = Arc::new(Shared {
            clock,
            term: opened.term,
            rearm: durable && !opened.clean,
            epoch_least: opened.epoch_least,
            reader: Arc::clone(&opened.reader),
            kept_keys,
            cells: DashMap::new(),
            by_actor: DashMap::new(),
            warden: std::sync::OnceLock::new(),
            gate: Gate::default(),
            timer: Timer::default(),
            sources: Sources::default(),
            meters: Meters::default(),
            disk_low: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            closing: Notify::new(),
            options,
        });
        if durable {
            let committer = Committer {
                shared: Arc::clone(&shared),
                store: opened.store,
                runtime: tokio::runtime::Handle::current(),
                history_trouble: None,
            };
            std::thread::Builder::new()
                .name("ringfence-committer".to_owned())
                .spawn(move || committer.run())
                .map_err(|source| OpenError::Thread { what: "committer", source })?;
        }
        let guard = Arc::new(Guard(Arc::clone(&shared)));
        let engine = Self { shared, _guard: guard };
        engine.start().await;
        Ok(engine)
    }

    async fn start(&self) {
        let shared = &self.shared;
        if let Ok((warden, _)) = Actor::spawn(None, Warden(Arc::clone(shared)), ()).await {
            drop(shared.warden.set(warden.get_cell()));
        }
        tokio::spawn(timer::run(Arc::clone(shared)));
        tokio::spawn(look_after(Arc::clone(shared)));
        if !shared.in_memory() {
            let known = shared.reader.accounts().unwrap_or_default();
            for head in known {
                if let Ok(id) = AccountId::parse(&head.account) {
                    shared.cell(&id);
                }
            }
            tokio::spawn(load_all(Arc::clone(shared)));
        }
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// A handle on an account. The account comes to be with its first message.
    pub fn account(&self, id: &AccountId) -> Account {
        Account::new(Arc::clone(&self.shared), self.shared.cell(id))
    }

    /// Accounts known to this engine, by id.
    pub fn accounts(&self) -> Vec<AccountId> {
        let mut ids: Vec<AccountId> = self.shared.cells.iter().map(|cell| cell.key().clone()).collect();
        ids.sort();
        ids
    }

    pub fn now(&self) -> Time {
        self.shared.clock.now()
    }

    /// Term of the tokens granted by this opening.
    pub fn term(&self) -> u64 {
        self.shared.term
    }

    /// Events of a registrar's feed, answered once they are durable. `endpoint` names where they came in.
    pub async fn feed(
        &self,
        account: &AccountId,
        endpoint: &str,
        events: Vec<Event>,
    ) -> Result<FeedReport, Error> {
        crate::feed::events(&self.shared, account, endpoint, events).await
    }

    /// A full resync of one source.
    pub async fn feed_snapshot(
        &self,
        account: &AccountId,
        endpoint: &str,
        snapshot: Snapshot,
    ) -> Result<FeedReport, Error> {
        crate::feed::snapshot(&self.shared, account, endpoint, snapshot).await
    }

    pub fn sources(&self) -> Vec<SourceStatus> {
        self.shared.sources.read(self.now())
    }

    /// Keeps an API key's row; in mode memory there is nothing to keep it in. Refused on a disk that is nearly full.
    pub async fn put_key(&self, key: KeyRow) -> Result<(), Error> {
        self.shared.room_for_new()?;
        self.apply(vec![TableOp::PutKey(key)]).await
    }

    pub async fn drop_key(&self, id: &str) -> Result<(), Error> {
        self.apply(vec![TableOp::DropKey { id: id.to_owned() }]).await
    }

    pub fn keys(&self) -> Vec<KeyRow> {
        if self.shared.in_memory() {
            return self.shared.kept_keys.clone();
        }
        self.shared.reader.keys().unwrap_or_default()
    }

    async fn apply(&self, ops: Vec<TableOp>) -> Result<(), Error> {
        if self.shared.in_memory() {
            return Ok(());
        }
        let (done, applied) = oneshot::channel();
        self.shared.gate.push(Push::Ops { ops, done });
        applied.await.map_err(|_| Error::Closed)?
    }

    pub fn counters(&self) -> Counters {
        self.shared.meters.read()
    }

    /// Whether requests can be served; else why not.
    pub fn ready(&self) -> Result<(), String> {
        if self.shared.is_closed() { Err("shutting down".to_owned()) } else { Ok(()) }
    }

    /// Lets every account finish what it has, makes it durable, and marks the stop as clean.
    pub async fn shutdown(&self) -> Result<(), Error> {
        if self.shared.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.shared.closing.notify_waiters();
        let cells: Vec<_> = self.shared.cells.iter().map(|cell| Arc::clone(&cell)).collect();
        for cell in cells {
            if let Some(actor) = cell.door.shut() {
                drop(actor.drain_and_wait(Some(DRAIN)).await);
            }
        }
        if let Some(warden) = self.shared.warden.get() {
            drop(warden.stop_and_wait(None, Some(DRAIN)).await);
        }
        if self.shared.in_memory() {
            return Ok(());
        }
        let (done, stopped) = oneshot::channel();
        self.shared.gate.push(Push::Stop(done));
        stopped.await.map_err(|_| Error::Closed)
    }
}

/// The store, and in mode memory the keys of the directory's database, if it has one.
fn open_store(
    durability: Durability,
    data: Option<PathBuf>,
    history: Option<HistoryLimits>,
) -> Result<(Opened, Vec<KeyRow>), OpenError> {
    let wall_ms = wall_ms();
    match (durability, data) {
        (Durability::Memory, dir) => {
            let mut keys = Vec::new();
            if let Some(dir) = dir.clone().filter(|dir| dir.join("ringfence.db").exists()) {
                let config = ringfence_store::Config::new(dir, Durability::Sync, wall_ms);
                let opened = ringfence_store::open(&config)?;
                keys = opened.reader.keys().unwrap_or_default();
                opened.store.close().map_err(OpenError::Keys)?;
            }
            Ok((ringfence_store::open_memory(dir.as_deref(), wall_ms)?, keys))
        }
        (Durability::Sync | Durability::Os, Some(dir)) => {
            let config = ringfence_store::Config::new(dir, durability, wall_ms);
            Ok((ringfence_store::open(&ringfence_store::Config { history, ..config })?, Vec::new()))
        }
        (Durability::Sync | Durability::Os, None) => Err(OpenError::NoDirectory(durability)),
    }
}

/// Once a second: the clock is slewed, the disk is looked at.
async fn look_after(shared: Arc<Shared>) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    while !shared.is_closed() {
        tokio::select! {
            _ = second.tick() => {}
            () = shared.closing.notified() => return,
        }
        shared.clock.slew();
        if let Some(dir) = shared.options.data.as_deref().filter(|_| !shared.in_memory())
            && let Ok(free) = (shared.options.free_bytes)(dir)
        {
            shared.meters.free_bytes.store(free, Ordering::Relaxed);
            let low = free < FREE_BYTES_MIN;
            if shared.disk_low.swap(low, Ordering::Relaxed) != low {
                tracing::warn!(free, low, "free space on the data disk crossed the limit for new offers");
            }
        }
    }
}

/// Loads every account that nobody has needed yet, one after the other.
async fn load_all(shared: Arc<Shared>) {
    let cells: Vec<_> = shared.cells.iter().map(|cell| Arc::clone(&cell)).collect();
    for cell in cells {
        if shared.is_closed() {
            return;
        }
        // One that cannot be loaded is quarantined by the attempt; the others go on.
        drop(crate::load::ready(&shared, &cell).await);
    }
}
