//! What everybody who works for one account shares.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringfence_client::{AgentEventBody, Api, ApiError};
use ringfence_core::AgentId;
use ringfence_core::row::Live;
use tokio::sync::watch;

use crate::demo::ledger::Ledger;
use crate::demo::pace::Pace;
use crate::demo::plan::AccountPlan;
use crate::demo::random::Random;
use crate::demo::tally::{Count, Tally};
use crate::demo::watch::Seen;

/// How long anybody waits before trying again what did not reach the server.
const AGAIN: Duration = Duration::from_millis(500);
/// Attempts of what must be done for the rest to make sense, such as the end of a call.
const ATTEMPTS_MAX: u32 = 5;

#[derive(Debug)]
pub struct Floor {
    pub api: Api,
    pub plan: AccountPlan,
    pub pace: Pace,
    pub seed: u64,
    pub ledger: Ledger,
    pub tally: Arc<Tally>,
    /// The account as the stream shows it.
    pub seen: watch::Receiver<Arc<Seen>>,
    /// How each agent reacts when it rings.
    moods: HashMap<AgentId, Mutex<Random>>,
}

impl Floor {
    pub fn new(
        api: Api,
        plan: AccountPlan,
        pace: Pace,
        seed: u64,
        tally: Arc<Tally>,
        seen: watch::Receiver<Arc<Seen>>,
    ) -> Self {
        let mood = |id: &AgentId| Mutex::new(Random::of(seed, &[plan.id.as_str(), id.as_str(), "mood"]));
        let moods = plan.agents.iter().map(|agent| (agent.id.clone(), mood(&agent.id))).collect();
        Self { api, plan, pace, seed, ledger: Ledger::default(), tally, seen, moods }
    }

    /// The generator of somebody of this account.
    pub fn random(&self, labels: &[&str]) -> Random {
        let labels: Vec<&str> =
            std::iter::once(self.plan.id.as_str()).chain(labels.iter().copied()).collect();
        Random::of(self.seed, &labels)
    }

    /// One draw of an agent's own generator; none for somebody who is not in the plan.
    pub fn mood<T>(&self, agent: &AgentId, draw: impl FnOnce(&mut Random) -> T) -> Option<T> {
        let mood = self.moods.get(agent)?;
        Some(draw(&mut mood.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// What the board shows of an agent.
    pub fn live(&self, agent: &AgentId) -> Option<Arc<Live>> {
        self.seen.borrow().table.agents().get(agent)?.live.clone()
    }

    /// What the agent's app says; a refusal is an answer too. Whether the server took it.
    pub async fn say(&self, agent: &AgentId, event: &AgentEventBody) -> bool {
        for _ in 0..ATTEMPTS_MAX {
            match self.api.event(agent, event).await {
                Ok(_) => return true,
                Err(error) if error.is_passing() => self.missed(&error).await,
                Err(error) => {
                    self.refused("an agent's event", &error);
                    return false;
                }
            }
        }
        false
    }

    /// Waits a little for what passes.
    pub async fn missed(&self, error: &ApiError) {
        self.unexpected("a request", error);
        tokio::time::sleep(AGAIN).await;
    }

    /// A conflict is how the server says no: somebody else was faster. Everything else should not have happened.
    pub fn refused(&self, what: &str, error: &ApiError) {
        if error.status() != Some(409) {
            self.unexpected(what, error);
        }
    }

    pub fn unexpected(&self, what: &str, error: &ApiError) {
        tracing::warn!(account = %self.plan.id, %error, what, "not expected");
        self.tally.note(Count::Unexpected, format!("{}: {what}: {error}", self.plan.id));
    }
}
