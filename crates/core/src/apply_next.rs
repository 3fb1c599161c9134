//! Changes of what an agent is to become later, and of wrap-ups whose slot is taken meanwhile.

use std::sync::Arc;

use crate::account::Account;
use crate::agent::{Agent, Slot};
use crate::call::WrapUp;
use crate::deadline::Deadline;
use crate::id::AgentId;
use crate::next::{ClockLogout, Pending};
use crate::offer::Fence;
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

impl Agent {
    /// A call of the agent's own takes the slot of this wrap-up.
    pub(crate) fn take_wrap_up(&mut self, wrap_up: Fence, by: Fence) {
        self.mark_wrap_up(|held| held.fence == wrap_up, Some(by));
    }

    /// The call that took the slot of a wrap-up, if it did, is over before the wrap-up is.
    pub(crate) fn release_wrap_up(&mut self, by: Fence) {
        self.mark_wrap_up(|held| held.taken_by == Some(by), None);
    }

    fn mark_wrap_up(&mut self, is: impl Fn(&WrapUp) -> bool, taken_by: Option<Fence>) {
        for slot in &mut self.slots {
            if let Slot::WrapUp(wrap_up) = slot
                && is(wrap_up)
            {
                Arc::make_mut(wrap_up).taken_by = taken_by;
            }
        }
    }
}
