//! The one row about the directory as a whole: its term, and how its last run ended.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use crate::ballast::Ballast;
use crate::db;
use crate::error::{OpenError, full};

/// Changes with every boot of the machine, and says nothing else. Linux only; elsewhere every boot counts as another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) term: u64,
    pub(crate) clean: bool,
    /// The boot the directory was last opened in; empty if unknown.
    pub(crate) boot: String,
}

/// The row of a run that never was: nothing is lost after it.
impl Default for Meta {
    fn default() -> Self {
        Self { term: 0, clean: true, boot: String::new() }
    }
}

impl Meta {
    /// `Ok(None)` if the row fails its checksum; the row of a run that never was if there is none.
    pub(crate) fn read(conn: &Connection) -> rusqlite::Result<Option<Self>> {
        let row = conn
            .query_row("SELECT term, clean, boot, sum FROM meta", [], |row| {
                let term = row.get::<_, i64>(0)?.cast_unsigned();
                let meta = Self { term, clean: row.get(1)?, boot: row.get(2)? };
                Ok((row.get::<_, u32>(3)? == meta.sum()).then_some(meta))
            })
            .optional()?;
        Ok(row.unwrap_or_else(|| Some(Self::default())))
    }

    pub(crate) fn write(&self, conn: &Connection) -> rusqlite::Result<()> {
        conn.prepare_cached(
            "INSERT OR REPLACE INTO meta(one, term, clean, boot, sum) VALUES (1, ?, ?, ?, ?)",
        )?
        .execute(params![self.term.cast_signed(), self.clean, self.boot, self.sum()])
        .map(drop)
    }

    /// Above every term given out, and above the wall clock, so that even a directory lost and made anew goes on
    /// higher than before.
    pub(crate) fn next_term(&self, wall_ms: u64) -> u64 {
        self.term.saturating_add(1).max(wall_ms)
    }

    fn sum(&self) -> u32 {
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

/// Takes a new term; with a boot also marks the run as one that has not stopped yet. Synced, in every mode. On a full
/// disk at the cost of the ballast.
pub(crate) fn begin(
    conn: &Connection,
    path: &Path,
    wall_ms: u64,
    boot: Option<String>,
    ballast: Option<&Ballast>,
) -> Result<Begun, OpenError> {
    let former = Meta::read(conn).map_err(OpenError::sqlite("read the term of", path))?;
    let Some(former) = former else {
        return Err(db::damaged(path, "the row with the term fails its checksum", "table meta"));
    };
    let term = former.next_term(wall_ms);
    let meta = match &boot {
        Some(boot) => Meta { term, clean: false, boot: boot.clone() },
        None => Meta { term, ..former.clone() },
    };
    let write = || db::transaction(conn, |conn| meta.write(conn));
    match write() {
        Err(error) if full(&error) && ballast.is_some_and(Ballast::give_up) => write(),
        outcome => outcome,
    }
    .map_err(OpenError::sqlite("write the term of", path))?;
    let same_boot = boot.is_some_and(|boot| !boot.is_empty() && boot == former.boot);
    Ok(Begun {
        meta,
        clean: former.clean,
        os_clean: former.clean || same_boot,
        first: former == Meta::default(),
    })
}

/// Empty if the system does not tell.
pub(crate) fn boot() -> String {
    fs::read_to_string(BOOT_ID).map(|id| id.trim().to_owned()).unwrap_or_default()
}
