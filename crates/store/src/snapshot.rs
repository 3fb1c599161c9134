//! Snapshots: a row with the header per account, and pages in versions.
//!
//! Every snapshot of an account is a generation. A page counts if it is of the header's generation or an older one, in
//! its newest such version. The pages of a new generation are written first, at most 1 MiB in a commit, and nobody
//! sees them; the header's row, written last, makes all of them count at once. What a failed attempt left behind is
//! deleted by the next one, what a finished one has replaced is deleted after it, and either at the next opening.
//!
//! The header's row holds the number of pages and the sum of their checksums, so that a page that is lost, or that
//! fell back to an older version, is noticed.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use crate::image::PageId;
use crate::index::Standing;

/// Most of a snapshot that goes into one commit: what a batch of records behind it has to wait for.
pub(crate) const COMMIT_BYTES_MAX: usize = 1 << 20;

/// A header as it was found.
pub(crate) struct Row {
    pub(crate) account: Arc<str>,
    pub(crate) standing: Standing,
    pub(crate) totals: Totals,
    pub(crate) header: Vec<u8>,
    pub(crate) sound: bool,
}

/// Of the pages that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) pages: u64,
    pub(crate) sum: u64,
}

/// A page that counts: the row it lies in and its checksum.
pub(crate) struct PageRow {
    pub(crate) row: i64,
    pub(crate) id: PageId,
    pub(crate) generation: u64,
    pub(crate) sum: u32,
}

/// A page with its contents.
pub(crate) type Page = (PageId, Vec<u8>);

/// The pages in runs that fit into a commit each. A page larger than that is a run of its own.
pub(crate) fn runs(pages: &[Page]) -> Vec<&[Page]> {
    let mut runs = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, (_, blob)) in pages.iter().enumerate() {
        if index > start && bytes + blob.len() > COMMIT_BYTES_MAX {
            runs.push(&pages[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += blob.len();
    }
    if start < pages.len() {
        runs.push(&pages[start..]);
    }
    runs
}

/// The runs to commit before the header, and the one that goes with it if there is room.
pub(crate) fn split<'r, 'p>(runs: &'r [&'p [Page]], header_bytes: usize) -> (&'r [&'p [Page]], &'p [Page]) {
    match runs.split_last() {
        Some((last, early)) if bytes(last) + header_bytes <= COMMIT_BYTES_MAX => (early, last),
        Some(_) | None => (runs, &[]),
    }
}

pub(crate) fn bytes(pages: &[Page]) -> usize {
    pages.iter().map(|(_, blob)| blob.len()).sum()
}

/// The same page named twice has no version that could be called the newest.
pub(crate) fn named_twice(pages: &[Page]) -> Option<PageId> {
    let mut seen = HashSet::with_capacity(pages.len());
    pages.iter().map(|(id, _)| *id).find(|id| !seen.insert(*id))
}

/// Deletes what an attempt that failed may have left.
pub(crate) fn sweep_unfinished(conn: &Connection, account: &str, valid: u64) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM page WHERE account = ? AND generation > ?")?
        .execute(params![account, valid.cast_signed()])
        .map(drop)
}

/// Deletes all that no header counts, of every account.
pub(crate) fn sweep_all(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute(
        "DELETE FROM page WHERE id IN (
             SELECT p.id FROM page p LEFT JOIN snapshot s ON s.account = p.account
             WHERE s.account IS NULL OR p.generation > s.generation OR EXISTS (
                 SELECT 1 FROM page q WHERE q.account = p.account AND q.kind = p.kind AND q.number = p.number
                 AND q.generation > p.generation AND q.generation <= s.generation))",
        [],
    )
    .map(drop)
}

pub(crate) fn put_pages(
    conn: &Connection,
    account: &str,
    generation: u64,
    pages: &[Page],
) -> rusqlite::Result<()> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO page(account, kind, number, generation, sum, blob) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    for (id, blob) in pages {
        let sum = page_sum(account, *id, generation, blob);
        insert.execute(params![account, id.kind, id.number, generation.cast_signed(), sum, blob])?;
    }
    Ok(())
}

/// Deletes the versions of these pages that are older than `generation`.
pub(crate) fn drop_older(
    conn: &Connection,
    account: &str,
    generation: u64,
    ids: impl Iterator<Item = PageId>,
) -> rusqlite::Result<()> {
    let mut delete = conn.prepare_cached(
        "DELETE FROM page WHERE account = ? AND kind = ? AND number = ? AND generation < ?",
    )?;
    for id in ids {
        delete.execute(params![account, id.kind, id.number, generation.cast_signed()])?;
    }
    Ok(())
}

