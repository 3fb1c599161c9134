//! What one run leaves to the next.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

#[path = "support/given.rs"]
mod given;

use std::fs;
use std::sync::Arc;

use given::{Dir, commit, expect, id, key, page, put, seen, write};
use ringfence_store::{Config, Durability, OpenError, Opened, Verdict, journal};

const MODES: [Durability; 2] = [Durability::Sync, Durability::Os];

/// Runs `before`, stops in the given way, and hands the next run to `after`. In both modes, stopped cleanly and not.
fn check(before: impl Fn(&mut Opened), after: impl Fn(Opened, &Dir)) {
    for mode in MODES {
        for clean in [true, false] {
            let dir = Dir::new();
            let mut opened = dir.open_as(mode, 1);
            before(&mut opened);
            if clean {
                opened.store.close().unwrap();
            } else {
                drop(opened);
            }
            let opened = dir.open_as(mode, 1);
            assert_eq!((opened.clean, opened.warnings.as_slice()), (clean, [].as_slice()), "{mode:?}");
            assert!(opened.os_clean);
            after(opened, &dir);
        }
    }
}

#[test]
fn everything_committed_is_there() {
    check(
        |opened| {
            opened.store.commit(&[write("acme", 1), write("bolt", 1)]).unwrap();
            commit(opened, "acme", 2..=4);
            opened.store.snapshot(&Arc::from("acme"), 3, b"three", &[page(0, 1), page(1, 1)], &[]).unwrap();
            opened.store.apply_ops(&[put("k", "one")]).unwrap();
        },
        |mut opened, _| {
            assert_eq!(
                seen(&opened.reader, "acme"),
                expect(Some((3, "three")), &[(0, 1), (1, 1)], &["acme:4"])
            );
            assert_eq!(seen(&opened.reader, "bolt"), expect(None, &[], &["bolt:1"]));
            assert_eq!(opened.reader.keys().unwrap(), [key("k", "one")]);
            assert_eq!(opened.last_at, 1004);
            assert_eq!(opened.store.commit(&[write("acme", 4)]), Ok(vec![Verdict::Fenced]));
            commit(&mut opened, "acme", 5..=5);
            commit(&mut opened, "bolt", 2..=2);
        },
    );
}

#[test]
fn what_was_trimmed_is_not_needed_and_its_heads_are_remembered() {
    check(
        |opened| {
            for seq in 1..=6 {
                opened.store.commit(&[write("acme", seq)]).unwrap();
                opened.store.commit(&[ringfence_store::Write { term: 9, ..write("bolt", seq) }]).unwrap();
            }
            opened.store.snapshot(&Arc::from("bolt"), 6, b"six", &[page(0, 1)], &[id(3)]).unwrap();
            assert!(!opened.store.trim().unwrap());
            opened.store.snapshot(&Arc::from("acme"), 3, b"three", &[], &[]).unwrap();
            assert!(!opened.store.trim().unwrap());
        },
        |mut opened, dir| {
            assert_eq!(dir.count("batch"), 3);
            let heads = opened.reader.accounts().unwrap();
            let bolt = heads.iter().find(|head| &*head.account == "bolt").unwrap();
            assert_eq!((bolt.term, bolt.seq, bolt.at), (9, 6, 1006));
            assert_eq!(opened.last_at, 1006);
            assert_eq!(seen(&opened.reader, "bolt"), expect(Some((6, "six")), &[(0, 1)], &[]));
            assert_eq!(seen(&opened.reader, "acme").tail, ["acme:4", "acme:5", "acme:6"]);
            opened.store.snapshot(&Arc::from("acme"), 6, b"six", &[], &[]).unwrap();
            assert!(!opened.store.trim().unwrap());
            assert_eq!((dir.count("batch"), dir.count("gap")), (0, 1));
            assert_eq!(
                opened.store.commit(&[write("bolt", 7)]),
                Ok(vec![Verdict::Fenced]),
                "of a lower term"
            );
            commit(&mut opened, "acme", 7..=8);
            drop(opened);
            let opened = dir.open();
            assert_eq!(opened.warnings, [] as [&str; 0], "ids and the chain go on across what was trimmed");
            assert_eq!(seen(&opened.reader, "acme"), expect(Some((6, "six")), &[], &["acme:7", "acme:8"]));
        },
    );
}

