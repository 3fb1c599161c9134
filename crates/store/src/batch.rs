//! The blob of one group commit: how records lie on the disk, and how damage to them is told apart.
//!
//! All numbers are little-endian; `crc` is CRC-32 (IEEE).
//!
//! ```text
//! header   0  "RFJB"
//!          4  format          u16   1
//!          6  zero            u16
//!          8  batch id        u64   the row's id: a blob in another's place is found out
//!         16  previous crc    u32   the trailing crc of batch id - 1: the chain
//!         20  entries         u32
//!         24  crc             u32   of bytes 0..24
//! entry    0  head crc        u32   of batch id u64, entry's index u32, and the bytes from 4 to the record
//!          4  account length  u16
//!          6  account         UTF-8
//!          .  term            u64
//!          .  previous seq    u64
//!          .  seq             u64
//!          .  at              u64   epoch ms
//!          .  record length   u32
//!          .  record
//!          .  crc             u32   of the head crc and the record
//! trailer  0  crc             u32   of everything before
//! ```
//!
//! An entry's head is checked apart from its record, so that a flipped bit in a record still tells whose record it is
//! and where the next entry begins: only that account is lost. A broken head ends the walk, since neither its account
//! nor its length can be believed. A broken header or trailer loses nothing as long as the walk meets the trailer.

use crate::error::Damage;
use crate::write::Write;

/// Reads `journal batch` in a hex dump.
const MAGIC: [u8; 4] = *b"RFJB";
/// Raised when a reader of the former layout would misread the new one.
const FORMAT: u16 = 1;
const HEADER_BYTES: usize = 28;
const TRAILER_BYTES: usize = 4;
/// An entry without its account and its record.
const ENTRY_BYTES: usize = 46;
/// Before the account in an entry's head.
const ACCOUNT_AT: usize = 6;
/// Between the account and the record.
const NUMBERS_BYTES: usize = 36;

/// Bytes a record takes in a batch.
pub(crate) fn entry_bytes(account: &str, record: &[u8]) -> u64 {
    (ENTRY_BYTES + account.len() + record.len()) as u64
}

/// Where an entry lies in its batch: enough to read it without the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) index: u32,
    /// From the blob's first byte. SQLite holds no blob that 32 bits could not count.
    pub(crate) start: u32,
    pub(crate) bytes: u32,
}

/// Where [`encode`] puts these writes.
pub(crate) fn spots<'w>(writes: &'w [&'w Write]) -> impl Iterator<Item = Spot> + 'w {
    let mut start = HEADER_BYTES as u64;
    (0_u32..).zip(writes).map(move |(index, write)| {
        let bytes = entry_bytes(&write.account, &write.record);
        let spot = Spot { index, start: narrow(start), bytes: narrow(bytes) };
        start += bytes;
        spot
    })
}

fn narrow(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Fills `blob` with a batch and returns its trailing crc.
///
/// # Errors
/// An account or a record that does not fit its length field is a bug of the caller.
pub(crate) fn encode(blob: &mut Vec<u8>, id: u64, prev_crc: u32, writes: &[&Write]) -> Result<u32, String> {
    let too_long = |what: &str| format!("{what} of a batch does not fit its length field: a bug");
    blob.clear();
    blob.extend_from_slice(&MAGIC);
    blob.extend_from_slice(&FORMAT.to_le_bytes());
    blob.extend_from_slice(&[0; 2]);
    blob.extend_from_slice(&id.to_le_bytes());
    blob.extend_from_slice(&prev_crc.to_le_bytes());
    blob.extend_from_slice(&u32::try_from(writes.len()).map_err(|_| too_long("the entries"))?.to_le_bytes());
    let crc = crc32fast::hash(blob);
    blob.extend_from_slice(&crc.to_le_bytes());
    for (index, write) in (0_u32..).zip(writes) {
        let start = blob.len();
        let account = u16::try_from(write.account.len()).map_err(|_| too_long("an account"))?;
        let record = u32::try_from(write.record.len()).map_err(|_| too_long("a record"))?;
        blob.extend_from_slice(&[0; 4]);
        blob.extend_from_slice(&account.to_le_bytes());
        blob.extend_from_slice(write.account.as_bytes());
        for number in [write.term, write.prev_seq, write.seq, write.at] {
            blob.extend_from_slice(&number.to_le_bytes());
        }
        blob.extend_from_slice(&record.to_le_bytes());
        let head = head_crc(id, index, &blob[start + 4..]);
        blob[start..start + 4].copy_from_slice(&head.to_le_bytes());
        blob.extend_from_slice(&write.record);
        blob.extend_from_slice(&record_crc(head, &write.record).to_le_bytes());
    }
    let crc = crc32fast::hash(blob);
    blob.extend_from_slice(&crc.to_le_bytes());
    Ok(crc)
}

/// A batch as it was found.
pub(crate) struct Batch<'a> {
    /// The crc the chain goes on with, computed; equal to the stored one unless something is damaged.
    pub(crate) crc: u32,
    pub(crate) stored_crc: u32,
    /// `None` if the header is broken.
    pub(crate) prev_crc: Option<u32>,
    /// Up to the end, or to the first broken head.
    pub(crate) entries: Vec<Entry<'a>>,
    /// Why there may be entries, of accounts unknown, beyond those.
    pub(crate) unreadable: Option<String>,
    /// What is broken without having cost a record.
    pub(crate) blemish: Option<String>,
}

/// One record as it was found. Its head is as it was written; [`Entry::sound`] tells whether the record is.
pub(crate) struct Entry<'a> {
    pub(crate) account: &'a str,
    pub(crate) term: u64,
    pub(crate) prev_seq: u64,
    pub(crate) seq: u64,
    pub(crate) at: u64,
    pub(crate) record: &'a [u8],
    pub(crate) spot: Spot,
    head: u32,
    crc: u32,
}

