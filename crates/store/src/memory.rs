//! The in-memory twin: the same promises without the disk, for memory mode and for tests.
//!
//! It is written apart from the SQLite store, in the plainest way, so that a test which compares the two means
//! something. A directory given to it is locked and lends the term; nothing else in it is read or written.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::entry_bytes;
use crate::error::{CommitError, LoadError, OpenError, ReadError};
use crate::history::{Past, Span, State};
use crate::image::{AccountHead, Image, PageId, Record};
use crate::lock::DirLock;
use crate::meta::Meta;
use crate::opening;
use crate::store::{Figures, History, Opened, Reader, Store};
use crate::write::{KeyRow, TableOp, Verdict, Write};

pub(crate) fn open(dir: Option<&Path>, wall_ms: u64) -> Result<Opened, OpenError> {
    let (lock, term, first) = match dir {
        Some(dir) => {
            let (lock, begun) = opening::term(dir, wall_ms)?;
            (Some(lock), begun.meta.term, begun.first)
        }
        None => (None, Meta::default().next_term(wall_ms), true),
    };
    let shared = Arc::new(Mutex::new(Contents::default()));
    Ok(Opened {
        store: Box::new(MemoryStore { shared: Arc::clone(&shared), batches: 0, dead: None, _lock: lock }),
        reader: Arc::new(MemoryReader { shared }),
        term,
        // After the first run there was something, and all of it is lost.
        clean: first,
        os_clean: first,
        epoch_least: term,
        last_at: 0,
        warnings: Vec::new(),
    })
}

#[derive(Default)]
struct Contents {
    accounts: HashMap<Arc<str>, Account>,
    keys: BTreeMap<String, KeyRow>,
    closed: bool,
}

#[derive(Default)]
struct Account {
    term: u64,
    seq: u64,
    at: u64,
    header: Option<(u64, Vec<u8>)>,
    /// Term and time of the head when the header was written.
    stood: (u64, u64),
    pages: BTreeMap<PageId, Vec<u8>>,
    /// Records no snapshot covers, each with the number of its batch.
    tail: Vec<(u64, Record)>,
}

impl Account {
    fn covered(&self) -> u64 {
        self.header.as_ref().map_or(0, |(seq, _)| *seq)
    }
}

impl Contents {
    fn apply(&mut self, op: &TableOp) {
        match op {
            TableOp::PutKey(key) => {
                self.keys.insert(key.id.clone(), key.clone());
            }
            TableOp::DropKey { id } => {
                self.keys.remove(id);
            }
        }
    }

    fn write(&mut self, batch: u64, write: &Write) -> Verdict {
        let (term, seq) =
            self.accounts.get(&write.account).map_or((0, 0), |account| (account.term, account.seq));
        if write.term < term || write.prev_seq != seq || write.seq <= seq {
            return Verdict::Fenced;
        }
        let account = self.accounts.entry(Arc::clone(&write.account)).or_default();
        (account.term, account.seq, account.at) = (write.term, write.seq, write.at);
        let &Write { term, prev_seq, seq, at, .. } = write;
        account.tail.push((batch, Record { term, prev_seq, seq, at, bytes: write.record.clone() }));
        for op in &write.ops {
            self.apply(op);
        }
        Verdict::Committed
    }
}

fn lock(shared: &Mutex<Contents>) -> MutexGuard<'_, Contents> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

struct MemoryStore {
    shared: Arc<Mutex<Contents>>,
    batches: u64,
    dead: Option<CommitError>,
    _lock: Option<DirLock>,
}

impl MemoryStore {
    fn alive(&self) -> Result<MutexGuard<'_, Contents>, CommitError> {
        match &self.dead {
            Some(error) => Err(error.clone()),
            None => Ok(lock(&self.shared)),
        }
    }

    fn die(&mut self, why: &str) -> CommitError {
        self.dead.insert(CommitError::Fatal(why.to_owned())).clone()
    }
}

impl Store for MemoryStore {
    fn commit(&mut self, batch: &[Write]) -> Result<Vec<Verdict>, CommitError> {
        let number = self.batches + 1;
        let verdicts = {
            let mut contents = self.alive()?;
            batch.iter().map(|write| contents.write(number, write)).collect()
        };
        self.batches = number;
        Ok(verdicts)
    }

    fn apply_ops(&mut self, ops: &[TableOp]) -> Result<(), CommitError> {
        let mut contents = self.alive()?;
        ops.iter().for_each(|op| contents.apply(op));
        Ok(())
    }

