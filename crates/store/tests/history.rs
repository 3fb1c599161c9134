//! What was trimmed is in the history, what is not there shows as a gap, and nobody ever waits for it.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

#[path = "support/given.rs"]
mod given;

use std::fs;
use std::sync::Arc;

use given::{Dir, id};
use proptest::prelude::*;
use ringfence_store::journal::{self, Harm};
use ringfence_store::{HistoryLimits, Opened, PageId, Past, Reader, Record, Span, Verdict, Write};

const DAY: u64 = 86_400_000;
const LIMITS: HistoryLimits = HistoryLimits { days: 30, bytes: 1 << 30 };
/// Journal that is copied at once, in the settings of these tests.
const CHUNK: u64 = 16 << 10;

/// A record that says whose it is, and pads it with what does not compress away.
fn record(account: &str, seq: u64, len: usize) -> Vec<u8> {
    let mut bytes = format!("{account}:{seq}:").into_bytes();
    let mut noise = seq.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while bytes.len() < len {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        bytes.push(noise as u8);
    }
    bytes
}

fn write_at(account: &str, seq: u64, at: u64, len: usize) -> Write {
    let record = record(account, seq, len);
    Write { account: Arc::from(account), term: 1, prev_seq: seq - 1, seq, at, record, ops: Vec::new() }
}

/// Commits as an engine does: a trim after each, a snapshot of each account every `every` records and at the first of a
/// day.
struct Life {
    opened: Opened,
    every: u64,
}

impl Life {
    fn commit(&mut self, account: &str, seq: u64, at: u64, len: usize) {
        let verdicts = self.opened.store.commit(&[write_at(account, seq, at, len)]).unwrap();
        assert_eq!(verdicts, [Verdict::Committed]);
        if seq.is_multiple_of(self.every) {
            self.snapshot(account, seq);
        }
        for account in self.opened.store.day_candidates(4) {
            let head = self.head(&account);
            self.snapshot(&account, head);
        }
        self.opened.store.trim().unwrap();
    }

    fn head(&self, account: &str) -> u64 {
        let heads = self.opened.reader.accounts().unwrap();
        heads.iter().find(|head| &*head.account == account).map_or(0, |head| head.seq)
    }

    fn snapshot(&mut self, account: &str, seq: u64) {
        let pages: Vec<(PageId, Vec<u8>)> =
            (0..3).map(|number| (id(number), record(account, seq, 700 + number as usize))).collect();
        self.opened.store.snapshot(&Arc::from(account), seq, &seq.to_le_bytes(), &pages, &[]).unwrap();
    }

    /// Waits until the history has all but the last few records.
    fn settle(&mut self) {
        while self.opened.store.figures().history_behind_bytes > CHUNK {
            self.opened.store.trim().unwrap();
            std::thread::yield_now();
        }
    }

    /// Waits until the state that this day of acme's begins with is in the history; the first day needs none.
    fn settle_copied(&self, dir: &Dir, day: u64) {
        let sql = rusqlite::Connection::open(dir.file("history.db")).unwrap();
        let mut newest =
            sql.prepare("SELECT max(last_at) FROM piece WHERE account = 'acme' AND kind = 1").unwrap();
        while day > 0
            && newest
                .query_row([], |row| row.get::<_, Option<i64>>(0))
                .unwrap()
                .is_none_or(|at| (at as u64) < day * DAY)
        {
            std::thread::yield_now();
        }
    }

    fn past(&self, account: &str, span: Span) -> Vec<Past> {
        past(&self.opened.reader, account, span)
    }
}

fn past(reader: &Arc<dyn Reader>, account: &str, span: Span) -> Vec<Past> {
    reader.history(account, span).unwrap().map(Result::unwrap).collect()
}

/// The seqs of records, and gaps as (after, before); every record must be the one that was written.
fn told(account: &str, past: &[Past]) -> (Vec<u64>, Vec<(u64, u64)>) {
    let (mut seqs, mut gaps) = (Vec::new(), Vec::new());
    for item in past {
        match item {
            Past::Record(Record { prev_seq, seq, bytes, .. }) => {
                assert_eq!(*prev_seq, seq - 1);
                assert_eq!(*bytes, record(account, *seq, bytes.len()), "{account}:{seq}");
                seqs.push(*seq);
            }
            Past::Gap { after, before } => gaps.push((*after, *before)),
            Past::Damaged(damage) => panic!("{damage}"),
        }
    }
    (seqs, gaps)
}

