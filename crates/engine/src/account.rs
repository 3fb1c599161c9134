//! A handle on one account: the embed API. Cheap to clone; the account behind it is brought up at the first message.

use std::sync::Arc;

use ringfence_core::agent::{AgentEntry, By};
use ringfence_core::feed::{CallEvent, FeedItem, FeedWhat, Stamp};
use ringfence_core::input::{AccountSettings, Ask, EventInput, PauseReason, Verb};
use ringfence_core::offer::Fence;
use ringfence_core::queue::QueueSettings;
use ringfence_core::row::AgentRow;
use ringfence_core::{
    AccountId, AgentId, CallId, Input, OfferId, QueueId, ReasonId, Refusal, Reply, SourceId, Time,
};
use tokio::sync::oneshot;

use crate::actor::{Msg, mismatch};
use crate::answer::{
    AgentAnswer, ConfigAnswer, Done, EndAnswer, Entries, Explanation, FedAnswer, OfferAnswer, Queues, Roster,
};
use crate::cell::{Cell, Permit, PoolName};
use crate::counters::add;
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

    pub async fn put_agent(&self, by: By, agent: AgentId, entry: AgentEntry) -> Result<AgentAnswer, Error> {
        self.agent_answer(Input::PutAgent { agent, entry: Box::new(entry) }, by).await
    }

    pub async fn remove_agent(&self, by: By, agent: AgentId) -> Result<Done, Error> {
        self.done(Input::RemoveAgent { agent }, by).await
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
            let mailbox = load::ready(&self.shared, &self.cell).await?;
            mailbox.send(Msg::ShowRows { ready });
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
        let answer = self.send(Input::Feed { items, create }, by).await?;
        Ok(async move {
            match answer.await.map_err(|_| Error::Unavailable)?? {
                (seq, Reply::Fed(fed)) => Ok(FedAnswer { seq, fed }),
                (_, other) => Err(mismatch(other)),
            }
        })
    }

    pub(crate) async fn contacts_of(&self, source: SourceId) -> Result<u64, Error> {
        let (reply, answer) = oneshot::channel();
        let mailbox = load::ready(&self.shared, &self.cell).await?;
        mailbox.send(Msg::ContactsOf { source, reply });
        answer.await.map_err(|_| Error::Unavailable)
    }

    pub(crate) async fn aors_of(&self, source: SourceId) -> Result<Vec<String>, Error> {
        let (reply, answer) = oneshot::channel();
        let mailbox = load::ready(&self.shared, &self.cell).await?;
        mailbox.send(Msg::AorsOf { source, reply });
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
            (seq, Reply::Granted { grant, changed }) => Ok(OfferAnswer { grant: *grant, seq, changed }),
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
        self.send(input, by).await?.await.map_err(|_| Error::Unavailable)?
    }

    /// Permit, owner, mailbox: the one way in. The answer comes through the gate.
    async fn send(&self, input: Input, by: By) -> Result<oneshot::Receiver<Answer>, Error> {
        let kind = Kind::of(&input);
        if kind == Kind::New {
            self.shared.room_for_new()?;
        }
        let input = match self.expected_seq {
            Some(seq) => Input::Expecting { seq, input: Box::new(input) },
            None => input,
        };
        let pool = match kind {
            Kind::Step => PoolName::Steps,
            Kind::New | Kind::Rest => PoolName::Rest,
        };
        let Some(permit) = Permit::take(&self.cell, pool) else {
            add(&self.shared.meters.busy, 1);
            return Err(Error::Busy { retry_after_ms: RETRY_AFTER_MS });
        };
        let mailbox = load::ready(&self.shared, &self.cell).await?;
        let (reply, answer) = oneshot::channel();
        // If the actor is gone the message is dropped, and the caller who waits for it learns that.
        mailbox.send(Msg::Do { input, by, waiting: Some(Waiting { reply, permit }) });
        Ok(answer)
    }

    /// The engine's clock.
    pub fn now(&self) -> Time {
        self.shared.clock.now()
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
            | Input::SetSettings(_)
            | Input::PutAgent { .. }
            | Input::RemoveAgent { .. }
            | Input::PutQueue { .. }
            | Input::RemoveQueue { .. }
            | Input::PutReason(_)
            | Input::RemoveReason { .. } => Self::New,
            Input::Tick
            | Input::Rearm
            | Input::Event(_)
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
