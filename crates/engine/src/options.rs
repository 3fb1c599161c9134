//! How an engine is opened.

use std::io;
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::{Durability, HistoryLimits};

/// Requests of one account under way at once. Steps on live offers have a pool of their own, so that a storm of
/// reserves never keeps an answer or a hang-up waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permits {
    /// answer, reject, end, cancel, extend and their like.
    pub steps: usize,
    pub rest: usize,
}

impl Default for Permits {
    fn default() -> Self {
        Self { steps: 4096, rest: 4096 }
    }
}

/// Options of [`crate::Engine::open`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the journal lives; in mode memory only the term is kept there, if it is given.
    pub data: Option<PathBuf>,
    pub durability: Durability,
    /// Development: the first use of an id creates the agent.
    pub create_on_first_use: bool,
    pub permits: Permits,
    /// How much later than the registrar's own expiry a lease ends here, so that its event normally comes first:
    /// the registrar's expiry scan plus the way.
    pub feed_margin_ms: u64,
    pub clock: Clock,
    /// Journal not covered by snapshots, in bytes, at which accounts are asked for one: half of what a start may have
    /// to replay.
    pub tail_bytes: u64,
    /// Asked once a second how many bytes are free where the journal lives.
    pub free_bytes: fn(&Path) -> io::Result<u64>,
    /// What is kept of the past beside the journal; `None` keeps nothing. Mode memory has no past.
    pub history: Option<HistoryLimits>,
}

impl Options {
    /// Nothing outlives the process but, given a directory, the term.
    pub fn memory() -> Self {
        Self {
            data: None,
            durability: Durability::Memory,
            create_on_first_use: false,
            permits: Permits::default(),
            feed_margin_ms: 5_000,
            clock: Clock::system(),
            tail_bytes: 32 * 1024 * 1024,
            free_bytes: ringfence_store::free_bytes,
            history: Some(HistoryLimits::default()),
        }
    }

    pub fn durable(data: impl Into<PathBuf>, durability: Durability) -> Self {
        Self { data: Some(data.into()), durability, ..Self::memory() }
    }
}
