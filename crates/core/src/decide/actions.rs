//! What supervisors do to agents. Everything an action comes to is found before anything is done, so that it can be told
//! without being done.

use crate::account::{Account, Step};
use crate::action::{Action, ActionInput, NOTE_BYTES_MAX};
use crate::agent::{Agent, By, Slot};
use crate::fact::Change;
use crate::input::{AgentEvent, Reply};
use crate::offer::{Cause, Outcome};
use crate::refusal::Refusal;
use crate::time::Time;

impl Account {
    pub(crate) fn decide_action(
        &mut self,
        step: &mut Step,
        input: ActionInput,
        by: &By,
    ) -> Result<Reply, Refusal> {
        let ActionInput { agent: id, action, expected_seq, note, dry_run } = input;
        if !by.role.supervises() {
            return Err(Refusal::SupervisorsOnly { action: action.as_str() });
        }
        if note.as_ref().is_some_and(|note| note.len() > NOTE_BYTES_MAX) {
            return Err(Refusal::Limit { what: "bytes of a note", limit: NOTE_BYTES_MAX });
        }
        let agent = self.agent(&id).ok_or_else(|| Refusal::UnknownAgent { agent: id.clone() })?;
        if let Some(expected) = expected_seq
            && agent.seq != expected
        {
            return Err(Refusal::SeqMismatch { expected, found: agent.seq });
        }
        let changes = self.action_changes(agent, &action, by, step.now)?;
        if dry_run {
            let changes = self.foreseen(agent, changes, step.now);
            return Ok(Reply::Planned { row: Box::new(self.agent_row(agent)), changes });
        }
        if !changes.is_empty() {
            self.emit(step, Change::Acted { agent: id.clone(), action, note });
            self.emit_all(step, changes);
        }
        self.event_reply(step, &id)
    }

    fn action_changes(
        &self,
        agent: &Agent,
        action: &Action,
        by: &By,
        now: Time,
    ) -> Result<Vec<Change>, Refusal> {
        let event = match action {
            Action::Pause { reason } => AgentEvent::Pause { reason: reason.clone() },
            Action::Available => AgentEvent::Available,
            Action::Logout => AgentEvent::Logout,
            Action::EndWrapUp => AgentEvent::EndWrapUp,
            Action::ClearStuck => return Ok(self.clearing(agent, now)),
        };
        let Some(wanted) = self.status_wanted(agent, &event, by)? else {
            return Ok(self.changes_of(agent, &event, None));
        };
        if agent.calls().next().is_some() && !self.is_free(agent, now) {
            return Ok(self.pending_changes(agent, wanted, by, now));
        }
        let status = super::presence::status_for(agent, &wanted, now);
        Ok(self.changes_of(agent, &event, status))
    }

    /// Ends everything that holds the agent.
    fn clearing(&self, agent: &Agent, now: Time) -> Vec<Change> {
        let id = || agent.id.clone();
        let of_slot = |slot: &Slot| match slot {
            Slot::Offering(offer) => {
                let outcome = Outcome::Rescinded(Cause::Supervisor);
                super::due::ended_without_miss(Some(agent), offer, outcome, None, now)
            }
            Slot::InCall(call) => {
                Change::LegEnded { agent: id(), call_id: call.call_id.clone(), wrap_up: None }
            }
            Slot::WrapUp(wrap_up) => {
                Change::WrapUpEnded { agent: id(), call_id: wrap_up.call_id.clone(), fence: wrap_up.fence }
            }
        };
        let externals = agent.external.iter().map(|call| Change::ExternalOver {
            agent: id(),
            call_id: call.call_id.clone(),
            source: call.source.clone(),
            stamp: call.stamp,
        });
        agent.slots.iter().map(of_slot).chain(externals).collect()
    }

    /// These changes, and what would follow from them: the agent as it would be is looked at as the real one is.
    fn foreseen(&self, agent: &Agent, asked: Vec<Change>, now: Time) -> Vec<Change> {
        let mut all = Vec::new();
        if asked.is_empty() {
            return all;
        }
        let mut would = agent.clone();
        let mut take = |would: &mut Agent, more: Vec<Change>| {
            more.iter().for_each(|change| self.foresee(would, change));
            all.extend(more);
        };
        take(&mut would, asked);
        let rescinds = self.rescinds_of(&would, now);
        take(&mut would, rescinds);
        if let Some((_, next)) = self.next_changes(&would, now) {
            take(&mut would, next);
            let rescinds = self.rescinds_of(&would, now);
            take(&mut would, rescinds);
        }
        all
    }

    /// What of a change matters to what follows from it.
    fn foresee(&self, agent: &mut Agent, change: &Change) {
        if let Change::StatusSet { status, .. } = change {
            agent.status = status.clone();
        } else if let Change::PendingSet { pending, .. } = change {
            agent.pending = pending.clone();
        } else if let Change::ClockLogoutSet { logout, .. } = change {
            agent.clock_logout = logout.clone();
        } else if let Change::OfferEnded { offer, .. } = change {
            agent.slots.retain(|slot| !matches!(slot, Slot::Offering(held) if held == offer));
            if let Some(entry) = self.offer(offer) {
                agent.release_wrap_up(entry.offer.fence);
            }
        } else if let Change::LegEnded { call_id, .. } = change {
            let ended = agent.calls().find(|call| call.call_id == *call_id).map(|call| call.fence);
            agent.slots.retain(|slot| !matches!(slot, Slot::InCall(call) if call.call_id == *call_id));
            if let Some(fence) = ended {
                agent.release_wrap_up(fence);
            }
        } else if let Change::WrapUpEnded { fence, .. } = change {
            agent.slots.retain(|slot| !matches!(slot, Slot::WrapUp(wrap_up) if wrap_up.fence == *fence));
        } else if let Change::ExternalOver { call_id, .. } = change {
            agent.external.retain(|call| call.call_id != *call_id);
        } else if let Change::Left { queue, .. } = change {
            let queue = self.queue_by_id.get(queue);
            agent.memberships.retain(|membership| Some(&membership.queue) != queue);
        }
    }
}
