//! One thing looked at.

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub what: &'static str,
    pub state: State,
    /// What was found, and what to do about it.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Good,
    /// It works, for now.
    Doubtful,
    Bad,
    /// It was not asked for.
    Skipped,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Doubtful => "warning",
            Self::Bad => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl Finding {
    pub fn new(what: &'static str, state: State, detail: impl Into<String>) -> Self {
        Self { what, state, detail: detail.into() }
    }
}
