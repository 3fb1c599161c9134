//! What happened before the journal begins: `history.db`, beside the journal and behind it.
//!
//! A thread of its own copies every batch soon after it was committed, sorted by account, compressed, each piece with
//! a checksum, and syncs; a batch is trimmed once that is done. The history is the lesser of the two: it delays no
//! commit, it refuses no start, it leaves the last of the disk to the journal, and when it cannot be written the
//! journal is trimmed all the same. What it lacks then shows as a gap, between the records it has and in a table of its
//! own.
//!
//! A full state of an account is kept for each UTC day something happened on: its snapshot, as it is soon after the
//! day's first record. So a day can be replayed from a state of that day, or the one before, and the records after it.
//! Days older than the limit go, but what the first kept day begins with stays.

mod file;
mod keep;
mod piece;
mod read;

use crate::error::Damage;
use crate::image::{PageId, Record};

pub(crate) use file::FILE;
pub(crate) use keep::Keeper;
pub(crate) use read::{Found, Walk, connections, newest_state, verify};

/// A UTC day, by record times.
pub(crate) const DAY_MS: u64 = 86_400_000;

/// How much of the past is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Whole UTC days before the one of the newest record.
    pub days: u32,
    /// Of `history.db`, without its WAL. The oldest goes first.
    pub bytes: u64,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self { days: 30, bytes: 4 << 30 }
    }
}

/// Which part of the past. All bounds count as within.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub first_seq: u64,
    pub last_seq: u64,
    /// Epoch ms, as records have it.
    pub first_at: u64,
    pub last_at: u64,
}

impl Span {
    pub const ALL: Self = Self { first_seq: 0, last_seq: u64::MAX, first_at: 0, last_at: u64::MAX };
}

/// One thing about the past of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Past {
    Record(Record),
    /// Nothing is known of the records after seq `after` and before seq `before`. At the beginning of a past that was
    /// cut off by its limits `after` is 0.
    Gap {
        after: u64,
        before: u64,
    },
    /// Why the gap that follows is there.
    Damaged(Damage),
}

/// A whole account as of a seq.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub seq: u64,
    /// Of the account's head when the state was taken.
    pub term: u64,
    /// Time of that head's record, epoch ms.
    pub at: u64,
    pub header: Vec<u8>,
    /// By id, ascending.
    pub pages: Vec<(PageId, Vec<u8>)>,
}

/// Batches that were trimmed without having been copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Batch ids; both 0 if it is not about batches.
    pub first: u64,
    pub last: u64,
    /// Times of the records before and after, epoch ms; 0 if there are none.
    pub after_at: u64,
    pub before_at: u64,
    pub why: String,
}
