//! `history.db`: its tables, what is written at once, and what goes when it grows old or large.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use crate::db;
use crate::error::corrupt;
use crate::history::piece::{Kind, Label, Piece};
use crate::history::{DAY_MS, HistoryLimits, Lost};
use crate::space;

pub(crate) const FILE: &str = "history.db";
/// Where one that cannot be read is set aside.
const ASIDE: &str = "history-damaged.db";
/// Marks the file as ours ("RFNH").
const APPLICATION_ID: i64 = 0x5246_4E48;
const FORMAT: i64 = 1;
/// Pages of 4 KiB in the WAL at which it is carried over, by the thread that writes.
const WAL_PAGES: i64 = 1024;
const WAL_BYTES_KEPT: i64 = 16 << 20;
/// Taken away at a time while the file is too large.
const PRUNE_ROWS: u32 = 256;

const TABLES: &str = "
CREATE TABLE mark(one INTEGER PRIMARY KEY CHECK (one = 1), batch INTEGER NOT NULL, crc INTEGER NOT NULL,
    at INTEGER NOT NULL, sum INTEGER NOT NULL);
CREATE TABLE piece(id INTEGER PRIMARY KEY, account TEXT NOT NULL, kind INTEGER NOT NULL, part INTEGER NOT NULL,
    parts INTEGER NOT NULL, prev_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL, term INTEGER NOT NULL, raw_bytes INTEGER NOT NULL, sum INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE INDEX piece_of ON piece(account, kind, last_seq, part);
CREATE INDEX piece_at ON piece(last_at);
CREATE TABLE lost(id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, after_at INTEGER NOT NULL,
    before_at INTEGER NOT NULL, why TEXT NOT NULL);
";

pub(crate) const COLUMNS: &str =
    "account, kind, part, parts, prev_seq, last_seq, first_at, last_at, term, raw_bytes, sum, blob";

/// Up to where the journal has been copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) batch: u64,
    /// Of that batch; 0 if it was gone already.
    pub(crate) crc: u32,
    /// Of the newest record copied, epoch ms.
    pub(crate) at: u64,
}

impl Mark {
    fn sum(self) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.batch.to_le_bytes());
        crc.update(&self.crc.to_le_bytes());
        crc.update(&self.at.to_le_bytes());
        crc.finalize()
    }
}

pub(crate) struct HistoryFile {
    conn: Connection,
    /// The day that [`HistoryFile::prune`] has kept back to.
    pruned: u64,
}

impl HistoryFile {
    /// Opens or makes the file of a directory. One that is not a history any more, or was found to be `broken`, is set
    /// aside, of which the text tells.
    ///
    /// # Errors
    /// When neither can be done.
    pub(crate) fn open(dir: &Path, broken: Option<&str>) -> Result<(Self, Option<String>), String> {
        let path = dir.join(FILE);
        let tell = |error: rusqlite::Error| format!("cannot open {}: {error}", path.display());
        let why = match broken {
            Some(why) => why.to_owned(),
            None => match try_open(&path) {
                Ok(conn) => return Ok((Self { conn, pruned: 0 }, None)),
                Err(error) if corrupt(&error) => error.to_string(),
                Err(error) => return Err(tell(error)),
            },
        };
        let aside = set_aside(dir)?;
        let conn = try_open(&path).map_err(tell)?;
        let told = format!(
            "{} is damaged ({why}) and was set aside as {}; a new history begins",
            path.display(),
            aside.display()
        );
        Ok((Self { conn, pruned: 0 }, Some(told)))
    }

    /// `None` if nothing was ever copied, or nobody can tell.
    pub(crate) fn mark(&self) -> rusqlite::Result<Option<Mark>> {
        mark(&self.conn)
    }

