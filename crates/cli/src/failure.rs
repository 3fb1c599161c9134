//! How a command ends when it does not end well.

use std::process::ExitCode;

/// What went wrong, sorted by the exit code it makes.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Bad usage or configuration.
    #[error("{0}")]
    Usage(String),
    /// The demo found something that must not be.
    #[error("{0}")]
    Check(String),
    #[error("{0}")]
    Failed(String),
    /// Nobody reads our output any more, as after `| head`.
    #[error("the output is closed")]
    OutputClosed,
}

impl Failure {
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Check(_) => ExitCode::from(4),
            Self::Failed(_) => ExitCode::FAILURE,
            Self::OutputClosed => ExitCode::SUCCESS,
        }
    }

    /// For errors whose text says what to do.
    pub fn of(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}
