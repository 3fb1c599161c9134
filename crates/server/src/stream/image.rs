//! Catch-ups made for readers the ring cannot serve, shared by as many of them as possible.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ringfence::Cursor;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::frame::Frame;
use super::ring::Ring;

/// Most bytes of catch-ups alive at once, in units: a storm of joins waits for room instead of taking all memory.
pub(super) const IMAGES_BYTES_MAX: usize = 64 * 1024 * 1024;
pub(super) const IMAGE_UNIT_BYTES: usize = 64 * 1024;
/// How long a catch-up is kept for the next reader after the first asked for it.
const KEPT: Duration = Duration::from_secs(1);
/// Folded deltas kept per channel. Cursors are rounded to few boundaries, so a storm needs few.
const FOLDS_MAX: usize = 8;
/// What a shared catch-up may leave to the ring, beside half its own size, before a newer one is the shorter way.
const FOLLOW_UP_BYTES: usize = 16 * 1024;

/// Frames that bring a reader to `to`.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) epoch: u64,
    pub(super) to: u64,
    pub(super) kind: Kind,
    pub(super) frames: Vec<Frame>,
    made: Instant,
    /// Held for as long as somebody is being sent these bytes.
    _room: OwnedSemaphorePermit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Snapshot,
    /// One delta from here, in parts, for everybody at or beyond it.
    Fold {
        from: u64,
    },
}

/// What a reader needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// Everything, as of this seq or later: no reader is taken back in time.
    Whole { not_before: u64 },
    /// What changed since.
    Since(Cursor),
}

impl Image {
    pub(super) fn new(
        epoch: u64,
        to: u64,
        kind: Kind,
        frames: Vec<Frame>,
        mut room: OwnedSemaphorePermit,
    ) -> Self {
        let units = frames.iter().map(Frame::len).sum::<usize>().div_ceil(IMAGE_UNIT_BYTES).max(1);
        // A larger one than expected is let through: it is there already, and the next one waits the longer.
        if let Some(missing) = units.checked_sub(room.num_permits()).filter(|missing| *missing > 0) {
            let more =
                u32::try_from(missing).ok().map(|n| Arc::clone(room.semaphore()).try_acquire_many_owned(n));
            if let Some(Ok(more)) = more {
                room.merge(more);
            }
        } else {
            drop(room.split(room.num_permits() - units));
        }
        Self { epoch, to, kind, frames, made: Instant::now(), _room: room }
    }

    /// Where it leaves its reader.
    pub(super) fn cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch, seq: self.to }
    }

    pub(super) fn bytes(&self) -> usize {
        self.frames.iter().map(Frame::len).sum()
    }

    /// Whether this and what the ring still has is the whole of what `want` asks for, and not much more.
    fn serves(&self, want: Want, head: u64, ring: &Ring) -> bool {
        let suits = match (self.kind, want) {
            (Kind::Snapshot, Want::Whole { not_before }) => self.to >= not_before,
            (Kind::Fold { from }, Want::Since(cursor)) => {
                from <= cursor.seq && from >= rounded_down(cursor.seq, head) && self.to > cursor.seq
            }
            (Kind::Snapshot, Want::Since(_)) | (Kind::Fold { .. }, Want::Whole { .. }) => false,
        };
        suits && ring.bytes_after(self.to).is_some_and(|bytes| bytes <= self.bytes() / 2 + FOLLOW_UP_BYTES)
    }
}

/// The boundary a cursor shares with others about as far behind: at most a quarter more is sent than would have to be,
/// and everybody between two boundaries gets the same bytes.
pub(super) fn rounded_down(seq: u64, head: u64) -> u64 {
    let behind = head.saturating_sub(seq).max(1);
    let step = (behind / 4).checked_next_power_of_two().map_or(1, |step| (step / 2).max(1));
    seq - seq % step
}

/// The catch-ups of one channel.
#[derive(Debug, Default)]
pub(super) struct Images {
    snapshot: Option<Arc<Image>>,
    folds: VecDeque<Arc<Image>>,
    /// Units the last one took: what the next is expected to take.
    expected_units: u32,
}

impl Images {
    pub(super) fn find(&self, want: Want, epoch: u64, head: u64, ring: &Ring) -> Option<Arc<Image>> {
        let candidates = self.snapshot.iter().chain(&self.folds);
        candidates.filter(|image| image.epoch == epoch).find(|image| image.serves(want, head, ring)).cloned()
    }