    /// All of it or nothing, synced. Each piece of records with the term of its first.
    pub(crate) fn put(&self, runs: &[(u64, Piece)], lost: &[Lost], mark: Mark) -> rusqlite::Result<()> {
        db::transaction(&self.conn, |conn| {
            for (first_term, piece) in runs {
                supersede(conn, piece, *first_term)?;
                put_piece(conn, piece)?;
            }
            lost.iter().try_for_each(|lost| put_lost(conn, lost))?;
            conn.prepare_cached(
                "INSERT OR REPLACE INTO mark(one, batch, crc, at, sum) VALUES (1, ?, ?, ?, ?)",
            )?
            .execute(params![mark.batch.cast_signed(), mark.crc, mark.at.cast_signed(), mark.sum()])
            .map(drop)
        })
    }

    pub(crate) fn put_state(&self, parts: &[Piece]) -> rusqlite::Result<()> {
        db::transaction(&self.conn, |conn| parts.iter().try_for_each(|piece| put_piece(conn, piece)))
    }

    /// The day of the account's newest state; `None` if it has none.
    pub(crate) fn state_day(&self, account: &str) -> rusqlite::Result<Option<u64>> {
        self.conn
            .prepare_cached("SELECT max(last_at) FROM piece WHERE account = ? AND kind = ?")?
            .query_row(params![account, Kind::State.number()], |row| row.get::<_, Option<i64>>(0))
            .map(|at| at.map(|at| at.cast_unsigned() / DAY_MS))
    }

    /// Deletes what is older or more than the limits allow, as of a record of time `now`.
    pub(crate) fn prune(&mut self, limits: HistoryLimits, now: u64) -> rusqlite::Result<()> {
        let from = (now / DAY_MS).saturating_sub(limits.days.into()) * DAY_MS;
        if from > self.pruned {
            db::transaction(&self.conn, |conn| forget_before(conn, from))?;
            self.pruned = from;
        }
        while self.used_bytes()? > limits.bytes && self.forget_oldest()? {}
        db::transaction(&self.conn, |conn| space::give_back(conn, u64::MAX))
    }

    /// Leaves a file that needs no WAL; if that fails, the next opening finds both.
    pub(crate) fn close(self) {
        let _ = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    fn used_bytes(&self) -> rusqlite::Result<u64> {
        let ask = |pragma: &str| {
            self.conn
                .prepare_cached(pragma)?
                .query_row([], |row| row.get::<_, i64>(0))
                .map(i64::cast_unsigned)
        };
        Ok((ask("PRAGMA page_count")? - ask("PRAGMA freelist_count")?) * ask("PRAGMA page_size")?)
    }

    /// False if there is nothing left.
    fn forget_oldest(&self) -> rusqlite::Result<bool> {
        db::transaction(&self.conn, |conn| {
            // A state goes whole: its parts have one seq and one time.
            let gone = conn
                .prepare_cached(
                    "DELETE FROM piece WHERE (account, kind, last_seq) IN
                         (SELECT account, kind, last_seq FROM piece ORDER BY last_at, id LIMIT ?)",
                )?
                .execute([PRUNE_ROWS])?;
            Ok(gone > 0)
        })
    }
}

fn try_open(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    db::harden(&conn)?;
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    conn.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    // A state of a large account goes in at once; the WAL need not stay as large.
    conn.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    let _: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    let ask = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let found = (ask("PRAGMA application_id")?, ask("PRAGMA user_version")?);
    if found == (0, 0) && ask("SELECT count(*) FROM sqlite_schema")? == 0 {
        db::transaction(&conn, |conn| {
            conn.execute_batch(TABLES)?;
            conn.pragma_update(None, "application_id", APPLICATION_ID)?;
            conn.pragma_update(None, "user_version", FORMAT)
        })?;
    } else if found != (APPLICATION_ID, FORMAT) {
        let why = format!("application id {:#x}, format {}", found.0, found.1);
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_NOTADB),
            Some(why),
        ));
    }
    mark(&conn)?;
    Ok(conn)
}

