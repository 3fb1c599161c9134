//! The SQLite file: its settings, its tables, and the one way a transaction is made.
//!
//! WAL with 4 KiB pages: the page of the page cache and of most disks, and a lone small commit then costs two frames.
//! `synchronous` is FULL for [`Durability::Sync`]: the WAL is synced before a commit returns. For [`Durability::Os`]
//! it is NORMAL: a commit has then been handed to the kernel by `write`, which `kill -9` cannot take back (the WAL's
//! index is in shared memory, but it is rebuilt from the WAL), and syncs are left to the checkpoints. OFF would save
//! those too, but then a power failure in a checkpoint could break the file, where NORMAL only loses its last commits.
//!
//! Nothing checkpoints by itself, neither at a size nor when the last connection closes: after a failed sync no
//! destructor must write what the next start has to judge. See `checkpoint`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::ballast::Ballast;
use crate::checkpoint::Checkpoints;
use crate::error::{CommitError, Damage, OpenError, full};
use crate::meta::Meta;
use crate::store::Durability;

pub(crate) const FILE: &str = "ringfence.db";
/// Marks the file as ours ("RFNC").
const APPLICATION_ID: i64 = 0x5246_4E43;
/// Raised when a program of the former format would misread the file: since 2 the row of `meta` says which epochs are
/// over, and freed pages can be given back.
const FORMAT: i64 = 2;
/// What [`set_up`] brings up to date.
const FORMER: i64 = 1;
/// Older ones may lose commits when a checkpoint and a write restart the WAL at once.
const SQLITE_LEAST: (i32, &str) = (3_051_003, "3.51.3");
pub(crate) const PAGE_BYTES: u64 = 4096;
/// The writer's page cache in KiB: the inner pages of the journal and the page table, never the contents.
const CACHE_KIB: i64 = 8 << 10;
/// Nobody of ours holds a lock longer than a checkpoint takes; anybody else (a `sqlite3` shell) must not stop us.
const BUSY: Duration = Duration::from_secs(5);

const META: &str = "
CREATE TABLE meta(one INTEGER PRIMARY KEY CHECK (one = 1), term INTEGER NOT NULL, clean INTEGER NOT NULL,
    boot TEXT NOT NULL, epoch_least INTEGER NOT NULL, sum INTEGER NOT NULL);
";
const TABLES: &str = "
CREATE TABLE batch(id INTEGER PRIMARY KEY, blob BLOB NOT NULL);
CREATE TABLE gap(first INTEGER PRIMARY KEY, last INTEGER NOT NULL, crc INTEGER NOT NULL, sum INTEGER NOT NULL);
CREATE TABLE snapshot(account TEXT PRIMARY KEY, generation INTEGER NOT NULL, seq INTEGER NOT NULL,
    term INTEGER NOT NULL, at INTEGER NOT NULL, covered INTEGER NOT NULL, pages INTEGER NOT NULL,
    pages_sum INTEGER NOT NULL, sum INTEGER NOT NULL, header BLOB NOT NULL);
