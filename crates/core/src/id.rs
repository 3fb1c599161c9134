//! Identifiers: caller-supplied strings of 1..=64 bytes (model.md §1), one type per noun so that a queue id never
//! passes for an agent id. A number is accepted where an id is expected and kept as text.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
    if text.chars().any(char::is_control) || text.trim() != text {
        return Err(BadId::Character);
    }
    Ok(())
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = Arc<str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an id: a string of 1 to {ID_BYTES_MAX} bytes, or a whole number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Arc<str>, E> {
        check(text).map_err(E::custom)?;
        Ok(Arc::from(text))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Arc<str>, E> {
        Ok(Arc::from(number.to_string()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Arc<str>, E> {
        Ok(Arc::from(number.to_string()))
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text and keeps it.
            pub fn parse(text: &str) -> Result<Self, BadId> {
                check(text)?;
                Ok(Self(Arc::from(text)))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The shared text itself, for those that key a map of their own by it.
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
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
        Self(Arc::from(""))
    }
}

impl OfferId {
    /// The id the engine mints when the router brought none: unique because the token is, unless a router took it
    /// for one of its own; then there is another try.
    pub(crate) fn minted(term: u64, n: u64, again: u32) -> Self {
        let again = if again == 0 { String::new() } else { format!("_{again}") };
        Self(Arc::from(format!("ofr_{term}_{n}{again}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(AgentId::parse(&"x".repeat(64)).is_ok());
    }
}
