//! The journal of a directory that nobody has open, for the command line.

use std::path::Path;

use rusqlite::Connection;

use crate::batch;
use crate::db::{self, Kind};
use crate::error::{Damage, OpenError, corrupt};
use crate::history::{self, Lost, Past, Span};
use crate::image::Record;
use crate::keys;
use crate::lock::DirLock;
use crate::meta;
use crate::scan;
use crate::snapshot::{self, Totals};
use crate::structure::{self, Depth};
use crate::wal::{self, Reach};

pub use crate::scan::{Fault, Harm};

/// One thing found in the journal, in the order of writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Record {
        batch: u64,
        account: String,
        record: Record,
    },
    /// Something is not as it was written. With records that can be told from it, they come on their own.
    Damaged(Damage),
}

/// What the history holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryReport {
    pub records: u64,
    pub states: u64,
    /// Batches that were trimmed without having been copied.
    pub lost: Vec<Lost>,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    pub batches: u64,
    pub records: u64,
    pub accounts: u64,
    pub snapshots: u64,
    pub pages: u64,
    pub keys: u64,
    /// `None` if there is none.
    pub history: Option<HistoryReport>,
    /// Empty if all is well.
    pub faults: Vec<Fault>,
    /// What SQLite finds wrong with the file itself; a start would be refused, or fail later.
    pub structure: Vec<String>,
}

impl Report {
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty() && self.structure.is_empty()
    }
}

/// Hands every record of the journal to `take`, or those of one account, until it returns false. Damage is handed over
/// too, whosever it is.
///
/// # Errors
/// As opening, `InUse` while a process has the directory; and when SQLite cannot read on.
pub fn dump(dir: &Path, account: Option<&str>, take: &mut dyn FnMut(Entry) -> bool) -> Result<(), OpenError> {
    let (_lock, damage) = look_over(dir)?;
    if let Some(damage) = damage {
        return Err(OpenError::Damaged { path: wal::path_of(&dir.join(db::FILE)), damage });
    }
    let (conn, path, _) = db::open_closed(dir)?;
    dump_all(&conn, account, take).map_err(OpenError::sqlite("read the journal of", &path))
}

fn dump_all(
    conn: &Connection,
    account: Option<&str>,
    take: &mut dyn FnMut(Entry) -> bool,
) -> rusqlite::Result<()> {
    let mut statement = conn.prepare("SELECT id, blob FROM batch ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = row.get::<_, i64>(0)?.cast_unsigned();
        if !dump_batch(id, row.get_ref(1)?.as_blob()?, account, take) {
            return Ok(());
        }
    }
    Ok(())
}

fn dump_batch(id: u64, blob: &[u8], account: Option<&str>, take: &mut dyn FnMut(Entry) -> bool) -> bool {
    let batch = batch::decode(id, blob);
    for entry in &batch.entries {
        let wanted = account.is_none_or(|account| account == entry.account);
        let item = match entry.sound() {
            false => Entry::Damaged(entry.damage(id)),
            true if !wanted => continue,
            true => {
                let (term, prev_seq, seq, at) = (entry.term, entry.prev_seq, entry.seq, entry.at);
                let record = Record { term, prev_seq, seq, at, bytes: entry.record.to_vec() };
                Entry::Record { batch: id, account: entry.account.to_owned(), record }
            }
        };
        if !take(item) {
            return false;
        }
    }
    let rest = batch.unreadable.or(batch.blemish);
    rest.is_none_or(|what| take(Entry::Damaged(Damage::new(what, batch::place(id)))))
}

/// Reads everything there is and checks it against its checksums and against each other.
///
/// # Errors
/// As [`dump`]; damage is no error but in the report.
pub fn verify(dir: &Path) -> Result<Report, OpenError> {
    let (_lock, damage) = look_over(dir)?;
    if let Some(damage) = damage {
        let structure = vec![format!("{}: {damage}", wal::path_of(&dir.join(db::FILE)).display())];
        return Ok(Report { structure, ..Report::default() });
    }
    let (conn, path, kind) = db::open_closed(dir)?;
    let structure = match kind {
        Kind::Ours => structure::faults(&conn, Depth::Full),
        // The next start brings its tables up to date.
        Kind::Former | Kind::Empty => structure::pages(&conn, Depth::Full),
    };
    let structure = match structure {
        Err(error) if corrupt(&error) => vec![error.to_string()],
        outcome => outcome.map_err(OpenError::sqlite("check", &path))?,
    };
    if !structure.is_empty() {
        return Ok(Report { structure, ..Report::default() });
    }
    let mut report = contents(&conn).map_err(OpenError::sqlite("read", &path))?;
    verify_history(dir, &mut report).map_err(OpenError::sqlite("read", &dir.join(history::FILE)))?;
    Ok(report)
}

