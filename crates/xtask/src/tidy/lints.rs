//! Nobody switches off the lint against wildcard arms in silence. The lint itself is clippy's.

use super::finding::{Finding, Rule};
use super::rust_file::{Attribute, RustFile};

const LINT: &str = "wildcard_enum_match_arm";

pub fn check(file: &RustFile) -> Vec<Finding> {
    let tokens = file.tokens();
    let attributes = (0..tokens.len()).filter_map(|at| Attribute::at(&tokens, at));
    attributes
        .filter(|attribute| attribute.tokens.contains(&LINT))
        .filter(|attribute| ["allow", "expect"].iter().any(|word| attribute.tokens.contains(word)))
        .filter(|attribute| !attribute.tokens.windows(2).any(|pair| pair == ["reason", "="]))
        .filter(|attribute| !file.remarks(attribute.line..=attribute.last_line, "reason:"))
        .map(|attribute| {
            Finding::new(Rule::LintReason, &file.path, attribute.line, format!("{LINT} without a reason"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::rust_file::RustFile;

    fn found(text: &str) -> usize {
        check(&RustFile::parse("crates/core/src/a.rs", text)).len()
    }

    #[test]
    fn an_allowed_wildcard_needs_a_reason() {
        assert_eq!(found("#[allow(clippy::wildcard_enum_match_arm)]\nfn a() {}"), 1);
        assert_eq!(found("#![expect(\n clippy::wildcard_enum_match_arm\n)]"), 1);
    }

    #[test]
    fn a_reason_is_an_argument_or_a_comment() {
        assert_eq!(found("#[allow(clippy::wildcard_enum_match_arm, reason = \"theirs\")]\nfn a() {}"), 0);
        assert_eq!(found("#[allow(clippy::wildcard_enum_match_arm)] // reason: theirs\nfn a() {}"), 0);
        assert_eq!(
            found("// reason: theirs,\n// all of it\n#[allow(clippy::wildcard_enum_match_arm)]\nfn a() {}"),
            0
        );
    }

    #[test]
    fn forbidding_it_needs_none() {
        assert_eq!(found("#![deny(clippy::wildcard_enum_match_arm)]"), 0);
    }
}
