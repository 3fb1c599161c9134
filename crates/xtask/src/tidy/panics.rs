//! Code that ships neither unwraps, nor panics, nor prints.

use super::finding::{Finding, Rule};
use super::lexer::Token;
use super::rust_file::RustFile;

/// A command prints, and may end itself.
const FREE: &[&str] = &["crates/cli/", "crates/xtask/"];

pub fn check(file: &RustFile) -> Vec<Finding> {
    let ships = file.path.starts_with("crates/") && file.path.contains("/src/");
    if !ships || FREE.iter().any(|free| file.path.starts_with(free)) {
        return Vec::new();
    }
    let tokens = file.tokens();
    let found =
        (0..tokens.len()).filter_map(|at| Some((tokens[at].line, offence(&tokens[..=at], &tokens[at..])?)));
    found
        .filter(|(line, _)| !file.is_test(*line))
        .map(|(line, offence)| {
            let function = file.function_at(line).map_or("", |function| function.name.as_str());
            Finding::new(Rule::Panics, &file.path, line, format!("{offence} in code that ships"))
                .about(function)
        })
        .collect()
}

/// `upto` ends with the token `from` begins with.
fn offence(upto: &[Token<'_>], from: &[Token<'_>]) -> Option<&'static str> {
    let texts: Vec<&str> = from.iter().take(4).map(|token| token.text).collect();
    match texts.as_slice() {
        [".", "unwrap", "(", ")"] => Some(".unwrap()"),
        // A parser's own `self.expect(…)` returns its error.
        [".", "expect", "(", ..] if !ends_with_self(upto) => Some(".expect(…)"),
        ["panic", "!", ..] => Some("panic!"),
        ["println", "!", ..] => Some("println!"),
        ["eprintln", "!", ..] => Some("eprintln!"),
        ["print", "!", ..] => Some("print!"),
        ["eprint", "!", ..] => Some("eprint!"),
        _ => None,
    }
}

fn ends_with_self(upto: &[Token<'_>]) -> bool {
    matches!(upto, [.., Token { text: "self", .. }, _])
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::rust_file::RustFile;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&RustFile::parse(path, text)).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn what_ships_neither_unwraps_nor_panics_nor_prints() {
        let text =
            "fn a() {\n b.unwrap();\n b\n  .expect(\"c\");\n panic!();\n println!();\n eprintln!();\n}\n";
        assert_eq!(lines("crates/core/src/a.rs", text), [2, 4, 5, 6, 7]);
        assert_eq!(lines("crates/cli/src/a.rs", text), [0_usize; 0]);
        assert_eq!(lines("crates/core/tests/a.rs", text), [0_usize; 0]);
    }

    #[test]
    fn what_only_looks_like_it_passes() {
        let text =
            "/// a.unwrap()\nfn a() {\n b.unwrap_or(\"panic!()\");\n self.expect(C)?;\n panic::catch();\n}\n";
        assert_eq!(lines("crates/core/src/a.rs", text), [0_usize; 0]);
    }

    #[test]
    fn tests_beside_the_code_may() {
        let text =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { c.unwrap(); }\n}\nfn d() { e.unwrap(); }\n";
        assert_eq!(lines("crates/core/src/a.rs", text), [6]);
    }
}
