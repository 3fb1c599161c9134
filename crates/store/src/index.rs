//! What the store knows without reading: where each account stands, in which batches its uncovered records lie, and
//! which batches nobody needs any more.
//!
//! The committer changes it after a commit, the readers look into it, both under one lock that no disk access is made
//! under. It is rebuilt at every opening (`scan`), so nothing of it is written anywhere.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::{Entry, Spot, spots};
use crate::error::Damage;
use crate::history::DAY_MS;
use crate::image::AccountHead;
use crate::space::row_bytes;
use crate::write::{Verdict, Write};

#[derive(Default)]
pub(crate) struct Index {
    accounts: HashMap<Arc<str>, Account>,
    /// Every batch in the table.
    batches: BTreeMap<u64, BatchUse>,
    /// What they take in the file.
    batch_bytes: u64,
    /// Those no account needs.
    free: BTreeSet<u64>,
    /// What those take.
    free_bytes: u64,
    /// The newest batch the history has, and what those after it take.
    kept: u64,
    beyond_bytes: u64,
    /// Accounts that had their first record of a day; `None` if nobody wants to know.
    day_begun: Option<BTreeSet<Arc<str>>>,
    /// Accounts with a tail, by the batch it begins in. Not those in quarantine.
    oldest: BTreeSet<(u64, Arc<str>)>,
    tail_bytes: u64,
    /// Why an account the store does not know may still have existed: then none is believed to be new.
    strangers: Option<Damage>,
    closed: bool,
}

#[derive(Default)]
struct Account {
    term: u64,
    seq: u64,
    at: u64,
    /// Of the newest snapshot; 0 if there is none.
    generation: u64,
    snapshot_seq: u64,
    /// All its records up to and with this batch are in the snapshot.
    covered: u64,
    /// The UTC day of its newest snapshot, or a later one that somebody was told of.
    day: u64,
    tail: VecDeque<Piece>,
    damage: Option<Damage>,
}

/// A record in its batch. 32 bytes each, so some 15 MiB for a tail of 64 MiB.
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) batch: u64,
    pub(crate) seq: u64,
    pub(crate) spot: Spot,
}

impl Piece {
    fn bytes(&self) -> u64 {
        self.spot.bytes.into()
    }
}

struct BatchUse {
    /// In the file.
    bytes: u64,
    crc: u32,
    /// How many uncovered records are in it.
    users: u32,
}

/// Where an account's snapshot stands, as its row says.
#[derive(Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) generation: u64,
    pub(crate) seq: u64,
    pub(crate) term: u64,
    pub(crate) at: u64,
    pub(crate) covered: u64,
}

/// What a load needs to know beforehand.
pub(crate) struct View {
    pub(crate) damage: Option<Damage>,
    pub(crate) seq: u64,
    pub(crate) tail: Vec<Piece>,
}

/// How a record found in the journal fits what was known of its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// A snapshot holds it already.
    Covered,
    /// It follows the head.
    Follows,
    /// Records are missing before it.
    Gap { head: u64 },
}

/// The one way to the shared index. A panic while it was held has left it whole: every change is made of steps that
/// cannot panic, and the process ends anyway when the committer panics.
pub(crate) fn lock(index: &Mutex<Index>) -> MutexGuard<'_, Index> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For the committer.
impl Index {
    /// One verdict per write, as if all before it in the batch had been applied.
    pub(crate) fn judge(&self, batch: &[Write]) -> Vec<Verdict> {
        let mut heads: HashMap<&str, (u64, u64)> = HashMap::with_capacity(batch.len());
        let mut verdicts = Vec::with_capacity(batch.len());
        for write in batch {
            let head = match heads.get(&*write.account) {
                Some(head) => Some(*head),
                None => self.head(&write.account),
            };
            let fits =
                |(term, seq): (u64, u64)| write.term >= term && write.prev_seq == seq && write.seq > seq;
            if head.is_some_and(fits) {
                heads.insert(&write.account, (write.term, write.seq));
                verdicts.push(Verdict::Committed);
            } else {
                verdicts.push(Verdict::Fenced);
            }
        }
        verdicts
    }

    /// Term and seq; `None` where no write may follow, because what it would follow is not known.
    fn head(&self, account: &str) -> Option<(u64, u64)> {
        match self.accounts.get(account) {
            Some(account) if account.damage.is_some() => None,
            Some(account) => Some((account.term, account.seq)),
            None if self.strangers.is_some() => None,
            None => Some((0, 0)),
        }
    }

