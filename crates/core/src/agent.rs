//! An agent: a directory entry, what the agent wants, what the agent is doing, and what the world says of their phone.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::accounting::Ledger;
use crate::bucket::{Bucket, Intent};
use crate::call::{AgentCall, ExternalCall, WrapUp};
use crate::fence::{Clause, ClauseSet};
use crate::id::{AgentId, OfferId, QueueId, ReasonId, TagId};
use crate::input::PauseReason;
use crate::next::{ClockLogout, Pending};
use crate::offer::Outcome;
use crate::slab::Ix;
use crate::time::Time;

/// Most calls one agent may handle at once (model.md §1).
pub const CAPACITY_MAX: u16 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentKind {
    Human,
    Ai,
}

/// How a ringable address is reached (model.md §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressKind {
    /// Digits.
    Extension,
    /// `user@domain`.
    Sip,
    /// E.164.
    Tel,
}

/// One address of an agent; unique per account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Address {
    #[serde(rename = "type")]
    pub kind: AddressKind,
    pub target: String,
    /// Whether an offer rings it.
    pub ring: bool,
}

/// Order in which an offer's addresses are to be rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RingMethod {
    Ringall,
    Linear,
}

/// The directory half of an agent: what administrators write.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AgentEntry {
    pub name: Option<String>,
    pub kind: AgentKind,
    /// Calls handled at once, 1..=[`CAPACITY_MAX`].
    pub capacity: u16,
    pub is_agent: bool,
    pub active: bool,
    /// Text-only agents have none and are never offered calls.
    pub voice: bool,
    pub ring_method: RingMethod,
    pub addresses: Vec<Address>,
    pub tags: Vec<TagId>,
    /// An AI agent deployed as a SIP endpoint is reachable without a registration.
    pub sip_endpoint: bool,
}

impl Default for AgentEntry {
    fn default() -> Self {
        Self {
            name: None,
            kind: AgentKind::Human,
            capacity: 1,
            is_agent: true,
            active: true,
            voice: true,
            ring_method: RingMethod::Ringall,
            addresses: Vec::new(),
            tags: Vec::new(),
            sip_endpoint: false,
        }
    }
}

impl AgentEntry {
    /// The entry a development server makes at the first use of an id: the id is the extension.
    pub fn for_extension(extension: &str) -> Self {
        let kind = if extension.bytes().all(|byte| byte.is_ascii_digit()) {
            AddressKind::Extension
        } else {
            return Self::default();
        };
        let address = Address { kind, target: extension.to_owned(), ring: true };
        Self { addresses: vec![address], ..Self::default() }
    }

    pub fn extension(&self) -> Option<&str> {
        self.addresses.iter().find(|a| a.kind == AddressKind::Extension).map(|a| a.target.as_str())
    }

    /// Reachable without any registration (model.md §2, permanent contacts).
    pub fn permanent_contact(&self) -> bool {
        self.sip_endpoint || self.addresses.iter().any(|a| a.kind == AddressKind::Tel && a.ring)
    }
}

/// What the agent wants.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    Offline,
    Available,
    OnBreak(Break),
}

impl Status {
    pub const fn intent(&self) -> Intent {
        match self {
            Self::Offline => Intent::Offline,
            Self::Available => Intent::Available,
            Self::OnBreak(_) => Intent::OnBreak,
        }
    }

    /// Whether the agent may dial out (model.md §5).
    pub const fn may_place(&self) -> bool {
        match self {
            Self::Offline => false,
            Self::Available => true,
            Self::OnBreak(pause) => pause.allow_outbound,
        }
    }

    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Available => "available",
            Self::OnBreak(_) => "on_break",
        }
    }
}

/// A break and the terms it was begun under: a copy, so that a reason deleted meanwhile changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Break {
    pub reason_id: Option<ReasonId>,
    pub name: Option<String>,
    pub allow_inbound: bool,
    pub allow_outbound: bool,
    pub since: Time,
    /// When the reason's `max_sec` is over: shown, not enforced.
    pub until: Option<Time>,
}

