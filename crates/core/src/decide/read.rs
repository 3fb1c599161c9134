//! What was written, read back; and commands that hold only for the row their caller saw.

use std::sync::Arc;

use crate::account::{Account, Step};
use crate::agent::By;
use crate::id::{AgentId, CallId, OfferId, QueueId};
use crate::input::{Ask, Config, Input, READ_MAX, ReadEntry, ReadQueue, Reply};
use crate::offer::Fence;
use crate::refusal::Refusal;

impl Account {
    pub(crate) fn read_entries(&self, agents: &[AgentId]) -> Result<Reply, Refusal> {
        not_too_many(agents.len())?;
        let known = agents.iter().filter_map(|id| self.agent(id));
        let read = |agent| ReadEntry { row: self.agent_row(agent), entry: Arc::clone(&agent.entry) };
        Ok(Reply::Entries(known.map(read).collect()))
    }

    pub(crate) fn read_queues(&self, queues: &[QueueId]) -> Result<Reply, Refusal> {
        not_too_many(queues.len())?;
        let read = |id| {
            let ix = *self.queue_by_id.get(id)?;
            let (row, queue) = (self.queue_row_at(ix)?, self.queues.get(ix)?);
            Some(ReadQueue { row, settings: queue.settings.clone(), members: queue.members.len() })
        };
        Ok(Reply::Queues(queues.iter().filter_map(read).collect()))
    }

    pub(crate) fn read_config(&self) -> Reply {
        let reasons = self.reasons.values().cloned().collect();
        Reply::Config(Box::new(Config { settings: self.settings.clone(), reasons }))
    }

    pub(crate) fn decide_expecting(
        &mut self,
        step: &mut Step,
        seq: u64,
        input: Input,
        by: &By,
    ) -> Result<Reply, Refusal> {
        match self.seq_it_is_about(&input)? {
            Some(found) if found != seq => Err(Refusal::SeqMismatch { expected: seq, found }),
            Some(_) | None => super::input(self, step, input, by),
        }
    }

    /// The seq of the row a command is about. None where there is no such row, so that the command itself says so, and
    /// where it repeats what was done already.
    fn seq_it_is_about(&self, input: &Input) -> Result<Option<u64>, Refusal> {
        let of_agent = |id: &AgentId| self.agent(id).map(|agent| agent.seq);
        let of_queue = |id: &QueueId| self.queue(id).map(|queue| queue.seq);
        Ok(match input {
            Input::Event(event) => of_agent(&event.agent),
            Input::Act(action) => of_agent(&action.agent),
            Input::Assign { agent, .. } | Input::Unassign { agent, .. } => of_agent(agent),
            Input::SelfReserve { agent, ask } if !self.is_retry(ask) => of_agent(agent),
            Input::PutAgent { agent, .. } | Input::RemoveAgent { agent } => of_agent(agent),
            Input::Enqueue(enqueue) => of_queue(&enqueue.queue),
            Input::PutQueue { queue, .. } | Input::RemoveQueue { queue } => of_queue(queue),
            Input::ReserveAgent { agent, ask, .. } if !self.is_retry(ask) => of_agent(agent),
            Input::ReserveQueue { queue, ask, .. } if !self.is_retry(ask) => of_queue(queue),
            Input::Offer { offer, fence, .. } => self.holder(offer, *fence).and_then(of_agent),
            Input::EndCall { call, agent: Some(agent), .. } if self.has_in(call, agent) => of_agent(agent),
            Input::EndCall { agent: None, .. } => {
                let problem = "name the agent: a call has no row of its own".to_owned();
                return Err(Refusal::Invalid { field: "expected_seq", problem });
            }
            Input::ReserveAgent { .. }
            | Input::SelfReserve { .. }
            | Input::ReserveQueue { .. }
            | Input::EndCall { .. }
            | Input::Tick
            | Input::Rearm
            | Input::SetSettings(_)
            | Input::PutReason(_)
            | Input::RemoveReason { .. }
            | Input::Feed { .. }
            | Input::Explain { .. }
            | Input::ReadAgent { .. }
            | Input::ReadOffer { .. }
            | Input::ReadEntries { .. }
            | Input::ReadQueues { .. }
            | Input::ReadConfig
            | Input::Requeue { .. }
            | Input::Dequeue { .. }
            | Input::RouterUp { .. }
            | Input::RouterDown { .. }
            | Input::Expecting { .. } => None,
        })
    }

    fn is_retry(&self, ask: &Ask) -> bool {
        ask.offer.as_ref().is_some_and(|id| self.offer(id).is_some())
    }

    /// Whom the offer rings. What comes with another token or after its end is refused, or answered, for that.
    fn holder(&self, offer: &OfferId, fence: Fence) -> Option<&AgentId> {
        let entry = self.offer(offer).filter(|entry| entry.ended.is_none() && entry.offer.fence == fence)?;
        Some(&entry.offer.agent_id)
    }

    /// Whether the agent talks in the call or is rung for it.
    fn has_in(&self, call: &CallId, agent: &AgentId) -> bool {
        let Some(call) = self.calls.get(call.as_str()) else { return false };
        let rung = call.offer.as_ref().and_then(|id| self.offer(id)).map(|entry| &entry.offer.agent_id);
        rung == Some(agent) || call.legs.contains(agent)
    }
}

fn not_too_many(count: usize) -> Result<(), Refusal> {
    if count > READ_MAX {
        return Err(Refusal::Limit { what: "entries of one read", limit: READ_MAX });
    }
    Ok(())
}