/// Opens the file for reading, next to its writer; `None` if there is none yet.
pub(crate) fn open_read(dir: &Path) -> rusqlite::Result<Option<Connection>> {
    let path = dir.join(FILE);
    if !path.exists() {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    db::harden(&conn)?;
    // Somebody may just be making it.
    let made = conn.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'mark'", [], |row| row.get(0));
    made.map(|made: bool| made.then_some(conn))
}

/// Renamed over the one set aside before, if there was one.
fn set_aside(dir: &Path) -> Result<PathBuf, String> {
    let aside = dir.join(ASIDE);
    for suffix in ["-wal", "-shm", ""] {
        let name = |file: &str| dir.join(format!("{file}{suffix}"));
        match fs::rename(name(FILE), name(ASIDE)) {
            Ok(()) => {}
            // What belongs to the one set aside before must not be taken for this one's.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let _ = fs::remove_file(name(ASIDE));
            }
            Err(error) => {
                return Err(format!("cannot set {} aside: {error}", name(FILE).display()));
            }
        }
    }
    Ok(aside)
}

pub(crate) fn mark(conn: &Connection) -> rusqlite::Result<Option<Mark>> {
    let row = conn
        .prepare_cached("SELECT batch, crc, at, sum FROM mark")?
        .query_row([], |row| {
            let mark = Mark {
                batch: row.get::<_, i64>(0)?.cast_unsigned(),
                crc: row.get(1)?,
                at: row.get::<_, i64>(2)?.cast_unsigned(),
            };
            Ok((row.get::<_, u32>(3)? == mark.sum()).then_some(mark))
        })
        .optional()?;
    Ok(row.flatten())
}

pub(crate) fn lost(conn: &Connection) -> rusqlite::Result<Vec<Lost>> {
    let mut statement = conn.prepare("SELECT first, last, after_at, before_at, why FROM lost ORDER BY id")?;
    let rows = statement.query_map([], |row| {
        let number = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
        let (first, last, after_at, before_at) = (number(0)?, number(1)?, number(2)?, number(3)?);
        Ok(Lost { first, last, after_at, before_at, why: row.get(4)? })
    })?;
    rows.collect()
}

fn put_lost(conn: &Connection, lost: &Lost) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT INTO lost(first, last, after_at, before_at, why) VALUES (?, ?, ?, ?, ?)")?
        .execute(params![
            lost.first.cast_signed(),
            lost.last.cast_signed(),
            lost.after_at.cast_signed(),
            lost.before_at.cast_signed(),
            lost.why
        ])
        .map(drop)
}

/// The columns of [`COLUMNS`].
pub(crate) fn from_row(row: &Row<'_>) -> rusqlite::Result<Piece> {
    let number = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let kind = if number(1)? == 0 { Kind::Records } else { Kind::State };
    let label = Label {
        account: row.get(0)?,
        kind,
        part: row.get(2)?,
        parts: row.get(3)?,
        prev_seq: number(4)?,
        last_seq: number(5)?,
        first_at: number(6)?,
        last_at: number(7)?,
        term: number(8)?,
        raw_bytes: number(9)?,
    };
    Ok(Piece { label, sum: row.get(10)?, blob: row.get(11)? })
}

pub(crate) fn put_piece(conn: &Connection, piece: &Piece) -> rusqlite::Result<()> {
    let Label { account, kind, part, parts, prev_seq, last_seq, first_at, last_at, term, raw_bytes } =
        &piece.label;
    conn.prepare_cached(&format!("INSERT INTO piece({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"))?
        .execute(params![
            account,
            kind.number(),
            part,
            parts,
            prev_seq.cast_signed(),
            last_seq.cast_signed(),
            first_at.cast_signed(),
            last_at.cast_signed(),
            term.cast_signed(),
            raw_bytes.cast_signed(),
            piece.sum,
            piece.blob
        ])
        .map(drop)
}

