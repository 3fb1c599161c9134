//! The engine under the load of routers that reserve, answer and end.

use std::path::Path;
use std::time::Instant;

use ringfence::core::agent::{Address, AddressKind, AgentEntry, By};
use ringfence::core::input::{AgentEvent, Ask, EventInput, QueueChoice, Verb, When};
use ringfence::core::queue::QueueSettings;
use ringfence::{Account, AccountId, AgentId, CallId, Durability, Engine, Options, QueueId};

const CYCLES: usize = 100_000;
const DURABLE_CYCLES: usize = 1_000;
const AGENTS: usize = 200;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// An account with `agents` available agents in one queue without wrap-up.
pub async fn staffed(engine: &Engine, agents: usize) -> Result<(Account, QueueId), Failure> {
    let account = engine.account(&AccountId::parse("bench")?);
    let queue = QueueId::parse("q")?;
    let settings = QueueSettings { wrap_up_sec: Some(0), ..QueueSettings::default() };
    account.put_queue(By::SYSTEM, queue.clone(), settings).await?;
    for n in 0..agents {
        let agent = AgentId::parse(&format!("agent-{n}"))?;
        let address = Address { kind: AddressKind::Tel, target: format!("+1{:010}", n), ring: true };
        let entry = AgentEntry { addresses: vec![address], ..AgentEntry::default() };
        account.put_agent(By::SYSTEM, agent.clone(), entry).await?;
        let queues = Some(vec![QueueChoice { queue: queue.clone(), tier: None, position: None }]);
        let input = EventInput {
            agent,
            event: AgentEvent::Available,
            queues,
            create: false,
            expected_seq: None,
            when: When::Now,
        };
        account.event(By::SYSTEM, input).await?;
    }
    Ok((account, queue))
}

async fn cycle(account: &Account, queue: &QueueId, call: String) -> Result<(), Failure> {
    let call = CallId::parse(&call)?;
    let ask = Ask { call: call.clone(), offer: None, lease_ms: None, router: None };
    let offer = account.reserve_queue(By::ROUTER, queue.clone(), ask, Vec::new()).await?.grant.offer;
    account.offer(By::ROUTER, offer.offer_id.clone(), offer.fence, Verb::Answer { leg: None }).await?;
    account.end_call(By::ROUTER, call, None, None).await?;
    Ok(())
}

/// Microseconds per cycle of `callers` at once.
pub async fn cycles_in_memory(callers: usize) -> Result<f64, Failure> {
    let engine = Engine::open(Options::memory()).await?;
    let (account, queue) = staffed(&engine, AGENTS).await?;
    let start = Instant::now();
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let (account, queue) = (account.clone(), queue.clone());
        tasks.push(tokio::spawn(async move {
            for n in 0..CYCLES / callers {
                cycle(&account, &queue, format!("c{caller}-{n}")).await?;
            }
            Ok::<(), Failure>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let us = start.elapsed().as_secs_f64() * 1e6 / (CYCLES / callers * callers) as f64;
    engine.shutdown().await?;
    Ok(us)
}

/// Microseconds per operation of one caller who waits for each to be durable.
pub async fn durable_single_caller(dir: &Path) -> Result<f64, Failure> {
    let engine = Engine::open(Options::durable(dir, Durability::Sync)).await?;
    let (account, queue) = staffed(&engine, 10).await?;
    let start = Instant::now();
    for n in 0..DURABLE_CYCLES {
        cycle(&account, &queue, format!("c{n}")).await?;
    }
    let us = start.elapsed().as_secs_f64() * 1e6 / (3 * DURABLE_CYCLES) as f64;
    engine.shutdown().await?;
    Ok(us)
}
