//! The two halves of a store: the one that writes, owned by the committer, and the one that reads, shared by all.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{CommitError, LoadError, OpenError, ReadError};
use crate::history::{HistoryLimits, Past, Span, State};
use crate::image::{AccountHead, Image, PageId};
use crate::memory;
use crate::opening;
use crate::space::SLACK_BYTES;
use crate::write::{KeyRow, TableOp, Verdict, Write};

/// How hard a commit is pushed to the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Synced before a commit returns: survives power loss.
    Sync,
    /// Handed to the operating system before a commit returns: survives `kill -9`, not power loss.
    Os,
    /// Nothing but the term survives.
    Memory,
}

/// What a store is opened with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data directory; made if it is missing.
    pub dir: PathBuf,
    pub durability: Durability,
    /// The wall clock at opening, in milliseconds since the epoch: terms rise above it, so that tokens rise even over
    /// a directory that was lost.
    pub wall_ms: u64,
    /// Whether records are copied into `history.db` before they are trimmed, and how many stay there.
    pub history: Option<HistoryLimits>,
    /// What `ringfence.db` with its WAL may take beyond twice the live state; `space.rs` divides it.
    pub slack_bytes: u64,
}

impl Config {
    /// Without a history, and with as much slack as usual.
    pub fn new(dir: impl Into<PathBuf>, durability: Durability, wall_ms: u64) -> Self {
        Self { dir: dir.into(), durability, wall_ms, history: None, slack_bytes: SLACK_BYTES }
    }
}

/// An opened store and what is known about the run before it.
pub struct Opened {
    pub store: Box<dyn Store>,
    pub reader: Arc<dyn Reader>,
    /// Above every term this directory has ever given out, and synced before it was returned, in every mode.
    pub term: u64,
    /// The last run stopped through [`Store::close`], or there was none.
    pub clean: bool,
    /// Nothing the operating system had been handed is lost: a clean stop, or the same boot as the last opening.
    pub os_clean: bool,
    /// Epochs below are over, since what was acknowledged in them may be lost: a machine that went down in mode `os`,
    /// or a salvage. Stays until the next such event, so that an epoch that is over never comes back.
    pub epoch_least: u64,
    /// Highest record time seen, epoch ms; 0 if there is no record.
    pub last_at: u64,
    /// Things an operator should hear about: damage that was walled off, a ballast that could not be made.
    pub warnings: Vec<String>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Opened")
            .field("term", &self.term)
            .field("clean", &self.clean)
            .field("os_clean", &self.os_clean)
            .field("epoch_least", &self.epoch_least)
            .field("last_at", &self.last_at)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

/// The writing half. There is one, and one thread calls it.
///
/// After any error but [`CommitError::Full`] the store is dead: it answers every later call with the same error and
/// touches the disk no more, since what a failed sync left behind is unknown until the next start has looked.
pub trait Store: Send {
    /// One transaction and one sync for the whole batch. Each write is judged by itself: one of a lower term than its
    /// account's, or not following its account's head, is `Fenced` and left out; the others commit. Writes of one
    /// account chain within the batch. A batch from which nothing is left does not touch the disk.
    ///
    /// # Errors
    /// `Full` when the disk is full and stayed so without the ballast; nothing was applied, and a later call may
    /// succeed. `Fatal` for everything else; the process must end without an acknowledgement.
    fn commit(&mut self, batch: &[Write]) -> Result<Vec<Verdict>, CommitError>;

    /// Applies table ops that belong to no account's record, in one synced transaction.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn apply_ops(&mut self, ops: &[TableOp]) -> Result<(), CommitError>;

    /// Makes `header` and the pages named so far the account's snapshot as of `seq`. `pages` are those dirtied since
    /// the last snapshot, `dropped` those that no longer exist; a page named in neither keeps its version. At most
    /// 1 MiB goes into a commit, and the former snapshot stays the valid one until the commit that writes `header`.
    ///
    /// # Errors
    /// As [`Store::commit`]. A `seq` above the account's head or below its last snapshot is a bug of the caller and
    /// fatal, as is a snapshot of an account in quarantine.
    fn snapshot(
        &mut self,
        account: &Arc<str>,
        seq: u64,
        header: &[u8],
        pages: &[(PageId, Vec<u8>)],
        dropped: &[PageId],
    ) -> Result<(), CommitError>;

