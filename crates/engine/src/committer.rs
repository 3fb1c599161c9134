//! The committer: one thread that takes what all actors pushed, makes it durable with one synced commit, and only then
//! lets it out, in order. The next group gathers while this one is being synced.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ringfence_store::{CommitError, Store, TableOp, Verdict, Write};

use crate::actor::Msg;
use crate::counters::add;
use crate::door::{Owner, Taken};
use crate::error::Error;
use crate::gate::{Batch, Push, SnapshotWrite};
use crate::shared::Shared;

/// Between two looks at a disk that is full.
const FULL_DISK_PAUSE: Duration = Duration::from_millis(500);
/// Accounts asked at a time.
const SNAPSHOTS_AT_ONCE: usize = 4;

pub(crate) struct Committer {
    pub shared: Arc<Shared>,
    pub store: Box<dyn Store>,
    /// Where accounts that must be loaded for a snapshot are loaded.
    pub runtime: tokio::runtime::Handle,
    /// What was last told of the history.
    pub history_trouble: Option<Arc<str>>,
}

/// Ends the process without another acknowledgement: what the medium holds is found out by the next start.
fn give_up(why: &str) -> ! {
    tracing::error!(why, "the journal cannot go on; the process ends without acknowledging anything more");
    std::process::exit(1)
}

/// Ends the process when the committer dies in any other way than by returning.
struct DeathWatch {
    returned: bool,
}

impl Drop for DeathWatch {
    fn drop(&mut self) {
        if !self.returned {
            give_up("the committer panicked");
        }
    }
}

impl Committer {
    pub fn run(mut self) {
        let mut watch = DeathWatch { returned: false };
        let mut group: Vec<Push> = Vec::new();
        loop {
            self.shared.gate.take(&mut group);
            if let Some(stopped) = self.commit_and_release(&mut group) {
                if let Err(error) = self.store.close() {
                    give_up(&error.to_string());
                }
                watch.returned = true;
                _ = stopped.send(());
                return;
            }
            self.maintain();
        }
    }

    /// One group: the records of everything in it in one commit, then everything in it out.
    fn commit_and_release(&mut self, group: &mut Vec<Push>) -> Option<tokio::sync::oneshot::Sender<()>> {
        let mut writes: Vec<Write> = Vec::new();
        // Records of each batch, in order.
        let mut counts = Vec::new();
        for push in group.iter_mut() {
            if let Push::Batch(batch) = push {
                let bytes: usize = batch.writes.iter().map(|write| write.record.len()).sum();
                add(&self.shared.meters.journal_bytes, bytes as u64);
                counts.push(batch.writes.len());
                writes.append(&mut batch.writes);
            }
        }
        let mut verdicts = Vec::new();
        if !writes.is_empty() {
            verdicts = self.commit(&writes);
            add(&self.shared.meters.commits, 1);
        }
        let (mut verdicts, mut counts) = (verdicts.into_iter(), counts.into_iter());
        let mut stop = None;
        for push in group.drain(..) {
            match push {
                Push::Batch(batch) => {
                    let mut fenced = false;
                    for _ in 0..counts.next().unwrap_or(0) {
                        match verdicts.next() {
                            Some(Verdict::Committed) => {}
                            Some(Verdict::Fenced) => fenced = true,
                            None => give_up("the store answered fewer verdicts than it was given records"),
                        }
                    }
                    if fenced { self.fenced(*batch) } else { batch.release() }
                }
                Push::Snapshot(snapshot) => self.write_snapshot(*snapshot),
                Push::Ops { ops, done } => {
                    _ = done.send(self.apply_ops(&ops));
                }
                Push::Barrier(done) => _ = done.send(()),
                Push::Stop(done) => stop = Some(done),
            }
        }
        stop
    }

    /// A disk that is full, ballast and all, is waited for: nothing is acknowledged meanwhile, and nothing is lost.
    fn commit(&mut self, writes: &[Write]) -> Vec<Verdict> {
        let mut waited = false;
        loop {
            match self.store.commit(writes) {
                Ok(verdicts) => {
                    if waited {
                        tracing::warn!("the data disk has room again; the journal goes on");
                    }
                    return verdicts;
                }
                Err(CommitError::Full) => {
                    if !std::mem::replace(&mut waited, true) {
                        tracing::error!(
                            "the data disk is full and the ballast is used up; the journal waits for room"
                        );
                    }
                    std::thread::sleep(FULL_DISK_PAUSE);
                }
                Err(CommitError::Fatal(why)) => give_up(&why),
            }
        }
    }