fn whole(account: &str, past: &[Past], to: u64) {
    assert_eq!(told(account, past), ((1..=to).collect(), vec![]));
}

#[test]
fn what_was_trimmed_is_read_back_in_order_and_once() {
    let dir = Dir::new();
    let mut life = Life { opened: dir.open_with_history(LIMITS), every: 20 };
    for seq in 1..=400 {
        for account in ["acme", "bolt"] {
            life.commit(account, seq, 1_000 + seq, 300);
        }
    }
    life.settle();
    while life.opened.store.trim().unwrap() {}
    assert!(dir.count("batch") < 200, "{} batches are left", dir.count("batch"));
    for account in ["acme", "bolt"] {
        whole(account, &life.past(account, Span::ALL), 400);
    }
    assert_eq!(life.past("nobody", Span::ALL), []);
    assert_eq!(life.opened.store.figures().history_skipped_batches, 0);
    drop(life);

    let mut offline = Vec::new();
    journal::history(dir.path(), Some("bolt"), Span::ALL, &mut |account, past| {
        assert_eq!(account, "bolt");
        offline.push(past);
        true
    })
    .unwrap();
    whole("bolt", &offline, 400);
    let report = journal::verify(dir.path()).unwrap();
    assert!(report.is_sound(), "{report:?}");
    let found = report.history.unwrap();
    assert!(found.records >= 600 && found.states >= 2 && found.lost.is_empty(), "{found:?}");

    // And it goes on where it was.
    let mut life = Life { opened: dir.open_with_history(LIMITS), every: 20 };
    assert_eq!(life.opened.warnings, [] as [&str; 0]);
    for seq in 401..=600 {
        life.commit("acme", seq, 1_000 + seq, 300);
    }
    life.settle();
    whole("acme", &life.past("acme", Span::ALL), 600);
    assert!(journal::verify(dir.path()).is_err(), "in use");
    drop(life);
    assert_eq!(journal::verify(dir.path()).unwrap().history.unwrap().lost, []);
}

#[test]
fn a_span_cuts_out_what_it_names() {
    let dir = Dir::new();
    let mut life = Life { opened: dir.open_with_history(LIMITS), every: 10 };
    for seq in 1..=300 {
        life.commit("acme", seq, seq * 10, 200);
    }
    life.settle();
    let cut = |span| {
        let (seqs, gaps) = told("acme", &life.past("acme", span));
        assert_eq!(gaps, []);
        (seqs.first().copied(), seqs.last().copied(), seqs.len())
    };
    assert_eq!(cut(Span { first_seq: 100, last_seq: 150, ..Span::ALL }), (Some(100), Some(150), 51));
    assert_eq!(cut(Span { first_at: 1_005, last_at: 2_000, ..Span::ALL }), (Some(101), Some(200), 100));
    assert_eq!(cut(Span { first_at: 2_950, ..Span::ALL }), (Some(295), Some(300), 6));
    assert_eq!(cut(Span { first_seq: 299, last_at: 2_990, ..Span::ALL }), (Some(299), Some(299), 1));
    assert_eq!(cut(Span { last_seq: 1, ..Span::ALL }), (Some(1), Some(1), 1));
    assert_eq!(cut(Span { first_seq: 301, ..Span::ALL }), (None, None, 0));
}

#[test]
fn each_day_begins_with_a_full_state() {
    let dir = Dir::new();
    let mut life = Life { opened: dir.open_with_history(LIMITS), every: 1_000 };
    let mut seq = 0;
    for day in 0..5 {
        for minute in 0..100 {
            seq += 1;
            life.commit("acme", seq, day * DAY + minute * 60_000, 400);
        }
        life.settle_copied(&dir, day);
    }
    for day in 1..5_u64 {
        let (first, last) = (day * 100 + 1, day * 100 + 100);
        let state = life.opened.reader.state("acme", last).unwrap().unwrap();
        assert_eq!((state.seq, state.at), (first, day * DAY), "day {day}");
        assert_eq!(state.header, first.to_le_bytes());
        let expected: Vec<_> = (0..3).map(|n| (id(n), record("acme", first, 700 + n as usize))).collect();
        assert_eq!(state.pages, expected);
        let from_there = life.past("acme", Span { first_seq: state.seq + 1, last_seq: last, ..Span::ALL });
        assert_eq!(told("acme", &from_there), ((first + 1..=last).collect(), vec![]));
        let before = life.opened.reader.state("acme", first - 1).unwrap();
        assert_eq!(before.map(|state| state.seq), (day > 1).then(|| first - 100));
    }
    assert_eq!(life.opened.reader.state("nobody", 9).unwrap(), None);
}

