//! # ringfence-wire: what goes over the network
//!
//! Two languages, both written down in one place and read by both ends:
//!
//! - the **delta stream** (stream.md): typed frames of the server ([`ServerFrame`]) and of the client
//!   ([`ClientFrame`]), their JSON codec ([`json`]), the views one subscribes to ([`ViewSpec`]), how much a profile shows
//!   ([`mask`]), and the codes a connection ends with ([`CloseCode`]);
//! - **feed events** (feeds.md): what registrars and adapters post, read item by item into [`ringfence_core::feed`]
//!   ([`feed_event`]), so that one bad item costs nothing but itself.
//!
//! Everything read here came from somebody else: each parser has limits with names, refuses with the place and the
//! reason, and never panics. The crate does no IO, knows neither the engine nor a runtime, and holds no state.
//!
//! The server's frames are read leniently, since a newer server may say more; the client's strictly, since a misspelt
//! field would silently mean something else; events leniently about unknown fields and strictly about known ones.

pub mod close;
pub mod frame;
pub mod view;

pub mod client;
pub mod server;

pub mod json;
pub mod mask;

pub mod feed_event;
pub mod feed_snapshot;
pub mod feed_write;

mod elements;
mod fields;

pub use client::{ClientFrame, RateClass};
pub use close::{CloseCode, Retry};
pub use frame::{FrameError, RawJson, RequestId, Resume};
pub use json::SnapshotRef;
pub use server::{DeltaRef, RowRef, ServerFrame};
pub use view::{BadView, Profile, ViewSpec};
