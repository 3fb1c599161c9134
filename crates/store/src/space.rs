//! How large `ringfence.db` and its WAL may become: at most twice the live state, and the slack.
//!
//! Twice, because a snapshot writes all new pages before it takes the old ones away, and because as much free space as
//! there is live state stays in the file for the next one. The slack holds what is not state, and everybody who may
//! take of it has a share:
//!
//! | share | of 128 MiB | for |
//! |---|---|---|
//! | a half | 64 MiB | records no snapshot covers; whoever asks for snapshots must keep to it |
//! | an eighth | 16 MiB | the WAL |
//! | an eighth | 16 MiB | batches the history has not copied yet |
//! | a sixteenth | 8 MiB | batches that could be trimmed |
//! | a sixteenth | 8 MiB | free pages beyond as many as there is live state |
//!
//! Free pages come to lie in the middle of the file. They are given back by moving the last pages into them, at most
//! 1 MiB a commit, once there are more than may stay.

use rusqlite::Connection;

use crate::db::PAGE_BYTES;

pub(crate) const SLACK_BYTES: u64 = 128 << 20;
/// Moved per commit: a few milliseconds.
const MOVE_PAGES: u64 = 256;
/// A row beyond this has pages of its own.
const LOCAL_BYTES_MAX: u64 = 4061;

/// Who may take how much of the slack, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shares {
    /// WAL at which the helper starts to carry it over: some thousand commits, so that a page written often is carried
    /// over once.
    pub(crate) helper: u64,
    /// Where the committer does the rest, unless the helper is still at it.
    pub(crate) committer: u64,
    /// Where it waits for a helper that the disk holds up. Bounds the WAL, and with it the opening after a crash.
    pub(crate) wait: u64,
    /// How much is written between two looks at the sizes, which take a few microseconds each.
    pub(crate) look: u64,
    /// Journal at which the history copies it.
    pub(crate) chunk: u64,
    /// Journal that waits for the history at most.
    pub(crate) behind: u64,
    /// Journal that could go, at which more than one trim follows a commit.
    pub(crate) lag: u64,
    /// Free pages beyond the live state.
    pub(crate) free: u64,
}

impl Shares {
    pub(crate) const fn of(slack: u64) -> Self {
        Self {
            helper: slack / 32,
            committer: slack / 16,
            wait: slack / 8,
            look: slack / 512,
            chunk: slack / 128,
            behind: slack / 8,
            lag: slack / 16,
            free: slack / 16,
        }
    }
}

/// What a blob of this length takes in a table, in whole pages as far as it has them to itself.
pub(crate) const fn row_bytes(bytes: u64) -> u64 {
    if bytes <= LOCAL_BYTES_MAX / 2 { bytes } else { bytes.div_ceil(PAGE_BYTES) * PAGE_BYTES }
}

/// Pages to give back now, with so many bytes of journal in the file.
pub(crate) fn excess(conn: &Connection, journal: u64, free_share: u64) -> rusqlite::Result<u64> {
    let ask = |pragma: &str| {
        conn.prepare_cached(pragma)?.query_row([], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
    };
    let (all, free) = (ask("PRAGMA page_count")?, ask("PRAGMA freelist_count")?);
    let live = ((all - free) * PAGE_BYTES).saturating_sub(journal);
    let stay = (live + free_share) / PAGE_BYTES;
    Ok(free.saturating_sub(stay).min(MOVE_PAGES))
}

/// Moves the last pages of the file into free ones and cuts them off.
pub(crate) fn give_back(conn: &Connection, pages: u64) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached("PRAGMA incremental_vacuum")?;
    let mut steps = statement.query([])?;
    // Each step moves one page.
    for _ in 0..pages {
        if steps.next()?.is_none() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_fit_into_the_slack_with_something_left() {
        let Shares { wait, behind, lag, free, .. } = Shares::of(SLACK_BYTES);
        assert!(SLACK_BYTES / 2 + wait + behind + lag + free <= SLACK_BYTES - (8 << 20));
        assert_eq!((wait, behind), (16 << 20, 16 << 20));
    }
}
