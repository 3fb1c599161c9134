//! Flipped bits, lost rows, foreign rows: each is found, and costs whom it must and nobody else.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

#[path = "support/given.rs"]
mod given;

use std::sync::Arc;

use given::{Dir, commit, expect, key, page, put, seen, write};
use ringfence_store::journal::{self, Entry};
use ringfence_store::{LoadError, Opened, Verdict};

/// Writes with `before`, damages the closed directory, and tells who is refused in the next run. What is refused must
/// be refused to writers too, and stay so after another start; `verify` must not call it sound.
fn check(
    before: impl Fn(&mut Opened),
    damage: impl Fn(&Dir),
    refused: &[&str],
    served: &[&str],
) -> (Dir, Opened) {
    let dir = Dir::new();
    let mut opened = dir.open();
    before(&mut opened);
    opened.store.close().unwrap();
    damage(&dir);
    assert!(!journal::verify(dir.path()).unwrap().is_sound());
    for _ in 0..2 {
        let mut opened = dir.open();
        assert!(!opened.warnings.is_empty());
        for account in refused {
            let error = opened.reader.load(account).unwrap_err();
            assert!(matches!(error, LoadError::Damaged { .. }), "{account}: {error}");
            let next = opened
                .reader
                .accounts()
                .unwrap()
                .iter()
                .find(|head| &*head.account == *account)
                .map_or(1, |head| head.seq + 1);
            assert_eq!(opened.store.commit(&[write(account, next)]), Ok(vec![Verdict::Fenced]), "{account}");
        }
        for account in served {
            opened.reader.load(account).unwrap().unwrap();
        }
    }
    let opened = dir.open();
    (dir, opened)
}

/// Batches: 1 acme, bolt and cord; 2 bolt; 3 acme.
fn three(opened: &mut Opened) {
    opened.store.commit(&[write("acme", 1), write("bolt", 1), write("cord", 1)]).unwrap();
    commit(opened, "bolt", 2..=2);
    commit(opened, "acme", 2..=2);
}

#[test]
fn a_bit_in_a_record_costs_its_account() {
    let (_dir, mut opened) = check(three, |dir| dir.flip(1, b"bolt:1", 5), &["bolt"], &["acme", "cord"]);
    commit(&mut opened, "acme", 3..=3);
    commit(&mut opened, "new", 1..=1);
    assert_eq!(seen(&opened.reader, "acme"), expect(None, &[], &["acme:1", "acme:2", "acme:3"]));
}

#[test]
fn a_bit_in_what_a_snapshot_covers_costs_nobody() {
    let before = |opened: &mut Opened| {
        three(opened);
        opened.store.snapshot(&Arc::from("bolt"), 1, b"h", &[], &[]).unwrap();
    };
    check(before, |dir| dir.flip(1, b"bolt:1", 5), &[], &["acme", "bolt", "cord"]);
}

#[test]
fn a_bit_in_an_entrys_head_costs_those_who_cannot_prove_to_be_elsewhere() {
    // The third entry's account: acme and bolt have later records that follow, cord was last seen before.
    let before = |opened: &mut Opened| {
        commit(opened, "idle", 1..=1);
        commit(opened, "safe", 1..=1);
        opened.store.commit(&[write("acme", 1), write("bolt", 1), write("cord", 1)]).unwrap();
        commit(opened, "acme", 2..=2);
        commit(opened, "bolt", 2..=2);
        opened.store.snapshot(&Arc::from("safe"), 1, b"h", &[], &[]).unwrap();
    };
    let damage = |dir: &Dir| dir.flip(3, b"cord", 0);
    check(before, damage, &["idle", "cord", "unheard-of"], &["acme", "bolt", "safe"]);
}

#[test]
fn a_bit_in_a_header_or_a_trailer_costs_nobody() {
    let before = |opened: &mut Opened| three(opened);
    let all = ["acme", "bolt", "cord"];
    let (dir, mut opened) = check(before, |dir| dir.flip(2, b"RFJB", 17), &[], &all);
    commit(&mut opened, "new", 1..=1);
    drop((opened, dir));
    let trailer = |dir: &Dir| dir.flip(3, b"acme:2", 6 + 4);
    let (dir, mut opened) = check(before, trailer, &[], &all);
    commit(&mut opened, "acme", 3..=4);
    opened.store.snapshot(&Arc::from("acme"), 4, b"h", &[], &[]).unwrap();
    while opened.store.trim().unwrap() {}
    drop(opened);
    let mut opened = dir.open();
    assert_eq!(opened.warnings.len(), 1, "{:?}", opened.warnings);
    commit(&mut opened, "acme", 5..=5);
}

#[test]
fn a_lost_batch_costs_as_one_that_cannot_be_read() {
    let lose = |dir: &Dir| dir.sql().execute_batch("DELETE FROM batch WHERE id = 2").unwrap();
    check(three, lose, &["bolt", "cord", "unheard-of"], &["acme"]);
}

