//! Identifiers: caller-supplied strings of 1..=64 bytes (model.md §1), one type per noun so that a queue id never
//! passes for an agent id. A number is accepted where an id is expected and kept as text.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

/// Longest id in bytes. Ids are copied into rows, records and frames, so their length bounds all of those.
pub const ID_BYTES_MAX: usize = 64;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    #[error("an id is 1 to {ID_BYTES_MAX} bytes long; this one is empty")]
    Empty,
    #[error("an id is 1 to {ID_BYTES_MAX} bytes long; this one has {0}")]
    TooLong(usize),
    #[error("an id holds no control characters and no spaces at its ends")]
    Character,
}

fn check(text: &str) -> Result<(), BadId> {
    if text.is_empty() {
        return Err(BadId::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(BadId::TooLong(text.len()));
    }
    let bad = if text.is_ascii() {
        let bytes = text.as_bytes();
        bytes.iter().any(u8::is_ascii_control) || bytes[0] == b' ' || bytes[bytes.len() - 1] == b' '
    } else {
        text.chars().any(char::is_control) || text.trim() != text
    };
    if bad { Err(BadId::Character) } else { Ok(()) }
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = SmolStr;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an id: a string of 1 to {ID_BYTES_MAX} bytes, or a whole number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SmolStr, E> {
        check(text).map_err(E::custom)?;
        Ok(SmolStr::new(text))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<SmolStr, E> {
        Ok(SmolStr::from(number.to_string()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<SmolStr, E> {
        Ok(SmolStr::from(number.to_string()))
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(SmolStr);

        impl $name {
            /// Checks the text and keeps it.
            pub fn parse(text: &str) -> Result<Self, BadId> {
                check(text)?;
                Ok(Self(SmolStr::new(text)))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:?}", &*self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(IdVisitor).map(Self)
            }
        }
    )+};
}

ids! {
    /// A tenant.
    AccountId,
    /// A directory entry, usually an agent.
    AgentId,
    QueueId,
    /// A pause reason.
    ReasonId,
    OfferId,
    /// A call as its router (or the call feed) names it.
    CallId,
    TagId,
    /// A router that reserves or enqueues.
    RouterId,
    /// A registrar node.
    SourceId,
}

impl AccountId {
    /// Sorts before every account there can be: a bound for ordered sets.
    pub fn smallest() -> Self {
        Self(SmolStr::new_static(""))
    }
}

impl OfferId {
    /// The id the engine mints when the router brought none, `ofr_`, term in base 36, `_`, n: unique because the token
    /// is, unless a router took it for one of its own; then there is another try. Short enough to need no allocation.
    pub(crate) fn minted(term: u64, n: u64, again: u32) -> Self {
        let mut text = Text::default();
        text.push(b"ofr_");
        text.push_number(term, 36);
        text.push(b"_");
        text.push_number(n, 10);
        if again > 0 {
            text.push(b"_");
            text.push_number(u64::from(again), 10);
        }
        Self(SmolStr::new(text.as_str()))
    }
}

/// A short text made in place: an id is minted with every grant, and the formatting machinery costs as much as the
/// grant itself.
struct Text {
    bytes: [u8; ID_BYTES_MAX],
    len: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; ID_BYTES_MAX], len: 0 }
    }
}

impl Text {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn push_number(&mut self, mut number: u64, base: u64) {
        let mut digits = [0; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % base) as usize];
            number /= base;
            if number == 0 {
                break;
            }
        }
        self.push(&digits[first..]);
    }

    fn as_str(&self) -> &str {
        // Digits and letters are all that is ever pushed.
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_id_names_its_token() {
        assert_eq!(OfferId::minted(1_763_800_000_000, 70, 0).as_str(), "ofr_mia0za4g_70");
        assert_eq!(OfferId::minted(0, 7, 12).as_str(), "ofr_0_7_12");
        let longest = OfferId::minted(u64::MAX, u64::MAX, u32::MAX);
        assert_eq!(longest.as_str(), format!("ofr_3w5e11264sgsf_{}_{}", u64::MAX, u32::MAX));
        assert!(OfferId::parse(longest.as_str()).is_ok());
    }

    #[test]
    fn leading_zeros_survive() {
        assert_eq!(AgentId::parse("082018").map(|id| id.to_string()), Ok("082018".to_owned()));
    }

    #[test]
    fn what_is_no_id_is_refused_with_the_reason() {
        assert_eq!(AgentId::parse(""), Err(BadId::Empty));
        assert_eq!(AgentId::parse(&"x".repeat(65)), Err(BadId::TooLong(65)));
        assert_eq!(AgentId::parse("a\nb"), Err(BadId::Character));
        assert_eq!(AgentId::parse(" a"), Err(BadId::Character));
        assert_eq!(AgentId::parse("a "), Err(BadId::Character));
        assert_eq!(AgentId::parse("\u{a0}ä"), Err(BadId::Character));
        assert!(AgentId::parse(&"x".repeat(64)).is_ok());
    }
}
