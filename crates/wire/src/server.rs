//! Frames of the server, owned as a client reads them. Rows are shared, so an owned frame costs no copy of a row; the
//! frame that is written for everybody, the delta, can also be borrowed whole ([`DeltaRef`]).
//!
//! Unknown fields are skipped: a newer server may say more.

use std::borrow::Cow;
use std::sync::Arc;

use ringfence_core::bucket::{BucketCounts, TileCounts};
use ringfence_core::row::{AgentRow, Directory, Live, QueueRow, Today};
use ringfence_core::{AgentId, QueueId, Time};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::close::CloseCode;
use crate::frame::{
    CLIENT_FRAME_BYTES_MAX, CLIENT_FRAMES_PER_MINUTE_MAX, RawJson, RequestId, VIEWS_MAX, epoch_text,
};
use crate::mask;
use crate::view::ViewSpec;

/// What the server says, told apart by `type`. `view` is always the canonical text.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    Hello(Hello),
    Subscribed(Subscribed),
    Snapshot(Snapshot),
    Delta(Delta),
    Heartbeat(Heartbeat),
    Reset(Reset),
    Reply(Reply),
    Error(Error),
    Bye(Bye),
}

/// After the upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Names this connection in the server's log.
    pub session: String,
    pub node: String,
    pub now: Time,
    pub heartbeat_ms: u32,
    pub limits: Limits,
    pub build: String,
}

/// What a client must keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub frame_bytes: u32,
    /// None on router connections.
    pub frames_per_minute: Option<u32>,
    pub views: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: CLIENT_FRAME_BYTES_MAX as u32,
            frames_per_minute: Some(CLIENT_FRAMES_PER_MINUTE_MAX),
            views: VIEWS_MAX,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// The client's, echoed.
    pub id: RequestId,
    pub view: String,
    #[serde(with = "epoch_text")]
    pub epoch: u64,
    pub seq: u64,
    pub how: How,
}

/// How a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The client misses nothing.
    Live,
    /// One folded delta follows.
    CatchUp,
    Snapshot,
}

/// One part of a view as of one seq. No delta of that view comes between its parts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "SnapshotFields")]
pub struct Snapshot {
    pub view: String,
    pub epoch: u64,
    pub seq: u64,
    /// From 0.
    pub part: u32,
    pub agents: Vec<Arc<AgentRow>>,
    pub queues: Vec<Arc<QueueRow>>,
    /// On the last part, which it makes the last: `last` on the wire says whether it is there.
    pub end: Option<SnapshotEnd>,
}

/// Proof that all parts came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotEnd {
    pub tiles: TileCounts,
    pub buckets: BucketCounts,
    /// Agents and queues of all parts together.
    pub count: u64,
    pub hash: u32,
}

/// Everything of a view that changed in (from, to].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    pub view: String,
    pub from: u64,
    pub to: u64,
    /// Time of the record `to`.
    pub at: Time,
    pub agents: Vec<Arc<AgentRow>>,
    pub queues: Vec<Arc<QueueRow>>,
    /// Never also in `agents`; may name ids the client never held.
    pub removed: Vec<AgentId>,
    pub removed_queues: Vec<QueueId>,
    pub tiles: TileCounts,
    pub buckets: BucketCounts,
    /// Records merged into it.
    pub folded: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    pub now: Time,
    pub views: Vec<ViewBeat>,
}

/// The connection's cursor in one view; `[view, seq, hash]` on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(String, u64, Option<u32>)", into = "(String, u64, Option<u32>)")]
pub struct ViewBeat {
    pub view: String,
    pub seq: u64,
    /// None where the cursor is not the boundary the hash was computed at.
    pub hash: Option<u32>,
}

/// Forget the view; a snapshot follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    pub view: String,
    pub why: Cow<'static, str>,
}

/// To a `cmd`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    pub rid: RequestId,
    /// The status the HTTP call would have.
    pub status: u16,
    pub body: RawJson,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// The request it answers, when there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<RequestId>,
    pub code: Cow<'static, str>,
    pub message: Cow<'static, str>,
    /// The same request may succeed later.
    pub retry: bool,
}

/// Before the server closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bye {
    pub code: CloseCode,
    /// Come back between these two, in ms from now.
    pub retry_ms: [u32; 2],
}

/// A snapshot part's fields as they stand on the wire.
#[derive(Deserialize)]
struct SnapshotFields {
    view: String,
    #[serde(with = "epoch_text")]
    epoch: u64,
    seq: u64,
    part: u32,
    last: bool,
    agents: Vec<Arc<AgentRow>>,
    queues: Vec<Arc<QueueRow>>,
    tiles: Option<TileCounts>,
    buckets: Option<BucketCounts>,
    count: Option<u64>,
    hash: Option<u32>,
}

