//! Rows: what everybody sees of an account, in one shape everywhere (REST, stream, webhooks, Rust). Times are epoch ms.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::agent::{AgentKind, By, MembershipMode, State};
use crate::bucket::{Bucket, Tile};
use crate::call::Direction;
use crate::id::{AgentId, CallId, OfferId, QueueId, ReasonId, TagId};
use crate::time::Time;

/// An agent: three fragments, each whole or left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRow {
    pub agent_id: AgentId,
    /// The last record that changed the directory or the live fragment.
    pub seq: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub directory: Option<Arc<Directory>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub live: Option<Arc<Live>>,
    /// Closed intervals of the day; outside `seq` and the hash.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub today: Option<Arc<Today>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    pub name: Option<String>,
    pub extension: Option<String>,
    pub kind: AgentKind,
    pub capacity: u16,
    pub active: bool,
    pub queues: Vec<QueueMembership>,
    pub tags: Vec<TagId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueMembership {
    pub queue_id: QueueId,
    pub tier: u8,
    pub position: u32,
    pub mode: MembershipMode,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    pub bucket: Bucket,
    pub tile: Tile,
    /// Since when in this bucket.
    pub since: Time,
    pub status: StatusWord,
    pub status_since: Time,
    pub state: State,
    /// [slots with an offer or a call, capacity].
    pub load: [u32; 2],
    pub reachable: bool,
    pub reachable_since: Time,
    pub pause: Option<Pause>,
    pub next: Option<Next>,
    pub wrap_ups: Vec<RowWrapUp>,
    pub offers: Vec<RowOffer>,
    pub calls: Vec<RowCall>,
    pub external: Vec<RowExternal>,
    pub last_offer: Option<RowLastOffer>,
    pub missed_in_row: u32,
    pub changed_by: By,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusWord {
    Offline,
    Available,
    OnBreak,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub reason_id: Option<ReasonId>,
    pub name: Option<String>,
    pub since: Time,
    pub until: Option<Time>,
}

/// A pending status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    pub status: StatusWord,
    pub reason_id: Option<ReasonId>,
    pub at: Option<Time>,
    pub by: By,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowWrapUp {
    /// None: until ended by hand.
    pub until: Option<Time>,
    pub queue_id: Option<QueueId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowOffer {
    pub offer_id: OfferId,
    pub queue_id: Option<QueueId>,
    pub call_id: CallId,
    pub expires_at: Time,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCall {
    pub call_id: CallId,
    pub queue_id: Option<QueueId>,
    pub direction: Direction,
    pub peer: Option<String>,
    pub since: Time,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowExternal {
    pub call_id: CallId,
    pub direction: Direction,
    pub peer: Option<String>,
    pub since: Time,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowLastOffer {
    pub at: Time,
    pub queue_id: Option<QueueId>,
    pub outcome: String,
}

/// Figures of the day, from closed intervals only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Today {
    /// YYYY-MM-DD.
    pub day: String,
    pub offered: u32,
    pub accepted: u32,
    pub missed: u32,
    pub rejected: u32,
    pub talk_ms: u64,
    pub wrap_up_ms: u64,
    pub pause_ms: u64,
    pub ready_ms: u64,
    pub idle_ms: u64,
    pub ringing_ms: u64,
    pub external_ms: u64,
    pub unreachable_ms: u64,
    /// Everything but offline.
    pub logged_in_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRow {
    pub queue_id: QueueId,
    pub seq: u64,
    pub waiting: u32,
    pub oldest_since: Option<Time>,
    /// Members who could be offered a call of this queue now.
    pub ready: u32,
    pub service_level: ServiceLevel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceLevel {
    pub met: u32,
    pub total: u32,
}

/// What somebody may watch: a predicate over the rows of an account (stream.md, Views).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    Account,
    Queue(QueueId),
    Tag(TagId),
    Agent(AgentId),
}

impl View {
    pub fn holds(&self, row: &AgentRow) -> bool {
        let directory = row.directory.as_deref();
        match self {
            Self::Account => true,
            Self::Queue(id) => directory.is_some_and(|d| d.queues.iter().any(|queue| queue.queue_id == *id)),
            Self::Tag(id) => directory.is_some_and(|d| d.tags.contains(id)),
            Self::Agent(id) => row.agent_id == *id,
        }
    }

    pub fn holds_queue(&self, row: &QueueRow) -> bool {
        match self {
            Self::Account => true,
            Self::Queue(id) => row.queue_id == *id,
            Self::Tag(_) | Self::Agent(_) => false,
        }
    }
}

/// FNV-1a, 32 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>), of "id:seq": one row's share of a view's hash.
pub fn row_hash(id: &str, seq: u64) -> u32 {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = seq;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    id.bytes()
        .chain(std::iter::once(b':'))
        .chain(digits[at..].iter().copied())
        .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::row_hash;

    #[test]
    fn the_hash_is_fnv_1a_of_id_colon_seq() {
        fn reference(text: &str) -> u32 {
            text.bytes().fold(0x811c_9dc5, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
        }
        assert_eq!(reference("foobar"), 0xbf9c_f968, "test vector of the FNV page");
        for (id, seq) in [("1001", 0), ("1001", 7), ("a", u64::MAX), ("ü", 1_000)] {
            assert_eq!(row_hash(id, seq), reference(&format!("{id}:{seq}")));
        }
    }
}
