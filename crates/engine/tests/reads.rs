#![cfg(test)]
//! What a caller can read of what it has just done.

mod common;

use common::{TempDir, account, hire, id, reserve};
use ringfence::core::agent::By;
use ringfence::core::bucket::Bucket;
use ringfence::core::input::Verb;
use ringfence::{AgentId, Durability, Engine, Error, Options, Refusal};

async fn a_row_follows_its_writes(options: Options, kept: bool) {
    let engine = Engine::open(options).await.expect("an engine");
    let account = account(&engine);
    hire(&account, "a1", "q").await;
    if kept {
        account.released().await.expect("rows");
    }
    let row = async |seq: u64| {
        let row = account.row(&id::<AgentId>("a1")).await.expect("a read").expect("the agent is there");
        assert!(row.seq >= seq, "{} is before {seq}", row.seq);
        row.live.as_ref().expect("a live fragment").bucket
    };
    for n in 0..20 {
        let call = format!("c{n}");
        let granted = reserve(&account, "q", &call).await.expect("a grant");
        assert_eq!(row(granted.seq).await, Bucket::Ringing);
        let (offer, fence) = (granted.grant.offer.offer_id.clone(), granted.grant.offer.fence);
        let answer = Verb::Answer { leg: None };
        let answered = account.offer(By::ROUTER, offer, fence, answer).await.expect("an answer");
        assert_eq!(row(answered.seq).await, Bucket::InCall);
        let ended = account.end_call(By::ROUTER, id(&call), None, None).await.expect("an end");
        assert_eq!(ended.agents, [id::<AgentId>("a1")]);
        assert_eq!(row(ended.seq).await, Bucket::WrapUp);
        common::event(&account, "a1", ringfence::core::input::AgentEvent::EndWrapUp, None)
            .await
            .expect("ready");
    }
    assert_eq!(account.row(&id::<AgentId>("nobody")).await, Ok(None));
    engine.shutdown().await.expect("a shutdown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_row_after_a_write_is_of_its_seq_or_later_in_memory() {
    a_row_follows_its_writes(Options::memory(), false).await;
    a_row_follows_its_writes(Options::memory(), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_row_after_a_write_is_of_its_seq_or_later_durably() {
    for kept in [false, true] {
        let dir = TempDir::new("reads");
        a_row_follows_its_writes(Options::durable(dir.path(), Durability::Os), kept).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_that_expects_a_row_commands_it_alone() {
    let engine = Engine::open(Options::memory()).await.expect("an engine");
    let account = account(&engine);
    hire(&account, "a1", "q").await;
    let seq = account.read_agent(id("a1")).await.expect("a row").row.seq;
    let stale = account.expecting(Some(seq + 1));
    let refused = stale.reserve_agent(By::ROUTER, id("a1"), None, common::ask("c1")).await;
    assert_eq!(refused, Err(Error::Refused(Refusal::SeqMismatch { expected: seq + 1, found: seq })));
    assert_eq!(stale.read_agent(id("a1")).await.expect("reads are not held to it").row.seq, seq);
    let granted =
        account.expecting(Some(seq)).reserve_agent(By::ROUTER, id("a1"), None, common::ask("c1")).await;
    assert!(granted.expect("a grant").changed);
    engine.shutdown().await.expect("a shutdown");
}
