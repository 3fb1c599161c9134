//! Tests do not sleep.

use super::finding::{Finding, Rule};
use super::rust_file::RustFile;

const MARK: &str = "not a wait:";

pub fn check(file: &RustFile) -> Vec<Finding> {
    let tokens = file.tokens();
    let calls = tokens.windows(2).enumerate().filter(|(at, pair)| {
        let declared = at.checked_sub(1).is_some_and(|before| tokens[before].text == "fn");
        matches!(pair[0].text, "sleep" | "sleep_until") && pair[1].text == "(" && !declared
    });
    calls
        .map(|(_, pair)| pair[0].line)
        .filter(|line| file.is_test(*line) && !file.remarks(*line..=*line, MARK))
        .map(|line| Finding::new(Rule::Sleeps, &file.path, line, "a test sleeps"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::rust_file::RustFile;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&RustFile::parse(path, text)).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_test_that_sleeps_is_found_and_other_code_may() {
        let text = "fn a() {\n thread::sleep(d);\n time::sleep_until(d).await;\n}\n";
        assert_eq!(lines("crates/cli/tests/a.rs", text), [2, 3]);
        assert_eq!(lines("crates/cli/src/a.rs", text), [0_usize; 0]);
    }

    #[test]
    fn a_sleep_can_be_the_thing_under_test() {
        let text = "// not a wait: the slow reader\n// itself\nsleep(d);\nsleep(d); // not a wait: as above\nsleep(d);\n";
        assert_eq!(lines("crates/cli/tests/a.rs", text), [5]);
    }
}
