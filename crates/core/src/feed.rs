//! Normalised feed events: the only thing the engine sees of a registrar (feeds.md).
//!
//! [`Event`] is what an emitter sends; [`FeedItem`] is what is left of it for one account once the source's continuity
//! is checked and its times are leases on the engine's clock.

use serde::{Deserialize, Serialize};

use crate::call::Direction;
use crate::id::{AgentId, CallId, OfferId, SourceId};
use crate::time::Time;

/// Order of what one source says of one contact or call: (epoch, seq). Never expiry, never CSeq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Stamp {
    pub epoch: u64,
    pub seq: u64,
}

impl Stamp {
    pub const ZERO: Self = Self { epoch: 0, seq: 0 };
}

/// What OPTIONS pings say of a contact. `unknown` counts as alive: a fresh REGISTER is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Qualify {
    #[default]
    Unknown,
    Ok,
    Failed,
}

/// One event as an emitter sends it. `account` is whatever the credential says, never the event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub source: SourceId,
    pub epoch: u64,
    /// Contiguous from 1 within (endpoint, source, epoch).
    pub seq: u64,
    /// The source's clock when it was emitted, epoch ms.
    pub at: Time,
    pub kind: EventKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// The whole contact set of one AoR at this source.
    Bindings {
        aor: String,
        contacts: Vec<EventContact>,
    },
    /// These contacts are gone; the others of the AoR are not spoken of.
    Gone {
        aor: String,
        contacts: Vec<String>,
    },
    Qualify {
        aor: String,
        contact: String,
        qualify: Qualify,
    },
    Heartbeat {
        contacts_total: Option<u64>,
        users_total: Option<u64>,
        lost: u64,
    },
    Call(CallEvent),
}

/// A contact by the source's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventContact {
    pub id: String,
    pub uri: String,
    /// Epoch ms by the source's clock; none = held without a lease.
    pub expires_at: Option<Time>,
    pub instance: Option<String>,
    pub received: Option<String>,
    pub user_agent: Option<String>,
    pub qualify: Option<Qualify>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallPhase {
    Start,
    State,
    End,
}

/// One leg of a dialog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallEvent {
    pub phase: CallPhase,
    pub call_id: CallId,
    pub party: Party,
    pub direction: Direction,
    pub peer: Option<String>,
    pub offer_id: Option<OfferId>,
}

/// Whose leg it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Party {
    Agent(AgentId),
    Aor(String),
}

/// A full resync of one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub source: SourceId,
    pub epoch: u64,
    /// Events up to this seq are already in it.
    pub cut: u64,
    pub at: Time,
    pub bindings: Vec<(String, Vec<EventContact>)>,
}

/// A contact as an account hears of it: its lease is on the engine's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenContact {
    pub id: String,
    pub uri: String,
    pub lease: Option<Time>,
    pub instance: Option<String>,
    pub user_agent: Option<String>,
    pub qualify: Option<Qualify>,
}

/// One item of a feed, for one account.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedItem {
    pub source: SourceId,
    pub stamp: Stamp,
    pub what: FeedWhat,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FeedWhat {
    Bindings {
        aor: String,
        contacts: Vec<SeenContact>,
        /// Contacts of an older epoch that this set leaves out are held until then at the latest, not removed: a
        /// registrar restarted empty flips nobody.
        hold_unconfirmed_until: Option<Time>,
    },
    Gone {
        aor: String,
        contacts: Vec<String>,
    },
    Qualify {
        aor: String,
        contact: String,
        qualify: Qualify,
    },
    Call(CallEvent),
}
