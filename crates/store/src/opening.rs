//! Opening a directory: what the run before left is judged before anything is changed.
//!
//! The order is the point. The lock first; then the WAL, by our own eyes, since SQLite would drop what it takes for a
//! torn tail; then the structure of the file, on a thread of its own, beside the reading of the journal. Only then is
//! anything written: the WAL is carried over, a term is taken and synced, and the lock file says whose run this is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;

use crate::ballast::Ballast;
use crate::checkpoint::{self, Checkpoints};
use crate::db::{self, Db, Death, Kind};
use crate::error::{OpenError, full};
use crate::history::Keeper;
use crate::keys;
use crate::lock::{DirLock, Run};
use crate::meta::{self, Beginning, Begun};
use crate::reader::SqliteReader;
use crate::scan::{self, Fault, Harm, Scan};
use crate::snapshot;
use crate::space::Shares;
use crate::sqlite::SqliteStore;
use crate::store::{Config, Durability, Opened};
use crate::structure::{self, Depth};
use crate::wal::{self, Reach};

/// Faults told at an opening; `journal::verify` tells all.
const WARNINGS_MAX: usize = 20;

pub(crate) fn open(config: &Config) -> Result<Opened, OpenError> {
    let (store, found) = start(config)?;
    let (term, epoch_least, reader) = (store.meta.term, store.meta.epoch_least, Arc::new(found.reader));
    let Found { clean, os_clean, last_at, warnings, .. } = found;
    Ok(Opened { store: Box::new(store), reader, term, clean, os_clean, epoch_least, last_at, warnings })
}

/// What the opening tells besides the store.
pub(crate) struct Found {
    pub(crate) reader: SqliteReader,
    clean: bool,
    os_clean: bool,
    last_at: u64,
    pub(crate) warnings: Vec<String>,
}

pub(crate) fn start(config: &Config) -> Result<(SqliteStore, Found), OpenError> {
    let dir = &config.dir;
    let ready = Ready::make(dir)?;
    let fail = |what| OpenError::sqlite(what, &ready.path);
    let contents = || {
        let scan = scan::scan(&ready.conn)?;
        let (_, mut faults) = keys::check(&ready.conn)?;
        faults.splice(..0, scan.faults);
        Ok(Scan { faults, ..scan })
    };
    let scan = ready.check_beside(contents)?;
    let (ballast, no_ballast) = Ballast::prepare(dir);
    let begun = ready.begin(config, Some(&ballast))?;
    match db::transaction(&ready.conn, snapshot::sweep_all) {
        // They are no harm but to the space they take, and deleting takes some.
        Err(error) if full(&error) => {}
        outcome => outcome.map_err(fail("delete superseded pages of"))?,
    }
    db::relax(&ready.conn, config.durability).map_err(fail("set up"))?;

    let Ready { lock, conn, path, warnings: cut, .. } = ready;
    let death = Death::default();
    let shares = Shares::of(config.slack_bytes);
    let checkpoints = Checkpoints::start(&path, shares, death.clone())?;
    let mut index = scan.index;
    let (history, told_by_history) = match config.history {
        Some(limits) => {
            index.watch_days();
            let (keeper, told) = Keeper::start(dir, &path, limits, scan.next_id - 1, death.clone())?;
            (Some(keeper), told)
        }
        None => (None, Vec::new()),
    };
    let index = Arc::new(Mutex::new(index));
    let reader = SqliteReader::open(&path, Arc::clone(&index))?;
    let found = Found {
        reader,
        clean: begun.clean,
        os_clean: begun.os_clean,
        last_at: scan.last_at,
        warnings: cut
            .into_iter()
            .chain(no_ballast)
            .chain(told_by_history)
            .chain(told(&scan.faults))
            .collect(),
    };
    let store = SqliteStore {
        db: Db { conn, path, death, ballast, checkpoints },
        index,
        gaps: scan.gaps,
        next_id: scan.next_id,
        last_crc: scan.last_crc,
        blob: Vec::new(),
        meta: begun.meta,
        shares,
        history,
        unfed: shares.chunk,
        skipped: 0,
        // The first trim looks.
        unseen: u64::MAX / 2,
        _lock: lock,
    };
    Ok((store, found))
}