/// Id of the system reason an agent gets who missed too many offers in a row.
pub const RONA: &str = "rona";

impl Break {
    /// A break without a reason: inbound no, outbound yes (model.md §5).
    pub fn plain(since: Time) -> Self {
        Self { reason_id: None, name: None, allow_inbound: false, allow_outbound: true, since, until: None }
    }

    /// A break for this reason, under its terms of now.
    pub fn under(reason: Option<&PauseReason>, since: Time) -> Self {
        let Some(reason) = reason else { return Self::plain(since) };
        Self {
            reason_id: Some(reason.id.clone()),
            name: Some(reason.name.clone()),
            allow_inbound: reason.allow_inbound,
            allow_outbound: reason.allow_outbound,
            since,
            until: reason.max_sec.map(|sec| since.plus_sec(sec)),
        }
    }
}

/// One of an agent's `capacity` slots, while it is taken. A free slot is one that is not in the list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Slot {
    Offering(OfferId),
    InCall(Arc<AgentCall>),
    WrapUp(Arc<WrapUp>),
}

/// What the agent is doing: the highest of the slots, in_call > offering > wrap_up > waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Waiting,
    WrapUp,
    Offering,
    InCall,
}

/// How somebody comes to be in a queue (model.md §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MembershipMode {
    Static,
    Dynamic,
    Supervised,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Membership {
    pub queue: Ix,
    /// Lower rings first.
    pub tier: u8,
    pub position: u32,
    pub mode: MembershipMode,
}

/// What the account's own facts say of an agent at the end of a record: derived while deciding, carried by the fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Standing {
    pub bucket: Bucket,
    /// Reachability as shown (debounced).
    pub reachable: bool,
    /// Clauses 1 to 8 that fail for a queue offer; empty = offerable.
    pub failing: ClauseSet,
    /// When the failing clauses are all known to be over, if each has an end.
    pub ready_at: Option<Time>,
}

impl Standing {
    /// The phone is lost, and still shown as there.
    pub(crate) fn debounced(&self) -> bool {
        self.reachable && self.failing.contains(Clause::Reachable)
    }

    /// A new agent: offline, no phone.
    pub const NEW: Self =
        Self { bucket: Bucket::Offline, reachable: false, failing: ClauseSet::EMPTY, ready_at: None };
}

/// The last offer that ended, as a row shows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LastOffer {
    pub at: Time,
    pub queue_id: Option<QueueId>,
    pub outcome: Outcome,
}

/// Calls the fence gave to the agent since the last login, whichever queue they came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Offers answered; each counts once.
    pub answered: u32,
    /// Length of the calls that are over, ms.
    pub talk_ms: u64,
}

/// Who made a change (model.md §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Agent,
    Supervisor,
    System,
    Registrar,
    Router,
    Api,
}

impl Role {
    /// May do what is for supervisors. An administrator, who speaks through a key, may do all a supervisor may; so may
    /// the engine and whoever embeds it.
    pub const fn supervises(self) -> bool {
        self.administers() || matches!(self, Self::Supervisor)
    }

