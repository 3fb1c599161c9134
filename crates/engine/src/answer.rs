//! What an account answers, with the seq the answer is true as of.

use std::sync::Arc;

use ringfence_core::AgentId;
use ringfence_core::bucket::BucketCounts;
use ringfence_core::fact::Change;
use ringfence_core::input::{Config, Explained, Fed, Grant, Place, ReadEntry, ReadQueue};
use ringfence_core::row::{AgentRow, QueueRow};

/// The agent after a live write, or as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentAnswer {
    pub row: AgentRow,
    /// The account's last record when this was answered.
    pub seq: u64,
    pub changed: bool,
}

/// The agent after an action of a supervisor, or as it is where the action was only to be looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionAnswer {
    pub row: AgentRow,
    pub seq: u64,
    /// Of a dry run: whether it would have.
    pub changed: bool,
    /// What would change, in order; None where it was done.
    pub planned: Option<Vec<Change>>,
}

/// An offer after a step on it, or as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferAnswer {
    pub grant: Grant,
    pub seq: u64,
    /// False: the step had been done before.
    pub changed: bool,
}

/// What a caller who joins a line gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineAnswer {
    /// Somebody was free.
    Offered(OfferAnswer),
    /// A place in line; the offer comes to the router ([`crate::Router`]).
    Placed { place: Place, seq: u64, changed: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    pub seq: u64,
    pub changed: bool,
}

/// The end of a call, or of one agent's leg of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndAnswer {
    /// Whom it ended for, by id, and who was named.
    pub agents: Vec<AgentId>,
    pub seq: u64,
    pub changed: bool,
}

/// Agents as they were written and as they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Entries {
    pub seq: u64,
    /// Those of the ids asked for that there are, in their order.
    pub entries: Vec<ReadEntry>,
}

/// Queues as they were written and as they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Queues {
    pub seq: u64,
    /// Those of the ids asked for that there are, in their order.
    pub queues: Vec<ReadQueue>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigAnswer {
    pub seq: u64,
    pub config: Config,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub seq: u64,
    pub explained: Explained,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FedAnswer {
    pub seq: u64,
    pub fed: Fed,
}

/// The whole account as released: what a snapshot of the stream holds too.
#[derive(Debug, Clone, PartialEq)]
pub struct Roster {
    pub epoch: u64,
    pub seq: u64,
    pub counts: BucketCounts,
    /// By agent id.
    pub agents: Vec<Arc<AgentRow>>,
    /// By queue id.
    pub queues: Vec<Arc<QueueRow>>,
}