#[test]
fn a_history_that_cannot_be_written_is_not_waited_for_and_the_gap_is_told() {
    let dir = Dir::new();
    let mut life = Life { opened: dir.open_with_history(LIMITS), every: 10 };
    for seq in 1..=200 {
        life.commit("acme", seq, seq, 500);
    }
    life.settle();
    drop(life);
    let kept = fs::read(dir.file("history.db")).unwrap();
    let wal = fs::read(dir.file("history.db-wal")).unwrap();
    for name in ["history.db", "history.db-wal", "history.db-shm"] {
        let _ = fs::remove_file(dir.file(name));
    }
    fs::create_dir(dir.file("history.db")).unwrap();

    let mut life = Life { opened: dir.open_with_history(LIMITS), every: 10 };
    assert!(life.opened.warnings[0].contains("history.db"), "{:?}", life.opened.warnings);
    for seq in 201..=2_000 {
        life.commit("acme", seq, seq, 500);
    }
    let figures = life.opened.store.figures();
    assert!(figures.history_skipped_batches > 500, "{figures:?}");
    assert!(figures.history_trouble.unwrap().contains("cannot open"));
    assert!(dir.count("batch") < 700, "{} batches wait for the history", dir.count("batch"));
    assert_eq!(seen_seq(&life), 2_000);

    fs::remove_dir(dir.file("history.db")).unwrap();
    fs::write(dir.file("history.db"), &kept).unwrap();
    fs::write(dir.file("history.db-wal"), &wal).unwrap();
    for seq in 2_001..=2_300 {
        life.commit("acme", seq, seq, 500);
    }
    life.settle();
    assert_eq!(life.opened.store.figures().history_trouble, None, "it is well again without a restart");
    let (seqs, gaps) = told("acme", &life.past("acme", Span::ALL));
    let [(after, before)] = gaps.as_slice() else { panic!("{gaps:?}") };
    assert!((150..=200).contains(after) && (1_000..2_000).contains(before), "{gaps:?}");
    assert_eq!(seqs, (1..=*after).chain(*before..=2_300).collect::<Vec<_>>());
    drop(life);
    let lost = journal::verify(dir.path()).unwrap().history.unwrap().lost;
    let [lost] = lost.as_slice() else { panic!("{lost:?}") };
    assert!(lost.why.contains("cannot open"), "{lost:?}");
    assert_eq!((lost.after_at, lost.before_at), (*after, *before));
}

fn seen_seq(life: &Life) -> u64 {
    let image = life.opened.reader.load("acme").unwrap().unwrap();
    image.tail.last().map_or(image.header.unwrap().0, |record| record.seq)
}

#[test]
fn what_is_older_than_the_limit_goes_and_the_rest_begins_with_a_state() {
    let dir = Dir::new();
    let limits = HistoryLimits { days: 3, ..LIMITS };
    let mut life = Life { opened: dir.open_with_history(limits), every: 1_000 };
    let mut seq = 0;
    for day in 0..10 {
        for minute in 0..120 {
            seq += 1;
            life.commit("acme", seq, day * DAY + minute * 60_000, 400);
            if day < 2 {
                life.commit("gone", seq, day * DAY + minute * 60_000, 400);
            }
        }
        life.settle_copied(&dir, day);
    }
    life.settle();
    let (seqs, gaps) = told("acme", &life.past("acme", Span::ALL));
    let first = *seqs.first().unwrap();
    // Days 6 to 9, and what lies between the state of day 5 and them, in whole pieces of some 40 records.
    let base = life.opened.reader.state("acme", 6 * 120).unwrap().unwrap().seq;
    assert_eq!(base, 5 * 120 + 1, "it can be replayed");
    assert!((base - 40..=base + 1).contains(&first), "{first}");
    assert_eq!(gaps, [(0, first)]);
    assert_eq!(seqs, (first..=1_200).collect::<Vec<_>>());
    assert_eq!(life.opened.reader.state("acme", base - 1).unwrap(), None);
    let (seqs, gaps) = told("gone", &life.past("gone", Span::ALL));
    assert!(seqs.iter().all(|seq| *seq > 180), "only what the journal itself still holds: {seqs:?}");
    assert_eq!(gaps.len(), 1);
}

