//! What every frame of the account's view must keep to, checked without the client under test: order, no gaps, no time
//! travel, and counts that are those of the rows (stream.md, "Client rule").

use ringfence_client::Board;
use ringfence_core::bucket::BucketCounts;
use ringfence_core::row::AgentRow;
use ringfence_wire::frame::Resume;
use ringfence_wire::server::{Delta, Heartbeat, How, ServerFrame, Snapshot, Subscribed};

/// What one stream client has been told, over all its connections.
#[derive(Debug, Default)]
pub struct Rules {
    /// What the client holds.
    as_of: Option<Resume>,
    /// `to` of the last delta of this connection.
    last_to: Option<u64>,
    /// The view as it was subscribed to, on this connection.
    view: Option<String>,
    /// The next part of a snapshot under way.
    part: Option<u32>,
    faults: Vec<String>,
}

impl Rules {
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    pub fn as_of(&self) -> Option<Resume> {
        self.as_of
    }

    pub fn connected(&mut self) {
        self.last_to = None;
        self.view = None;
        self.part = None;
    }

    pub fn fault(&mut self, what: impl Into<String>) {
        self.faults.push(what.into());
    }

    fn must(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.fault(what());
        }
    }

    /// Looks at a frame before it is applied to `board`.
    pub fn before(&mut self, frame: &ServerFrame, board: &Board) {
        match frame {
            ServerFrame::Subscribed(subscribed) => self.subscribed(subscribed),
            ServerFrame::Snapshot(part) => self.snapshot(part),
            ServerFrame::Delta(delta) => self.delta(delta, board),
            ServerFrame::Heartbeat(_) | ServerFrame::Hello(_) => {}
            ServerFrame::Reset(_) | ServerFrame::Error(_) | ServerFrame::Bye(_) | ServerFrame::Reply(_) => {
                self.fault(format!("nobody asked for this: {frame:?}"));
            }
        }
    }

    /// Looks at what `board` has become of a frame.
    pub fn after(&mut self, frame: &ServerFrame, board: &Board) {
        match frame {
            ServerFrame::Delta(delta) => self.counts(&delta.buckets, board, "a delta"),
            ServerFrame::Snapshot(Snapshot { end: Some(end), .. }) => {
                self.counts(&end.buckets, board, "a snapshot");
            }
            ServerFrame::Heartbeat(heartbeat) => self.heartbeat(heartbeat, board),
            ServerFrame::Snapshot(_)
            | ServerFrame::Hello(_)
            | ServerFrame::Subscribed(_)
            | ServerFrame::Reset(_)
            | ServerFrame::Error(_)
            | ServerFrame::Bye(_)
            | ServerFrame::Reply(_) => {}
        }
    }

    fn subscribed(&mut self, subscribed: &Subscribed) {
        self.must(self.view.is_none(), || "subscribed twice on one connection".to_owned());
        self.view = Some(subscribed.view.clone());
        let held = self.as_of;
        match subscribed.how {
            How::Live | How::CatchUp => {
                let same = held.is_some_and(|held| held.epoch == subscribed.epoch);
                self.must(same, || format!("{subscribed:?} goes on from {held:?}"));
            }
            How::Snapshot => self.as_of = None,
        }
    }

    fn snapshot(&mut self, part: &Snapshot) {
        let expected = self.part.unwrap_or(0);
        self.must(part.part == expected, || format!("part {} of a snapshot, not {expected}", part.part));
        self.part = if part.end.is_some() { None } else { Some(part.part + 1) };
        for row in &part.agents {
            self.whole(row);
            self.must(row.seq <= part.seq, || format!("{} is newer than its snapshot", row.agent_id));
        }
        if part.end.is_some() {
            self.as_of = Some(Resume { epoch: part.epoch, seq: part.seq });
            self.last_to = Some(part.seq);
        }
    }

    fn whole(&mut self, row: &AgentRow) {
        let whole = row.directory.is_some() && row.live.is_some() && row.today.is_some();
        self.must(whole, || format!("{} is not whole in a snapshot", row.agent_id));
    }

    fn delta(&mut self, delta: &Delta, board: &Board) {
        let span = format!("delta ({}, {}]", delta.from, delta.to);
        self.must(self.view.as_deref() == Some(&delta.view), || format!("{span} of view {}", delta.view));
        self.must(self.part.is_none(), || format!("{span} between the parts of a snapshot"));
        self.must(delta.from < delta.to, || format!("{span} is empty"));
        let Some(held) = self.as_of else { return self.fault(format!("{span} before any rows")) };
        self.must(delta.from <= held.seq, || format!("{span}: a gap after {}", held.seq));
        let last = self.last_to.unwrap_or(0);
        self.must(delta.to > last, || format!("{span} after one up to {last}"));
        for row in &delta.agents {
            let id = &row.agent_id;
            let inside = row.seq > delta.from && row.seq <= delta.to;
            self.must(inside, || format!("{span} has {id} of {}", row.seq));
            let before = board.table().agents().get(id).map(|held| held.seq);
            self.must(before.is_none_or(|before| before <= row.seq), || {
                format!("{span} takes {id} back from {before:?} to {}", row.seq)
            });
            self.must(!delta.removed.contains(id), || format!("{span} has {id} and removes it"));
        }
        self.last_to = Some(delta.to);
        self.as_of = Some(Resume { seq: delta.to.max(held.seq), ..held });
    }

    /// The server's counts are those of the rows, and every tile is that of its bucket.
    fn counts(&mut self, said: &BucketCounts, board: &Board, of: &str) {
        let mut counted = BucketCounts::default();
        for row in board.table().agents().values() {
            let Some(live) = row.live.as_deref() else {
                self.fault(format!("{} has nothing live", row.agent_id));
                continue;
            };
            counted.enter(live.bucket);
            self.must(live.tile == live.bucket.tile(), || format!("{}: {:?}", row.agent_id, live.tile));
        }
        self.must(counted == *said, || format!("{of} counts {said:?}, its rows are {counted:?}"));
    }

    fn heartbeat(&mut self, heartbeat: &Heartbeat, board: &Board) {
        let Some(view) = self.view.clone() else { return };
        let Some(beat) = heartbeat.views.iter().find(|beat| beat.view == view) else { return };
        let Some(held) = self.as_of else { return };
        self.must(beat.seq >= held.seq, || format!("a heartbeat at {} after {}", beat.seq, held.seq));
        let Some(hash) = beat.hash else { return };
        let own = board.table().hash();
        self.must(hash == own, || format!("hash {hash} at {}, the rows have {own}", beat.seq));
        self.as_of = Some(Resume { seq: beat.seq, ..held });
    }
}
