//! `ringfence.v1.json`: one JSON object per frame.

use std::borrow::Cow;
use std::sync::Arc;

use ringfence_core::bucket::BucketCounts;
use ringfence_core::row::{AgentRow, QueueRow};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::ClientFrame;
use crate::frame::{CLIENT_FRAME_BYTES_MAX, FrameError, RequestId, SNAPSHOT_PART_BYTES_MAX};
use crate::mask;
use crate::server::{DeltaRef, ServerFrame, SnapshotEnd};
use crate::view::ViewSpec;

/// Writes any frame of the server.
pub fn encode(frame: &ServerFrame) -> Vec<u8> {
    written(frame)
}

/// Writes a delta without copying a row.
pub fn encode_delta(delta: &DeltaRef<'_>) -> Vec<u8> {
    written(delta)
}

/// Writes a frame of a client.
pub fn encode_client(frame: &ClientFrame) -> Vec<u8> {
    written(frame)
}

/// A view as of one seq, borrowed from whoever holds the rows.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotRef<'a> {
    /// Its profile is applied to the rows.
    pub view: &'a ViewSpec,
    pub epoch: u64,
    pub seq: u64,
    pub agents: &'a [Arc<AgentRow>],
    pub queues: &'a [Arc<QueueRow>],
    pub counts: BucketCounts,
    pub hash: u32,
}

/// The snapshot in parts of at most [`SNAPSHOT_PART_BYTES_MAX`], at least one, each a legal frame.
pub fn snapshot_parts(snapshot: &SnapshotRef<'_>) -> Vec<Vec<u8>> {
    let mut parts = Parts::new(snapshot);
    for row in snapshot.agents {
        parts.push(Rows::Agents, &*mask::row(row, snapshot.view.profile));
    }
    for row in snapshot.queues {
        parts.push(Rows::Queues, &**row);
    }
    parts.finish()
}

/// Reads a frame of the server. A type it does not know is [`FrameError::UnknownType`], which a client skips.
pub fn decode_server(bytes: &[u8]) -> Result<ServerFrame, FrameError> {
    // The type first: reading rows straight out of the bytes costs less than through a tree of values, even twice.
    let kind = kind_of(bytes)?;
    let frame = match &*kind {
        "hello" => serde_json::from_slice(bytes).map(ServerFrame::Hello),
        "subscribed" => serde_json::from_slice(bytes).map(ServerFrame::Subscribed),
        "snapshot" => serde_json::from_slice(bytes).map(ServerFrame::Snapshot),
        "delta" => serde_json::from_slice(bytes).map(ServerFrame::Delta),
        "heartbeat" => serde_json::from_slice(bytes).map(ServerFrame::Heartbeat),
        "reset" => serde_json::from_slice(bytes).map(ServerFrame::Reset),
        "reply" => serde_json::from_slice(bytes).map(ServerFrame::Reply),
        "error" => serde_json::from_slice(bytes).map(ServerFrame::Error),
        "bye" => serde_json::from_slice(bytes).map(ServerFrame::Bye),
        unknown => return Err(FrameError::UnknownType { kind: shortened(unknown), id: None }),
    };
    frame.map_err(|error| FrameError::BadFrame {
        kind: kind.into_owned(),
        id: None,
        message: error.to_string(),
    })
}

/// Reads a frame of a client.
pub fn decode_client(bytes: &[u8]) -> Result<ClientFrame, FrameError> {
    if bytes.len() > CLIENT_FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge { bytes: bytes.len() });
    }
    if !is_object(bytes) {
        return Err(not_an_object());
    }
    serde_json::from_slice(bytes).map_err(|error| refused(bytes, &error))
}

/// What is wrong with a client frame that could not be read, and which request is to be told.
fn refused(bytes: &[u8], error: &serde_json::Error) -> FrameError {
    let kind = match kind_of(bytes) {
        Ok(kind) => kind,
        Err(error) => return error,
    };
    let fields: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let id = ["id", "rid"].into_iter().find_map(|key| RequestId::deserialize(fields.get(key)?).ok());
    if !ClientFrame::TYPES.contains(&&*kind) {
        return FrameError::UnknownType { kind: shortened(&kind), id };
    }
    let kind = kind.into_owned();
    if let Some(Err(error)) = fields.get("view").map(ViewSpec::deserialize) {
        return FrameError::BadView { kind, id, message: error.to_string() };
    }
    FrameError::BadFrame { kind, id, message: error.to_string() }
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

fn kind_of(bytes: &[u8]) -> Result<Cow<'_, str>, FrameError> {
    if !is_object(bytes) {
        return Err(not_an_object());
    }
    let kind: Result<Kind<'_>, _> = serde_json::from_slice(bytes);
    kind.map(|kind| kind.kind).map_err(|error| FrameError::NotAFrame { message: error.to_string() })
}

