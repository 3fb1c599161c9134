//! Random lives of a small account: six agents, three queues, six calls, a small pool of offer ids, and registrars whose
//! events are repeated and overtake one another.

use proptest::prelude::*;
use ringfence_core::agent::{AddressKind, AgentEntry, By, MembershipMode, Role};
use ringfence_core::call::Direction;
use ringfence_core::fact::Change;
use ringfence_core::feed::{CallEvent, CallPhase, FeedItem, FeedWhat, Qualify, SeenContact, Stamp};
use ringfence_core::fence::PausedInbound;
use ringfence_core::input::{AccountSettings, AgentEvent, Ask, EventInput, PauseReason, QueueChoice, Verb};
use ringfence_core::offer::Fence;
use ringfence_core::queue::{QueueSettings, RequiredTags, Strategy as Choosing, TagMatch};
use ringfence_core::{AgentId, CallId, Input, OfferId, QueueId, StepOutcome, Time};

use super::wishes::{Wish, wish};
use super::{
    World, address, agent_id, aor, by, call_id, contact, entry, event_of, leg, offer_id, pause, put_agent,
    put_queue, queue_id, reason, source_id, tag_id,
};

pub const AGENTS: u8 = 6;
pub const QUEUES: u8 = 3;
pub const CALLS: u8 = 6;
pub const OFFERS: u8 = 8;

pub fn nth_agent(n: u8) -> AgentId {
    agent_id(&format!("{}", 100 + n % AGENTS))
}

pub fn nth_queue(n: u8) -> QueueId {
    queue_id(["a", "b", "c"][usize::from(n % QUEUES)])
}

pub fn nth_call(n: u8) -> CallId {
    call_id(&format!("k{}", n % CALLS))
}

pub fn nth_offer(n: u8) -> OfferId {
    offer_id(&format!("o{}", n % OFFERS))
}

/// How far time moves before a command.
#[derive(Debug, Clone, Copy)]
pub enum Pass {
    Not,
    Ms(u64),
    /// Exactly to the next deadline, or one millisecond short of it.
    ToDeadline {
        early: bool,
    },
}

#[derive(Debug, Clone)]
pub enum Cmd {
    Tick,
    Rearm,
    Event {
        agent: u8,
        event: AgentEvent,
        queues: Option<Vec<(u8, u8)>>,
        role: Role,
    },
    Pause {
        agent: u8,
        reason: u8,
    },
    ReserveAgent {
        agent: u8,
        queue: Option<u8>,
        ask: Wanted,
    },
    ReserveQueue {
        queue: u8,
        ask: Wanted,
        exclude: Option<u8>,
        prefer: Option<u8>,
    },
    /// On the nth latest grant, with its own token or another.
    Verb {
        nth: u8,
        verb: Verb,
        own: bool,
    },
    EndCall {
        call: u8,
        agent: Option<u8>,
        token: Option<bool>,
    },
    Feed(Vec<Said>),
    Settings {
        inbound: u8,
        grace_ms: u64,
    },
    PutAgent {
        agent: u8,
        variant: u8,
    },
    PutQueue {
        queue: u8,
        variant: u8,
    },
    RemoveAgent {
        agent: u8,
    },
    RemoveQueue {
        queue: u8,
    },
    Explain {
        agent: u8,
        queue: Option<u8>,
    },
    Wish(Wish),
}

#[derive(Debug, Clone)]
pub struct Wanted {
    pub call: u8,
    /// None: minted by the account.
    pub offer: Option<u8>,
    pub lease_ms: Option<u64>,
}

/// One word of a registrar or call feed.
#[derive(Debug, Clone)]
pub struct Said {
    pub source: u8,
    /// Steps back from the newest stamp: 0 is new, the rest comes late or again.
    pub back: u64,
    pub agent: u8,
    pub what: SaidWhat,
}

#[derive(Debug, Clone)]
pub enum SaidWhat {
    /// Contact, and the seconds its lease lasts.
    Bindings(Vec<(u8, Option<u64>)>),
    Gone(u8),
    Qualify(u8, Qualify),
    Call {
        phase: CallPhase,
        call: u8,
        direction: Direction,
        offer: Option<u8>,
    },
}

