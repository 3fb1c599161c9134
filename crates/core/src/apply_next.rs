//! Changes of what an agent is to become later.

use crate::account::Account;
use crate::deadline::Deadline;
use crate::id::AgentId;
use crate::next::{ClockLogout, Pending};
use crate::slab::Ix;

impl Account {
    pub(crate) fn set_pending(&mut self, agent: &AgentId, pending: Option<&Pending>) -> Option<Ix> {
        self.with_agent(agent, |agent| agent.pending = pending.map(|pending| Box::new(pending.clone())))
    }

    pub(crate) fn set_clock_logout(&mut self, agent: &AgentId, logout: Option<&ClockLogout>) -> Option<Ix> {
        let ix = *self.agent_by_id.get(agent)?;
        let agent = self.agents.get_mut(ix)?;
        let before =
            std::mem::replace(&mut agent.clock_logout, logout.map(|logout| Box::new(logout.clone())));
        if let Some(before) = before {
            self.deadlines.disarm(before.at, Deadline::ClockLogout(ix));
        }
        if let Some(logout) = logout.filter(|logout| !logout.due) {
            self.deadlines.arm(logout.at, Deadline::ClockLogout(ix));
        }
        Some(ix)
    }
}
