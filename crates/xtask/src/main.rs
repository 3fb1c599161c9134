//! The project's own tasks, as `cargo xtask <task>`.
//!
//! Nothing here depends on a crate, so that it builds in seconds on a fresh clone, before anything else is fetched.
//! `test` is the one command of the README; `ci` is what runs on a clean machine; `tidy` holds the rules of the house
//! that no compiler checks. Exit codes: 0 all is well, 1 a check failed, 2 a person has to do something first.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a task talks to the person who runs it")]

mod ci;
mod options;
mod process;
mod setup;
mod smoke;
mod steps;
mod test;
mod tidy;

use std::process::ExitCode;

struct Task {
    name: &'static str,
    usage: &'static str,
    what: &'static str,
    run: fn(&[String]) -> ExitCode,
}

const TASKS: &[Task] = &[
    Task {
        name: "setup",
        usage: "setup [--ci]",
        what: "install what the tests need; --ci (or CI=true) also cargo-deny",
        run: setup::main,
    },
    Task {
        name: "test",
        usage: "test [--quick] [--only STEP]...",
        what: "everything a change must pass; --quick leaves out clippy and the documentation",
        run: test::main,
    },
    Task {
        name: "tidy",
        usage: "tidy [--rules]",
        what: "the rules of the house that no compiler checks; --rules explains each",
        run: tidy::main,
    },
    Task {
        name: "ci",
        usage: "ci [--advisories] [--after-test] [--only STEP]...",
        what: "test, then licences and sources of dependencies, a release build and the demo",
        run: ci::main,
    },
    Task { name: "help", usage: "help", what: "this list", run: help },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = args.split_first() else { return help(&[]) };
    let name = if matches!(name.as_str(), "-h" | "--help") { "help" } else { name.as_str() };
    match TASKS.iter().find(|task| task.name == name) {
        Some(task) => (task.run)(rest),
        None => {
            eprintln!("there is no task `{name}`; `cargo xtask help` lists them");
            ExitCode::from(2)
        }
    }
}

fn help(_: &[String]) -> ExitCode {
    println!("cargo xtask <task>\n");
    for task in TASKS {
        println!("  {}\n      {}", task.usage, task.what);
    }
    println!("\nsteps of test: {}", steps::names(test::STEPS));
    println!("steps of ci, after those of test: {}", steps::names(ci::STEPS));
    ExitCode::SUCCESS
}