/// Makes the generation count.
pub(crate) fn put_header(
    conn: &Connection,
    account: &str,
    standing: &Standing,
    header: &[u8],
) -> rusqlite::Result<()> {
    let mut totals = Totals { pages: 0, sum: 0 };
    for page in pages(conn, account, standing.generation)? {
        totals.add(&page);
    }
    conn.prepare_cached(
        "INSERT OR REPLACE INTO snapshot(account, generation, seq, term, at, covered, pages, pages_sum, sum, header)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        account,
        standing.generation.cast_signed(),
        standing.seq.cast_signed(),
        standing.term.cast_signed(),
        standing.at.cast_signed(),
        standing.covered.cast_signed(),
        totals.pages.cast_signed(),
        totals.sum.cast_signed(),
        header_sum(account, standing, totals, header),
        header
    ])
    .map(drop)
}

/// The pages that count for a header of this generation, by id.
pub(crate) fn pages(conn: &Connection, account: &str, generation: u64) -> rusqlite::Result<Vec<PageRow>> {
    // Beside a max() SQLite takes the other columns from the row that has it.
    let mut statement = conn.prepare_cached(
        "SELECT id, kind, number, max(generation), sum FROM page WHERE account = ? AND generation <= ?
         GROUP BY kind, number ORDER BY kind, number",
    )?;
    let rows = statement.query_map(params![account, generation.cast_signed()], |row| {
        Ok(PageRow {
            row: row.get(0)?,
            id: PageId { kind: row.get(1)?, number: row.get(2)? },
            generation: row.get::<_, i64>(3)?.cast_unsigned(),
            sum: row.get(4)?,
        })
    })?;
    rows.collect()
}

/// The contents; `None` if the page is gone or fails its checksum.
pub(crate) fn page(conn: &Connection, account: &str, page: &PageRow) -> rusqlite::Result<Option<Vec<u8>>> {
    let blob = conn
        .prepare_cached("SELECT blob FROM page WHERE id = ?")?
        .query_row([page.row], |row| row.get::<_, Vec<u8>>(0))
        .optional()?;
    Ok(blob.filter(|blob| page_sum(account, page.id, page.generation, blob) == page.sum))
}

pub(crate) fn header(conn: &Connection, account: &str) -> rusqlite::Result<Option<Row>> {
    conn.prepare_cached(&format!("{SELECT} WHERE account = ?"))?.query_row([account], from_row).optional()
}

/// 0 if there is no snapshot.
pub(crate) fn generation(conn: &Connection, account: &str) -> rusqlite::Result<u64> {
    let found = conn
        .prepare_cached("SELECT generation FROM snapshot WHERE account = ?")?
        .query_row([account], |row| row.get::<_, i64>(0))
        .optional()?;
    Ok(found.map_or(0, i64::cast_unsigned))
}

/// Every header there is.
pub(crate) fn each(conn: &Connection, mut take: impl FnMut(Row)) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(SELECT)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(from_row(row)?);
    }
    Ok(())
}

const SELECT: &str =
    "SELECT account, generation, seq, term, at, covered, pages, pages_sum, sum, header FROM snapshot";

fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let number = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let account: Arc<str> = row.get::<_, String>(0)?.into();
    let standing = Standing {
        generation: number(1)?,
        seq: number(2)?,
        term: number(3)?,
        at: number(4)?,
        covered: number(5)?,
    };
    let totals = Totals { pages: number(6)?, sum: number(7)? };
    let header: Vec<u8> = row.get(9)?;
    let sound = row.get::<_, u32>(8)? == header_sum(&account, &standing, totals, &header);
    Ok(Row { account, standing, totals, header, sound })
}

impl Totals {
    pub(crate) fn add(&mut self, page: &PageRow) {
        self.pages += 1;
        self.sum = self.sum.wrapping_add(page.sum.into());
    }

    pub(crate) fn of(pages: &[PageRow]) -> Self {
        let mut totals = Self { pages: 0, sum: 0 };
        pages.iter().for_each(|page| totals.add(page));
        totals
    }
}

fn header_sum(account: &str, standing: &Standing, totals: Totals, header: &[u8]) -> u32 {
    let Standing { generation, seq, term, at, covered } = *standing;
    let mut crc = crc32fast::Hasher::new();
    for number in [account.len() as u64, generation, seq, term, at, covered, totals.pages, totals.sum] {
        crc.update(&number.to_le_bytes());
    }
    crc.update(account.as_bytes());
    crc.update(header);
    crc.finalize()
}

fn page_sum(account: &str, id: PageId, generation: u64, blob: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&(account.len() as u64).to_le_bytes());
    crc.update(account.as_bytes());
    crc.update(&[id.kind]);
    crc.update(&id.number.to_le_bytes());
    crc.update(&generation.to_le_bytes());
    crc.update(blob);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_hold_every_page_once_and_at_most_a_commit() {
        let third = COMMIT_BYTES_MAX / 3;
        let sizes = [third, third, third, third, 2 * COMMIT_BYTES_MAX, 1, 0];
        let page = |(number, size): (u32, &usize)| (PageId { kind: 1, number }, vec![0; *size]);
        let pages: Vec<Page> = (0..).zip(&sizes).map(page).collect();
        let lengths: Vec<usize> = runs(&pages).iter().map(|run| run.len()).collect();
        assert_eq!(lengths, [3, 1, 1, 2]);
        assert!(runs(&[]).is_empty());
    }
}
