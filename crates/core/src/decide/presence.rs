//! What agents and supervisors say: login, logout, available, pause, wrap-up; and the queues named with it.

use std::collections::BTreeSet;

use super::directory::AGENTS_MAX;
use crate::account::{Account, Step};
use crate::agent::{Agent, AgentEntry, Break, By, MembershipMode, Role, Status};
use crate::fact::Change;
use crate::id::{AgentId, QueueId, ReasonId};
use crate::input::{AgentEvent, EventInput, QueueChoice, Reply};
use crate::queue::{MEMBERSHIPS_MAX, QUEUES_MAX, QueueSettings};
use crate::refusal::Refusal;

/// What a list of queues comes to, decided before anything is done.
#[derive(Default)]
struct QueuePlan {
    create: Vec<QueueId>,
    join: Vec<(QueueId, u8, u32, MembershipMode)>,
    leave: Vec<QueueId>,
}

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
        let mut plan = self.plan_queues(known, &input, by)?;
        if input.event == AgentEvent::Logout {
            // The agent's own memberships end with it, those named just now as well.
            plan.create.clear();
            plan.join.retain(|(.., mode)| *mode != MembershipMode::Dynamic);
        }
        let status = self.plan_status(known, &input, by, step)?;
        // Nothing refuses from here on.
        if known.is_none() {
            let entry = self.entry_for_new(input.agent.as_str());
            self.emit(step, Change::AgentPut { agent: input.agent.clone(), entry: entry.into() });
        }
        self.carry_out_queues(step, &input.agent, plan);
        if let Some((status, misses_reset)) = status {
            self.emit(step, Change::StatusSet { agent: input.agent.clone(), status, misses_reset });
        }
        match input.event {
            AgentEvent::Available | AgentEvent::EndWrapUp => self.end_wrap_ups(step, &input.agent),
            AgentEvent::ExtendWrapUp { sec } => self.extend_wrap_ups(step, &input.agent, sec),
            AgentEvent::Logout => self.leave_dynamic(step, &input.agent),
            AgentEvent::Login | AgentEvent::Pause { .. } | AgentEvent::Unpause => {}
        }
        // Rescinds belong to the event, and the row that is answered shows them.
        let changed = step.changed();
        super::consequences(self, step);
        self.reply_row(&input.agent, changed)
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
        let offline = Status::Offline;
        let status = known.map_or(&offline, |agent| &agent.status);
        let misses = known.map_or(0, |agent| agent.misses);
        let not_logged_in = || Refusal::NotLoggedIn { agent: input.agent.clone() };
        Ok(match &input.event {
            AgentEvent::Login | AgentEvent::Available => {
                (*status != Status::Available || misses > 0).then_some((Status::Available, true))
            }
            AgentEvent::Logout => (*status != Status::Offline).then_some((Status::Offline, false)),
            AgentEvent::Unpause => match status {
                Status::Offline => return Err(not_logged_in()),
                Status::Available => (misses > 0).then_some((Status::Available, true)),
                Status::OnBreak(_) => Some((Status::Available, true)),
            },
            AgentEvent::Pause { reason } => {
                if *status == Status::Offline {
                    return Err(not_logged_in());
                }
                let pause = self.break_for(reason.as_ref(), by, step)?;
                let same = matches!(status, Status::OnBreak(now) if now.reason_id == pause.reason_id);
                (!same).then_some((Status::OnBreak(pause), false))
            }
            AgentEvent::EndWrapUp | AgentEvent::ExtendWrapUp { .. } => None,
        })
    }

    fn break_for(&self, reason: Option<&ReasonId>, by: &By, step: &Step) -> Result<Break, Refusal> {
        let Some(id) = reason else { return Ok(Break::plain(step.now)) };
        let reason = self.reasons.get(id).ok_or_else(|| Refusal::UnknownReason { reason: id.clone() })?;
        if reason.supervisor_only && by.role == Role::Agent {
            return Err(Refusal::Invalid {
                field: "reason_id",
                problem: format!("reason {id:?} is for supervisors only"),
            });
        }
        Ok(Break {
            reason_id: Some(id.clone()),
            name: Some(reason.name.clone()),
            allow_inbound: reason.allow_inbound,
            allow_outbound: reason.allow_outbound,
            since: step.now,
            until: reason.max_sec.map(|sec| step.now.plus_sec(sec)),
        })
    }

    /// A list replaces the agent's own memberships; modes say which those are.
    fn plan_queues(&self, known: Option<&Agent>, input: &EventInput, by: &By) -> Result<QueuePlan, Refusal> {
        let Some(choices) = &input.queues else { return Ok(QueuePlan::default()) };
        if choices.len() > MEMBERSHIPS_MAX {
            return Err(Refusal::Limit { what: "queues of one agent", limit: MEMBERSHIPS_MAX });
        }
        let mut plan = QueuePlan::default();
        let mut named: BTreeSet<&QueueId> = BTreeSet::new();
        for choice in choices {
            if !named.insert(&choice.queue) {
                return Err(Refusal::DuplicateQueue { queue: choice.queue.clone() });
            }
            self.plan_choice(known, &input.agent, choice, by, &mut plan)?;
        }
        if !plan.create.is_empty() && self.queues.len() + plan.create.len() > QUEUES_MAX {
            return Err(Refusal::Limit { what: "queues of one account", limit: QUEUES_MAX });
        }
        for membership in known.into_iter().flat_map(|agent| &agent.memberships) {
            if let Some(queue) = self.queues.get(membership.queue)
                && membership.mode == MembershipMode::Dynamic
                && !named.contains(&queue.id)
            {
                plan.leave.push(queue.id.clone());
            }
        }
        Ok(plan)
    }

    fn plan_choice(
        &self,
        known: Option<&Agent>,
        agent_id: &AgentId,
        choice: &QueueChoice,
        by: &By,
        plan: &mut QueuePlan,
    ) -> Result<(), Refusal> {
        let Some(queue_ix) = self.queue_by_id.get(&choice.queue).copied() else {
            plan.create.push(choice.queue.clone());
            let (tier, position) = (choice.tier.unwrap_or(1), choice.position.unwrap_or(0));
            plan.join.push((choice.queue.clone(), tier, position, MembershipMode::Dynamic));
            return Ok(());
        };
        let held = known.and_then(|agent| agent.membership(queue_ix));
        let mode = self.queues.get(queue_ix).map_or(MembershipMode::Dynamic, |q| q.settings.membership_mode);
        let denied = |mode, by| {
            Err(Refusal::MembershipDenied { agent: agent_id.clone(), queue: choice.queue.clone(), mode, by })
        };
        match held.map_or(mode, |membership| membership.mode) {
            MembershipMode::Dynamic => {}
            // Naming what one has is no change; its tier stays as it was assigned.
            MembershipMode::Static | MembershipMode::Supervised
                if held.is_some() && by.role == Role::Agent =>
            {
                return Ok(());
            }
            MembershipMode::Static if by.role != Role::Api => return denied("static", "an administrator"),
            MembershipMode::Supervised if by.role == Role::Agent => {
                return denied("supervised", "a supervisor");
            }
            MembershipMode::Static | MembershipMode::Supervised => {}
        }
        let tier = choice.tier.or(held.map(|m| m.tier)).unwrap_or(1);
        let position = choice.position.or(held.map(|m| m.position)).unwrap_or(0);
        if held.is_none_or(|m| m.tier != tier || m.position != position) {
            plan.join.push((choice.queue.clone(), tier, position, held.map_or(mode, |m| m.mode)));
        }
        Ok(())
    }

    fn carry_out_queues(&mut self, step: &mut Step, agent: &AgentId, plan: QueuePlan) {
        for queue in plan.create {
            self.emit(step, Change::QueuePut { queue, settings: Box::new(QueueSettings::default()) });
        }
        for queue in plan.leave {
            self.emit(step, Change::Left { agent: agent.clone(), queue });
        }
        for (queue, tier, position, mode) in plan.join {
            self.emit(step, Change::Joined { agent: agent.clone(), queue, tier, position, mode });
        }
    }

    /// Logout clears dynamic memberships only.
    fn leave_dynamic(&mut self, step: &mut Step, agent_id: &AgentId) {
        let Some(agent) = self.agent(agent_id) else { return };
        let dynamic = agent.memberships.iter().filter(|m| m.mode == MembershipMode::Dynamic);
        let queues: Vec<QueueId> =
            dynamic.filter_map(|m| Some(self.queues.get(m.queue)?.id.clone())).collect();
        for queue in queues {
            self.emit(step, Change::Left { agent: agent_id.clone(), queue });
        }
    }

    fn end_wrap_ups(&mut self, step: &mut Step, agent_id: &AgentId) {
        let Some(agent) = self.agent(agent_id) else { return };
        let running: Vec<_> = agent.wrap_ups().map(|wrap_up| wrap_up.call_id.clone()).collect();
        for call_id in running {
            self.emit(step, Change::WrapUpEnded { agent: agent_id.clone(), call_id });
        }
    }

    fn extend_wrap_ups(&mut self, step: &mut Step, agent_id: &AgentId, sec: u32) {
        let Some(agent) = self.agent(agent_id) else { return };
        let moved: Vec<_> = agent
            .wrap_ups()
            .filter(|wrap_up| wrap_up.timed)
            .map(|wrap_up| {
                (wrap_up.call_id.clone(), wrap_up.until, wrap_up.until.plus_sec(sec).min(wrap_up.limit))
            })
            .filter(|(_, before, after)| after > before)
            .collect();
        for (call_id, _, until) in moved {
            self.emit(step, Change::WrapUpMoved { agent: agent_id.clone(), call_id, until });
        }
    }
}