/// A world driven by commands.
#[derive(Default)]
pub struct Driver {
    pub world: World,
    newest: u64,
}

impl Driver {
    /// Agents ready in queues "a" and "b", so that the interesting part begins at once.
    pub fn new() -> Self {
        Self::choosing(Choosing::LongestIdle)
    }

    /// The same with queues of this strategy.
    pub fn choosing(strategy: Choosing) -> Self {
        let mut driver = Self { newest: 10, ..Self::default() };
        let world = &mut driver.world;
        for (id, allow_inbound) in [("open", true), ("closed", false)] {
            let allow_outbound = allow_inbound;
            world.must(Input::PutReason(PauseReason { allow_outbound, ..reason(id, allow_inbound) }));
        }
        for queue in 0..QUEUES {
            let settings = QueueSettings { strategy, ..QueueSettings::default() };
            world.must(put_queue(nth_queue(queue).as_str(), settings));
        }
        for agent in 0..AGENTS - 1 {
            world.ready(nth_agent(agent).as_str(), &["a", "b/2"]);
        }
        driver
    }

    pub fn pass(&mut self, pass: Pass) {
        let now = self.world.now;
        let due = self.world.account.next_deadline().unwrap_or(now);
        self.world.now = match pass {
            Pass::Not => now,
            Pass::Ms(ms) => now.plus_ms(ms),
            Pass::ToDeadline { early } => Time::from_ms(due.ms() - u64::from(early)).max(now),
        };
    }

    pub fn step(&mut self, cmd: &Cmd) -> StepOutcome {
        let (input, by) = self.input(cmd);
        self.world.step_by(input, &by)
    }

    /// The latest grants, newest first.
    pub fn grants(&self) -> Vec<(OfferId, Fence)> {
        let facts = self.world.journal.iter().rev().flat_map(|record| record.facts.iter().rev());
        let granted = facts.filter_map(|fact| {
            let Change::Granted { entry } = &fact.change else { return None };
            Some((entry.offer.offer_id.clone(), entry.offer.fence))
        });
        granted.take(12).collect()
    }

    pub fn input(&mut self, cmd: &Cmd) -> (Input, By) {
        let input = match cmd {
            Cmd::Tick => Input::Tick,
            Cmd::Rearm => Input::Rearm,
            Cmd::Event { agent, event, queues, role } => {
                return (event_input(*agent, event, queues), by(*role));
            }
            Cmd::Pause { agent, reason } => {
                let reason = ["", "open", "closed", "nothing"][usize::from(reason % 4)];
                pause(nth_agent(*agent).as_str(), reason)
            }
            Cmd::ReserveAgent { agent, queue, ask } => {
                Input::ReserveAgent { agent: nth_agent(*agent), queue: queue.map(nth_queue), ask: ask.ask() }
            }
            Cmd::ReserveQueue { queue, ask, exclude, prefer } => {
                let exclude = exclude.map(nth_agent).into_iter().collect();
                // The neighbour is preferred as well, and tried after.
                let prefer = prefer.map_or(Vec::new(), |n| vec![nth_agent(n), nth_agent(n + 1)]);
                Input::ReserveQueue { queue: nth_queue(*queue), ask: ask.ask(), exclude, prefer }
            }
            Cmd::Verb { nth, verb, own } => self.verb(*nth, verb, *own),
            Cmd::EndCall { call, agent, token } => {
                let fence = token.map(|own| self.call_token(*call, own));
                Input::EndCall { call: nth_call(*call), agent: agent.map(nth_agent), fence }
            }
            Cmd::Feed(said) => {
                let items = said.iter().map(|said| self.item(said)).collect();
                return (Input::Feed { items, create: false }, By::REGISTRAR);
            }
            Cmd::Settings { inbound, grace_ms } => {
                let all = [PausedInbound::None, PausedInbound::Direct, PausedInbound::DirectAndQueue];
                let paused_inbound = all[usize::from(inbound % 3)];
                Input::SetSettings(AccountSettings { paused_inbound, unreachable_grace_ms: *grace_ms })
            }
            Cmd::PutAgent { agent, variant } => {
                put_agent(nth_agent(*agent).as_str(), entry_variant(*agent, *variant))
            }
            Cmd::PutQueue { queue, variant } => {
                put_queue(nth_queue(*queue).as_str(), queue_variant(*variant))
            }
            Cmd::RemoveAgent { agent } => Input::RemoveAgent { agent: nth_agent(*agent) },
            Cmd::RemoveQueue { queue } => Input::RemoveQueue { queue: nth_queue(*queue) },
            Cmd::Explain { agent, queue } => {
                Input::Explain { agent: nth_agent(*agent), queue: queue.map(nth_queue) }
            }
            Cmd::Wish(wish) => return wish.input(self.world.now),
        };
        (input, by(Role::Api))
    }

