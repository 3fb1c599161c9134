//! The reading half over SQLite: connections of its own, and the index for what to read.
//!
//! A load takes the list of the account's records from the index first and reads second, so all of it is committed by
//! then. Each record is read from its place in its batch, past those of others: a batch may hold a thousand. What a trim takes away in between is covered by a snapshot that the read sees. A large account is read in
//! several transactions, none longer than the spec's 50 ms, since the WAL cannot be begun anew under a reader; if the
//! account's snapshot was replaced between two of them, the load starts over.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::blob::Blob;
use rusqlite::{Connection, MAIN_DB};

use crate::batch::{Entry, place};
use crate::db;
use crate::error::{Damage, LoadError, OpenError, ReadError, corrupt};
use crate::history::{self, Span, State, Walk};
use crate::image::{AccountHead, Image, Record};
use crate::index::{self, Index, Piece, Standing, View};
use crate::keys;
use crate::snapshot::{self, PageRow, Totals};
use crate::store::{History, Reader};
use crate::write::KeyRow;

/// Read in one transaction: 40 ms from a disk of 100 MB/s, and a few from the page cache.
const READ_BYTES: usize = 4 << 20;
/// What a record counts for at least: to find one in its batch takes SQLite some 20 µs, however short it is.
const RECORD_BYTES: usize = 4 << 10;
/// Snapshots of one account are minutes apart, a load takes much less: the second start over is already a bug.
const STARTS_MAX: usize = 8;
/// Idle connections kept. More may be open at a time, one per thread that reads.
const IDLE_MAX: usize = 4;

pub(crate) struct SqliteReader {
    path: PathBuf,
    index: Arc<Mutex<Index>>,
    idle: Mutex<Vec<Connection>>,
}

/// Why a load ends early.
enum Stop {
    /// The account's snapshot was replaced meanwhile.
    Replaced,
    Sqlite(rusqlite::Error),
    Damaged(Damage),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl SqliteReader {
    pub(crate) fn open(path: &Path, index: Arc<Mutex<Index>>) -> Result<Self, OpenError> {
        let first = db::open_read(path).map_err(OpenError::sqlite("open for reading", path))?;
        Ok(Self { path: path.to_path_buf(), index, idle: Mutex::new(vec![first]) })
    }

    fn with_connection<T>(&self, read: impl FnOnce(&Connection) -> T) -> Result<T, ReadError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let conn = match kept {
            Some(conn) => conn,
            None => db::open_read(&self.path).map_err(ReadError::sqlite("open for reading", &self.path))?,
        };
        let out = read(&conn);
        let mut idle = idle();
        if idle.len() < IDLE_MAX {
            idle.push(conn);
        }
        Ok(out)
    }

    fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn load_with(
        &self,
        account: &str,
        view: impl Fn() -> Result<Option<View>, ReadError>,
    ) -> Result<Option<Image>, LoadError> {
        for _ in 0..STARTS_MAX {
            let Some(view) = view()? else { return Ok(None) };
            if let Some(damage) = view.damage {
                return Err(damage.into());
            }
            match self.with_connection(|conn| Load::new(conn, account).run(&view))? {
                Ok(image) => return Ok(Some(image)),
                Err(Stop::Replaced) => {}
                Err(Stop::Damaged(damage)) => return Err(damage.into()),
                Err(Stop::Sqlite(error)) if corrupt(&error) => {
                    return Err(Damage::new(
                        format!("SQLite says: {error}"),
                        self.path.display().to_string(),
                    )
                    .into());
                }
                Err(Stop::Sqlite(error)) => {
                    return Err(ReadError::sqlite("read an account from", &self.path)(error).into());
                }
            }
        }
        let what = format!("its snapshot was replaced {STARTS_MAX} times during a load: a bug");
        Err(Damage::new(what, self.path.display().to_string()).into())
    }