    /// Deletes at most 1 MiB of batches of which every record is covered by its account's snapshot and in the history,
    /// if one is kept; true if more of them remain. A history that is too far behind, or cannot be written, is not
    /// waited for: what it then lacks it tells itself. Also gives back a little of the space that nothing is in.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn trim(&mut self) -> Result<bool, CommitError>;

    /// Bytes of records no snapshot covers yet: what a restart would replay. Accounts in quarantine do not count,
    /// since no snapshot can be had of them.
    fn tail_bytes(&self) -> u64;

    /// The accounts whose oldest uncovered record is the oldest, at most `most`: those hold back the trim.
    fn snapshot_candidates(&self, most: usize) -> Vec<Arc<str>>;

    /// Accounts, at most `most`, that had their first record of a UTC day since they were last asked for: with a
    /// snapshot soon the history of their day begins with a full state. Each is told once; none without a history.
    fn day_candidates(&mut self, most: usize) -> Vec<Arc<str>>;

    fn figures(&self) -> Figures;

    /// Marks the stop as clean and lets the directory go. Dropping a store without it is an unclean stop.
    ///
    /// # Errors
    /// As [`Store::commit`]; the stop is then not clean.
    fn close(self: Box<Self>) -> Result<(), CommitError>;
}

/// Numbers an operator watches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Journal not yet in the history; 0 if none is kept.
    pub history_behind_bytes: u64,
    /// Batches trimmed since the opening without having been in the history, which the history tells as a gap.
    pub history_skipped_batches: u64,
    /// Why the history could not be written at the last attempt.
    pub history_trouble: Option<Arc<str>>,
}

/// The reading half, usable from any thread while the committer commits. Sees everything committed before the call.
pub trait Reader: Send + Sync {
    /// Every account there is, in no order, those in quarantine included.
    ///
    /// # Errors
    /// When the store is closed or cannot be read.
    fn accounts(&self) -> Result<Vec<AccountHead>, ReadError>;

    /// An account's newest snapshot and the records after it; `None` for an account the store has never seen.
    ///
    /// # Errors
    /// `Damaged` concerns this account alone, which must not be served; the others may.
    fn load(&self, account: &str) -> Result<Option<Image>, LoadError>;

    /// What is known of an account's past, in order of seq: from the history, then from the journal. What is missing
    /// or damaged in between is part of it. Reads a little at a time and holds up nobody; an account the store has
    /// never seen has no past.
    ///
    /// # Errors
    /// When the store is closed or cannot be read; the iterator ends with an error of its own if that comes later.
    fn history(&self, account: &str, span: Span) -> Result<History, ReadError>;

    /// The newest full state at or below `seq` that the history or the account's snapshot holds: where a replay of
    /// what came after begins. `None` if there is none; then it begins with nothing, at the first record.
    ///
    /// # Errors
    /// As [`Reader::load`].
    fn state(&self, account: &str, seq: u64) -> Result<Option<State>, LoadError>;

    /// All keys, by id. A key whose row is damaged is left out; the opening has warned of it.
    ///
    /// # Errors
    /// When the store is closed or cannot be read.
    fn keys(&self) -> Result<Vec<KeyRow>, ReadError>;
}

/// An account's past, piece by piece; ends after an error.
pub type History = Box<dyn Iterator<Item = Result<Past, ReadError>> + Send>;

/// Opens the SQLite store of a directory, or with [`Durability::Memory`] the twin over it.
///
/// # Errors
/// When the directory is in use, is not ours, is damaged in its structure, or the disk refuses.
pub fn open(config: &Config) -> Result<Opened, OpenError> {
    match config.durability {
        Durability::Sync | Durability::Os => opening::open(config),
        Durability::Memory => memory::open(Some(&config.dir), config.wall_ms),
    }
}

/// Opens the in-memory twin. With a directory the term is kept there, in the place where the SQLite store keeps its
/// own, so that tokens rise across a change of mode too; what else the directory holds stays untouched.
///
/// # Errors
/// Without a directory none; with one as [`open`].
pub fn open_memory(dir: Option<&Path>, wall_ms: u64) -> Result<Opened, OpenError> {
    memory::open(dir, wall_ms)
}
