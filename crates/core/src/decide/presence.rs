//! What agents, and others for them, say: login, logout, available, pause, wrap-up.

use super::directory::AGENTS_MAX;
use super::next;
use crate::account::{Account, Step};
use crate::agent::{Agent, AgentEntry, Break, By, MembershipMode, Status};
use crate::fact::Change;
use crate::id::{AgentId, ReasonId};
use crate::input::{AgentEvent, EventInput, PauseReason, Reply};
use crate::next::{NextStatus, When};
use crate::refusal::Refusal;
use crate::time::Time;

impl Account {
    pub(crate) fn decide_event(
        &mut self,
        step: &mut Step,
        input: EventInput,
        by: &By,
    ) -> Result<Reply, Refusal> {
        let known = self.agent(&input.agent);
        if known.is_none() && !input.create {
            return Err(Refusal::UnknownAgent { agent: input.agent });
        }
        if known.is_none() && self.agents.len() >= AGENTS_MAX {
            return Err(Refusal::Limit { what: "agents of one account", limit: AGENTS_MAX });
        }
        if let (Some(expected), Some(agent)) = (input.expected_seq, known)
            && agent.seq != expected
        {
            return Err(Refusal::SeqMismatch { expected, found: agent.seq });
        }
        next::check_when(&input, step.now)?;
        let free = || known.is_none_or(|agent| self.is_free(agent, step.now));
        match input.when {
            When::Now => {}
            When::AfterCall if free() => {}
            When::AfterCall | When::At(_) => return self.decide_later(step, &input, by),
        }
        let mut plan = self.plan_queues(known, &input, by)?;
        if input.event == AgentEvent::Logout {
            plan.without_dynamic();
        }
        let status = self.plan_status(known, &input, by, step)?;
        // Nothing refuses from here on.
        if known.is_none() {
            let entry = self.entry_for_new(input.agent.as_str());
            self.emit(step, Change::AgentPut { agent: input.agent.clone(), entry: entry.into() });
        }
        self.carry_out_queues(step, &input.agent, plan);
        if let Some(agent) = self.agent(&input.agent) {
            let changes = self.changes_of(agent, &input.event, status);
            self.emit_all(step, changes);
        }
        self.event_reply(step, &input.agent)
    }

    /// An event for later, of an agent who is not free now.
    fn decide_later(&mut self, step: &mut Step, input: &EventInput, by: &By) -> Result<Reply, Refusal> {
        let agent =
            self.agent(&input.agent).ok_or_else(|| Refusal::UnknownAgent { agent: input.agent.clone() })?;
        match input.when {
            When::Now => {}
            When::AfterCall => {
                if let Some(status) = self.status_wanted(agent, &input.event, by)? {
                    let changes = self.pending_changes(agent, status, by, step.now);
                    self.emit_all(step, changes);
                }
            }
            When::At(at) => self.set_clock_logout_at(step, &input.agent, at),
        }
        self.event_reply(step, &input.agent)
    }

    /// Rescinds belong to the event, and the row that is answered shows them.
    pub(super) fn event_reply(&mut self, step: &mut Step, agent: &AgentId) -> Result<Reply, Refusal> {
        let changed = step.changed();
        super::consequences(self, step);
        self.reply_row(agent, changed)
    }

    /// What a command comes to beside the queues named with it.
    pub(super) fn changes_of(
        &self,
        agent: &Agent,
        event: &AgentEvent,
        status: Option<(Status, bool)>,
    ) -> Vec<Change> {
        let id = &agent.id;
        let set = |(status, misses_reset)| Change::StatusSet { agent: id.clone(), status, misses_reset };
        let mut changes: Vec<Change> = status.map(set).into_iter().collect();
        match event {
            AgentEvent::Available | AgentEvent::EndWrapUp => changes.extend(end_wrap_ups(agent)),
            AgentEvent::ExtendWrapUp { sec } => changes.extend(extend_wrap_ups(agent, *sec)),
            AgentEvent::Logout => changes.extend(self.leave_dynamic(agent)),
            AgentEvent::CancelClockLogout if agent.clock_logout.is_some() => {
                changes.push(Change::ClockLogoutSet { agent: id.clone(), logout: None });
            }
            AgentEvent::Login
            | AgentEvent::Pause { .. }
            | AgentEvent::Unpause
            | AgentEvent::CancelPending
            | AgentEvent::CancelClockLogout => {}
        }
        // The newer command counts.
        if agent.pending.is_some() && is_about_status(event) {
            changes.push(Change::PendingSet { agent: id.clone(), pending: None });
        }
        changes
    }

    /// The entry of an agent that a development server meets for the first time. An extension somebody has already is
    /// left to them.
    pub(crate) fn entry_for_new(&self, id: &str) -> AgentEntry {
        if self.agent_by_address.contains_key(id) {
            AgentEntry::default()
        } else {
            AgentEntry::for_extension(id)
        }
    }

