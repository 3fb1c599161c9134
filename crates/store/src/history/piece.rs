//! One row of the history: records of an account that follow each other, or a part of a full state.
//!
//! ```text
//! records   per record:  term u64, previous seq u64, seq u64, at u64, length u32, bytes
//! state     first part:  length u32, header; then, in all parts,
//!           per page:    kind u8, number u32, length u32, bytes
//! ```
//!
//! Little-endian, then compressed as one zstd frame. The sum is a CRC-32 of the row's other columns and the frame.

use crate::error::Damage;
use crate::history::State;
use crate::image::{PageId, Record};

/// A sixth of the size at some 400 MB/s; a higher one gains nothing on records.
const LEVEL: i32 = 1;
/// A part of a state is closed once it has this much, before it is compressed.
const PART_BYTES: usize = 1 << 20;
/// What a piece claims to unpack to beyond this is not believed. A record has no such limit of its own, SQLite has.
const RAW_BYTES_MAX: u64 = 1 << 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Records,
    State,
}

impl Kind {
    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Records => 0,
            Self::State => 1,
        }
    }
}

/// What a row says of what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) account: String,
    pub(crate) kind: Kind,
    /// Of a state: which part of how many. Records are one of one.
    pub(crate) part: u32,
    pub(crate) parts: u32,
    /// The seq the first record follows; of a state its own seq.
    pub(crate) prev_seq: u64,
    pub(crate) last_seq: u64,
    pub(crate) first_at: u64,
    pub(crate) last_at: u64,
    /// Of the last record, or of the account's head when the state was taken.
    pub(crate) term: u64,
    /// Before compression.
    pub(crate) raw_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) label: Label,
    pub(crate) sum: u32,
    pub(crate) blob: Vec<u8>,
}

impl Piece {
    fn pack(mut label: Label, raw: &[u8]) -> Result<Self, String> {
        label.raw_bytes = raw.len() as u64;
        let blob = zstd::bulk::compress(raw, LEVEL).map_err(|error| format!("cannot compress: {error}"))?;
        let sum = label.sum(&blob);
        Ok(Self { label, sum, blob })
    }

    /// Records of one account, at least one, each following the one before.
    pub(crate) fn of_records(account: &str, records: &[Record]) -> Result<Self, String> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return Err("a piece of no records: a bug".to_owned());
        };
        let mut raw = Vec::new();
        for record in records {
            for number in [record.term, record.prev_seq, record.seq, record.at] {
                raw.extend_from_slice(&number.to_le_bytes());
            }
            put_bytes(&mut raw, &record.bytes)?;
        }
        let label = Label {
            account: account.to_owned(),
            kind: Kind::Records,
            part: 0,
            parts: 1,
            prev_seq: first.prev_seq,
            last_seq: last.seq,
            first_at: first.at,
            last_at: last.at,
            term: last.term,
            raw_bytes: 0,
        };
        Self::pack(label, &raw)
    }

    pub(crate) fn damage(&self, what: &str) -> Damage {
        let Label { account, prev_seq, last_seq, kind, .. } = &self.label;
        let place = match kind {
            Kind::Records => format!("the history of {account} after {prev_seq} and up to {last_seq}"),
            Kind::State => format!("the state of {account} at {last_seq} in the history"),
        };
        Damage::new(what, place)
    }

    fn raw(&self) -> Result<Vec<u8>, Damage> {
        if self.label.sum(&self.blob) != self.sum {
            return Err(self.damage("a piece fails its checksum"));
        }
        let capacity = usize::try_from(self.label.raw_bytes.min(RAW_BYTES_MAX)).unwrap_or(0);
        match zstd::bulk::decompress(&self.blob, capacity) {
            Ok(raw) if raw.len() as u64 == self.label.raw_bytes => Ok(raw),
            Ok(_) | Err(_) => Err(self.damage("a piece does not unpack to what was packed")),
        }
    }

    /// # Errors
    /// When the row is not as it was written.
    pub(crate) fn records(&self) -> Result<Vec<Record>, Damage> {
        let raw = self.raw()?;
        let (mut rest, mut records) = (raw.as_slice(), Vec::new());
        while !rest.is_empty() {
            let record = || -> Option<(Record, &[u8])> {
                let (term, rest) = take_u64(rest)?;
                let (prev_seq, rest) = take_u64(rest)?;
                let (seq, rest) = take_u64(rest)?;
                let (at, rest) = take_u64(rest)?;
                let (bytes, rest) = take_bytes(rest)?;
                Some((Record { term, prev_seq, seq, at, bytes: bytes.to_vec() }, rest))
            };
            let Some((record, after)) = record() else {
                return Err(self.damage("a piece ends within a record"));
            };
            records.push(record);
            rest = after;
        }
        Ok(records)
    }
}

impl Label {
    fn sum(&self, blob: &[u8]) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&(self.account.len() as u64).to_le_bytes());
        crc.update(self.account.as_bytes());
        crc.update(&self.kind.number().to_le_bytes());
        crc.update(&self.part.to_le_bytes());
        crc.update(&self.parts.to_le_bytes());
        for number in [self.prev_seq, self.last_seq, self.first_at, self.last_at, self.term, self.raw_bytes] {
            crc.update(&number.to_le_bytes());
        }
        crc.update(blob);
        crc.finalize()
    }
}

/// A state on its way into pieces, page by page, so that a large account is never packed as a whole.
pub(crate) struct Packing {
    account: String,
    seq: u64,
    term: u64,
    at: u64,
    raw: Vec<u8>,
    done: Vec<(u64, Vec<u8>)>,
}

