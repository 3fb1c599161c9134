//! Frames of the client. Unknown fields are refused: a misspelt `since` must not look like a first join.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::frame::{RequestId, Resume};
use crate::view::{self, ViewSpec};

/// What a client says, told apart by `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    /// The view again, as a snapshot.
    Resync(Resync),
    /// A newer token for this connection.
    Refresh(Refresh),
    Ack(Ack),
    /// Router connections only.
    Cmd(Cmd),
}

impl ClientFrame {
    /// Every `type` there is.
    pub const TYPES: [&str; 6] = ["subscribe", "unsubscribe", "resync", "refresh", "ack", "cmd"];
}

/// One subscription per view and connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// Echoed in `subscribed`, or in the `error`.
    pub id: RequestId,
    pub view: ViewSpec,
    /// Where to go on; none = from a snapshot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Resume>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub class: Option<RateClass>,
    /// The interval asked for; see [`crate::frame::HEARTBEAT_MS`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heartbeat_ms: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unsubscribe {
    #[serde(serialize_with = "view::as_text")]
    pub view: ViewSpec,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resync {
    #[serde(serialize_with = "view::as_text")]
    pub view: ViewSpec,
}

/// Its token is in no debug output.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    pub token: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    #[serde(serialize_with = "view::as_text")]
    pub view: ViewSpec,
    pub seq: u64,
}

/// A command of a router. What else the frame has is the body of the HTTP call of the same name, which whoever carries
/// the command out reads, and refuses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cmd {
    /// Echoed in `reply`.
    pub rid: RequestId,
    pub op: String,
    #[serde(flatten)]
    pub body: Map<String, Value>,
}

/// How often a view may be sent, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub enum RateClass {
    /// What gathers during a pass leaves together.
    AtOnce,
    Ms100,
    #[default]
    Ms250,
    Ms1000,
}

/// A number that is no rate class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no rate class; give one of 0, 100, 250, 1000 (ms)")]
pub struct BadRateClass(pub u32);

impl RateClass {
    pub const ALL: [Self; 4] = [Self::AtOnce, Self::Ms100, Self::Ms250, Self::Ms1000];

    pub const fn ms(self) -> u32 {
        match self {
            Self::AtOnce => 0,
            Self::Ms100 => 100,
            Self::Ms250 => 250,
            Self::Ms1000 => 1_000,
        }
    }
}

impl TryFrom<u32> for RateClass {
    type Error = BadRateClass;

    fn try_from(ms: u32) -> Result<Self, BadRateClass> {
        Self::ALL.into_iter().find(|class| class.ms() == ms).ok_or(BadRateClass(ms))
    }
}

impl From<RateClass> for u32 {
    fn from(class: RateClass) -> Self {
        class.ms()
    }
}

impl fmt::Debug for Refresh {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Refresh").finish_non_exhaustive()
    }
}