impl<'a> Entry<'a> {
    /// The entry alone, as read from its spot; `None` if its head is not that of this spot in this batch.
    pub(crate) fn decode(id: u64, spot: Spot, bytes: &'a [u8]) -> Option<Self> {
        let (entry, end) = decode_entry(id, spot.index, bytes, 0)?;
        (end == bytes.len()).then_some(entry)
    }

    pub(crate) fn sound(&self) -> bool {
        record_crc(self.head, self.record) == self.crc
    }

    pub(crate) fn damage(&self, id: u64) -> Damage {
        Damage::new(format!("the record of seq {} fails its checksum", self.seq), place(id))
    }
}

/// How a batch is named to people.
pub(crate) fn place(id: u64) -> String {
    format!("journal batch {id}")
}

/// Takes a blob apart, believing nothing a checksum does not vouch for.
pub(crate) fn decode(id: u64, blob: &[u8]) -> Batch<'_> {
    let (body, trailer) = blob.split_last_chunk::<TRAILER_BYTES>().unwrap_or((&[], &[0; TRAILER_BYTES]));
    let mut batch = Batch {
        crc: crc32fast::hash(body),
        stored_crc: u32::from_le_bytes(*trailer),
        prev_crc: None,
        entries: Vec::new(),
        unreadable: None,
        blemish: None,
    };
    for entry in Walk::new(id, blob) {
        match entry {
            Ok(entry) => batch.entries.push(entry),
            Err(what) => {
                batch.unreadable = Some(what);
                return batch;
            }
        }
    }
    match Header::decode(id, body) {
        Ok(header) if header.entries as usize != batch.entries.len() => {
            let (found, written) = (batch.entries.len(), header.entries);
            batch.unreadable = Some(format!("it has {found} entries and was written with {written}"));
        }
        Ok(header) => {
            batch.prev_crc = Some(header.prev_crc);
            if batch.crc != batch.stored_crc && batch.entries.iter().all(Entry::sound) {
                batch.blemish = Some("the trailing checksum is wrong, every record is right".to_owned());
            }
        }
        // No batch is written without entries, so none to be seen means that they are gone.
        Err(what) if batch.entries.is_empty() => batch.unreadable = Some(what),
        Err(what) => batch.blemish = Some(format!("{what}, every entry can be read")),
    }
    batch
}

/// The entries of a blob in order; ends after the last, or with the error of the first head that cannot be believed.
struct Walk<'a> {
    id: u64,
    index: u32,
    body: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn new(id: u64, blob: &'a [u8]) -> Self {
        // A blob too short for a header has its first entry beyond its end, which is an error of the walk.
        let body = &blob[..blob.len().saturating_sub(TRAILER_BYTES)];
        Self { id, index: 0, body, at: HEADER_BYTES }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<Entry<'a>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.body.len() || self.at == usize::MAX {
            return None;
        }
        let Some((entry, next)) = decode_entry(self.id, self.index, self.body, self.at) else {
            self.at = usize::MAX;
            return Some(Err(format!("the head of entry {} fails its checksum", self.index)));
        };
        self.at = next;
        self.index += 1;
        Some(Ok(entry))
    }
}

struct Header {
    prev_crc: u32,
    entries: u32,
}

impl Header {
    fn decode(id: u64, body: &[u8]) -> Result<Self, String> {
        let Some((head, crc)) = body.get(..HEADER_BYTES).and_then(<[u8]>::split_last_chunk::<4>) else {
            return Err(format!("it has {} bytes, too few for a header", body.len()));
        };
        if u32::from_le_bytes(*crc) != crc32fast::hash(head) {
            return Err("its header fails its checksum".to_owned());
        }
        let found = u64_at(head, 8).unwrap_or(0);
        if head[..4] != MAGIC || head[4..6] != FORMAT.to_le_bytes() || found != id {
            return Err(format!("its header is of batch {found} or of another format"));
        }
        Ok(Self { prev_crc: u32_at(head, 16).unwrap_or(0), entries: u32_at(head, 20).unwrap_or(0) })
    }
}

