//! What comes back after a stop: everything that was acknowledged, with tokens and sequences that go on.

#![cfg(test)]

mod common;

use common::{TempDir, account, end, event, hire, id, queue_without_wrap_up, reserve};
use ringfence::core::agent::By;
use ringfence::core::input::{AgentEvent, Verb};
use ringfence::core::row::View;
use ringfence::{CatchUp, Clock, Cursor, Durability, Engine, Error, Options, Refusal, Time};

fn options(dir: &TempDir) -> Options {
    Options { tail_bytes: 4 * 1024, ..Options::durable(dir.path(), Durability::Sync) }
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_a_restart_and_tokens_go_on() {
    let dir = TempDir::new("restart");
    let engine = Engine::open(options(&dir)).await.expect("an engine");
    let acme = account(&engine);
    queue_without_wrap_up(&acme, "q").await;
    for n in 0..100 {
        hire(&acme, &format!("a{n}"), "q").await;
    }
    for n in 0..200 {
        let call = format!("c{n}");
        let offer = reserve(&acme, "q", &call).await.expect("a grant").grant.offer;
        acme.offer(By::ROUTER, offer.offer_id.clone(), offer.fence, Verb::Answer { leg: None })
            .await
            .expect("an answer");
        end(&acme, &call).await;
    }
    let live = reserve(&acme, "q", "live").await.expect("a grant").grant.offer;
    event(&acme, "a7", AgentEvent::Pause { reason: None }, None).await.expect("a pause");
    let before = acme.roster().await.expect("a roster");
    engine.shutdown().await.expect("a shutdown");

    let engine = Engine::open(options(&dir)).await.expect("the engine again");
    let acme = account(&engine);
    let after = acme.roster().await.expect("the roster again");
    assert_eq!(after.agents, before.agents, "rows come back as they were");
    assert_eq!(after.queues, before.queues);
    assert_eq!((after.epoch, after.seq, after.counts), (before.epoch, before.seq, before.counts));
    let still = acme.read_offer(live.offer_id.clone()).await.expect("the live offer");
    assert_eq!(still.grant.offer, live, "a live offer keeps its token and its lease");
    assert_eq!(
        reserve(&acme, "q", "live").await,
        Err(Error::Refused(Refusal::CallAlreadyOffered {
            call: id("live"),
            offer: live.offer_id.clone(),
            agent: live.agent_id.clone()
        }))
    );
    let next = reserve(&acme, "q", "next").await.expect("a grant").grant.offer;
    assert!(next.fence > live.fence, "{} after {}", next.fence, live.fence);
    engine.shutdown().await.expect("a shutdown");
}

#[tokio::test]
async fn a_reader_who_was_away_during_a_restart_misses_nothing() {
    let dir = TempDir::new("away");
    let engine = Engine::open(options(&dir)).await.expect("an engine");
    let acme = account(&engine);
    queue_without_wrap_up(&acme, "q").await;
    hire(&acme, "a1", "q").await;
    hire(&acme, "a2", "q").await;
    let roster = acme.roster().await.expect("a roster");
    let cursor = Cursor { epoch: roster.epoch, seq: roster.seq };
    event(&acme, "a1", AgentEvent::Pause { reason: None }, None).await.expect("a pause");
    acme.remove_agent(By::SYSTEM, id("a2")).await.expect("a removal");
    engine.shutdown().await.expect("a shutdown");

    let engine = Engine::open(options(&dir)).await.expect("the engine again");
    let released = account(&engine).released().await.expect("rows");
    match released.catch_up(&View::Account, Some(cursor)) {
        CatchUp::Delta(delta) => {
            let changed: Vec<&str> =
                delta.agents.iter().map(|changed| changed.row.agent_id.as_str()).collect();
            assert_eq!(changed, ["a1"]);
            assert_eq!(delta.removed, [id("a2")]);
            assert_eq!((delta.from, delta.to), (cursor.seq, cursor.seq + 2));
        }
        CatchUp::Live | CatchUp::Passed { .. } | CatchUp::Snapshot(_) => panic!("a delta was expected"),
    }
    engine.shutdown().await.expect("a shutdown");
}

#[tokio::test]
async fn one_process_per_data_directory() {
    let dir = TempDir::new("lock");
    let engine = Engine::open(options(&dir)).await.expect("an engine");
    let second = Engine::open(options(&dir)).await;
    let problem = second.expect_err("a second engine on one directory").to_string();
    assert!(problem.contains("in use"), "{problem}");
    engine.shutdown().await.expect("a shutdown");
    let again = Engine::open(options(&dir)).await.expect("free again");
    again.shutdown().await.expect("a shutdown");
}

#[tokio::test]
async fn the_first_record_of_a_day_asks_for_the_state_its_history_begins_with() {
    const DAY_MS: u64 = 86_400_000;
    let dir = TempDir::new("days");
    let clock = Clock::manual(Time::from_ms(20_000 * DAY_MS + 1_000));
    let plain = Options { clock: clock.clone(), ..Options::durable(dir.path(), Durability::Sync) };
    let engine = Engine::open(plain.clone()).await.expect("an engine");
    let acme = account(&engine);
    queue_without_wrap_up(&acme, "q").await;
    hire(&acme, "a1", "q").await;
    assert_eq!(engine.counters().snapshots, 0, "what begins with nothing needs no state");
    clock.advance_ms(DAY_MS);
    while engine.counters().snapshots == 0 {
        event(&acme, "a1", AgentEvent::Pause { reason: None }, None).await.expect("a pause");
        event(&acme, "a1", AgentEvent::Available, None).await.expect("available");
    }
    for _ in 0..50 {
        event(&acme, "a1", AgentEvent::Pause { reason: None }, None).await.expect("a pause");
        event(&acme, "a1", AgentEvent::Available, None).await.expect("available");
    }
    assert_eq!(engine.counters().snapshots, 1, "once a day");
    engine.shutdown().await.expect("a shutdown");

    // Without a history nobody wants it.
    let engine = Engine::open(Options { history: None, ..plain }).await.expect("an engine");
    let acme = account(&engine);
    clock.advance_ms(DAY_MS);
    for _ in 0..50 {
        event(&acme, "a1", AgentEvent::Pause { reason: None }, None).await.expect("a pause");
        event(&acme, "a1", AgentEvent::Available, None).await.expect("available");
    }
    assert_eq!(engine.counters().snapshots, 0);
    engine.shutdown().await.expect("a shutdown");
}

#[tokio::test]
async fn the_journal_is_trimmed_behind_snapshots() {
    let dir = TempDir::new("trim");
    let engine = Engine::open(options(&dir)).await.expect("an engine");
    let acme = account(&engine);
    queue_without_wrap_up(&acme, "q").await;
    hire(&acme, "a1", "q").await;
    for n in 0..600 {
        let offer = reserve(&acme, "q", &format!("c{n}")).await.expect("a grant").grant.offer;
        acme.offer(By::ROUTER, offer.offer_id.clone(), offer.fence, Verb::Cancel).await.expect("a cancel");
    }
    let counters = engine.counters();
    assert!(counters.journal_bytes > 16 * 4096, "{counters:?}");
    assert!(counters.journal_tail_bytes < counters.journal_bytes / 2, "{counters:?}");
    let before = acme.roster().await.expect("a roster");
    engine.shutdown().await.expect("a shutdown");
    let engine = Engine::open(options(&dir)).await.expect("the engine again");
    assert_eq!(account(&engine).roster().await.expect("the roster again").agents, before.agents);
    engine.shutdown().await.expect("a shutdown");
}
