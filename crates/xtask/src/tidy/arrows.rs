//! Which crate may be built from which, as `docs/architecture.md` tells it.

use super::files::Files;
use super::finding::{Finding, Rule};
use super::manifest::Manifest;

struct Crate {
    folder: &'static str,
    package: &'static str,
    /// Ours it may depend on: its arrows, and the crates whose types those speak in.
    uses: &'static [&'static str],
    /// Of others', what it must not name itself, whatever comes with its dependencies.
    not: &'static [&'static str],
}

const CORE: &str = "ringfence-core";
const WIRE: &str = "ringfence-wire";
const STORE: &str = "ringfence-store";
const ENGINE: &str = "ringfence";
const FEEDS: &str = "ringfence-feeds";
const SERVER: &str = "ringfence-server";
const CLIENT: &str = "ringfence-client";

const HTTP: &[&str] = &["axum", "hyper", "hyper-util", "serde_json", "tokio-tungstenite"];

const CRATES: &[Crate] = &[
    Crate { folder: "core", package: CORE, uses: &[], not: &["serde_json", "tokio", "tracing"] },
    Crate { folder: "wire", package: WIRE, uses: &[CORE], not: &["tokio"] },
    Crate { folder: "store", package: STORE, uses: &[CORE], not: &["tokio"] },
    Crate { folder: "engine", package: ENGINE, uses: &[CORE, STORE], not: HTTP },
    Crate { folder: "feeds", package: FEEDS, uses: &[CORE, WIRE], not: &[] },
    Crate { folder: "server", package: SERVER, uses: &[CORE, WIRE, ENGINE, FEEDS], not: &["ractor"] },
    Crate { folder: "client", package: CLIENT, uses: &[CORE, WIRE], not: &[] },
    Crate {
        folder: "cli",
        package: "ringfence-cli",
        uses: &[CORE, WIRE, STORE, ENGINE, FEEDS, SERVER, CLIENT],
        not: &["ractor"],
    },
    Crate { folder: "xtask", package: "xtask", uses: &[], not: &[] },
];

pub fn check(files: &Files) -> Vec<Finding> {
    let manifests =
        files.texts().filter_map(|(path, text)| Some((path, folder(path)?, Manifest::parse(text))));
    manifests.flat_map(|(path, folder, manifest)| one(path, folder, &manifest)).collect()
}

/// `core` of `crates/core/Cargo.toml`.
fn folder(path: &str) -> Option<&str> {
    let folder = path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
    (!folder.contains('/')).then_some(folder)
}

fn one(path: &str, folder: &str, manifest: &Manifest) -> Vec<Finding> {
    let finding = |line, message: String| Finding::new(Rule::Arrows, path, line, message);
    let Some(known) = CRATES.iter().find(|known| known.folder == folder) else {
        let message =
            "a new crate: say what it hides, in docs/architecture.md and in crates/xtask/src/tidy/arrows.rs";
        return vec![finding(0, message.into())];
    };
    if manifest.package != known.package {
        return vec![finding(
            0,
            format!("the package in {folder} is {}, not {}", known.package, manifest.package),
        )];
    }
    let wrong = manifest.dependencies.iter().filter(|(name, _)| !allowed(known, name));
    wrong
        .map(|(name, line)| finding(*line, format!("{folder} may not depend on {name}")).about(name))
        .collect()
}

fn allowed(known: &Crate, name: &str) -> bool {
    if known.folder == "xtask" {
        return false;
    }
    let ours = name == ENGINE || name.starts_with("ringfence-");
    if ours { known.uses.contains(&name) } else { !known.not.contains(&name) }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::files::Files;

    fn subjects(folder: &str, package: &str, dependencies: &[&str]) -> Vec<String> {
        let lines: String = dependencies.iter().map(|name| format!("{name}.workspace = true\n")).collect();
        let text = format!("[package]\nname = \"{package}\"\n[dependencies]\n{lines}");
        let files = Files::given(&[(&format!("crates/{folder}/Cargo.toml"), &text)]);
        check(&files).into_iter().map(|finding| finding.subject).collect()
    }

    #[test]
    fn arrows_point_one_way() {
        assert_eq!(subjects("store", "ringfence-store", &["ringfence-core", "rusqlite"]), [""; 0]);
        assert_eq!(
            subjects("store", "ringfence-store", &["ringfence-wire", "tokio"]),
            ["ringfence-wire", "tokio"]
        );
        assert_eq!(subjects("client", "ringfence-client", &["ringfence"]), ["ringfence"]);
    }

    #[test]
    fn these_tasks_depend_on_nothing() {
        assert_eq!(subjects("xtask", "xtask", &["anyhow"]), ["anyhow"]);
    }

    #[test]
    fn a_new_crate_is_noticed() {
        assert_eq!(subjects("common", "ringfence-common", &[]), [""]);
    }
}