#[test]
fn what_is_more_than_the_limit_goes_oldest_first() {
    let dir = Dir::new();
    let limits = HistoryLimits { bytes: 300 << 10, ..LIMITS };
    let mut life = Life { opened: dir.open_with_history(limits), every: 50 };
    for seq in 1..=4_000 {
        life.commit("acme", seq, seq, 500);
    }
    life.settle();
    let (seqs, gaps) = told("acme", &life.past("acme", Span::ALL));
    let first = *seqs.first().unwrap();
    assert!((2_000..3_900).contains(&first), "{first}");
    assert_eq!((seqs, gaps), ((first..=4_000).collect(), vec![(0, first)]));
    life.opened.store.close().unwrap();
    let len = fs::metadata(dir.file("history.db")).unwrap().len();
    assert!(len <= 400 << 10, "the file has {len} bytes");
}

#[test]
fn a_damaged_piece_is_told_with_its_gap_and_costs_no_start() {
    let dir = Dir::new();
    let mut life = Life { opened: dir.open_with_history(LIMITS), every: 10 };
    for seq in 1..=300 {
        life.commit("acme", seq, seq, 300);
        life.commit("bolt", seq, seq, 300);
    }
    life.settle();
    drop(life);
    let sql = rusqlite::Connection::open(dir.file("history.db")).unwrap();
    let (piece, after, last, mut blob): (i64, u64, u64, Vec<u8>) = sql
        .query_row(
            "SELECT id, prev_seq, last_seq, blob FROM piece
             WHERE account = 'acme' AND kind = 0 AND prev_seq > 50 ORDER BY id LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64, row.get::<_, i64>(2)? as u64, row.get(3)?)),
        )
        .unwrap();
    let middle = blob.len() / 2;
    blob[middle] ^= 1;
    sql.execute("UPDATE piece SET blob = ? WHERE id = ?", rusqlite::params![blob, piece]).unwrap();
    drop(sql);

    let report = journal::verify(dir.path()).unwrap();
    assert_eq!(report.faults.iter().map(|fault| fault.harm.clone()).collect::<Vec<_>>(), [Harm::History]);
    let life = Life { opened: dir.open_with_history(LIMITS), every: 10 };
    whole("bolt", &life.past("bolt", Span::ALL), 300);
    let mut items = life.past("acme", Span::ALL);
    let damaged = items.iter().position(|item| matches!(item, Past::Damaged(_))).unwrap();
    items.remove(damaged);
    let (seqs, gaps) = told("acme", &items);
    assert_eq!(gaps, [(after, last + 1)]);
    assert_eq!(seqs, (1..=after).chain(last + 1..=300).collect::<Vec<_>>());
}

#[test]
fn a_file_that_is_no_history_is_set_aside() {
    let dir = Dir::new();
    let mut life = Life { opened: dir.open_with_history(LIMITS), every: 10 };
    for seq in 1..=200 {
        life.commit("acme", seq, seq, 500);
    }
    life.settle();
    drop(life);
    for name in ["history.db-wal", "history.db-shm"] {
        let _ = fs::remove_file(dir.file(name));
    }
    fs::write(dir.file("history.db"), vec![b'x'; 20_000]).unwrap();
    assert_eq!(journal::verify(dir.path()).unwrap().faults[0].harm, Harm::History);
    let mut life = Life { opened: dir.open_with_history(LIMITS), every: 10 };
    assert!(life.opened.warnings[0].contains("history-damaged.db"), "{:?}", life.opened.warnings);
    assert_eq!(fs::read(dir.file("history-damaged.db")).unwrap(), vec![b'x'; 20_000]);
    for seq in 201..=400 {
        life.commit("acme", seq, seq, 500);
    }
    life.settle();
    let (seqs, gaps) = told("acme", &life.past("acme", Span::ALL));
    let first = *seqs.first().unwrap();
    assert!(first > 1 && first <= 201, "{first}");
    assert_eq!((seqs, gaps), ((first..=400).collect(), vec![(0, first)]));
    drop(life);
    let lost = journal::verify(dir.path()).unwrap().history.unwrap().lost;
    assert_eq!(lost.iter().map(|lost| lost.why.as_str()).collect::<Vec<_>>(), ["there was no history yet"]);
}

