//! A run of named steps: announced, timed, and summed up at the end.

use crate::options::Options;
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub struct Step {
    pub name: &'static str,
    pub what: &'static str,
    /// An earlier step without which this one says nothing new.
    pub needs: Option<&'static str>,
    pub run: fn(&Options) -> Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed(String),
    /// Not run, and why. Counted neither as passed nor as failed.
    Skipped(String),
    /// A person has to act first: the run ends here.
    Stuck(String),
}

impl From<Result<(), String>> for Outcome {
    fn from(result: Result<(), String>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(why) => Self::Failed(why),
        }
    }
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "FAILED",
            Self::Skipped(_) => "not run",
            Self::Stuck(_) => "STUCK",
        }
    }

    fn why(&self) -> &str {
        match self {
            Self::Passed => "",
            Self::Failed(why) | Self::Skipped(why) | Self::Stuck(why) => why,
        }
    }
}

struct Done {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
}

/// Comma-separated names, for messages.
pub fn names(steps: &[Step]) -> String {
    steps.iter().map(|step| step.name).collect::<Vec<_>>().join(", ")
}

/// Runs the steps in order, also past a failure, so that one run tells everything that is wrong.
///
/// The closing count is printed only when every step in `runners` (those that print test results of their own) ran.
pub fn run(steps: &[&Step], options: &Options, runners: &[&str]) -> ExitCode {
    if let Some(unknown) = options.only.iter().find(|only| !steps.iter().any(|step| step.name == *only)) {
        eprintln!("there is no step `{unknown}`");
        return ExitCode::from(2);
    }
    let mut done: Vec<Done> = Vec::new();
    for step in steps {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == step.name) {
            continue;
        }
        done.push(one(step, options, &done));
        if matches!(done.last(), Some(Done { outcome: Outcome::Stuck(_), .. })) {
            break;
        }
    }
    summary(&done);
    if runners.iter().all(|runner| done.iter().any(|it| it.name == *runner && ran(&it.outcome))) {
        let (passed, failed) = count(&done);
        println!("{passed} passed, {failed} failed");
    }
    exit_code(&done)
}

fn one(step: &Step, options: &Options, done: &[Done]) -> Done {
    println!("\n=== {}: {}", step.name, step.what);
    let begun = Instant::now();
    let blocked = done.iter().find(|it| Some(it.name) == step.needs && it.outcome != Outcome::Passed);
    let outcome = match blocked {
        Some(blocked) => Outcome::Skipped(format!("{} did not pass", blocked.name)),
        None => (step.run)(options),
    };
    let took = begun.elapsed();
    println!("=== {}: {} after {:.1} s", step.name, outcome.word(), took.as_secs_f64());
    Done { name: step.name, outcome, took }
}

fn summary(done: &[Done]) {
    println!("\n{:<12}{:<10}{:>9}", "step", "result", "time");
    for Done { name, outcome, took } in done {
        let first = outcome.why().lines().next().unwrap_or_default();
        let line = format!("{name:<12}{:<10}{:>7.1} s  {first}", outcome.word(), took.as_secs_f64());
        println!("{}", line.trim_end());
    }
}

fn ran(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Passed | Outcome::Failed(_))
}

fn count(done: &[Done]) -> (usize, usize) {
    let passed = done.iter().filter(|it| it.outcome == Outcome::Passed).count();
    let failed = done.iter().filter(|it| matches!(it.outcome, Outcome::Failed(_))).count();
    (passed, failed)
}

fn exit_code(done: &[Done]) -> ExitCode {
    if done.iter().any(|it| matches!(it.outcome, Outcome::Stuck(_))) {
        return ExitCode::from(2);
    }
    match count(done).1 {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
