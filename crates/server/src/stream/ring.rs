//! The last frames of a channel, as they were encoded: what a reader who keeps up is sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::frame::Frame;

/// Most bytes one ring keeps. A reader further behind is sent one folded delta, which is shorter than what it missed.
pub(super) const RING_BYTES_MAX: usize = 256 * 1024;
/// Most bytes all rings keep together. Beyond it rings empty themselves and their slow readers are folded.
pub(super) const RINGS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What all rings of a server share.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    max: usize,
    /// Frames that were not kept for want of room.
    refused: AtomicUsize,
}

impl Budget {
    pub(super) fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max, refused: AtomicUsize::new(0) }
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.max);
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if !taken {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A frame and the seqs it covers: (from, to].
#[derive(Debug, Clone)]
pub(super) struct Covered {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) frame: Frame,
}

/// Frames without a hole from `tail` on: each begins where the one before it ends.
#[derive(Debug)]
pub(super) struct Ring {
    frames: VecDeque<Covered>,
    bytes: usize,
    /// A reader at or beyond this finds everything it misses in `frames`.
    tail: u64,
    /// Where the last frame ended, kept or not: what its readers know to have.
    end: u64,
    budget: Arc<Budget>,
}

impl Ring {
    pub(super) fn new(at: u64, budget: Arc<Budget>) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, tail: at, end: at, budget }
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn push(&mut self, next: Covered) {
        debug_assert_eq!(next.from, self.end, "a frame begins where the last one ended");
        let bytes = next.frame.len();
        self.end = next.to;
        while self.bytes + bytes > RING_BYTES_MAX && self.drop_oldest() {}
        if bytes > RING_BYTES_MAX || !self.budget.take(bytes) {
            while self.drop_oldest() {}
            self.tail = next.to;
            return;
        }
        self.bytes += bytes;
        self.frames.push_back(next);
    }

    /// What a reader at `seq` misses, oldest first; None when that is no longer here.
    pub(super) fn after(&self, seq: u64) -> Option<impl Iterator<Item = &Covered>> {
        (seq >= self.tail).then(|| self.frames.range(self.frames.partition_point(|kept| kept.to <= seq)..))
    }

    /// Bytes a reader at `seq` misses; None when they are no longer here.
    pub(super) fn bytes_after(&self, seq: u64) -> Option<usize> {
        Some(self.after(seq)?.map(|kept| kept.frame.len()).sum())
    }

    /// Another epoch: nothing kept is worth anything.
    pub(super) fn restart(&mut self, at: u64) {
        while self.drop_oldest() {}
        self.tail = at;
        self.end = at;
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.frames.pop_front() else { return false };
        let bytes = oldest.frame.len();
        self.bytes -= bytes;
        self.budget.give_back(bytes);
        self.tail = oldest.to;
        true
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(from: u64, to: u64, bytes: usize) -> Covered {
        Covered { from, to, frame: Frame::text("delta", &vec![b'x'; bytes]) }
    }

    fn ring(max: usize) -> (Ring, Arc<Budget>) {
        let budget = Arc::new(Budget::new(max));
        (Ring::new(10, Arc::clone(&budget)), budget)
    }

    fn missed(ring: &Ring, seq: u64) -> Option<Vec<(u64, u64)>> {
        Some(ring.after(seq)?.map(|kept| (kept.from, kept.to)).collect())
    }

    #[test]
    fn a_reader_misses_the_frames_that_end_beyond_it() {
        let (mut ring, _) = ring(RINGS_BYTES_MAX);
        for (from, to) in [(10, 12), (12, 20), (20, 21)] {
            ring.push(covered(from, to, 100));
        }
        assert_eq!(missed(&ring, 9), None, "before the tail");
        assert_eq!(missed(&ring, 10), Some(vec![(10, 12), (12, 20), (20, 21)]));
        assert_eq!(missed(&ring, 12), Some(vec![(12, 20), (20, 21)]));
        assert_eq!(missed(&ring, 15), Some(vec![(12, 20), (20, 21)]), "overlap is legal");
        assert_eq!(missed(&ring, 21), Some(vec![]));
        assert_eq!(missed(&ring, 30), Some(vec![]), "a reader may be ahead of the boundary");
    }

    #[test]
    fn the_oldest_make_room_and_the_tail_follows_them() {
        let (mut ring, budget) = ring(RINGS_BYTES_MAX);
        for seq in 10..14 {
            ring.push(covered(seq, seq + 1, 100 * 1024));
        }
        assert_eq!((ring.tail, ring.end()), (12, 14));
        assert_eq!(missed(&ring, 11), None);
        assert_eq!(budget.used(), ring.bytes);
        drop(ring);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_frame_that_fits_nowhere_empties_the_ring() {
        let (mut ring, budget) = ring(RINGS_BYTES_MAX);
        ring.push(covered(10, 11, 10));
        ring.push(covered(11, 12, RING_BYTES_MAX));
        assert_eq!((ring.tail, ring.end(), budget.used()), (12, 12, 0));
        ring.push(covered(12, 13, 10));
        assert_eq!(missed(&ring, 12), Some(vec![(12, 13)]));
    }

    #[test]
    fn rings_together_stay_within_the_cap() {
        let (mut one, budget) = ring(1_000);
        let mut two = Ring::new(10, Arc::clone(&budget));
        one.push(covered(10, 11, 600));
        two.push(covered(10, 11, 600));
        assert_eq!((two.tail, budget.refused()), (11, 1), "the second finds no room and folds");
        assert_eq!(missed(&one, 10), Some(vec![(10, 11)]), "the first is not touched");
        one.restart(50);
        assert_eq!((budget.used(), one.tail, one.end()), (0, 50, 50));
    }
}