    pub(crate) fn committed(&mut self, id: u64, crc: u32, bytes: u64, writes: &[&Write]) {
        self.add_batch(id, crc, bytes);
        for (write, spot) in writes.iter().zip(spots(writes)) {
            let account = self.accounts.entry(Arc::clone(&write.account)).or_default();
            let day = write.at / DAY_MS;
            if day > account.day {
                // What begins with nothing needs no state to begin with.
                if let Some(begun) = self.day_begun.as_mut().filter(|_| account.seq > 0) {
                    begun.insert(Arc::clone(&write.account));
                }
                account.day = day;
            }
            (account.term, account.seq, account.at) = (write.term, write.seq, write.at);
            self.push(&write.account, Piece { batch: id, seq: write.seq, spot });
        }
    }

    /// The head and the present generation, for a snapshot as of `seq`, and the batch it covers the account through.
    pub(crate) fn standing(&self, name: &str, seq: u64, last_batch: u64) -> Result<Standing, String> {
        let none = Account::default();
        let account = self.accounts.get(name).unwrap_or(&none);
        if account.damage.is_some() {
            return Err("a snapshot of an account in quarantine was asked for: a bug".to_owned());
        }
        if seq > account.seq || seq < account.snapshot_seq {
            let (from, to) = (account.snapshot_seq, account.seq);
            return Err(format!("a snapshot as of {seq} was asked for, outside of {from}..={to}: a bug"));
        }
        let covered = match account.tail.iter().find(|piece| piece.seq > seq) {
            Some(piece) => piece.batch.saturating_sub(1),
            None => last_batch,
        };
        let (generation, term, at) = (account.generation, account.term, account.at);
        Ok(Standing { generation, seq, term, at, covered })
    }

    /// A snapshot became valid.
    pub(crate) fn covered(&mut self, name: &Arc<str>, standing: &Standing) {
        let account = self.accounts.entry(Arc::clone(name)).or_default();
        account.generation = standing.generation;
        account.snapshot_seq = standing.seq;
        account.covered = standing.covered;
        let Some(oldest) = account.tail.front().map(|piece| piece.batch) else { return };
        while let Some(piece) = account.tail.pop_front_if(|piece| piece.seq <= standing.seq) {
            self.tail_bytes -= piece.bytes();
            if let Some(batch) = self.batches.get_mut(&piece.batch) {
                batch.users -= 1;
                if batch.users == 0 && self.free.insert(piece.batch) {
                    self.free_bytes += batch.bytes;
                }
            }
        }
        self.oldest.remove(&(oldest, Arc::clone(name)));
        if let Some(piece) = account.tail.front() {
            self.oldest.insert((piece.batch, Arc::clone(name)));
        }
    }

    /// The lowest batches nobody needs and up to `through`: at least one, then while they fit in both limits. Each
    /// with its crc.
    pub(crate) fn trimmable(&self, bytes_max: u64, batches_max: usize, through: u64) -> Vec<(u64, u32)> {
        let mut bytes = 0;
        let free = self.free.range(..=through).filter_map(|id| Some((*id, self.batches.get(id)?)));
        free.take(batches_max)
            .take_while(|(_, batch)| {
                let first = bytes == 0;
                bytes += batch.bytes;
                first || bytes <= bytes_max
            })
            .map(|(id, batch)| (id, batch.crc))
            .collect()
    }

    /// They are gone from the table. True if more could go.
    pub(crate) fn trimmed(&mut self, batches: &[(u64, u32)], through: u64) -> bool {
        for (id, _) in batches {
            let free = self.free.remove(id);
            if let Some(batch) = self.batches.remove(id) {
                self.batch_bytes -= batch.bytes;
                self.free_bytes -= if free { batch.bytes } else { 0 };
                self.beyond_bytes -= if *id > self.kept { batch.bytes } else { 0 };
            }
        }
        self.free.range(..=through).next().is_some()
    }

    /// The history has come to hold batches up to this one.
    pub(crate) fn kept_through(&mut self, kept: u64) {
        if kept > self.kept {
            let done: u64 = self.batches.range(self.kept + 1..=kept).map(|(_, batch)| batch.bytes).sum();
            self.beyond_bytes -= done;
            self.kept = kept;
        }
    }

    /// What batches take that the history does not hold.
    pub(crate) fn beyond_bytes(&self) -> u64 {
        self.beyond_bytes
    }

    pub(crate) fn batch_bytes(&self) -> u64 {
        self.batch_bytes
    }

    pub(crate) fn free_bytes(&self) -> u64 {
        self.free_bytes
    }

    /// From now on [`Index::day_begun`] has something to tell.
    pub(crate) fn watch_days(&mut self) {
        self.day_begun = Some(BTreeSet::new());
    }

    /// Accounts that had their first record of a day, each told once.
    pub(crate) fn day_begun(&mut self, most: usize) -> Vec<Arc<str>> {
        let Some(begun) = &mut self.day_begun else { return Vec::new() };
        (0..most).map_while(|_| begun.pop_first()).collect()
    }

    pub(crate) fn tail_bytes(&self) -> u64 {
        self.tail_bytes
    }