    pub const fn administers(self) -> bool {
        matches!(self, Self::Api | Self::System)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct By {
    #[serde(rename = "type")]
    pub role: Role,
    pub id: Option<Arc<str>>,
}

impl By {
    pub const SYSTEM: Self = Self { role: Role::System, id: None };
    pub const REGISTRAR: Self = Self { role: Role::Registrar, id: None };
    pub const ROUTER: Self = Self { role: Role::Router, id: None };

    pub fn new(role: Role, id: &str) -> Self {
        Self { role, id: Some(Arc::from(id)) }
    }
}

/// Everything an account knows of one agent. Facts alone change it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    pub id: AgentId,
    pub entry: Arc<AgentEntry>,
    /// The last record that changed the directory or the live half.
    pub seq: u64,
    /// The last record that changed the directory half (memberships included).
    pub directory_seq: u64,
    pub status: Status,
    pub status_since: Time,
    pub slots: Vec<Slot>,
    pub external: Vec<ExternalCall>,
    pub memberships: Vec<Membership>,
    pub cooldown_until: Option<Time>,
    /// Offers missed in a row.
    pub misses: u32,
    pub last_offer: Option<LastOffer>,
    pub standing: Standing,
    /// Since when in this bucket.
    pub bucket_since: Time,
    pub reachable_since: Time,
    /// Anchor of longest idle: when the agent last became offerable, or was last granted an offer while still free.
    pub ready_since: Time,
    pub changed_by: By,
    pub ledger: Ledger,
    #[serde(default)]
    pub tally: Tally,
    /// The tally the queues' indexes go by: between a change and what follows from it, the one before.
    #[serde(skip)]
    pub(crate) ranked: Tally,
    /// Addresses an offer rings, in the order of the ring method; derived from the entry.
    #[serde(skip)]
    pub(crate) ringable: Option<Arc<[Address]>>,
    /// The AoRs that map to this agent; found again from the addresses when a snapshot is loaded.
    #[serde(skip)]
    pub(crate) aors: Vec<Ix>,
    /// The status that is to come when a slot is free next.
    #[serde(default)]
    pub pending: Option<Box<Pending>>,
    /// The logout that is to come at a time of the day.
    #[serde(default)]
    pub clock_logout: Option<Box<ClockLogout>>,
}

impl Agent {
    pub(crate) fn new(id: AgentId, entry: Arc<AgentEntry>, at: Time, by: By) -> Self {
        Self {
            id,
            entry,
            seq: 0,
            directory_seq: 0,
            status: Status::Offline,
            status_since: at,
            slots: Vec::new(),
            external: Vec::new(),
            memberships: Vec::new(),
            cooldown_until: None,
            misses: 0,
            last_offer: None,
            standing: Standing::NEW,
            bucket_since: at,
            reachable_since: at,
            ready_since: at,
            changed_by: by,
            ledger: Ledger::begin(at),
            tally: Tally::default(),
            ranked: Tally::default(),
            ringable: None,
            aors: Vec::new(),
            pending: None,
            clock_logout: None,
        }
    }

    pub fn state(&self) -> State {
        self.slots
            .iter()
            .map(|slot| match slot {
                Slot::Offering(_) => State::Offering,
                Slot::InCall(_) => State::InCall,
                Slot::WrapUp(_) => State::WrapUp,
            })
            .max()
            .unwrap_or(State::Waiting)
    }

    pub fn live_offers(&self) -> impl Iterator<Item = &OfferId> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Offering(offer) => Some(offer),
            Slot::InCall(_) | Slot::WrapUp(_) => None,
        })
    }

    pub fn calls(&self) -> impl Iterator<Item = &AgentCall> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::InCall(call) => Some(&**call),
            Slot::Offering(_) | Slot::WrapUp(_) => None,
        })
    }

    pub fn wrap_ups(&self) -> impl Iterator<Item = &WrapUp> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::WrapUp(wrap_up) => Some(&**wrap_up),
            Slot::Offering(_) | Slot::InCall(_) => None,
        })
    }

    /// Addresses an offer rings: all at once in the order given, or, one after the other, extensions before SIP
    /// addresses before telephone numbers.
    pub fn ringable(&self) -> Arc<[Address]> {
        if let Some(addresses) = &self.ringable {
            return Arc::clone(addresses);
        }
        let mut addresses: Vec<Address> = self.entry.addresses.iter().filter(|a| a.ring).cloned().collect();
        match self.entry.ring_method {
            RingMethod::Ringall => {}
            RingMethod::Linear => addresses.sort_by_key(|address| address.kind),
        }
        addresses.into()
    }

    /// Slots with a live offer or a call, the load a row shows.
    pub fn busy(&self) -> usize {
        self.slots.iter().filter(|slot| !matches!(slot, Slot::WrapUp(_))).count()
    }

    pub fn membership(&self, queue: Ix) -> Option<&Membership> {
        self.memberships.iter().find(|membership| membership.queue == queue)
    }
}
