//! The store over SQLite: the writing half.

use std::sync::{Arc, Mutex};

use rusqlite::params;

use crate::batch;
use crate::checkpoint::{self, COMMIT_BYTES};
use crate::db::{Db, PAGE_BYTES};
use crate::error::CommitError;
use crate::history::Keeper;
use crate::image::PageId;
use crate::index::{self, Index, Standing};
use crate::keys;
use crate::lock::DirLock;
use crate::meta::Meta;
use crate::snapshot::{self, Page};
use crate::space::{self, Shares};
use crate::store::{Figures, Store};
use crate::trim::{Gaps, TRIM_BATCHES_MAX, TRIM_BYTES_MAX, TRIMS_MAX};
use crate::write::{TableOp, Verdict, Write};

pub(crate) struct SqliteStore {
    pub(crate) db: Db,
    pub(crate) index: Arc<Mutex<Index>>,
    pub(crate) gaps: Gaps,
    pub(crate) next_id: u64,
    pub(crate) last_crc: u32,
    /// Kept for its allocation.
    pub(crate) blob: Vec<u8>,
    pub(crate) meta: Meta,
    pub(crate) shares: Shares,
    pub(crate) history: Option<Keeper>,
    /// Written since the history was woken.
    pub(crate) unfed: u64,
    /// Trimmed without having been in the history.
    pub(crate) skipped: u64,
    /// Written or trimmed since the last look at the file's size.
    pub(crate) unseen: u64,
    /// Let go of last, when nothing of ours can write any more.
    pub(crate) _lock: DirLock,
}

impl Store for SqliteStore {
    fn commit(&mut self, batch: &[Write]) -> Result<Vec<Verdict>, CommitError> {
        self.db.death.check()?;
        let verdicts = index::lock(&self.index).judge(batch);
        let committed = |(write, verdict): (_, &Verdict)| match verdict {
            Verdict::Committed => Some(write),
            Verdict::Fenced => None,
        };
        let writes: Vec<&Write> = batch.iter().zip(&verdicts).filter_map(committed).collect();
        if writes.is_empty() {
            return Ok(verdicts);
        }
        let crc = batch::encode(&mut self.blob, self.next_id, self.last_crc, &writes)
            .map_err(|why| self.db.death.die(why))?;
        let (id, blob) = (self.next_id, &self.blob);
        self.db.write(blob.len() as u64, |conn| {
            conn.prepare_cached("INSERT INTO batch(id, blob) VALUES (?, ?)")?
                .execute(params![id.cast_signed(), blob])?;
            writes.iter().flat_map(|write| &write.ops).try_for_each(|op| keys::apply(conn, op))
        })?;
        index::lock(&self.index).committed(id, crc, blob.len() as u64, &writes);
        (self.next_id, self.last_crc) = (id + 1, crc);
        self.unfed = self.unfed.saturating_add(self.blob.len() as u64);
        self.feed_history();
        Ok(verdicts)
    }

    fn apply_ops(&mut self, ops: &[TableOp]) -> Result<(), CommitError> {
        self.db.death.check()?;
        if ops.is_empty() {
            return Ok(());
        }
        self.db.write(0, |conn| ops.iter().try_for_each(|op| keys::apply(conn, op)))
    }

    fn snapshot(
        &mut self,
        account: &Arc<str>,
        seq: u64,
        header: &[u8],
        pages: &[(PageId, Vec<u8>)],
        dropped: &[PageId],
    ) -> Result<(), CommitError> {
        self.db.death.check()?;
        if let Some(id) = snapshot::named_twice(pages) {
            return Err(self.db.death.die(format!("a snapshot names the page {id:?} twice: a bug")));
        }
        let former = index::lock(&self.index).standing(account, seq, self.next_id - 1);
        let former = former.map_err(|why| self.db.death.die(why))?;
        let standing = Standing { generation: former.generation + 1, ..former };
        let runs = snapshot::runs(pages);
        let (early, last) = snapshot::split(&runs, header.len());
        self.put_early(account, &standing, early)?;
        self.put_last(account, &standing, header, last, dropped, early.is_empty())?;
        index::lock(&self.index).covered(account, &standing);
        self.unseen += (header.len() + snapshot::bytes(pages)) as u64 + COMMIT_BYTES;
        self.drop_superseded(account, &standing, early, last)
    }

    fn trim(&mut self) -> Result<bool, CommitError> {
        self.db.death.check()?;
        self.feed_history();
        let rounds = 1 + index::lock(&self.index).free_bytes() / self.shares.lag.max(1);
        let mut more = false;
        for _ in 0..rounds.min(TRIMS_MAX) {
            more = self.trim_some()?;
            if !more {
                break;
            }
        }
        self.give_back()?;
        Ok(more)
    }

    fn tail_bytes(&self) -> u64 {
        index::lock(&self.index).tail_bytes()
    }

    fn snapshot_candidates(&self, most: usize) -> Vec<Arc<str>> {
        index::lock(&self.index).oldest(most)
    }