CREATE TABLE page(id INTEGER PRIMARY KEY, account TEXT NOT NULL, kind INTEGER NOT NULL, number INTEGER NOT NULL,
    generation INTEGER NOT NULL, sum INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE UNIQUE INDEX page_of ON page(account, kind, number, generation, sum);
CREATE TABLE key(id TEXT PRIMARY KEY, hash BLOB NOT NULL, account TEXT NOT NULL, scopes TEXT NOT NULL,
    label TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER, sum INTEGER NOT NULL);
";

/// Set once, by whoever first meets an error that the store cannot survive.
#[derive(Clone, Default)]
pub(crate) struct Death(Arc<OnceLock<String>>);

impl Death {
    pub(crate) fn check(&self) -> Result<(), CommitError> {
        match self.0.get() {
            Some(why) => Err(CommitError::Fatal(why.clone())),
            None => Ok(()),
        }
    }

    pub(crate) fn die(&self, why: String) -> CommitError {
        CommitError::Fatal(self.0.get_or_init(|| why).clone())
    }
}

/// The committer's connection and what stands behind it.
pub(crate) struct Db {
    pub(crate) conn: Connection,
    pub(crate) path: PathBuf,
    pub(crate) death: Death,
    pub(crate) ballast: Ballast,
    pub(crate) checkpoints: Checkpoints,
}

impl Db {
    /// Runs `work` as one transaction of about `bytes`, once more without the ballast if the disk is full.
    pub(crate) fn write(
        &mut self,
        bytes: u64,
        work: impl Fn(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), CommitError> {
        self.death.check()?;
        let mut outcome = transaction(&self.conn, &work);
        if outcome.as_ref().is_err_and(full) && self.ballast.give_up() {
            outcome = transaction(&self.conn, &work);
        }
        match outcome {
            Ok(()) => self.checkpoints.wrote(bytes, &self.conn, &self.ballast),
            Err(error) if full(&error) => Err(CommitError::Full),
            Err(error) => Err(self.die("write", &error)),
        }
    }

    pub(crate) fn die(&self, what: &str, error: &rusqlite::Error) -> CommitError {
        self.death.die(format!(
            "cannot {what} {}: {error}; look at the disk, then start again",
            self.path.display()
        ))
    }
}

/// All of `work` or nothing.
///
/// # Errors
/// The error of `work` or of the commit; of the rollback if that failed too, which is worse.
pub(crate) fn transaction<T>(
    conn: &Connection,
    work: impl Fn(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let run = |sql| conn.prepare_cached(sql)?.execute([]).map(drop);
    let outcome =
        run("BEGIN IMMEDIATE").and_then(|()| work(conn)).and_then(|out| run("COMMIT").map(|()| out));
    // SQLite rolls back by itself after some errors.
    if outcome.is_err() && !conn.is_autocommit() {
        run("ROLLBACK")?;
    }
    outcome
}

/// What there is of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing in it yet.
    Empty,
    /// Of the format before ours, which [`set_up`] turns into ours.
    Former,
    Ours,
}

/// Opens the file for writing, without a change to it but what a new one takes.
pub(crate) fn open(dir: &Path) -> Result<(Connection, PathBuf, Kind), OpenError> {
    if rusqlite::version_number() < SQLITE_LEAST.0 {
        return Err(OpenError::OldSqlite { found: rusqlite::version(), least: SQLITE_LEAST.1 });
    }
    let path = dir.join(FILE);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let conn = connect(&path, flags).map_err(OpenError::sqlite("open", &path))?;
    let kind = check_format(&conn, &path)?;
    Ok((conn, path, kind))
}

/// Opens the file for reading, next to a writer or alone.
pub(crate) fn open_read(path: &Path) -> rusqlite::Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Opens the file of a directory nobody has open, for reading.
pub(crate) fn open_closed(dir: &Path) -> Result<(Connection, PathBuf, Kind), OpenError> {
    let path = dir.join(FILE);
    let conn = open_read(&path).map_err(OpenError::sqlite("open", &path))?;
    match check_format(&conn, &path)? {
        Kind::Empty => Err(OpenError::Foreign { path, found: "it is empty".to_owned() }),
        kind @ (Kind::Former | Kind::Ours) => Ok((conn, path, kind)),
    }
}

/// A further connection of the writer's own, which only checkpoints.
pub(crate) fn open_checkpoint(path: &Path) -> Result<Connection, OpenError> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(OpenError::sqlite("open", path))
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    // Each connection is used by one thread at a time, so SQLite need not lock it.
    let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    harden(&conn)?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(conn)
}

/// What every connection to a file of ours is set to.
pub(crate) fn harden(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.busy_timeout(BUSY)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    // A drive on macOS keeps what it was told to sync in its cache unless told so with more force.
    conn.pragma_update(None, "fullfsync", true)?;
    conn.pragma_update(None, "checkpoint_fullfsync", true)
}

fn check_format(conn: &Connection, path: &Path) -> Result<Kind, OpenError> {
    let ask = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let read = || {
        Ok((
            ask("PRAGMA application_id")?,
            ask("PRAGMA user_version")?,
            ask("SELECT count(*) FROM sqlite_schema")?,
        ))
    };
    match read().map_err(OpenError::sqlite("read", path))? {
        (0, 0, 0) => Ok(Kind::Empty),
        (APPLICATION_ID, FORMER, _) => Ok(Kind::Former),
        (APPLICATION_ID, FORMAT, _) => Ok(Kind::Ours),
        (APPLICATION_ID, found, _) => {
            Err(OpenError::Format { path: path.to_path_buf(), found, known: FORMAT })
        }
        (found, _, tables) => {
            let found = format!("application id {found:#x}, {tables} tables and indexes");
            Err(OpenError::Foreign { path: path.to_path_buf(), found })
        }
    }
}

/// Makes the tables if there are none, and what this connection needs. Synced in full; [`relax`] changes that.
pub(crate) fn set_up(conn: &Connection, kind: Kind) -> rusqlite::Result<()> {
    conn.pragma_update(None, "page_size", PAGE_BYTES.cast_signed())?;
    // Before there is a table, or it takes a VACUUM.
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        // A file system without shared memory; SQLite keeps to the former mode without an error.
        let why = format!("the file system allows no WAL, only {mode}");
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some(why),
        ));
    }
    match kind {
        Kind::Ours => {}
        Kind::Empty => transaction(conn, |conn| {
            conn.execute_batch(META)?;
            conn.execute_batch(TABLES)?;
            conn.pragma_update(None, "application_id", APPLICATION_ID)?;
            conn.pragma_update(None, "user_version", FORMAT)
        })?,
        Kind::Former => {
            transaction(conn, |conn| {
                let meta = Meta::read_former(conn)?;
                conn.execute_batch("DROP TABLE meta")?;
                conn.execute_batch(META)?;
                meta.iter().try_for_each(|meta| meta.write(conn))?;
                conn.pragma_update(None, "user_version", FORMAT)
            })?;
            conn.execute_batch("VACUUM")?;
        }
    }
    // A page that left the cache before its commit would be written twice, and the frames between then get new
    // checksums after the frame that commits: killed in the middle, that would look like damage (`wal`).
    conn.pragma_update(None, "cache_spill", false)
}

