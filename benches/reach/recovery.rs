//! Coming back: from a data directory with 100,000 agents to the first reserve.

use std::path::Path;
use std::time::Instant;

use ringfence::core::agent::By;
use ringfence::core::input::Ask;
use ringfence::{CallId, Durability, Engine, Options};

use crate::load::staffed;

const AGENTS: usize = 100_000;

/// Seconds from opening to the first grant.
pub fn load(runtime: &tokio::runtime::Runtime, dir: &Path) -> Result<f64, crate::Failure> {
    runtime.block_on(async {
        let options = || Options::durable(dir, Durability::Os);
        let engine = Engine::open(options()).await?;
        staffed(&engine, AGENTS).await?;
        engine.shutdown().await?;
        let start = Instant::now();
        let engine = Engine::open(options()).await?;
        let account = engine.account(&ringfence::AccountId::parse("bench")?);
        let ask = Ask { call: CallId::parse("first")?, offer: None, lease_ms: None, router: None };
        account.reserve_queue(By::ROUTER, ringfence::QueueId::parse("q")?, ask, Vec::new()).await?;
        let seconds = start.elapsed().as_secs_f64();
        engine.shutdown().await?;
        Ok(seconds)
    })
}
