//! A handle on one account: the embed API. Cheap to clone; the account behind it is brought up at the first message.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ringfence_core::agent::{AgentEntry, By};
use ringfence_core::feed::{CallEvent, FeedItem, FeedWhat, Stamp};
use ringfence_core::input::{AccountSettings, ActionInput, Ask, EventInput, PauseReason, QueueChoice, Verb};
use ringfence_core::offer::Fence;
use ringfence_core::queue::QueueSettings;
use ringfence_core::{AccountId, AgentId, CallId, Input, OfferId, QueueId, ReasonId, Reply, SourceId, Time};
use tokio::sync::oneshot;

use crate::actor::{Msg, mismatch};
use crate::answer::{ActionAnswer, AgentAnswer, Done, Explanation, FedAnswer, OfferAnswer, Roster};
use crate::cell::Cell;
use crate::counters::add;
use crate::door::{Pool, Taken, Turned};
use crate::error::Error;
use crate::gate::{Answer, Waiting};
use crate::load;
use crate::released::{CatchUp, Released};
use crate::shared::Shared;

/// When a request that was turned away may be tried again.
const RETRY_AFTER_MS: u64 = 50;

/// One account of an engine.
#[derive(Clone)]
pub struct Account {
    shared: Arc<Shared>,
    cell: Arc<Cell>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Account").field("id", &self.cell.id).finish_non_exhaustive()
    }
}

impl Account {
    pub(crate) fn new(shared: Arc<Shared>, cell: Arc<Cell>) -> Self {
        Self { shared, cell }
    }

    pub fn id(&self) -> &AccountId {
        &self.cell.id
    }

    /// Login, logout, available, pause, unpause, wrap-up; atomic with the queues named.
    ///
    /// `create` of the input is overruled: only an engine that creates on first use does.
    pub async fn event(&self, by: By, mut input: EventInput) -> Result<AgentAnswer, Error> {
        input.create = self.shared.options.create_on_first_use;
        self.agent_answer(Input::Event(input), by).await
    }

    /// An action of a supervisor on an agent; refused with `supervisors_only` to other roles. A dry run changes nothing and
    /// answers what would change.
    pub async fn act(&self, by: By, action: ActionInput) -> Result<ActionAnswer, Error> {
        match self.call(Input::Act(action), by).await? {
            (seq, Reply::Agent { row, changed }) => {
                Ok(ActionAnswer { row: *row, seq, changed, planned: None })
            }
            (seq, Reply::Planned { row, changes }) => {
                Ok(ActionAnswer { row: *row, seq, changed: !changes.is_empty(), planned: Some(changes) })
            }
            (_, other) => Err(mismatch(other)),
        }
    }

    pub async fn put_agent(&self, by: By, agent: AgentId, entry: AgentEntry) -> Result<AgentAnswer, Error> {
        self.agent_answer(Input::PutAgent { agent, entry: Box::new(entry) }, by).await
    }

    pub async fn remove_agent(&self, by: By, agent: AgentId) -> Result<Done, Error> {
        self.done(Input::RemoveAgent { agent }, by).await
    }

    /// Puts an agent into a queue, or moves it there, beside what it has chosen itself. Static memberships are changed by
    /// administrators ([`Role::Api`](ringfence_core::agent::Role::Api) and the system), supervised ones by supervisors
    /// too: others are refused with `membership_denied`. Both must be there.
    pub async fn assign(&self, by: By, agent: AgentId, choice: QueueChoice) -> Result<AgentAnswer, Error> {
        self.agent_answer(Input::Assign { agent, choice }, by).await
    }

    /// Takes an agent out of a queue; refused as [`Account::assign`] is.
    pub async fn unassign(&self, by: By, agent: AgentId, queue: QueueId) -> Result<AgentAnswer, Error> {
        self.agent_answer(Input::Unassign { agent, queue }, by).await
    }

    pub async fn put_queue(&self, by: By, queue: QueueId, settings: QueueSettings) -> Result<Done, Error> {
        self.done(Input::PutQueue { queue, settings: Box::new(settings) }, by).await
    }

    pub async fn remove_queue(&self, by: By, queue: QueueId) -> Result<Done, Error> {
        self.done(Input::RemoveQueue { queue }, by).await
    }

    pub async fn put_reason(&self, by: By, reason: PauseReason) -> Result<Done, Error> {
        self.done(Input::PutReason(reason), by).await
    }

    pub async fn remove_reason(&self, by: By, reason: ReasonId) -> Result<Done, Error> {
        self.done(Input::RemoveReason { reason }, by).await
    }

    pub async fn set_settings(&self, by: By, settings: AccountSettings) -> Result<Done, Error> {
        self.done(Input::SetSettings(settings), by).await
    }

    /// Reserves this agent for a call; without a queue it is a direct offer.
    pub async fn reserve_agent(
        &self,
        by: By,
        agent: AgentId,
        queue: Option<QueueId>,
        ask: Ask,
    ) -> Result<OfferAnswer, Error> {
        self.offer_answer(Input::ReserveAgent { agent, queue, ask }, by).await
    }