    /// The new status and whether misses are forgiven; None: the status stays.
    fn plan_status(
        &self,
        known: Option<&Agent>,
        input: &EventInput,
        by: &By,
        step: &Step,
    ) -> Result<Option<(Status, bool)>, Refusal> {
        let Some(agent) = known else {
            return match &input.event {
                AgentEvent::Login | AgentEvent::Available => Ok(Some((Status::Available, true))),
                AgentEvent::Pause { .. } | AgentEvent::Unpause => {
                    Err(Refusal::NotLoggedIn { agent: input.agent.clone() })
                }
                AgentEvent::Logout
                | AgentEvent::EndWrapUp
                | AgentEvent::ExtendWrapUp { .. }
                | AgentEvent::CancelPending
                | AgentEvent::CancelClockLogout => Ok(None),
            };
        };
        let wanted = self.status_wanted(agent, &input.event, by)?;
        Ok(wanted.and_then(|status| status_for(agent, &status, step.now)))
    }

    /// The status a command asks for, if it asks for one.
    pub(super) fn status_wanted(
        &self,
        agent: &Agent,
        event: &AgentEvent,
        by: &By,
    ) -> Result<Option<NextStatus>, Refusal> {
        let logged_in = || {
            let offline = agent.status == Status::Offline;
            if offline { Err(Refusal::NotLoggedIn { agent: agent.id.clone() }) } else { Ok(()) }
        };
        Ok(match event {
            AgentEvent::Login | AgentEvent::Available => Some(NextStatus::Available),
            AgentEvent::Logout => Some(NextStatus::Offline),
            AgentEvent::Unpause => {
                logged_in()?;
                Some(NextStatus::Available)
            }
            AgentEvent::Pause { reason } => {
                logged_in()?;
                Some(NextStatus::OnBreak(self.reason_for(reason.as_ref(), by)?.cloned()))
            }
            AgentEvent::EndWrapUp
            | AgentEvent::ExtendWrapUp { .. }
            | AgentEvent::CancelPending
            | AgentEvent::CancelClockLogout => None,
        })
    }

    /// The reason of a break, if this one may give it.
    fn reason_for(&self, reason: Option<&ReasonId>, by: &By) -> Result<Option<&PauseReason>, Refusal> {
        let Some(id) = reason else { return Ok(None) };
        let reason = self.reasons.get(id).ok_or_else(|| Refusal::UnknownReason { reason: id.clone() })?;
        if reason.supervisor_only && !by.role.supervises() {
            return Err(Refusal::Invalid {
                field: "reason_id",
                problem: format!("reason {id:?} is for supervisors only"),
            });
        }
        Ok(Some(reason))
    }

    /// Logout clears dynamic memberships only.
    fn leave_dynamic<'a>(&'a self, agent: &'a Agent) -> impl Iterator<Item = Change> + 'a {
        let dynamic = agent.memberships.iter().filter(|m| m.mode == MembershipMode::Dynamic);
        dynamic.filter_map(|membership| {
            let queue = self.queues.get(membership.queue)?.id.clone();
            Some(Change::Left { agent: agent.id.clone(), queue })
        })
    }
}

/// The status an agent goes to, and whether misses are forgiven; None where nothing of it would change.
pub(super) fn status_for(agent: &Agent, wanted: &NextStatus, now: Time) -> Option<(Status, bool)> {
    match wanted {
        NextStatus::Offline => (agent.status != Status::Offline).then_some((Status::Offline, false)),
        NextStatus::Available => {
            (agent.status != Status::Available || agent.misses > 0).then_some((Status::Available, true))
        }
        NextStatus::OnBreak(reason) => {
            let id = reason.as_ref().map(|reason| &reason.id);
            let same = matches!(&agent.status, Status::OnBreak(now) if now.reason_id.as_ref() == id);
            (!same).then(|| (Status::OnBreak(Break::under(reason.as_ref(), now)), false))
        }
    }
}

/// Commands about the status replace what was to come after the call.
fn is_about_status(event: &AgentEvent) -> bool {
    match event {
        AgentEvent::Login
        | AgentEvent::Logout
        | AgentEvent::Available
        | AgentEvent::Pause { .. }
        | AgentEvent::Unpause
        | AgentEvent::CancelPending => true,
        AgentEvent::EndWrapUp | AgentEvent::ExtendWrapUp { .. } | AgentEvent::CancelClockLogout => false,
    }
}

fn end_wrap_ups(agent: &Agent) -> impl Iterator<Item = Change> + '_ {
    agent.wrap_ups().map(|wrap_up| Change::WrapUpEnded {
        agent: agent.id.clone(),
        call_id: wrap_up.call_id.clone(),
        fence: wrap_up.fence,
    })
}

fn extend_wrap_ups(agent: &Agent, sec: u32) -> impl Iterator<Item = Change> + '_ {
    let moved = agent.wrap_ups().filter(|wrap_up| wrap_up.timed).filter_map(move |wrap_up| {
        let until = wrap_up.until.plus_sec(sec).min(wrap_up.limit);
        (until > wrap_up.until).then_some((wrap_up, until))
    });
    moved.map(|(wrap_up, until)| Change::WrapUpMoved {
        agent: agent.id.clone(),
        call_id: wrap_up.call_id.clone(),
        until,
        fence: wrap_up.fence,
    })
}
