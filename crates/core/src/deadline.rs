//! Deadlines of an account: one ordered set.

use std::collections::BTreeSet;

use crate::slab::Ix;
use crate::time::Time;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deadline {
    /// Of two that end together the one granted first comes first; places say nothing, a restart deals them anew.
    Offer {
        n: u64,
        place: Ix,
    },
    WrapUp(Ix),
    Cooldown(Ix),
    Call(Ix),
    External(Ix),
    /// The earliest lease of an AoR's contacts.
    Contact(Ix),
    /// A lost phone has been shown as there for long enough.
    Grace(Ix),
    /// Agents on break from this place on may stand differently than they did: a setting turned.
    Resettle(Ix),
    /// A caller has waited for long enough, or a tier opens for it.
    Waiting(Ix),
    /// A whole line is to be looked at.
    Line(Ix),
    /// A router that is away has been so for long enough.
    Routers,
    /// A logout at a time of the day.
    ClockLogout(Ix),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Deadlines(BTreeSet<(Time, Deadline)>);

impl Deadlines {
    pub fn arm(&mut self, at: Time, deadline: Deadline) {
        self.0.insert((at, deadline));
    }

    pub fn disarm(&mut self, at: Time, deadline: Deadline) {
        self.0.remove(&(at, deadline));
    }

    pub fn next(&self) -> Option<Time> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Lines to be looked at, unless something of another kind comes first.
    pub fn pop_line_due(&mut self, now: Time) -> Option<Deadline> {
        let (at, deadline) = self.0.first()?;
        let of_a_line = matches!(deadline, Deadline::Waiting(_) | Deadline::Line(_));
        if *at > now || !of_a_line {
            return None;
        }
        self.0.pop_first().map(|(_, deadline)| deadline)
    }

    pub fn pop_due(&mut self, now: Time) -> Option<Deadline> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, deadline)| deadline)
    }
}