/// Takes a term of the directory for mode memory, and lets everything else in it be.
pub(crate) fn term(dir: &Path, wall_ms: u64) -> Result<(DirLock, Begun), OpenError> {
    let ready = Ready::make(dir)?;
    ready.check_beside(|| Ok(()))?;
    let config = Config::new(dir, Durability::Memory, wall_ms);
    let begun = ready.begin(&config, None)?;
    Ok((ready.lock, begun))
}

fn told(faults: &[Fault]) -> Vec<String> {
    let mut warnings = Vec::new();
    for Fault { damage, harm } in faults.iter().take(WARNINGS_MAX) {
        warnings.push(match harm {
            Harm::Nobody => format!("{damage}; nothing that is still needed was lost"),
            Harm::Account(account) => format!("{damage}; account {account} is quarantined, the others serve"),
            Harm::Strangers => format!("{damage}; no account the store does not know is taken for a new one"),
            Harm::Key(id) => format!("{damage}; the key {id} opens nothing any more"),
            Harm::History => format!("{damage}; a past that is gone keeps nobody from being served"),
        });
    }
    if faults.len() > WARNINGS_MAX {
        let more = faults.len() - WARNINGS_MAX;
        warnings.push(format!("{more} more of the kind: see `ringfence journal verify`"));
    }
    warnings
}

/// A directory that is ours, with a WAL that SQLite may be shown.
struct Ready {
    lock: DirLock,
    conn: Connection,
    path: PathBuf,
    kind: Kind,
    former: Option<Run>,
    reach: Reach,
    warnings: Option<String>,
}

impl Ready {
    fn make(dir: &Path) -> Result<Self, OpenError> {
        fs::create_dir_all(dir).map_err(OpenError::io("make the data directory", dir))?;
        let lock = DirLock::take(dir)?;
        let former = lock.run()?;
        let reach = Reach::of(former.as_ref(), &meta::boot());
        let warnings = wal::make_ready(&dir.join(db::FILE), reach)?;
        let (conn, path, kind) = db::open(dir)?;
        Ok(Self { lock, conn, path, kind, former, reach, warnings })
    }

    /// Checks the structure while `work` reads the contents, whose outcome counts only if the structure is sound.
    fn check_beside<T>(&self, work: impl FnOnce() -> rusqlite::Result<T>) -> Result<T, OpenError> {
        match self.kind {
            Kind::Ours => {}
            Kind::Former => {
                self.refuse(structure::pages(&self.conn, Depth::Quick))?;
                db::set_up(&self.conn, self.kind)
                    .map_err(OpenError::sqlite("bring up to date", &self.path))?;
            }
            Kind::Empty => {
                db::set_up(&self.conn, self.kind).map_err(OpenError::sqlite("set up", &self.path))?;
            }
        }
        let path = &self.path;
        let check = || structure::faults(&db::open_read(path)?, Depth::Quick);
        let (faults, out) = std::thread::scope(|scope| {
            let checking = scope.spawn(check);
            let out = work();
            (checking.join(), out)
        });
        self.refuse(faults.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))?;
        out.map_err(OpenError::sqlite("read the journal of", &self.path))
    }

    fn refuse(&self, faults: rusqlite::Result<Vec<String>>) -> Result<(), OpenError> {
        match faults.map_err(OpenError::sqlite("check the structure of", &self.path))?.first() {
            Some(first) => Err(db::damaged(&self.path, first, "its structure")),
            None => Ok(()),
        }
    }

    /// The first writes of the run.
    fn begin(&self, config: &Config, ballast: Option<&Ballast>) -> Result<Begun, OpenError> {
        db::set_up(&self.conn, Kind::Ours).map_err(OpenError::sqlite("set up", &self.path))?;
        checkpoint::truncate(&self.conn).map_err(OpenError::sqlite("carry the WAL over into", &self.path))?;
        let lossy = match self.reach {
            Reach::Unsynced => true,
            Reach::Kernel | Reach::Synced => false,
        };
        let noted = self.former.as_ref().map_or(0, |run| run.term);
        let new = Beginning {
            wall_ms: config.wall_ms,
            noted,
            anew: self.kind == Kind::Empty,
            durability: config.durability,
            lossy,
            ballast,
        };
        let begun = meta::begin(&self.conn, &self.path, &new)?;
        let Begun { meta, .. } = &begun;
        self.lock.note(&Run { term: meta.term, boot: meta::boot(), durability: config.durability })?;
        db::sync_names(&config.dir)?;
        Ok(begun)
    }
}