    fn view(&self, account: &str) -> Result<Option<View>, ReadError> {
        let index = index::lock(&self.index);
        if index.is_closed() { Err(ReadError::Closed) } else { Ok(index.view(account)) }
    }
}

impl Reader for SqliteReader {
    fn accounts(&self) -> Result<Vec<AccountHead>, ReadError> {
        let index = index::lock(&self.index);
        if index.is_closed() { Err(ReadError::Closed) } else { Ok(index.heads()) }
    }

    fn load(&self, account: &str) -> Result<Option<Image>, LoadError> {
        self.load_with(account, || self.view(account))
    }

    fn history(&self, account: &str, span: Span) -> Result<History, ReadError> {
        let Some(view) = self.view(account)? else { return Ok(Box::new(std::iter::empty())) };
        let (history, journal) = history::connections(self.dir())?;
        Ok(Box::new(Walk::new(history, journal, account, span, view.seq)))
    }

    fn state(&self, account: &str, seq: u64) -> Result<Option<State>, LoadError> {
        let Some(view) = self.view(account)? else { return Ok(None) };
        let (history, journal) = history::connections(self.dir())?;
        let read = |error| ReadError::sqlite("read a state from", self.dir())(error);
        let kept = match &history {
            Some(history) => history::newest_state(history, account, seq).map_err(read)?,
            None => None,
        };
        let newest = snapshot::header(&journal, account).map_err(read)?.map(|row| row.standing);
        let Some(newest) = newest.filter(|newest| newest.seq <= seq && view.damage.is_none()) else {
            return Ok(kept);
        };
        if kept.as_ref().is_some_and(|kept| kept.seq >= newest.seq) {
            return Ok(kept);
        }
        // Without a tail: the snapshot alone. One that has replaced it meanwhile may be beyond what was asked for.
        let image = self.load_with(account, || Ok(Some(View { damage: None, seq: 0, tail: Vec::new() })))?;
        Ok(image.and_then(|image| Some((image.header?, image.pages))).map_or(
            kept,
            |((at_seq, header), pages)| {
                let Standing { term, at, .. } = newest;
                (at_seq == newest.seq).then_some(State { seq: at_seq, term, at, header, pages })
            },
        ))
    }

    fn keys(&self) -> Result<Vec<KeyRow>, ReadError> {
        if index::lock(&self.index).is_closed() {
            return Err(ReadError::Closed);
        }
        self.with_connection(keys::read)?.map_err(ReadError::sqlite("read the keys of", &self.path))
    }
}

/// One attempt to load an account.
struct Load<'a> {
    conn: &'a Connection,
    account: &'a str,
    generation: u64,
    /// Bytes the present transaction may still read.
    budget: usize,
    /// The batch read last, open in case the next record is in it too.
    batch: Option<(u64, Blob<'a>)>,
}

impl<'a> Load<'a> {
    fn new(conn: &'a Connection, account: &'a str) -> Self {
        Self { conn, account, generation: 0, budget: READ_BYTES, batch: None }
    }

    fn run(mut self, view: &View) -> Result<Image, Stop> {
        self.conn.execute_batch("BEGIN")?;
        let image = self.image(view);
        self.batch = None;
        // Nothing was written, so how it ends is all the same. After some errors SQLite has ended it by itself.
        if !self.conn.is_autocommit() {
            self.conn.execute_batch("ROLLBACK")?;
        }
        image
    }

    fn image(&mut self, view: &View) -> Result<Image, Stop> {
        let mut image = Image::default();
        if let Some(row) = snapshot::header(self.conn, self.account)? {
            self.generation = row.standing.generation;
            let pages = snapshot::pages(self.conn, self.account, self.generation)?;
            if !row.sound || Totals::of(&pages) != row.totals {
                return Err(
                    self.damaged("the snapshot's header or its number of pages is not what was written")
                );
            }
            self.spend(row.header.len())?;
            image.header = Some((row.standing.seq, row.header));
            image.pages.reserve(pages.len());
            for page in &pages {
                image.pages.push((page.id, self.page(page)?));
            }
        }
        let mut head = image.header.as_ref().map_or(0, |(seq, _)| *seq);
        for piece in &view.tail {
            if piece.seq <= head {
                continue;
            }
            if let Some(record) = self.record(piece, head)? {
                head = record.seq;
                image.tail.push(record);
            }
        }
        if head < view.seq {
            return Err(self.damaged(&format!("the records after {head} and up to {} are missing", view.seq)));
        }
        Ok(image)
    }