/// What the file's tables and indexes are made by, by name.
pub(crate) fn schema() -> rusqlite::Result<Vec<(String, Option<String>)>> {
    let conn = Connection::open_in_memory()?;
    conn.execute_batch(META)?;
    conn.execute_batch(TABLES)?;
    schema_of(&conn)
}

pub(crate) fn schema_of(conn: &Connection) -> rusqlite::Result<Vec<(String, Option<String>)>> {
    let mut statement = conn.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// From here on as the mode wants it.
pub(crate) fn relax(conn: &Connection, durability: Durability) -> rusqlite::Result<()> {
    match durability {
        Durability::Sync => Ok(()),
        Durability::Os | Durability::Memory => conn.pragma_update(None, "synchronous", "NORMAL"),
    }
}

/// Makes the names of the files, and that of the directory, as durable as what is in them.
pub(crate) fn sync_names(dir: &Path) -> Result<(), OpenError> {
    let sync = |dir: &Path| File::open(dir).and_then(|dir| dir.sync_all());
    sync(dir).map_err(OpenError::io("sync", dir))?;
    let real = fs::canonicalize(dir).map_err(OpenError::io("find", dir))?;
    match real.parent() {
        Some(parent) => sync(parent).map_err(OpenError::io("sync", parent)),
        None => Ok(()),
    }
}

/// A row that fails its checksum, as structural damage.
pub(crate) fn damaged(path: &Path, what: &str, place: &str) -> OpenError {
    OpenError::Damaged { path: path.to_path_buf(), damage: Damage::new(what, place) }
}
