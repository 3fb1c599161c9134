//! Bits that flip in the database of a directory at rest: what is served afterwards is what was written, or it is not
//! served.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

#[path = "support/given.rs"]
mod given;

use std::sync::Arc;

use given::{Dir, Files, commit, id, page, put};
use proptest::prelude::*;
use ringfence_store::{Image, KeyRow, LoadError, OpenError, Write};

const ACCOUNTS: [&str; 4] = ["acme", "bolt", "cord", "dune"];
const DB: usize = 0;

/// What a directory with something in every table holds, and its files after a clean stop.
struct Given {
    files: Files,
    images: Vec<Image>,
    keys: Vec<KeyRow>,
}

fn given() -> Given {
    let dir = Dir::new();
    let mut opened = dir.open();
    for seq in 1..=30 {
        for account in ACCOUNTS {
            commit(&mut opened, account, [seq]);
        }
        if seq % 7 == 0 {
            let pages: Vec<_> = (0..12).map(|number| page(number, seq as u8)).collect();
            for account in &ACCOUNTS[..3] {
                opened.store.snapshot(&Arc::from(*account), seq, b"header", &pages, &[id(20)]).unwrap();
            }
            while opened.store.trim().unwrap() {}
        }
    }
    // Contents that reach over several pages of the file.
    let large = Write { record: vec![b'x'; 30_000], ..given::write("dune", 31) };
    opened.store.commit(&[large]).unwrap();
    opened.store.apply_ops(&[put("a", "one"), put("b", "two"), put("c", "three")]).unwrap();
    let images = ACCOUNTS.iter().map(|account| opened.reader.load(account).unwrap().unwrap()).collect();
    let keys = opened.reader.keys().unwrap();
    opened.store.close().unwrap();
    Given { files: dir.files(), images, keys }
}

/// How it went: refused, served in part, served whole.
fn check(dir: &Dir, given: &Given, what: &str) -> [usize; 3] {
    let opened = match dir.try_open() {
        Ok(opened) => opened,
        // A file that says it is somebody else's, or of another format, is refused too.
        Err(OpenError::InUse { .. }) => panic!("{what}: in use"),
        Err(_) => return [1, 0, 0],
    };
    let mut lost = 0;
    for (account, image) in ACCOUNTS.iter().zip(&given.images) {
        match opened.reader.load(account) {
            Ok(Some(found)) => assert!(found == *image, "{what}: {account} is another one"),
            Ok(None) => panic!("{what}: {account} is gone without a word"),
            Err(LoadError::Damaged { .. }) => lost += 1,
            Err(error) => panic!("{what}: {error}"),
        }
    }
    let keys = opened.reader.keys().unwrap();
    assert!(keys.iter().all(|key| given.keys.contains(key)), "{what}: a key nobody made");
    if keys.len() < given.keys.len() || lost > 0 {
        assert!(!opened.warnings.is_empty() || lost > 0, "{what}: nobody is told");
        return [0, 1, 0];
    }
    [0, 0, 1]
}

#[test]
fn a_bit_anywhere_in_the_database_is_noticed_or_harms_nobody() {
    let (given, dir) = (given(), Dir::new());
    dir.put(&given.files);
    assert_eq!(check(&dir, &given, "no bit"), [0, 0, 1]);
    let len = given.files[DB].1.len();
    // The heads of pages, where most of the structure is, more closely than the rest.
    let offsets: Vec<usize> = (0..len)
        .filter(|at| (at % 4096 < 120 && at % 3 == 0) || (*at < 4096 && at % 7 == 0) || at % 173 == 0)
        .collect();
    let mut all = [0; 3];
    for at in offsets {
        let mut files = given.files.clone();
        files[DB].1[at] ^= 1 << (at % 8);
        dir.put(&files);
        let one = check(&dir, &given, &format!("byte {at}"));
        all = std::array::from_fn(|index| all[index] + one[index]);
    }
    assert!(all.iter().all(|count| *count > 10), "refused, served in part, served whole: {all:?}");
}

/// What a checksum in a row cannot tell: that the row is gone.
#[test]
fn a_row_taken_out_of_a_page_is_refused() {
    let (given, dir) = (given(), Dir::new());
    let pages = given.files[DB].1.len() / 4096;
    let mut refused = 0;
    for page in 0..pages {
        let head = page * 4096 + if page == 0 { 100 } else { 0 };
        let mut files = given.files.clone();
        let head = &mut files[DB].1[head..head + 8];
        let cells = u16::from_be_bytes([head[3], head[4]]);
        // Leaves and inner pages of tables and of indexes.
        if ![2, 5, 10, 13].contains(&head[0]) || cells == 0 || cells > 400 {
            continue;
        }
        head[3..5].copy_from_slice(&(cells - 1).to_be_bytes());
        dir.put(&files);
        refused += check(&dir, &given, &format!("a row of page {}", page + 1))[0];
    }
    assert!(refused > 10, "only {refused} of them were refused");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn torn_blocks_of_the_database_are_noticed_or_harm_nobody(
        harms in prop::collection::vec((any::<prop::sample::Index>(), 1..5_usize, any::<u8>()), 1..4),
    ) {
        let (mut given, dir) = (given(), Dir::new());
        let whole = given.files.clone();
        let db = &mut given.files[DB].1;
        let blocks = db.len() / 512;
        for (at, count, byte) in &harms {
            let at = at.index(blocks) * 512;
            db[at..].iter_mut().take(count * 512).for_each(|it| *it = *byte);
        }
        dir.put(&given.files);
        given.files = whole;
        check(&dir, &given, &format!("{harms:?}"));
    }
}
