//! Bytes of records and pages: one version byte, then MessagePack with fields by position.
//!
//! ```text
//! record, page:  | version u8 = 1 | MessagePack of ringfence_core::Record / Page |
//! header:        | version u8 = 1 | MessagePack of (epoch u64, ringfence_core::Head) |
//! ```
//!
//! Fields are only ever added at the end of a struct, with a default; anything else raises the version.

use ringfence_core::{Head, Page, PageKey, Record};
use ringfence_store::PageId;
use serde::Serialize;
use serde::de::DeserializeOwned;

const VERSION: u8 = 1;

/// Bytes that are not what this program writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be read: {problem}")]
pub struct BadBytes {
    what: &'static str,
    problem: String,
}

fn encode<T: Serialize>(value: &T, room: usize) -> Result<Vec<u8>, BadBytes> {
    let mut bytes = Vec::with_capacity(room);
    bytes.push(VERSION);
    rmp_serde::encode::write(&mut bytes, value)
        .map_err(|error| BadBytes { what: "a value to be written", problem: error.to_string() })?;
    Ok(bytes)
}

fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, BadBytes> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => {
            rmp_serde::from_slice(rest).map_err(|error| BadBytes { what, problem: error.to_string() })
        }
        Some((version, _)) => Err(BadBytes {
            what,
            problem: format!("it is of version {version}, this program knows up to {VERSION}"),
        }),
        None => Err(BadBytes { what, problem: "it is empty".to_owned() }),
    }
}

pub(crate) fn record(record: &Record) -> Result<Vec<u8>, BadBytes> {
    encode(record, 256)
}

/// A record as the journal holds it.
///
/// # Errors
/// [`BadBytes`] when the bytes are not a record, or one of a version this program does not know.
pub fn read_record(bytes: &[u8]) -> Result<Record, BadBytes> {
    decode("a record", bytes)
}

pub(crate) fn page(page: &Page) -> Result<Vec<u8>, BadBytes> {
    encode(page, 16 * 1024)
}

pub(crate) fn read_page(bytes: &[u8]) -> Result<Page, BadBytes> {
    decode("a page", bytes)
}

pub(crate) fn header(epoch: u64, head: &Head) -> Result<Vec<u8>, BadBytes> {
    encode(&(epoch, head), 1024)
}

pub(crate) fn read_header(bytes: &[u8]) -> Result<(u64, Head), BadBytes> {
    decode("a snapshot's header", bytes)
}

/// Where the store keeps a page; the head is the snapshot's header, not a page.
pub(crate) const fn page_id(key: PageKey) -> Option<PageId> {
    match key {
        PageKey::Head => None,
        PageKey::Agents(number) => Some(PageId { kind: 1, number }),
        PageKey::Queues(number) => Some(PageId { kind: 2, number }),
        PageKey::Aors(number) => Some(PageId { kind: 3, number }),
        PageKey::Offers(number) => Some(PageId { kind: 4, number }),
        PageKey::Calls(number) => Some(PageId { kind: 5, number }),
    }
}

/// The other way round.
pub(crate) const fn page_key(id: PageId) -> Option<PageKey> {
    match id.kind {
        1 => Some(PageKey::Agents(id.number)),
        2 => Some(PageKey::Queues(id.number)),
        3 => Some(PageKey::Aors(id.number)),
        4 => Some(PageKey::Offers(id.number)),
        5 => Some(PageKey::Calls(id.number)),
        _ => None,
    }
}