/// The entry at `start` and where the next begins; `None` if its head cannot be believed.
fn decode_entry(id: u64, index: u32, body: &[u8], start: usize) -> Option<(Entry<'_>, usize)> {
    let head = u32_at(body, start)?;
    let account_len = usize::from(u16::from_le_bytes(body.get(start + 4..start + 6)?.try_into().ok()?));
    let numbers = start + ACCOUNT_AT + account_len;
    let record_at = numbers + NUMBERS_BYTES;
    if head_crc(id, index, body.get(start + 4..record_at)?) != head {
        return None;
    }
    let account = std::str::from_utf8(&body[start + ACCOUNT_AT..numbers]).ok()?;
    let end = record_at.checked_add(u32_at(body, numbers + 32)? as usize)?;
    let record = body.get(record_at..end)?;
    let entry = Entry {
        account,
        term: u64_at(body, numbers)?,
        prev_seq: u64_at(body, numbers + 8)?,
        seq: u64_at(body, numbers + 16)?,
        at: u64_at(body, numbers + 24)?,
        record,
        spot: Spot { index, start: narrow(start as u64), bytes: narrow((end + 4 - start) as u64) },
        head,
        crc: u32_at(body, end)?,
    };
    Some((entry, end + 4))
}

fn head_crc(id: u64, index: u32, head: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&id.to_le_bytes());
    crc.update(&index.to_le_bytes());
    crc.update(head);
    crc.finalize()
}

fn record_crc(head: u32, record: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head.to_le_bytes());
    crc.update(record);
    crc.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn write(account: &str, seq: u64, record: &[u8]) -> Write {
        let account = Arc::from(account);
        Write {
            account,
            term: 7,
            prev_seq: seq - 1,
            seq,
            at: 1000 + seq,
            record: record.to_vec(),
            ops: Vec::new(),
        }
    }

    fn three() -> Vec<u8> {
        let writes = [write("acme", 1, b"first"), write("bolt", 9, b""), write("acme", 2, b"second")];
        let writes: Vec<_> = writes.iter().collect();
        let mut blob = Vec::new();
        encode(&mut blob, 42, 0xABCD, &writes).unwrap();
        let found: Vec<_> = decode(42, &blob).entries.iter().map(|entry| entry.spot).collect();
        assert_eq!(found, spots(&writes).collect::<Vec<_>>());
        blob
    }

    fn seen(batch: &Batch<'_>) -> Vec<(String, u64, bool)> {
        batch.entries.iter().map(|entry| (entry.account.to_owned(), entry.seq, entry.sound())).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let blob = three();
        let batch = decode(42, &blob);
        assert_eq!(batch.prev_crc, Some(0xABCD));
        assert_eq!(batch.crc, batch.stored_crc);
        assert_eq!((batch.unreadable.as_ref(), batch.blemish.as_ref()), (None, None));
        let expected =
            [("acme".to_owned(), 1, true), ("bolt".to_owned(), 9, true), ("acme".to_owned(), 2, true)];
        assert_eq!(seen(&batch), expected);
        assert_eq!(batch.entries[2].record, b"second");
        for entry in &batch.entries {
            let (start, bytes) = (entry.spot.start as usize, entry.spot.bytes as usize);
            let alone = Entry::decode(42, entry.spot, &blob[start..start + bytes]).unwrap();
            assert_eq!((alone.account, alone.seq, alone.record), (entry.account, entry.seq, entry.record));
        }
        assert_eq!((batch.entries[2].term, batch.entries[2].prev_seq, batch.entries[2].at), (7, 1, 1002));
    }

    #[test]
    fn every_flipped_bit_is_found_and_never_moves_a_record_to_another_account() {
        let whole = three();
        let before = seen(&decode(42, &whole));
        for bit in 0..whole.len() * 8 {
            let mut blob = whole.clone();
            blob[bit / 8] ^= 1 << (bit % 8);
            let batch = decode(42, &blob);
            let lost = batch.entries.iter().any(|entry| !entry.sound()) || batch.unreadable.is_some();
            assert!(lost || batch.blemish.is_some(), "bit {bit} goes unnoticed");
            for (found, expected) in seen(&batch).iter().zip(&before) {
                assert_eq!(
                    (&found.0, found.1),
                    (&expected.0, expected.1),
                    "bit {bit} changes whose record it is"
                );
            }
            assert!(
                batch.unreadable.is_some() || batch.entries.len() == before.len(),
                "bit {bit} hides an entry"
            );
        }
    }

    #[test]
    fn every_truncation_is_found() {
        let whole = three();
        for len in 0..whole.len() {
            let batch = decode(42, &whole[..len]);
            assert!(batch.unreadable.is_some(), "a batch cut at {len} goes unnoticed");
        }
    }

    #[test]
    fn a_blob_in_anothers_place_is_found() {
        assert!(decode(43, &three()).unreadable.is_some());
    }
}
