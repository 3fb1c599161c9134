//! What the SQLite store and its twin both promise, asked of both.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

#[path = "support/given.rs"]
mod given;

use std::sync::Arc;

use given::{Dir, Seen, commit, expect, id, key, page, put, seen, write};
use ringfence_store::{AccountHead, CommitError, Durability, Opened, ReadError, TableOp, Verdict, Write};

/// Runs the same steps on both.
fn check(steps: impl Fn(Opened)) {
    let dir = Dir::new();
    steps(dir.open_as(Durability::Sync, 1));
    steps(ringfence_store::open_memory(None, 1).unwrap());
}

fn snapshot(
    opened: &mut Opened,
    seq: u64,
    header: &str,
    pages: &[(ringfence_store::PageId, Vec<u8>)],
    dropped: &[u32],
) {
    let dropped: Vec<_> = dropped.iter().map(|number| id(*number)).collect();
    opened.store.snapshot(&Arc::from("acme"), seq, header.as_bytes(), pages, &dropped).unwrap();
}

fn records(from: u64, to: u64) -> Seen {
    let texts: Vec<String> = (from..=to).map(|seq| format!("acme:{seq}")).collect();
    expect(None, &[], &texts.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_new_store_is_empty_and_clean() {
    check(|opened| {
        assert!(opened.clean && opened.os_clean && opened.warnings.is_empty());
        assert_eq!((opened.term, opened.last_at, opened.store.tail_bytes()), (1, 0, 0));
        assert_eq!(opened.reader.accounts().unwrap(), []);
        assert_eq!(opened.reader.load("acme").unwrap(), None);
        assert_eq!(opened.reader.keys().unwrap(), []);
    });
}

#[test]
fn what_was_committed_is_loaded_at_once() {
    check(|mut opened| {
        commit(&mut opened, "acme", 1..=3);
        assert_eq!(seen(&opened.reader, "acme"), records(1, 3));
        let image = opened.reader.load("acme").unwrap().unwrap();
        assert_eq!(
            (image.tail[2].term, image.tail[2].prev_seq, image.tail[2].seq, image.tail[2].at),
            (1, 2, 3, 1003)
        );
        let head = AccountHead { account: Arc::from("acme"), term: 1, seq: 3, at: 1003 };
        assert_eq!(opened.reader.accounts().unwrap(), [head]);
    });
}

#[test]
fn an_empty_batch_is_nothing() {
    check(|mut opened| assert_eq!(opened.store.commit(&[]), Ok(vec![])));
}

#[test]
fn writes_of_one_account_chain_within_a_batch() {
    check(|mut opened| {
        let batch = [write("acme", 1), write("bolt", 1), write("acme", 2), write("acme", 3)];
        assert_eq!(opened.store.commit(&batch), Ok(vec![Verdict::Committed; 4]));
        assert_eq!(seen(&opened.reader, "acme"), records(1, 3));
        assert_eq!(seen(&opened.reader, "bolt"), expect(None, &[], &["bolt:1"]));
    });
}

#[test]
fn a_fenced_write_is_left_out_with_its_ops_and_the_others_commit() {
    check(|mut opened| {
        let newer = Write { term: 5, ..write("acme", 1) };
        opened.store.commit(&[newer]).unwrap();
        let stale = Write { term: 4, ops: vec![put("k", "of the replaced")], ..write("acme", 2) };
        let gap = Write { term: 5, prev_seq: 2, ..write("acme", 3) };
        let standstill = Write { term: 5, prev_seq: 1, seq: 1, ..write("acme", 1) };
        let batch = [stale, write("bolt", 1), gap, standstill, Write { term: 6, ..write("acme", 2) }];
        let (fenced, committed) = (Verdict::Fenced, Verdict::Committed);
        assert_eq!(opened.store.commit(&batch), Ok(vec![fenced, committed, fenced, fenced, committed]));
        assert_eq!(seen(&opened.reader, "acme"), records(1, 2));
        assert_eq!(seen(&opened.reader, "bolt"), expect(None, &[], &["bolt:1"]));
        assert_eq!(opened.reader.keys().unwrap(), []);
        assert_eq!(opened.store.commit(&[write("acme", 3)]), Ok(vec![fenced]), "of a term that has passed");
    });
}

#[test]
fn ops_are_applied_in_order_with_their_record() {
    check(|mut opened| {
        let drop = TableOp::DropKey { id: "b".to_owned() };
        let first = Write { ops: vec![put("a", "one"), put("b", "two")], ..write("acme", 1) };
        let second = Write { ops: vec![drop, put("a", "three")], ..write("acme", 2) };
        opened.store.commit(&[first, second]).unwrap();
        assert_eq!(opened.reader.keys().unwrap(), [key("a", "three")]);
        opened.store.apply_ops(&[put("c", "four"), TableOp::DropKey { id: "none".to_owned() }]).unwrap();
        assert_eq!(opened.reader.keys().unwrap(), [key("a", "three"), key("c", "four")]);
    });
}

#[test]
fn a_snapshot_with_its_tail_is_all_there_is() {
    check(|mut opened| {
        commit(&mut opened, "acme", 1..=4);
        snapshot(&mut opened, 3, "three", &[page(0, 1), page(1, 1)], &[]);
        assert_eq!(seen(&opened.reader, "acme"), expect(Some((3, "three")), &[(0, 1), (1, 1)], &["acme:4"]));
        commit(&mut opened, "acme", 5..=5);
        snapshot(&mut opened, 5, "five", &[page(1, 2), page(2, 2)], &[]);
        assert_eq!(seen(&opened.reader, "acme"), expect(Some((5, "five")), &[(0, 1), (1, 2), (2, 2)], &[]));
        snapshot(&mut opened, 5, "again", &[], &[]);
        assert_eq!(seen(&opened.reader, "acme"), expect(Some((5, "again")), &[(0, 1), (1, 2), (2, 2)], &[]));
    });
}

#[test]
fn a_snapshot_cuts_within_a_batch() {
    check(|mut opened| {
        opened.store.commit(&[write("acme", 1), write("acme", 2), write("acme", 3)]).unwrap();
        snapshot(&mut opened, 2, "two", &[], &[]);
        assert_eq!(seen(&opened.reader, "acme"), expect(Some((2, "two")), &[], &["acme:3"]));
        assert!(!opened.store.trim().unwrap());
        assert_eq!(seen(&opened.reader, "acme"), expect(Some((2, "two")), &[], &["acme:3"]));
    });
}

#[test]
fn dropped_pages_are_gone_and_may_come_back() {
    check(|mut opened| {
        commit(&mut opened, "acme", 1..=1);
        snapshot(&mut opened, 1, "h", &[page(0, 1), page(1, 1), page(2, 1)], &[]);
        snapshot(&mut opened, 1, "h", &[page(2, 2)], &[0, 2, 9]);
        assert_eq!(
            seen(&opened.reader, "acme").pages,
            [(1, 1), (2, 2)],
            "a page named anew outlives its dropping"
        );
        snapshot(&mut opened, 1, "h", &[page(0, 3)], &[]);
        assert_eq!(seen(&opened.reader, "acme").pages, [(0, 3), (1, 1), (2, 2)]);
    });
}

#[test]
fn a_snapshot_of_many_commits_is_one() {
    check(|mut opened| {
        commit(&mut opened, "acme", 1..=1);
        let large = |byte| (0..5).map(|number| (id(number), vec![byte; 600 << 10])).collect::<Vec<_>>();
        snapshot(&mut opened, 1, "one", &large(1), &[]);
        snapshot(&mut opened, 1, "two", &large(2)[1..], &[0]);
        assert_eq!(seen(&opened.reader, "acme").pages, [(1, 2), (2, 2), (3, 2), (4, 2)]);
        let header = "h".repeat(2 << 20);
        snapshot(&mut opened, 1, &header, &large(3)[..1], &[]);
        let seen = seen(&opened.reader, "acme");
        assert_eq!(seen.pages, [(0, 3), (1, 2), (2, 2), (3, 2), (4, 2)]);
        assert_eq!(seen.header, Some((1, header)));
    });
}

#[test]
fn a_trim_changes_nothing_that_is_loaded() {
    check(|mut opened| {
        commit(&mut opened, "acme", 1..=3);
        commit(&mut opened, "bolt", 1..=1);
        snapshot(&mut opened, 2, "two", &[page(0, 1)], &[]);
        while opened.store.trim().unwrap() {}
        assert_eq!(seen(&opened.reader, "acme"), expect(Some((2, "two")), &[(0, 1)], &["acme:3"]));
        assert_eq!(seen(&opened.reader, "bolt"), expect(None, &[], &["bolt:1"]));
        commit(&mut opened, "acme", 4..=4);
        assert_eq!(seen(&opened.reader, "acme").tail, ["acme:3", "acme:4"]);
    });
}

#[test]
fn the_tail_shrinks_by_what_a_snapshot_covers_and_the_oldest_comes_first() {
    check(|mut opened| {
        let names = |opened: &Opened, most| {
            opened.store.snapshot_candidates(most).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        commit(&mut opened, "bolt", 1..=1);
        let one = opened.store.tail_bytes();
        commit(&mut opened, "acme", 1..=3);
        assert_eq!(opened.store.tail_bytes(), 4 * one, "their records are of one length");
        assert_eq!(names(&opened, 9), ["bolt", "acme"]);
        assert_eq!(names(&opened, 1), ["bolt"]);
        commit(&mut opened, "bolt", 2..=2);
        opened.store.snapshot(&Arc::from("bolt"), 1, b"h", &[], &[]).unwrap();
        assert_eq!(names(&opened, 9), ["acme", "bolt"]);
        snapshot(&mut opened, 3, "h", &[], &[]);
        assert_eq!((names(&opened, 9), opened.store.tail_bytes()), (vec!["bolt".to_owned()], one));
    });
}

#[test]
fn a_snapshot_of_what_never_happened_is_fatal_for_good() {
    for (seq, pages) in [(4, vec![]), (1, vec![]), (3, vec![page(0, 1), page(0, 2)])] {
        check(|mut opened| {
            commit(&mut opened, "acme", 1..=3);
            snapshot(&mut opened, 2, "h", &[], &[]);
            let fatal = opened.store.snapshot(&Arc::from("acme"), seq, b"h", &pages, &[]).unwrap_err();
            assert!(matches!(fatal, CommitError::Fatal(_)), "{fatal}");
            assert_eq!(opened.store.commit(&[]), Err(fatal.clone()));
            assert_eq!(opened.store.trim(), Err(fatal.clone()));
            assert_eq!(seen(&opened.reader, "acme"), expect(Some((2, "h")), &[], &["acme:3"]));
            assert_eq!(opened.store.close(), Err(fatal));
        });
    }
}

#[test]
fn a_reader_that_outlives_its_store_says_so() {
    check(|opened| {
        let Opened { store, reader, .. } = opened;
        store.close().unwrap();
        assert!(matches!(reader.accounts(), Err(ReadError::Closed)));
        assert!(matches!(reader.load("acme"), Err(ringfence_store::LoadError::Read(ReadError::Closed))));
        assert!(matches!(reader.keys(), Err(ReadError::Closed)));
    });
}

#[test]
fn readers_in_other_threads_see_at_least_what_was_committed_before() {
    check(|mut opened| {
        let reader = Arc::clone(&opened.reader);
        let (committed, loads) = std::sync::mpsc::channel::<u64>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for least in loads {
                    let image = reader.load("acme").unwrap().unwrap();
                    let from = image.header.map_or(0, |(seq, _)| seq);
                    let seqs: Vec<u64> = image.tail.iter().map(|record| record.seq).collect();
                    let to = seqs.last().copied().unwrap_or(from);
                    assert!(to >= least);
                    assert_eq!(seqs, (from + 1..=to).collect::<Vec<_>>());
                    assert_eq!(
                        image.pages.iter().map(|(_, blob)| u64::from(blob[0])).max().unwrap_or(0),
                        from % 251
                    );
                }
            });
            for seq in 1..=200 {
                commit(&mut opened, "acme", [seq]);
                if seq % 7 == 0 {
                    let byte = u8::try_from(seq % 251).unwrap();
                    snapshot(&mut opened, seq, "h", &[page(0, byte)], &[]);
                    while opened.store.trim().unwrap() {}
                }
                committed.send(seq).unwrap();
            }
            drop(committed);
        });
    });
}
