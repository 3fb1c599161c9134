//! What routers were told, and what must follow from it whatever happened in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ringfence_core::AgentId;
use ringfence_core::offer::{Fence, Offer};
use tokio::sync::watch;

/// How far a router got with an offer, as far as it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    Granted,
    Cancelled,
    Answered,
    Ended,
}

impl Told {
    /// Nothing follows.
    pub fn is_last(self) -> bool {
        match self {
            Self::Cancelled | Self::Ended => true,
            Self::Granted | Self::Answered => false,
        }
    }
}

/// One grant that was acknowledged.
#[derive(Debug, Clone)]
pub struct Entry {
    pub offer: Offer,
    pub told: Told,
    /// When the reserve was first sent: the grant is not older.
    asked: Instant,
    /// When its answer came: the slot is taken from then on.
    granted: Instant,
    /// When the step that frees the slot was first sent: it is taken until then.
    released: Option<Instant>,
}

/// The acknowledged history of all routers.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    entries: Arc<Mutex<Vec<Entry>>>,
    told: watch::Sender<u64>,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// Counts acknowledgements.
    pub fn counter(&self) -> watch::Receiver<u64> {
        self.told.subscribe()
    }

    /// A grant; the place of its entry comes back.
    pub fn granted(&self, offer: Offer, asked: Instant) -> usize {
        let entry = Entry { offer, told: Told::Granted, asked, granted: Instant::now(), released: None };
        let place = {
            let mut entries = self.lock();
            entries.push(entry);
            entries.len() - 1
        };
        self.told.send_modify(|told| *told += 1);
        place
    }

    pub fn releasing(&self, place: usize) {
        self.lock()[place].released.get_or_insert_with(Instant::now);
    }

    pub fn told(&self, place: usize, told: Told) {
        self.lock()[place].told = told;
        self.told.send_modify(|told| *told += 1);
    }

    /// A token is used once, and a grant asked for after another was known is newer.
    pub fn tokens_increase(&self) -> Result<(), String> {
        let entries = self.entries();
        let fences: BTreeSet<Fence> = entries.iter().map(|entry| entry.offer.fence).collect();
        if fences.len() != entries.len() {
            return Err(format!("{} grants have {} tokens", entries.len(), fences.len()));
        }
        let mut known: Vec<&Entry> = entries.iter().collect();
        known.sort_by_key(|entry| entry.granted);
        let mut asked: Vec<&Entry> = entries.iter().collect();
        asked.sort_by_key(|entry| entry.asked);
        let (mut known, mut highest) = (known.into_iter().peekable(), None);
        for entry in asked {
            while let Some(before) = known.next_if(|before| before.granted < entry.asked) {
                highest = highest.max(Some(before.offer.fence));
            }
            if Some(entry.offer.fence) <= highest {
                return Err(format!("{:?} was granted after {highest:?}", entry.offer));
            }
        }
        Ok(())
    }

    /// Between the answer to a reserve and the step that frees it, the agent is nobody else's.
    pub fn nobody_is_shared(&self) -> Result<(), String> {
        let mut by_agent: BTreeMap<AgentId, Vec<Entry>> = BTreeMap::new();
        for entry in self.entries() {
            by_agent.entry(entry.offer.agent_id.clone()).or_default().push(entry);
        }
        for (agent, mut held) in by_agent {
            held.sort_by_key(|entry| entry.granted);
            for pair in held.windows(2) {
                let (first, second) = (&pair[0].offer.offer_id, &pair[1].offer.offer_id);
                if pair[0].released.is_none_or(|until| pair[1].granted < until) {
                    return Err(format!("{agent} was held by {first} and {second} at once"));
                }
            }
        }
        Ok(())
    }
}
