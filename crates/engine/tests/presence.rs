//! What is to come, who assigned what, and calls that agents place, through the embed API and over a restart.

#![cfg(test)]

mod common;

use common::{TempDir, account, ask, end, hire, id, reserve};
use ringfence::core::agent::{By, Role};
use ringfence::core::bucket::Bucket;
use ringfence::core::call::Direction;
use ringfence::core::input::{Action, ActionInput, AgentEvent, EventInput, QueueChoice, Verb, When};
use ringfence::core::queue::QueueSettings;
use ringfence::core::row::StatusWord;
use ringfence::{Account, AgentId, Durability, Engine, Error, OfferAnswer, Options, QueueId, Refusal};

async fn answered(acme: &Account, offer: OfferAnswer) {
    let offer = offer.grant.offer;
    let verb = Verb::Answer { leg: None };
    acme.offer(By::ROUTER, offer.offer_id.clone(), offer.fence, verb).await.expect("an answer");
}

fn action(agent: &str, action: Action, dry_run: bool) -> ActionInput {
    ActionInput { agent: id(agent), action, expected_seq: None, note: None, dry_run }
}

#[tokio::test]
async fn a_status_for_after_the_call_survives_a_restart_and_comes_with_the_end_of_the_wrap_up() {
    let dir = TempDir::new("next");
    let open = || Engine::open(Options::durable(dir.path(), Durability::Sync));
    let engine = open().await.expect("an engine");
    let acme = account(&engine);
    let settings = QueueSettings { wrap_up_sec: None, ..QueueSettings::default() };
    acme.put_queue(By::SYSTEM, id("q"), settings).await.expect("a queue");
    hire(&acme, "a", "q").await;
    answered(&acme, reserve(&acme, "q", "k1").await.expect("a grant")).await;
    let input = EventInput {
        agent: id("a"),
        event: AgentEvent::Pause { reason: None },
        queues: None,
        create: false,
        expected_seq: None,
        when: When::AfterCall,
    };
    let anna = By::new(Role::Supervisor, "anna");
    let answer = acme.event(anna.clone(), input).await.expect("a pause to come");
    assert!(answer.changed);
    engine.shutdown().await.expect("a shutdown");

    let engine = open().await.expect("the engine again");
    let acme = account(&engine);
    end(&acme, "k1").await;
    let live = acme.read_agent(id("a")).await.expect("an agent").row.live.expect("a live half");
    let next = live.next.clone().expect("a status to come");
    assert_eq!((live.bucket, next.status, &next.by), (Bucket::WrapUp, StatusWord::OnBreak, &anna));
    let ended = acme.act(By::new(Role::Supervisor, "bert"), action("a", Action::EndWrapUp, false)).await;
    let live = ended.expect("an end of wrap-up").row.live.expect("a live half");
    assert_eq!((live.bucket, &live.next, &live.changed_by), (Bucket::Paused, &None, &anna));
    engine.shutdown().await.expect("a shutdown");
}

#[tokio::test]
async fn a_dry_run_answers_what_the_action_then_does() {
    let engine = Engine::open(Options::memory()).await.expect("an engine");
    let acme = account(&engine);
    hire(&acme, "a", "q").await;
    reserve(&acme, "q", "k1").await.expect("a grant");
    let by = By::new(Role::Supervisor, "anna");
    let clear = |dry_run| acme.act(by.clone(), action("a", Action::ClearStuck, dry_run));
    let dry = clear(true).await.expect("a dry run");
    let planned = dry.planned.expect("a plan");
    assert_eq!((dry.changed, planned.len()), (true, 1), "{planned:?}");
    assert_eq!(dry.row, acme.read_agent(id("a")).await.expect("an agent").row, "nothing has changed");
    let done = clear(false).await.expect("an action");
    assert!(done.changed && done.planned.is_none());
    assert_eq!(done.row.live.expect("a live half").bucket, Bucket::Ready);
    let refused = acme.act(By::new(Role::Agent, "a"), action("a", Action::ClearStuck, true)).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::SupervisorsOnly { .. }))), "{refused:?}");
    engine.shutdown().await.expect("a shutdown");
}

#[tokio::test]
async fn an_agent_that_dials_out_and_a_router_cannot_both_win() {
    let engine = Engine::open(Options::memory()).await.expect("an engine");
    let acme = account(&engine);
    hire(&acme, "a", "q").await;
    let by = By::new(Role::Agent, "a");
    let (own, routers) = tokio::join!(acme.self_reserve(by, id("a"), ask("k1")), reserve(&acme, "q", "k2"));
    assert!(own.is_ok() != routers.is_ok(), "{own:?} {routers:?}");
    let won = own.or(routers).expect("one of them").grant.offer;
    assert_eq!(won.direction == Direction::Outbound, won.call_id.as_str() == "k1");
    engine.shutdown().await.expect("a shutdown");
}

#[tokio::test]
async fn administrators_assign_and_agents_cannot_leave() {
    let engine = Engine::open(Options::memory()).await.expect("an engine");
    let acme = account(&engine);
    hire(&acme, "a", "q").await;
    let fixed = QueueSettings {
        membership_mode: ringfence::core::agent::MembershipMode::Static,
        ..QueueSettings::default()
    };
    let (agent, queue) = (id::<AgentId>("a"), id::<QueueId>("s"));
    acme.put_queue(By::SYSTEM, queue.clone(), fixed).await.expect("a queue");
    let choice = || QueueChoice { queue: queue.clone(), tier: Some(3), position: None };
    let own = By::new(Role::Agent, "a");
    let refused = acme.assign(own.clone(), agent.clone(), choice()).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::MembershipDenied { .. }))), "{refused:?}");
    let admin = By::new(Role::Api, "key_1");
    let assigned = acme.assign(admin.clone(), agent.clone(), choice()).await.expect("a membership");
    assert_eq!(assigned.row.directory.expect("a directory half").queues.len(), 2);
    let refused = acme.unassign(own, agent.clone(), queue.clone()).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::MembershipDenied { .. }))), "{refused:?}");
    assert!(acme.unassign(admin, agent, queue).await.expect("its end").changed);
    engine.shutdown().await.expect("a shutdown");
}
