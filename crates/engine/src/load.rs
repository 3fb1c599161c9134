//! Bringing an account up: from its snapshot and the records after it, at its first message, its first deadline, or
//! after its actor failed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use ractor::Actor;
use ringfence_core::agent::By;
use ringfence_core::{Account, Input, Page};
use ringfence_store::Image;
use tokio::sync::oneshot;

use crate::actor::{AccountActor, Msg};
use crate::cell::Cell;
use crate::codec;
use crate::counters::add;
use crate::door::Owner;
use crate::error::Error;
use crate::gate::Push;
use crate::shared::Shared;

/// The account's actor, brought up if need be.
pub(crate) async fn ready(shared: &Arc<Shared>, cell: &Arc<Cell>) -> Result<(), Error> {
    if cell.door.is_up()? {
        return Ok(());
    }
    let _loading = cell.loading.lock().await;
    if cell.door.is_up()? {
        return Ok(());
    }
    if shared.is_closed() {
        return Err(Error::Closed);
    }
    let (account, epoch, over) = if shared.in_memory() {
        let (account, epoch) = anew(shared, cell);
        (account, epoch, false)
    } else {
        from_store(shared, cell).await?
    };
    spawn(shared, cell, account, epoch, over).await
}

async fn spawn(
    shared: &Arc<Shared>,
    cell: &Arc<Cell>,
    account: Account,
    epoch: u64,
    over: bool,
) -> Result<(), Error> {
    let first_load = !cell.was_loaded.swap(true, Ordering::AcqRel);
    let warden = shared.warden.get().ok_or(Error::Closed)?.clone();
    let actor = AccountActor { shared: Arc::clone(shared), cell: Arc::clone(cell) };
    let spawned = Actor::spawn_linked(None, actor, (account, epoch), warden).await;
    let (actor, _) = spawned.map_err(|_| Error::Unavailable)?;
    shared.by_actor.insert(actor.get_id(), Arc::clone(cell));
    let mut first = Vec::new();
    if first_load {
        add(&shared.meters.accounts_loaded, 1);
        if shared.rearm {
            first.push(Msg::Do { input: Input::Rearm, by: By::SYSTEM, waiting: None });
        }
        if over {
            // Until the new epoch is on disk every start begins another one; with a snapshot it stays.
            first.push(Msg::Snapshot);
        }
    }
    // Deadlines may have passed while nobody looked.
    first.push(Msg::Tick);
    cell.door.open(actor, first);
    Ok(())
}

/// Mode memory: the account begins with nothing, but its tokens go on.
fn anew(shared: &Shared, cell: &Cell) -> (Account, u64) {
    let grants = cell.grants.load(Ordering::Acquire);
    let mut epoch = shared.term;
    if cell.was_loaded.load(Ordering::Acquire) {
        epoch = cell.released.epoch().max(shared.clock.now().ms()) + 1;
        cell.released.restart(epoch, 0);
    }
    (Account::after(cell.id.clone(), shared.term, grants).without_pages(), epoch)
}

/// The account, its epoch, and whether the one it had is over.
async fn from_store(shared: &Arc<Shared>, cell: &Arc<Cell>) -> Result<(Account, u64, bool), Error> {
    // What an earlier incarnation pushed must be on disk, or its callers would be told of what this one does not know.
    let (done, released) = oneshot::channel();
    shared.gate.push(Push::Barrier(done));
    released.await.map_err(|_| Error::Closed)?;
    let (reader, id, term) = (Arc::clone(&shared.reader), cell.id.clone(), shared.term);
    let loaded = tokio::task::spawn_blocking(move || -> Result<(Account, Option<u64>), String> {
        let image = reader.load(id.as_str()).map_err(|error| error.to_string())?;
        restore(id, term, image.unwrap_or_default()).map_err(|error| error.to_string())
    });
    match loaded.await {
        Ok(Ok((account, stored))) => {
            let over = stored.is_some_and(|epoch| epoch < shared.epoch_least);
            let epoch = stored.filter(|_| !over).unwrap_or(shared.term);
            if !cell.was_loaded.load(Ordering::Acquire) {
                cell.released.restart(epoch, account.seq());
            }
            Ok((account, epoch, over))
        }
        Ok(Err(why)) => Err(quarantine(shared, cell, why)),
        Err(_) => Err(quarantine(shared, cell, "replaying its journal panicked".to_owned())),
    }
}

