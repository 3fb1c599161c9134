//! The HTTP API, as its callers meet it: a real server on a port of its own, an engine in memory, a clock that stands
//! still until a test moves it.

#![cfg(test)]

mod client;
mod server;

mod conditions;
mod conflicts;
mod disk;
mod documents;
mod feeds;
mod keys;
mod line;
mod presence;
mod problems;
mod puller;
mod random;
mod rates;
mod reads;
mod repeats;
mod roles;
mod routing;
mod seed;
mod shutdown;
mod writes;