    /// Reserves the next agent of the queue: by tier, longest idle, position, id.
    pub async fn reserve_queue(
        &self,
        by: By,
        queue: QueueId,
        ask: Ask,
        exclude: Vec<AgentId>,
    ) -> Result<OfferAnswer, Error> {
        self.offer_answer(Input::ReserveQueue { queue, ask, exclude }, by).await
    }

    /// An agent that dials out takes itself: it must be free to place calls, reachable and in no external call, and may be
    /// in wrap-up. The offer is outbound; whoever came first, it or a router, has the slot.
    pub async fn self_reserve(&self, by: By, agent: AgentId, ask: Ask) -> Result<OfferAnswer, Error> {
        self.offer_answer(Input::SelfReserve { agent, ask }, by).await
    }

    /// A later step on an offer, under its token.
    pub async fn offer(
        &self,
        by: By,
        offer: OfferId,
        fence: Fence,
        verb: Verb,
    ) -> Result<OfferAnswer, Error> {
        self.offer_answer(Input::Offer { offer, fence, verb }, by).await
    }

    pub async fn read_offer(&self, offer: OfferId) -> Result<OfferAnswer, Error> {
        self.offer_answer(Input::ReadOffer { offer }, By::SYSTEM).await
    }

    /// Ends all legs of the call, or the named agent's.
    pub async fn end_call(
        &self,
        by: By,
        call: CallId,
        agent: Option<AgentId>,
        fence: Option<Fence>,
    ) -> Result<Done, Error> {
        self.done(Input::EndCall { call, agent, fence }, by).await
    }

    /// A leg somebody speaks of who is no numbered feed. Its order is that of arrival.
    pub async fn call_event(&self, by: By, event: CallEvent) -> Result<FedAnswer, Error> {
        let stamp = Stamp { epoch: self.shared.term, seq: self.shared.clock.now().ms() };
        let source = SourceId::parse("api").map_err(|_| Error::Unavailable)?;
        let item = FeedItem { source, stamp, what: FeedWhat::Call(event) };
        self.feed(by, vec![item]).await
    }

    /// Every check of the fence for this agent, without reserving.
    pub async fn explain(&self, agent: AgentId, queue: Option<QueueId>) -> Result<Explanation, Error> {
        match self.call(Input::Explain { agent, queue }, By::SYSTEM).await? {
            (seq, Reply::Explained(explained)) => Ok(Explanation { seq, explained }),
            (_, other) => Err(mismatch(other)),
        }
    }

    pub async fn read_agent(&self, agent: AgentId) -> Result<AgentAnswer, Error> {
        self.agent_answer(Input::ReadAgent { agent }, By::SYSTEM).await
    }

    /// The whole account, as released.
    pub async fn roster(&self) -> Result<Roster, Error> {
        let released = self.released().await?;
        match released.catch_up(&ringfence_core::row::View::Account, None) {
            CatchUp::Snapshot(snapshot) => Ok(Roster {
                epoch: snapshot.epoch,
                seq: snapshot.seq,
                counts: snapshot.counts,
                agents: snapshot.agents,
                queues: snapshot.queues,
            }),
            CatchUp::Live | CatchUp::Passed { .. } | CatchUp::Delta(_) => Err(Error::Unavailable),
        }
    }

    /// The released rows, kept from here on: what streams are made of.
    pub async fn released(&self) -> Result<Arc<Released>, Error> {
        if !self.cell.released.is_active() {
            let (ready, shown) = oneshot::channel();
            load::ready(&self.shared, &self.cell).await?;
            self.cell.door.leave(Msg::ShowRows { ready });
            shown.await.map_err(|_| Error::Unavailable)?;
        }
        Ok(Arc::clone(&self.cell.released))
    }

    pub(crate) async fn feed(&self, by: By, items: Vec<FeedItem>) -> Result<FedAnswer, Error> {
        self.send_feed(by, items).await?.await
    }

    /// Puts the items into the mailbox; the answer is waited for apart, so that several can be under way.
    pub(crate) async fn send_feed(
        &self,
        by: By,
        items: Vec<FeedItem>,
    ) -> Result<impl Future<Output = Result<FedAnswer, Error>> + use<>, Error> {
        let create = self.shared.options.create_on_first_use;
        let answer = match self.send(Input::Feed { items, create }, by)? {
            Sent::Left(answer) => answer,
            Sent::Waits(waits) => Box::pin(self.bring_up(*waits)).await?,
        };
        Ok(async move {
            match answer.await.map_err(|_| Error::Unavailable)?? {
                (seq, Reply::Fed(fed)) => Ok(FedAnswer { seq, fed }),
                (_, other) => Err(mismatch(other)),
            }
        })
    }

    pub(crate) async fn contacts_of(&self, source: SourceId) -> Result<u64, Error> {
        let (reply, answer) = oneshot::channel();
        load::ready(&self.shared, &self.cell).await?;
        self.cell.door.leave(Msg::ContactsOf { source, reply });
        answer.await.map_err(|_| Error::Unavailable)
    }

