//! Rebuilding the index from the file, and walling off what is damaged.
//!
//! Who is quarantined by what:
//!
//! - A record fails its checksum, or an account's sequence has a hole: that account.
//! - Two batches do not chain though each is whole, so that one of them is from elsewhere: the accounts of both.
//! - A batch cannot be read to its end, or is missing: whoever may have been in it. That is every account whose
//!   snapshot was taken before it, except those with a later record that follows their last one before it, which
//!   proves that nothing of theirs was in between. An account the store does not know may have been born in it, so
//!   from then on no account is believed to be new.
//! - A snapshot's row fails its checksum: the account it names, and since the name may be what is wrong, again no
//!   account is believed to be new.
//!
//! Damage to what a snapshot covers harms nobody and is only reported. Batches of damaged accounts are kept.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;

use crate::batch::{self, Batch, Entry};
use crate::error::Damage;
use crate::index::{Fit, Index};
use crate::snapshot;
use crate::trim::Gaps;

/// Damage that was found, and whom it harms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub damage: Damage,
    pub harm: Harm,
}

/// Whom damage keeps from being served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Harm {
    /// Nothing that is still needed was lost.
    Nobody,
    Account(Arc<str>),
    /// Accounts the store does not know: they might have existed.
    Strangers,
    /// A key, by its id: it opens nothing any more.
    Key(String),
    /// What happened before the journal begins.
    History,
}

/// The journal as it was found.
pub(crate) struct Scan {
    pub(crate) index: Index,
    pub(crate) gaps: Gaps,
    pub(crate) next_id: u64,
    pub(crate) last_crc: u32,
    pub(crate) last_at: u64,
    pub(crate) batches: u64,
    pub(crate) records: u64,
    pub(crate) faults: Vec<Fault>,
}

pub(crate) fn scan(conn: &Connection) -> rusqlite::Result<Scan> {
    let scan = Scan {
        index: Index::default(),
        gaps: Gaps::read(conn)?,
        next_id: 1,
        last_crc: 0,
        last_at: 0,
        batches: 0,
        records: 0,
        faults: Vec::new(),
    };
    let mut scanner = Scanner { scan, former: Some(Former::default()), suspects: HashMap::new() };
    snapshot::each(conn, |row| scanner.snapshot(&row))?;
    let mut statement = conn.prepare("SELECT id, blob FROM batch ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = row.get::<_, i64>(0)?.cast_unsigned();
        scanner.batch(id, row.get_ref(1)?.as_blob()?);
    }
    Ok(scanner.finish())
}

struct Scanner {
    scan: Scan,
    /// The batch before the one at hand, if it could be read.
    former: Option<Former>,
    /// Accounts of which records may be in an unreadable batch, until one of theirs proves otherwise.
    suspects: HashMap<Arc<str>, Damage>,
}

/// What the chain is checked against. A damaged batch has two crcs, and either may be what its successor holds.
#[derive(Default)]
struct Former {
    crc: u32,
    stored_crc: u32,
    accounts: Vec<Arc<str>>,
}

impl Scanner {
    fn snapshot(&mut self, row: &snapshot::Row) {
        self.scan.last_at = self.scan.last_at.max(row.standing.at);
        self.scan.index.add_snapshot(&row.account, &row.standing);
        if !row.sound {
            let damage = Damage::new(
                "the snapshot's header fails its checksum",
                format!("the snapshot of {}", row.account),
            );
            self.quarantine(&row.account, damage.clone());
            self.distrust_strangers(damage);
        }
    }

    fn batch(&mut self, id: u64, blob: &[u8]) {
        self.reach(id);
        let batch = batch::decode(id, blob);
        self.scan.batches += 1;
        self.scan.index.add_batch(id, batch.crc, blob.len() as u64);
        let accounts: Vec<_> = batch.entries.iter().filter_map(|entry| self.entry(id, entry)).collect();
        self.check_chain(id, &batch, &accounts);
        if let Some(what) = &batch.unreadable {
            self.scan.index.pin(id);
            self.unreadable(id, Damage::new(what.clone(), batch::place(id)));
        } else if let Some(what) = &batch.blemish {
            // Kept, since a gap could not tell which crc its successor holds.
            self.scan.index.pin(id);
            self.fault(Damage::new(what.clone(), batch::place(id)), Harm::Nobody);
        }
        self.former = Some(Former { crc: batch.crc, stored_crc: batch.stored_crc, accounts });
        self.scan.next_id = self.scan.next_id.max(id + 1);
        self.scan.last_crc = batch.crc;
    }