    fn verb(&self, nth: u8, verb: &Verb, own: bool) -> Input {
        let grants = self.grants();
        let unknown = (offer_id("never"), Fence { term: 1, n: 1 });
        let (offer, fence) =
            if grants.is_empty() { unknown } else { grants[usize::from(nth) % grants.len()].clone() };
        let fence = if own { fence } else { Fence { n: fence.n + 1, ..fence } };
        Input::Offer { offer, fence, verb: verb.clone() }
    }

    /// The token of the latest offer of the call, or one that is nobody's.
    fn call_token(&self, call: u8, own: bool) -> Fence {
        let of_call = |offer: &OfferId| {
            self.world.account.offer(offer).is_some_and(|entry| entry.offer.call_id == nth_call(call))
        };
        let latest = self.grants().into_iter().find(|(offer, _)| of_call(offer)).map(|(_, fence)| fence);
        latest.filter(|_| own).unwrap_or(Fence { term: 1, n: 0 })
    }

    fn item(&mut self, said: &Said) -> FeedItem {
        if said.back == 0 {
            self.newest += 1;
        }
        let stamp = Stamp { epoch: 1, seq: self.newest.saturating_sub(said.back).max(1) };
        let agent = nth_agent(said.agent);
        let aor = aor(agent.as_str());
        let what = match &said.what {
            SaidWhat::Bindings(contacts) => {
                let contacts = contacts.iter().map(|(n, sec)| self.contact(*n, *sec)).collect();
                FeedWhat::Bindings { aor, contacts, hold_unconfirmed_until: None }
            }
            SaidWhat::Gone(n) => FeedWhat::Gone { aor, contacts: vec![format!("c{n}")] },
            SaidWhat::Qualify(n, qualify) => {
                FeedWhat::Qualify { aor, contact: format!("c{n}"), qualify: *qualify }
            }
            SaidWhat::Call { phase, call, direction, offer } => {
                // Half of them are legs with an id of their own, half carry a call's.
                let id = if call % 2 == 0 { format!("x{call}") } else { nth_call(*call).to_string() };
                let event = leg(*phase, agent.as_str(), &id, *direction);
                FeedWhat::Call(CallEvent { offer_id: offer.map(nth_offer), ..event })
            }
        };
        FeedItem { source: source_id(["kam1", "kam2"][usize::from(said.source % 2)]), stamp, what }
    }

    fn contact(&self, n: u8, sec: Option<u64>) -> SeenContact {
        contact(&format!("c{n}"), sec.map(|sec| self.world.now.plus_ms(sec * 1_000)))
    }
}

impl Wanted {
    pub fn ask(&self) -> Ask {
        let (call, offer) = (nth_call(self.call), self.offer.map(nth_offer));
        Ask { call, offer, lease_ms: self.lease_ms, router: None }
    }
}

fn event_input(agent: u8, event: &AgentEvent, queues: &Option<Vec<(u8, u8)>>) -> Input {
    let choices = |list: &Vec<(u8, u8)>| {
        let choice = |(queue, tier): &(u8, u8)| QueueChoice {
            queue: nth_queue(*queue),
            tier: Some(tier % 3),
            position: Some(u32::from(tier / 3)),
        };
        list.iter().map(choice).collect()
    };
    let queues = queues.as_ref().map(choices);
    Input::Event(EventInput { queues, ..event_of(nth_agent(agent).as_str(), event.clone()) })
}

