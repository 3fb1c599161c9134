//! What a stream client has seen so far.

use std::collections::BTreeMap;

use ringfence_client::Board;
use ringfence_core::AgentId;
use ringfence_core::bucket::Bucket;
use ringfence_core::row::{AgentRow, Live};
use ringfence_wire::ViewSpec;
use ringfence_wire::server::{How, ServerFrame};

use super::rules::Rules;

/// Every frame, the rows they make, and what was wrong with them.
pub struct History {
    pub board: Board,
    pub rules: Rules,
    pub frames: Vec<ServerFrame>,
    /// How each subscription began.
    pub hows: Vec<How>,
    /// Seq and hash of the last heartbeat that named one and was about all there is.
    pub proof: Option<(u64, u32)>,
    /// What became of each agent: buckets in order, without repetitions.
    buckets: BTreeMap<AgentId, Vec<Bucket>>,
    /// Agents that were reachable at some time.
    reached: BTreeMap<AgentId, u64>,
}

impl History {
    pub fn new(view: ViewSpec) -> Self {
        Self {
            board: Board::new(view),
            rules: Rules::default(),
            frames: Vec::new(),
            hows: Vec::new(),
            proof: None,
            buckets: BTreeMap::new(),
            reached: BTreeMap::new(),
        }
    }

    /// Takes a frame in. What the client is to answer comes back.
    pub fn take(&mut self, frame: ServerFrame) -> Option<ringfence_wire::ClientFrame> {
        self.rules.before(&frame, &self.board);
        let applied = self.board.apply(&frame);
        self.rules.after(&frame, &self.board);
        if let Some(asked) = &applied.send {
            self.rules.fault(format!("the client had to ask for {asked:?}"));
        }
        if let Some(why) = applied.give_up {
            self.rules.fault(format!("the client gave up: {why}"));
        }
        self.note(&frame);
        self.frames.push(frame);
        applied.send
    }

    fn note(&mut self, frame: &ServerFrame) {
        match frame {
            ServerFrame::Subscribed(subscribed) => self.hows.push(subscribed.how),
            ServerFrame::Snapshot(part) => part.agents.iter().for_each(|row| self.row(row)),
            ServerFrame::Delta(delta) => delta.agents.iter().for_each(|row| self.row(row)),
            ServerFrame::Heartbeat(heartbeat) => {
                let beat = heartbeat.views.first();
                self.proof = beat.and_then(|beat| Some((beat.seq, beat.hash?))).or(self.proof);
            }
            ServerFrame::Hello(_)
            | ServerFrame::Reset(_)
            | ServerFrame::Reply(_)
            | ServerFrame::Error(_)
            | ServerFrame::Bye(_) => {}
        }
    }

    fn row(&mut self, row: &AgentRow) {
        let Some(live) = row.live.as_deref() else { return };
        let buckets = self.buckets.entry(row.agent_id.clone()).or_default();
        if buckets.last() != Some(&live.bucket) {
            buckets.push(live.bucket);
        }
        if live.reachable {
            self.reached.entry(row.agent_id.clone()).or_insert(row.seq);
        }
    }

    /// The buckets an agent was in, in order.
    pub fn buckets(&self, agent: &str) -> &[Bucket] {
        self.buckets.get(agent).map_or(&[], Vec::as_slice)
    }

    pub fn bucket(&self, agent: &str) -> Option<Bucket> {
        self.live(agent).map(|live| live.bucket)
    }

    pub fn live(&self, agent: &str) -> Option<&Live> {
        self.board.table().agents().get(agent)?.live.as_deref()
    }

    pub fn is_reachable(&self, agent: &str) -> bool {
        self.live(agent).is_some_and(|live| live.reachable)
    }

    /// How many agents were reachable at some time.
    pub fn reached(&self) -> usize {
        self.reached.len()
    }

    pub fn deltas(&self) -> usize {
        self.frames.iter().filter(|frame| matches!(frame, ServerFrame::Delta(_))).count()
    }
}
