//! The reserve fence's predicate (model.md §3): who may be offered a call, clause by clause. Every time is compared with
//! `now` in here, so a timer that is late cannot cause a bad offer.

use serde::{Deserialize, Serialize};

use crate::agent::{Agent, Slot, Status};
use crate::call::WrapUp;
use crate::contact::Lease;
use crate::time::Time;

/// The clauses, in the order they are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clause {
    IsAgent,
    Active,
    Voice,
    Status,
    Slot,
    Reachable,
    ExternalCall,
    WrapUp,
    Cooldown,
    Pending,
    Membership,
    Tags,
    Tier,
    Excluded,
}

impl Clause {
    pub const COUNT: usize = 14;
    pub const ALL: [Self; Self::COUNT] = [
        Self::IsAgent,
        Self::Active,
        Self::Voice,
        Self::Status,
        Self::Slot,
        Self::Reachable,
        Self::ExternalCall,
        Self::WrapUp,
        Self::Cooldown,
        Self::Pending,
        Self::Membership,
        Self::Tags,
        Self::Tier,
        Self::Excluded,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IsAgent => "is_agent",
            Self::Active => "active",
            Self::Voice => "voice",
            Self::Status => "status",
            Self::Slot => "slot",
            Self::Reachable => "reachable",
            Self::ExternalCall => "external_call",
            Self::WrapUp => "wrap_up",
            Self::Cooldown => "cooldown",
            Self::Pending => "pending",
            Self::Membership => "membership",
            Self::Tags => "tags",
            Self::Tier => "tier",
            Self::Excluded => "excluded",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// A set of clauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClauseSet(u16);

impl ClauseSet {
    pub const EMPTY: Self = Self(0);

    pub const fn contains(self, clause: Clause) -> bool {
        self.0 & (1 << clause.index()) != 0
    }

    pub fn insert(&mut self, clause: Clause) {
        self.0 |= 1 << clause.index();
    }

    /// In the order of [`Clause::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Clause> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let clause = Clause::ALL.get(rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(*clause)
        })
    }
}

/// One line of an explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub clause: Clause,
    pub ok: bool,
    /// Since when it is as it is, where that is known.
    pub since: Option<Time>,
    /// Until when it will stay so by itself, where that is known.
    pub until: Option<Time>,
}

/// Which kind of offer is asked about: a break may allow direct offers only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OfferKind {
    Direct,
    Queue,
    /// An agent reserves itself, to dial out.
    Own,
}

/// Which offers a break with an inbound-allowing reason lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PausedInbound {
    None,
    #[default]
    Direct,
    DirectAndQueue,
}

impl PausedInbound {
    const fn lets_through(self, kind: OfferKind) -> bool {
        match (self, kind) {
            (Self::None, OfferKind::Direct | OfferKind::Queue) | (Self::Direct, OfferKind::Queue) => false,
            (Self::Direct, OfferKind::Direct)
            | (Self::DirectAndQueue, OfferKind::Direct | OfferKind::Queue) => true,
            // What comes in is no matter to a call that goes out.
            (Self::None | Self::Direct | Self::DirectAndQueue, OfferKind::Own) => true,
        }
    }
}

/// What clauses 1 to 8 look at.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub agent: &'a Agent,
    /// Latest live contact, exact.
    pub live_until: Lease,
    pub paused_inbound: PausedInbound,
    pub now: Time,
}

