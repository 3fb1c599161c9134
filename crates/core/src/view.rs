//! Rows of an account as they are now.

use std::sync::Arc;

use crate::account::Account;
use crate::agent::{Agent, Slot, Status};
use crate::bucket::Bucket;
use crate::id::AgentId;
use crate::next;
use crate::offer::OfferEntry;
use crate::queue::Queue;
use crate::row::{
    AgentRow, Directory, Live, Pause, QueueMembership, QueueRow, RowCall, RowExternal, RowLastOffer,
    RowOffer, RowWrapUp, ServiceLevel, StatusWord, Today,
};
use crate::slab::Ix;

impl Account {
    /// The whole row of an agent, all three fragments.
    pub fn row(&self, id: &AgentId) -> Option<AgentRow> {
        Some(self.agent_row(self.agent(id)?))
    }

    /// The row at a place a step touched; None if the agent is gone.
    pub fn row_at(&self, ix: Ix) -> Option<AgentRow> {
        Some(self.agent_row(self.agents.get(ix)?))
    }

    pub fn queue_row_at(&self, ix: Ix) -> Option<QueueRow> {
        Some(queue_row(self.queues.get(ix)?))
    }

    pub fn queue_rows(&self) -> Vec<QueueRow> {
        self.queues.iter().map(|(_, queue)| queue_row(queue)).collect()
    }

    /// The record that last changed the agent's directory fragment.
    pub fn directory_seq_at(&self, ix: Ix) -> u64 {
        self.agents.get(ix).map_or(0, |agent| agent.directory_seq)
    }

    pub fn agent_row(&self, agent: &Agent) -> AgentRow {
        AgentRow {
            agent_id: agent.id.clone(),
            seq: agent.seq,
            directory: Some(Arc::new(self.directory(agent))),
            live: Some(Arc::new(self.live(agent))),
            today: Some(Arc::new(today(agent))),
        }
    }

    fn directory(&self, agent: &Agent) -> Directory {
        let queues = agent.memberships.iter().filter_map(|membership| {
            Some(QueueMembership {
                queue_id: self.queues.get(membership.queue)?.id.clone(),
                tier: membership.tier,
                position: membership.position,
                mode: membership.mode,
            })
        });
        Directory {
            name: agent.entry.name.clone(),
            extension: agent.entry.extension().map(str::to_owned),
            kind: agent.entry.kind,
            capacity: agent.entry.capacity,
            active: agent.entry.active,
            queues: queues.collect(),
            tags: agent.entry.tags.clone(),
        }
    }

    fn live(&self, agent: &Agent) -> Live {
        let bucket = agent.standing.bucket;
        let (status, pause) = match &agent.status {
            Status::Offline => (StatusWord::Offline, None),
            Status::Available => (StatusWord::Available, None),
            Status::OnBreak(pause) => (
                StatusWord::OnBreak,
                Some(Pause {
                    reason_id: pause.reason_id.clone(),
                    name: pause.name.clone(),
                    since: pause.since,
                    until: pause.until,
                }),
            ),
        };
        let mut live = Live {
            bucket,
            tile: bucket.tile(),
            since: agent.bucket_since,
            status,
            status_since: agent.status_since,
            state: agent.state(),
            load: [u32::try_from(agent.busy()).unwrap_or(u32::MAX), u32::from(agent.entry.capacity)],
            reachable: agent.standing.reachable,
            reachable_since: agent.reachable_since,
            pause,
            next: next::first(agent.pending.as_deref(), agent.clock_logout.as_deref()),
            wrap_ups: Vec::new(),
            offers: Vec::new(),
            calls: Vec::new(),
            external: Vec::new(),
            last_offer: agent.last_offer.as_ref().map(|last| RowLastOffer {
                at: last.at,
                queue_id: last.queue_id.clone(),
                outcome: last.outcome.as_str().to_owned(),
            }),
            missed_in_row: agent.misses,
            changed_by: agent.changed_by.clone(),
        };
        self.fill_slots(agent, &mut live);
        for call in &agent.external {
            live.external.push(RowExternal {
                call_id: call.call_id.clone(),
                direction: call.direction,
                peer: call.peer.clone(),
                since: call.since,
            });
        }
        live
    }

    fn fill_slots(&self, agent: &Agent, live: &mut Live) {
        for slot in &agent.slots {
            match slot {
                Slot::Offering(id) => {
                    if let Some(OfferEntry { offer, .. }) = self.offer(id) {
                        live.offers.push(RowOffer {
                            offer_id: offer.offer_id.clone(),
                            queue_id: offer.queue_id.clone(),
                            call_id: offer.call_id.clone(),
                            expires_at: offer.expires_at,
                        });
                    }
                }
                Slot::InCall(call) => live.calls.push(RowCall {
                    call_id: call.call_id.clone(),
                    queue_id: call.queue_id.clone(),
                    direction: call.direction,
                    peer: call.peer.clone(),
                    since: call.since,
                }),
                Slot::WrapUp(wrap_up) => live.wrap_ups.push(RowWrapUp {
                    until: wrap_up.timed.then_some(wrap_up.until),
                    queue_id: wrap_up.queue_id.clone(),
                }),
            }
        }
    }
}

fn today(agent: &Agent) -> Today {
    let day = &agent.ledger.today;
    let ms = |bucket| day.in_bucket_ms(bucket);
    Today {
        day: day.date(),
        offered: day.offered,
        accepted: day.accepted,
        missed: day.missed,
        rejected: day.rejected,
        talk_ms: ms(Bucket::InCall),
        wrap_up_ms: ms(Bucket::WrapUp),
        pause_ms: ms(Bucket::Paused),
        ready_ms: ms(Bucket::Ready),
        idle_ms: ms(Bucket::Idle),
        ringing_ms: ms(Bucket::Ringing),
        external_ms: ms(Bucket::ExternalCall),
        unreachable_ms: ms(Bucket::Unreachable),
        logged_in_ms: day.ms.iter().sum::<u64>() - ms(Bucket::Offline),
    }
}

fn queue_row(queue: &Queue) -> QueueRow {
    QueueRow {
        queue_id: queue.id.clone(),
        seq: queue.seq,
        waiting: u32::try_from(queue.line.len()).unwrap_or(u32::MAX),
        oldest_since: queue.line.oldest(),
        ready: u32::try_from(queue.ready_count()).unwrap_or(u32::MAX),
        service_level: ServiceLevel::default(),
    }
}
