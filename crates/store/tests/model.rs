//! Whatever is done to both, in whatever order and across restarts of either kind, the SQLite store shows what its
//! in-memory twin shows.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

#[path = "support/given.rs"]
mod given;

use std::sync::Arc;

use given::Dir;
use proptest::prelude::*;
use ringfence_store::{Opened, PageId, Verdict, Write, journal};

const ACCOUNTS: [&str; 3] = ["acme", "bolt", "cord"];

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Draft>),
    Snapshot { account: usize, back: u64, pages: Vec<(u32, u8, usize)>, dropped: Vec<u32> },
    Trim,
    Reopen { clean: bool },
}

/// A write to be, as seen from the head its account has by then.
#[derive(Debug, Clone)]
struct Draft {
    account: usize,
    /// Mostly 0; otherwise it does not follow the head.
    off: u64,
    term: u64,
    len: usize,
}

fn draft() -> impl Strategy<Value = Draft> {
    let off = prop_oneof![9 => Just(0_u64), 1 => 1..3_u64];
    let term = prop_oneof![9 => Just(5_u64), 1 => 4..7_u64];
    let len = prop_oneof![9 => 0..200_usize, 1 => Just(300_000_usize)];
    (0..ACCOUNTS.len(), off, term, len).prop_map(|(account, off, term, len)| Draft {
        account,
        off,
        term,
        len,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![8 => 1..300_usize, 1 => Just(600_000_usize)];
    let pages = prop::collection::btree_map(0..6_u32, (any::<u8>(), size), 0..5);
    let snapshot = (0..ACCOUNTS.len(), 0..3_u64, pages, prop::collection::vec(0..6_u32, 0..3));
    prop_oneof![
        6 => prop::collection::vec(draft(), 1..6).prop_map(Step::Commit),
        3 => snapshot.prop_map(|(account, back, pages, dropped)| {
            let pages = pages.into_iter().map(|(number, (byte, size))| (number, byte, size)).collect();
            Step::Snapshot { account, back, pages, dropped }
        }),
        2 => Just(Step::Trim),
        1 => any::<bool>().prop_map(|clean| Step::Reopen { clean }),
    ]
}

struct Pair {
    dir: Dir,
    /// `None` only while it is being reopened.
    sqlite: Option<Opened>,
    twin: Opened,
}

impl Pair {
    fn head(&self, account: &str) -> (u64, u64) {
        let from =
            self.twin.reader.load(account).unwrap().and_then(|image| image.header).map_or(0, |(seq, _)| seq);
        let heads = self.twin.reader.accounts().unwrap();
        (from, heads.iter().find(|head| &*head.account == account).map_or(0, |head| head.seq))
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Commit(drafts) => self.commit(drafts),
            Step::Snapshot { account, back, pages, dropped } => {
                let account: Arc<str> = Arc::from(ACCOUNTS[*account]);
                let (from, to) = self.head(&account);
                let seq = to.saturating_sub(*back).max(from);
                let id = |number| PageId { kind: u8::try_from(number % 2).unwrap(), number };
                let pages: Vec<_> =
                    pages.iter().map(|(number, byte, size)| (id(*number), vec![*byte; *size])).collect();
                let dropped: Vec<_> = dropped.iter().map(|number| id(*number)).collect();
                for opened in [self.sqlite.as_mut().unwrap(), &mut self.twin] {
                    opened.store.snapshot(&account, seq, &seq.to_le_bytes(), &pages, &dropped).unwrap();
                }
            }
            Step::Trim => {
                self.sqlite.as_mut().unwrap().store.trim().unwrap();
                self.twin.store.trim().unwrap();
            }
            Step::Reopen { clean } => {
                let before = self.sqlite.take().unwrap();
                let term = before.term;
                if *clean {
                    before.store.close().unwrap();
                } else {
                    drop(before);
                }
                let opened = self.dir.open();
                assert_eq!((opened.clean, opened.warnings.len()), (*clean, 0), "{:?}", opened.warnings);
                assert!(opened.term > term);
                self.sqlite = Some(opened);
            }
        }
    }

    fn commit(&mut self, drafts: &[Draft]) {
        let mut heads = ACCOUNTS.map(|account| self.head(account).1);
        let write = |draft: &Draft| {
            let head = &mut heads[draft.account];
            let prev_seq = *head + draft.off;
            let seq = prev_seq + 1;
            *head += u64::from(draft.off == 0);
            let record = (0..draft.len).map(|index| (index as u64 + seq) as u8).collect();
            let account = Arc::from(ACCOUNTS[draft.account]);
            Write { account, term: draft.term, prev_seq, seq, at: 1000 + seq, record, ops: Vec::new() }
        };
        let batch: Vec<Write> = drafts.iter().map(write).collect();
        let verdicts: Vec<Verdict> = self.twin.store.commit(&batch).unwrap();
        assert_eq!(self.sqlite.as_mut().unwrap().store.commit(&batch).unwrap(), verdicts);
    }

    fn compare(&self) {
        let sqlite = self.sqlite.as_ref().unwrap();
        let heads = |opened: &Opened| {
            let mut heads = opened.reader.accounts().unwrap();
            heads.sort_by(|one, other| one.account.cmp(&other.account));
            heads
        };
        assert_eq!(heads(sqlite), heads(&self.twin));
        for account in ACCOUNTS {
            assert_eq!(sqlite.reader.load(account).unwrap(), self.twin.reader.load(account).unwrap());
        }
        assert_eq!(sqlite.store.tail_bytes(), self.twin.store.tail_bytes());
        let candidates = |opened: &Opened| {
            let mut candidates = opened.store.snapshot_candidates(9);
            candidates.sort();
            candidates
        };
        assert_eq!(candidates(sqlite), candidates(&self.twin));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_shows_what_the_twin_shows(steps in prop::collection::vec(step(), 1..40)) {
        let dir = Dir::new();
        let sqlite = Some(dir.open());
        let mut pair = Pair { dir, sqlite, twin: ringfence_store::open_memory(None, 1).unwrap() };
        for step in &steps {
            pair.run(step);
            pair.compare();
        }
        pair.sqlite = None;
        let report = journal::verify(pair.dir.path()).unwrap();
        prop_assert!(report.is_sound(), "{report:?}");
    }
}
