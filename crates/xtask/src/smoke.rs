//! `ringfence demo`, as a newcomer meets it: the release binary, once, from the outside.

use crate::steps::Outcome;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the simulated centre runs before it is held against its board.
const CHECK_SEC: &str = "20";
/// Times as fast as life, so that calls are answered and ended in it.
const SPEED: &str = "10";
/// A demo that has not ended by then hangs.
const DEADLINE: Duration = Duration::from_secs(90);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Runs the demo's own check: calls were answered, nobody was offered twice, the board equals the API's answer.
///
/// Leaves no process behind, and ends by itself within two minutes.
pub fn demo(binary: &Path) -> Outcome {
    if !binary.exists() {
        return Outcome::Failed(format!("there is no {}", binary.display()));
    }
    let mut command = Command::new(binary);
    command
        .args(["demo", "--listen", "127.0.0.1:0", "--check", CHECK_SEC, "--speed", SPEED])
        .stdin(Stdio::null());
    match command.spawn() {
        Ok(child) => wait(child),
        Err(error) => Outcome::Failed(format!("{} does not start: {error}", binary.display())),
    }
}

fn wait(mut child: Child) -> Outcome {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Outcome::Passed,
            Ok(Some(status)) => return Outcome::Failed(format!("the demo's check ended with {status}")),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK_AGAIN),
            Ok(None) => {
                let ended = child.kill().and_then(|()| child.wait());
                return Outcome::Failed(format!("the demo did not end within {DEADLINE:?} ({ended:?})"));
            }
            Err(error) => return Outcome::Failed(format!("the demo cannot be waited for: {error}")),
        }
    }
}
