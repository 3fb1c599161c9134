//! An agent dialling out takes itself through the fence, so that it and a router cannot both win (model.md §6).

use crate::account::{Account, Step};
use crate::agent::Agent;
use crate::fence::{Check, Clause, OfferKind};
use crate::id::AgentId;
use crate::input::{Ask, Reply};
use crate::offer::{Fence, Target};
use crate::refusal::Refusal;
use crate::time::Time;

impl Account {
    pub(crate) fn self_reserve(
        &mut self,
        step: &mut Step,
        agent_id: &AgentId,
        ask: Ask,
    ) -> Result<Reply, Refusal> {
        let target = Target::Own(agent_id.clone());
        if let Some(reply) = self.retried(&ask, &target, None)? {
            return Ok(reply);
        }
        self.check_call(&ask)?;
        let unknown = || Refusal::UnknownAgent { agent: agent_id.clone() };
        let ix = self.agent_by_id.get(agent_id).copied().ok_or_else(unknown)?;
        let agent = self.agents.get(ix).ok_or_else(unknown)?;
        let mut checks = self.subject(agent, step.now).checks(OfferKind::Own);
        if self.is_within(agent, &ask.call) {
            checks.push(Check { clause: Clause::Excluded, ok: false, since: None, until: None });
        }
        if checks.iter().any(|check| !check.ok) {
            return Err(Refusal::NotOfferable { agent: agent_id.clone(), checks });
        }
        self.grant_to(step, &[ix], None, target, ask)
    }

    /// The wrap-up whose slot a call of the agent's own takes: none while a slot is free, else the one that ends last.
    pub(super) fn slot_in_wrap_up(&self, agent: &Agent, now: Time) -> Option<Fence> {
        if self.is_free(agent, now) {
            return None;
        }
        let running = agent.wrap_ups().filter(|wrap_up| wrap_up.until > now && wrap_up.taken_by.is_none());
        running.max_by_key(|wrap_up| (wrap_up.until, wrap_up.fence)).map(|wrap_up| wrap_up.fence)
    }
}