    fn day_candidates(&mut self, most: usize) -> Vec<Arc<str>> {
        index::lock(&self.index).day_begun(most)
    }

    fn figures(&self) -> Figures {
        let Some(history) = &self.history else { return Figures::default() };
        Figures {
            history_behind_bytes: index::lock(&self.index).beyond_bytes(),
            history_skipped_batches: self.skipped,
            history_trouble: history.trouble(),
        }
    }

    fn close(mut self: Box<Self>) -> Result<(), CommitError> {
        self.db.death.check()?;
        self.history = None;
        self.db.checkpoints.stop();
        // The mark must not reach the disk before what it vouches for: one sync covers all that the WAL holds.
        let synced = self.db.conn.pragma_update(None, "synchronous", "FULL");
        synced.map_err(|error| self.db.die("close", &error))?;
        let meta = Meta { clean: true, ..self.meta.clone() };
        self.db.write(0, |conn| meta.write(conn))?;
        checkpoint::truncate(&self.db.conn).map_err(|error| self.db.die("carry the WAL over into", &error))
    }
}

/// What keeps the journal short and the file small.
impl SqliteStore {
    /// Sees how far the history has come, and wakes it if there is enough for it.
    fn feed_history(&mut self) {
        let Some(history) = &self.history else { return };
        let mut index = index::lock(&self.index);
        index.kept_through(history.kept());
        // Not for each commit: where it fails it would fail at each.
        if index.beyond_bytes() >= self.shares.chunk && self.unfed >= self.shares.chunk {
            history.wake(self.next_id - 1);
            self.unfed = 0;
        }
    }

    /// One commit's worth; true if more could go.
    fn trim_some(&mut self) -> Result<bool, CommitError> {
        let mut index = index::lock(&self.index);
        let over = index.beyond_bytes().saturating_sub(self.shares.behind);
        let (bytes, through) = match &self.history {
            Some(history) if over == 0 => (TRIM_BYTES_MAX, history.kept()),
            // What it has not copied goes only as far as it is too much.
            Some(_) => (TRIM_BYTES_MAX.min(over), u64::MAX),
            None => (TRIM_BYTES_MAX, u64::MAX),
        };
        let batches = index.trimmable(bytes, TRIM_BATCHES_MAX, through);
        if batches.is_empty() {
            return Ok(false);
        }
        drop(index);
        let merges = self.gaps.plan(&batches);
        // Deleting writes the leaves it empties and the list of free pages, not the contents.
        self.db.write(0, |conn| merges.iter().try_for_each(|merge| merge.write(conn)))?;
        self.gaps.apply(&merges);
        index = index::lock(&self.index);
        if let Some(history) = &self.history {
            let kept = history.kept();
            self.skipped += batches.iter().filter(|(id, _)| *id > kept).count() as u64;
        }
        let before = index.batch_bytes();
        let more = index.trimmed(&batches, through);
        self.unseen += before - index.batch_bytes();
        Ok(more)
    }

    /// Gives a little of the space back that nothing is in, if there is more of it than may stay.
    fn give_back(&mut self) -> Result<(), CommitError> {
        if self.unseen < self.shares.look {
            return Ok(());
        }
        let journal = index::lock(&self.index).batch_bytes();
        let excess = space::excess(&self.db.conn, journal, self.shares.free);
        match excess.map_err(|error| self.db.die("look at the size of", &error))? {
            0 => self.unseen = 0,
            pages => match self.db.write(pages * PAGE_BYTES, |conn| space::give_back(conn, pages)) {
                // The next trim goes on.
                Ok(()) => {}
                // What is to give space back may take some of the WAL's first.
                Err(CommitError::Full) => self.unseen = 0,
                Err(fatal @ CommitError::Fatal(_)) => return Err(fatal),
            },
        }
        Ok(())
    }
}

/// The steps of a snapshot.
impl SqliteStore {
    /// The commits before the one that counts.
    fn put_early(
        &mut self,
        account: &str,
        standing: &Standing,
        early: &[&[Page]],
    ) -> Result<(), CommitError> {
        let generation = standing.generation;
        for (index, run) in early.iter().enumerate() {
            self.db.write(snapshot::bytes(run) as u64, |conn| {
                if index == 0 {
                    snapshot::sweep_unfinished(conn, account, generation - 1)?;
                }
                snapshot::put_pages(conn, account, generation, run)
            })?;
        }
        Ok(())
    }

    /// The commit that makes the snapshot valid. If it is the only one it also deletes what it replaces.
    fn put_last(
        &mut self,
        account: &str,
        standing: &Standing,
        header: &[u8],
        last: &[Page],
        dropped: &[PageId],
        only: bool,
    ) -> Result<(), CommitError> {
        let generation = standing.generation;
        self.db.write((header.len() + snapshot::bytes(last)) as u64, |conn| {
            if only {
                snapshot::sweep_unfinished(conn, account, generation - 1)?;
                snapshot::drop_older(conn, account, generation, last.iter().map(|(id, _)| *id))?;
            }
            snapshot::put_pages(conn, account, generation, last)?;
            snapshot::drop_older(conn, account, generation, dropped.iter().copied())?;
            snapshot::put_header(conn, account, standing, header)
        })
    }

