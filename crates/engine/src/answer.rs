//! What an account answers, with the seq the answer is true as of.

use std::sync::Arc;

use ringfence_core::bucket::BucketCounts;
use ringfence_core::fact::Change;
use ringfence_core::input::{Explained, Fed, Grant};
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    pub seq: u64,
    pub changed: bool,
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
