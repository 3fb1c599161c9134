//! The whole centre: opened, watched while it works, closed, checked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use ringfence_client::{Api, ApiError};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::demo::check::{self, Compared};
use crate::demo::floor::Floor;
use crate::demo::pace::Pace;
use crate::demo::plan::{self, AccountPlan};
use crate::demo::tally::{Counts, Tally};
use crate::demo::{agent, callers, line, phones, status, watch as watching};
use crate::failure::Failure;
use crate::key_offline::now_ms;

/// Messages on their way to a line; a caller who comes faster waits to be taken.
const TO_LINE_MAX: usize = 64;
/// Agents set up at once.
const AT_ONCE: usize = 16;
/// In so many of the centre's seconds somebody must have hung up.
const LONG_SEC: f64 = 40.0;

pub struct Centre {
    floors: Vec<Arc<Floor>>,
    tally: Arc<Tally>,
    opened: Instant,
    /// Everybody who does something.
    people: JoinSet<()>,
    /// Those who only look, also after the doors are closed.
    watchers: JoinSet<()>,
}

/// What a check found.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub ok: bool,
    pub why: Vec<String>,
    pub seconds: f64,
    pub counts: Counts,
    pub accounts: Vec<Compared>,
    /// Double offers and unexpected answers in words.
    pub notes: Vec<String>,
}

impl Centre {
    pub async fn open(api: &Api, seed: u64, speed: f64) -> Result<Self, Failure> {
        let (opened, tally) = (Instant::now(), Arc::new(Tally::default()));
        let pace = Pace::new(speed, opened, now_ms());
        let (mut floors, mut watchers) = (Vec::new(), JoinSet::new());
        for plan in plan::centre(seed, &pace).map_err(Failure::of)? {
            let api = api.for_account(plan.id.clone());
            let (send, seen) = watch::channel(Arc::default());
            watchers.spawn(watching::run(api.clone(), send));
            floors.push(Arc::new(Floor::new(api, plan, pace, seed, Arc::clone(&tally), seen)));
        }
        for floor in &floors {
            let failed =
                |error| Failure::Failed(format!("cannot set up the account {}: {error}", floor.plan.id));
            furnish(&floor.api, &floor.plan).await.map_err(failed)?;
            hang_up_the_old(&floor.api).await.map_err(failed)?;
        }
        watchers.spawn(status::run(floors.clone(), Arc::clone(&tally)));
        let mut people = JoinSet::new();
        for floor in &floors {
            staff(&mut people, floor);
        }
        Ok(Self { floors, tally, opened, people, watchers })
    }

    pub fn accounts(&self) -> Vec<String> {
        self.floors.iter().map(|floor| floor.plan.id.to_string()).collect()
    }

    /// Returns when somebody cannot go on: a bug of the simulation.
    pub async fn failed(&mut self) -> Failure {
        while let Some(ended) = self.people.join_next().await {
            if let Err(error) = ended {
                return Failure::Failed(format!("the simulation broke: {error}"));
            }
        }
        Failure::Failed("the simulation ended by itself".to_owned())
    }

    /// Everybody drops what they hold; what was granted ends by its lease.
    pub async fn close(&mut self) {
        self.people.shutdown().await;
    }

    pub fn double_offers(&self) -> u64 {
        self.tally.counts().double_offers
    }

    pub async fn check(&mut self) -> Result<Summary, Failure> {
        let seconds = self.opened.elapsed().as_secs_f64();
        let lived_sec = self.floors.first().map_or(0.0, |floor| floor.pace.now());
        let (mut accounts, mut why) = (Vec::new(), Vec::new());
        for floor in &self.floors {
            let compared = check::compare(floor).await.map_err(Failure::of)?;
            if !compared.is_sound(floor.plan.agents.len()) {
                why.push(format!("the board of {} is not its roster", compared.account));
            }
            accounts.push(compared);
        }
        self.watchers.shutdown().await;
        let counts = self.tally.counts();
        let wrong = [
            (counts.answered == 0, "no call was answered"),
            (counts.ended == 0 && lived_sec > LONG_SEC, "no call ended"),
            (counts.double_offers > 0, "an agent was offered two calls at once"),
            (counts.unexpected > 0, "the server answered what it should not have"),
        ];
        why.extend(wrong.into_iter().filter(|(is, _)| *is).map(|(_, words)| words.to_owned()));
        Ok(Summary { ok: why.is_empty(), why, seconds, counts, accounts, notes: self.tally.kept() })
    }
}

/// The account's queues, reasons and agents.
async fn furnish(api: &Api, plan: &AccountPlan) -> Result<(), ApiError> {
    for queue in &plan.queues {
        api.put_queue(&queue.id, &queue.settings).await?;
    }
    for reason in &plan.reasons {
        api.put_reason(&reason.id, &reason.fields).await?;
    }
    for some in plan.agents.chunks(AT_ONCE) {
        let mut writes = JoinSet::new();
        for agent in some.iter().cloned() {
            let api = api.clone();
            writes.spawn(async move { api.put_agent(&agent.id, &agent.fields).await });
        }
        while let Some(written) = writes.join_next().await {
            if let Ok(written) = written {
                written?;
            }
        }
    }
    Ok(())
}

/// Over a directory that was used before: calls of a run that is over are over, as a router would say that restarts.
async fn hang_up_the_old(api: &Api) -> Result<(), ApiError> {
    for row in api.presence().await?.agents {
        let Some(live) = row.live else { continue };
        for call in &live.calls {
            api.end_call(&call.call_id, None).await?;
        }
        for call in &live.external {
            let end = json!({"event": "end", "call_id": call.call_id, "agent_id": row.agent_id});
            api.call_events(&[end]).await?;
        }
    }
    Ok(())
}

fn staff(people: &mut JoinSet<()>, floor: &Arc<Floor>) {
    people.spawn(phones::run(Arc::clone(floor)));
    for index in 0..floor.plan.agents.len() {
        people.spawn(agent::live(Arc::clone(floor), index));
    }
    let mut lines = HashMap::new();
    for queue in &floor.plan.queues {
        let (send, inbox) = mpsc::channel(TO_LINE_MAX);
        people.spawn(line::run(Arc::clone(floor), queue.id.clone(), send.clone(), inbox));
        lines.insert(queue.id.clone(), send);
    }
    people.spawn(callers::arrive(Arc::clone(floor), lines));
}