#[test]
fn a_trim_takes_at_most_a_mebibyte_at_a_time() {
    let dir = Dir::new();
    let mut opened = dir.open();
    for seq in 1..=5 {
        let large = ringfence_store::Write { record: vec![1; 400 << 10], ..write("acme", seq) };
        opened.store.commit(&[large]).unwrap();
    }
    opened.store.snapshot(&Arc::from("acme"), 5, b"h", &[], &[]).unwrap();
    assert!(opened.store.trim().unwrap());
    assert_eq!(dir.count("batch"), 3);
    assert!(opened.store.trim().unwrap());
    assert!(!opened.store.trim().unwrap());
    assert_eq!(dir.count("batch"), 0);
}

#[test]
fn the_term_rises_with_the_clock_and_without_it() {
    let dir = Dir::new();
    let term = |wall_ms| dir.open_as(Durability::Os, wall_ms).term;
    assert_eq!(term(5_000), 5_000);
    assert_eq!(term(4_000), 5_001, "the clock went back");
    assert_eq!(ringfence_store::open_memory(Some(dir.path()), 0).unwrap().term, 5_002, "in memory mode too");
    assert_eq!(term(0), 5_003);
    assert_eq!(dir.open_as(Durability::Memory, 6_000).term, 6_000);
    assert_eq!(term(6_000), 6_001);
}

#[test]
fn memory_mode_keeps_nothing_but_the_term_and_touches_nothing_else() {
    let dir = Dir::new();
    let mut opened = dir.open();
    commit(&mut opened, "acme", 1..=2);
    opened.store.close().unwrap();

    let mut memory = ringfence_store::open_memory(Some(dir.path()), 0).unwrap();
    assert!(!memory.clean && !memory.os_clean, "what the run before held is not here");
    assert_eq!(memory.reader.load("acme").unwrap(), None);
    commit(&mut memory, "acme", 1..=1);
    memory.store.close().unwrap();

    let opened = dir.open();
    assert!(opened.clean);
    assert_eq!(seen(&opened.reader, "acme").tail, ["acme:1", "acme:2"]);
}

#[test]
fn a_second_opening_is_refused_until_the_first_ends() {
    let dir = Dir::new();
    let config = Config::new(dir.path(), Durability::Os, 1);
    let opened = dir.open();
    let refused = [
        ringfence_store::open(&config).unwrap_err(),
        ringfence_store::open_memory(Some(dir.path()), 1).unwrap_err(),
        journal::verify(dir.path()).unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, OpenError::InUse { .. }), "{error}");
        assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
    }
    let reader = Arc::clone(&opened.reader);
    drop(opened);
    dir.open();
    assert!(reader.load("acme").is_err());
}

#[test]
fn a_boot_in_between_is_noticed_unless_the_stop_was_clean() {
    let dir = Dir::new();
    drop(dir.open());
    dir.reboot();
    let opened = dir.open();
    assert!(!opened.clean && !opened.os_clean);
    let lost = opened.term;
    assert_eq!(
        opened.epoch_least, lost,
        "what mode os had acknowledged may be lost: earlier epochs are over"
    );
    opened.store.close().unwrap();
    dir.reboot();
    let opened = dir.open();
    assert!(opened.clean && opened.os_clean);
    assert_eq!(opened.epoch_least, lost, "and stay so");
    drop(opened);
    // The former run was in mode os, whatever this one is in.
    dir.reboot();
    let opened = dir.open_as(Durability::Sync, 1);
    assert_eq!(opened.epoch_least, opened.term);
    let lost = opened.term;
    drop(opened);
    dir.reboot();
    let opened = dir.open();
    assert!(!opened.os_clean);
    assert_eq!(opened.epoch_least, lost, "mode sync had lost nothing");
}

#[test]
fn a_foreign_a_newer_and_a_broken_file_are_told_apart() {
    let dir = Dir::new();
    let config = Config::new(dir.path(), Durability::Os, 1);
    let refused = || ringfence_store::open(&config).unwrap_err();
    dir.open().store.close().unwrap();

    dir.sql().execute_batch("PRAGMA user_version = 3").unwrap();
    assert!(matches!(refused(), OpenError::Format { found: 3, .. }));
    dir.sql().execute_batch("PRAGMA user_version = 2; UPDATE meta SET term = term - 1").unwrap();
    let error = refused();
    assert!(matches!(error, OpenError::Damaged { .. }) && error.to_string().contains("term"), "{error}");

    let db = dir.path().join("ringfence.db");
    for name in ["ringfence.db-wal", "ringfence.db-shm"] {
        let _ = fs::remove_file(dir.path().join(name));
    }
    fs::write(&db, vec![b'x'; 8192]).unwrap();
    assert!(matches!(refused(), OpenError::Damaged { .. }));
    fs::remove_file(&db).unwrap();
    dir.sql().execute_batch("CREATE TABLE theirs(a)").unwrap();
    assert!(matches!(refused(), OpenError::Foreign { .. }));
}

