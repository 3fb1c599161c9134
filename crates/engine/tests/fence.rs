//! The fence through the embed API: races, retries, two engines at once.

#![cfg(test)]

mod common;

use std::collections::BTreeSet;

use common::{TempDir, account, ask_as, hire, id, queue_without_wrap_up, reserve};
use ringfence::core::agent::By;
use ringfence::core::input::Verb;
use ringfence::core::offer::Outcome;
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
                for grant in std::iter::once(&granted.grant).chain(&granted.grant.group) {
                    assert!(agents.insert(grant.offer.agent_id.clone()), "an agent was offered twice");
                    assert!(tokens.insert(grant.offer.fence), "a token was granted twice");
                }
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_who_answer_a_ring_all_at_once_one_wins_and_the_others_have_lost_the_race() {
    let engine = Engine::open(Options::memory()).await.expect("an engine");
    let acme = account(&engine);
    let settings =
        QueueSettings { strategy: Strategy::RingAll, wrap_up_sec: Some(0), ..QueueSettings::default() };
    acme.put_queue(By::SYSTEM, id("q"), settings).await.expect("a queue");
    for n in 0..32 {
        hire(&acme, &format!("a{n}"), "q").await;
    }
    for round in 0..20 {
        let call = format!("call-{round}");
        let granted = reserve(&acme, "q", &call).await.expect("a group").grant;
        let group: Vec<_> =
            std::iter::once(&granted).chain(&granted.group).map(|g| g.offer.clone()).collect();
        assert_eq!(group.len(), 32);
        let mut racing = Vec::new();
        for offer in group {
            let acme = acme.clone();
            racing.push(tokio::spawn(async move {
                let verb = Verb::Answer { leg: None };
                acme.offer(By::ROUTER, offer.offer_id.clone(), offer.fence, verb).await
            }));
        }
        let mut winners = 0;
        for task in racing {
            match task.await.expect("an answer") {
                Ok(_) => winners += 1,
                Err(Error::Refused(Refusal::OfferEnded { outcome: Outcome::LostRace, .. })) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(winners, 1);
        common::end(&acme, &call).await;
    }
    engine.shutdown().await.expect("a shutdown");
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
