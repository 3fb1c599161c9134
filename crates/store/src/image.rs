//! What comes out: an account as the store has it.

use std::sync::Arc;

/// Names one page of an account's snapshot. What kinds and numbers mean is the writer's business.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PageId {
    pub kind: u8,
    pub number: u32,
}

/// An account: its newest snapshot, then what happened since.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// The seq the snapshot stands at, and the header; `None` if there was never a snapshot.
    pub header: Option<(u64, Vec<u8>)>,
    /// By id, ascending.
    pub pages: Vec<(PageId, Vec<u8>)>,
    /// Records after the header's seq: contiguous, ascending.
    pub tail: Vec<Record>,
}

/// One record as it was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub term: u64,
    pub prev_seq: u64,
    pub seq: u64,
    /// Epoch ms.
    pub at: u64,
    pub bytes: Vec<u8>,
}

/// Where an account stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountHead {
    pub account: Arc<str>,
    pub term: u64,
    pub seq: u64,
    /// Time of the head's record, epoch ms.
    pub at: u64,
}