    fn snapshot(
        &mut self,
        account: &Arc<str>,
        seq: u64,
        header: &[u8],
        pages: &[(PageId, Vec<u8>)],
        dropped: &[PageId],
    ) -> Result<(), CommitError> {
        {
            let mut contents = self.alive()?;
            let (from, to) = contents.accounts.get(account).map_or((0, 0), |held| (held.covered(), held.seq));
            let distinct: BTreeMap<_, _> = pages.iter().map(|(id, blob)| (*id, blob)).collect();
            if (from..=to).contains(&seq) && distinct.len() == pages.len() {
                let held = contents.accounts.entry(Arc::clone(account)).or_default();
                held.header = Some((seq, header.to_vec()));
                held.stood = (held.term, held.at);
                held.pages.retain(|id, _| !dropped.contains(id));
                held.pages.extend(pages.iter().cloned());
                held.tail.retain(|(_, record)| record.seq > seq);
                return Ok(());
            }
        }
        Err(self.die("a snapshot beyond the head, behind the last one, or with a page named twice: a bug"))
    }

    /// What a snapshot covers is gone already.
    fn trim(&mut self) -> Result<bool, CommitError> {
        self.alive().map(|_| false)
    }

    fn tail_bytes(&self) -> u64 {
        let contents = lock(&self.shared);
        let bytes = |(name, account): (&Arc<str>, &Account)| -> u64 {
            account.tail.iter().map(|(_, record)| entry_bytes(name, &record.bytes)).sum()
        };
        contents.accounts.iter().map(bytes).sum()
    }

    fn snapshot_candidates(&self, most: usize) -> Vec<Arc<str>> {
        let contents = lock(&self.shared);
        let oldest =
            |(name, account): (&Arc<str>, &Account)| Some((account.tail.first()?.0, Arc::clone(name)));
        let mut found: Vec<_> = contents.accounts.iter().filter_map(oldest).collect();
        found.sort();
        found.into_iter().take(most).map(|(_, name)| name).collect()
    }

    /// There is no history of what nothing outlives.
    fn day_candidates(&mut self, _most: usize) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn figures(&self) -> Figures {
        Figures::default()
    }

    fn close(self: Box<Self>) -> Result<(), CommitError> {
        self.alive().map(drop)
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        lock(&self.shared).closed = true;
    }
}

struct MemoryReader {
    shared: Arc<Mutex<Contents>>,
}

impl MemoryReader {
    fn open(&self) -> Result<MutexGuard<'_, Contents>, ReadError> {
        let contents = lock(&self.shared);
        if contents.closed { Err(ReadError::Closed) } else { Ok(contents) }
    }
}

impl Reader for MemoryReader {
    fn accounts(&self) -> Result<Vec<AccountHead>, ReadError> {
        let contents = self.open()?;
        let head = |(name, held): (&Arc<str>, &Account)| AccountHead {
            account: Arc::clone(name),
            term: held.term,
            seq: held.seq,
            at: held.at,
        };
        Ok(contents.accounts.iter().map(head).collect())
    }

    fn load(&self, account: &str) -> Result<Option<Image>, LoadError> {
        let contents = self.open()?;
        Ok(contents.accounts.get(account).map(|held| Image {
            header: held.header.clone(),
            pages: held.pages.iter().map(|(id, blob)| (*id, blob.clone())).collect(),
            tail: held.tail.iter().map(|(_, record)| record.clone()).collect(),
        }))
    }

    fn history(&self, account: &str, span: Span) -> Result<History, ReadError> {
        let contents = self.open()?;
        let Some(held) = contents.accounts.get(account) else { return Ok(Box::new(std::iter::empty())) };
        let covered = held.covered();
        let gap =
            (covered > 0 && span.first_seq <= covered).then_some(Past::Gap { after: 0, before: covered + 1 });
        let within = |record: &Record| {
            (span.first_seq..=span.last_seq).contains(&record.seq)
                && (span.first_at..=span.last_at).contains(&record.at)
        };
        let tail: Vec<Past> = held
            .tail
            .iter()
            .filter(|(_, record)| within(record))
            .map(|(_, record)| Past::Record(record.clone()))
            .collect();
        Ok(Box::new(gap.into_iter().chain(tail).map(Ok)))
    }

    fn state(&self, account: &str, seq: u64) -> Result<Option<State>, LoadError> {
        let contents = self.open()?;
        let held = contents.accounts.get(account).filter(|held| held.covered() <= seq);
        Ok(held.and_then(|held| {
            let (at_seq, header) = held.header.clone()?;
            let pages = held.pages.iter().map(|(id, blob)| (*id, blob.clone())).collect();
            let (term, at) = held.stood;
            Some(State { seq: at_seq, term, at, header, pages })
        }))
    }

    fn keys(&self) -> Result<Vec<KeyRow>, ReadError> {
        Ok(self.open()?.keys.values().cloned().collect())
    }
}
