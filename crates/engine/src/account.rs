//! A handle on one account: the embed API. Cheap to clone; the account behind it is brought up at the first message.

use std::sync::Arc;

use ringfence_core::agent::{AgentEntry, By};
use ringfence_core::feed::{CallEvent, FeedItem, FeedWhat, Stamp};
use ringfence_core::input::{
    AccountSettings, ActionInput, Ask, Enqueue, EventInput, PauseReason, QueueChoice, Verb,
};
use ringfence_core::offer::Fence;
use ringfence_core::queue::QueueSettings;
use ringfence_core::row::AgentRow;
use ringfence_core::{
    AccountId, AgentId, CallId, Input, OfferId, QueueId, ReasonId, Refusal, Reply, RouterId, SourceId, Time,
};
use tokio::sync::oneshot;

use crate::actor::{Msg, mismatch};
use crate::answer::{
    ActionAnswer, AgentAnswer, ConfigAnswer, Done, EndAnswer, Entries, Explanation, FedAnswer, LineAnswer,
    OfferAnswer, Queues, Roster,
};
use crate::cell::Cell;
use crate::counters::add;
use crate::door::{Pool, Taken, Turned};
use crate::error::Error;
use crate::gate::{Answer, Waiting};
use crate::load;
use crate::released::{CatchUp, Released};
use crate::router::Router;
use crate::shared::Shared;

/// When a request that was turned away may be tried again.
const RETRY_AFTER_MS: u64 = 50;

/// One account of an engine.
#[derive(Clone)]
pub struct Account {
    shared: Arc<Shared>,
    cell: Arc<Cell>,
    /// Of the row the commands through this handle are about.
    expected_seq: Option<u64>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Account").field("id", &self.cell.id).finish_non_exhaustive()
    }
}

impl Account {
    pub(crate) fn new(shared: Arc<Shared>, cell: Arc<Cell>) -> Self {
        Self { shared, cell, expected_seq: None }
    }

    pub fn id(&self) -> &AccountId {
        &self.cell.id
    }

