//! The log: to stderr, in colour where a person reads it.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Overrides what is logged, in the form of tracing's `EnvFilter`, such as `debug` or `ringfence_server=trace`.
const FILTER: &str = "RINGFENCE_LOG";

pub fn start(level: &str) -> Result<(), Failure> {
    let filter = match std::env::var(FILTER) {
        Ok(filter) => EnvFilter::try_new(&filter)
            .map_err(|error| Failure::Usage(format!("{FILTER}={filter:?}: {error}")))?,
        Err(_) => EnvFilter::new(level),
    };
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(in_colour());
    log.try_init().map_err(|error| Failure::Failed(format!("cannot start the log: {error}")))
}

/// <https://no-color.org>: any value but the empty one says no.
fn in_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !refused
}
