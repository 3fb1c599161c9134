//! What the tests of the core share: short names for inputs, a world that steps an account and keeps its journal, the
//! oracle that recomputes what is derived, and the one door of the scenarios.

#![allow(dead_code, unused_imports, reason = "every test file uses its own part of this")]

pub mod choice;
pub mod commands;
pub mod oracle;
pub mod scenario;
pub mod store;
pub mod wishes;
pub mod words;

use proptest::test_runner::{Config as ProptestConfig, RngSeed};
use ringfence_core::agent::{Address, AddressKind, AgentEntry, By, Role};
use ringfence_core::call::Direction;
use ringfence_core::feed::{CallEvent, CallPhase, FeedItem, FeedWhat, Party, Qualify, SeenContact, Stamp};
use ringfence_core::input::{
    Action, ActionInput, AgentEvent, Ask, Enqueue, EventInput, PauseReason, QueueChoice, Verb, When,
};
use ringfence_core::queue::QueueSettings;
use ringfence_core::{
    Account, AccountId, AgentId, CallId, Input, OfferId, QueueId, ReasonId, Record, RouterId, SourceId,
    StepOutcome, TagId, Time,
};

/// Where every test begins: midnight of a day, so that "today" begins with it.
pub const T0: Time = Time::from_ms(20_000 * 86_400_000);
pub const TERM: u64 = 7;

pub fn at(ms: u64) -> Time {
    T0.plus_ms(ms)
}

pub fn agent_id(text: &str) -> AgentId {
    AgentId::parse(text).unwrap()
}

pub fn queue_id(text: &str) -> QueueId {
    QueueId::parse(text).unwrap()
}

pub fn call_id(text: &str) -> CallId {
    CallId::parse(text).unwrap()
}

pub fn offer_id(text: &str) -> OfferId {
    OfferId::parse(text).unwrap()
}

pub fn reason_id(text: &str) -> ReasonId {
    ReasonId::parse(text).unwrap()
}

pub fn router_id(text: &str) -> RouterId {
    RouterId::parse(text).unwrap()
}

pub fn tag_id(text: &str) -> TagId {
    TagId::parse(text).unwrap()
}

pub fn source_id(text: &str) -> SourceId {
    SourceId::parse(text).unwrap()
}

pub fn empty_account() -> Account {
    Account::new(AccountId::parse("acc").unwrap(), TERM)
}

pub fn by(role: Role) -> By {
    By { role, id: None }
}

pub fn address(kind: AddressKind, target: &str, ring: bool) -> Address {
    Address { kind, target: target.to_owned(), ring }
}

/// An entry whose extension is the id.
pub fn entry(extension: &str) -> AgentEntry {
    AgentEntry::for_extension(extension)
}

pub fn put_agent(id: &str, entry: AgentEntry) -> Input {
    Input::PutAgent { agent: agent_id(id), entry: Box::new(entry) }
}

pub fn put_queue(id: &str, settings: QueueSettings) -> Input {
    Input::PutQueue { queue: queue_id(id), settings: Box::new(settings) }
}

pub fn reason(id: &str, allow_inbound: bool) -> PauseReason {
    PauseReason {
        id: reason_id(id),
        name: id.to_owned(),
        allow_inbound,
        allow_outbound: true,
        max_sec: None,
        productive: false,
        supervisor_only: false,
    }
}

/// "q", "q/tier" or "q/tier/position".
pub fn choice(text: &str) -> QueueChoice {
    let mut parts = text.split('/');
    QueueChoice {
        queue: queue_id(parts.next().unwrap()),
        tier: parts.next().map(|tier| tier.parse().unwrap()),
        position: parts.next().map(|position| position.parse().unwrap()),
    }
}

pub fn event_of(id: &str, event: AgentEvent) -> EventInput {
    EventInput {
        agent: agent_id(id),
        event,
        queues: None,
        create: false,
        expected_seq: None,
        when: When::Now,
    }
}

pub fn event(id: &str, event: AgentEvent) -> Input {
    Input::Event(event_of(id, event))
}

/// An event for later.
pub fn event_for(when: When, id: &str, event: AgentEvent) -> Input {
    Input::Event(EventInput { when, ..event_of(id, event) })
}

