//! A day of an agent: at the desk, on a break, on the phone with somebody of their own, gone for a while.

use std::sync::Arc;

use ringfence_client::{AgentEventBody, QueueChoiceBody};
use ringfence_core::agent::{RONA, State};
use ringfence_core::bucket::Bucket;

use crate::demo::external;
use crate::demo::floor::Floor;
use crate::demo::plan::{AgentPlan, Begins};
use crate::demo::random::Random;
use crate::demo::tally::Count;

/// Mean time at the desk before something else comes up, in seconds.
const STINT_SEC: f64 = 320.0;
/// How often the agent looks at their own screen.
const GLANCE_SEC: f64 = 12.0;
/// The first of the shift log in over this long.
const OPENING_SEC: f64 = 0.8;

/// What comes up.
#[derive(Debug, Clone, Copy)]
enum Errand {
    Break,
    OwnCall,
    Away,
}

const ERRANDS: [(f64, Errand); 3] = [(0.62, Errand::Break), (0.26, Errand::OwnCall), (0.12, Errand::Away)];

pub async fn live(floor: Arc<Floor>, index: usize) {
    let plan = floor.plan.agents[index].clone();
    let mut random = floor.random(&[plan.id.as_str(), "life"]);
    open(&floor, &plan, &mut random).await;
    loop {
        stint(&floor, &plan, &mut random).await;
        match random.weighted(&ERRANDS).copied().unwrap_or(Errand::Break) {
            Errand::Break => pause(&floor, &plan, &mut random).await,
            Errand::OwnCall => external::call(&floor, &plan, &mut random).await,
            Errand::Away => leave(&floor, &plan, &mut random).await,
        }
    }
}

async fn open(floor: &Floor, plan: &AgentPlan, random: &mut Random) {
    // Real time: a board should be full in a moment, however slowly the centre lives.
    tokio::time::sleep(std::time::Duration::from_secs_f64(random.between(0.0, OPENING_SEC))).await;
    match plan.begins {
        Begins::OnDuty => log_in(floor, plan).await,
        Begins::Paused => {
            log_in(floor, plan).await;
            pause(floor, plan, random).await;
        }
        Begins::Away => {
            floor.pace.sleep(random.exponential(180.0)).await;
            log_in(floor, plan).await;
        }
    }
}

async fn log_in(floor: &Floor, plan: &AgentPlan) {
    let choice = |(queue, tier): &(ringfence_core::QueueId, u8)| QueueChoiceBody {
        queue_id: queue.clone(),
        tier: *tier,
    };
    let queues = Some(plan.queues.iter().map(choice).collect());
    floor.say(&plan.id, &AgentEventBody { queues, ..AgentEventBody::plain("login") }).await;
}

/// At work, with a glance at the screen now and then.
async fn stint(floor: &Floor, plan: &AgentPlan, random: &mut Random) {
    let until = floor.pace.now() + random.exponential(STINT_SEC).max(GLANCE_SEC);
    while floor.pace.now() < until {
        floor.pace.sleep(GLANCE_SEC).await;
        let Some(live) = floor.live(&plan.id) else { continue };
        if live
            .pause
            .as_ref()
            .and_then(|pause| pause.reason_id.as_ref())
            .is_some_and(|id| id.as_str() == RONA)
        {
            floor.tally.count(Count::Rona);
            floor.pace.sleep(random.between(10.0, 40.0)).await;
            floor.say(&plan.id, &AgentEventBody::plain("available")).await;
        } else if live.bucket == Bucket::WrapUp && random.chance(0.2) {
            floor.say(&plan.id, &AgentEventBody::plain("end_wrap_up")).await;
        }
    }
}

async fn pause(floor: &Floor, plan: &AgentPlan, random: &mut Random) {
    let reasons: Vec<(f64, usize)> =
        floor.plan.reasons.iter().enumerate().map(|(at, reason)| (reason.share, at)).collect();
    let Some(reason) = random.weighted(&reasons).and_then(|at| floor.plan.reasons.get(*at)) else { return };
    let length = random.lognormal(reason.minutes * 60.0, 0.4);
    floor.ledger.unsettle(&plan.id);
    let paused = floor.say(&plan.id, &AgentEventBody::pause(reason.id.clone())).await;
    floor.ledger.unsettle(&plan.id);
    if !paused {
        return;
    }
    floor.tally.count(Count::Pauses);
    floor.pace.sleep(length).await;
    floor.say(&plan.id, &AgentEventBody::plain("unpause")).await;
}

/// Nobody leaves in the middle of a call.
async fn leave(floor: &Floor, plan: &AgentPlan, random: &mut Random) {
    let length = random.exponential(120.0).max(20.0);
    if floor.live(&plan.id).is_some_and(|live| live.state == State::InCall) {
        return;
    }
    floor.ledger.unsettle(&plan.id);
    let left = floor.say(&plan.id, &AgentEventBody::plain("logout")).await;
    floor.ledger.unsettle(&plan.id);
    if left {
        floor.pace.sleep(length).await;
    }
    log_in(floor, plan).await;
}
