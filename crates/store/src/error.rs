//! What can go wrong, split by who must act: the operator at opening, the engine at a commit, one account at a load.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Something that is not what was written, and where it was found. Holds no contents of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub what: String,
    pub place: String,
}

impl Damage {
    pub(crate) fn new(what: impl Into<String>, place: impl Into<String>) -> Self {
        Self { what: what.into(), place: place.into() }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} in {}", self.what, self.place)
    }
}

/// Why a directory was not opened. Nothing in it was changed, except that a term may have been used up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "{} is in use by another process (it holds the file `lock`): stop that one first, or give this one a data \
         directory of its own",
        dir.display()
    )]
    InUse { dir: PathBuf },
    #[error("cannot {what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot {what} {}: {source}", path.display())]
    Sqlite { what: &'static str, path: PathBuf, source: rusqlite::Error },
    #[error(
        "SQLite {found} has the WAL-reset bug and may corrupt the journal: build with the bundled one, at least {least}"
    )]
    OldSqlite { found: &'static str, least: &'static str },
    #[error("{} is not a ringfence database ({found}): point the data directory elsewhere", path.display())]
    Foreign { path: PathBuf, found: String },
    #[error(
        "{} is of format {found}, and this program writes format {known}: start the program that wrote it, or one \
         that is newer",
        path.display()
    )]
    Format { path: PathBuf, found: i64, known: i64 },
    #[error(
        "{} is damaged: {damage}; nothing was changed: copy the directory aside, let `ringfence journal verify` tell \
         how far it goes, and let `ringfence journal salvage` make a new directory of what can be believed",
        path.display()
    )]
    Damaged { path: PathBuf, damage: Damage },
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl OpenError {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, path: path.to_path_buf(), source }
    }

    /// Sorts what SQLite calls corruption from what the disk refused.
    pub(crate) fn sqlite(what: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| {
            if corrupt(&source) {
                let damage =
                    Damage::new(format!("SQLite says: {source}"), format!("its structure (to {what})"));
                Self::Damaged { path: path.to_path_buf(), damage }
            } else {
                Self::Sqlite { what, path: path.to_path_buf(), source }
            }
        }
    }
}

/// Why a batch was not committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    #[error(
        "the disk of the data directory is full, and the ballast is given up already; nothing was applied: free some \
         space, a restart is not needed"
    )]
    Full,
    /// The process must end without acknowledging anything; the next start finds out what is on the disk.
    #[error("the store cannot go on: {0}")]
    Fatal(String),
}

/// Why the store could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the store is closed")]
    Closed,
    #[error("cannot {what} {}: {source}", path.display())]
    Sqlite { what: &'static str, path: PathBuf, source: rusqlite::Error },
}

impl ReadError {
    pub(crate) fn sqlite(what: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Sqlite { what, path: path.to_path_buf(), source }
    }
}

/// Why an account could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// This account is not to be served; the others are unharmed.
    #[error(
        "the account is damaged: {what} in {place}; the others serve; `ringfence journal verify` tells how far it goes"
    )]
    Damaged { what: String, place: String },
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<Damage> for LoadError {
    fn from(damage: Damage) -> Self {
        Self::Damaged { what: damage.what, place: damage.place }
    }
}

/// The file is not as it was written, as opposed to the disk refusing: SQLite found its structure broken, or a value
/// has a type that is never stored there.
pub(crate) fn corrupt(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase))
        || matches!(
            error,
            rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::Utf8Error(..)
        )
}

/// The disk is full, in a way after which nothing of the transaction is applied. A write of the WAL that finds no
/// room is reported like this before the commit's last frame is written. Not so the WAL's index, whose growth comes
/// after that frame: its failure is an IO error, and fatal.
pub(crate) fn full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}
