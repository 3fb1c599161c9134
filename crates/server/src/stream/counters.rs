//! What the stream counts.

use std::sync::atomic::{AtomicU64, Ordering};

use ringfence_wire::CloseCode;

use super::frame::Frame;

/// Plain numbers for `/metrics`; all but the gauges only rise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct StreamCounters {
    /// Gauge: open connections, event streams among them.
    pub connections: u64,
    /// Gauge: subscriptions of all connections.
    pub subscriptions: u64,
    /// Gauge: channels with at least one subscriber.
    pub channels: u64,
    /// Gauge: bytes kept in rings.
    pub ring_bytes: u64,
    pub ring_frames_refused: u64,
    pub accepted: u64,
    /// Handshakes refused because too many were under way, or too many connections were open.
    pub refused: u64,
    /// Passes of channels that encoded something.
    pub passes: u64,
    pub frames_sent: u64,
    pub bytes_sent: u64,
    /// Folded deltas sent to one reader each, and how many of those were encoded for it.
    pub folds: u64,
    pub folds_encoded: u64,
    pub snapshots: u64,
    pub snapshots_encoded: u64,
    pub resets: u64,
    /// Snapshots asked for by a client that found its table wrong.
    pub resyncs: u64,
    /// Connections the server closed, by close code.
    pub closed: Vec<(u16, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) connections: AtomicU64,
    pub(super) subscriptions: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) passes: AtomicU64,
    pub(super) frames_sent: AtomicU64,
    pub(super) bytes_sent: AtomicU64,
    pub(super) folds: AtomicU64,
    pub(super) folds_encoded: AtomicU64,
    pub(super) snapshots: AtomicU64,
    pub(super) snapshots_encoded: AtomicU64,
    pub(super) resets: AtomicU64,
    pub(super) resyncs: AtomicU64,
    closed: [AtomicU64; CloseCode::NAMED.len()],
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn sent(&self, frames: &[Frame]) {
        let bytes: usize = frames.iter().map(Frame::len).sum();
        self.frames_sent.fetch_add(frames.len() as u64, Ordering::Relaxed);
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn close(&self, code: CloseCode) {
        if let Some(at) = CloseCode::NAMED.iter().position(|named| *named == code) {
            count(&self.closed[at]);
        }
    }

    /// Everything but what the hub knows.
    pub(super) fn read(&self) -> StreamCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StreamCounters {
            connections: read(&self.connections),
            subscriptions: read(&self.subscriptions),
            accepted: read(&self.accepted),
            refused: read(&self.refused),
            passes: read(&self.passes),
            frames_sent: read(&self.frames_sent),
            bytes_sent: read(&self.bytes_sent),
            folds: read(&self.folds),
            folds_encoded: read(&self.folds_encoded),
            snapshots: read(&self.snapshots),
            snapshots_encoded: read(&self.snapshots_encoded),
            resets: read(&self.resets),
            resyncs: read(&self.resyncs),
            closed: CloseCode::NAMED
                .iter()
                .zip(&self.closed)
                .map(|(code, n)| (code.code(), read(n)))
                .collect(),
            ..StreamCounters::default()
        }
    }
}