pub fn event_with(id: &str, event: AgentEvent, queues: &[&str]) -> Input {
    let queues = Some(queues.iter().map(|text| choice(text)).collect());
    Input::Event(EventInput { queues, ..event_of(id, event) })
}

pub fn assign(id: &str, queue: &str) -> Input {
    Input::Assign { agent: agent_id(id), choice: choice(queue) }
}

pub fn unassign(id: &str, queue: &str) -> Input {
    Input::Unassign { agent: agent_id(id), queue: queue_id(queue) }
}

pub fn action_of(id: &str, action: Action) -> ActionInput {
    ActionInput { agent: agent_id(id), action, expected_seq: None, note: None, dry_run: false }
}

pub fn act(id: &str, action: Action) -> Input {
    Input::Act(action_of(id, action))
}

pub fn pause(id: &str, reason: &str) -> Input {
    event(id, AgentEvent::Pause { reason: (!reason.is_empty()).then(|| reason_id(reason)) })
}

pub fn ask(call: &str, offer: &str) -> Ask {
    let offer = (!offer.is_empty()).then(|| offer_id(offer));
    Ask { call: call_id(call), offer, lease_ms: None, router: None }
}

pub fn reserve(agent: &str, call: &str, offer: &str) -> Input {
    Input::ReserveAgent { agent: agent_id(agent), queue: None, ask: ask(call, offer) }
}

pub fn self_reserve(agent: &str, call: &str, offer: &str) -> Input {
    Input::SelfReserve { agent: agent_id(agent), ask: ask(call, offer) }
}

pub fn reserve_for(agent: &str, queue: &str, call: &str, offer: &str) -> Input {
    Input::ReserveAgent { agent: agent_id(agent), queue: Some(queue_id(queue)), ask: ask(call, offer) }
}

pub fn reserve_from(queue: &str, call: &str, offer: &str) -> Input {
    reserve_preferring(queue, call, offer, &[])
}

pub fn reserve_preferring(queue: &str, call: &str, offer: &str, prefer: &[&str]) -> Input {
    let prefer = prefer.iter().map(|id| agent_id(id)).collect();
    Input::ReserveQueue { queue: queue_id(queue), ask: ask(call, offer), exclude: Vec::new(), prefer }
}

pub fn enqueue(queue: &str, call: &str) -> Input {
    enqueue_as(queue, call, 0, "r1")
}

pub fn enqueue_as(queue: &str, call: &str, priority: u16, router: &str) -> Input {
    let router = (!router.is_empty()).then(|| router_id(router));
    Input::Enqueue(Enqueue {
        queue: queue_id(queue),
        call: call_id(call),
        priority,
        caller: None,
        required_tags: None,
        router,
    })
}

pub fn dequeue(call: &str) -> Input {
    Input::Dequeue { call: call_id(call), queue: None }
}

pub fn requeue(call: &str) -> Input {
    Input::Requeue { call: call_id(call), queue: None, router: None }
}

pub fn router_up(router: &str) -> Input {
    Input::RouterUp { router: router_id(router) }
}

pub fn router_down(router: &str) -> Input {
    Input::RouterDown { router: router_id(router) }
}

pub fn end_call(call: &str) -> Input {
    Input::EndCall { call: call_id(call), agent: None, fence: None }
}

pub fn end_leg(call: &str, agent: &str) -> Input {
    Input::EndCall { call: call_id(call), agent: Some(agent_id(agent)), fence: None }
}

pub fn explain(agent: &str, queue: Option<&str>) -> Input {
    Input::Explain { agent: agent_id(agent), queue: queue.map(queue_id) }
}

/// The AoR of an extension.
pub fn aor(user: &str) -> String {
    format!("{user}@sip.example")
}

/// A contact by the engine's clock; without a lease it is held.
pub fn contact(id: &str, lease: Option<Time>) -> SeenContact {
    SeenContact {
        id: id.to_owned(),
        uri: format!("sip:{id}@192.0.2.1"),
        lease,
        instance: None,
        user_agent: None,
        qualify: None,
    }
}

pub fn item(seq: u64, what: FeedWhat) -> FeedItem {
    FeedItem { source: source_id("kam1"), stamp: Stamp { epoch: 1, seq }, what }
}

pub fn feed(item: FeedItem) -> Input {
    Input::Feed { items: vec![item], create: false }
}