/// The JSON codec would take an array for an object with its fields in order; the protocol does not.
fn is_object(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"{")
}

fn not_an_object() -> FrameError {
    FrameError::NotAFrame { message: "it begins without `{`".to_owned() }
}

/// Part of what a peer sent, cut so that a hostile frame makes no large error.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

fn written(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    write(&mut bytes, value);
    bytes
}

pub(crate) fn write(bytes: &mut Vec<u8>, value: &impl Serialize) {
    if let Err(error) = serde_json::to_writer(bytes, value) {
        // A vector takes every byte, and no frame has a map whose keys are not texts.
        unreachable!("a frame that is no JSON, a bug of the wire crate: {error}");
    }
}

#[derive(Clone, Copy)]
enum Rows {
    Agents,
    Queues,
}

/// Cuts a snapshot into frames while its rows are written.
struct Parts<'a> {
    snapshot: &'a SnapshotRef<'a>,
    /// What follows the rows of the last part.
    end: SnapshotEnd,
    /// Bytes for rows, such that head and end fit any part.
    room: usize,
    done: Vec<Vec<u8>>,
    /// Rows of the part being filled, each followed by a comma.
    agents: Vec<u8>,
    queues: Vec<u8>,
}

/// A part before its rows.
#[derive(Serialize)]
struct Head {
    #[serde(rename = "type")]
    kind: &'static str,
    view: String,
    epoch: String,
    seq: u64,
    part: usize,
    last: bool,
}

impl<'a> Parts<'a> {
    fn new(snapshot: &'a SnapshotRef<'a>) -> Self {
        let end = SnapshotEnd {
            tiles: snapshot.counts.tiles(),
            buckets: snapshot.counts,
            count: (snapshot.agents.len() + snapshot.queues.len()) as u64,
            hash: snapshot.hash,
        };
        let mut parts =
            Self { snapshot, end, room: 0, done: Vec::new(), agents: Vec::new(), queues: Vec::new() };
        let longest_part_number = usize::MAX;
        parts.room = SNAPSHOT_PART_BYTES_MAX.saturating_sub(parts.framed(longest_part_number, true).len());
        parts
    }

    fn push(&mut self, rows: Rows, row: &impl Serialize) {
        let before = self.rows(rows).len();
        write(self.rows(rows), row);
        self.rows(rows).push(b',');
        if self.agents.len() + self.queues.len() > self.room {
            let row = self.rows(rows).split_off(before);
            if !(self.agents.is_empty() && self.queues.is_empty()) {
                self.cut(false);
            }
            self.rows(rows).extend_from_slice(&row);
        }
    }

    fn finish(mut self) -> Vec<Vec<u8>> {
        self.cut(true);
        self.done
    }

    fn cut(&mut self, last: bool) {
        let frame = self.framed(self.done.len(), last);
        self.done.push(frame);
        self.agents.clear();
        self.queues.clear();
    }

    /// The rows gathered so far as a frame: head, rows, and the end on the last part.
    fn framed(&self, part: usize, last: bool) -> Vec<u8> {
        let SnapshotRef { view, epoch, seq, .. } = self.snapshot;
        let mut frame = Vec::with_capacity(self.agents.len() + self.queues.len() + 1024);
        let head = Head {
            kind: "snapshot",
            view: view.to_string(),
            epoch: epoch.to_string(),
            seq: *seq,
            part,
            last,
        };
        write(&mut frame, &head);
        frame.pop(); // the head's closing brace: rows and end go into the same object
        for (name, rows) in [(&b",\"agents\":["[..], &self.agents), (&b",\"queues\":["[..], &self.queues)] {
            frame.extend_from_slice(name);
            frame.extend_from_slice(rows.strip_suffix(b",").unwrap_or(rows));
            frame.push(b']');
        }
        if last {
            let opening_brace = frame.len();
            write(&mut frame, &self.end);
            frame[opening_brace] = b',';
        } else {
            frame.push(b'}');
        }
        frame
    }

    fn rows(&mut self, rows: Rows) -> &mut Vec<u8> {
        match rows {
            Rows::Agents => &mut self.agents,
            Rows::Queues => &mut self.queues,
        }
    }
}
