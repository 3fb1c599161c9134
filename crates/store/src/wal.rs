//! Looking over the WAL before SQLite opens it.
//!
//! SQLite reads a WAL up to the last commit before the first frame that is not as it was written, takes that frame for
//! the end of what a crash cut short, and goes on from there. That is right if nothing was written behind it. If
//! something was, the frame was whole once, and the commits from it on were acknowledged: SQLite would drop them
//! without a word. So a frame that cannot be believed is damage if commits of the same life of the WAL follow it, and
//! a torn tail, which is cut, if none do.
//!
//! ```text
//! header   0  0x377f0682 or …83    u32   the second: checksums over big-endian words
//!          4  3007000              u32
//!          8  page size            u32
//!         12  checkpoint sequence  u32
//!         16  salts                u64   other ones whenever the WAL is begun anew
//!         24  checksum             2 × u32   of bytes 0..24
//! frame    0  page                 u32
//!          4  pages of the file    u32   in the last frame of a commit; else 0
//!          8  salts                u64   the header's
//!         16  checksum             2 × u32   of bytes 0..8 and the page, going on from the frame before
//!         24  the page
//! ```
//!
//! All of it big-endian, from <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>. Frames of an earlier life
//! may follow the last of this one; their salts tell. So may frames of a transaction that a full disk undid, with the
//! same salts, but then without the one that commits, since that is written last.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::db::PAGE_BYTES;
use crate::error::{Damage, OpenError};
use crate::lock::Run;
use crate::store::Durability;

const HEADER_BYTES: u64 = 32;
const FRAME_HEADER_BYTES: usize = 24;
const FRAME_BYTES: usize = FRAME_HEADER_BYTES + PAGE_BYTES as usize;
/// The other one ends in 3.
const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;
/// Read at once: some frames.
const BUFFER_BYTES: usize = 256 << 10;

/// The WAL of a database.
pub(crate) fn path_of(db: &Path) -> PathBuf {
    let mut path = db.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

/// One frame, believed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) page: u32,
    /// Pages of the file after the commit that this frame ends; 0 in all others.
    pub(crate) commit: u32,
    /// Written in the WAL's present life.
    pub(crate) ours: bool,
    /// Its checksum goes on from the frame before, as that one was stored or as it should have been.
    pub(crate) follows: bool,
}

/// A WAL as it was found.
#[derive(Debug)]
pub(crate) struct Wal {
    /// Why the header cannot be believed.
    pub(crate) bad_header: Option<String>,
    /// Every whole frame, those of earlier lives included.
    pub(crate) frames: Vec<Frame>,
    /// How many of them are as they were written, from the first without a break.
    pub(crate) chained: usize,
    bytes: u64,
}

/// How far the writes of the run before are known to have reached the disk in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The system has been up since: it has every write, in order, and only the last may be cut short. Also when
    /// nothing is known, which is no reason to drop anything.
    Kernel,
    /// The system went down, and every commit was synced before the next began: the frames of one commit may be there
    /// in part.
    Synced,
    /// The system went down, and commits were not synced: any frame since the last checkpoint may be missing.
    Unsynced,
}

impl Reach {
    pub(crate) fn of(run: Option<&Run>, boot: &str) -> Self {
        match run {
            None => Self::Kernel,
            Some(run) if !boot.is_empty() && run.boot == boot => Self::Kernel,
            Some(run) => match run.durability {
                // In mode memory only the term is written, and that is synced.
                Durability::Sync | Durability::Memory => Self::Synced,
                Durability::Os => Self::Unsynced,
            },
        }
    }
}

/// Where the frame lies in the file.
pub(crate) fn offset(frame: usize) -> u64 {
    HEADER_BYTES + (frame * FRAME_BYTES) as u64
}