    /// Changes of tables that come without a record: a full disk refuses them, nothing of them was applied.
    fn apply_ops(&mut self, ops: &[TableOp]) -> Result<(), Error> {
        match self.store.apply_ops(ops) {
            Ok(()) => Ok(()),
            Err(CommitError::Full) => {
                let free_bytes = self.shared.meters.free_bytes.load(Ordering::Relaxed);
                Err(Error::DiskFull { free_bytes })
            }
            Err(CommitError::Fatal(why)) => give_up(&why),
        }
    }

    /// Somebody else owns the account: its actor stops, and whoever waits is told.
    fn fenced(&self, batch: Batch) {
        let actor = batch.cell.door.owner();
        batch.cell.door.close(|_| true, || Owner::Moved);
        if let Some(actor) = actor {
            actor.stop(None);
        }
        let mut back = Taken::default();
        for mut answered in batch.answers {
            answered.answer = Err(Error::Moved);
            answered.tell(&mut back);
        }
        batch.cell.door.give_back(back);
    }

    fn write_snapshot(&mut self, snapshot: SnapshotWrite) {
        let SnapshotWrite { cell, seq, header, pages, dropped } = snapshot;
        match self.store.snapshot(&cell.name, seq, &header, &pages, &dropped) {
            Ok(()) => add(&self.shared.meters.snapshots, 1),
            // The older snapshot and the journal after it still stand; the pages are written again with the next one.
            Err(CommitError::Full) => {
                tracing::warn!(account = %cell.id, "no room for a snapshot; the journal grows until there is");
                let keys = pages.iter().map(|(id, _)| *id).chain(dropped).collect();
                cell.door.leave(Msg::SnapshotFailed { pages: keys });
            }
            Err(CommitError::Fatal(why)) => give_up(&why),
        }
        cell.snapshotting.store(false, Ordering::Release);
    }

    fn watch_history(&mut self) {
        let figures = self.store.figures();
        let meters = &self.shared.meters;
        meters.history_behind_bytes.store(figures.history_behind_bytes, Ordering::Relaxed);
        meters.history_skipped.store(figures.history_skipped_batches, Ordering::Relaxed);
        if figures.history_trouble != self.history_trouble {
            match &figures.history_trouble {
                Some(why) => {
                    tracing::warn!(%why, "the history cannot be written; what is trimmed meanwhile is a gap")
                }
                None => tracing::info!("the history is written again"),
            }
            self.history_trouble = figures.history_trouble;
        }
    }

    /// Keeps the journal short: snapshots where it is long, then trims, a little after each commit.
    fn maintain(&mut self) {
        let tail = self.store.tail_bytes();
        self.shared.meters.journal_tail_bytes.store(tail, Ordering::Relaxed);
        match self.store.trim() {
            // Bytes that are left over from a trim go with later commits, a little each time.
            Ok(_) | Err(CommitError::Full) => {}
            Err(CommitError::Fatal(why)) => give_up(&why),
        }
        self.watch_history();
        let mut due = self.store.day_candidates(SNAPSHOTS_AT_ONCE);
        if tail >= self.shared.options.tail_bytes {
            due.extend(self.store.snapshot_candidates(SNAPSHOTS_AT_ONCE));
        }
        for account in due {
            let Ok(id) = ringfence_core::AccountId::parse(&account) else { continue };
            let cell = self.shared.cell(&id);
            if cell.snapshotting.swap(true, Ordering::AcqRel) {
                continue;
            }
            let shared = Arc::clone(&self.shared);
            self.runtime.spawn(async move {
                let asked = match crate::load::ready(&shared, &cell).await {
                    Ok(()) => cell.door.leave(Msg::Snapshot),
                    Err(_) => false,
                };
                if !asked {
                    cell.snapshotting.store(false, Ordering::Release);
                }
            });
        }
    }
}
