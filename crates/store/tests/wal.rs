//! What is judged before SQLite sees it: a WAL that was cut short is cut clean, one that was damaged is refused.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

#[path = "support/given.rs"]
mod given;

use std::fs;
use std::sync::Arc;

use given::{Dir, Files, commit, page, seen, write};
use proptest::prelude::*;
use ringfence_store::{Durability, OpenError, Opened, Write, journal};

const WAL: usize = 1;
const HEADER: usize = 32;
const FRAME: usize = 24 + 4096;

/// A directory a process was killed in, after `seqs` commits of acme, with a snapshot in their middle; and a second
/// one to put damaged copies of it in.
fn killed(durability: Durability, seqs: u64) -> (Files, Dir) {
    let dir = Dir::new();
    let mut opened = dir.open_as(durability, 1);
    for seq in 1..=seqs {
        commit(&mut opened, "acme", [seq]);
        if seq == seqs / 2 {
            opened.store.snapshot(&Arc::from("acme"), seq, b"half", &[page(0, 1), page(1, 1)], &[]).unwrap();
        }
    }
    drop(opened);
    (dir.files(), Dir::new())
}

/// Ends of commits, in bytes, ascending.
fn commits(files: &Files) -> Vec<usize> {
    let wal = &files[WAL].1;
    let salts = &wal[16..24];
    let frames = (0..(wal.len() - HEADER) / FRAME).map(|frame| HEADER + frame * FRAME);
    frames
        .filter(|at| wal[at + 4..at + 8] != [0; 4] && wal[at + 8..at + 16] == *salts)
        .map(|at| at + FRAME)
        .collect()
}

/// Puts the files with the WAL changed by `damage`, and opens.
fn open_with(dir: &Dir, files: &Files, damage: impl FnOnce(&mut Vec<u8>)) -> Result<Opened, OpenError> {
    let mut files = files.clone();
    damage(&mut files[WAL].1);
    dir.put(&files);
    dir.try_open()
}

/// Acme has records 1 to some seq, whatever holds them, and can go on from there. Tells the seq.
fn prefix(dir: &Dir, mut opened: Opened) -> u64 {
    let head = opened.reader.accounts().unwrap().first().map_or(0, |head| head.seq);
    if head > 0 {
        let seen = seen(&opened.reader, "acme");
        let from = seen.header.as_ref().map_or(0, |(seq, _)| *seq);
        let tail: Vec<String> = (from + 1..=head).map(|seq| format!("acme:{seq}")).collect();
        assert_eq!(seen.tail, tail);
        assert_eq!(seen.pages.len(), if from > 0 { 2 } else { 0 });
    }
    commit(&mut opened, "acme", head + 1..=head + 2);
    drop(opened);
    assert!(journal::verify(dir.path()).unwrap().is_sound());
    head
}

fn refused(dir: &Dir, outcome: Result<Opened, OpenError>, at: usize) {
    let Err(error) = outcome else { panic!("byte {at} is damaged, and nobody noticed") };
    let text = error.to_string();
    assert!(matches!(error, OpenError::Damaged { .. }), "byte {at}: {text}");
    let wal = dir.file("ringfence.db-wal").display().to_string();
    assert!(text.contains(&wal) && text.contains("in byte ") && text.contains("journal salvage"), "{text}");
}

#[test]
fn a_wal_as_it_was_left_is_taken_whole() {
    for durability in [Durability::Sync, Durability::Os] {
        let (files, dir) = killed(durability, 20);
        assert!(commits(&files).len() > 20);
        let opened = open_with(&dir, &files, |_| {}).unwrap();
        assert_eq!(opened.warnings, [] as [&str; 0]);
        assert_eq!(prefix(&dir, opened), 20);
    }
}

#[test]
fn a_bit_in_the_wal_is_refused_wherever_a_commit_follows_it() {
    let (files, dir) = killed(Durability::Sync, 8);
    let ends = commits(&files);
    let last_frame = ends[ends.len() - 1] - FRAME;
    // Everything but the pages' contents bit by bit of each byte in turn, the contents here and there.
    let structural = |at: usize| at < HEADER || (at - HEADER) % FRAME < 32;
    let offsets = (0..last_frame).filter(|at| structural(*at) || at % 211 == 0);
    for at in offsets {
        let outcome = open_with(&dir, &files, |wal| wal[at] ^= 1 << (at % 8));
        refused(&dir, outcome, at);
        assert_eq!(
            fs::read(dir.file("ringfence.db-wal")).unwrap().len(),
            files[WAL].1.len(),
            "nothing is cut"
        );
    }
}