    /// The same account, for commands that are to be refused (`SeqMismatch`) when the row they are about is no longer at
    /// this seq: of the agent that is named, of the offer's agent, or of the queue. What repeats a step that was done is
    /// answered as ever, and reads are.
    #[must_use]
    pub fn expecting(&self, seq: Option<u64>) -> Self {
        Self { expected_seq: seq, ..self.clone() }
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

    /// Reserves the next agent of the queue: by tier, the queue's strategy, position, id.
    pub async fn reserve_queue(
        &self,
        by: By,
        queue: QueueId,
        ask: Ask,
        exclude: Vec<AgentId>,
    ) -> Result<OfferAnswer, Error> {
        self.reserve_queue_preferring(by, queue, ask, exclude, Vec::new()).await
    }

    /// The same, trying these agents first, in this order, by the same fence (membership and open tier included); at most
    /// [`PREFER_MAX`](ringfence_core::input::PREFER_MAX).
    pub async fn reserve_queue_preferring(
        &self,
        by: By,
        queue: QueueId,
        ask: Ask,
        exclude: Vec<AgentId>,
        prefer: Vec<AgentId>,
    ) -> Result<OfferAnswer, Error> {
        self.offer_answer(Input::ReserveQueue { queue, ask, exclude, prefer }, by).await
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
    ) -> Result<EndAnswer, Error> {
        match self.call(Input::EndCall { call, agent, fence }, by).await? {
            (seq, Reply::Ended { agents, changed }) => Ok(EndAnswer { agents, seq, changed }),
            (_, other) => Err(mismatch(other)),
        }
    }

    /// A caller joins the line of a queue: an offer if an agent is free, else a place. Asked again for a caller who waits,
    /// it is the same question at a later time.
    pub async fn enqueue(&self, by: By, input: Enqueue) -> Result<LineAnswer, Error> {
        self.line_answer(Input::Enqueue(input), by).await
    }

    /// Back to the place in line the call had.
    pub async fn requeue(
        &self,
        by: By,
        call: CallId,
        queue: Option<QueueId>,
        router: Option<RouterId>,
    ) -> Result<LineAnswer, Error> {
        self.line_answer(Input::Requeue { call, queue, router }, by).await
    }

    /// Takes the caller out of its line, and back the offer that rings for it.
    pub async fn dequeue(&self, by: By, call: CallId, queue: Option<QueueId>) -> Result<Done, Error> {
        self.done(Input::Dequeue { call, queue }, by).await
    }

    /// Attaches a router: from here on the account's lines push offers to it, its own calls' first. Dropping the handle
    /// detaches it; what rings for it then is rescinded after a grace, unless it attaches again.
    pub async fn attach_router(&self, router: RouterId) -> Result<Router, Error> {
        Router::attach(self.clone(), router).await
    }

    async fn line_answer(&self, input: Input, by: By) -> Result<LineAnswer, Error> {
        match self.call(input, by).await? {
            (seq, Reply::Granted { grant, changed }) => {
                Ok(LineAnswer::Offered(OfferAnswer { grant, seq, changed }))
            }
            (seq, Reply::Placed { place, changed }) => Ok(LineAnswer::Placed { place, seq, changed }),
            (_, other) => Err(mismatch(other)),
        }
    }

    pub(crate) fn cell(&self) -> &Arc<Cell> {
        &self.cell
    }

    pub(crate) async fn router(&self, input: Input) -> Result<Done, Error> {
        self.done(input, By::ROUTER).await
    }

    /// Says it without waiting for the answer; an account that is not up has forgotten its routers anyway.
    pub(crate) fn router_left(&self, router: RouterId) {
        self.cell.door.leave(Msg::Do { input: Input::RouterDown { router }, by: By::ROUTER, waiting: None });
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

    /// The agent's row as it was let out last: after a write, of that write's seq or later. None: there is no such agent.
    pub async fn row(&self, agent: &AgentId) -> Result<Option<Arc<AgentRow>>, Error> {
        if let Some(row) = self.cell.released.row(agent) {
            return Ok(row);
        }
        match self.read_agent(agent.clone()).await {
            Ok(answer) => Ok(Some(Arc::new(answer.row))),
            Err(Error::Refused(Refusal::UnknownAgent { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Agents as they were written, beside their rows; at most [`READ_MAX`](ringfence_core::input::READ_MAX).
    pub async fn read_entries(&self, agents: Vec<AgentId>) -> Result<Entries, Error> {
        match self.call(Input::ReadEntries { agents }, By::SYSTEM).await? {
            (seq, Reply::Entries(entries)) => Ok(Entries { seq, entries }),
            (_, other) => Err(mismatch(other)),
        }
    }

    /// The same of queues.
    pub async fn read_queues(&self, queues: Vec<QueueId>) -> Result<Queues, Error> {
        match self.call(Input::ReadQueues { queues }, By::SYSTEM).await? {
            (seq, Reply::Queues(queues)) => Ok(Queues { seq, queues }),
            (_, other) => Err(mismatch(other)),
        }
    }

    /// Settings and pause reasons.
    pub async fn read_config(&self) -> Result<ConfigAnswer, Error> {
        match self.call(Input::ReadConfig, By::SYSTEM).await? {
            (seq, Reply::Config(config)) => Ok(ConfigAnswer { seq, config: *config }),
            (_, other) => Err(mismatch(other)),
        }
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
        if kind == Kind::New {
            self.shared.room_for_new()?;
        }
        let input = match self.expected_seq {
            Some(seq) => Input::Expecting { seq, input: Box::new(input) },
            None => input,
        };
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
            Input::Offer { .. }
            | Input::EndCall { .. }
            | Input::Dequeue { .. }
            | Input::RouterUp { .. }
            | Input::RouterDown { .. } => Self::Step,
            Input::ReserveAgent { .. }
            | Input::ReserveQueue { .. }
            | Input::Enqueue(_)
            | Input::Requeue { .. }
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
            | Input::ReadOffer { .. }
            | Input::ReadEntries { .. }
            | Input::ReadQueues { .. }
            | Input::ReadConfig => Self::Rest,
            Input::Expecting { input, .. } => Self::of(input),
        }
    }
}