    /// After a snapshot of several commits. The next opening does what a full disk keeps from being done here.
    fn drop_superseded(
        &mut self,
        account: &str,
        standing: &Standing,
        early: &[&[Page]],
        last: &[Page],
    ) -> Result<(), CommitError> {
        if early.is_empty() {
            return Ok(());
        }
        for run in early.iter().chain([&last]) {
            let ids = || run.iter().map(|(id, _)| *id);
            let outcome =
                self.db.write(0, |conn| snapshot::drop_older(conn, account, standing.generation, ids()));
            match outcome {
                Ok(()) => {}
                Err(CommitError::Full) => return Ok(()),
                Err(fatal @ CommitError::Fatal(_)) => return Err(fatal),
            }
        }
        Ok(())
    }
}

/// Readers that outlive the store must not read a directory that may be somebody else's by now.
impl Drop for SqliteStore {
    fn drop(&mut self) {
        index::lock(&self.index).close();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::opening::{Found, start};
    use crate::store::{Config, Durability, Reader};

    fn write(seq: u64, bytes: usize) -> Write {
        let account = Arc::from("acme");
        Write { account, term: 1, prev_seq: seq - 1, seq, at: seq, record: vec![7; bytes], ops: Vec::new() }
    }

    fn fresh(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("ringfence-store-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    /// SQLite reports its own limit on the file's size as it reports a full disk.
    fn limit(store: &SqliteStore, pages: i64) {
        let sql = format!("PRAGMA max_page_count = {pages}");
        store.db.conn.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap();
    }

    #[test]
    fn a_full_disk_costs_the_ballast_applies_nothing_and_is_outlived() {
        let dir = fresh("full");
        let (mut store, found) = start(&Config::new(&dir, Durability::Sync, 1)).unwrap();
        store.commit(&[write(1, 10)]).unwrap();
        assert!(dir.join("ballast").exists(), "this test needs 256 MiB free: {:?}", found.warnings);

        limit(&store, 1);
        assert_eq!(store.commit(&[write(2, 100_000)]), Err(CommitError::Full));
        assert!(!dir.join("ballast").exists());
        let page = [(PageId { kind: 0, number: 0 }, vec![1; 100_000])];
        assert_eq!(store.snapshot(&Arc::from("acme"), 1, b"h", &page, &[]), Err(CommitError::Full));
        let image = found.reader.load("acme").unwrap().unwrap();
        assert_eq!((image.header, image.tail.len()), (None, 1));

        limit(&store, 1 << 20);
        assert_eq!(store.commit(&[write(2, 100_000)]), Ok(vec![Verdict::Committed]));
        store.snapshot(&Arc::from("acme"), 2, b"h", &page, &[]).unwrap();
        let image = found.reader.load("acme").unwrap().unwrap();
        assert_eq!((image.header, image.pages.len()), (Some((2, b"h".to_vec())), 1));
        Box::new(store).close().unwrap();
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_snapshot_that_stopped_halfway_is_as_if_never_begun() {
        let dir = fresh("halfway");
        let config = Config::new(&dir, Durability::Os, 1);
        let (mut store, _) = start(&config).unwrap();
        let account: Arc<str> = Arc::from("acme");
        store.commit(&[write(1, 10)]).unwrap();
        let page = |number, byte| (PageId { kind: 0, number }, vec![byte; 700 << 10]);
        store.snapshot(&account, 1, b"one", &[page(0, 1), page(1, 1)], &[]).unwrap();

        let standing = index::lock(&store.index).standing(&account, 1, 1).unwrap();
        let next = Standing { generation: standing.generation + 1, ..standing };
        let pages = [page(0, 2), page(2, 2)];
        store.put_early(&account, &next, &snapshot::runs(&pages)).unwrap();
        let firsts = |found: &Found| {
            let image = found.reader.load("acme").unwrap().unwrap();
            (image.header, image.pages.iter().map(|(id, blob)| (id.number, blob[0])).collect::<Vec<_>>())
        };
        drop(store);
        let (mut store, found) = start(&config).unwrap();
        assert_eq!(firsts(&found), (Some((1, b"one".to_vec())), vec![(0, 1), (1, 1)]));

        // Within one process too, what a failed attempt left must not come to count with the next header.
        store.put_early(&account, &next, &snapshot::runs(&pages)).unwrap();
        store.snapshot(&account, 1, b"two", &[page(1, 3)], &[]).unwrap();
        assert_eq!(firsts(&found), (Some((1, b"two".to_vec())), vec![(0, 1), (1, 3)]));
        let next = Standing { generation: next.generation + 1, ..next };
        store.put_early(&account, &next, &snapshot::runs(&pages)).unwrap();
        store.snapshot(&account, 1, b"three", &[], &[]).unwrap();
        assert_eq!(firsts(&found), (Some((1, b"three".to_vec())), vec![(0, 1), (1, 3)]));
        drop(store);
        fs::remove_dir_all(dir).unwrap();
    }
}