impl TryFrom<SnapshotFields> for Snapshot {
    type Error = &'static str;

    fn try_from(fields: SnapshotFields) -> Result<Self, &'static str> {
        let end = match (fields.last, fields.tiles, fields.buckets, fields.count, fields.hash) {
            (false, None, None, None, None) => None,
            (true, Some(tiles), Some(buckets), Some(count), Some(hash)) => {
                Some(SnapshotEnd { tiles, buckets, count, hash })
            }
            (true, ..) => return Err("the last part of a snapshot has tiles, buckets, count and hash"),
            (false, ..) => return Err("only the last part of a snapshot has tiles, buckets, count and hash"),
        };
        let SnapshotFields { view, epoch, seq, part, agents, queues, .. } = fields;
        Ok(Self { view, epoch, seq, part, agents, queues, end })
    }
}

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields =
            serializer.serialize_struct("Snapshot", 7 + if self.end.is_some() { 4 } else { 0 })?;
        fields.serialize_field("view", &self.view)?;
        fields.serialize_field("epoch", &self.epoch.to_string())?;
        fields.serialize_field("seq", &self.seq)?;
        fields.serialize_field("part", &self.part)?;
        fields.serialize_field("last", &self.end.is_some())?;
        fields.serialize_field("agents", &self.agents)?;
        fields.serialize_field("queues", &self.queues)?;
        if let Some(end) = &self.end {
            fields.serialize_field("tiles", &end.tiles)?;
            fields.serialize_field("buckets", &end.buckets)?;
            fields.serialize_field("count", &end.count)?;
            fields.serialize_field("hash", &end.hash)?;
        }
        fields.end()
    }
}

impl From<(String, u64, Option<u32>)> for ViewBeat {
    fn from((view, seq, hash): (String, u64, Option<u32>)) -> Self {
        Self { view, seq, hash }
    }
}

impl From<ViewBeat> for (String, u64, Option<u32>) {
    fn from(beat: ViewBeat) -> Self {
        (beat.view, beat.seq, beat.hash)
    }
}

/// A delta borrowed from whoever holds the rows. Writing it applies the view's profile, so that no path can forget to.
#[derive(Debug, Clone, Copy)]
pub struct DeltaRef<'a> {
    pub view: &'a ViewSpec,
    pub from: u64,
    pub to: u64,
    pub at: Time,
    pub agents: &'a [RowRef<'a>],
    pub queues: &'a [Arc<QueueRow>],
    pub removed: &'a [AgentId],
    pub removed_queues: &'a [QueueId],
    pub counts: BucketCounts,
    pub folded: u64,
}

/// An agent row in a delta: whole where its directory changed, else what is live and of today.
#[derive(Debug, Clone, Copy)]
pub struct RowRef<'a> {
    pub row: &'a AgentRow,
    pub directory_changed: bool,
}

/// The rows of one delta under the profile of its view.
struct Rows<'a>(&'a ViewSpec, &'a [RowRef<'a>]);

#[derive(Serialize)]
struct Fragments<'a> {
    agent_id: &'a AgentId,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<&'a Directory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<&'a Live>,
    #[serde(skip_serializing_if = "Option::is_none")]
    today: Option<&'a Today>,
}

impl Serialize for DeltaRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Delta", 12)?;
        fields.serialize_field("type", "delta")?;
        fields.serialize_field("view", &format_args!("{}", self.view))?;
        fields.serialize_field("from", &self.from)?;
        fields.serialize_field("to", &self.to)?;
        fields.serialize_field("at", &self.at)?;
        fields.serialize_field("agents", &Rows(self.view, self.agents))?;
        fields.serialize_field("queues", self.queues)?;
        fields.serialize_field("removed", self.removed)?;
        fields.serialize_field("removed_queues", self.removed_queues)?;
        fields.serialize_field("tiles", &self.counts.tiles())?;
        fields.serialize_field("buckets", &self.counts)?;
        fields.serialize_field("folded", &self.folded)?;
        fields.end()
    }
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(view, rows) = self;
        serializer.collect_seq(rows.iter().map(|changed| Masked(view, *changed)))
    }
}

struct Masked<'a>(&'a ViewSpec, RowRef<'a>);

impl Serialize for Masked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(view, changed) = self;
        let row = mask::row(changed.row, view.profile);
        let directory = if changed.directory_changed { row.directory.as_deref() } else { None };
        Fragments {
            agent_id: &row.agent_id,
            seq: row.seq,
            directory,
            live: row.live.as_deref(),
            today: row.today.as_deref(),
        }
        .serialize(serializer)
    }
}
