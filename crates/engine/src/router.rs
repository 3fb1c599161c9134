//! Routers that are attached to an account: told of offers pushed to their callers, and of what became of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use ringfence_core::agent::By;
use ringfence_core::fact::Change;
use ringfence_core::line::LineOutcome;
use ringfence_core::offer::{Offer, Outcome};
use ringfence_core::{CallId, Input, OfferId, QueueId, Record, RouterId};
use tokio::sync::mpsc;

use crate::account::Account;
use crate::error::Error;

/// Events a router may have open; one that falls further behind is detached and has to look anew.
const BEHIND_MAX: usize = 4_096;

/// What a router is told without having asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouterEvent {
    /// An agent is free for one of its callers: ring the addresses until `expires_at`, then answer under the token.
    Offered(Arc<Offer>),
    /// An offer ended by itself (lease over, rescinded, lost): drop the leg.
    Ended { offer_id: OfferId, call_id: CallId, outcome: Outcome },
    /// A caller left the line without an agent.
    Left { call_id: CallId, queue_id: QueueId, outcome: LineOutcome },
}

/// A router's seat at an account.
#[derive(Debug)]
pub struct Router {
    account: Account,
    id: RouterId,
    seat: usize,
    events: mpsc::Receiver<RouterEvent>,
}

impl Router {
    pub(crate) async fn attach(account: Account, id: RouterId) -> Result<Self, Error> {
        // Seated first: what is pushed because it attached must find it.
        let (seat, events) = account.cell().routers.sit(id.clone());
        let router = Self { account, id, seat, events };
        router.account.router(Input::RouterUp { router: router.id.clone() }).await?;
        Ok(router)
    }

    pub fn id(&self) -> &RouterId {
        &self.id
    }

    /// The next event, in the order things happened. None: the router fell behind or its account failed; attach again and
    /// look at what is live.
    pub async fn next(&mut self) -> Option<RouterEvent> {
        self.events.recv().await
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if self.account.cell().routers.leave(&self.id, self.seat) {
            self.account.router_left(self.id.clone());
        }
    }
}

#[derive(Default)]
pub(crate) struct Routers {
    count: AtomicUsize,
    seats: Mutex<Seats>,
}

#[derive(Default)]
struct Seats {
    given: usize,
    by_id: BTreeMap<RouterId, (usize, mpsc::Sender<RouterEvent>)>,
}

impl Routers {
    /// Whether anybody is to be told anything.
    pub fn any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// A second seat of the same router takes the place of the first.
    fn sit(&self, id: RouterId) -> (usize, mpsc::Receiver<RouterEvent>) {
        let (sender, events) = mpsc::channel(BEHIND_MAX);
        let mut seats = self.seats.lock();
        seats.given += 1;
        let seat = seats.given;
        seats.by_id.insert(id, (seat, sender));
        self.count.store(seats.by_id.len(), Ordering::Release);
        (seat, events)
    }

    /// True: nobody has this router's seat any more.
    fn leave(&self, id: &RouterId, seat: usize) -> bool {
        let mut seats = self.seats.lock();
        let left = seats.by_id.get(id).is_none_or(|(held, _)| *held == seat);
        if left {
            seats.by_id.remove(id);
        }
        self.count.store(seats.by_id.len(), Ordering::Release);
        left
    }

    /// The account failed, and knows of no router any more.
    pub fn clear(&self) {
        let mut seats = self.seats.lock();
        seats.by_id.clear();
        self.count.store(0, Ordering::Release);
    }

    pub fn tell(&self, events: impl Iterator<Item = (RouterId, RouterEvent)>) {
        let mut events = events.peekable();
        if events.peek().is_none() {
            return;
        }
        let mut seats = self.seats.lock();
        for (router, event) in events {
            let behind = seats.by_id.get(&router).is_some_and(|(_, sender)| sender.try_send(event).is_err());
            if behind {
                seats.by_id.remove(&router);
            }
        }
        self.count.store(seats.by_id.len(), Ordering::Release);
    }
}

/// What a record says to routers: what the engine did by itself. What a router did itself it is answered.
pub(crate) fn events<'a>(
    account: &'a ringfence_core::Account,
    record: &'a Record,
) -> impl Iterator<Item = (RouterId, RouterEvent)> + 'a {
    record.facts.iter().filter(|fact| fact.by == Some(By::SYSTEM)).filter_map(|fact| match &fact.change {
        Change::Granted { entry } => {
            let router = entry.offer.router_id.clone()?;
            Some((router, RouterEvent::Offered(Arc::clone(&entry.offer))))
        }
        Change::OfferEnded { offer, outcome, .. } => {
            let offer = &account.offer(offer)?.offer;
            let (offer_id, call_id) = (offer.offer_id.clone(), offer.call_id.clone());
            let ended = RouterEvent::Ended { offer_id, call_id, outcome: outcome.clone() };
            Some((offer.router_id.clone()?, ended))
        }
        Change::Dequeued { call_id, outcome } => {
            let waited = account.waited(call_id)?;
            let (call_id, queue_id) = (call_id.clone(), waited.queue_id.clone());
            let left = RouterEvent::Left { call_id, queue_id, outcome: *outcome };
            Some((waited.router_id.clone()?, left))
        }
        Change::Settings(_)
        | Change::AgentPut { .. }
        | Change::AgentRemoved { .. }
        | Change::QueuePut { .. }
        | Change::QueueRemoved { .. }
        | Change::ReasonPut { .. }
        | Change::ReasonRemoved { .. }
        | Change::Joined { .. }
        | Change::Left { .. }
        | Change::StatusSet { .. }
        | Change::Settled { .. }
        | Change::Bound { .. }
        | Change::Unbound { .. }
        | Change::ExternalBegan { .. }
        | Change::ExternalOver { .. }
        | Change::Extended { .. }
        | Change::LegKnown { .. }
        | Change::Answered { .. }
        | Change::LegEnded { .. }
        | Change::CallSeen { .. }
        | Change::CallEnded { .. }
        | Change::WrapUpEnded { .. }
        | Change::WrapUpMoved { .. }
        | Change::CooldownOver { .. }
        | Change::Enqueued { .. }
        | Change::PendingSet { .. }
        | Change::ClockLogoutSet { .. }
        | Change::Acted { .. } => None,
    })
}
