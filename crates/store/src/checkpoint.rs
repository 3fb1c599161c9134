//! Carrying the WAL over into the file, beside the commits as far as that goes.
//!
//! A helper thread starts on it once the WAL is worth it. While commits go on it never reaches the end, and a WAL is
//! only begun anew when it was carried over whole, so at twice the size the committer does the rest itself. Both are
//! PASSIVE: they wait for no reader. A TRUNCATE, which does and syncs once more, happens at opening and closing.
//!
//! Only one of the two runs at a time, and none after a sync has failed: a second try would be told that all is well,
//! and the WAL, which holds the only good copy by then, would be begun anew.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::{Builder, JoinHandle};

use rusqlite::{Connection, ErrorCode};

use crate::ballast::Ballast;
use crate::db::{self, Death, PAGE_BYTES};
use crate::error::{CommitError, OpenError, full};
use crate::space::Shares;

/// Frames a commit adds beyond its contents: the leaf, its parent, the first page, a page of back pointers.
pub(crate) const COMMIT_BYTES: u64 = 4 * PAGE_BYTES;

pub(crate) struct Checkpoints {
    shares: Shares,
    unseen: u64,
    turn: Arc<Mutex<()>>,
    death: Death,
    /// `None` once the helper was told to end.
    signal: Option<SyncSender<()>>,
    helper: Option<JoinHandle<()>>,
}

/// The WAL in bytes, and how much of it the file holds already.
struct Wal {
    bytes: u64,
    carried: u64,
}

impl Checkpoints {
    pub(crate) fn start(path: &Path, shares: Shares, death: Death) -> Result<Self, OpenError> {
        let conn = db::open_checkpoint(path)?;
        let turn = Arc::new(Mutex::new(()));
        // One waiting signal says all that several would.
        let (signal, signals) = sync_channel(1);
        let helper = Helper { conn, turn: Arc::clone(&turn), death: death.clone(), signals };
        let helper = Builder::new()
            .name("ringfence-checkpoint".to_owned())
            .spawn(move || helper.run())
            .map_err(OpenError::io("start the checkpoint thread of", path))?;
        Ok(Self { shares, unseen: 0, turn, death, signal: Some(signal), helper: Some(helper) })
    }

    /// After a commit of about `bytes`.
    pub(crate) fn wrote(
        &mut self,
        bytes: u64,
        conn: &Connection,
        ballast: &Ballast,
    ) -> Result<(), CommitError> {
        self.unseen += bytes + COMMIT_BYTES;
        if self.unseen < self.shares.look {
            return Ok(());
        }
        self.unseen = 0;
        let wal = run(conn, "NOOP").map_err(|error| self.die(&error))?;
        if wal.bytes < self.shares.helper || wal.carried == wal.bytes {
            return Ok(());
        }
        if wal.bytes < self.shares.committer {
            if let Some(signal) = &self.signal {
                // Refused if one waits already, or if the helper has died, which the next commit finds out.
                let _ = signal.try_send(());
            }
            return Ok(());
        }
        let _turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if wal.bytes < self.shares.wait => return Ok(()),
            Err(TryLockError::WouldBlock) => self.turn.lock().unwrap_or_else(PoisonError::into_inner),
        };
        self.death.check()?;
        match run(conn, "PASSIVE") {
            Err(error) if full(&error) && ballast.give_up() => after(run(conn, "PASSIVE")),
            outcome => after(outcome),
        }
        .map_err(|error| self.die(&error))
    }

    /// Ends the helper.
    pub(crate) fn stop(&mut self) {
        self.signal = None;
        if let Some(helper) = self.helper.take() {
            // A panic of the helper has set no reason; it has broken nothing either, since SQLite unwinds nothing.
            let _ = helper.join();
        }
    }

    fn die(&self, error: &rusqlite::Error) -> CommitError {
        self.death.die(format!("cannot carry the WAL over: {error}; look at the disk, then start again"))
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Helper {
    conn: Connection,
    turn: Arc<Mutex<()>>,
    death: Death,
    signals: Receiver<()>,
}

impl Helper {
    fn run(self) {
        while self.signals.recv().is_ok() {
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            if self.death.check().is_err() {
                return;
            }
            if let Err(error) = after(run(&self.conn, "PASSIVE")) {
                self.death
                    .die(format!("cannot carry the WAL over: {error}; look at the disk, then start again"));
                return;
            }
        }
    }
}

/// Carries everything over and empties the WAL. At opening this also puts what an earlier process may have failed to
/// sync, and only the page cache holds, where it is synced anew.
pub(crate) fn truncate(conn: &Connection) -> rusqlite::Result<()> {
    after(run(conn, "TRUNCATE"))
}

/// A full disk leaves the WAL as long as it is, and a reader in the way ends the work early: both are no harm.
fn after(outcome: rusqlite::Result<Wal>) -> rusqlite::Result<()> {
    match outcome {
        Ok(_) => Ok(()),
        Err(error) if full(&error) || error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        Err(error) => Err(error),
    }
}

fn run(conn: &Connection, mode: &str) -> rusqlite::Result<Wal> {
    let frames = |frames: i64| u64::try_from(frames).unwrap_or(0) * PAGE_BYTES;
    conn.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?
        .query_row([], |row| Ok(Wal { bytes: frames(row.get(1)?), carried: frames(row.get(2)?) }))
}
