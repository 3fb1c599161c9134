//! The thread that copies the journal into the history, a little behind the commits.
//!
//! It reads with a connection of its own, at most 4 MiB in one transaction, and nobody waits for it. What it could not
//! write is tried again when the journal has grown by another piece, on a file opened anew, so that a disk that has
//! room again or a file that was moved away is enough for it to go on.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use rusqlite::{Connection, OptionalExtension};

use crate::ballast::{self, free_bytes};
use crate::batch;
use crate::db::{self, Death};
use crate::error::{OpenError, corrupt};
use crate::history::file::{HistoryFile, Mark};
use crate::history::piece::{Packing, Piece};
use crate::history::{DAY_MS, HistoryLimits, Lost};
use crate::image::Record;
use crate::snapshot::{self, Totals};

/// Read from the journal in one transaction, and written to the history in one: some 40 ms of a slow disk.
const READ_BYTES: usize = 4 << 20;

/// What is told between the committer and the thread.
#[derive(Default)]
struct Progress {
    /// The newest batch committed.
    wanted: AtomicU64,
    /// Batches up to this one are in the history, synced, or are told there as lost.
    kept: AtomicU64,
    stop: AtomicBool,
    trouble: Mutex<Option<Arc<str>>>,
}

impl Progress {
    fn trouble(&self, why: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = why.map(Arc::from);
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// The committer's end.
pub(crate) struct Keeper {
    progress: Arc<Progress>,
    /// `None` once the thread was told to end.
    signal: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// A journal of batches up to `last`, in the database at `path`. The texts are for an operator.
    pub(crate) fn start(
        dir: &Path,
        path: &Path,
        limits: HistoryLimits,
        last: u64,
        death: Death,
    ) -> Result<(Self, Vec<String>), OpenError> {
        let source = db::open_read(path).map_err(OpenError::sqlite("open for reading", path))?;
        let progress = Arc::new(Progress { wanted: AtomicU64::new(last), ..Progress::default() });
        let mut worker = Worker {
            dir: dir.to_path_buf(),
            source,
            limits,
            death,
            progress: Arc::clone(&progress),
            file: None,
            broken: None,
            mark: Mark { batch: 0, crc: 0, at: 0 },
            untold: Vec::new(),
            told: Vec::new(),
            state_days: HashMap::new(),
        };
        if let Err(why) = worker.make_ready() {
            worker.told.push(format!("{why}; the journal is trimmed without it"));
            progress.trouble(Some(why));
        }
        let told = std::mem::take(&mut worker.told);
        // One waiting signal says all that several would.
        let (signal, signals) = sync_channel(1);
        let thread = Builder::new()
            .name("ringfence-history".to_owned())
            .spawn(move || worker.run(&signals))
            .map_err(OpenError::io("start the history thread of", path))?;
        Ok((Self { progress, signal: Some(signal), thread: Some(thread) }, told))
    }

    pub(crate) fn kept(&self) -> u64 {
        self.progress.kept.load(Ordering::Acquire)
    }

    pub(crate) fn wake(&self, last: u64) {
        self.progress.wanted.store(last, Ordering::Release);
        if let Some(signal) = &self.signal {
            // Refused if one waits already; a thread that has died shows in its trouble.
            let _ = signal.try_send(());
        }
    }

    pub(crate) fn trouble(&self) -> Option<Arc<str>> {
        let dead = self.thread.as_ref().is_some_and(JoinHandle::is_finished);
        let trouble = self.progress.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        trouble.or_else(|| dead.then(|| Arc::from("the history's thread has ended: a bug")))
    }

    /// Ends the thread, after what it is at.
    pub(crate) fn stop(&mut self) {
        self.progress.stop.store(true, Ordering::Release);
        self.signal = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Worker {
    dir: PathBuf,
    source: Connection,
    limits: HistoryLimits,
    death: Death,
    progress: Arc<Progress>,
    /// `None` until it could be opened, and after a failure.
    file: Option<HistoryFile>,
    /// Why the file is not to be opened again.
    broken: Option<String>,
    mark: Mark,
    /// Goes into the file with what comes next.
    untold: Vec<Lost>,
    /// For the operator.
    told: Vec<String>,
    /// The day of each account's newest state, as far as it was asked for.
    state_days: HashMap<String, u64>,
}

/// Batches as they go into the file together.
#[derive(Default)]
struct Chunk {
    /// Each with the term of its first record.
    pieces: Vec<(u64, Piece)>,
    lost: Vec<Lost>,
    accounts: Vec<String>,
}

impl Worker {
    fn run(mut self, signals: &Receiver<()>) {
        while signals.recv().is_ok() {
            if self.progress.is_stopped() || self.death.check().is_err() {
                break;
            }
            let outcome = self.catch_up();
            if outcome.is_err() {
                self.file = None;
            }
            self.progress.trouble(outcome.err());
        }
        if let Some(file) = self.file {
            file.close();
        }
    }

    fn catch_up(&mut self) -> Result<(), String> {
        self.make_ready()?;
        loop {
            let wanted = self.progress.wanted.load(Ordering::Acquire);
            if self.mark.batch >= wanted || self.progress.is_stopped() {
                return Ok(());
            }
            self.copy(wanted)?;
        }
    }

    /// Opens the file if it is not open, and finds out where to go on.
    fn make_ready(&mut self) -> Result<(), String> {
        let free =
            free_bytes(&self.dir).map_err(|error| format!("cannot tell how much disk is free: {error}"))?;
        if free < ballast::FREE_BYTES_MIN {
            let (free, least) = (free >> 20, ballast::FREE_BYTES_MIN >> 20);
            return Err(format!(
                "only {free} MiB of disk are free, and the history leaves {least} to the journal"
            ));
        }
        if self.file.is_some() {
            return Ok(());
        }
        let (file, aside) = HistoryFile::open(&self.dir, self.broken.as_deref())?;
        self.broken = None;
        self.told.extend(aside);
        self.state_days.clear();
        let found = file.mark().map_err(|error| format!("cannot read the history: {error}"))?;
        self.mark = self.go_on(found).map_err(|error| format!("cannot read the journal: {error}"))?;
        self.progress.kept.store(self.mark.batch, Ordering::Release);
        self.file = Some(file);
        Ok(())
    }

    /// The mark if it is one of this journal, else where the journal begins.
    fn go_on(&mut self, found: Option<Mark>) -> rusqlite::Result<Mark> {
        let wanted = self.progress.wanted.load(Ordering::Acquire);
        if let Some(mark) = found.filter(|mark| mark.batch <= wanted)
            && self.crc_of(mark.batch)?.is_none_or(|crc| crc == mark.crc)
        {
            return Ok(mark);
        }
        let first: Option<i64> = self.source.query_row("SELECT min(id) FROM batch", [], |row| row.get(0))?;
        let batch = first.map_or(wanted, |first| first.cast_unsigned().saturating_sub(1));
        let why = match found {
            Some(_) => "the journal is not the one that was copied before".to_owned(),
            None => "there was no history yet".to_owned(),
        };
        if found.is_some() || batch > 0 {
            let at = found.map_or(0, |mark| mark.at);
            self.untold = vec![Lost { first: batch.min(1), last: batch, after_at: at, before_at: 0, why }];
        }
        Ok(Mark { batch, crc: 0, at: 0 })
    }

    fn crc_of(&self, id: u64) -> rusqlite::Result<Option<u32>> {
        let blob: Option<Vec<u8>> = self
            .source
            .query_row("SELECT blob FROM batch WHERE id = ?", [id.cast_signed()], |row| row.get(0))
            .optional()?;
        Ok(blob.map(|blob| batch::decode(id, &blob).crc))
    }

    /// The next batches, up to `wanted` at most.
    fn copy(&mut self, wanted: u64) -> Result<(), String> {
        let mut mark = self.mark;
        let chunk = self.read(wanted, &mut mark)?;
        let Some(file) = &mut self.file else { return Err("the history is not open: a bug".to_owned()) };
        if let Err(error) = file.put(&chunk.pieces, &chunk.lost, mark) {
            return Err(self.failed("write", &error));
        }
        self.untold.clear();
        self.mark = mark;
        self.progress.kept.store(mark.batch, Ordering::Release);
        for account in &chunk.accounts {
            if self.progress.is_stopped() {
                return Ok(());
            }
            self.keep_state(account)?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        file.prune(self.limits, mark.at).map_err(|error| self.failed("shorten", &error))
    }

    fn failed(&mut self, what: &str, error: &rusqlite::Error) -> String {
        if corrupt(error) {
            self.broken = Some(error.to_string());
        }
        format!("cannot {what} the history: {error}")
    }

    fn read(&self, wanted: u64, mark: &mut Mark) -> Result<Chunk, String> {
        let tell = |error: rusqlite::Error| format!("cannot read the journal: {error}");
        let mut chunk = Chunk { lost: self.untold.clone(), ..Chunk::default() };
        let mut runs: Vec<(String, Vec<Record>)> = Vec::new();
        let mut newest: HashMap<String, usize> = HashMap::new();
        let mut bytes = 0;
        let mut statement = self
            .source
            .prepare_cached("SELECT id, blob FROM batch WHERE id > ? AND id <= ? ORDER BY id")
            .map_err(tell)?;
        let bounds = [mark.batch.cast_signed(), wanted.cast_signed()];
        let mut rows = statement.query(bounds).map_err(tell)?;
        let mut done = wanted;
        while let Some(row) = rows.next().map_err(tell)? {
            let id = row.get::<_, i64>(0).map_err(tell)?.cast_unsigned();
            let blob = row.get_ref(1).map_err(tell)?.as_blob().map_err(|error| error.to_string())?;
            let batch = batch::decode(id, blob);
            let first_at = batch.entries.first().map_or(mark.at, |entry| entry.at);
            chunk
                .lost
                .iter_mut()
                .filter(|lost| lost.before_at == 0)
                .for_each(|lost| lost.before_at = first_at);
            if id > mark.batch + 1 {
                chunk.lost.push(self.hole(mark, id - 1, first_at));
            }
            for entry in batch.entries.iter().filter(|entry| entry.sound()) {
                let (term, prev_seq, seq, at) = (entry.term, entry.prev_seq, entry.seq, entry.at);
                mark.at = mark.at.max(at);
                let record = Record { term, prev_seq, seq, at, bytes: entry.record.to_vec() };
                match newest.get(entry.account).map(|run| &mut runs[*run].1) {
                    Some(run) if run.last().is_some_and(|last| last.seq == prev_seq) => run.push(record),
                    Some(_) | None => {
                        newest.insert(entry.account.to_owned(), runs.len());
                        runs.push((entry.account.to_owned(), vec![record]));
                    }
                }
            }
            (mark.batch, mark.crc) = (id, batch.crc);
            bytes += blob.len();
            if bytes >= READ_BYTES {
                done = id;
                break;
            }
        }
        if done > mark.batch {
            let at = mark.at;
            chunk.lost.push(self.hole(mark, done, at));
            (mark.batch, mark.crc) = (done, 0);
        }
        drop(rows);
        let pack = |(account, records): &(String, Vec<Record>)| {
            let first_term = records.first().map_or(0, |record| record.term);
            Ok((first_term, Piece::of_records(account, records)?))
        };
        let pieces: Result<Vec<(u64, Piece)>, String> = runs.iter().map(pack).collect();
        chunk.pieces = pieces?;
        chunk.accounts = newest.into_keys().collect();
        Ok(chunk)
    }

    fn hole(&self, mark: &Mark, last: u64, before_at: u64) -> Lost {
        let trouble = self.progress.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let why =
            trouble.map_or_else(|| "trimmed before they could be copied".to_owned(), |why| why.to_string());
        Lost { first: mark.batch + 1, last, after_at: mark.at, before_at, why }
    }

    /// Copies the account's snapshot, if none of its day or a later one is there.
    fn keep_state(&mut self, account: &str) -> Result<(), String> {
        let tell = |error: rusqlite::Error| format!("cannot read a snapshot: {error}");
        let Some(file) = &mut self.file else { return Ok(()) };
        let Some(row) = snapshot::header(&self.source, account).map_err(tell)?.filter(|row| row.sound) else {
            return Ok(());
        };
        let day = row.standing.at / DAY_MS;
        let known = match self.state_days.get(account) {
            Some(known) => Some(*known),
            None => file.state_day(account).map_err(|error| self.failed("read", &error))?,
        };
        if let Some(known) = known {
            self.state_days.insert(account.to_owned(), known);
        }
        if known.is_some_and(|known| known >= day) {
            return Ok(());
        }
        let outcome =
            self.source.execute_batch("BEGIN").map_err(tell).and_then(|()| self.pack(account, &row));
        if !self.source.is_autocommit() {
            self.source.execute_batch("ROLLBACK").map_err(tell)?;
        }
        // Replaced or damaged, or the end has come: another day's, or nobody's.
        let Some(parts) = outcome? else { return Ok(()) };
        let Some(file) = &mut self.file else { return Ok(()) };
        file.put_state(&parts).map_err(|error| self.failed("write", &error))?;
        self.state_days.insert(account.to_owned(), day);
        Ok(())
    }

    /// The snapshot in parts; `None` if it was replaced meanwhile, or is damaged.
    fn pack(&self, account: &str, row: &snapshot::Row) -> Result<Option<Vec<Piece>>, String> {
        let tell = |error: rusqlite::Error| format!("cannot read a snapshot: {error}");
        let generation = row.standing.generation;
        let pages = snapshot::pages(&self.source, account, generation).map_err(tell)?;
        if Totals::of(&pages) != row.totals {
            return Ok(None);
        }
        let (seq, term, at) = (row.standing.seq, row.standing.term, row.standing.at);
        let mut packing = Packing::begin(account, seq, term, at, &row.header)?;
        let mut bytes = row.header.len();
        for page in &pages {
            let Some(blob) = snapshot::page(&self.source, account, page).map_err(tell)? else {
                return Ok(None);
            };
            packing.page(page.id, &blob)?;
            bytes += blob.len();
            if bytes >= READ_BYTES {
                bytes = 0;
                self.source.execute_batch("ROLLBACK; BEGIN").map_err(tell)?;
                if snapshot::generation(&self.source, account).map_err(tell)? != generation
                    || self.progress.is_stopped()
                {
                    return Ok(None);
                }
            }
        }
        packing.finish().map(Some)
    }
}
