//! # ringfence-core: the decisions
//!
//! *Who can take this call right now?* An [`Account`] answers: it holds every agent's **status** (what the agent
//! wants), **state** (what the agent is doing), **contacts** (where the phone is registered) and **external calls**, and
//! the **fence** that lends an agent to one call at a time.
//!
//! Nothing in this crate does IO, reads a clock or is random. An account is a state and one function,
//! [`Account::step`]`(input, by, now)`, which
//!
//! 1. fires the deadlines due at `now`,
//! 2. decides the input, which may be refused ([`Refusal`]) and then changes nothing,
//! 3. follows what the decision causes (an offer whose agent went on break is rescinded),
//!
//! and returns the [`Record`] of the facts, the reply, and which rows changed. Each [`Fact`] is applied the moment it is
//! decided; applying evaluates no predicate, so [`Account::replay`] of the same records is the same account, also after a
//! strategy or a setting changed.
//!
//! Soft state (exact lease ends, graces) is laid over and is in no record: a refreshed registration costs no write.
//!
//! Read in this order: [`bucket`] and [`fence`] (what is decided), [`agent`], [`offer`], [`call`], [`contact`], [`queue`]
//! with `ready` (its index) and [`mod@line`] (who waits), [`next`] (what an agent is to become) (what it is decided from),
//! [`fact`] (what comes out), `account` and `decide` (how), `apply` (the one place where state changes), `page` (how a
//! snapshot is cut), [`row`] (how it is shown).

pub mod id;
pub mod time;

pub mod bucket;
pub mod fence;

pub mod accounting;
pub mod action;
pub mod agent;
pub mod call;
pub mod contact;
mod deadline;
pub mod feed;
pub mod line;
mod lots;
pub mod next;
pub mod offer;
pub mod queue;
mod ready;
mod roll;
pub mod slab;

pub mod fact;
pub mod input;
pub mod refusal;

mod account;
mod apply;
mod apply_directory;
mod apply_line;
mod apply_next;
mod decide;
mod page;
pub mod row;
mod view;

pub use account::{Account, Outcome as StepOutcome, TOMBSTONE_MS, TOMBSTONES_MAX, Tombstone, Touched};
pub use fact::{Fact, Record};
pub use id::{AccountId, AgentId, BadId, CallId, OfferId, QueueId, ReasonId, RouterId, SourceId, TagId};
pub use input::{Input, Reply};
pub use page::{Dirty, Head, PAGE_SIZE, Page, PageKey};
pub use refusal::{Refusal, RefusalKind};
pub use slab::Ix;
pub use time::Time;
