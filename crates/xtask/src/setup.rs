//! What the tests need on the machine besides a Rust toolchain: found, or installed, or named exactly.

use crate::options::Options;
use crate::process::{capture, cargo, command, run, succeeds};
use std::process::{Command, ExitCode};

struct Package {
    name: &'static str,
    why: &'static str,
}

const PACKAGES: &[Package] = &[
    Package { name: "kamailio", why: "the registrar the feed tests register phones at" },
    Package { name: "kamailio-extra-modules", why: "http_async_client, which posts registrar events" },
    Package { name: "kamailio-json-modules", why: "jansson and jsonrpcs: event bodies, ul.dump snapshots" },
    Package { name: "kamailio-utils-modules", why: "http_client, for what must be asked in line" },
    Package { name: "kamailio-xml-modules", why: "reginfo and PIDF bodies" },
    Package { name: "kamailio-presence-modules", why: "the presence server busy lamps are published to" },
    Package { name: "sip-tester", why: "sipp, the phones: REGISTER, INVITE and storms of both" },
    Package { name: "curl", why: "runs the examples of the documents as they stand there" },
    Package { name: "chromium", why: "the browser the wallboard is tested in" },
    Package { name: "chromium-driver", why: "drives that browser" },
];

/// Only when there is no node of at least `NODE_MAJOR` already.
const NODE: Package = Package { name: "nodejs", why: "runs the wallboard's own unit tests" };
/// The first major version whose `node --test` runs our files as they are.
const NODE_MAJOR: u32 = 20;

/// Pinned, since a newer one may read `deny.toml` differently.
const DENY_VERSION: &str = "0.20.2";

pub fn main(args: &[String]) -> ExitCode {
    let options = match Options::parse(args, &["--ci"]) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    match ready(options.has("--ci") || in_ci()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

/// Makes the machine ready, or says what a person has to do.
pub fn ready(ci: bool) -> Result<(), String> {
    components()?;
    packages()?;
    node()?;
    if ci {
        return cargo_deny();
    }
    if !has_deny() {
        println!("cargo-deny is not installed; only `cargo xtask ci` needs it, and installs it");
    }
    Ok(())
}

/// cargo-deny is there, or is built now.
pub fn cargo_deny() -> Result<(), String> {
    if has_deny() {
        return Ok(());
    }
    println!(
        "cargo-deny is missing: building it, once (it stays in cargo's bin directory); this takes minutes"
    );
    run(cargo().args(["install", "--locked", "cargo-deny", "--version", DENY_VERSION]))
}

fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

fn components() -> Result<(), String> {
    let absent: Vec<&str> = [("rustfmt", "fmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(_, subcommand)| !succeeds(cargo().args([subcommand, "--version"])))
        .map(|(component, _)| component)
        .collect();
    if absent.is_empty() {
        return Ok(());
    }
    let names = absent.join(" ");
    Err(format!(
        "rust-toolchain.toml asks for {names}, which this toolchain lacks: rustup component add {names}"
    ))
}

fn packages() -> Result<(), String> {
    let mut wanted: Vec<&Package> = PACKAGES.iter().collect();
    if node_major().is_none_or(|major| major < NODE_MAJOR) {
        wanted.push(&NODE);
    }
    let missing: Vec<&Package> = wanted.into_iter().filter(|package| !installed(package.name)).collect();
    if missing.is_empty() {
        println!("every Debian package the tests need is installed");
        return Ok(());
    }
    println!("missing:");
    for package in &missing {
        println!("  {:<26} {}", package.name, package.why);
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    install(&names)
}

fn installed(package: &str) -> bool {
    capture(command("dpkg-query").args(["-W", "-f=${db:Status-Status}", package]))
        .is_ok_and(|status| status.trim() == "installed")
}

/// How this process may install packages, if it may.
enum Privilege {
    Root,
    Sudo,
    None,
}

fn privilege() -> Privilege {
    if capture(command("id").arg("-u")).is_ok_and(|id| id.trim() == "0") {
        Privilege::Root
    } else if succeeds(command("sudo").args(["-n", "true"])) {
        Privilege::Sudo
    } else {
        Privilege::None
    }
}

fn install(names: &[&str]) -> Result<(), String> {
    let by_hand =
        format!("sudo apt-get update && sudo apt-get install -y --no-install-recommends {}", names.join(" "));
    if !succeeds(command("apt-get").arg("--version")) {
        return Err(format!("this is not a Debian; install the like of: {}", names.join(" ")));
    }
    let privilege = privilege();
    if let Privilege::None = privilege {
        return Err(format!("not root, and sudo asks for a password. Run:\n  {by_hand}"));
    }
    // A broken list of some unrelated repository must not keep ours from being installed.
    if let Err(why) = run(apt_get(&privilege).arg("update")) {
        println!("{why}; going on with the lists there are");
    }
    run(apt_get(&privilege).args(["install", "-y", "--no-install-recommends"]).args(names))
        .map_err(|why| format!("{why}\nRun it by hand to see more:\n  {by_hand}"))
}

fn apt_get(privilege: &Privilege) -> Command {
    let mut apt_get = match privilege {
        Privilege::Root | Privilege::None => command("env"),
        Privilege::Sudo => {
            let mut sudo = command("sudo");
            sudo.args(["-n", "env"]);
            sudo
        }
    };
    apt_get.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "Acquire::Retries=3"]);
    apt_get
}

fn node() -> Result<(), String> {
    match node_major() {
        Some(major) if major >= NODE_MAJOR => Ok(()),
        Some(major) => Err(format!(
            "node {major} is on the PATH and the wallboard's tests want {NODE_MAJOR} or newer (this Debian may have \
             none: see https://nodejs.org)"
        )),
        None => Err(format!("no node on the PATH; the wallboard's tests want {NODE_MAJOR} or newer")),
    }
}

fn node_major() -> Option<u32> {
    let version = capture(command("node").arg("--version")).ok()?;
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn has_deny() -> bool {
    succeeds(cargo().args(["deny", "--version"]))
}
