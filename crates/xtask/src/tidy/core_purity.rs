//! core reaches for no clock, no randomness and nothing of the operating system.

use super::finding::{Finding, Rule};
use super::lexer::Token;
use super::rust_file::RustFile;

const CORE: &str = "crates/core/src/";
const STD: &[&str] = &["env", "fs", "io", "net", "os", "process", "thread"];
const RANDOM: &[&str] = &["fastrand", "getrandom", "rand", "rand_core"];

pub fn check(file: &RustFile) -> Vec<Finding> {
    if !file.path.starts_with(CORE) {
        return Vec::new();
    }
    let tokens = file.tokens();
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let rest = &tokens[at..];
        let texts: Vec<&str> = rest.iter().take(4).map(|token| token.text).collect();
        match texts.as_slice() {
            [clock @ ("Instant" | "SystemTime"), ":", ":", "now"] => {
                found.push((rest[0].line, format!("{clock}::now")))
            }
            ["std", ":", ":", "{"] => found.extend(grouped(&rest[3..])),
            ["std", ":", ":", module] if STD.contains(module) => {
                found.push((rest[0].line, format!("std::{module}")))
            }
            [name, ":", ":", _] if RANDOM.contains(name) => found.push((rest[0].line, format!("{name}::…"))),
            [name @ ("OsRng" | "RandomState" | "thread_rng"), ..] => {
                found.push((rest[0].line, (*name).to_owned()))
            }
            _ => {}
        }
    }
    let finding = |(line, what): (usize, String)| {
        Finding::new(Rule::CorePurity, &file.path, line, format!("{what} in core")).about(&what)
    };
    found.into_iter().map(finding).collect()
}

/// The modules named in `use std::{a, b::{c}}`; `tokens` begins with the `{`.
fn grouped(tokens: &[Token<'_>]) -> Vec<(usize, String)> {
    let mut depth = 0;
    let mut found = Vec::new();
    for pair in tokens.windows(2) {
        match pair[0].text {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && matches!(pair[0].text, "{" | ",") && STD.contains(&pair[1].text) {
            found.push((pair[1].line, format!("std::{}", pair[1].text)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::rust_file::RustFile;

    fn lines(text: &str) -> Vec<usize> {
        check(&RustFile::parse("crates/core/src/a.rs", text))
            .into_iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn core_reaches_for_nothing() {
        assert_eq!(
            lines("use std::fs;\nuse std::{fmt, net::IpAddr,\n io};\nlet a = SystemTime::now();"),
            [1, 2, 3, 4]
        );
        assert_eq!(lines("rand::random();\ngetrandom::fill(b);\nlet s = RandomState::new();"), [1, 2, 3]);
    }

    #[test]
    fn names_that_only_look_alike_pass() {
        assert_eq!(
            lines("use std::{fmt::{self, io}, time::Duration};\nlet rand = now;\n// std::fs"),
            [0_usize; 0]
        );
    }

    #[test]
    fn other_crates_may() {
        assert!(check(&RustFile::parse("crates/engine/src/a.rs", "use std::fs;")).is_empty());
    }
}