fn quarantine(shared: &Shared, cell: &Cell, why: String) -> Error {
    tracing::error!(account = %cell.id, why, "the account is quarantined");
    add(&shared.meters.quarantined, 1);
    cell.door.close(|_| true, || Owner::Quarantined(why.clone()));
    Error::Quarantined { why }
}

/// Load, then apply: the account as its records made it, and the epoch its sequence belongs to.
fn restore(
    id: ringfence_core::AccountId,
    term: u64,
    image: Image,
) -> Result<(Account, Option<u64>), codec::BadBytes> {
    let first_term = image.tail.first().map(|record| record.term);
    let (mut account, epoch) = match image.header {
        None => (Account::new(id, term), first_term),
        Some((_, header)) => {
            let (epoch, head) = codec::read_header(&header)?;
            let pages: Result<Vec<Page>, _> =
                image.pages.iter().map(|(_, bytes)| codec::read_page(bytes)).collect();
            (Account::restore(id, term, head, pages?), Some(epoch))
        }
    };
    for record in &image.tail {
        account.replay(&codec::read_record(&record.bytes)?);
    }
    Ok((account, epoch))
}

/// An actor is gone without having been asked to: its account is brought up again from its journal, others see nothing.
pub(crate) fn failed(shared: &Arc<Shared>, actor: ractor::ActorId, why: &str) {
    let Some((_, cell)) = shared.by_actor.remove(&actor) else { return };
    let mut again = false;
    // Decided before anybody can find the account unloaded and bring it up.
    let decide = || {
        cell.armed.store(u64::MAX, Ordering::Release);
        cell.snapshotting.store(false, Ordering::Release);
        // Who is attached is known to the incarnation alone: routers are told to attach again.
        cell.routers.clear();
        if shared.is_closed() {
            return Owner::Closed;
        }
        if cell.failed(Instant::now()) {
            add(&shared.meters.quarantined, 1);
            tracing::error!(account = %cell.id, why, "the account failed again and again and is quarantined");
            return Owner::Quarantined(format!("it failed again and again, last: {why}"));
        }
        again = true;
        Owner::Unloaded
    };
    if !cell.door.close(|owner| owner.is(actor), decide) || !again {
        return;
    }
    add(&shared.meters.restarts, 1);
    tracing::error!(account = %cell.id, why, "the account's actor failed and is restarted from its journal");
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        // Whoever needs it next tries again, and hears why it does not work.
        drop(ready(&shared, &cell).await);
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use ringfence_core::input::{AgentEvent, EventInput, When};
    use ringfence_core::row::View;
    use ringfence_core::{AccountId, AgentId};

    use super::*;
    use crate::{CatchUp, Cursor, Durability, Engine, Options, Released};

    struct TempDir(std::path::PathBuf);

    impl TempDir {
        fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let n = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("ringfence-load-{}-{n}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a temporary directory");
            Self(path)
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn account(engine: &Engine, id: &str) -> crate::Account {
        engine.account(&AccountId::parse(id).expect("an id"))
    }

    async fn available(account: &crate::Account, agent: &str) {
        let agent = AgentId::parse(agent).expect("an id");
        account.put_agent(By::SYSTEM, agent.clone(), Default::default()).await.expect("an agent");
        let input = EventInput {
            agent,
            event: AgentEvent::Available,
            queues: None,
            create: false,
            expected_seq: None,
            when: When::Now,
        };
        account.event(By::SYSTEM, input).await.expect("available");
    }

    /// Makes the account's actor fail, and waits until another one answers in its place.
    async fn fail(engine: &Engine, id: &str) -> Result<(), Error> {
        let cell = engine.shared().cell(&AccountId::parse(id).expect("an id"));
        ready(engine.shared(), &cell).await?;
        let before = cell.door.owner().map(|actor| actor.get_id());
        cell.door.leave(Msg::Fail);
        loop {
            ready(engine.shared(), &cell).await?;
            // Nobody is there between the failure and the restart, or for good.
            let now = cell.door.owner().map(|actor| actor.get_id());
            if now.is_some() && now != before {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    async fn actor_of(engine: &Engine, id: &AccountId) -> Option<ractor::ActorId> {
        let cell = engine.shared().cell(id);
        ready(engine.shared(), &cell).await.expect("an actor");
        cell.door.owner().map(|actor| actor.get_id())
    }

    fn delta_agents(released: &Released, cursor: Cursor) -> Vec<String> {
        match released.catch_up(&View::Account, Some(cursor)) {
            CatchUp::Delta(delta) => {
                delta.agents.iter().map(|changed| changed.row.agent_id.to_string()).collect()
            }
            CatchUp::Live | CatchUp::Passed { .. } => Vec::new(),
            CatchUp::Snapshot(_) => vec!["a snapshot".to_owned()],
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_account_that_fails_comes_back_from_its_journal_and_others_see_nothing() {
        let dir = TempDir::new();
        let engine = Engine::open(Options::durable(&dir.0, Durability::Sync)).await.expect("an engine");
        let (acme, other) = (account(&engine, "acme"), account(&engine, "other"));
        available(&acme, "a1").await;
        available(&other, "b1").await;
        let before = acme.roster().await.expect("a roster");
        let elsewhere = other.roster().await.expect("a roster");
        let other_actor = actor_of(&engine, other.id()).await;
        fail(&engine, "acme").await.expect("a restart");
        assert_eq!(acme.roster().await.expect("the roster again"), before);
        available(&acme, "a2").await;
        let cursor = Cursor { epoch: before.epoch, seq: before.seq };
        let released = acme.released().await.expect("rows");
        assert_eq!(delta_agents(&released, cursor), ["a2"], "a reader goes on where it was");
        assert_eq!(other.roster().await.expect("the other roster"), elsewhere);
        assert_eq!(actor_of(&engine, other.id()).await, other_actor, "the other account went on");
        assert_eq!(engine.counters().restarts, 1);
        engine.shutdown().await.expect("a shutdown");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn permits_come_back_whatever_becomes_of_the_requests_that_held_them() {
        let permits = crate::Permits { steps: 4, rest: 4 };
        let engine = Engine::open(Options { permits, ..Options::memory() }).await.expect("an engine");
        let acme = account(&engine, "acme");
        let nobody = || AgentId::parse("nobody").expect("an id");
        for round in 0..4 {
            // Some are stepped before the failure, some are lost in its batch, some in the inbox.
            let before = acme.read_agent(nobody());
            let failing = fail(&engine, "acme");
            let (first, second) = (acme.read_agent(nobody()), acme.read_agent(nobody()));
            let (before, failed, first, second) = tokio::join!(before, failing, first, second);
            failed.expect("a restart");
            for answer in [before, first, second] {
                let told = matches!(answer, Err(Error::Refused(_) | Error::Unavailable));
                assert!(told, "round {round}: {answer:?}");
            }
        }
        let all = (0..4).map(|_| acme.read_agent(nobody()));
        for answer in futures_util::future::join_all(all).await {
            assert!(matches!(answer, Err(Error::Refused(_))), "{answer:?}");
        }
        engine.shutdown().await.expect("a shutdown");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_account_that_fails_again_and_again_is_quarantined_and_the_node_serves_on() {
        let dir = TempDir::new();
        let engine = Engine::open(Options::durable(&dir.0, Durability::Sync)).await.expect("an engine");
        available(&account(&engine, "acme"), "a1").await;
        let mut failures = 0;
        while fail(&engine, "acme").await.is_ok() {
            failures += 1;
            assert!(failures < 10, "never quarantined");
        }
        assert_eq!(failures, 5, "five restarts in ten seconds, not six");
        let answer = account(&engine, "acme").roster().await;
        assert!(matches!(answer, Err(Error::Quarantined { .. })), "{answer:?}");
        available(&account(&engine, "other"), "b1").await;
        engine.shutdown().await.expect("a shutdown");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn in_memory_a_failed_account_begins_anew_under_a_new_epoch_and_its_tokens_go_on() {
        let engine = Engine::open(Options::memory()).await.expect("an engine");
        let acme = account(&engine, "acme");
        available(&acme, "a1").await;
        let before = acme.roster().await.expect("a roster");
        engine.shared().cell(acme.id()).grants.store(41, Ordering::Release);
        fail(&engine, "acme").await.expect("a restart");
        let after = acme.roster().await.expect("a roster");
        assert!(after.epoch > before.epoch);
        assert!(after.agents.is_empty());
        assert_eq!(engine.shared().cell(acme.id()).grants.load(Ordering::Acquire), 41);
        engine.shutdown().await.expect("a shutdown");
    }
}
