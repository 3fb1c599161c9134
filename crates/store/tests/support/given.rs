//! What every test of the store begins with: a directory of its own and short names for what goes in.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ringfence_store::{
    Config, Durability, HistoryLimits, Image, KeyRow, OpenError, Opened, PageId, Reader, TableOp, Verdict,
    Write,
};

/// By name.
pub type Files = Vec<(String, Vec<u8>)>;

/// Removed at the end, also of a test that fails.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ringfence-store-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Without a sync at every commit: what these tests are about does not depend on it.
    pub fn open(&self) -> Opened {
        self.open_as(Durability::Os, 1)
    }

    pub fn open_as(&self, durability: Durability, wall_ms: u64) -> Opened {
        ringfence_store::open(&Config::new(&self.0, durability, wall_ms)).unwrap()
    }

    pub fn try_open(&self) -> Result<Opened, OpenError> {
        ringfence_store::open(&Config::new(&self.0, Durability::Os, 1))
    }

    /// With a history, and limits a few thousand records reach: 16 KiB of journal are copied at once, 256 KiB wait for
    /// it at most.
    pub fn open_with_history(&self, limits: HistoryLimits) -> Opened {
        let plain = Config::new(&self.0, Durability::Os, 1);
        ringfence_store::open(&Config { history: Some(limits), slack_bytes: 2 << 20, ..plain }).unwrap()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The files a process that was killed leaves, for [`Dir::put`].
    pub fn files(&self) -> Files {
        let read = |name: &str| (name.to_owned(), std::fs::read(self.0.join(name)).unwrap_or_default());
        ["ringfence.db", "ringfence.db-wal", "lock"].map(read).to_vec()
    }

    /// Makes the directory one with these files, in place of those it had.
    pub fn put(&self, files: &Files) {
        let _ = std::fs::remove_file(self.0.join("ringfence.db-shm"));
        for (name, bytes) in files {
            std::fs::write(self.0.join(name), bytes).unwrap();
        }
    }

    /// A hand on the file, past the store.
    pub fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.0.join("ringfence.db")).unwrap()
    }

    /// Flips the lowest bit of the byte `at`, counted in the batch from the first place where `after` is found.
    pub fn flip(&self, batch: i64, after: &[u8], at: usize) {
        let sql = self.sql();
        let mut blob: Vec<u8> =
            sql.query_row("SELECT blob FROM batch WHERE id = ?", [batch], |row| row.get(0)).unwrap();
        let found = blob.windows(after.len()).position(|window| window == after).unwrap();
        blob[found + at] ^= 1;
        sql.execute("UPDATE batch SET blob = ? WHERE id = ?", rusqlite::params![blob, batch]).unwrap();
    }

    /// As if the machine had been restarted since: what names the boot names another.
    pub fn reboot(&self) {
        self.reboot_unseen();
        let sql = self.sql();
        let (term, clean, least): (i64, bool, i64) = sql
            .query_row("SELECT term, clean, epoch_least FROM meta", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap();
        let crc = |parts: &[&[u8]]| crc32fast::hash(&parts.concat());
        let inner = crc(&[&term.to_le_bytes(), &[u8::from(clean)], b"another"]);
        let sum = crc(&[&inner.to_le_bytes(), &least.to_le_bytes()]);
        sql.execute("UPDATE meta SET boot = 'another', sum = ?", [sum]).unwrap();
    }

    /// The same for what is looked at before the database is; leaves that and its WAL alone.
    pub fn reboot_unseen(&self) {
        let path = self.0.join("lock");
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        (lines[1], _) = ("boot another", lines.pop());
        let body = format!("{}\n", lines.join("\n"));
        std::fs::write(&path, format!("{body}sum {:08x}\n", crc32fast::hash(body.as_bytes()))).unwrap();
    }

    pub fn count(&self, table: &str) -> u64 {
        self.sql()
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))
            .unwrap() as u64
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Record `seq` of the account, in term 1, saying "account:seq".
pub fn write(account: &str, seq: u64) -> Write {
    Write {
        account: Arc::from(account),
        term: 1,
        prev_seq: seq - 1,
        seq,
        at: 1000 + seq,
        record: format!("{account}:{seq}").into_bytes(),
        ops: Vec::new(),
    }
}

/// Commits records of one account, a batch each; all must be taken.
pub fn commit(opened: &mut Opened, account: &str, seqs: impl IntoIterator<Item = u64>) {
    for seq in seqs {
        assert_eq!(opened.store.commit(&[write(account, seq)]).unwrap(), [Verdict::Committed]);
    }
}

pub fn page(number: u32, byte: u8) -> (PageId, Vec<u8>) {
    (PageId { kind: 1, number }, vec![byte; 100])
}

pub fn id(number: u32) -> PageId {
    PageId { kind: 1, number }
}

pub fn key(id: &str, label: &str) -> KeyRow {
    KeyRow {
        id: id.to_owned(),
        hash: [9; 32],
        account: "acme".to_owned(),
        scopes: "agents:read router".to_owned(),
        label: label.to_owned(),
        created_at: 5,
        expires_at: None,
    }
}

pub fn put(id: &str, label: &str) -> TableOp {
    TableOp::PutKey(key(id, label))
}

/// What a load says, short: the header's seq and text, each page's number and first byte, each record's text.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub header: Option<(u64, String)>,
    pub pages: Vec<(u32, u8)>,
    pub tail: Vec<String>,
}

pub fn seen(reader: &Arc<dyn Reader>, account: &str) -> Seen {
    let Image { header, pages, tail } = reader.load(account).unwrap().unwrap();
    Seen {
        header: header.map(|(seq, text)| (seq, String::from_utf8(text).unwrap())),
        pages: pages.into_iter().map(|(id, blob)| (id.number, blob[0])).collect(),
        tail: tail.into_iter().map(|record| String::from_utf8(record.bytes).unwrap()).collect(),
    }
}

pub fn expect(header: Option<(u64, &str)>, pages: &[(u32, u8)], tail: &[&str]) -> Seen {
    Seen {
        header: header.map(|(seq, text)| (seq, text.to_owned())),
        pages: pages.to_vec(),
        tail: tail.iter().map(|text| (*text).to_owned()).collect(),
    }
}
