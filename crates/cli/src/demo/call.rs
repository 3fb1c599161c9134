//! A call from the grant on: it rings, somebody answers or not, they talk, it ends.

use std::time::{Duration, Instant};

use ringfence_client::{ApiError, OfferStep};
use ringfence_core::offer::Offer;
use ringfence_core::{AgentId, CallId};

use crate::demo::callers::Caller;
use crate::demo::doubt;
use crate::demo::floor::Floor;
use crate::demo::random::Random;
use crate::demo::tally::Count;

/// Waited beyond a lease that nobody ended, before the router reserves for the caller again.
const BEYOND_THE_LEASE: Duration = Duration::from_millis(250);
/// Of the usual time, what it takes to be through to the callers who are there when the doors open.
const PROMPT: f64 = 0.25;
/// Attempts to say that a call is over: an agent who stays in a call for ever is worse than a late end.
const ENDS_MAX: u32 = 5;

/// What is to be done with the caller.
#[derive(Debug)]
pub enum After {
    Over,
    Back(Caller),
}

/// What the agent does when it rings.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reaction {
    Answers {
        after: f64,
    },
    Rejects {
        after: f64,
    },
    /// The phone says 480 at once.
    Fails,
    /// Does not look up; the router gives up shortly before the lease is over.
    Misses,
    /// The same, and the router forgets to say so.
    Lapses,
}

pub async fn run(floor: &Floor, caller: Caller, offer: Offer) -> After {
    floor.tally.count(Count::Offered);
    if let Some(contradicted) = floor.ledger.granted(&offer) {
        doubt::settle(floor, &contradicted, &offer).await;
    }
    let lease_over = Instant::now() + Duration::from_millis(offer.expires_at.since(offer.granted_at));
    let reaction = react(floor, &offer.agent_id, if caller.from_before { PROMPT } else { 1.0 });
    floor.pace.sleep(0.3).await;
    if reaction != Reaction::Fails {
        step(floor, &offer, OfferStep::Ringing { leg_call_id: leg(&offer) }).await;
    }
    let until = match reaction {
        Reaction::Answers { after } | Reaction::Rejects { after } => Instant::now() + floor.pace.real(after),
        Reaction::Fails => Instant::now(),
        Reaction::Misses => lease_over - (lease_over - Instant::now()) / 10,
        Reaction::Lapses => lease_over + BEYOND_THE_LEASE,
    };
    if caller.gives_up < until.min(lease_over) {
        tokio::time::sleep_until(caller.gives_up.into()).await;
        return hang_up(floor, &offer).await;
    }
    tokio::time::sleep_until(until.into()).await;
    match reaction {
        Reaction::Answers { .. } => answer(floor, caller, &offer).await,
        Reaction::Rejects { .. } => {
            end_offer(floor, caller, &offer, OfferStep::Reject, Count::Rejected).await
        }
        Reaction::Fails => {
            end_offer(floor, caller, &offer, OfferStep::Failed { code: 480 }, Count::Failed).await
        }
        Reaction::Misses => end_offer(floor, caller, &offer, OfferStep::NoAnswer, Count::NoAnswer).await,
        Reaction::Lapses => {
            floor.ledger.ending(&offer);
            floor.tally.count(Count::Lapsed);
            After::Back(caller)
        }
    }
}

fn react(floor: &Floor, agent: &AgentId, haste: f64) -> Reaction {
    let dreamer = floor.plan.agents.iter().any(|plan| plan.id == *agent && plan.dreamer);
    let draw = |random: &mut Random| {
        let after = haste * random.lognormal(3.5, 0.45).clamp(0.8, 12.0);
        match random.unit() {
            roll if dreamer && roll < 0.7 => Reaction::Misses,
            roll if roll < 0.93 => Reaction::Answers { after },
            roll if roll < 0.96 => Reaction::Rejects { after },
            roll if roll < 0.97 => Reaction::Fails,
            roll if roll < 0.985 => Reaction::Misses,
            _ => Reaction::Lapses,
        }
    };
    floor.mood(agent, draw).unwrap_or(Reaction::Lapses)
}

async fn answer(floor: &Floor, caller: Caller, offer: &Offer) -> After {
    if !step(floor, offer, OfferStep::Answer { leg_call_id: leg(offer) }).await {
        floor.ledger.ending(offer);
        floor.tally.count(Count::Rescinded);
        return After::Back(caller);
    }
    floor.ledger.answered(offer);
    floor.tally.count(Count::Answered);
    floor.pace.sleep(caller.talk_sec).await;
    floor.ledger.ending(offer);
    end(floor, &offer.call_id).await;
    After::Over
}

async fn end(floor: &Floor, call: &CallId) {
    for _ in 0..ENDS_MAX {
        match floor.api.end_call(call, None).await {
            Ok(_) => return floor.tally.count(Count::Ended),
            Err(error) if error.is_passing() => floor.missed(&error).await,
            Err(error) => return floor.refused("the end of a call", &error),
        }
    }
}

async fn hang_up(floor: &Floor, offer: &Offer) -> After {
    floor.ledger.ending(offer);
    step(floor, offer, OfferStep::Cancel).await;
    floor.tally.count(Count::GaveUp);
    After::Over
}

async fn end_offer(floor: &Floor, caller: Caller, offer: &Offer, how: OfferStep, count: Count) -> After {
    floor.ledger.ending(offer);
    let counted = if step(floor, offer, how).await { count } else { Count::Rescinded };
    floor.tally.count(counted);
    After::Back(caller)
}

/// Whether the offer was still there for it.
async fn step(floor: &Floor, offer: &Offer, step: OfferStep) -> bool {
    match floor.api.offer(&offer.offer_id, offer.fence, &step).await {
        Ok(_) => true,
        Err(error) if lost_for_good(&error) => {
            floor.refused("a step on an offer", &error);
            false
        }
        Err(error) => {
            // With the same token the second of two is the same step.
            floor.missed(&error).await;
            floor.api.offer(&offer.offer_id, offer.fence, &step).await.is_ok()
        }
    }
}

fn lost_for_good(error: &ApiError) -> bool {
    !error.is_passing()
}

/// The SIP leg to the agent's phone has a Call-ID of its own.
fn leg(offer: &Offer) -> Option<CallId> {
    CallId::parse(&format!("leg-{}", offer.offer_id)).ok()
}
