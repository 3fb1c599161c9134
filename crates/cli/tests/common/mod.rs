//! What the end-to-end tests share: real processes with a guard each, a stream client that checks every frame, and ways
//! to wait for a condition instead of for a while.
//!
//! Everything listens on loopback at a port that was free a moment before, writes into a directory of the test's own,
//! and is gone when its guard is dropped, also after a failure.

#![allow(dead_code, unused_imports, reason = "every test file uses its own part of this")]

pub mod agree;
pub mod browser;
pub mod eventually;
pub mod history;
pub mod http;
pub mod kamailio;
pub mod ledger;
pub mod phones;
pub mod ports;
pub mod process;
pub mod random;
pub mod rules;
pub mod serve;
pub mod staff;
pub mod temp_dir;
pub mod watcher;

pub use agree::agree;
pub use eventually::{eventually, pause};
pub use serve::Serve;
pub use temp_dir::TempDir;
pub use watcher::Watcher;

use std::time::Duration;

/// Longest wait for anything. A slow machine needs a part of it, a test that is well a fraction.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Reads an id, or a fence, or any other text with a grammar.
pub fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error:?}"))
}