#[test]
fn a_bit_in_the_last_frame_is_a_torn_tail_and_costs_that_commit_alone() {
    let (files, dir) = killed(Durability::Sync, 8);
    let last_frame = commits(&files).last().unwrap() - FRAME;
    for at in (last_frame..last_frame + FRAME).filter(|at| *at < last_frame + 24 || at % 401 == 0) {
        let opened = open_with(&dir, &files, |wal| wal[at] ^= 1 << (at % 8)).unwrap();
        assert_eq!(prefix(&dir, opened), 7, "byte {at}");
    }
}

#[test]
fn a_wal_cut_short_anywhere_is_a_prefix() {
    let (files, dir) = killed(Durability::Sync, 8);
    let ends = commits(&files);
    let len = files[WAL].1.len();
    // The last commits are those of the records; the one of the term and that of the snapshot are among the others.
    for at in (0..len).filter(|at| at % 1009 == 0 || (at % FRAME).abs_diff(HEADER) < 2 || *at < HEADER) {
        // Without its first commit the term is gone, which the lock file knows of.
        let outcome = open_with(&dir, &files, |wal| wal.truncate(at));
        if at < ends[0] {
            assert!(outcome.unwrap_err().to_string().contains("its WAL is gone"), "byte {at}");
            continue;
        }
        let head = prefix(&dir, outcome.unwrap());
        let whole = ends.iter().filter(|end| **end <= at).count() as u64;
        assert_eq!(head, if whole > 5 { whole - 2 } else { whole - 1 }, "byte {at}");
    }
}

#[test]
fn zeros_and_garbage_behind_the_last_commit_are_cut() {
    let (files, dir) = killed(Durability::Sync, 4);
    for tail in [vec![0; 3 * FRAME], vec![0xA5; 2 * FRAME + 100]] {
        let opened = open_with(&dir, &files, |wal| wal.extend(&tail)).unwrap();
        assert_eq!(prefix(&dir, opened), 4);
    }
}

#[test]
fn frames_of_an_earlier_life_are_no_damage_and_damage_to_them_no_harm() {
    let dir = Dir::new();
    let mut opened = dir.open();
    let large = |seq| Write { record: vec![b'x'; 300 << 10], ..write("acme", seq) };
    // At 8 MiB the committer carries everything over, and the next commit begins the WAL anew.
    let mut seq = 0;
    let salts = || fs::read(dir.file("ringfence.db-wal")).unwrap()[16..24].to_vec();
    let first = salts();
    while salts() == first {
        seq += 1;
        opened.store.commit(&[large(seq)]).unwrap();
        assert!(seq < 100, "the WAL is never begun anew");
    }
    drop(opened);
    let (files, copy) = (dir.files(), Dir::new());
    let wal = &files[WAL].1;
    let end = *commits(&files).last().unwrap();
    assert!(end + 100 * FRAME < wal.len(), "what is left of the first life is behind the second");
    for at in [end, end + 9, end + 5000, wal.len() - 10] {
        let opened = open_with(&copy, &files, |wal| wal[at] ^= 4).unwrap();
        let tail = opened.reader.load("acme").unwrap().unwrap().tail;
        assert_eq!(tail.len() as u64, seq, "byte {at}");
    }
    refused(&copy, open_with(&copy, &files, |wal| wal[end - FRAME - 10] ^= 4), end - FRAME - 10);
}

