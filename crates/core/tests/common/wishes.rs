//! What random lives are made of beside events and calls: what is to come, actions of supervisors, memberships that are
//! assigned, agents who dial out.

use proptest::prelude::*;
use ringfence_core::agent::{By, Role};
use ringfence_core::input::{Action, AgentEvent, QueueChoice, When};
use ringfence_core::{Input, Time};

use super::commands::{AGENTS, QUEUES, Wanted, nth_agent, nth_queue, wanted};
use super::{act, by, event_for, reason_id};

#[derive(Debug, Clone)]
pub enum Wish {
    /// For after the call: a pause, `available` or a logout.
    Later {
        agent: u8,
        event: AgentEvent,
        role: Role,
    },
    /// So many milliseconds from now.
    LogoutAt {
        agent: u8,
        ms: u64,
        role: Role,
    },
    SelfReserve {
        agent: u8,
        ask: Wanted,
    },
    Act {
        agent: u8,
        action: Action,
        role: Role,
    },
    /// Without a tier: taken out of the queue.
    Assign {
        agent: u8,
        queue: u8,
        tier: Option<u8>,
        role: Role,
    },
}

impl Wish {
    pub fn input(&self, now: Time) -> (Input, By) {
        match self {
            Self::Later { agent, event, role } => {
                (event_for(When::AfterCall, nth_agent(*agent).as_str(), event.clone()), by(*role))
            }
            Self::LogoutAt { agent, ms, role } => {
                let when = When::At(now.plus_ms(*ms));
                (event_for(when, nth_agent(*agent).as_str(), AgentEvent::Logout), by(*role))
            }
            Self::SelfReserve { agent, ask } => {
                (Input::SelfReserve { agent: nth_agent(*agent), ask: ask.ask() }, by(Role::Agent))
            }
            Self::Act { agent, action, role } => (act(nth_agent(*agent).as_str(), action.clone()), by(*role)),
            Self::Assign { agent, queue, tier, role } => {
                let (agent, queue) = (nth_agent(*agent), nth_queue(*queue));
                let input = match tier {
                    Some(tier) => {
                        let choice = QueueChoice { queue, tier: Some(*tier), position: None };
                        Input::Assign { agent, choice }
                    }
                    None => Input::Unassign { agent, queue },
                };
                (input, by(*role))
            }
        }
    }
}

pub fn wish() -> impl Strategy<Value = Wish> {
    let role = || prop::sample::select(vec![Role::Agent, Role::Supervisor, Role::Api, Role::Api]);
    let reason = || {
        let reasons =
            vec![None, Some(reason_id("open")), Some(reason_id("closed")), Some(reason_id("nothing"))];
        prop::sample::select(reasons)
    };
    let later = prop_oneof![
        3 => reason().prop_map(|reason| AgentEvent::Pause { reason }),
        1 => Just(AgentEvent::Available),
        1 => Just(AgentEvent::Logout),
    ];
    let action = prop_oneof![
        2 => reason().prop_map(|reason| Action::Pause { reason }),
        1 => Just(Action::Available),
        1 => Just(Action::Logout),
        1 => Just(Action::EndWrapUp),
        1 => Just(Action::ClearStuck),
    ];
    prop_oneof![
        3 => (0..AGENTS, later, role()).prop_map(|(agent, event, role)| Wish::Later { agent, event, role }),
        1 => (0..AGENTS, 0..30_000_u64, role()).prop_map(|(agent, ms, role)| Wish::LogoutAt { agent, ms, role }),
        3 => (0..AGENTS, wanted()).prop_map(|(agent, ask)| Wish::SelfReserve { agent, ask }),
        3 => (0..AGENTS, action, role()).prop_map(|(agent, action, role)| Wish::Act { agent, action, role }),
        2 => (0..AGENTS, 0..QUEUES, prop::option::weighted(0.7, 0..3_u8), role())
            .prop_map(|(agent, queue, tier, role)| Wish::Assign { agent, queue, tier, role }),
    ]
}
