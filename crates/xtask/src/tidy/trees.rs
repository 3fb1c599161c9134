//! What must not be anywhere in the tree of a crate, however it gets there.

use super::finding::{Finding, Rule};

/// Package, where it lives, and what its tree must not hold.
const TREES: &[(&str, &str, &[&str])] = &[
    ("ringfence-core", "crates/core/Cargo.toml", &["tokio", "tracing", "serde_json"]),
    ("ringfence-wire", "crates/wire/Cargo.toml", &["tokio", "ringfence", "ringfence-store"]),
    ("ringfence-store", "crates/store/Cargo.toml", &["tokio", "ringfence", "ringfence-wire"]),
];

/// `tree` lists the packages a package is built from, one to a line, name first.
pub fn check(tree: impl Fn(&str) -> Result<String, String>) -> Vec<Finding> {
    let one = |(package, path, forbidden): &(&str, &str, &[&str])| match tree(package) {
        Ok(listed) => names(&listed)
            .filter(|name| forbidden.contains(name))
            .map(|name| {
                let message = format!("{name} is in the tree: cargo tree -p {package} -e normal -i {name}");
                Finding::new(Rule::Trees, path, 0, message).about(name)
            })
            .collect(),
        Err(why) => vec![Finding::new(Rule::Trees, path, 0, why)],
    };
    let mut findings: Vec<Finding> = TREES.iter().flat_map(one).collect();
    findings.sort();
    findings.dedup();
    findings
}

fn names(listed: &str) -> impl Iterator<Item = &str> {
    listed.lines().filter_map(|line| line.split_whitespace().next())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_forbidden_package_is_found_once_and_by_its_whole_name() {
        let listed =
            "ringfence-store v0.1.0 (crates/store)\ntokio-util v0.7.0\ntokio v1.0.0\ntokio v1.0.0 (*)\n";
        let tree =
            |package: &str| Ok(if package == "ringfence-store" { listed.to_owned() } else { String::new() });
        let subjects: Vec<String> = check(tree).into_iter().map(|finding| finding.subject).collect();
        assert_eq!(subjects, ["tokio"]);
    }

    #[test]
    fn a_tree_that_cannot_be_read_is_a_finding() {
        assert_eq!(check(|_| Err("no lock file".into())).len(), 3);
    }
}