impl Packing {
    pub(crate) fn begin(account: &str, seq: u64, term: u64, at: u64, header: &[u8]) -> Result<Self, String> {
        let mut raw = Vec::new();
        put_bytes(&mut raw, header)?;
        Ok(Self { account: account.to_owned(), seq, term, at, raw, done: Vec::new() })
    }

    pub(crate) fn page(&mut self, id: PageId, blob: &[u8]) -> Result<(), String> {
        self.raw.push(id.kind);
        self.raw.extend_from_slice(&id.number.to_le_bytes());
        put_bytes(&mut self.raw, blob)?;
        if self.raw.len() >= PART_BYTES { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), String> {
        let packed =
            zstd::bulk::compress(&self.raw, LEVEL).map_err(|error| format!("cannot compress: {error}"))?;
        self.done.push((self.raw.len() as u64, packed));
        self.raw.clear();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Vec<Piece>, String> {
        if !self.raw.is_empty() {
            self.close()?;
        }
        let parts = u32::try_from(self.done.len()).map_err(|_| "a state of too many parts".to_owned())?;
        let Self { account, seq, term, at, done, .. } = self;
        let piece = |(part, (raw_bytes, blob)): (u32, (u64, Vec<u8>))| {
            let label = Label {
                account: account.clone(),
                kind: Kind::State,
                part,
                parts,
                prev_seq: seq,
                last_seq: seq,
                first_at: at,
                last_at: at,
                term,
                raw_bytes,
            };
            Piece { sum: label.sum(&blob), label, blob }
        };
        Ok((0..).zip(done).map(piece).collect())
    }
}

/// The state that these parts make, which must be all of one state, in order.
///
/// # Errors
/// When a part is missing or not as it was written.
pub(crate) fn state(parts: &[Piece]) -> Result<State, Damage> {
    let Some(first) = parts.first() else {
        return Err(Damage::new("a state has no parts", "the history"));
    };
    let whole = (0..).zip(parts).all(|(number, piece)| piece.label.part == number)
        && first.label.parts as usize == parts.len();
    if !whole {
        return Err(first.damage("parts of it are missing"));
    }
    let short = |piece: &Piece| piece.damage("a piece ends within a page");
    let raw = first.raw()?;
    let (header, rest) = take_bytes(&raw).ok_or_else(|| short(first))?;
    let mut pages = Vec::new();
    take_pages(rest, &mut pages).ok_or_else(|| short(first))?;
    for piece in &parts[1..] {
        take_pages(&piece.raw()?, &mut pages).ok_or_else(|| short(piece))?;
    }
    let Label { last_seq: seq, last_at: at, term, .. } = first.label;
    Ok(State { seq, term, at, header: header.to_vec(), pages })
}

fn take_pages(mut rest: &[u8], pages: &mut Vec<(PageId, Vec<u8>)>) -> Option<()> {
    while let Some((kind, after)) = rest.split_first() {
        let (number, after) = after.split_first_chunk::<4>()?;
        let (blob, after) = take_bytes(after)?;
        pages.push((PageId { kind: *kind, number: u32::from_le_bytes(*number) }, blob.to_vec()));
        rest = after;
    }
    Some(())
}

fn put_bytes(raw: &mut Vec<u8>, bytes: &[u8]) -> Result<(), String> {
    let length =
        u32::try_from(bytes.len()).map_err(|_| "what is too long for the history: a bug".to_owned())?;
    raw.extend_from_slice(&length.to_le_bytes());
    raw.extend_from_slice(bytes);
    Ok(())
}

fn take_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*number), rest))
}

fn take_bytes(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        let record = |seq: u64| Record {
            term: 9,
            prev_seq: seq - 1,
            seq,
            at: 100 + seq,
            bytes: vec![7; seq as usize],
        };
        (5..=9).map(record).collect()
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let piece = Piece::of_records("acme", &records()).unwrap();
        assert_eq!(piece.records().unwrap(), records());
        assert_eq!((piece.label.prev_seq, piece.label.last_seq), (4, 9));

        let mut packing = Packing::begin("acme", 9, 3, 109, b"header").unwrap();
        let pages: Vec<_> =
            (0..40).map(|number| (PageId { kind: 2, number }, vec![number as u8; 70_000])).collect();
        pages.iter().for_each(|(id, blob)| packing.page(*id, blob).unwrap());
        let parts = packing.finish().unwrap();
        assert!(parts.len() > 2, "{} parts", parts.len());
        let expected = State { seq: 9, term: 3, at: 109, header: b"header".to_vec(), pages };
        assert_eq!(state(&parts).unwrap(), expected);
        assert!(state(&parts[..parts.len() - 1]).is_err());
        assert!(state(&parts[1..]).is_err());
        let empty = Packing::begin("acme", 9, 3, 109, b"").unwrap().finish().unwrap();
        assert_eq!(state(&empty).unwrap().pages, []);
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let whole = Piece::of_records("acme", &records()).unwrap();
        for bit in 0..whole.blob.len() * 8 {
            let mut piece = whole.clone();
            piece.blob[bit / 8] ^= 1 << (bit % 8);
            assert!(piece.records().is_err(), "bit {bit}");
        }
        type Change = fn(&mut Label);
        let changes: [Change; 6] = [
            |label| label.account = "bolt".to_owned(),
            |label| label.prev_seq ^= 1,
            |label| label.last_seq ^= 64,
            |label| label.first_at ^= 2,
            |label| label.last_at ^= 1,
            |label| label.raw_bytes = u64::MAX,
        ];
        for change in changes {
            let mut piece = whole.clone();
            change(&mut piece.label);
            assert!(piece.records().is_err(), "{:?}", piece.label);
        }
    }
}