fn entry_variant(agent: u8, variant: u8) -> AgentEntry {
    let plain = entry(nth_agent(agent).as_str());
    let neighbour = aor(nth_agent(agent + 1).as_str());
    match variant % 8 {
        1 => AgentEntry { capacity: 2, ..plain },
        2 => AgentEntry { capacity: 3, tags: vec![tag_id("vip")], ..plain },
        3 => AgentEntry { active: false, ..plain },
        4 => AgentEntry { tags: vec![tag_id("vip")], ..plain },
        // The AoR of the neighbour's extension, as a SIP address: that comes first.
        5 => AgentEntry { addresses: vec![address(AddressKind::Sip, &neighbour, true)], ..plain },
        6 => AgentEntry { addresses: vec![address(AddressKind::Tel, "+15550001", true)], ..plain },
        7 => AgentEntry { addresses: Vec::new(), ..plain },
        _ => plain,
    }
}

/// Every strategy with every kind of other settings.
pub const QUEUE_VARIANTS: u8 = 8 * 7;

fn queue_variant(variant: u8) -> QueueSettings {
    let strategy = Choosing::ALL[usize::from(variant / 7) % Choosing::ALL.len()];
    let plain = QueueSettings { strategy, ..QueueSettings::default() };
    let vip = RequiredTags { rule: TagMatch::All, tags: vec![tag_id("vip")] };
    match variant % 8 {
        1 => QueueSettings { wrap_up_sec: None, wrap_up_max_sec: 120, ..plain },
        2 => QueueSettings { wrap_up_sec: Some(0), max_no_answer: 1, ..plain },
        3 => QueueSettings { tier_wait_sec: 15, no_answer_cooldown_sec: 3, ..plain },
        4 => QueueSettings { required_tags: Some(vip), agent_ring_timeout_sec: 7, ..plain },
        5 => QueueSettings { membership_mode: MembershipMode::Static, reject_cooldown_sec: 0, ..plain },
        7 => QueueSettings { membership_mode: MembershipMode::Supervised, ..plain },
        6 => QueueSettings { max_no_answer: 0, busy_cooldown_sec: 60, ..plain },
        _ => plain,
    }
}

pub fn pass() -> impl Strategy<Value = Pass> {
    prop_oneof![
        6 => Just(Pass::Not),
        3 => (1_u64..4_000).prop_map(Pass::Ms),
        2 => prop::sample::select(vec![5_000_u64, 10_000, 20_000]).prop_map(Pass::Ms),
        4 => any::<bool>().prop_map(|early| Pass::ToDeadline { early }),
        1 => prop::sample::select(vec![90_000_u64, 700_000, 5 * 3_600_000, 30 * 3_600_000]).prop_map(Pass::Ms),
    ]
}

pub fn wanted() -> impl Strategy<Value = Wanted> {
    let lease = prop_oneof![4 => Just(None), 1 => (1_000_u64..30_000).prop_map(Some)];
    (0..CALLS, prop::option::weighted(0.8, 0..OFFERS), lease).prop_map(|(call, offer, lease_ms)| Wanted {
        call,
        offer,
        lease_ms,
    })
}

fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        6 => Just(Verb::Answer { leg: None }),
        1 => (0..4_u8).prop_map(|n| Verb::Answer { leg: Some(call_id(&format!("x{n}"))) }),
        1 => prop::option::of(0..4_u8).prop_map(|n| Verb::Ringing { leg: n.map(|n| call_id(&format!("x{n}"))) }),
        1 => Just(Verb::Reject),
        1 => Just(Verb::Busy),
        2 => Just(Verb::NoAnswer),
        1 => (0..2_u16).prop_map(|n| Verb::Failed { code: 480 + n }),
        1 => Just(Verb::Cancel),
        1 => (1_000_u64..60_000).prop_map(|lease_ms| Verb::Extend { lease_ms }),
    ]
}

fn agent_event() -> impl Strategy<Value = AgentEvent> {
    prop_oneof![
        2 => Just(AgentEvent::Login),
        1 => Just(AgentEvent::Logout),
        3 => Just(AgentEvent::Available),
        1 => Just(AgentEvent::Unpause),
        1 => Just(AgentEvent::EndWrapUp),
        1 => (0..90_u32).prop_map(|sec| AgentEvent::ExtendWrapUp { sec }),
        1 => Just(AgentEvent::CancelPending),
        1 => Just(AgentEvent::CancelClockLogout),
    ]
}

