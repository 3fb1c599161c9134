//! What agents are to become later: a status for after the call, a logout at a clock time.

use crate::account::{Account, Step};
use crate::agent::{Agent, By};
use crate::fact::Change;
use crate::id::AgentId;
use crate::input::{AgentEvent, EventInput};
use crate::next::{CLOCK_LOGOUT_MAX_MS, ClockLogout, NextStatus, Pending, When};
use crate::refusal::Refusal;
use crate::slab::Ix;
use crate::time::Time;

/// Refuses an event that cannot wait, and queues named with one that does: they are atomic with the event.
pub(super) fn check_when(input: &EventInput, now: Time) -> Result<(), Refusal> {
    let no = |problem: String| Err(Refusal::Invalid { field: "when", problem });
    match (input.when, &input.event) {
        (When::Now, _) => return Ok(()),
        (When::AfterCall, AgentEvent::Pause { .. } | AgentEvent::Available | AgentEvent::Logout) => {}
        (When::AfterCall, _) => {
            return no("only pause, available and logout can be for after the call".to_owned());
        }
        (When::At(at), AgentEvent::Logout) => {
            if at <= now {
                return no(format!("{at} is not in the future; it is {now} by the engine's clock"));
            }
            if at.since(now) > CLOCK_LOGOUT_MAX_MS {
                return no(format!("{at} is more than 31 days ahead; times are milliseconds since 1970"));
            }
        }
        (When::At(_), _) => return no("only a logout can be at a clock time".to_owned()),
    }
    if input.queues.is_some() {
        let problem = "an event for later names no queues; send them with an event for now".to_owned();
        return Err(Refusal::Invalid { field: "queues", problem });
    }
    Ok(())
}

impl Account {
    /// Free as in model.md §7: some slot has neither a live offer nor a call nor a running wrap-up.
    pub(super) fn is_free(&self, agent: &Agent, now: Time) -> bool {
        self.subject(agent, now).free_slot()
    }

    /// What asking this agent for this status after the call comes to: nothing where it is so already, or is to be.
    pub(super) fn pending_changes(
        &self,
        agent: &Agent,
        status: NextStatus,
        by: &By,
        now: Time,
    ) -> Vec<Change> {
        let set = |pending| vec![Change::PendingSet { agent: agent.id.clone(), pending }];
        let asked = agent.pending.as_ref().map(|pending| &pending.status);
        if super::presence::status_for(agent, &status, now).is_none() {
            return if asked.is_some() { set(None) } else { Vec::new() };
        }
        if asked == Some(&status) {
            return Vec::new();
        }
        set(Some(Box::new(Pending { status, since: now, by: by.clone() })))
    }

    pub(super) fn set_clock_logout_at(&mut self, step: &mut Step, agent: &AgentId, at: Time) {
        let asked = self.agent(agent).and_then(|agent| agent.clock_logout.as_ref()).map(|logout| logout.at);
        if asked != Some(at) {
            let logout = ClockLogout { at, due: false, since: step.now, by: step.by.clone() };
            self.emit(step, Change::ClockLogoutSet { agent: agent.clone(), logout: Some(Box::new(logout)) });
        }
    }

    /// Carries out what is to come for an agent that can have it now.
    pub(super) fn carry_out_next(&mut self, step: &mut Step, ix: Ix) -> bool {
        let Some(agent) = self.agents.get(ix) else { return false };
        let Some((by, changes)) = self.next_changes(agent, step.now) else { return false };
        self.emit_all_for(step, &by, changes);
        true
    }

    /// What of it can come now, and whose wish it was. Of two that could the logout counts.
    pub(super) fn next_changes(&self, agent: &Agent, now: Time) -> Option<(By, Vec<Change>)> {
        if let Some(logout) = agent.clock_logout.as_ref().filter(|logout| logout.at <= now)
            && agent.calls().next().is_none()
        {
            let status = super::presence::status_for(agent, &NextStatus::Offline, now);
            let mut changes = self.changes_of(agent, &AgentEvent::Logout, status);
            changes.push(Change::ClockLogoutSet { agent: agent.id.clone(), logout: None });
            return Some((logout.by.clone(), changes));
        }
        let pending = agent.pending.as_ref().filter(|_| self.is_free(agent, now))?;
        let event = match &pending.status {
            NextStatus::Offline => AgentEvent::Logout,
            NextStatus::Available => AgentEvent::Available,
            NextStatus::OnBreak(_) => AgentEvent::Pause { reason: None },
        };
        let status = super::presence::status_for(agent, &pending.status, now);
        Some((pending.by.clone(), self.changes_of(agent, &event, status)))
    }

    /// The time has come: at once, or marked for right after the call.
    pub(super) fn clock_logout_due(&mut self, step: &mut Step, ix: Ix) {
        let Some(agent) = self.agents.get(ix) else { return };
        let Some(logout) = agent.clock_logout.as_ref().filter(|logout| logout.at <= step.now) else { return };
        if agent.calls().next().is_none() {
            self.carry_out_next(step, ix);
        } else if !logout.due {
            let logout = Some(Box::new(ClockLogout { due: true, ..(**logout).clone() }));
            self.emit(step, Change::ClockLogoutSet { agent: agent.id.clone(), logout });
        }
    }

    /// Makes changes that somebody asked for earlier: theirs, whoever made the record.
    fn emit_all_for(&mut self, step: &mut Step, by: &By, changes: Vec<Change>) {
        let before = step.on_behalf.replace(by.clone());
        self.emit_all(step, changes);
        step.on_behalf = before;
    }

    pub(super) fn emit_all(&mut self, step: &mut Step, changes: Vec<Change>) {
        for change in changes {
            self.emit(step, change);
        }
    }
}
