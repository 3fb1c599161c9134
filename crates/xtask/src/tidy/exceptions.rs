//! What the rules excuse. One list, so that its length is seen.

use super::finding::{Finding, Rule};

/// Rule, file, subject (the function, word or link the finding names; empty for a whole file), and the reason.
type Exception = (Rule, &'static str, &'static str, &'static str);

pub const EXCEPTIONS: &[Exception] = &[];

const LIST: &str = "crates/xtask/src/tidy/exceptions.rs";

/// Removes what is excused, and adds a finding for each exception that excused nothing.
pub fn apply(exceptions: &[Exception], findings: Vec<Finding>) -> Vec<Finding> {
    let excuses = |exception: &Exception, finding: &Finding| {
        exception.0 == finding.rule && exception.1 == finding.path && exception.2 == finding.subject
    };
    let idle = exceptions
        .iter()
        .filter(|exception| !findings.iter().any(|finding| excuses(exception, finding)))
        .map(|(rule, path, subject, _)| {
            let message = format!("{} no longer needs to be excused in {path} {subject}", rule.name());
            Finding::new(Rule::Exceptions, LIST, 0, message.trim_end())
        })
        .collect::<Vec<_>>();
    let standing = findings.into_iter().filter(|finding| !exceptions.iter().any(|it| excuses(it, finding)));
    standing.chain(idle).collect()
}

#[cfg(test)]
mod tests {
    use super::{Exception, apply};
    use crate::tidy::finding::{Finding, Rule};

    const LONG: Exception = (Rule::FunctionLength, "a.rs", "table", "one row per state");

    #[test]
    fn an_exception_excuses_its_finding_and_no_other() {
        let table = Finding::new(Rule::FunctionLength, "a.rs", 1, "").about("table");
        let other = Finding::new(Rule::FunctionLength, "a.rs", 90, "").about("other");
        assert_eq!(apply(&[LONG], vec![table, other.clone()]), vec![other]);
    }

    #[test]
    fn an_exception_that_excuses_nothing_is_a_finding() {
        let left = apply(&[LONG], Vec::new());
        assert!(matches!(left.as_slice(), [Finding { rule: Rule::Exceptions, .. }]));
    }
}
