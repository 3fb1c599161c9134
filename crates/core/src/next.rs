//! What an agent is to become later (model.md §5): a status for after the call, and a logout at a clock time. Two slots,
//! both visible, both cancellable.

use serde::{Deserialize, Serialize};

use crate::agent::By;
use crate::id::ReasonId;
use crate::input::PauseReason;
use crate::row::{Next, StatusWord};
use crate::time::Time;

/// Furthest a clock logout may lie ahead; later ones are taken for a mistake of units.
pub const CLOCK_LOGOUT_MAX_MS: u64 = 31 * 86_400_000;

/// When an event is to take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    #[default]
    Now,
    /// When some slot of the agent is free next; at once if one is. For `pause`, `available` and `logout`.
    AfterCall,
    /// At this time by the engine's clock, or right after the call that is on then. For `logout` alone.
    At(Time),
}

/// The status an agent is to have when a slot is free next.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pending {
    pub status: NextStatus,
    /// When it was asked for.
    pub since: Time,
    /// Who asked: the change is theirs when it comes.
    pub by: By,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NextStatus {
    Offline,
    Available,
    /// With a copy of the reason's terms, so that one deleted meanwhile changes nothing.
    OnBreak(Option<PauseReason>),
}

impl NextStatus {
    pub const fn word(&self) -> StatusWord {
        match self {
            Self::Offline => StatusWord::Offline,
            Self::Available => StatusWord::Available,
            Self::OnBreak(_) => StatusWord::OnBreak,
        }
    }

    pub fn reason_id(&self) -> Option<&ReasonId> {
        match self {
            Self::Offline | Self::Available => None,
            Self::OnBreak(reason) => reason.as_ref().map(|reason| &reason.id),
        }
    }
}

/// A logout at a time of the day.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClockLogout {
    pub at: Time,
    /// The time has come, in a call: it is carried out right after it.
    pub due: bool,
    /// When it was asked for.
    pub since: Time,
    pub by: By,
}

/// The one of the two that comes first, as a row shows it: a logout whose time has come waits for the call alone, a
/// status for after the call for the wrap-up too; before its time the logout comes last.
pub(crate) fn first(pending: Option<&Pending>, logout: Option<&ClockLogout>) -> Option<Next> {
    let after_call = pending.map(|pending| Next {
        status: pending.status.word(),
        reason_id: pending.status.reason_id().cloned(),
        at: None,
        by: pending.by.clone(),
    });
    let by_clock = logout.map(|logout| Next {
        status: StatusWord::Offline,
        reason_id: None,
        at: Some(logout.at),
        by: logout.by.clone(),
    });
    if logout.is_some_and(|logout| logout.due) { by_clock } else { after_call.or(by_clock) }
}