/// Judges the WAL of `db` and cuts a torn tail off, synced. A text says what was cut, if somebody should know.
///
/// # Errors
/// `Damaged` with the place; nothing was changed then.
pub(crate) fn make_ready(db: &Path, reach: Reach) -> Result<Option<String>, OpenError> {
    let path = path_of(db);
    let Some(wal) = read(&path).map_err(OpenError::io("read", &path))? else { return Ok(None) };
    let warning = wal.judge(reach).map_err(|damage| OpenError::Damaged { path: path.clone(), damage })?;
    let end = wal.end();
    if end < wal.bytes {
        let cut = || {
            let file = OpenOptions::new().write(true).open(&path)?;
            file.set_len(end)?;
            file.sync_all()
        };
        cut().map_err(OpenError::io("cut the torn tail off", &path))?;
    }
    Ok(warning.map(|what| format!("{}: {what}", path.display())))
}

/// `None` if there is none, or an empty one.
pub(crate) fn read(path: &Path) -> io::Result<Option<Wal>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let bytes = file.metadata()?.len();
    let mut input = BufReader::with_capacity(BUFFER_BYTES, file);
    let mut header = [0; HEADER_BYTES as usize];
    if bytes == 0 {
        return Ok(None);
    }
    if bytes < HEADER_BYTES {
        let bad_header = Some("it ends within its header".to_owned());
        return Ok(Some(Wal { bad_header, frames: Vec::new(), chained: 0, bytes }));
    }
    input.read_exact(&mut header)?;
    let mut walk = Walk::new(&header);
    let mut frame = vec![0; FRAME_BYTES];
    for _ in 0..(bytes - HEADER_BYTES) / FRAME_BYTES as u64 {
        input.read_exact(&mut frame)?;
        walk.frame(&frame);
    }
    let Walk { bad_header, frames, chained, .. } = walk;
    Ok(Some(Wal { bad_header, frames, chained, bytes }))
}

impl Wal {
    /// How many frames SQLite takes: up to the last commit before the first that cannot be believed.
    pub(crate) fn committed(&self) -> usize {
        let believed = self.frames.get(..self.chained).unwrap_or_default();
        believed.iter().rposition(|frame| frame.commit != 0).map_or(0, |last| last + 1)
    }

    /// Where what SQLite takes ends.
    fn end(&self) -> u64 {
        match self.committed() {
            0 => 0,
            frames => offset(frames),
        }
    }

    /// Commits at or behind the first frame that cannot be believed, told by their salts alone.
    pub(crate) fn commits_from(&self, frame: usize) -> usize {
        self.frames.iter().skip(frame).filter(|frame| frame.ours && frame.commit != 0).count()
    }

    /// A text if something was cut that an operator should hear of.
    pub(crate) fn judge(&self, reach: Reach) -> Result<Option<String>, Damage> {
        if let Some(why) = &self.bad_header {
            // A WAL is begun anew by a synced header, before any frame: without frames nothing is lost.
            return match self.frames.len() {
                0 => Ok(None),
                frames => Err(Damage::new(format!("{why}, and {frames} frames follow it"), "byte 0")),
            };
        }
        let bad = self.chained;
        let behind = self.commits_from(bad + 1);
        if behind == 0 {
            return Ok(None);
        }
        let damaged = match reach {
            Reach::Kernel => true,
            Reach::Synced => self.commits_from(bad) > 1,
            Reach::Unsynced => false,
        };
        let at = offset(bad);
        if damaged {
            let what = format!(
                "frame {} is not as it was written, and {behind} commits of the same life of the WAL follow it, \
                 which were acknowledged",
                bad + 1
            );
            return Err(Damage::new(what, format!("byte {at}")));
        }
        let what = match reach {
            Reach::Unsynced => "mode os: the system went down before what was acknowledged was on the disk",
            Reach::Kernel | Reach::Synced => {
                "the system went down in the middle of a commit, which nobody was told of"
            }
        };
        Ok(Some(format!("cut at byte {}: {what}", self.end())))
    }
}

/// The frames in order, with what the next is checked against.
struct Walk {
    bad_header: Option<String>,
    salts: [u8; 8],
    big_endian: bool,
    /// As the last frame (or the header) has it, and as it should be.
    stored: Sum,
    computed: Sum,
    frames: Vec<Frame>,
    chained: usize,
}

type Sum = (u32, u32);

