//! What ringfence remembers: the journal, the snapshots and the keys, in one SQLite file per data directory.
//!
//! The engine decides and pushes; one committer thread takes what all accounts pushed and hands it to
//! [`Store::commit`] as one batch: one transaction, one blob row, one sync. Each record names the head it follows and
//! the term of its writer, so a writer that was replaced is fenced here, record by record, and never fails the batch
//! of others. What was committed is read back by [`Reader::load`]: the account's newest snapshot and the records after
//! it, found through a list of batches that is kept in memory, since the rows themselves have no key but their number.
//!
//! Three rules carry the rest:
//!
//! - *An acknowledgement is a sync.* A sync that failed is never tried again: the store is dead from then on, and the
//!   process must end. A full disk is not that; the ballast is given up, and if it does not suffice the batch was not
//!   applied and the store lives on.
//! - *Nothing is believed without its checksum.* Records, batches (chained), pages, headers, keys and the term each
//!   carry one. Damage costs the account it lies in, and more only where nobody can tell whose it is.
//! - *A term is never given out twice*, in no mode, and is synced before anybody learns it.
//!
//! A data directory holds `ringfence.db` and `history.db` with their WALs, the `ballast`, and the `lock`. The history
//! is what the journal was before it was trimmed ([`Reader::history`]), and the lesser of the two: nothing waits for it.
//! The in-memory twin ([`open_memory`]) keeps the same promises for as long as the process lives, without a history.
//!
//! Clocks are the caller's: the wall clock at opening is a parameter, record times are in the records. The store knows
//! nothing of what a record or a page means, and it runs without an async runtime. Of its own it has two threads: one
//! carries the WAL over, one writes the history.

mod store;

mod error;
mod image;
mod write;

mod opening;
mod sqlite;

mod batch;
mod index;
mod keys;
mod snapshot;
mod trim;

mod reader;
mod scan;

mod history;
mod space;

mod ballast;
mod checkpoint;
mod db;
mod lock;
mod meta;
mod structure;
mod wal;

mod memory;

pub mod journal;

pub use ballast::free_bytes;
pub use error::{CommitError, Damage, LoadError, OpenError, ReadError};
pub use history::{HistoryLimits, Lost, Past, Span, State};
pub use image::{AccountHead, Image, PageId, Record};
pub use store::{Config, Durability, Figures, History, Opened, Reader, Store, open, open_memory};
pub use write::{KeyRow, TableOp, Verdict, Write};