#[test]
fn a_directory_of_the_former_format_is_brought_up_to_date() {
    let dir = Dir::new();
    let mut opened = dir.open_as(Durability::Sync, 5_000);
    commit(&mut opened, "acme", 1..=3);
    opened.store.apply_ops(&[put("k", "one")]).unwrap();
    opened.store.close().unwrap();
    let sum = crc32fast::hash(&[&5_000_u64.to_le_bytes()[..], &[1], b"boot"].concat());
    dir.sql()
        .execute_batch(&format!(
            "DROP TABLE meta;
             CREATE TABLE meta(one INTEGER PRIMARY KEY CHECK (one = 1), term INTEGER NOT NULL,
                clean INTEGER NOT NULL, boot TEXT NOT NULL, sum INTEGER NOT NULL);
             INSERT INTO meta VALUES (1, 5000, 1, 'boot', {sum});
             PRAGMA user_version = 1; PRAGMA auto_vacuum = NONE; VACUUM;"
        ))
        .unwrap();
    assert!(journal::verify(dir.path()).unwrap().is_sound());
    for round in 1..=2 {
        let opened = dir.open();
        assert_eq!((opened.term, opened.clean, opened.epoch_least), (5_000 + round, true, 0));
        assert_eq!(seen(&opened.reader, "acme").tail, ["acme:1", "acme:2", "acme:3"]);
        assert_eq!(opened.reader.keys().unwrap(), [key("k", "one")]);
        opened.store.close().unwrap();
    }
    let ask = |pragma| dir.sql().query_row(pragma, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((ask("PRAGMA user_version"), ask("PRAGMA auto_vacuum")), (2, 2));
    assert!(journal::verify(dir.path()).unwrap().is_sound());
}

#[test]
fn the_wal_stays_small_under_load() {
    for mode in MODES {
        let dir = Dir::new();
        let mut opened = dir.open_as(mode, 1);
        for seq in 1..=640 {
            let large = ringfence_store::Write { record: vec![1; 100 << 10], ..write("acme", seq) };
            opened.store.commit(&[large]).unwrap();
        }
        // At 16 MiB the committer waits for the helper, looking every 256 KiB.
        let wal = fs::metadata(dir.path().join("ringfence.db-wal")).unwrap().len();
        assert!(wal <= 17 << 20, "the WAL has {wal} bytes after 64 MB of records");
        opened.store.close().unwrap();
        assert_eq!(fs::metadata(dir.path().join("ringfence.db-wal")).map_or(0, |wal| wal.len()), 0);
    }
}

#[test]
fn an_account_of_many_megabytes_is_loaded_whole() {
    check(
        |opened| {
            for seq in 1..=30 {
                let large = ringfence_store::Write { record: vec![1; 500 << 10], ..write("acme", seq) };
                opened.store.commit(&[large]).unwrap();
            }
            let pages: Vec<_> = (0..30).map(|number| (id(number), vec![2; 500 << 10])).collect();
            opened.store.snapshot(&Arc::from("acme"), 15, b"h", &pages, &[]).unwrap();
        },
        |opened, _| {
            let image = opened.reader.load("acme").unwrap().unwrap();
            assert_eq!((image.pages.len(), image.tail.len()), (30, 15));
            assert!(image.tail.iter().map(|record| record.seq).eq(16..=30));
        },
    );
}

#[test]
fn an_error_of_the_disk_kills_the_store_and_not_what_was_committed() {
    let dir = Dir::new();
    let mut opened = dir.open_as(Durability::Sync, 1);
    commit(&mut opened, "acme", 1..=1);
    dir.sql().execute_batch("ALTER TABLE batch RENAME TO away").unwrap();
    let fatal = opened.store.commit(&[write("acme", 2)]).unwrap_err();
    dir.sql().execute_batch("ALTER TABLE away RENAME TO batch").unwrap();
    assert_eq!(opened.store.commit(&[write("acme", 2)]), Err(fatal.clone()));
    assert_eq!(opened.store.close(), Err(fatal));
    let opened = dir.open();
    assert!(!opened.clean);
    assert_eq!(seen(&opened.reader, "acme").tail, ["acme:1"]);
}