#[test]
fn a_batch_from_elsewhere_costs_its_accounts() {
    let other = Dir::new();
    let mut opened = other.open();
    commit(&mut opened, "else", 1..=1);
    commit(&mut opened, "bolt", 1..=1);
    opened.store.close().unwrap();
    let blob: Vec<u8> =
        other.sql().query_row("SELECT blob FROM batch WHERE id = 2", [], |row| row.get(0)).unwrap();
    let swap =
        |dir: &Dir| assert_eq!(dir.sql().execute("UPDATE batch SET blob = ? WHERE id = 2", [&blob]), Ok(1));
    check(three, swap, &["acme", "bolt", "cord"], &[]);
}

#[test]
fn damage_to_a_snapshot_costs_its_account() {
    let before = |opened: &mut Opened| {
        three(opened);
        for (account, seq) in [("acme", 2), ("bolt", 2)] {
            let account = Arc::from(account);
            opened.store.snapshot(&account, seq, b"h", &[page(0, 1), page(1, 1)], &[]).unwrap();
            opened.store.snapshot(&account, seq, b"h", &[page(0, 2)], &[]).unwrap();
        }
    };
    let page_bit = "UPDATE page SET blob = x'00' WHERE account = 'acme' AND number = 0";
    let page_lost = "DELETE FROM page WHERE account = 'acme' AND number = 1";
    for sql in [page_bit, page_lost] {
        let dir = Dir::new();
        let mut opened = dir.open();
        before(&mut opened);
        opened.store.close().unwrap();
        dir.sql().execute(sql, []).unwrap();
        assert_eq!(journal::verify(dir.path()).unwrap().faults.len(), 1, "{sql}");
        let opened = dir.open();
        assert!(matches!(opened.reader.load("acme"), Err(LoadError::Damaged { .. })), "{sql}");
        assert_eq!(seen(&opened.reader, "bolt").pages, [(0, 2), (1, 1)]);
    }
    let header =
        |dir: &Dir| dir.sql().execute_batch("UPDATE snapshot SET seq = 1 WHERE account = 'acme'").unwrap();
    check(before, header, &["acme", "unheard-of"], &["bolt", "cord"]);
}

#[test]
fn a_damaged_key_opens_nothing() {
    let keys = |opened: &mut Opened| opened.store.apply_ops(&[put("a", "one"), put("b", "two")]).unwrap();
    let widen =
        |dir: &Dir| dir.sql().execute_batch("UPDATE key SET scopes = 'admin' WHERE id = 'b'").unwrap();
    let (_dir, opened) = check(keys, widen, &[], &[]);
    assert_eq!(opened.reader.keys().unwrap(), [key("a", "one")]);
}

#[test]
fn damage_that_comes_while_the_store_runs_is_found_by_the_load() {
    let dir = Dir::new();
    let mut opened = dir.open();
    three(&mut opened);
    dir.flip(1, b"bolt:1", 5);
    assert!(matches!(opened.reader.load("bolt"), Err(LoadError::Damaged { .. })));
    assert_eq!(seen(&opened.reader, "acme").tail, ["acme:1", "acme:2"]);
    dir.sql().execute("DELETE FROM batch WHERE id = 3", []).unwrap();
    assert!(matches!(opened.reader.load("acme"), Err(LoadError::Damaged { .. })));
}

#[test]
fn the_journal_of_a_closed_directory_is_dumped_and_verified() {
    let dir = Dir::new();
    let mut opened = dir.open();
    three(&mut opened);
    opened.store.snapshot(&Arc::from("acme"), 2, b"h", &[page(0, 1)], &[]).unwrap();
    opened.store.apply_ops(&[put("a", "one")]).unwrap();
    drop(opened);
    let report = journal::verify(dir.path()).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.batches, report.records, report.accounts), (3, 5, 3));
    assert_eq!((report.snapshots, report.pages, report.keys), (1, 1, 1));

    let dump = |account: Option<&str>, most: usize| {
        let mut lines = Vec::new();
        journal::dump(dir.path(), account, &mut |entry| {
            lines.push(match entry {
                Entry::Record { batch, record, .. } => {
                    format!("{batch} {}", String::from_utf8(record.bytes).unwrap())
                }
                Entry::Damaged(damage) => damage.to_string(),
            });
            lines.len() < most
        })
        .unwrap();
        lines
    };
    assert_eq!(dump(None, 99), ["1 acme:1", "1 bolt:1", "1 cord:1", "2 bolt:2", "3 acme:2"]);
    assert_eq!(dump(None, 2), ["1 acme:1", "1 bolt:1"]);
    assert_eq!(dump(Some("acme"), 99), ["1 acme:1", "3 acme:2"]);
    dir.flip(1, b"bolt:1", 0);
    let lost = "the record of seq 1 fails its checksum in journal batch 1";
    assert_eq!(dump(Some("acme"), 99), ["1 acme:1", lost, "3 acme:2"]);
}
