//! Reading an account's past: piece by piece from the history, then on through the journal, which may lose to a trim
//! meanwhile what the history has gained.
//!
//! Each step is a transaction of its own that reads one piece, or at most 4 MiB of journal, so a reader holds up
//! neither the checkpoints nor the thread that copies, however long it takes.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

use crate::batch;
use crate::db;
use crate::error::{Damage, ReadError};
use crate::history::file::{self, COLUMNS, from_row, mark};
use crate::history::piece::{Kind, Piece, state};
use crate::history::{Lost, Past, Span, State};
use crate::image::Record;
use crate::structure::{self, Depth};

/// Journal read at a time.
const READ_BYTES: usize = 4 << 20;

/// The past of one account.
pub(crate) struct Walk {
    /// `None` if there is no history.
    history: Option<Connection>,
    journal: Connection,
    account: String,
    span: Span,
    place: Place,
    /// The newest record passed, told or not; nothing is told twice.
    cursor: u64,
    /// The account's newest record when the walk began.
    head: u64,
    /// Read, and not yet told.
    ready: VecDeque<Past>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Begin,
    Pieces,
    /// In the journal, behind this batch.
    Journal(u64),
    /// Nothing comes after what was read.
    End,
}

impl Walk {
    pub(crate) fn new(
        history: Option<Connection>,
        journal: Connection,
        account: &str,
        span: Span,
        head: u64,
    ) -> Self {
        let account = account.to_owned();
        Self { history, journal, account, span, place: Place::Begin, cursor: 0, head, ready: VecDeque::new() }
    }

    fn step(&mut self) -> rusqlite::Result<()> {
        match self.place {
            Place::Begin => self.begin(),
            Place::Pieces => self.next_piece(),
            Place::Journal(after) => self.next_batches(after),
            Place::End => Ok(()),
        }
    }

    /// What the history has before the span is passed over.
    fn begin(&mut self) -> rusqlite::Result<()> {
        self.place = Place::Pieces;
        if let Some(history) = &self.history {
            let (seq, at) = (self.span.first_seq.cast_signed(), self.span.first_at.cast_signed());
            let before: Option<i64> = history
                .prepare_cached(
                    "SELECT max(last_seq) FROM piece WHERE account = ? AND kind = ? AND (last_seq < ? OR last_at < ?)",
                )?
                .query_row(params![self.account, Kind::Records.number(), seq.max(0), at.max(0)], |row| row.get(0))?;
            self.cursor = before.map_or(0, i64::cast_unsigned);
        }
        Ok(())
    }

    fn next_piece(&mut self) -> rusqlite::Result<()> {
        let Some(history) = &self.history else {
            self.place = Place::Journal(0);
            return Ok(());
        };
        // In one transaction: batches up to the mark are in the pieces by then.
        history.execute_batch("BEGIN")?;
        let found = piece_after(history, &self.account, self.cursor)
            .and_then(|piece| Ok((piece, mark(history)?.map_or(0, |mark| mark.batch))));
        history.execute_batch("ROLLBACK")?;
        let (piece, mark) = found?;
        let Some(piece) = piece else {
            self.place = Place::Journal(mark);
            return Ok(());
        };
        match piece.records() {
            Ok(records) => records.into_iter().for_each(|record| self.pass(record)),
            Err(damage) => self.damaged(damage, piece.label.last_seq),
        }
        Ok(())
    }

    fn next_batches(&mut self, after: u64) -> rusqlite::Result<()> {
        let mut found = Vec::new();
        let (mut last, mut bytes) = (None, 0);
        {
            let mut statement =
                self.journal.prepare_cached("SELECT id, blob FROM batch WHERE id > ? ORDER BY id")?;
            let mut rows = statement.query([after.cast_signed()])?;
            while let Some(row) = rows.next()? {
                let id = row.get::<_, i64>(0)?.cast_unsigned();
                let blob = row.get_ref(1)?.as_blob()?;
                for entry in batch::decode(id, blob).entries {
                    if entry.account != self.account || entry.seq <= self.cursor {
                        continue;
                    }
                    let (term, prev_seq, seq, at) = (entry.term, entry.prev_seq, entry.seq, entry.at);
                    let record = Record { term, prev_seq, seq, at, bytes: entry.record.to_vec() };
                    found.push(if entry.sound() { Ok(record) } else { Err((entry.damage(id), seq)) });
                }
                (last, bytes) = (Some(id), bytes + blob.len());
                if bytes >= READ_BYTES {
                    break;
                }
            }
        }
        for record in found {
            match record {
                Ok(record) if record.prev_seq > self.cursor && self.moved_on()? => {
                    self.place = Place::Pieces;
                    return Ok(());
                }
                Ok(record) => self.pass(record),
                Err((damage, seq)) => self.damaged(damage, seq),
            }
        }
        match last {
            Some(last) if self.place != Place::End => self.place = Place::Journal(last),
            Some(_) => {}
            None => self.end()?,
        }
        Ok(())
    }

    /// The history has come to hold what was trimmed from under this walk.
    fn moved_on(&self) -> rusqlite::Result<bool> {
        let Some(history) = &self.history else { return Ok(false) };
        Ok(piece_after(history, &self.account, self.cursor)?.is_some())
    }

    fn end(&mut self) -> rusqlite::Result<()> {
        if self.moved_on()? {
            self.place = Place::Pieces;
            return Ok(());
        }
        self.place = Place::End;
        if self.head > self.cursor && self.cursor < self.span.last_seq {
            self.gap(self.head + 1);
        }
        Ok(())
    }

