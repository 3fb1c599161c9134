//! D8: `ringfence.db` with its WAL stays within twice the live state and the slack, whatever is written and taken away.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

#[path = "support/given.rs"]
mod given;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use given::{Dir, id, write};
use proptest::prelude::*;
use ringfence_store::{Config, Durability, HistoryLimits, Opened, PageId, Write, journal};

/// 32 times less than usual, so that what usually takes gigabytes is seen after some 100 MB.
const SLACK: u64 = 4 << 20;

/// A store used as an engine does: snapshots as the tail grows, and a trim after each commit.
struct Life {
    dir: Dir,
    opened: Opened,
    /// Bytes of each account's pages.
    live: BTreeMap<String, BTreeMap<u32, u64>>,
    heads: BTreeMap<String, u64>,
    written: u64,
}

impl Life {
    fn new(history: Option<HistoryLimits>) -> Self {
        let dir = Dir::new();
        let config = Config { history, slack_bytes: SLACK, ..Config::new(dir.path(), Durability::Os, 1) };
        let opened = ringfence_store::open(&config).unwrap();
        Self { dir, opened, live: BTreeMap::new(), heads: BTreeMap::new(), written: 0 }
    }

    fn commit(&mut self, account: &str, len: usize) {
        let seq = self.heads.entry(account.to_owned()).or_insert(0);
        *seq += 1;
        let record = Write { record: vec![*seq as u8; len], ..write(account, *seq) };
        self.opened.store.commit(&[record]).unwrap();
        self.written += len as u64;
        self.opened.store.trim().unwrap();
        if self.opened.store.tail_bytes() > SLACK / 4 {
            for account in self.opened.store.snapshot_candidates(4) {
                self.snapshot(&account, &[], &[]);
            }
        }
        self.check();
    }

    fn snapshot(&mut self, account: &str, pages: &[(u32, usize)], dropped: &[u32]) {
        let seq = self.heads[account];
        let live = self.live.entry(account.to_owned()).or_default();
        for number in dropped {
            live.remove(number);
        }
        live.extend(pages.iter().map(|(number, len)| (*number, *len as u64)));
        self.written += pages.iter().map(|(_, len)| *len as u64).sum::<u64>();
        let pages: Vec<(PageId, Vec<u8>)> =
            pages.iter().map(|(number, len)| (id(*number), vec![seq as u8; *len])).collect();
        let dropped: Vec<PageId> = dropped.iter().map(|number| id(*number)).collect();
        self.opened.store.snapshot(&Arc::from(account), seq, b"header", &pages, &dropped).unwrap();
    }

    fn live(&self) -> u64 {
        self.live.values().flat_map(BTreeMap::values).sum()
    }

    fn size(&self) -> u64 {
        let len = |name: &str| fs::metadata(self.dir.file(name)).map_or(0, |file| file.len());
        len("ringfence.db") + len("ringfence.db-wal")
    }

    fn check(&self) {
        let (size, live) = (self.size(), self.live());
        assert!(
            size <= 2 * live + SLACK,
            "{size} bytes for {live} of live state, after {} written",
            self.written
        );
    }
}

#[test]
fn a_journal_of_many_times_the_bound_leaves_a_small_file() {
    for history in [None, Some(HistoryLimits::default())] {
        let mut life = Life::new(history);
        for round in 0..60 {
            for account in ["acme", "bolt", "cord"] {
                for len in [100, 2_100, 5_000, 300_000, 40] {
                    life.commit(account, len + round);
                }
            }
        }
        assert!(life.written > 10 * SLACK, "{} bytes", life.written);
        drop(life.opened);
        assert!(journal::verify(life.dir.path()).unwrap().is_sound());
    }
}

#[test]
fn a_history_that_cannot_be_written_does_not_make_the_file_grow() {
    let mut life = Life::new(None);
    life.opened.store.close().unwrap();
    fs::create_dir(life.dir.file("history.db")).unwrap();
    let history = Some(HistoryLimits::default());
    let config = Config { history, slack_bytes: SLACK, ..Config::new(life.dir.path(), Durability::Os, 1) };
    life.opened = ringfence_store::open(&config).unwrap();
    for _ in 0..300 {
        life.commit("acme", 100_000);
    }
    assert!(life.opened.store.figures().history_skipped_batches > 200);
}

#[test]
fn a_state_that_shrinks_takes_the_file_with_it() {
    let mut life = Life::new(None);
    let pages: Vec<(u32, usize)> = (0..1_500).map(|number| (number, 16_000)).collect();
    for account in ["acme", "bolt"] {
        life.commit(account, 10);
        life.snapshot(account, &pages, &[]);
        life.check();
    }
    // All of it anew, several times: the old pages are there until the new ones count.
    for _ in 0..3 {
        life.commit("acme", 10);
        life.snapshot("acme", &pages, &[]);
        life.check();
    }
    let before = life.size();
    let dropped: Vec<u32> = (10..1_500).collect();
    for account in ["acme", "bolt"] {
        let seq = life.heads[account];
        life.heads.insert(account.to_owned(), seq);
        life.snapshot(account, &[], &dropped);
    }
    // At most a mebibyte is moved at a time, so it takes some commits; how many is bounded by the size.
    let mut commits = 0;
    while life.size() > 2 * life.live() + SLACK {
        life.heads.entry("acme".to_owned()).and_modify(|seq| *seq += 1);
        let record = Write { record: vec![1; 10], ..write("acme", life.heads["acme"]) };
        life.opened.store.commit(&[record]).unwrap();
        life.opened.store.trim().unwrap();
        commits += 1;
        assert!(commits < 4 * (before >> 20), "after {commits} commits it is still {} bytes", life.size());
    }
    assert!(before > 45 << 20 && life.size() < 8 << 20, "{before} became {}", life.size());
    drop(life.opened);
    assert!(journal::verify(life.dir.path()).unwrap().is_sound());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_and_dropped_the_file_stays_within_its_bound(
        steps in prop::collection::vec(
            (0..3_usize, 1..30_usize, 10..60_000_usize, 0..200_u32, 0..200_u32, prop::bool::weighted(0.3)),
            40..120,
        ),
    ) {
        let accounts = ["acme", "bolt", "cord"];
        let mut life = Life::new(None);
        for (which, commits, len, first, count, drops) in steps {
            let account = accounts[which];
            for _ in 0..commits {
                life.commit(account, len);
            }
            if drops {
                let dropped: Vec<u32> = (first..first + count / 20).collect();
                life.snapshot(account, &[], &dropped);
            } else {
                let pages: Vec<(u32, usize)> = (first..first + count / 4).map(|number| (number, 15_000)).collect();
                life.snapshot(account, &pages, &[]);
            }
            life.commit(account, 20);
        }
    }
}
