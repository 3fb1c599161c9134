//! # ringfence-feeds: what registrars say, in ringfence's words
//!
//! An adapter knows one registrar: how it is asked, what its answers look like, and which of them cannot be trusted. It
//! hands on [`ringfence_core::feed`] types and nothing else of the registrar; sequence, gaps, epochs and leases are the
//! business of whoever takes them. Each adapter is two halves: a conversion without IO, tested with recorded answers of
//! the real thing, and the client that fetches them.
//!
//! A snapshot that is not whole is worse than none, since what it leaves out is swept: every doubt is an
//! [`AdapterError`], never a shorter snapshot.
//!
//! - [`kamailio`]: pulls the whole location table over JSON-RPC. Its events need no adapter: the configuration in
//!   `docs/integrations/kamailio` posts them in ringfence's own form.

mod error;
pub mod kamailio;

pub use error::AdapterError;