/// Takes away what the account's history has beyond where `next` begins: the journal went on from there again, as after
/// an older copy of it was put back, and what it went on to before is not what happened.
fn supersede(conn: &Connection, next: &Piece, first_term: u64) -> rusqlite::Result<()> {
    let Label { account, prev_seq, .. } = &next.label;
    let (seq, records, states) = (prev_seq.cast_signed(), Kind::Records.number(), Kind::State.number());
    // States run ahead of the records; one of a life that was taken back is of a lower term than what came instead.
    conn.prepare_cached("DELETE FROM piece WHERE account = ? AND kind = ? AND last_seq > ? AND term < ?")?
        .execute(params![account, states, seq, first_term.cast_signed()])?;
    let beyond = "FROM piece WHERE account = ?1 AND kind = ?2 AND last_seq > ?3";
    let bound = params![account, records, seq];
    if !conn.prepare_cached(&format!("SELECT 1 {beyond} LIMIT 1"))?.exists(bound)? {
        return Ok(());
    }
    let across: Vec<Piece> = conn
        .prepare_cached(&format!("SELECT {COLUMNS} {beyond} AND prev_seq < ?3"))?
        .query_map(bound, from_row)?
        .collect::<rusqlite::Result<_>>()?;
    conn.prepare_cached(&format!("DELETE {beyond}"))?.execute(bound)?;
    for piece in across {
        let mut kept = piece.records().unwrap_or_default();
        kept.retain(|record| record.seq <= *prev_seq);
        if let Ok(piece) = Piece::of_records(account, &kept) {
            put_piece(conn, &piece)?;
        }
    }
    Ok(())
}

/// Of each account that has anything from `from` on, its newest state before that stays, and what follows that state.
fn forget_before(conn: &Connection, from: u64) -> rusqlite::Result<()> {
    let from = from.cast_signed();
    let accounts: Vec<String> = conn
        .prepare_cached("SELECT DISTINCT account FROM piece WHERE last_at < ?")?
        .query_map([from], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for account in accounts {
        let newer = conn
            .prepare_cached("SELECT 1 FROM piece WHERE account = ? AND last_at >= ? LIMIT 1")?
            .exists(params![account, from])?;
        let base: Option<i64> = conn
            .prepare_cached("SELECT max(last_seq) FROM piece WHERE account = ? AND kind = ? AND last_at < ?")?
            .query_row(params![account, Kind::State.number(), from], |row| row.get(0))?;
        let below = if newer { base.unwrap_or(i64::MAX) } else { i64::MAX };
        // Records up to the state that stays, and older states.
        conn.prepare_cached(
            "DELETE FROM piece WHERE account = ?1 AND last_at < ?2
                 AND (last_seq < ?3 OR (last_seq = ?3 AND kind = ?4))",
        )?
        .execute(params![account, from, below, Kind::Records.number()])?;
    }
    conn.prepare_cached("DELETE FROM lost WHERE max(after_at, before_at) < ?")?.execute([from]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::piece::Packing;
    use crate::image::Record;

    fn piece(term: u64, seqs: std::ops::RangeInclusive<u64>) -> (u64, Piece) {
        let record = |seq| Record { term, prev_seq: seq - 1, seq, at: seq, bytes: vec![term as u8; 5] };
        (term, Piece::of_records("acme", &seqs.map(record).collect::<Vec<_>>()).unwrap())
    }

    #[test]
    fn a_life_that_was_taken_back_leaves_no_record_and_no_state() {
        let dir = std::env::temp_dir().join(format!("ringfence-history-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (file, aside) = HistoryFile::open(&dir, None).unwrap();
        assert_eq!(aside, None);
        let mark = |batch| Mark { batch, crc: 0, at: 0 };
        let state = |term, seq| Packing::begin("acme", seq, term, seq, b"h").unwrap().finish().unwrap();
        let rows = |file: &HistoryFile| -> Vec<(i64, i64, i64)> {
            let sql = "SELECT kind, prev_seq, last_seq FROM piece ORDER BY kind, last_seq";
            let mut statement = file.conn.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
            rows.map(Result::unwrap).collect()
        };
        file.put(&[piece(5, 1..=10)], &[], mark(1)).unwrap();
        file.put_state(&state(5, 30)).unwrap();
        file.put(&[piece(5, 11..=20)], &[], mark(2)).unwrap();
        assert_eq!(rows(&file), [(0, 0, 10), (0, 10, 20), (1, 30, 30)], "a state runs ahead of the records");

        file.put(&[piece(6, 16..=25)], &[], mark(3)).unwrap();
        assert_eq!(rows(&file), [(0, 0, 10), (0, 10, 15), (0, 15, 25)]);
        assert_eq!(file.mark().unwrap(), Some(mark(3)));
        drop(file);
        fs::remove_dir_all(dir).unwrap();
    }
}
