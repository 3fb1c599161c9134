//! The steps every change passes, in the order in which they fail fastest.

use crate::options::Options;
use crate::process::{cargo, command, root, run};
use crate::setup;
use crate::steps::{self, Outcome, Step};
use crate::tidy;
use std::process::ExitCode;

/// The steps that print test counts of their own.
pub const RUNNERS: &[&str] = &["test", "wallboard"];

const LEFT_OUT_WHEN_QUICK: &[&str] = &["clippy", "doc"];
const WALLBOARD: &str = "crates/server/assets/wallboard";

pub const STEPS: &[Step] = &[
    Step { name: "setup", what: "what the tests need is installed", needs: None, run: setup },
    Step { name: "fmt", what: "the sources are formatted", needs: None, run: fmt },
    Step { name: "tidy", what: "the rules of the house hold", needs: None, run: |_| tidy::check() },
    Step { name: "clippy", what: "no lint speaks", needs: None, run: clippy },
    Step { name: "build", what: "everything builds", needs: None, run: build },
    Step { name: "test", what: "the tests, end to end ones too", needs: Some("build"), run: test },
    Step { name: "wallboard", what: "the wallboard's own tests", needs: None, run: wallboard },
    Step {
        name: "doc",
        what: "the documentation builds, and its links lead somewhere",
        needs: None,
        run: doc,
    },
];

pub fn main(args: &[String]) -> ExitCode {
    match Options::parse(args, &["--quick", "--only"]) {
        Ok(options) => steps::run(&chosen(&options), &options, RUNNERS),
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

/// The steps of this run, before `--only`.
pub fn chosen(options: &Options) -> Vec<&'static Step> {
    let quick = options.has("--quick");
    STEPS.iter().filter(|step| !(quick && LEFT_OUT_WHEN_QUICK.contains(&step.name))).collect()
}

fn setup(_: &Options) -> Outcome {
    // Of all the tasks only `ci` needs cargo-deny, and it sees to that itself.
    match setup::ready(false) {
        Ok(()) => Outcome::Passed,
        Err(why) => {
            eprintln!("{why}");
            Outcome::Stuck(why)
        }
    }
}

fn fmt(_: &Options) -> Outcome {
    run(cargo().args(["fmt", "--all", "--check"])).into()
}

fn clippy(_: &Options) -> Outcome {
    let workspace = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    run(cargo().args(workspace)).into()
}

fn build(_: &Options) -> Outcome {
    run(cargo().args(["build", "--workspace", "--all-targets", "--locked"])).into()
}

fn test(_: &Options) -> Outcome {
    run(cargo().args(["test", "--workspace", "--locked", "--no-fail-fast"])).into()
}

fn wallboard(_: &Options) -> Outcome {
    let Ok(entries) = std::fs::read_dir(root().join(WALLBOARD)) else {
        return Outcome::Failed(format!("there is no {WALLBOARD}"));
    };
    let mut files: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".test.mjs"))
        .map(|name| format!("{WALLBOARD}/{name}"))
        .collect();
    if files.is_empty() {
        return Outcome::Failed(format!("no {WALLBOARD}/*.test.mjs to run"));
    }
    files.sort();
    run(command("node").arg("--test").args(files)).into()
}

fn doc(_: &Options) -> Outcome {
    let mut doc = cargo();
    doc.args(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings");
    run(&mut doc).into()
}
