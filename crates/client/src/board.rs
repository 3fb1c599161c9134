//! The client rule, complete (stream.md): what a reader does with each frame so that its rows are the server's.
//!
//! A board does no IO and reads no clock. Frames go in, changes and answers come out; whoever owns the connection sends
//! the answers.

use ringfence_core::{AgentId, QueueId};
use ringfence_wire::ViewSpec;
use ringfence_wire::client::{ClientFrame, RateClass, Resync, Subscribe};
use ringfence_wire::frame::{RequestId, Resume};
use ringfence_wire::server::{Delta, Heartbeat, How, ServerFrame, Snapshot, Subscribed};

use crate::table::{Put, Table};

/// Resyncs asked for in a row without a hash being equal in between; then a fresh connection, because asking the same
/// one again would only burn its frame limit.
const RESYNCS_IN_A_ROW_MAX: u32 = 3;

/// What applying a frame did and asks for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Applied {
    pub changed: Changed,
    /// To be sent on the connection the frame came from.
    pub send: Option<ClientFrame>,
    /// The connection is not worth keeping; connect again.
    pub give_up: Option<&'static str>,
}

/// Rows that are not what they were.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    /// The whole table was replaced; the lists are empty then.
    pub whole: bool,
    pub agents: Vec<AgentId>,
    pub queues: Vec<QueueId>,
    pub removed_agents: Vec<AgentId>,
    pub removed_queues: Vec<QueueId>,
    /// Time of the newest record in it, epoch ms by the server's clock.
    pub at: Option<u64>,
}

impl Changed {
    pub fn is_empty(&self) -> bool {
        let Self { whole, agents, queues, removed_agents, removed_queues, at: _ } = self;
        !whole
            && agents.is_empty()
            && queues.is_empty()
            && removed_agents.is_empty()
            && removed_queues.is_empty()
    }
}

/// What happened since the board was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BoardCounters {
    pub snapshots: u64,
    pub deltas: u64,
    /// Deltas that said nothing newer.
    pub dropped: u64,
    pub resyncs: u64,
    pub hashes_equal: u64,
    pub hash_mismatches: u64,
}

/// A correct local copy of one view.
#[derive(Debug, Clone)]
pub struct Board {
    view: ViewSpec,
    view_text: String,
    table: Table,
    /// What the table is as of; none before the first snapshot and once told to forget.
    as_of: Option<Resume>,
    /// A snapshot on its way in.
    shadow: Option<Shadow>,
    /// A snapshot was announced or asked for.
    awaiting: bool,
    failures: u32,
    counters: BoardCounters,
}

#[derive(Debug, Clone)]
struct Shadow {
    table: Table,
    as_of: Resume,
    next_part: u32,
}

impl Board {
    pub fn new(view: ViewSpec) -> Self {
        let view_text = view.to_string();
        Self {
            view,
            view_text,
            table: Table::default(),
            as_of: None,
            shadow: None,
            awaiting: false,
            failures: 0,
            counters: BoardCounters::default(),
        }
    }

    /// The rows; those of the last known state while a snapshot is awaited.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Where to go on from after a reconnect.
    pub fn as_of(&self) -> Option<Resume> {
        self.as_of
    }

    pub fn counters(&self) -> BoardCounters {
        self.counters
    }

    /// The rows are the server's as of [`Board::as_of`], as far as anybody knows.
    pub fn is_settled(&self) -> bool {
        self.as_of.is_some() && !self.awaiting && self.shadow.is_none()
    }

    /// Begins a connection: whatever was under way on the one before is void.
    pub fn subscribe(&mut self, id: u64, class: RateClass, heartbeat_ms: Option<u32>) -> ClientFrame {
        self.shadow = None;
        self.awaiting = true;
        ClientFrame::Subscribe(Subscribe {
            id: RequestId::Number(id),
            view: self.view.clone(),
            since: self.as_of,
            class: Some(class),
            heartbeat_ms,
        })
    }

    /// Frames of other views, and those that concern no rows, change nothing.
    pub fn apply(&mut self, frame: &ServerFrame) -> Applied {
        match frame {
            ServerFrame::Subscribed(subscribed) if subscribed.view == self.view_text => {
                self.subscribed(subscribed);
                Applied::default()
            }
            ServerFrame::Snapshot(part) if part.view == self.view_text => self.snapshot(part),
            ServerFrame::Delta(delta) if delta.view == self.view_text => self.delta(delta),
            ServerFrame::Heartbeat(heartbeat) => self.heartbeat(heartbeat),
            ServerFrame::Reset(reset) if reset.view == self.view_text => {
                self.forget();
                Applied::default()
            }
            ServerFrame::Subscribed(_)
            | ServerFrame::Snapshot(_)
            | ServerFrame::Delta(_)
            | ServerFrame::Reset(_)
            | ServerFrame::Hello(_)
            | ServerFrame::Reply(_)
            | ServerFrame::Error(_)
            | ServerFrame::Bye(_) => Applied::default(),
        }
    }