#[test]
fn after_a_power_failure_a_commit_may_be_there_in_part() {
    let dir = Dir::new();
    let mut opened = dir.open_as(Durability::Sync, 1);
    for seq in 1..=6 {
        opened.store.commit(&[Write { record: vec![b'x'; 10_000], ..write("acme", seq) }]).unwrap();
    }
    drop(opened);
    let (files, dir) = (dir.files(), Dir::new());
    let ends = commits(&files);
    let [.., earlier, before, last] = ends.as_slice() else { unreachable!() };
    assert!(last - before > 2 * FRAME, "this test needs commits of several frames");
    let rebooted = |damage: &dyn Fn(&mut Vec<u8>)| {
        let mut files = files.clone();
        damage(&mut files[WAL].1);
        dir.put(&files);
        dir.reboot_unseen();
        dir.try_open()
    };
    // A page of the commit under way was not yet written: nobody was told of that commit.
    let opened = rebooted(&|wal| wal[*before..before + FRAME].fill(0)).unwrap();
    assert!(opened.warnings[0].contains("in the middle of a commit"), "{:?}", opened.warnings);
    assert_eq!(opened.reader.load("acme").unwrap().unwrap().tail.len(), 5);
    drop(opened);
    // But the commit before it was synced.
    refused(&dir, rebooted(&|wal| wal[*earlier..earlier + FRAME].fill(0)), *earlier);
}

#[test]
fn after_a_power_failure_in_mode_os_a_prefix_is_left_and_its_epochs_are_over() {
    let (files, dir) = killed(Durability::Os, 12);
    let ends = commits(&files);
    for hole in [ends[2], ends[5], ends[9]] {
        let mut files = files.clone();
        files[WAL].1[hole..hole + FRAME].fill(0);
        dir.put(&files);
        dir.reboot_unseen();
        let opened = dir.try_open().unwrap();
        assert!(opened.warnings[0].contains("mode os"), "{:?}", opened.warnings);
        assert_eq!(opened.epoch_least, opened.term);
        assert!(prefix(&dir, opened) < 12);
        dir.put(&files);
        refused(&dir, dir.try_open(), hole);
    }
}

#[test]
fn a_wal_that_is_gone_is_noticed() {
    let (files, dir) = killed(Durability::Sync, 3);
    let error = open_with(&dir, &files, Vec::clear).unwrap_err();
    assert!(error.to_string().contains("its WAL is gone"), "{error}");
    fs::remove_file(dir.file("ringfence.db-wal")).unwrap();
    assert!(dir.try_open().unwrap_err().to_string().contains("its WAL is gone"));
    // With the database gone too there is nothing to be out of step with, but the term goes on.
    fs::remove_file(dir.file("ringfence.db")).unwrap();
    assert_eq!(dir.try_open().unwrap().term, 2);
}

#[test]
fn verify_and_dump_see_the_damage_and_change_nothing() {
    let (files, dir) = killed(Durability::Sync, 6);
    let bad = commits(&files)[2] + 100;
    drop(open_with(&dir, &files, |wal| wal[bad] ^= 1));
    let report = journal::verify(dir.path()).unwrap();
    assert!(report.structure[0].contains("ringfence.db-wal"), "{report:?}");
    let error = journal::dump(dir.path(), None, &mut |_| true).unwrap_err();
    assert!(error.to_string().contains("journal salvage"), "{error}");
    assert_eq!(fs::read(dir.file("ringfence.db")).unwrap(), files[0].1);
    assert_eq!(fs::read(dir.file("ringfence.db-wal")).unwrap().len(), files[WAL].1.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_to_the_wal_it_is_refused_or_a_prefix(
        seqs in 2..10_u64,
        reboot in any::<bool>(),
        os in any::<bool>(),
        harms in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, any::<u8>()), 1..4),
    ) {
        let (mut files, dir) = killed(if os { Durability::Os } else { Durability::Sync }, seqs);
        for (at, kind, byte) in harms {
            let wal = &mut files[WAL].1;
            if wal.is_empty() {
                break;
            }
            let at = at.index(wal.len());
            match kind {
                0 => wal[at] ^= byte,
                1 => wal.truncate(at),
                _ => wal[at..].iter_mut().take(512).for_each(|it| *it = byte),
            }
        }
        dir.put(&files);
        if reboot {
            dir.reboot_unseen();
        }
        match dir.try_open() {
            Ok(opened) => {
                prefix(&dir, opened);
            }
            Err(error) => prop_assert!(matches!(error, OpenError::Damaged { .. }), "{error}"),
        }
    }
}