pub fn bindings(seq: u64, aor: &str, contacts: Vec<SeenContact>) -> Input {
    feed(item(seq, FeedWhat::Bindings { aor: aor.to_owned(), contacts, hold_unconfirmed_until: None }))
}

pub fn gone(seq: u64, aor: &str, contact: &str) -> Input {
    feed(item(seq, FeedWhat::Gone { aor: aor.to_owned(), contacts: vec![contact.to_owned()] }))
}

pub fn qualify(seq: u64, aor: &str, contact: &str, qualify: Qualify) -> Input {
    feed(item(seq, FeedWhat::Qualify { aor: aor.to_owned(), contact: contact.to_owned(), qualify }))
}

pub fn call_leg(seq: u64, phase: CallPhase, agent: &str, call: &str, direction: Direction) -> Input {
    feed(item(seq, FeedWhat::Call(leg(phase, agent, call, direction))))
}

pub fn leg(phase: CallPhase, agent: &str, call: &str, direction: Direction) -> CallEvent {
    let (call_id, party) = (call_id(call), Party::Agent(agent_id(agent)));
    CallEvent { phase, call_id, party, direction, peer: None, offer_id: None }
}

/// An account, its time, and everything it journalled.
pub struct World {
    pub account: Account,
    pub now: Time,
    pub journal: Vec<Record>,
}

impl Default for World {
    fn default() -> Self {
        Self { account: empty_account(), now: T0, journal: Vec::new() }
    }
}

impl World {
    pub fn step_by(&mut self, input: Input, by: &By) -> StepOutcome {
        let before = self.account.seq();
        let outcome = self.account.step(input, by, self.now);
        match &outcome.record {
            Some(record) => {
                assert_eq!(record.seq, before + 1, "records are numbered without a gap");
                assert!(!record.facts.is_empty(), "a record holds a fact");
                self.journal.push(record.clone());
            }
            None => {
                assert_eq!(self.account.seq(), before);
                assert!(outcome.touched.is_empty(), "rows change by records alone: {:?}", outcome.touched);
            }
        }
        outcome
    }

    pub fn step(&mut self, input: Input) -> StepOutcome {
        self.step_by(input, &by(Role::Api))
    }

    /// A step that is part of the setting, and must not be refused.
    pub fn must(&mut self, input: Input) -> StepOutcome {
        let said = format!("{input:?}");
        let outcome = self.step(input);
        assert!(outcome.reply.is_ok(), "{said}: {:?}", outcome.reply);
        outcome
    }

    /// A later step on an offer, with the token it was granted with.
    pub fn verb(&mut self, offer: &str, verb: Verb) -> StepOutcome {
        let id = offer_id(offer);
        let fence = self.account.offer(&id).expect("the offer is known").offer.fence;
        self.step(Input::Offer { offer: id, fence, verb })
    }

    /// An agent with an extension of its id, registered without a lease, logged into these queues.
    pub fn ready(&mut self, id: &str, queues: &[&str]) {
        self.must(put_agent(id, entry(id)));
        self.register(id);
        self.must(event_with(id, AgentEvent::Login, queues));
    }

    pub fn register(&mut self, id: &str) {
        self.must(bindings(1, &aor(id), vec![contact("c1", None)]));
    }
}

/// Answers an offer that must be live.
pub fn verb_answer(world: &mut World, offer: &str) {
    let outcome = world.verb(offer, Verb::Answer { leg: None });
    assert!(outcome.reply.is_ok(), "{:?}", outcome.reply);
}

/// A queue "q" with its defaults, and these agents ready in it, in this order of idleness.
pub fn sales(agents: &[&str]) -> World {
    sales_with(QueueSettings::default(), agents)
}

pub fn sales_with(settings: QueueSettings, agents: &[&str]) -> World {
    let mut world = World::default();
    world.must(put_queue("q", settings));
    agents.iter().for_each(|id| world.ready(id, &["q"]));
    world
}

/// How property tests are run: the same cases every time, so that a red build is red again. `PROPTEST_RNG_SEED` and
/// `PROPTEST_CASES` ask for others.
pub fn cases(cases: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    let rng_seed = match asked.rng_seed {
        RngSeed::Random => RngSeed::Fixed(0x0072_696e_6766),
        RngSeed::Fixed(seed) => RngSeed::Fixed(seed),
    };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { asked.cases } else { cases };
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..asked }
}