    /// The next subscription starts from a snapshot. The rows may still be shown, but nothing applies to them.
    pub fn forget(&mut self) {
        self.as_of = None;
        self.shadow = None;
        self.awaiting = true;
    }

    fn subscribed(&mut self, subscribed: &Subscribed) {
        let same_epoch = self.as_of.is_some_and(|as_of| as_of.epoch == subscribed.epoch);
        match subscribed.how {
            How::Live | How::CatchUp if same_epoch => self.awaiting = false,
            // A server that goes on from a state this board does not hold has mixed it up with another.
            How::Live | How::CatchUp => self.forget(),
            How::Snapshot if same_epoch => self.awaiting = true,
            How::Snapshot => self.forget(),
        }
    }

    fn snapshot(&mut self, part: &Snapshot) -> Applied {
        let as_of = Resume { epoch: part.epoch, seq: part.seq };
        if part.part == 0 {
            self.shadow = Some(Shadow { table: Table::default(), as_of, next_part: 0 });
        }
        // Without a shadow these are the remaining parts of a snapshot that was refused.
        let Some(mut shadow) = self.shadow.take() else { return Applied::default() };
        if (shadow.next_part, shadow.as_of) != (part.part, as_of) {
            return self.resync("the parts of a snapshot do not follow each other", true);
        }
        shadow.next_part += 1;
        for row in &part.agents {
            if shadow.table.put_agent(row) != Put::Taken {
                return self.resync("a snapshot has a row that is not whole", true);
            }
        }
        for row in &part.queues {
            shadow.table.put_queue(row);
        }
        let Some(end) = part.end else {
            self.shadow = Some(shadow);
            return Applied::default();
        };
        if (shadow.table.count(), shadow.table.hash()) != (end.count, end.hash) {
            self.counters.hash_mismatches += 1;
            return self.resync("a snapshot does not have the hash it names", true);
        }
        shadow.table.set_counts(end.buckets);
        self.table = shadow.table;
        self.as_of = Some(as_of);
        self.awaiting = false;
        self.counters.snapshots += 1;
        Applied { changed: Changed { whole: true, ..Changed::default() }, ..Applied::default() }
    }

    fn delta(&mut self, delta: &Delta) -> Applied {
        let Some(as_of) = self.as_of else { return Applied::default() };
        if delta.to <= as_of.seq {
            self.counters.dropped += 1;
            return Applied::default();
        }
        if delta.from > as_of.seq {
            return self.resync("there is a gap before a delta", false);
        }
        let mut changed = Changed { at: Some(delta.at.ms()), ..Changed::default() };
        let mut torn = false;
        for row in &delta.agents {
            match self.table.put_agent(row) {
                Put::Taken => changed.agents.push(row.agent_id.clone()),
                Put::Older => {}
                Put::Torn => torn = true,
            }
        }
        for row in &delta.queues {
            match self.table.put_queue(row) {
                Put::Taken => changed.queues.push(row.queue_id.clone()),
                Put::Older | Put::Torn => {}
            }
        }
        for id in &delta.removed {
            if self.table.remove_agent(id) {
                changed.removed_agents.push(id.clone());
            }
        }
        for id in &delta.removed_queues {
            if self.table.remove_queue(id) {
                changed.removed_queues.push(id.clone());
            }
        }
        self.table.set_counts(delta.buckets);
        self.as_of = Some(Resume { seq: delta.to, ..as_of });
        self.counters.deltas += 1;
        let asked =
            if torn { self.resync("a delta has half of an unknown row", false) } else { Applied::default() };
        Applied { changed, ..asked }
    }

    fn heartbeat(&mut self, heartbeat: &Heartbeat) -> Applied {
        let beat = heartbeat.views.iter().find(|beat| beat.view == self.view_text);
        let (Some(beat), Some(as_of), None) = (beat, self.as_of, &self.shadow) else {
            return Applied::default();
        };
        // A cursor behind ours was rounded down while it catches up: it proves nothing about our rows.
        let Some(hash) = beat.hash.filter(|_| beat.seq >= as_of.seq) else { return Applied::default() };
        if hash != self.table.hash() {
            if !self.awaiting {
                self.counters.hash_mismatches += 1;
            }
            return self.resync("the hash of a heartbeat differs", false);
        }
        self.counters.hashes_equal += 1;
        self.failures = 0;
        self.awaiting = false;
        self.as_of = Some(Resume { seq: beat.seq, ..as_of });
        Applied::default()
    }

    /// Asks for a snapshot; once is enough, unless it is `again` because the one that came was no good.
    fn resync(&mut self, why: &'static str, again: bool) -> Applied {
        self.shadow = None;
        if self.awaiting && !again {
            return Applied::default();
        }
        self.awaiting = true;
        self.counters.resyncs += 1;
        self.failures += 1;
        if self.failures > RESYNCS_IN_A_ROW_MAX {
            self.failures = 0;
            self.forget();
            return Applied { give_up: Some(why), ..Applied::default() };
        }
        let send = ClientFrame::Resync(Resync { view: self.view.clone() });
        Applied { send: Some(send), ..Applied::default() }
    }
}