#[test]
fn a_history_of_a_life_that_was_taken_back_gives_way_to_what_happened_instead() {
    let dir = Dir::new();
    let mut life = Life { opened: dir.open_with_history(LIMITS), every: 10 };
    for seq in 1..=150 {
        life.commit("acme", seq, seq, 500);
    }
    life.settle();
    life.opened.store.close().unwrap();
    let backup = dir.files();
    let mut life = Life { opened: dir.open_with_history(LIMITS), every: 10 };
    for seq in 151..=300 {
        life.commit("acme", seq, seq, 600);
    }
    life.settle();
    drop(life);

    dir.put(&backup);
    let mut life = Life { opened: dir.open_with_history(LIMITS), every: 10 };
    for seq in 151..=400 {
        life.commit("acme", seq, seq + 1_000, 550);
    }
    life.settle();
    let items = life.past("acme", Span::ALL);
    whole("acme", &items, 400);
    for item in items {
        if let Past::Record(record) = item
            && record.seq > 150
        {
            assert_eq!((record.at, record.bytes.len()), (record.seq + 1_000, 550), "of the life that counts");
        }
    }
}

#[test]
fn readers_of_the_past_see_it_whole_while_it_is_made() {
    let dir = Dir::new();
    let mut life = Life { opened: dir.open_with_history(LIMITS), every: 25 };
    let reader = Arc::clone(&life.opened.reader);
    let (committed, heads) = std::sync::mpsc::channel::<u64>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for least in heads {
                let items = past(&reader, "acme", Span::ALL);
                let (seqs, gaps) = told("acme", &items);
                assert_eq!(gaps, [], "at {least}");
                let last = *seqs.last().unwrap();
                assert!(last >= least);
                assert_eq!(seqs, (1..=last).collect::<Vec<_>>());
            }
        });
        for seq in 1..=1_500 {
            life.commit("acme", seq, seq, 300);
            if seq % 30 == 0 {
                committed.send(seq).unwrap();
            }
        }
        drop(committed);
    });
    assert_eq!(life.opened.store.figures().history_skipped_batches, 0);
}

#[test]
fn without_a_history_the_past_is_what_the_journal_holds() {
    let dir = Dir::new();
    for mut opened in [dir.open(), ringfence_store::open_memory(None, 1).unwrap()] {
        for seq in 1..=9 {
            opened.store.commit(&[write_at("acme", seq, seq, 50)]).unwrap();
        }
        opened.store.snapshot(&Arc::from("acme"), 6, b"six", &[], &[]).unwrap();
        while opened.store.trim().unwrap() {}
        let (seqs, gaps) = told("acme", &past(&opened.reader, "acme", Span::ALL));
        assert_eq!((seqs, gaps), ((7..=9).collect(), vec![(0, 7)]));
        let state = opened.reader.state("acme", 8).unwrap().unwrap();
        assert_eq!((state.seq, state.header, state.at), (6, b"six".to_vec(), 9));
        assert_eq!(opened.reader.state("acme", 5).unwrap(), None);
        assert_eq!(opened.store.day_candidates(9), []);
    }
    assert!(!dir.file("history.db").exists());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_stops_it_the_past_has_no_gap_and_nothing_twice(
        steps in prop::collection::vec((0..3_usize, 1..120_u64, 20..900_usize, 0..4_u8), 1..25),
    ) {
        let accounts = ["acme", "bolt", "cord"];
        let dir = Dir::new();
        let mut life = Life { opened: dir.open_with_history(LIMITS), every: 15 };
        let mut heads = [0_u64; 3];
        let mut at = 5 * DAY;
        for (which, count, len, end) in steps {
            for _ in 0..count {
                heads[which] += 1;
                at += 40_000;
                life.commit(accounts[which], heads[which], at, len);
            }
            match end {
                0 => {
                    drop(life);
                    life = Life { opened: dir.open_with_history(LIMITS), every: 15 };
                }
                1 => {
                    life.opened.store.close().unwrap();
                    life = Life { opened: dir.open_with_history(LIMITS), every: 15 };
                }
                2 => life.settle(),
                _ => {}
            }
            let behind = life.opened.store.figures();
            prop_assert_eq!(behind.history_trouble, None);
            for (account, head) in accounts.iter().zip(heads) {
                let (seqs, gaps) = told(account, &life.past(account, Span::ALL));
                // Only what was more than could wait for the thread may be missing.
                if behind.history_skipped_batches == 0 {
                    prop_assert_eq!(gaps, vec![]);
                    prop_assert_eq!(seqs, (1..=head).collect::<Vec<_>>());
                }
            }
        }
    }
}