impl Walk {
    fn new(header: &[u8; HEADER_BYTES as usize]) -> Self {
        let magic = u32_at(header, 0);
        let big_endian = magic == MAGIC + 1;
        let stored = (u32_at(header, 24), u32_at(header, 28));
        let computed = sum((0, 0), &header[..24], big_endian);
        let page_bytes = u32_at(header, 8);
        let bad_header = if (magic != MAGIC && !big_endian) || stored != computed {
            Some("its header fails its checksum".to_owned())
        } else if u32_at(header, 4) != VERSION || u64::from(page_bytes) != PAGE_BYTES {
            Some(format!("its header is of another format, of pages of {page_bytes} bytes"))
        } else {
            None
        };
        let mut salts = [0; 8];
        salts.copy_from_slice(&header[16..24]);
        Self { bad_header, salts, big_endian, stored, computed, frames: Vec::new(), chained: 0 }
    }

    fn frame(&mut self, frame: &[u8]) {
        // The salts of a broken header are no better than the rest of it; the first frame is the next best witness.
        if self.bad_header.is_some() && self.frames.is_empty() {
            self.salts.copy_from_slice(&frame[8..16]);
        }
        let found = (u32_at(frame, 16), u32_at(frame, 20));
        let from = |seed| {
            let head = sum(seed, &frame[..8], self.big_endian);
            sum(head, &frame[FRAME_HEADER_BYTES..], self.big_endian)
        };
        let computed = from(self.computed);
        let follows = computed == found || (self.stored != self.computed && from(self.stored) == found);
        let salted = frame[8..16] == self.salts;
        // The salts are no part of what is summed up; where they alone are wrong, the chain still tells.
        let ours = salted || (follows && self.frames.last().is_none_or(|former| former.ours));
        let page = u32_at(frame, 0);
        let unbroken = self.bad_header.is_none() && self.chained == self.frames.len();
        if unbroken && salted && page != 0 && computed == found {
            self.chained += 1;
        }
        self.frames.push(Frame { page, commit: u32_at(frame, 4), ours, follows });
        self.stored = found;
        self.computed = if follows { found } else { computed };
    }
}

