//! What supervisors do to an agent from outside (model.md §3, §4; api.md): the same commands an agent has, and a way out
//! of whatever holds it.

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, ReasonId};

/// Longest note of an action, in bytes: it is kept in the journal.
pub const NOTE_BYTES_MAX: usize = 512;

/// An action of a supervisor or administrator on one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionInput {
    pub agent: AgentId,
    pub action: Action,
    /// Refuse when the agent's row has another seq.
    pub expected_seq: Option<u64>,
    /// Why; at most [`NOTE_BYTES_MAX`] bytes, kept with the record.
    pub note: Option<String>,
    /// Answer what would change, and change nothing.
    pub dry_run: bool,
}

/// In a call with no slot free, the first three become the agent's status for after it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Pause {
        reason: Option<ReasonId>,
    },
    Available,
    Logout,
    EndWrapUp,
    /// Ends what holds the agent: offers, legs of calls (without wrap-up), wrap-ups, external calls.
    ClearStuck,
}

impl Action {
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pause { .. } => "pause",
            Self::Available => "available",
            Self::Logout => "logout",
            Self::EndWrapUp => "end_wrap_up",
            Self::ClearStuck => "clear_stuck",
        }
    }
}