/// Damage to the history refuses no start, and so is a fault like those of the contents.
fn verify_history(dir: &Path, report: &mut Report) -> rusqlite::Result<()> {
    let fault = |damage| Fault { damage, harm: Harm::History };
    match history::verify(dir) {
        Ok(None) => Ok(()),
        Ok(Some(found)) => {
            let history::Found { records, states, lost, damage } = found;
            report.history = Some(HistoryReport { records, states, lost });
            report.faults.extend(damage.into_iter().map(fault));
            Ok(())
        }
        Err(error) if corrupt(&error) => {
            report.faults.push(fault(Damage::new(format!("SQLite says: {error}"), history::FILE)));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Hands what is known of the past of an account, or of each in the order of their names, to `take`, until it returns
/// false.
///
/// # Errors
/// As [`dump`].
pub fn history(
    dir: &Path,
    account: Option<&str>,
    span: Span,
    take: &mut dyn FnMut(&str, Past) -> bool,
) -> Result<(), OpenError> {
    let (_lock, damage) = look_over(dir)?;
    if let Some(damage) = damage {
        return Err(OpenError::Damaged { path: wal::path_of(&dir.join(db::FILE)), damage });
    }
    let (conn, path, _) = db::open_closed(dir)?;
    let scan = scan::scan(&conn).map_err(OpenError::sqlite("read the journal of", &path))?;
    let mut heads = scan.index.heads();
    heads.sort_by(|one, other| one.account.cmp(&other.account));
    heads.retain(|head| account.is_none_or(|account| *head.account == *account));
    for head in heads {
        let (kept, journal) = history::connections(dir)?;
        for past in history::Walk::new(kept, journal, &head.account, span, head.seq) {
            if !take(&head.account, past?) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Takes the lock and judges the WAL as a start would, without cutting anything off it.
fn look_over(dir: &Path) -> Result<(DirLock, Option<Damage>), OpenError> {
    let lock = DirLock::take(dir)?;
    let path = wal::path_of(&dir.join(db::FILE));
    let reach = Reach::of(lock.run()?.as_ref(), &meta::boot());
    let wal = wal::read(&path).map_err(OpenError::io("read", &path))?;
    let damage = wal.and_then(|wal| wal.judge(reach).err());
    Ok((lock, damage))
}

fn contents(conn: &Connection) -> rusqlite::Result<Report> {
    let scan = scan::scan(conn)?;
    let (keys, key_faults) = keys::check(conn)?;
    let mut report = Report {
        batches: scan.batches,
        records: scan.records,
        accounts: scan.index.heads().len() as u64,
        keys,
        faults: scan.faults,
        ..Report::default()
    };
    report.faults.extend(key_faults);
    let mut outcome = Ok(());
    snapshot::each(conn, |row| {
        report.snapshots += 1;
        if outcome.is_ok() {
            outcome = verify_pages(conn, &row, &mut report);
        }
    })?;
    outcome.map(|()| report)
}

fn verify_pages(conn: &Connection, row: &snapshot::Row, report: &mut Report) -> rusqlite::Result<()> {
    let place = || format!("the snapshot of {}", row.account);
    let harm = || Harm::Account(row.account.clone());
    let pages = snapshot::pages(conn, &row.account, row.standing.generation)?;
    report.pages += pages.len() as u64;
    // A header that fails its checksum is among the scan's faults already.
    if row.sound && Totals::of(&pages) != row.totals {
        let damage = Damage::new("it does not have the pages it was written with", place());
        report.faults.push(Fault { damage, harm: harm() });
    }
    for page in &pages {
        if snapshot::page(conn, &row.account, page)?.is_none() {
            let what = format!("page {}/{} fails its checksum", page.id.kind, page.id.number);
            report.faults.push(Fault { damage: Damage::new(what, place()), harm: harm() });
        }
    }
    Ok(())
}
