//! What can go wrong for a caller, beside a refusal.

use ringfence_core::Refusal;

/// Why a call on an account did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The account decided against it; nothing changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too many requests of this account are under way; nothing was done. Try again after so many milliseconds.
    #[error("too many requests of this account are under way; try again in {retry_after_ms} ms")]
    Busy { retry_after_ms: u64 },
    /// The account is being restarted, or the request was lost with the actor that held it: it was not applied.
    #[error("the account is restarting; the request was not applied; try again")]
    Unavailable,
    /// The account's journal is damaged, or it failed again and again: it answers nothing until somebody looks.
    #[error("the account is quarantined: {why}")]
    Quarantined { why: String },
    /// Another process owns the account now.
    #[error("the account has moved to another owner")]
    Moved,
    /// Too little disk is left for anything new; answers, releases and reads go on.
    #[error(
        "only {free_bytes} bytes are left on the data disk; new offers and configuration wait until there is room"
    )]
    DiskFull { free_bytes: u64 },
    /// The engine has been shut down.
    #[error("the engine is shut down")]
    Closed,
}

/// Why an engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Store(#[from] ringfence_store::OpenError),
    #[error("the durability {0:?} needs a data directory")]
    NoDirectory(crate::Durability),
    #[error("the keys of the data directory were read, but it could not be closed again: {0}")]
    Keys(ringfence_store::CommitError),
    #[error("cannot start the {what} thread: {source}")]
    Thread { what: &'static str, source: std::io::Error },
}
