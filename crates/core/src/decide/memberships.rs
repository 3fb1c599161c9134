//! Who is in which queue, and who may say so (model.md §6): an agent chooses dynamic queues, a supervisor supervised ones
//! too, an administrator all.

use std::collections::BTreeSet;

use crate::account::{Account, Step};
use crate::agent::{Agent, By, Membership, MembershipMode, Role};
use crate::fact::Change;
use crate::id::{AgentId, QueueId};
use crate::input::{EventInput, QueueChoice, Reply};
use crate::queue::{MEMBERSHIPS_MAX, QUEUES_MAX, QueueSettings};
use crate::refusal::Refusal;

/// What a list of queues comes to, decided before anything is done.
#[derive(Default)]
pub(super) struct QueuePlan {
    create: Vec<QueueId>,
    join: Vec<(QueueId, u8, u32, MembershipMode)>,
    leave: Vec<QueueId>,
}

impl QueuePlan {
    /// The agent's own memberships end with a logout, those named just now as well.
    pub fn without_dynamic(&mut self) {
        self.create.clear();
        self.join.retain(|(.., mode)| *mode != MembershipMode::Dynamic);
    }
}

impl Account {
    /// A list replaces the agent's own memberships; modes say which those are.
    pub(super) fn plan_queues(
        &self,
        known: Option<&Agent>,
        input: &EventInput,
        by: &By,
    ) -> Result<QueuePlan, Refusal> {
        let Some(choices) = &input.queues else { return Ok(QueuePlan::default()) };
        let full = || Refusal::Limit { what: "queues of one agent", limit: MEMBERSHIPS_MAX };
        if choices.len() > MEMBERSHIPS_MAX {
            return Err(full());
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
        let mut kept = 0;
        for membership in known.into_iter().flat_map(|agent| &agent.memberships) {
            let Some(queue) = self.queues.get(membership.queue) else { continue };
            if named.contains(&queue.id) {
                continue;
            }
            if membership.mode == MembershipMode::Dynamic {
                plan.leave.push(queue.id.clone());
            } else {
                kept += 1;
            }
        }
        // What was assigned stays beside what is named.
        if kept + choices.len() > MEMBERSHIPS_MAX { Err(full()) } else { Ok(plan) }
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
        let of_queue =
            self.queues.get(queue_ix).map_or(MembershipMode::Dynamic, |queue| queue.settings.membership_mode);
        let mode = held.map_or(of_queue, |membership| membership.mode);
        if let Err(refusal) = may_change(by.role, mode, agent_id, &choice.queue) {
            // Naming what one has is no change; its tier stays as it was assigned.
            return if held.is_some() { Ok(()) } else { Err(refusal) };
        }
        let tier = choice.tier.or(held.map(|m| m.tier)).unwrap_or(1);
        let position = choice.position.or(held.map(|m| m.position)).unwrap_or(0);
        if held.is_none_or(|m| m.tier != tier || m.position != position) {
            plan.join.push((choice.queue.clone(), tier, position, mode));
        }
        Ok(())
    }

    pub(super) fn carry_out_queues(&mut self, step: &mut Step, agent: &AgentId, plan: QueuePlan) {
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

    /// Puts an agent into a queue, or moves it there, whatever it has chosen itself. The membership takes the mode the
    /// queue has now.
    pub(crate) fn decide_assign(
        &mut self,
        step: &mut Step,
        agent_id: &AgentId,
        choice: QueueChoice,
        by: &By,
    ) -> Result<Reply, Refusal> {
        let (held, of_queue) = self.assignable(agent_id, &choice.queue, by)?;
        let tier = choice.tier.or(held.map(|m| m.tier)).unwrap_or(1);
        let position = choice.position.or(held.map(|m| m.position)).unwrap_or(0);
        let full = self.agent(agent_id).is_some_and(|agent| agent.memberships.len() >= MEMBERSHIPS_MAX);
        if held.is_none() && full {
            return Err(Refusal::Limit { what: "queues of one agent", limit: MEMBERSHIPS_MAX });
        }
        if held.is_none_or(|m| (m.tier, m.position, m.mode) != (tier, position, of_queue)) {
            let (agent, queue) = (agent_id.clone(), choice.queue);
            self.emit(step, Change::Joined { agent, queue, tier, position, mode: of_queue });
        }
        self.event_reply(step, agent_id)
    }

    /// Takes an agent out of a queue. A live offer of that queue goes on.
    pub(crate) fn decide_unassign(
        &mut self,
        step: &mut Step,
        agent_id: &AgentId,
        queue: &QueueId,
        by: &By,
    ) -> Result<Reply, Refusal> {
        let (held, _) = self.assignable(agent_id, queue, by)?;
        if held.is_some() {
            self.emit(step, Change::Left { agent: agent_id.clone(), queue: queue.clone() });
        }
        self.event_reply(step, agent_id)
    }

    /// The membership there is, and the queue's mode; refused for those who may not change either.
    fn assignable(
        &self,
        agent_id: &AgentId,
        queue_id: &QueueId,
        by: &By,
    ) -> Result<(Option<Membership>, MembershipMode), Refusal> {
        let agent = self.agent(agent_id).ok_or_else(|| Refusal::UnknownAgent { agent: agent_id.clone() })?;
        let unknown = || Refusal::UnknownQueue { queue: queue_id.clone() };
        let queue_ix = self.queue_by_id.get(queue_id).copied().ok_or_else(unknown)?;
        let of_queue = self.queues.get(queue_ix).ok_or_else(unknown)?.settings.membership_mode;
        let held = agent.membership(queue_ix).copied();
        for mode in held.map(|membership| membership.mode).into_iter().chain([of_queue]) {
            may_change(by.role, mode, agent_id, queue_id)?;
        }
        Ok((held, of_queue))
    }
}

/// Whether somebody of this role may change a membership of this mode.
fn may_change(role: Role, mode: MembershipMode, agent: &AgentId, queue: &QueueId) -> Result<(), Refusal> {
    let denied =
        |mode, by| Err(Refusal::MembershipDenied { agent: agent.clone(), queue: queue.clone(), mode, by });
    match mode {
        MembershipMode::Static if !role.administers() => denied("static", "an administrator"),
        MembershipMode::Supervised if !role.supervises() => denied("supervised", "a supervisor"),
        MembershipMode::Static | MembershipMode::Dynamic | MembershipMode::Supervised => Ok(()),
    }
}
