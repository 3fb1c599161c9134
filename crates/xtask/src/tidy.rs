//! The rules of the house that no compiler and no lint checks, over every file git would keep.
//!
//! A rule is a module that turns files into findings. What must be excused is excused in one list, with a reason, and
//! an excuse nobody needs any more is a finding itself.

mod arrows;
mod core_purity;
mod exceptions;
mod files;
mod finding;
mod lexer;
mod links;
mod lints;
mod manifest;
mod panics;
mod rust_file;
mod sizes;
mod sleeps;
mod trees;
mod words;

use crate::options::Options;
use crate::process::{capture, cargo, root};
use crate::steps::Outcome;
use files::Files;
use finding::{Finding, Rule, Severity};
use rust_file::RustFile;
use std::collections::BTreeSet;
use std::process::ExitCode;

pub fn main(args: &[String]) -> ExitCode {
    match Options::parse(args, &["--rules"]) {
        Ok(options) if options.has("--rules") => {
            Rule::ALL.iter().for_each(|rule| println!("{}\n    {}", rule.name(), rule.why()));
            ExitCode::SUCCESS
        }
        Ok(_) => match check() {
            Outcome::Passed => ExitCode::SUCCESS,
            Outcome::Failed(why) | Outcome::Skipped(why) | Outcome::Stuck(why) => {
                eprintln!("{why}");
                ExitCode::FAILURE
            }
        },
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

/// Prints every finding, and the reason of each rule that was broken.
pub fn check() -> Outcome {
    let files = match Files::listed(&root()) {
        Ok(files) => files,
        Err(why) => return Outcome::Failed(why),
    };
    let mut findings = findings(&files);
    findings.extend(trees::check(|package| {
        capture(cargo().args(["tree", "-p", package, "-e", "normal", "--prefix", "none", "--locked"]))
    }));
    let mut findings = exceptions::apply(exceptions::EXCEPTIONS, findings);
    findings.sort();
    report(&findings, files.count())
}

fn findings(files: &Files) -> Vec<Finding> {
    let rust = RustFile::all(files);
    let mut findings = Vec::new();
    findings.extend(sizes::check_files(files));
    for file in &rust {
        findings.extend(sizes::check_functions(file));
        findings.extend(panics::check(file));
        findings.extend(lints::check(file));
        findings.extend(core_purity::check(file));
        findings.extend(sleeps::check(file));
    }
    findings.extend(arrows::check(files));
    findings.extend(words::check(files));
    findings.extend(links::check(files));
    findings
}

fn report(findings: &[Finding], files: usize) -> Outcome {
    findings.iter().for_each(|finding| println!("{finding}"));
    let broken: BTreeSet<Rule> = findings.iter().map(|finding| finding.rule).collect();
    for rule in &broken {
        println!("\n{}: {}", rule.name(), rule.why());
    }
    let failures = findings.iter().filter(|finding| finding.severity == Severity::Fails).count();
    println!("tidy: {files} files, {failures} findings, {} warnings", findings.len() - failures);
    match failures {
        0 => Outcome::Passed,
        _ => Outcome::Failed(format!("tidy: {failures} findings")),
    }
}
