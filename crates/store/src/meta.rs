//! The one row about the directory as a whole: its term, and how its last run ended.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use crate::ballast::Ballast;
use crate::db;
use crate::error::{OpenError, full};
use crate::store::Durability;

/// Changes with every boot of the machine, and says nothing else. Linux only; elsewhere every boot counts as another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) term: u64,
    pub(crate) clean: bool,
    /// The boot the directory was last opened in; empty if unknown.
    pub(crate) boot: String,
    /// Epochs below are over: their sequences did not go on from where they had got to.
    pub(crate) epoch_least: u64,
}

/// The row of a run that never was: nothing is lost after it.
impl Default for Meta {
    fn default() -> Self {
        Self { term: 0, clean: true, boot: String::new(), epoch_least: 0 }
    }
}

impl Meta {
    /// `Ok(None)` if the row fails its checksum; the row of a run that never was if there is none.
    pub(crate) fn read(conn: &Connection) -> rusqlite::Result<Option<Self>> {
        let row = conn
            .query_row("SELECT term, clean, boot, epoch_least, sum FROM meta", [], |row| {
                let term = row.get::<_, i64>(0)?.cast_unsigned();
                let epoch_least = row.get::<_, i64>(3)?.cast_unsigned();
                let meta = Self { term, clean: row.get(1)?, boot: row.get(2)?, epoch_least };
                Ok((row.get::<_, u32>(4)? == meta.sum()).then_some(meta))
            })
            .optional()?;
        Ok(row.unwrap_or_else(|| Some(Self::default())))
    }

    /// The row of format 1. One that fails its checksum is an error, of a kind that counts as damage.
    pub(crate) fn read_former(conn: &Connection) -> rusqlite::Result<Option<Self>> {
        conn.query_row("SELECT term, clean, boot, sum FROM meta", [], |row| {
            let term = row.get::<_, i64>(0)?.cast_unsigned();
            let meta = Self { term, clean: row.get(1)?, boot: row.get(2)?, epoch_least: 0 };
            if row.get::<_, u32>(3)? == meta.former_sum() {
                Ok(meta)
            } else {
                Err(rusqlite::Error::IntegralValueOutOfRange(3, row.get(3)?))
            }
        })
        .optional()
    }

    pub(crate) fn write(&self, conn: &Connection) -> rusqlite::Result<()> {
        conn.prepare_cached(
            "INSERT OR REPLACE INTO meta(one, term, clean, boot, epoch_least, sum) VALUES (1, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            self.term.cast_signed(),
            self.clean,
            self.boot,
            self.epoch_least.cast_signed(),
            self.sum()
        ])
        .map(drop)
    }

    /// Above every term given out, and above the wall clock, so that even a directory lost and made anew goes on
    /// higher than before.
    pub(crate) fn next_term(&self, wall_ms: u64) -> u64 {
        self.term.saturating_add(1).max(wall_ms)
    }

    pub(crate) fn sum(&self) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.former_sum().to_le_bytes());
        crc.update(&self.epoch_least.to_le_bytes());
        crc.finalize()
    }

    pub(crate) fn former_sum(&self) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.term.to_le_bytes());
        crc.update(&[u8::from(self.clean)]);
        crc.update(self.boot.as_bytes());
        crc.finalize()
    }
}

/// The row of this run, and what the one before it told.
pub(crate) struct Begun {
    pub(crate) meta: Meta,
    pub(crate) clean: bool,
    pub(crate) os_clean: bool,
    /// There was no run before.
    pub(crate) first: bool,
}

/// What a run begins with.
pub(crate) struct Beginning<'a> {
    pub(crate) wall_ms: u64,
    /// The term that the lock file tells of, 0 if of none.
    pub(crate) noted: u64,
    /// There was no database yet.
    pub(crate) anew: bool,
    pub(crate) durability: Durability,
    /// The run before may have lost what it had acknowledged, unless it stopped cleanly.
    pub(crate) lossy: bool,
    pub(crate) ballast: Option<&'a Ballast>,
}

/// Takes a new term and, unless in mode memory, marks the run as one that has not stopped yet. Synced, in every mode.
/// On a full disk at the cost of the ballast.
pub(crate) fn begin(conn: &Connection, path: &Path, new: &Beginning<'_>) -> Result<Begun, OpenError> {
    let former = Meta::read(conn).map_err(OpenError::sqlite("read the term of", path))?;
    let Some(former) = former else {
        return Err(db::damaged(path, "the row with the term fails its checksum", "table meta"));
    };
    if former.term < new.noted && !new.anew {
        let what = format!(
            "its term is {}, and a run of term {} began in this directory: its WAL is gone, or an older copy was put \
             in its place",
            former.term, new.noted
        );
        return Err(db::damaged(path, &what, "table meta"));
    }
    let known = Meta { term: former.term.max(new.noted), ..former.clone() };
    let (term, boot) = (known.next_term(new.wall_ms), boot());
    let os_clean = former.clean || (!boot.is_empty() && boot == former.boot);
    // What was lost had numbers that are given to other changes now.
    let epoch_least = if new.lossy && !former.clean { term } else { former.epoch_least };
    let meta = match new.durability {
        Durability::Memory => Meta { term, epoch_least, ..former.clone() },
        Durability::Sync | Durability::Os => Meta { term, clean: false, boot, epoch_least },
    };
    let write = || db::transaction(conn, |conn| meta.write(conn));
    match write() {
        Err(error) if full(&error) && new.ballast.is_some_and(Ballast::give_up) => write(),
        outcome => outcome,
    }
    .map_err(OpenError::sqlite("write the term of", path))?;
    Ok(Begun { meta, clean: former.clean, os_clean, first: former == Meta::default() })
}

/// Empty if the system does not tell.
pub(crate) fn boot() -> String {
    fs::read_to_string(BOOT_ID).map(|id| id.trim().to_owned()).unwrap_or_default()
}