fn sum(seed: Sum, bytes: &[u8], big_endian: bool) -> Sum {
    let (mut one, mut two) = seed;
    let (pairs, _) = bytes.as_chunks::<8>();
    for &[a, b, c, d, e, f, g, h] in pairs {
        let word = |bytes| if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        one = one.wrapping_add(word([a, b, c, d])).wrapping_add(two);
        two = two.wrapping_add(word([e, f, g, h])).wrapping_add(one);
    }
    (one, two)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A WAL in the making: (page, pages after the commit, which life) for each frame.
    fn wal(big_endian: bool, frames: &[(u32, u32, u8)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [MAGIC + u32::from(big_endian), VERSION, PAGE_BYTES as u32, 0] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend([1; 8]);
        let mut last = sum((0, 0), &bytes, big_endian);
        let push = |bytes: &mut Vec<u8>, sum: Sum| {
            bytes.extend(sum.0.to_be_bytes());
            bytes.extend(sum.1.to_be_bytes());
        };
        push(&mut bytes, last);
        for (page, commit, life) in frames {
            let head = [page.to_be_bytes(), commit.to_be_bytes()].concat();
            let contents = vec![*page as u8; PAGE_BYTES as usize];
            last = sum(sum(last, &head, big_endian), &contents, big_endian);
            bytes.extend(head);
            bytes.extend([*life; 8]);
            push(&mut bytes, last);
            bytes.extend(contents);
        }
        bytes
    }

    fn found(bytes: &[u8]) -> Wal {
        let mut header = [0; HEADER_BYTES as usize];
        header.copy_from_slice(&bytes[..HEADER_BYTES as usize]);
        let mut walk = Walk::new(&header);
        bytes[HEADER_BYTES as usize..].chunks_exact(FRAME_BYTES).for_each(|frame| walk.frame(frame));
        let Walk { bad_header, frames, chained, .. } = walk;
        Wal { bad_header, frames, chained, bytes: bytes.len() as u64 }
    }

    /// Frames that count, then what is thought of the rest in each case.
    fn judged(bytes: &[u8]) -> (usize, [&'static str; 3]) {
        let wal = found(bytes);
        let judge = |reach| match wal.judge(reach) {
            Ok(None) => "whole",
            Ok(Some(_)) => "cut",
            Err(_) => "damaged",
        };
        (wal.committed(), [Reach::Kernel, Reach::Synced, Reach::Unsynced].map(judge))
    }

    const FIVE: [(u32, u32, u8); 5] = [(1, 0, 1), (2, 2, 1), (3, 3, 1), (4, 0, 1), (5, 5, 1)];

    #[test]
    fn what_was_written_is_taken_up_to_its_last_commit() {
        for big_endian in [false, true] {
            assert_eq!(judged(&wal(big_endian, &FIVE)), (5, ["whole"; 3]));
            assert_eq!(
                judged(&wal(big_endian, &FIVE[..4])),
                (3, ["whole"; 3]),
                "nobody was told of the rest"
            );
            assert_eq!(judged(&wal(big_endian, &FIVE[..1])), (0, ["whole"; 3]));
            assert_eq!(judged(&wal(big_endian, &[])), (0, ["whole"; 3]));
        }
    }

    #[test]
    fn a_bad_frame_is_damage_iff_a_commit_follows_it() {
        let flipped = |frame: usize, at: usize| {
            let mut bytes = wal(false, &FIVE);
            bytes[offset(frame) as usize + at] ^= 0x10;
            judged(&bytes)
        };
        // In the page's number, the salts, the checksum, the page.
        for at in [0, 8, 16, 24, 4000] {
            assert_eq!(flipped(0, at), (0, ["damaged", "damaged", "cut"]));
            assert_eq!(flipped(2, at), (2, ["damaged", "damaged", "cut"]));
            assert_eq!(flipped(3, at), (3, ["damaged", "cut", "cut"]), "one commit may be there in part");
            assert_eq!(flipped(4, at), (3, ["whole"; 3]), "nothing follows it");
        }
    }

    #[test]
    fn frames_that_were_undone_or_are_of_an_earlier_life_are_no_commits() {
        let mut bytes = wal(false, &FIVE[..3]);
        // A longer transaction that a full disk undid, and which a shorter one was written over.
        let undone = wal(false, &[(1, 0, 1), (2, 0, 1), (3, 0, 1), (9, 0, 1), (9, 0, 1)]);
        bytes.extend(&undone[bytes.len()..]);
        assert_eq!(judged(&bytes), (3, ["whole"; 3]));
        let earlier = wal(false, &[(1, 1, 0), (2, 2, 0), (3, 3, 0), (4, 4, 0), (5, 5, 0)]);
        bytes.truncate(offset(3) as usize);
        bytes.extend(&earlier[bytes.len()..]);
        assert_eq!(judged(&bytes), (3, ["whole"; 3]));
    }

    #[test]
    fn a_broken_header_is_damage_as_soon_as_there_is_a_frame() {
        for at in 0..HEADER_BYTES as usize {
            let mut bytes = wal(false, &FIVE);
            bytes[at] ^= 2;
            assert_eq!(judged(&bytes), (0, ["damaged"; 3]), "byte {at}");
            bytes.truncate(offset(0) as usize);
            assert_eq!(judged(&bytes), (0, ["whole"; 3]), "byte {at}");
        }
    }

    #[test]
    fn what_follows_a_bad_frame_is_told_from_what_does_not() {
        let mut bytes = wal(false, &FIVE);
        bytes[offset(1) as usize + FRAME_HEADER_BYTES + 7] ^= 1;
        let follows = |wal: &Wal| wal.frames.iter().map(|frame| frame.follows).collect::<Vec<_>>();
        assert_eq!(follows(&found(&bytes)), [true, false, true, true, true]);
        // A checksum that is wrong itself does not cast doubt on what comes next either.
        let mut bytes = wal(false, &FIVE);
        bytes[offset(1) as usize + 20] ^= 1;
        assert_eq!(follows(&found(&bytes)), [true, false, true, true, true]);
    }
}
