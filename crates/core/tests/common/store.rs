//! What a store would keep of an account: encoded records, encoded pages.

use std::collections::BTreeMap;

use ringfence_core::{Account, Dirty, Head, Page, PageKey, Record};

use super::{TERM, World, empty_account};

pub fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec(value).expect("everything that is stored can be encoded")
}

pub fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> T {
    rmp_serde::from_slice(bytes).expect("what was encoded can be decoded")
}

/// An account's whole image, encoded: soft state is not in it.
pub fn image_bytes(account: &Account) -> (Vec<u8>, BTreeMap<PageKey, Vec<u8>>) {
    let image = account.image();
    let pages = image.pages.iter().map(|(key, page)| (*key, encode(page))).collect();
    (encode(&image.head), pages)
}

pub fn assert_same_image(left: &Account, right: &Account, what: &str) {
    let (left_bytes, right_bytes) = (image_bytes(left), image_bytes(right));
    if left_bytes != right_bytes {
        panic!("{what}\n left: {:#?}\nright: {:#?}", left.image(), right.image());
    }
}

/// An account that has read the journal from its beginning.
pub fn replayed(journal: &[Record]) -> Account {
    let mut account = empty_account();
    for record in journal {
        account.replay(&decode(&encode(record)));
    }
    account
}

pub fn check_replay(world: &World) {
    let again = replayed(&world.journal);
    assert_same_image(&world.account, &again, "a replay is the live run again");
    assert_eq!(again.counts(), world.account.counts());
}

/// Snapshot pages as they lie on a disk, brought up to date by what each checkpoint found dirty.
#[derive(Default)]
pub struct Disk {
    head: Option<Vec<u8>>,
    pages: BTreeMap<PageKey, Vec<u8>>,
}

impl Disk {
    pub fn checkpoint(&mut self, account: &mut Account) {
        let Dirty { head, pages } = account.take_dirty();
        self.head = Some(encode(&head));
        for (key, page) in pages {
            match page {
                Some(page) => self.pages.insert(key, encode(&page)),
                None => self.pages.remove(&key),
            };
        }
    }

    pub fn restore(&self) -> Account {
        let head: Head = decode(self.head.as_ref().expect("a checkpoint was taken"));
        let pages = self.pages.values().map(|bytes| decode::<Page>(bytes));
        Account::restore(ringfence_core::AccountId::parse("acc").unwrap(), TERM, head, pages)
    }
}