    fn page(&mut self, page: &PageRow) -> Result<Vec<u8>, Stop> {
        match snapshot::page(self.conn, self.account, page)? {
            Some(blob) => {
                self.spend(blob.len())?;
                Ok(blob)
            }
            None => {
                Err(self.damaged(&format!("page {}/{} fails its checksum", page.id.kind, page.id.number)))
            }
        }
    }

    /// `None` if the batch is gone: then a snapshot covers it, or the sequence will have a hole.
    fn record(&mut self, piece: &Piece, head: u64) -> Result<Option<Record>, Stop> {
        let id = piece.batch;
        let damaged = |what: String| Stop::Damaged(Damage::new(what, place(id)));
        if !self.open_batch(id)? {
            return Ok(None);
        }
        let Some((_, blob)) = &self.batch else { return Ok(None) };
        let (start, len) = (piece.spot.start as usize, piece.spot.bytes as usize);
        if start + len > blob.len() {
            return Err(damaged(format!("the batch ends before the record of seq {}", piece.seq)));
        }
        let mut bytes = vec![0; len];
        blob.read_at_exact(&mut bytes, start)?;
        let entry = Entry::decode(id, piece.spot, &bytes).filter(|entry| entry.account == self.account);
        let Some(entry) = entry else {
            return Err(damaged(format!("the head of the record of seq {} fails its checksum", piece.seq)));
        };
        if !entry.sound() {
            return Err(Stop::Damaged(entry.damage(id)));
        }
        if entry.prev_seq != head {
            return Err(damaged(format!(
                "the records after {head} and up to {} are missing",
                entry.prev_seq
            )));
        }
        let (term, prev_seq, seq, at) = (entry.term, entry.prev_seq, entry.seq, entry.at);
        let record = Record { term, prev_seq, seq, at, bytes: entry.record.to_vec() };
        self.spend(len.max(RECORD_BYTES))?;
        Ok(Some(record))
    }

    fn open_batch(&mut self, id: u64) -> Result<bool, Stop> {
        if self.batch.as_ref().is_some_and(|(open, _)| *open == id) {
            return Ok(true);
        }
        let mut exists = self.conn.prepare_cached("SELECT 1 FROM batch WHERE id = ?")?;
        if !exists.exists([id.cast_signed()])? {
            return Ok(false);
        }
        let blob = match self.batch.take() {
            Some((_, mut blob)) => {
                blob.reopen(id.cast_signed())?;
                blob
            }
            None => self.conn.blob_open(MAIN_DB, c"batch", c"blob", id.cast_signed(), true)?,
        };
        self.batch = Some((id, blob));
        Ok(true)
    }

    /// Counts what was read; when the transaction has read enough, goes on in a new one.
    fn spend(&mut self, bytes: usize) -> Result<(), Stop> {
        self.budget = self.budget.saturating_sub(bytes);
        if self.budget > 0 {
            return Ok(());
        }
        self.batch = None;
        self.conn.execute_batch("ROLLBACK; BEGIN")?;
        self.budget = READ_BYTES;
        let generation = snapshot::generation(self.conn, self.account)?;
        if generation == self.generation { Ok(()) } else { Err(Stop::Replaced) }
    }

    fn damaged(&self, what: &str) -> Stop {
        Stop::Damaged(Damage::new(what, format!("the snapshot of {}", self.account)))
    }
}
