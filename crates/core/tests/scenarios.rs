//! Scenarios through one door: what is said to an account, and everything that comes of it.

#![cfg(test)]

mod common;

#[path = "scenarios/actions.rs"]
mod actions;
#[path = "scenarios/calls.rs"]
mod calls;
#[path = "scenarios/directory.rs"]
mod directory;
#[path = "scenarios/external.rs"]
mod external;
#[path = "scenarios/line.rs"]
mod line;
#[path = "scenarios/memberships.rs"]
mod memberships;
#[path = "scenarios/memory.rs"]
mod memory;
#[path = "scenarios/next.rs"]
mod next;
#[path = "scenarios/offers.rs"]
mod offers;
#[path = "scenarios/outcomes.rs"]
mod outcomes;
#[path = "scenarios/phones.rs"]
mod phones;
#[path = "scenarios/prefer.rs"]
mod prefer;
#[path = "scenarios/queues.rs"]
mod queues;
#[path = "scenarios/reads.rs"]
mod reads;
#[path = "scenarios/ring_all.rs"]
mod ring_all;
#[path = "scenarios/self_reserve.rs"]
mod self_reserve;
#[path = "scenarios/settings.rs"]
mod settings;
#[path = "scenarios/status.rs"]
mod status;
#[path = "scenarios/strategies.rs"]
mod strategies;
#[path = "scenarios/wrap_up.rs"]
mod wrap_up;