pub fn said() -> impl Strategy<Value = Said> {
    let lease = prop_oneof![2 => Just(None), 2 => (1_u64..200).prop_map(Some)];
    let phase =
        prop::sample::select(vec![CallPhase::Start, CallPhase::State, CallPhase::End, CallPhase::End]);
    let direction = prop::sample::select(vec![Direction::Inbound, Direction::Outbound]);
    let qualify = prop::sample::select(vec![Qualify::Unknown, Qualify::Ok, Qualify::Ok, Qualify::Failed]);
    let what = prop_oneof![
        5 => prop::collection::vec((0..3_u8, lease), 0..3).prop_map(SaidWhat::Bindings),
        1 => (0..3_u8).prop_map(SaidWhat::Gone),
        1 => (0..3_u8, qualify).prop_map(|(n, qualify)| SaidWhat::Qualify(n, qualify)),
        3 => (phase, 0..4_u8, direction, prop::option::weighted(0.2, 0..OFFERS))
            .prop_map(|(phase, call, direction, offer)| SaidWhat::Call { phase, call, direction, offer }),
    ];
    let back = prop_oneof![4 => Just(0_u64), 1 => 1_u64..6];
    (0..2_u8, back, 0..AGENTS, what).prop_map(|(source, back, agent, what)| Said {
        source,
        back,
        agent,
        what,
    })
}

pub fn cmd() -> impl Strategy<Value = Cmd> {
    let role = prop::sample::select(vec![Role::Agent, Role::Supervisor, Role::Api, Role::Api]);
    let queues = prop::option::weighted(0.4, prop::collection::vec((0..QUEUES, 0..9_u8), 0..3));
    let grace = prop::sample::select(vec![0_u64, 0, 2_000]);
    prop_oneof![
        2 => Just(Cmd::Tick),
        1 => Just(Cmd::Rearm),
        6 => (0..AGENTS, agent_event(), queues, role)
            .prop_map(|(agent, event, queues, role)| Cmd::Event { agent, event, queues, role }),
        2 => (0..AGENTS, 0..4_u8).prop_map(|(agent, reason)| Cmd::Pause { agent, reason }),
        4 => (0..AGENTS, prop::option::of(0..QUEUES), wanted())
            .prop_map(|(agent, queue, ask)| Cmd::ReserveAgent { agent, queue, ask }),
        8 => (0..QUEUES, wanted(), prop::option::weighted(0.1, 0..AGENTS), prop::option::weighted(0.15, 0..AGENTS))
            .prop_map(|(queue, ask, exclude, prefer)| Cmd::ReserveQueue { queue, ask, exclude, prefer }),
        12 => (0..4_u8, verb(), prop::bool::weighted(0.85)).prop_map(|(nth, verb, own)| Cmd::Verb { nth, verb, own }),
        3 => (0..CALLS, prop::option::weighted(0.3, 0..AGENTS), prop::option::weighted(0.3, any::<bool>()))
            .prop_map(|(call, agent, token)| Cmd::EndCall { call, agent, token }),
        8 => prop::collection::vec(said(), 1..3).prop_map(Cmd::Feed),
        1 => (0..3_u8, grace).prop_map(|(inbound, grace_ms)| Cmd::Settings { inbound, grace_ms }),
        3 => (0..AGENTS, 0..8_u8).prop_map(|(agent, variant)| Cmd::PutAgent { agent, variant }),
        2 => (0..QUEUES, 0..QUEUE_VARIANTS).prop_map(|(queue, variant)| Cmd::PutQueue { queue, variant }),
        1 => (0..AGENTS).prop_map(|agent| Cmd::RemoveAgent { agent }),
        1 => (0..QUEUES).prop_map(|queue| Cmd::RemoveQueue { queue }),
        1 => (0..AGENTS, prop::option::of(0..QUEUES)).prop_map(|(agent, queue)| Cmd::Explain { agent, queue }),
        12 => wish().prop_map(Cmd::Wish),
    ]
}

/// A life: what happens, each after some time.
pub fn life(steps: usize) -> impl Strategy<Value = Vec<(Pass, Cmd)>> {
    prop::collection::vec((pass(), cmd()), steps / 2..steps)
}
