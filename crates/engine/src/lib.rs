//! # ringfence: who can take this call right now?
//!
//! What a call router embeds. An [`Engine`] holds accounts; an [`Account`] answers for its agents: their status, their
//! calls, whether their phones are registered, and through the **reserve fence** who gets the next call, one agent for
//! one caller.
//!
//! ```no_run
//! # async fn route() -> Result<(), Box<dyn std::error::Error>> {
//! use ringfence::core::{agent::By, input::{Ask, Verb}, AccountId, CallId, QueueId};
//! use ringfence::{Durability, Engine, Options};
//!
//! let engine = Engine::open(Options::durable("data", Durability::Sync)).await?;
//! let acme = engine.account(&AccountId::parse("acme")?);
//!
//! let ask = Ask { call: CallId::parse("call-1")?, offer: None, lease_ms: None, router: None };
//! let granted = acme.reserve_queue(By::ROUTER, QueueId::parse("sales")?, ask, Vec::new()).await?;
//! let offer = granted.grant.offer; // ring offer.addresses until offer.expires_at, then:
//! acme.offer(By::ROUTER, offer.offer_id.clone(), offer.fence, Verb::Answer { leg: None }).await?;
//! acme.end_call(By::ROUTER, offer.call_id.clone(), None, None).await?;
//! engine.shutdown().await?;
//! # Ok(()) }
//! ```
//!
//! How it works, in the order an input travels: a handle (`account`) takes a permit and finds the owner (`cell`,
//! `load`); the `actor` steps `ringfence_core::Account` and pushes the record and everything that may be said because of
//! it to the `gate`; the `committer` makes a group of records durable with one sync and lets their effects out, rows
//! ([`Released`]) before replies. In mode memory the actor lets them out itself. The `timer` sends ticks; the `warden`
//! hears of failed actors, which are brought up again from the journal. `source` keeps each registrar's continuity.

mod account;
mod engine;
mod feed;

mod answer;
mod clock;
mod counters;
mod error;
mod options;
mod released;
mod router;
mod source;

mod actor;
mod cell;
mod codec;
mod committer;
mod door;
mod gate;
mod load;
mod shared;
mod timer;
mod warden;

pub use ringfence_core as core;
pub use ringfence_core::{
    AccountId, AgentId, CallId, OfferId, QueueId, ReasonId, Refusal, RefusalKind, RouterId, SourceId, TagId,
    Time,
};
pub use ringfence_store::{Durability, HistoryLimits, KeyRow};

pub use account::Account;
pub use answer::{
    ActionAnswer, AgentAnswer, ConfigAnswer, Done, EndAnswer, Entries, Explanation, FedAnswer, LineAnswer,
    OfferAnswer, Queues, Roster,
};
pub use clock::Clock;
pub use codec::{BadBytes, read_record};
pub use counters::Counters;
pub use engine::Engine;
pub use error::{Error, OpenError};
pub use feed::FeedReport;
pub use options::{Options, Permits};
pub use released::{CatchUp, ChangedRow, Cursor, Delta, Released, Snapshot, ViewHead};
pub use router::{Router, RouterEvent};
pub use source::SourceStatus;
