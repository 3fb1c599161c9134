//! What goes in: a record of one account, with the table rows it changes.

use std::sync::Arc;

/// One record of one account, to be committed if nobody else has written in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub account: Arc<str>,
    /// The writer's term. Below the account's highest, the writer has been replaced.
    pub term: u64,
    /// The account's head as the writer knows it; 0 before its first record.
    pub prev_seq: u64,
    /// Above `prev_seq`.
    pub seq: u64,
    /// When the record was decided, epoch ms.
    pub at: u64,
    pub record: Vec<u8>,
    /// Applied with the record, or left out with it.
    pub ops: Vec<TableOp>,
}

/// What became of one write of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Committed,
    /// Another writer has the account; this one must stop.
    Fenced,
}

/// A change of a directory table: an upsert or a delete by primary key, which cannot fail on its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableOp {
    PutKey(KeyRow),
    DropKey { id: String },
}

/// An API key as it is kept: its hash, never itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    pub id: String,
    pub hash: [u8; 32],
    pub account: String,
    /// Separated by spaces.
    pub scopes: String,
    pub label: String,
    /// Epoch ms.
    pub created_at: u64,
    /// Epoch ms; `None` never expires.
    pub expires_at: Option<u64>,
}