    /// A record that comes next, in the span or not.
    fn pass(&mut self, record: Record) {
        if record.seq <= self.cursor || self.place == Place::End {
            return;
        }
        if record.prev_seq > self.cursor {
            self.gap(record.prev_seq + 1);
        }
        self.cursor = record.seq;
        if record.seq > self.span.last_seq || record.at > self.span.last_at {
            self.place = Place::End;
        } else if record.seq >= self.span.first_seq && record.at >= self.span.first_at {
            self.ready.push_back(Past::Record(record));
        }
    }

    fn damaged(&mut self, damage: Damage, last_seq: u64) {
        if self.place == Place::End || last_seq <= self.cursor {
            return;
        }
        if last_seq >= self.span.first_seq {
            self.ready.push_back(Past::Damaged(damage));
        }
        self.gap(last_seq + 1);
        self.cursor = last_seq;
    }

    /// Nothing is known from the cursor up to `before`.
    fn gap(&mut self, before: u64) {
        if before > self.span.first_seq && self.cursor < self.span.last_seq && before > self.cursor + 1 {
            self.ready.push_back(Past::Gap { after: self.cursor, before });
        }
    }
}

impl Iterator for Walk {
    type Item = Result<Past, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(past) = self.ready.pop_front() {
                return Some(Ok(past));
            }
            if self.place == Place::End {
                return None;
            }
            if let Err(error) = self.step() {
                self.place = Place::End;
                let path = self.journal.path().map(PathBuf::from).unwrap_or_default();
                return Some(Err(ReadError::sqlite("read the past from", &path)(error)));
            }
        }
    }
}

fn piece_after(history: &Connection, account: &str, cursor: u64) -> rusqlite::Result<Option<Piece>> {
    history
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM piece WHERE account = ? AND kind = ? AND last_seq > ? ORDER BY last_seq LIMIT 1"
        ))?
        .query_row(params![account, Kind::Records.number(), cursor.cast_signed()], from_row)
        .optional()
}

/// What a look at all of it finds.
pub(crate) struct Found {
    pub(crate) records: u64,
    pub(crate) states: u64,
    pub(crate) lost: Vec<Lost>,
    pub(crate) damage: Vec<Damage>,
}

/// Unpacks everything there is; `None` if there is no history.
pub(crate) fn verify(dir: &Path) -> rusqlite::Result<Option<Found>> {
    let Some(history) = file::open_read(dir)? else { return Ok(None) };
    let mut found = Found { records: 0, states: 0, lost: file::lost(&history)?, damage: Vec::new() };
    let lines = structure::pages(&history, Depth::Quick)?;
    found.damage.extend(lines.into_iter().map(|line| Damage::new(line, file::FILE)));
    let mut statement =
        history.prepare(&format!("SELECT {COLUMNS} FROM piece ORDER BY account, kind, last_seq, part"))?;
    let mut rows = statement.query([])?;
    let mut parts: Vec<Piece> = Vec::new();
    loop {
        let piece = rows.next()?.map(from_row).transpose()?;
        let same = |piece: &Piece| {
            let last = parts.last().map(|last| &last.label);
            last.is_some_and(|last| {
                last.account == piece.label.account && last.last_seq == piece.label.last_seq
            })
        };
        if !parts.is_empty() && !piece.as_ref().is_some_and(same) {
            match state(&parts) {
                Ok(_) => found.states += 1,
                Err(damage) => found.damage.push(damage),
            }
            parts.clear();
        }
        match piece {
            None => return Ok(Some(found)),
            Some(piece) => match piece.label.kind {
                Kind::State => parts.push(piece),
                Kind::Records => match piece.records() {
                    Ok(records) => found.records += records.len() as u64,
                    Err(damage) => found.damage.push(damage),
                },
            },
        }
    }
}

/// The newest state at or below `seq` that is as it was written.
pub(crate) fn newest_state(history: &Connection, account: &str, seq: u64) -> rusqlite::Result<Option<State>> {
    let mut below = seq.min(i64::MAX.cast_unsigned()).cast_signed();
    loop {
        let newest: Option<i64> = history
            .prepare_cached(
                "SELECT max(last_seq) FROM piece WHERE account = ? AND kind = ? AND last_seq <= ?",
            )?
            .query_row(params![account, Kind::State.number(), below], |row| row.get(0))?;
        let Some(newest) = newest else { return Ok(None) };
        let parts: Vec<Piece> = history
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM piece WHERE account = ? AND kind = ? AND last_seq = ? ORDER BY part"
            ))?
            .query_map(params![account, Kind::State.number(), newest], from_row)?
            .collect::<rusqlite::Result<_>>()?;
        match state(&parts) {
            Ok(state) => return Ok(Some(state)),
            // An older one and more records say the same.
            Err(_) if newest > 0 => below = newest - 1,
            Err(_) => return Ok(None),
        }
    }
}

/// Connections of their own for a walk.
pub(crate) fn connections(dir: &Path) -> Result<(Option<Connection>, Connection), ReadError> {
    let (kept, path) = (dir.join(file::FILE), dir.join(db::FILE));
    let history = file::open_read(dir).map_err(ReadError::sqlite("open", &kept))?;
    let journal = db::open_read(&path).map_err(ReadError::sqlite("open for reading", &path))?;
    Ok((history, journal))
}