    /// Steps over what was trimmed before `id`; what is missing without having been trimmed is damage.
    fn reach(&mut self, id: u64) {
        while self.scan.next_id < id {
            let from = self.scan.next_id;
            if let Some(gap) = self.scan.gaps.at(from) {
                self.former = Some(Former { crc: gap.crc, stored_crc: gap.crc, accounts: Vec::new() });
                self.scan.last_crc = gap.crc;
                self.scan.next_id = gap.last + 1;
                continue;
            }
            let to = self.scan.gaps.first_from(from).map_or(id, |first| first.min(id));
            self.former = None;
            self.scan.next_id = to;
            self.unreadable(
                to - 1,
                Damage::new(format!("batches {from} to {} are missing", to - 1), "the journal"),
            );
        }
    }

    /// The account, if the record is one no snapshot covers.
    fn entry(&mut self, id: u64, entry: &Entry<'_>) -> Option<Arc<str>> {
        self.scan.records += 1;
        self.scan.last_at = self.scan.last_at.max(entry.at);
        let name = self.scan.index.name(entry.account);
        let sound = entry.sound();
        match self.scan.index.fit(&name, entry.prev_seq, entry.seq) {
            Fit::Covered => {
                if !sound {
                    self.fault(entry.damage(id), Harm::Nobody);
                }
                return None;
            }
            Fit::Follows => {
                self.suspects.remove(&name);
            }
            Fit::Gap { head } => {
                let what = format!("{name} goes on at {} after {head}: records are missing", entry.seq);
                self.quarantine(&name, Damage::new(what, batch::place(id)));
            }
        }
        if !sound {
            self.quarantine(&name, entry.damage(id));
        }
        self.scan.index.found(&name, id, entry);
        Some(name)
    }

    fn check_chain(&mut self, id: u64, batch: &Batch<'_>, accounts: &[Arc<str>]) {
        let (Some(former), Some(found)) = (&mut self.former, batch.prev_crc) else { return };
        if found == former.crc || found == former.stored_crc {
            return;
        }
        let damage = Damage::new("it does not follow the batch before it", batch::place(id));
        let former = std::mem::take(&mut former.accounts);
        if former.is_empty() && accounts.is_empty() {
            self.fault(damage.clone(), Harm::Nobody);
        }
        for account in former.iter().chain(accounts) {
            self.quarantine(account, damage.clone());
        }
    }

    fn unreadable(&mut self, id: u64, damage: Damage) {
        for account in self.scan.index.uncovered_before(id) {
            self.suspects.entry(account).or_insert_with(|| damage.clone());
        }
        self.distrust_strangers(damage);
    }

    fn quarantine(&mut self, account: &Arc<str>, damage: Damage) {
        if self.scan.index.quarantine(account, damage.clone()) {
            self.fault(damage, Harm::Account(Arc::clone(account)));
        }
    }

    fn distrust_strangers(&mut self, damage: Damage) {
        self.scan.index.distrust_strangers(damage.clone());
        self.fault(damage, Harm::Strangers);
    }

    fn fault(&mut self, damage: Damage, harm: Harm) {
        self.scan.faults.push(Fault { damage, harm });
    }

    fn finish(mut self) -> Scan {
        // What was trimmed behind the last batch still counts: ids are never used twice.
        if let Some(end) = self.scan.gaps.end() {
            self.reach(end.max(self.scan.next_id));
        }
        for (account, damage) in std::mem::take(&mut self.suspects) {
            self.quarantine(&account, damage);
        }
        self.scan
    }
}
