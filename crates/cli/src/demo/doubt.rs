//! Two grants of one agent at once: a double offer, unless somebody else had ended the first.

use ringfence_core::offer::Offer;

use crate::demo::floor::Floor;
use crate::demo::ledger::Hold;
use crate::demo::tally::Count;

/// Asks what became of the earlier one, and counts a double offer if nothing excuses the engine.
pub async fn settle(floor: &Floor, earlier: &Hold, later: &Offer) {
    if excused(floor, earlier).await {
        floor.ledger.ending(&earlier.offer);
        return;
    }
    let words = format!(
        "{}: agent {} was granted to {} ({}, fence {}) while {} ({}, fence {}) {}",
        floor.plan.id,
        later.agent_id,
        later.call_id,
        later.offer_id,
        later.fence,
        earlier.offer.call_id,
        earlier.offer.offer_id,
        earlier.offer.fence,
        if earlier.answered { "was in the call" } else { "was still ringing" },
    );
    floor.tally.note(Count::DoubleOffers, words);
}

/// Whether somebody else ended it: a supervisor at the board, or whoever tries the curl lines.
async fn excused(floor: &Floor, earlier: &Hold) -> bool {
    if earlier.answered {
        let row = floor.api.agent_presence(&earlier.offer.agent_id).await;
        let live = row.ok().and_then(|written| written.agent).and_then(|row| row.live);
        return live.is_some_and(|live| live.calls.iter().all(|call| call.call_id != earlier.offer.call_id));
    }
    let outcome = floor.api.offer_outcome(&earlier.offer.offer_id).await;
    let ended_by_others = ["rescinded", "cancelled", "rejected", "busy", "failed"];
    outcome.is_ok_and(|outcome| outcome.is_some_and(|outcome| ended_by_others.contains(&outcome.as_str())))
}
