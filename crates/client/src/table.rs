//! The rows of one view as of one seq.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringfence_core::bucket::BucketCounts;
use ringfence_core::row::{AgentRow, QueueRow, row_hash};
use ringfence_core::{AgentId, QueueId};

/// Rows are replaced, never changed in place, so they may be kept and compared by pointer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    agents: BTreeMap<AgentId, Arc<AgentRow>>,
    queues: BTreeMap<QueueId, Arc<QueueRow>>,
    counts: BucketCounts,
    /// Kept running, so that a heartbeat costs one comparison however many rows there are.
    hash: u32,
}

/// What a row does to a table that has nothing to add it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    Taken,
    /// Older than what is held.
    Older,
    /// Only some fragments of a row that is not held: something before it was missed.
    Torn,
}

impl Table {
    /// By agent id.
    pub fn agents(&self) -> &BTreeMap<AgentId, Arc<AgentRow>> {
        &self.agents
    }

    /// By queue id.
    pub fn queues(&self) -> &BTreeMap<QueueId, Arc<QueueRow>> {
        &self.queues
    }

    /// Agents of the view in each bucket, as the server counted them.
    pub fn counts(&self) -> &BucketCounts {
        &self.counts
    }

    /// Sum modulo 2^32 over all rows of FNV-1a-32 of "id:seq" (stream.md, client rule).
    pub fn hash(&self) -> u32 {
        self.hash
    }

    /// Agents and queues together.
    pub fn count(&self) -> u64 {
        (self.agents.len() + self.queues.len()) as u64
    }

    pub(crate) fn set_counts(&mut self, counts: BucketCounts) {
        self.counts = counts;
    }

    pub(crate) fn put_agent(&mut self, row: &Arc<AgentRow>) -> Put {
        let id = row.agent_id.as_str();
        let whole = match self.agents.get(id) {
            None if row.directory.is_none() || row.live.is_none() => return Put::Torn,
            None => Arc::clone(row),
            Some(held) if row.seq < held.seq => return Put::Older,
            Some(held) => {
                self.hash = self.hash.wrapping_sub(row_hash(id, held.seq));
                merged(held, row)
            }
        };
        self.hash = self.hash.wrapping_add(row_hash(id, row.seq));
        self.agents.insert(row.agent_id.clone(), whole);
        Put::Taken
    }

    pub(crate) fn put_queue(&mut self, row: &Arc<QueueRow>) -> Put {
        let id = row.queue_id.as_str();
        if let Some(held) = self.queues.get(id) {
            if row.seq < held.seq {
                return Put::Older;
            }
            self.hash = self.hash.wrapping_sub(row_hash(id, held.seq));
        }
        self.hash = self.hash.wrapping_add(row_hash(id, row.seq));
        self.queues.insert(row.queue_id.clone(), Arc::clone(row));
        Put::Taken
    }

    pub(crate) fn remove_agent(&mut self, id: &AgentId) -> bool {
        let held = self.agents.remove(id);
        if let Some(held) = &held {
            self.hash = self.hash.wrapping_sub(row_hash(id.as_str(), held.seq));
        }
        held.is_some()
    }

    pub(crate) fn remove_queue(&mut self, id: &QueueId) -> bool {
        let held = self.queues.remove(id);
        if let Some(held) = &held {
            self.hash = self.hash.wrapping_sub(row_hash(id.as_str(), held.seq));
        }
        held.is_some()
    }
}

/// The held row with the fragments that came in their places.
fn merged(held: &AgentRow, came: &Arc<AgentRow>) -> Arc<AgentRow> {
    if came.directory.is_some() && came.live.is_some() && came.today.is_some() {
        return Arc::clone(came);
    }
    Arc::new(AgentRow {
        agent_id: held.agent_id.clone(),
        seq: came.seq,
        directory: came.directory.as_ref().or(held.directory.as_ref()).cloned(),
        live: came.live.as_ref().or(held.live.as_ref()).cloned(),
        today: came.today.as_ref().or(held.today.as_ref()).cloned(),
    })
}