impl Subject<'_> {
    /// Clauses 1 to 8, each with what is known of its since and until.
    pub fn checks(&self, kind: OfferKind) -> Vec<Check> {
        let mut checks = Vec::with_capacity(Clause::COUNT);
        self.each(kind, |check| checks.push(check));
        checks
    }

    fn each(&self, kind: OfferKind, mut see: impl FnMut(Check)) {
        let entry = &self.agent.entry;
        let flag = |clause, ok| Check { clause, ok, since: None, until: None };
        see(flag(Clause::IsAgent, entry.is_agent));
        see(flag(Clause::Active, entry.active));
        see(flag(Clause::Voice, entry.voice));
        see(self.status(kind));
        see(self.slot());
        see(self.reachable());
        see(self.external());
        if kind != OfferKind::Own {
            see(self.wrap_up());
            see(self.cooldown());
        }
        see(self.pending());
    }

    /// The failing ones of them, and when the last of those is over by itself, if all have an end.
    pub fn failing(&self, kind: OfferKind) -> (ClauseSet, Option<Time>) {
        let mut failing = ClauseSet::EMPTY;
        let mut over = Some(self.now);
        self.each(kind, |check| {
            if !check.ok {
                failing.insert(check.clause);
                over = over.zip(check.until).map(|(a, b)| a.max(b));
            }
        });
        (failing, if failing == ClauseSet::EMPTY { None } else { over })
    }

    /// Some slot is free: no live offer, no call, no running wrap-up. A wrap-up whose slot a call of the agent's own has
    /// taken takes none beside it.
    pub fn free_slot(&self) -> bool {
        let taken = self.agent.slots.iter().filter(|slot| self.takes(slot)).count();
        taken < usize::from(self.agent.entry.capacity)
    }

    fn takes(&self, slot: &Slot) -> bool {
        match slot {
            Slot::Offering(_) | Slot::InCall(_) => true,
            Slot::WrapUp(wrap_up) => self.holds(wrap_up),
        }
    }

    fn holds(&self, wrap_up: &WrapUp) -> bool {
        wrap_up.until > self.now && wrap_up.taken_by.is_none()
    }

    fn status(&self, kind: OfferKind) -> Check {
        let ok = match (&self.agent.status, kind) {
            (status, OfferKind::Own) => status.may_place(),
            (Status::Available, OfferKind::Direct | OfferKind::Queue) => true,
            (Status::Offline, OfferKind::Direct | OfferKind::Queue) => false,
            (Status::OnBreak(pause), OfferKind::Direct | OfferKind::Queue) => {
                pause.allow_inbound && self.paused_inbound.lets_through(kind)
            }
        };
        Check { clause: Clause::Status, ok, since: Some(self.agent.status_since), until: None }
    }

    fn slot(&self) -> Check {
        let ok = self.agent.busy() < usize::from(self.agent.entry.capacity);
        Check { clause: Clause::Slot, ok, since: None, until: None }
    }

    fn reachable(&self) -> Check {
        let ok = self.live_until.live(self.now);
        let until = match self.live_until {
            Lease::Until(time) if ok => Some(time),
            Lease::None | Lease::Until(_) | Lease::Held => None,
        };
        let since = (ok == self.agent.standing.reachable).then_some(self.agent.reachable_since);
        Check { clause: Clause::Reachable, ok, since, until }
    }

    fn external(&self) -> Check {
        let since = self.agent.external.iter().map(|call| call.since).min();
        Check { clause: Clause::ExternalCall, ok: since.is_none(), since, until: None }
    }

    fn wrap_up(&self) -> Check {
        let running = || self.agent.wrap_ups().filter(|wrap_up| self.holds(wrap_up));
        let ok = self.free_slot() || running().next().is_none();
        let since = if ok { None } else { running().map(|wrap_up| wrap_up.since).min() };
        let until = if ok { None } else { running().map(|wrap_up| wrap_up.until).min() };
        Check { clause: Clause::WrapUp, ok, since, until }
    }

    fn cooldown(&self) -> Check {
        let until = self.agent.cooldown_until.filter(|until| *until > self.now);
        Check { clause: Clause::Cooldown, ok: until.is_none(), since: None, until }
    }

    fn pending(&self) -> Check {
        let pending = self.agent.pending.as_ref().map(|pending| pending.since);
        let due = self.agent.clock_logout.as_ref().map(|logout| logout.at).filter(|at| *at <= self.now);
        let since = pending.into_iter().chain(due).min();
        Check { clause: Clause::Pending, ok: since.is_none(), since, until: None }
    }
}
