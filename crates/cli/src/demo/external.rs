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

pub async fn call(floor: &Floor, plan: &AgentPlan, random: &mut Random) {
    let length = random.lognormal(TALK_SEC, 0.6);
    let (outbound, peer, name) = (random.chance(0.7), random.below(1000), random.next());
    // A phone that is ringing or talking is not dialled with.
    if floor.live(&plan.id).is_none_or(|live| live.state != State::Waiting || !live.reachable) {
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

async fn say(floor: &Floor, event: Value) -> bool {
    match floor.api.call_events(&[event]).await {
        Ok(answer) => answer.refused.is_empty(),
        Err(error) => {
            floor.refused("a call event", &error);
            false
        }
    }
}
