//! Rows made into frames, once for everybody who watches the same.

use std::sync::Arc;

use ringfence::{ChangedRow, Cursor, Delta, Snapshot, Time, ViewHead};
use ringfence_core::row::QueueRow;
use ringfence_wire::{DeltaRef, RowRef, ServerFrame, SnapshotRef, ViewSpec, json};

use super::frame::Frame;
use super::ring::Covered;

/// Rows of one part of a delta, after which it is cut where the seq changes: some 64 KiB. A record touches at most as
/// many agents, so no part is more than twice as long.
const DELTA_PART_ROWS: usize = 64;

/// A delta as frames of which each is a legal delta and none splits a seq.
///
/// `from` may be older than the delta's own where nothing of the view changed in between: a reader knows where the last
/// frame ended, not which records passed since.
pub(super) fn delta(view: &ViewSpec, epoch: u64, from: u64, delta: &Delta) -> Vec<Covered> {
    let mut parts = Parts { view, epoch, delta, from, done: Vec::new() };
    let mut queues = delta.queues.clone();
    queues.sort_by_key(|row| row.seq);
    let mut agents = &delta.agents[..];
    let mut queues = &queues[..];
    while agents.len() + queues.len() > DELTA_PART_ROWS {
        let to = seq_at(agents, queues, DELTA_PART_ROWS);
        let (agents_now, agents_later) =
            agents.split_at(agents.partition_point(|changed| changed.row.seq <= to));
        let (queues_now, queues_later) = queues.split_at(queues.partition_point(|row| row.seq <= to));
        if agents_later.is_empty() && queues_later.is_empty() {
            break;
        }
        parts.push(to, agents_now, queues_now);
        (agents, queues) = (agents_later, queues_later);
    }
    parts.push(delta.to, agents, queues);
    parts.done
}

/// Says that nothing of the view changed in (from, to]: a reader whom other frames would leave with a gap.
pub(super) fn nothing_changed(
    view: &ViewSpec,
    epoch: u64,
    from: u64,
    to: u64,
    at: Time,
    head: &ViewHead,
) -> Covered {
    let none = Delta {
        from,
        to,
        at,
        agents: Vec::new(),
        queues: Vec::new(),
        removed: Vec::new(),
        removed_queues: Vec::new(),
        counts: head.counts,
        folded: to - from,
    };
    Parts { view, epoch, delta: &none, from, done: Vec::new() }.part(to, &[], &[])
}

/// A snapshot as frames, of which the last says where it leaves its reader.
pub(super) fn snapshot(view: &ViewSpec, snapshot: &Snapshot) -> Vec<Frame> {
    let parts = json::snapshot_parts(&SnapshotRef {
        view,
        epoch: snapshot.epoch,
        seq: snapshot.seq,
        agents: &snapshot.agents,
        queues: &snapshot.queues,
        counts: snapshot.counts,
        hash: snapshot.hash,
    });
    let mut frames: Vec<Frame> = parts.iter().map(|part| Frame::text("snapshot", part)).collect();
    if let Some(last) = frames.pop() {
        frames.push(last.leaving_at(Cursor { epoch: snapshot.epoch, seq: snapshot.seq }));
    }
    frames
}

/// Any other frame.
pub(super) fn other(frame: &ServerFrame) -> Frame {
    let event = match frame {
        ServerFrame::Hello(_) => "hello",
        ServerFrame::Subscribed(_) => "subscribed",
        ServerFrame::Snapshot(_) => "snapshot",
        ServerFrame::Delta(_) => "delta",
        ServerFrame::Heartbeat(_) => "heartbeat",
        ServerFrame::Reset(_) => "reset",
        ServerFrame::Reply(_) => "reply",
        ServerFrame::Error(_) => "error",
        ServerFrame::Bye(_) => "bye",
    };
    Frame::text(event, &json::encode(frame))
}

/// The seq of the n-th row of both lists together, in the order of their seqs.
fn seq_at(agents: &[ChangedRow], queues: &[Arc<QueueRow>], n: usize) -> u64 {
    let mut seqs: Vec<u64> = agents.iter().take(n).map(|changed| changed.row.seq).collect();
    seqs.extend(queues.iter().take(n).map(|row| row.seq));
    seqs.sort_unstable();
    seqs.get(n - 1).or(seqs.last()).copied().unwrap_or(0)
}

struct Parts<'a> {
    view: &'a ViewSpec,
    epoch: u64,
    delta: &'a Delta,
    /// Where the next part begins.
    from: u64,
    done: Vec<Covered>,
}

impl Parts<'_> {
    fn push(&mut self, to: u64, agents: &[ChangedRow], queues: &[Arc<QueueRow>]) {
        let part = self.part(to, agents, queues);
        self.from = to;
        self.done.push(part);
    }

    fn part(&self, to: u64, agents: &[ChangedRow], queues: &[Arc<QueueRow>]) -> Covered {
        let Self { view, delta, from, .. } = *self;
        let rows: Vec<RowRef<'_>> = agents
            .iter()
            .map(|changed| RowRef { row: &changed.row, directory_changed: changed.directory_changed })
            .collect();
        // Which record removed what is not known here. With the first part a removal may come early, which harms
        // nobody; with a later one, a reader who resumes between them would never hear of it.
        let first = self.done.is_empty();
        let payload = json::encode_delta(&DeltaRef {
            view,
            from,
            to,
            at: delta.at,
            agents: &rows,
            queues,
            removed: if first { &delta.removed } else { &[] },
            removed_queues: if first { &delta.removed_queues } else { &[] },
            counts: delta.counts,
            folded: to - from,
        });
        let frame = Frame::text("delta", &payload).leaving_at(Cursor { epoch: self.epoch, seq: to });
        Covered { from, to, frame }
    }
}