    pub(crate) async fn aors_of(&self, source: SourceId) -> Result<Vec<String>, Error> {
        let (reply, answer) = oneshot::channel();
        load::ready(&self.shared, &self.cell).await?;
        self.cell.door.leave(Msg::AorsOf { source, reply });
        answer.await.map_err(|_| Error::Unavailable)
    }

    async fn agent_answer(&self, input: Input, by: By) -> Result<AgentAnswer, Error> {
        match self.call(input, by).await? {
            (seq, Reply::Agent { row, changed }) => Ok(AgentAnswer { row: *row, seq, changed }),
            (_, other) => Err(mismatch(other)),
        }
    }

    async fn offer_answer(&self, input: Input, by: By) -> Result<OfferAnswer, Error> {
        match self.call(input, by).await? {
            (seq, Reply::Granted { grant, changed }) => Ok(OfferAnswer { grant, seq, changed }),
            (_, other) => Err(mismatch(other)),
        }
    }

    async fn done(&self, input: Input, by: By) -> Result<Done, Error> {
        match self.call(input, by).await? {
            (seq, Reply::Done { changed }) => Ok(Done { seq, changed }),
            (_, other) => Err(mismatch(other)),
        }
    }

    async fn call(&self, input: Input, by: By) -> Result<(u64, Reply), Error> {
        let answer = match self.send(input, by)? {
            Sent::Left(answer) => answer,
            // Boxed: what is rare must not make every call's future large.
            Sent::Waits(waits) => Box::pin(self.bring_up(*waits)).await?,
        };
        answer.await.map_err(|_| Error::Unavailable)?
    }

    /// Permit, owner, inbox: the one way in. The answer comes through the gate.
    fn send(&self, input: Input, by: By) -> Result<Sent, Error> {
        let kind = Kind::of(&input);
        if kind == Kind::New && self.shared.disk_low.load(Ordering::Relaxed) {
            let free_bytes = self.shared.meters.free_bytes.load(Ordering::Relaxed);
            return Err(Error::DiskFull { free_bytes });
        }
        let pool = match kind {
            Kind::Step => Pool::Steps,
            Kind::New | Kind::Rest => Pool::Rest,
        };
        let (reply, answer) = oneshot::channel();
        let mut msg = Some(Msg::Do { input, by, waiting: Some(Waiting { reply, pool }) });
        match self.cell.door.request(pool, &mut msg) {
            Ok(()) => Ok(Sent::Left(answer)),
            Err(Turned::Busy) => {
                add(&self.shared.meters.busy, 1);
                Err(Error::Busy { retry_after_ms: RETRY_AFTER_MS })
            }
            Err(Turned::Refused(error)) => Err(error),
            Err(Turned::NotUp) => {
                let permit = Permit { cell: Arc::clone(&self.cell), pool: Some(pool) };
                Ok(Sent::Waits(Box::new(Waits { msg, permit, answer })))
            }
        }
    }

    /// The account is brought up first.
    async fn bring_up(&self, waits: Waits) -> Result<oneshot::Receiver<Answer>, Error> {
        let Waits { msg, permit, answer } = waits;
        load::ready(&self.shared, &self.cell).await?;
        if let Some(msg) = msg
            && self.cell.door.leave(msg)
        {
            permit.goes_with_the_message();
        }
        // If the actor is gone the message is dropped, and the caller who waits for it learns that.
        Ok(answer)
    }

    /// The engine's clock.
    pub fn now(&self) -> Time {
        self.shared.clock.now()
    }
}

/// A request on its way.
enum Sent {
    Left(oneshot::Receiver<Answer>),
    /// The account has to be brought up.
    Waits(Box<Waits>),
}

struct Waits {
    msg: Option<Msg>,
    permit: Permit,
    answer: oneshot::Receiver<Answer>,
}

/// The permit of a request that waits for its account to be loaded; given back when that fails or is given up.
struct Permit {
    cell: Arc<Cell>,
    pool: Option<Pool>,
}

impl Permit {
    fn goes_with_the_message(mut self) {
        self.pool = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut back = Taken::default();
        self.pool.into_iter().for_each(|pool| back.add(pool));
        self.cell.door.give_back(back);
    }
}

/// Which pool an input draws on, and whether a disk that is nearly full keeps it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A step on something live.
    Step,
    /// Grants and configuration.
    New,
    Rest,
}

impl Kind {
    fn of(input: &Input) -> Self {
        match input {
            Input::Offer { .. } | Input::EndCall { .. } => Self::Step,
            Input::ReserveAgent { .. }
            | Input::ReserveQueue { .. }
            | Input::SelfReserve { .. }
            | Input::SetSettings(_)
            | Input::PutAgent { .. }
            | Input::RemoveAgent { .. }
            | Input::PutQueue { .. }
            | Input::RemoveQueue { .. }
            | Input::PutReason(_)
            | Input::RemoveReason { .. }
            | Input::Assign { .. }
            | Input::Unassign { .. } => Self::New,
            Input::Tick
            | Input::Rearm
            | Input::Event(_)
            | Input::Act(_)
            | Input::Feed { .. }
            | Input::Explain { .. }
            | Input::ReadAgent { .. }
            | Input::ReadOffer { .. } => Self::Rest,
        }
    }
}
