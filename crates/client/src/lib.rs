//! # ringfence-client: a correct local view of somebody else's engine
//!
//! Two things a program outside the server wants:
//!
//! - [`Api`]: the HTTP calls of routers, registrars, agents' apps and administrators, typed, over connections that are
//!   kept. A refusal is [`ApiError::Problem`] with the stable code; [`ApiError::Transport`] means that nobody knows
//!   whether it was done, so the caller repeats it with the same ids.
//! - [`Stream`]: a view that stays current. It connects, subscribes, resumes by (epoch, seq), notices silence before the
//!   transport does, backs off with jitter, and tells what the close code asks of it. Its rows are a [`Board`].
//!
//! The [`Board`] alone is the client rule of the stream: frames in, changed rows and answers out, without IO or a clock.
//! A program with its own connection uses it alone.
//!
//! The crate sees the wire and the rows, neither the engine nor the store.

mod credential;
mod error;
mod server_url;

mod api;
mod body;
mod http;

mod board;
mod table;

mod backoff;
mod connection;
mod patience;
mod stream;

mod board_tests;
mod stream_tests;

pub use api::Api;
pub use board::{Applied, Board, BoardCounters, Changed};
pub use body::{
    AgentEventBody, Eligibility, FeedAnswer, FeedRefusal, OfferStep, Presence, QueueChoiceBody, Reserve,
    Ticket, Written,
};
pub use credential::Credential;
pub use error::ApiError;
pub use server_url::{BadServerUrl, ServerUrl};
pub use stream::{Proof, Stream, StreamOptions, Update};
pub use table::Table;
