//! What frames of both directions are made of, the limits that bind them, and what is wrong with a refused one.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::close::CloseCode;

/// Name of the websocket subprotocol with text frames; what is spoken when a client offers none.
pub const SUBPROTOCOL_JSON: &str = "ringfence.v1.json";

/// Largest client frame. The largest legal one, a `cmd`, is far below; a client cannot make the server hold more.
pub const CLIENT_FRAME_BYTES_MAX: usize = 4 * 1024;
/// Client frames a minute, except on router connections. A client speaks at joins and mismatches only.
pub const CLIENT_FRAMES_PER_MINUTE_MAX: u32 = 120;
/// Views of one connection: each costs a cursor and an entry in every heartbeat.
pub const VIEWS_MAX: u32 = 64;
/// Largest part of a snapshot, so that heartbeats and other views get in between the parts. One row larger than this
/// is a part by itself.
pub const SNAPSHOT_PART_BYTES_MAX: usize = 64 * 1024;
/// The heartbeat interval a client may ask for.
pub const HEARTBEAT_MS: std::ops::RangeInclusive<u32> = 1_000..=60_000;
/// The interval when it asks for none.
pub const HEARTBEAT_MS_DEFAULT: u32 = 5_000;
/// Longest text a client may number its requests with; it is echoed.
pub const REQUEST_ID_BYTES_MAX: usize = 64;

/// The client's own name for a request, echoed as it came: a number stays a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RequestId {
    Number(u64),
    Text(String),
}

/// Where a client stopped reading. The epoch is text on the wire: it is compared there, never counted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    #[serde(with = "epoch_text")]
    pub epoch: u64,
    pub seq: u64,
}

/// A JSON value carried as its text.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawJson(Box<RawValue>);

/// Why a frame was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {bytes} bytes is too large; the most is {CLIENT_FRAME_BYTES_MAX}")]
    TooLarge { bytes: usize },
    #[error("a frame is a JSON object with a `type`; this one is not: {message}")]
    NotAFrame { message: String },
    #[error("no frame has the type `{kind}`; check the spelling and the subprotocol's version")]
    UnknownType { kind: String, id: Option<RequestId> },
    #[error("`view` of a `{kind}` frame: {message}")]
    BadView { kind: String, id: Option<RequestId>, message: String },
    #[error("a `{kind}` frame is wrong: {message}")]
    BadFrame { kind: String, id: Option<RequestId>, message: String },
}

/// A text that is no `epoch:seq`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no resume token; one is `epoch:seq`, two whole numbers, as the last event's id gave it")]
pub struct BadResume(String);

impl FrameError {
    /// For the `error` frame.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::NotAFrame { .. } => "not_a_frame",
            Self::UnknownType { .. } => "unknown_type",
            Self::BadView { .. } => "bad_view",
            Self::BadFrame { .. } => "bad_frame",
        }
    }

    /// The request it answers, where one could be read out of the refused frame: its `id`, or the `rid` of a `cmd`.
    pub const fn id(&self) -> Option<&RequestId> {
        match self {
            Self::TooLarge { .. } | Self::NotAFrame { .. } => None,
            Self::UnknownType { id, .. } | Self::BadView { id, .. } | Self::BadFrame { id, .. } => {
                id.as_ref()
            }
        }
    }

    /// The code to close with, when this is to end the connection.
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::TooLarge { .. } => CloseCode::TooLarge,
            Self::BadView { .. } => CloseCode::View,
            Self::NotAFrame { .. } | Self::UnknownType { .. } | Self::BadFrame { .. } => CloseCode::Protocol,
        }
    }
}

impl RawJson {
    /// Writes the value down.
    pub fn of(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Reads the value as a `T`.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }
}

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for RawJson {}

/// The `id` of a server-sent event, and what `Last-Event-ID` brings back.
impl fmt::Display for Resume {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.epoch, self.seq)
    }
}

impl FromStr for Resume {
    type Err = BadResume;

    fn from_str(text: &str) -> Result<Self, BadResume> {
        let whole = |digits: &str| -> Option<u64> {
            // `parse` alone would take a sign.
            if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
        };
        text.split_once(':')
            .and_then(|(epoch, seq)| Some(Self { epoch: whole(epoch)?, seq: whole(seq)? }))
            .ok_or_else(|| BadResume(text.chars().take(64).collect()))
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

struct RequestIdVisitor;

impl Visitor<'_> for RequestIdVisitor {
    type Value = RequestId;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a request id: a whole number, or text of at most {REQUEST_ID_BYTES_MAX} bytes")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<RequestId, E> {
        Ok(RequestId::Number(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RequestId, E> {
        if text.len() > REQUEST_ID_BYTES_MAX {
            return Err(E::invalid_length(text.len(), &self));
        }
        Ok(RequestId::Text(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RequestIdVisitor)
    }
}

/// An epoch as text: `#[serde(with = "epoch_text")]` on a `u64`.
pub(crate) mod epoch_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::borrow::Cow;

    pub fn serialize<S: Serializer>(epoch: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(epoch)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text: Cow<'de, str> = Cow::deserialize(deserializer)?;
        text.parse()
            .map_err(|_| D::Error::custom("an epoch is the text the server gave as `epoch`, digits only"))
    }
}
