//! The simulation's own books: who was granted to whom. The one thing that must never be in them is an agent lent to two
//! callers at once.
//!
//! A grant is *certain* from the moment its answer was read until anything was sent, here or by the passing of its lease,
//! that may end it. Two certain grants of one agent that overlap by the engine's own times are a double offer; what
//! somebody else may have ended (a pause typed into a terminal) is asked about before it is called one.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ringfence_core::offer::Offer;
use ringfence_core::{AgentId, OfferId};

/// An answer that was on its way while something ended the offer is read at most this much later.
const ON_ITS_WAY: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub struct Ledger {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    held: HashMap<AgentId, Vec<Hold>>,
    /// Agents whose phone is going away: the engine may take any offer of theirs back.
    shaky: HashSet<AgentId>,
    unsettled: HashMap<AgentId, Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub offer: Offer,
    pub answered: bool,
    certain: bool,
}

impl Ledger {
    /// Enters a grant, and tells of the one it contradicts.
    pub fn granted(&self, offer: &Offer) -> Option<Hold> {
        let mut books = self.books();
        let doubtful = books.shaky.contains(&offer.agent_id)
            || books.unsettled.get(&offer.agent_id).is_some_and(|at| at.elapsed() < ON_ITS_WAY);
        let holds = books.held.entry(offer.agent_id.clone()).or_default();
        let over_by_itself = |hold: &Hold| !hold.answered && hold.offer.expires_at <= offer.granted_at;
        holds.retain(|hold| !over_by_itself(hold));
        let contradicted = holds.iter().find(|hold| hold.certain).cloned();
        holds.push(Hold { offer: offer.clone(), answered: false, certain: !doubtful });
        contradicted
    }

    /// The engine said that the agent took the call. From here on only the call's end frees the agent.
    pub fn answered(&self, offer: &Offer) {
        let mut books = self.books();
        let holds = books.held.get_mut(&offer.agent_id);
        if let Some(hold) = holds.and_then(|holds| find(holds, &offer.offer_id)) {
            hold.answered = true;
            hold.certain = true;
        }
    }

    /// Before anything is sent that ends it.
    pub fn ending(&self, offer: &Offer) {
        let mut books = self.books();
        if let Some(holds) = books.held.get_mut(&offer.agent_id) {
            holds.retain(|hold| hold.offer.offer_id != offer.offer_id);
        }
    }

    /// Before and after anything is sent that makes the engine take the agent's offers back.
    pub fn unsettle(&self, agent: &AgentId) {
        let mut books = self.books();
        books.doubt(agent);
        books.unsettled.insert(agent.clone(), Instant::now());
    }

    /// The agent's phone is going away, or is back.
    pub fn shaky(&self, agent: &AgentId, is: bool) {
        let mut books = self.books();
        if is {
            books.shaky.insert(agent.clone());
            books.doubt(agent);
        } else if books.shaky.remove(agent) {
            books.unsettled.insert(agent.clone(), Instant::now());
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Books that a panicking writer left are no worse than before: each entry is whole.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn doubt(&mut self, agent: &AgentId) {
        for hold in self.held.get_mut(agent).into_iter().flatten().filter(|hold| !hold.answered) {
            hold.certain = false;
        }
    }
}

fn find<'a>(holds: &'a mut [Hold], id: &OfferId) -> Option<&'a mut Hold> {
    holds.iter_mut().find(|hold| hold.offer.offer_id == *id)
}

#[cfg(test)]
mod tests {
    use ringfence_core::call::Direction;
    use ringfence_core::offer::{Fence, Offer};
    use ringfence_core::{AgentId, CallId, OfferId, Time};

    use super::Ledger;

    fn offer(n: u64, granted_at: u64) -> Offer {
        Offer {
            offer_id: OfferId::parse(&format!("o{n}")).unwrap(),
            fence: Fence { term: 1, n },
            call_id: CallId::parse(&format!("c{n}")).unwrap(),
            queue_id: None,
            agent_id: AgentId::parse("1001").unwrap(),
            addresses: Vec::new().into(),
            granted_at: Time::from_ms(granted_at),
            expires_at: Time::from_ms(granted_at + 100),
            router_id: None,
            direction: Direction::Inbound,
        }
    }

    /// What the second grant contradicts after `between` happened to the first.
    fn check(second_at: u64, between: impl FnOnce(&Ledger, &Offer)) -> bool {
        let ledger = Ledger::default();
        let first = offer(1, 1000);
        assert_eq!(ledger.granted(&first), None);
        between(&ledger, &first);
        let contradicted = ledger.granted(&offer(2, second_at));
        assert!(contradicted.is_none() || contradicted.is_some_and(|hold| hold.offer == first));
        ledger.granted(&offer(3, second_at)).is_some_and(|hold| hold.offer == first)
    }

    #[test]
    fn a_second_grant_within_the_first_is_a_contradiction() {
        assert!(check(1099, |_, _| {}));
    }

    #[test]
    fn a_lease_that_is_over_is_none() {
        assert!(!check(1100, |_, _| {}));
    }

    #[test]
    fn whatever_was_ended_is_none_even_before_the_answer_came() {
        assert!(!check(1050, |ledger, first| ledger.ending(first)));
        assert!(!check(1050, |ledger, first| ledger.unsettle(&first.agent_id)));
        assert!(!check(1050, |ledger, first| ledger.shaky(&first.agent_id, true)));
    }

    #[test]
    fn an_answered_call_holds_beyond_its_lease_and_beyond_a_pause() {
        assert!(check(9000, |ledger, first| {
            ledger.answered(first);
            ledger.unsettle(&first.agent_id);
        }));
        assert!(!check(9000, |ledger, first| {
            ledger.answered(first);
            ledger.ending(first);
        }));
    }
}
