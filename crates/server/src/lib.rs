//! # ringfence-server: the engine over HTTP
//!
//! Call routers reserve and report, agents say what they want, registrars tell who is reachable, and wallboards watch.
//! This crate owns the network and nothing else: every decision is the engine's, every byte of a stream is made once
//! and shared, and what a request may do is settled before its handler sees it.
//!
//! [`Server::bind`] listens, [`Bound::run`] accepts. Each connection is one task over hyper; each request goes through
//! `gate`, in this order: credential, scope, account, rate, body, repetition. A handler is given a `call::Call` and answers a
//! document or a `problem::Problem`; the problem is rendered in one place, with the id of the request. Requests for a
//! stream are handed to `stream`, which lives on what the same `App` holds.
//!
//! The account is the credential's. A request that names another is told there is none, so that nobody learns by asking.
//!
//! Every limit is a field of [`Limits`] or a constant with its reason, and shows in `/metrics` when it bites.
//!
//! Read in this order: `config`, `serve` and `connection` (how one gets in), `auth`, `gate`, `call` (what
//! every request has in common), `json`, `query`, `body`, `problem` (what is read, and how refused), `routes`
//! and `sipio` (what there is), `rate`, `repeat`, `metrics`, `puller`.

mod config;
mod connection;
mod serve;

mod auth;
mod call;
mod gate;
mod state;

mod body;
mod json;
mod problem;
mod query;
mod suggest;

mod routes;
mod sipio;
mod stream;

mod metrics;
mod puller;
mod rate;
mod repeat;

pub use auth::{NoRandom, new_key, scope_names};
pub use config::{BODY_FREE_BYTES, KamailioSource, Limits, Quota, ServerConfig};
pub use serve::{Bound, ServeError, Server};
pub use suggest::nearest;
