//! What a clean machine runs: the tests, then what only a release needs.

use crate::options::Options;
use crate::process::{cargo, root, run};
use crate::steps::{self, Outcome, Step};
use crate::{setup, smoke, test};
use std::process::ExitCode;

pub const STEPS: &[Step] = &[
    Step { name: "deny", what: "licences, sources and versions of dependencies", needs: None, run: deny },
    Step { name: "release", what: "the command builds as it ships", needs: None, run: release },
    Step { name: "smoke", what: "the demo starts, answers and stops", needs: Some("release"), run: demo },
];

pub fn main(args: &[String]) -> ExitCode {
    let options = match Options::parse(args, &["--advisories", "--after-test", "--only"]) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    if options.has("--after-test") {
        return steps::run(&STEPS.iter().collect::<Vec<_>>(), &options, test::RUNNERS);
    }
    let steps: Vec<&Step> = test::chosen(&options).into_iter().chain(STEPS).collect();
    steps::run(&steps, &options, test::RUNNERS)
}

fn deny(options: &Options) -> Outcome {
    if let Err(why) = setup::cargo_deny() {
        return Outcome::Failed(why);
    }
    let mut deny = cargo();
    deny.args(["deny", "--locked", "check", "bans", "licenses", "sources"]);
    if options.has("--advisories") {
        // Fetches the RustSec database from GitHub, which not every machine that builds us may reach.
        deny.arg("advisories");
    }
    run(&mut deny).into()
}

fn release(_: &Options) -> Outcome {
    run(cargo().args(["build", "--release", "--locked", "--package", "ringfence-cli"])).into()
}

fn demo(_: &Options) -> Outcome {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    smoke::demo(&target.join("release").join("ringfence"))
}