    pub(super) fn keep(&mut self, image: &Arc<Image>) {
        self.expected_units = u32::try_from(image.bytes().div_ceil(IMAGE_UNIT_BYTES)).unwrap_or(u32::MAX);
        match image.kind {
            Kind::Snapshot => self.snapshot = Some(Arc::clone(image)),
            Kind::Fold { .. } => {
                self.folds.truncate(FOLDS_MAX - 1);
                self.folds.push_front(Arc::clone(image));
            }
        }
    }

    pub(super) fn expected_units(&self) -> u32 {
        self.expected_units.clamp(1, (IMAGES_BYTES_MAX / IMAGE_UNIT_BYTES / 4) as u32)
    }

    /// Lets go of what has been kept long enough, and says when the next of the rest will have been.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Instant> {
        let fresh = |image: &Arc<Image>| now.duration_since(image.made) < KEPT;
        self.snapshot.take_if(|image| !fresh(image));
        self.folds.retain(fresh);
        self.snapshot.iter().chain(&self.folds).map(|image| image.made + KEPT).min()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::super::ring::{Budget, Covered, RINGS_BYTES_MAX};
    use super::*;

    fn image(kind: Kind, to: u64, bytes: usize) -> Arc<Image> {
        let units = Arc::new(Semaphore::new(8)).try_acquire_many_owned(1).unwrap();
        Arc::new(Image::new(1, to, kind, vec![Frame::text("snapshot", &vec![b'x'; bytes])], units))
    }

    fn ring(tail: u64, frames: &[(u64, u64, usize)]) -> Ring {
        let mut ring = Ring::new(tail, Arc::new(Budget::new(RINGS_BYTES_MAX)));
        for (from, to, bytes) in frames {
            ring.push(Covered { from: *from, to: *to, frame: Frame::text("delta", &vec![b'x'; *bytes]) });
        }
        ring
    }

    #[test]
    fn cursors_about_as_far_behind_share_a_boundary_not_much_older() {
        for head in [10_u64, 1_000, 123_456] {
            for seq in [0, 1, head / 3, head / 2, head - 7, head - 1, head] {
                let from = rounded_down(seq, head);
                assert!(from <= seq && seq - from <= (head - seq) / 4, "{from} {seq} {head}");
            }
        }
        let storm: std::collections::BTreeSet<u64> =
            (8_000..9_000).map(|seq| rounded_down(seq, 10_000)).collect();
        assert!(storm.len() <= 8, "{storm:?}");
    }

    #[test]
    fn a_snapshot_is_shared_while_the_ring_holds_what_follows_it() {
        let snapshot = image(Kind::Snapshot, 20, 100_000);
        let mut images = Images::default();
        images.keep(&snapshot);
        let whole = Want::Whole { not_before: 0 };
        assert!(images.find(whole, 1, 30, &ring(20, &[(20, 30, 1_000)])).is_some());
        assert!(images.find(whole, 2, 30, &ring(20, &[])).is_none(), "another epoch");
        assert!(images.find(whole, 1, 30, &ring(25, &[])).is_none(), "a hole between the two");
        assert!(images.find(whole, 1, 30, &ring(20, &[(20, 30, 90_000)])).is_none(), "too much to follow");
        assert!(images.find(Want::Whole { not_before: 21 }, 1, 30, &ring(20, &[])).is_none(), "back in time");
    }

    #[test]
    fn a_fold_is_shared_by_those_it_brings_forward() {
        let mut images = Images::default();
        images.keep(&image(Kind::Fold { from: 96 }, 200, 1_000));
        let since = |seq| Want::Since(Cursor { epoch: 1, seq });
        let ring = ring(150, &[]);
        assert!(images.find(since(100), 1, 200, &ring).is_some());
        assert!(images.find(since(90), 1, 200, &ring).is_none(), "it begins too late");
        assert!(images.find(since(190), 1, 200, &ring).is_none(), "far more than is needed");
        assert!(images.find(since(200), 1, 201, &ring).is_none());
    }

    #[test]
    fn room_is_taken_by_size_and_given_back_when_nobody_is_sent_it_any_more() {
        let units = Arc::new(Semaphore::new(8));
        let room = Arc::clone(&units).try_acquire_many_owned(2).unwrap();
        let frames = vec![Frame::text("snapshot", &vec![b'x'; 3 * IMAGE_UNIT_BYTES])];
        let mut images = Images::default();
        images.keep(&Arc::new(Image::new(1, 5, Kind::Snapshot, frames, room)));
        assert_eq!(units.available_permits(), 4);
        let over = images.expire(Instant::now()).expect("something is kept");
        assert_eq!(units.available_permits(), 4, "kept for the next reader");
        assert_eq!(images.expire(over), None);
        assert_eq!(units.available_permits(), 8);
    }
}
