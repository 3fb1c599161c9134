//! A call router in one process: it embeds the engine, reserves an agent for each caller, answers, ends the call, and
//! prints what a wallboard would see.
//!
//! `cargo run -p ringfence-examples --example embed`

#![allow(clippy::print_stdout, reason = "printing is what this example is for")]

use std::sync::Arc;

use ringfence::core::agent::{Address, AddressKind, AgentEntry, By};
use ringfence::core::input::{AgentEvent, Ask, EventInput, QueueChoice, Verb, When};
use ringfence::core::queue::QueueSettings;
use ringfence::core::row::View;
use ringfence::{
    Account, AccountId, AgentId, CallId, CatchUp, Cursor, Engine, Error, Options, QueueId, Refusal, Released,
};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let engine = Engine::open(Options::memory()).await?;
    let acme = engine.account(&AccountId::parse("acme")?);
    let sales = QueueId::parse("sales")?;
    let settings = QueueSettings { wrap_up_sec: Some(0), ..QueueSettings::default() };
    acme.put_queue(By::SYSTEM, sales.clone(), settings).await?;

    let board = tokio::spawn(print_stream(acme.released().await?));
    for (id, name, tel) in [("1001", "Ada", "+15550100001"), ("1002", "Grace", "+15550100002")] {
        hire(&acme, id, name, tel, &sales).await?;
    }
    for caller in 1..=3 {
        take(&acme, &sales, &format!("call-{caller}")).await?;
    }
    // Two agents, three calls at once: the third is told why it has to wait.
    for caller in 4..=6 {
        match reserve(&acme, &sales, &format!("call-{caller}")).await {
            Ok(agent) => println!("call-{caller} rings {agent}"),
            Err(Error::Refused(Refusal::NoAgent { failing, .. })) => {
                println!("call-{caller} waits: {failing:?}")
            }
            Err(other) => return Err(other.into()),
        }
    }
    engine.shutdown().await?;
    board.abort();
    Ok(())
}

/// An agent on a phone of the public network, which needs no registration.
async fn hire(acme: &Account, id: &str, name: &str, tel: &str, queue: &QueueId) -> Result<(), Failure> {
    let agent = AgentId::parse(id)?;
    let address = Address { kind: AddressKind::Tel, target: tel.to_owned(), ring: true };
    let entry = AgentEntry { name: Some(name.to_owned()), addresses: vec![address], ..AgentEntry::default() };
    acme.put_agent(By::SYSTEM, agent.clone(), entry).await?;
    let queues = Some(vec![QueueChoice { queue: queue.clone(), tier: None, position: None }]);
    let event = AgentEvent::Available;
    acme.event(
        By::SYSTEM,
        EventInput { agent, event, queues, create: false, expected_seq: None, when: When::Now },
    )
    .await?;
    Ok(())
}

/// One caller: reserve, ring, answer, talk, end.
async fn take(acme: &Account, queue: &QueueId, call: &str) -> Result<(), Failure> {
    let call = CallId::parse(call)?;
    let ask = Ask { call: call.clone(), offer: None, lease_ms: Some(20_000), router: None };
    let offer = acme.reserve_queue(By::ROUTER, queue.clone(), ask, Vec::new()).await?.grant.offer;
    println!(
        "{call} rings {} at {:?} under token {}",
        offer.agent_id, offer.addresses[0].target, offer.fence
    );
    acme.offer(By::ROUTER, offer.offer_id.clone(), offer.fence, Verb::Answer { leg: None }).await?;
    acme.end_call(By::ROUTER, call, None, None).await?;
    Ok(())
}

async fn reserve(acme: &Account, queue: &QueueId, call: &str) -> Result<AgentId, Error> {
    let Ok(call) = CallId::parse(call) else { return Err(Error::Unavailable) };
    let ask = Ask { call, offer: None, lease_ms: None, router: None };
    Ok(acme.reserve_queue(By::ROUTER, queue.clone(), ask, Vec::new()).await?.grant.offer.agent_id.clone())
}

/// What a wallboard does: catch up, then wait for more. A slow reader gets fewer, larger deltas.
async fn print_stream(rows: Arc<Released>) {
    let mut cursor: Option<Cursor> = None;
    loop {
        match rows.catch_up(&View::Account, cursor) {
            CatchUp::Snapshot(all) => {
                println!("stream: snapshot at seq {}: {} agents", all.seq, all.agents.len());
                cursor = Some(Cursor { epoch: all.epoch, seq: all.seq });
            }
            CatchUp::Delta(delta) => {
                for changed in &delta.agents {
                    let live = changed.row.live.as_deref();
                    println!(
                        "stream: seq {} {} is {}",
                        changed.row.seq,
                        changed.row.agent_id,
                        live.map_or("?", |live| live.bucket.as_str())
                    );
                }
                cursor = Some(Cursor { epoch: rows.epoch(), seq: delta.to });
            }
            CatchUp::Passed { to } => cursor = Some(Cursor { epoch: rows.epoch(), seq: to }),
            CatchUp::Live => match cursor {
                Some(cursor) => rows.changed(cursor).await,
                None => return,
            },
        }
    }
}
