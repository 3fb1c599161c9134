//! Calls that no router made: an agent dials out, or somebody dials the agent's own number.

use ringfence_core::agent::State;
use serde_json::{Value, json};

use crate::demo::floor::Floor;
use crate::demo::names;
use crate::demo::plan::AgentPlan;
use crate::demo::random::Random;
use crate::demo::tally::Count;

/// Median length in seconds.
const TALK_SEC: f64 = 45.0;
/// How often, and for how long, somebody who wants to dial looks whether the phone is free.
const GLANCE_SEC: f64 = 2.0;
const GLANCES_MAX: u32 = 60;

pub async fn call(floor: &Floor, plan: &AgentPlan, random: &mut Random) {
    let length = random.lognormal(TALK_SEC, 0.6);
    let (outbound, peer, name) = (random.chance(0.7), random.below(1000), random.next());
    if !idle(floor, plan).await {
        return;
    }
    let direction = if outbound { "outbound" } else { "inbound" };
    let event = |what: &str| {
        json!({
            "event": what, "call_id": format!("ext-{}-{name:016x}", plan.id), "agent_id": plan.id,
            "direction": direction, "peer": names::caller(peer),
        })
    };
    floor.ledger.unsettle(&plan.id);
    let began = say(floor, event("start")).await;
    floor.ledger.unsettle(&plan.id);
    if began {
        floor.tally.count(Count::External);
        floor.pace.sleep(length).await;
        say(floor, event("end")).await;
    }
}

/// A phone that is ringing or talking is not dialled with: whether it comes to be neither.
async fn idle(floor: &Floor, plan: &AgentPlan) -> bool {
    for _ in 0..GLANCES_MAX {
        if floor.live(&plan.id).is_some_and(|live| live.state == State::Waiting && live.reachable) {
            return true;
        }
        floor.pace.sleep(GLANCE_SEC).await;
    }
    false
}

async fn say(floor: &Floor, event: Value) -> bool {
    match floor.api.call_events(&[event]).await {
        Ok(answer) => answer.refused.is_empty(),
        Err(error) => {
            floor.refused("a call event", &error);
            false
        }
    }
}