    pub(crate) fn oldest(&self, most: usize) -> Vec<Arc<str>> {
        self.oldest.iter().take(most).map(|(_, account)| Arc::clone(account)).collect()
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
    }
}

/// For the readers.
impl Index {
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn heads(&self) -> Vec<AccountHead> {
        let head = |(name, account): (&Arc<str>, &Account)| AccountHead {
            account: Arc::clone(name),
            term: account.term,
            seq: account.seq,
            at: account.at,
        };
        self.accounts.iter().map(head).collect()
    }

    /// `None` for an account that never was.
    pub(crate) fn view(&self, name: &str) -> Option<View> {
        match (self.accounts.get(name), &self.strangers) {
            (Some(account), _) => Some(View {
                damage: account.damage.clone(),
                seq: account.seq,
                tail: account.tail.iter().copied().collect(),
            }),
            (None, Some(damage)) => Some(View { damage: Some(damage.clone()), seq: 0, tail: Vec::new() }),
            (None, None) => None,
        }
    }
}

/// For the scan at opening.
impl Index {
    pub(crate) fn add_snapshot(&mut self, name: &Arc<str>, standing: &Standing) {
        let account = Account {
            term: standing.term,
            seq: standing.seq,
            at: standing.at,
            generation: standing.generation,
            snapshot_seq: standing.seq,
            covered: standing.covered,
            day: standing.at / DAY_MS,
            tail: VecDeque::new(),
            damage: None,
        };
        self.accounts.insert(Arc::clone(name), account);
    }

    /// A batch that is free until somebody uses it.
    pub(crate) fn add_batch(&mut self, id: u64, crc: u32, bytes: u64) {
        let bytes = row_bytes(bytes);
        self.batches.insert(id, BatchUse { bytes, crc, users: 0 });
        self.batch_bytes += bytes;
        self.beyond_bytes += if id > self.kept { bytes } else { 0 };
        self.free_bytes += if self.free.insert(id) { bytes } else { 0 };
    }

    /// Keeps a batch from being trimmed, until what it was called for is covered; if for nothing, then for good.
    pub(crate) fn pin(&mut self, id: u64) {
        if let Some(batch) = self.batches.get_mut(&id) {
            batch.users += 1;
            self.free_bytes -= if self.free.remove(&id) { batch.bytes } else { 0 };
        }
    }

    /// How a record fits, without a change.
    pub(crate) fn fit(&self, name: &str, prev_seq: u64, seq: u64) -> Fit {
        let (head, covered) =
            self.accounts.get(name).map_or((0, 0), |account| (account.seq, account.snapshot_seq));
        if seq <= covered {
            Fit::Covered
        } else if prev_seq == head {
            Fit::Follows
        } else {
            Fit::Gap { head }
        }
    }

    /// Takes a record of a batch just added; of a damaged account too, so that its batches are kept.
    pub(crate) fn found(&mut self, name: &Arc<str>, batch: u64, entry: &Entry<'_>) {
        let account = self.accounts.entry(Arc::clone(name)).or_default();
        account.term = account.term.max(entry.term);
        account.seq = account.seq.max(entry.seq);
        account.at = entry.at;
        self.push(name, Piece { batch, seq: entry.seq, spot: entry.spot });
    }

    /// The account is not to be served. The first reason stays; false if there was one.
    pub(crate) fn quarantine(&mut self, name: &Arc<str>, damage: Damage) -> bool {
        let account = self.accounts.entry(Arc::clone(name)).or_default();
        if account.damage.is_some() {
            return false;
        }
        account.damage = Some(damage);
        self.tail_bytes -= account.tail.iter().map(Piece::bytes).sum::<u64>();
        if let Some(piece) = account.tail.front() {
            self.oldest.remove(&(piece.batch, Arc::clone(name)));
        }
        true
    }

    /// No account that is unknown is believed to be new. The first reason stays.
    pub(crate) fn distrust_strangers(&mut self, damage: Damage) {
        self.strangers.get_or_insert(damage);
    }

    /// Accounts that batch `id` may have held records of that no snapshot covers.
    pub(crate) fn uncovered_before(&self, id: u64) -> Vec<Arc<str>> {
        let open =
            self.accounts.iter().filter(|(_, account)| account.covered < id && account.damage.is_none());
        open.map(|(name, _)| Arc::clone(name)).collect()
    }

    /// A known account's name without a new allocation.
    pub(crate) fn name(&self, name: &str) -> Arc<str> {
        self.accounts.get_key_value(name).map_or_else(|| Arc::from(name), |(name, _)| Arc::clone(name))
    }
}

impl Index {
    fn push(&mut self, name: &Arc<str>, piece: Piece) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        if account.damage.is_none() {
            self.tail_bytes += piece.bytes();
            if account.tail.is_empty() {
                self.oldest.insert((piece.batch, Arc::clone(name)));
            }
        }
        account.tail.push_back(piece);
        self.pin(piece.batch);
    }
}
