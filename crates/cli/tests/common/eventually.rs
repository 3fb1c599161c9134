//! Waiting for a condition. No test waits for a while.

use std::time::{Duration, Instant};

/// Between two looks at what tells nobody when it changes.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until there is something, and gives it. What a look says instead is told when time is up.
pub async fn eventually<T, E, Look, Looked>(deadline: Duration, what: &str, mut look: Look) -> T
where
    E: std::fmt::Display,
    Look: FnMut() -> Looked,
    Looked: Future<Output = Result<T, E>>,
{
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(instead) if begun.elapsed() > deadline => {
                panic!("not within {deadline:?}: {what}; instead: {instead}")
            }
            Err(_) => pause().await,
        }
    }
}

pub async fn pause() {
    tokio::time::sleep(PAUSE).await; // not a wait: the pause between two looks at a condition
}
