//! The fence through the embed API: races, retries, two engines at once.

#![cfg(test)]

mod common;

use std::collections::BTreeSet;

use common::{TempDir, account, ask_as, hire, id, queue_without_wrap_up, reserve};
use ringfence::core::agent::By;
use ringfence::core::input::Verb;
use ringfence::core::queue::{QueueSettings, Strategy};
use ringfence::{Durability, Engine, Error, Options, Permits, Refusal};

async fn race(options: Options, strategy: Strategy, reserves: u32) {
    let engine = Engine::open(options).await.expect("an engine");
    let acme = account(&engine);
    let settings = QueueSettings { strategy, wrap_up_sec: Some(0), ..QueueSettings::default() };
    acme.put_queue(By::SYSTEM, id("q"), settings).await.expect("a queue");
    for n in 0..20 {
        hire(&acme, &format!("a{n}"), "q").await;
    }
    let mut racing = Vec::new();
    for n in 0..reserves {
        let acme = acme.clone();
        racing.push(tokio::spawn(async move { reserve(&acme, "q", &format!("call-{n}")).await }));
    }
    let (mut agents, mut tokens) = (BTreeSet::new(), BTreeSet::new());
    for task in racing {
        match task.await.expect("a reserve") {
            Ok(granted) => {
                assert!(agents.insert(granted.grant.offer.agent_id.clone()), "an agent was offered twice");
                assert!(tokens.insert(granted.grant.offer.fence), "a token was granted twice");
            }
            Err(Error::Refused(Refusal::NoAgent { .. })) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(agents.len(), 20, "every agent that was free was offered");
    engine.shutdown().await.expect("a shutdown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reserves_of_twenty_agents_succeed_twenty_times_in_memory() {
    race(Options::memory(), Strategy::LongestIdle, 1_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reserves_of_twenty_agents_succeed_twenty_times_durably() {
    let dir = TempDir::new("race");
    race(Options::durable(dir.path(), Durability::Sync), Strategy::LongestIdle, 1_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_reserves_of_twenty_agents_succeed_twenty_times_by_every_strategy() {
    let permits = Permits { rest: 20_000, ..Permits::default() };
    for strategy in Strategy::ALL {
        let options = Options { permits, ..Options::memory() };
        race(options, strategy, 10_000).await;
    }
}

#[tokio::test]
async fn a_retry_of_a_reserve_gets_the_grant_it_missed() {
    let engine = Engine::open(Options::memory()).await.expect("an engine");
    let acme = account(&engine);
    queue_without_wrap_up(&acme, "q").await;
    hire(&acme, "a1", "q").await;
    let first =
        acme.reserve_queue(By::ROUTER, id("q"), ask_as("c1", "o1"), Vec::new()).await.expect("a grant");
    let again =
        acme.reserve_queue(By::ROUTER, id("q"), ask_as("c1", "o1"), Vec::new()).await.expect("the grant");
    assert_eq!((first.grant.offer.clone(), true), (again.grant.offer, first.changed));
    assert!(!again.changed);
    let other = acme.reserve_queue(By::ROUTER, id("q"), ask_as("c2", "o1"), Vec::new()).await;
    assert_eq!(other, Err(Error::Refused(Refusal::OfferIdReused { offer: id("o1") })));
    let fence = first.grant.offer.fence;
    let answered =
        acme.offer(By::ROUTER, id("o1"), fence, Verb::Answer { leg: None }).await.expect("an answer");
    assert!(answered.changed);
    let late = acme.offer(By::ROUTER, id("o1"), fence, Verb::Cancel).await;
    assert!(matches!(late, Err(Error::Refused(Refusal::OfferEnded { .. }))), "{late:?}");
    engine.shutdown().await.expect("a shutdown");
}

#[tokio::test]
async fn two_engines_live_in_one_process() {
    let one = Engine::open(Options::memory()).await.expect("an engine");
    let other = Engine::open(Options::memory()).await.expect("another engine");
    for engine in [&one, &other] {
        queue_without_wrap_up(&account(engine), "q").await;
        hire(&account(engine), "a1", "q").await;
    }
    assert!(reserve(&account(&one), "q", "c1").await.is_ok());
    assert!(reserve(&account(&other), "q", "c1").await.is_ok(), "engines share nothing");
    one.shutdown().await.expect("a shutdown");
    other.shutdown().await.expect("a shutdown");
}
