//! People who call: by chance, more of them at the busy hours, and not for ever.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringfence_core::{AgentId, CallId, QueueId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::demo::direct;
use crate::demo::floor::Floor;
use crate::demo::line::ToLine;
use crate::demo::random::Random;
use crate::demo::tally::Count;

/// Calls a second for each agent there is: with some 100 s for each call, about seven tenths of those at work are busy.
const CALLS_PER_AGENT_SEC: f64 = 0.0062;
/// Who dials an agent's own number, through the router.
const DIRECT_SHARE: f64 = 0.05;
/// Median patience in seconds; a few hang up at once, a few wait for minutes.
const PATIENCE_SEC: f64 = 75.0;
/// When the doors open this share of an account's agents is called at once, so that a board need not warm up.
const OPENING_SHARE: f64 = 0.5;
const OPENING_AFTER: Duration = Duration::from_millis(900);
const OPENING_WITHIN: Duration = Duration::from_millis(1_200);

/// Somebody on the line.
#[derive(Debug)]
pub struct Caller {
    pub call_id: CallId,
    pub gives_up: Instant,
    /// Length of the conversation in the centre's seconds, if there is one.
    pub talk_sec: f64,
    /// One of those who were there when the doors opened: served at once, and partly through with what they want.
    pub from_before: bool,
    /// Attempts so far, to name each offer.
    pub attempts: u32,
}

pub async fn arrive(floor: Arc<Floor>, lines: HashMap<QueueId, mpsc::Sender<ToLine>>) {
    let mut random = floor.random(&["callers"]);
    let mut direct = JoinSet::new();
    let agents = floor.plan.agents.len() as f64;
    let opening = (agents * OPENING_SHARE) as u32;
    tokio::time::sleep(OPENING_AFTER).await;
    for number in 0_u32.. {
        if number < opening {
            tokio::time::sleep(OPENING_WITHIN / opening).await;
        } else {
            let rate = agents * CALLS_PER_AGENT_SEC * floor.pace.busyness();
            floor.pace.sleep(random.exponential(1.0 / rate)).await;
        }
        let Some(caller) = caller(&floor, &mut random, number, number < opening) else { continue };
        floor.tally.count(Count::Arrived);
        while direct.try_join_next().is_some() {}
        if random.chance(DIRECT_SHARE) {
            let agent = floor.plan.agents[random.below(floor.plan.agents.len())].id.clone();
            dial(&mut direct, &floor, agent, caller);
        } else {
            let queues: Vec<(f64, &QueueId)> =
                floor.plan.queues.iter().map(|queue| (queue.share, &queue.id)).collect();
            let line = random.weighted(&queues).and_then(|queue| lines.get(*queue));
            if let Some(line) = line
                && line.send(ToLine::Arrived(caller)).await.is_err()
            {
                return;
            }
        }
    }
}

fn dial(direct: &mut JoinSet<()>, floor: &Arc<Floor>, agent: AgentId, caller: Caller) {
    direct.spawn(direct::call(Arc::clone(floor), agent, caller));
}

fn caller(floor: &Floor, random: &mut Random, number: u32, from_before: bool) -> Option<Caller> {
    let patience = random.lognormal(PATIENCE_SEC, 0.8);
    let talk_sec = random.lognormal(70.0, 0.7).clamp(6.0, 900.0);
    let left = if from_before { random.between(0.03, 1.0) } else { 1.0 };
    // The start makes the ids of one run differ from those of the run before in the same directory.
    let call_id = format!("call-{:x}-{number}", floor.pace.opened_ms());
    Some(Caller {
        call_id: CallId::parse(&call_id).ok()?,
        gives_up: Instant::now() + floor.pace.real(patience),
        talk_sec: talk_sec * left,
        from_before,
        attempts: 0,
    })
}
