//! A Rust file as the rules see it: its tokens, its functions, and which of its lines are only compiled for tests.

use super::files::Files;
use super::lexer::{self, Masked, Token, is_word};
use std::ops::RangeInclusive;

pub struct RustFile {
    pub path: String,
    pub functions: Vec<Function>,
    masked: Masked,
    test_lines: Vec<RangeInclusive<usize>>,
    all_test: bool,
    /// Files and directories of modules declared `#[cfg(test)] mod name;`, without `.rs`.
    test_modules: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub first: usize,
    pub last: usize,
}

impl RustFile {
    pub fn all(files: &Files) -> Vec<Self> {
        let mut all: Vec<Self> =
            files.with_extension(&["rs"]).map(|(path, text)| Self::parse(path, text)).collect();
        let modules: Vec<String> = all.iter().flat_map(|file| file.test_modules.clone()).collect();
        for file in &mut all {
            let stem = file.path.trim_end_matches(".rs");
            let within = |module: &String| {
                stem.strip_prefix(module.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            file.all_test |= modules.iter().any(within);
        }
        all
    }

    pub fn parse(path: &str, text: &str) -> Self {
        let masked = lexer::mask(text);
        let tokens = lexer::tokens(&masked.code);
        let functions = functions(&tokens);
        let tests = TestCode::find(&tokens);
        let base = module_base(path);
        Self {
            path: path.to_owned(),
            functions,
            test_lines: tests.lines,
            all_test: tests.whole_file || path.split('/').any(|part| part == "tests"),
            test_modules: tests.modules.into_iter().map(|module| format!("{base}/{module}")).collect(),
            masked,
        }
    }

    pub fn tokens(&self) -> Vec<Token<'_>> {
        lexer::tokens(&self.masked.code)
    }

    pub fn is_test(&self, line: usize) -> bool {
        self.all_test || self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    /// The innermost function around a line.
    pub fn function_at(&self, line: usize) -> Option<&Function> {
        let around = self.functions.iter().filter(|it| it.first <= line && line <= it.last);
        around.min_by_key(|it| it.last - it.first)
    }

    /// Whether a comment beside any of the lines, or directly above the first, holds `mark`.
    pub fn remarks(&self, lines: RangeInclusive<usize>, mark: &str) -> bool {
        let code: Vec<&str> = self.masked.code.lines().collect();
        let comments: Vec<&str> = self.masked.comments.lines().collect();
        let only_comment =
            |line: &usize| code[line - 1].trim().is_empty() && !comments[line - 1].trim().is_empty();
        let above = (1..*lines.start()).rev().take_while(only_comment);
        above.chain(lines).any(|line| comments[line - 1].contains(mark))
    }
}

/// The directory, or file without its ending, in which the modules a file declares are found.
fn module_base(path: &str) -> &str {
    let stem = path.trim_end_matches(".rs");
    ["/lib", "/main", "/mod"].iter().find_map(|root| stem.strip_suffix(root)).unwrap_or(stem)
}

/// The functions that have a body, in the order of their `fn`.
fn functions(tokens: &[Token<'_>]) -> Vec<Function> {
    let named =
        tokens.windows(2).enumerate().filter(|(_, pair)| pair[0].text == "fn" && is_name(pair[1].text));
    named
        .filter_map(|(at, pair)| {
            let (body, last) = item_end(tokens, at, false);
            let last = body.then(|| tokens.get(last)).flatten()?;
            Some(Function { name: pair[1].text.to_owned(), first: pair[0].line, last: last.line })
        })
        .collect()
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| is_word(c) && !c.is_ascii_digit())
}

/// Where the item that begins at `from` ends, and whether it ends with the `}` of a body.
///
/// It ends with a `;`, or its first braces, or, where `commas` says so, a `,`, outside of brackets; or where what it
/// stands in closes.
fn item_end(tokens: &[Token<'_>], from: usize, commas: bool) -> (bool, usize) {
    let (mut brackets, mut braces) = (0_i32, 0_i32);
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.text {
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets -= 1,
            "{" if brackets == 0 => braces += 1,
            "}" if brackets == 0 => braces -= 1,
            _ => {}
        }
        let outside = brackets == 0 && braces == 0;
        if brackets < 0 || braces < 0 {
            return (false, at.saturating_sub(1));
        }
        match token.text {
            "}" if outside => return (true, at),
            ";" if outside => return (false, at),
            "," if outside && commas => return (false, at),
            _ => {}
        }
    }
    (false, tokens.len().saturating_sub(1))
}

/// What of a file is only compiled for tests.
#[derive(Default)]
struct TestCode {
    lines: Vec<RangeInclusive<usize>>,
    whole_file: bool,
    modules: Vec<String>,
}

impl TestCode {
    fn find(tokens: &[Token<'_>]) -> Self {
        let mut found = Self::default();
        let mut at = 0;
        while at < tokens.len() {
            let Some(attribute) = Attribute::at(tokens, at) else {
                at += 1;
                continue;
            };
            if attribute.is_test() && attribute.inner {
                found.whole_file = true;
            } else if attribute.is_test() {
                found.item(tokens, &attribute);
            }
            at = attribute.end + 1;
        }
        found
    }

    /// Adds the item below an attribute.
    fn item(&mut self, tokens: &[Token<'_>], attribute: &Attribute<'_>) {
        let mut from = attribute.end + 1;
        while let Some(next) = Attribute::at(tokens, from) {
            from = next.end + 1;
        }
        let commas = !tokens.get(from).is_some_and(|first| begins_item(first.text));
        let (_, end) = item_end(tokens, from, commas);
        let item = tokens.get(from..=end).unwrap_or_default();
        let last = item.last().map_or(attribute.last_line, |token| token.line);
        self.lines.push(attribute.line..=last);
        if let [.., Token { text: "mod", .. }, name, Token { text: ";", .. }] = item {
            self.modules.push(name.text.to_owned());
        }
    }
}

/// A field, a variant and an arm end with a comma; an item does not.
fn begins_item(word: &str) -> bool {
    const WORDS: &[&str] = &[
        "async",
        "const",
        "enum",
        "extern",
        "fn",
        "impl",
        "let",
        "macro_rules",
        "mod",
        "pub",
        "static",
        "struct",
        "trait",
        "type",
        "union",
        "unsafe",
        "use",
    ];
    WORDS.contains(&word)
}

/// `#[…]`, or, inner, `#![…]`.
pub struct Attribute<'a> {
    pub tokens: Vec<&'a str>,
    pub line: usize,
    pub last_line: usize,
    inner: bool,
    /// The index of its `]`.
    pub end: usize,
}

impl<'a> Attribute<'a> {
    pub fn at(tokens: &[Token<'a>], at: usize) -> Option<Self> {
        let text = |at: usize| tokens.get(at).map(|token| token.text);
        let inner = text(at + 1) == Some("!");
        let open = if inner { at + 2 } else { at + 1 };
        if text(at) != Some("#") || text(open) != Some("[") {
            return None;
        }
        let mut depth = 0;
        let end = (open..tokens.len()).find(|index| {
            match tokens[*index].text {
                "[" => depth += 1,
                "]" => depth -= 1,
                _ => {}
            }
            depth == 0
        })?;
        let within = tokens[open + 1..end].iter().map(|token| token.text).collect();
        Some(Self { tokens: within, line: tokens[at].line, last_line: tokens[end].line, inner, end })
    }

    /// `#[test]`, `#[tokio::test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`.
    fn is_test(&self) -> bool {
        match self.tokens.as_slice() {
            ["cfg", "(", "test", ")"] | ["cfg", "(", "all", "(", "test", ..] | ["test"] => true,
            ["cfg" | "cfg_attr", ..] => false,
            path => {
                let path = path.split(|token| *token == "(").next().unwrap_or_default();
                matches!(path, [.., ":", ":", "test"])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Function, RustFile};
    use crate::tidy::files::Files;

    fn functions(text: &str) -> Vec<(String, usize, usize)> {
        let parsed = RustFile::parse("crates/core/src/a.rs", text).functions;
        parsed.into_iter().map(|Function { name, first, last }| (name, first, last)).collect()
    }

    fn test_lines(text: &str) -> Vec<usize> {
        let file = RustFile::parse("crates/core/src/a.rs", text);
        (1..=text.lines().count()).filter(|line| file.is_test(*line)).collect()
    }

    #[test]
    fn a_function_reaches_from_fn_to_its_brace() {
        let text = "pub fn a(\n x: [u8; 2],\n) -> [u8; 4]\nwhere\n T: Fn(u8) -> u8,\n{\n}\n";
        assert_eq!(functions(text), [("a".to_owned(), 1, 7)]);
    }

    #[test]
    fn braces_in_strings_and_comments_do_not_end_a_function() {
        let text = "fn a() {\n \"}\";\n // }\n '}';\n r#\"}\"#;\n}\nfn b() {}\n";
        assert_eq!(functions(text), [("a".to_owned(), 1, 6), ("b".to_owned(), 7, 7)]);
    }

    #[test]
    fn inner_functions_are_counted_for_themselves_too() {
        let text = "fn a() {\n fn b() {\n }\n}\n";
        assert_eq!(functions(text), [("a".to_owned(), 1, 4), ("b".to_owned(), 2, 3)]);
    }

    #[test]
    fn declarations_and_pointer_types_have_no_body() {
        assert_eq!(
            functions("trait T {\n fn a(&self);\n}\ntype F = fn(u8) -> u8;\nstruct S { f: fn() }\n"),
            []
        );
    }

    #[test]
    fn a_test_module_is_test_code_and_what_follows_is_not() {
        let text = "fn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n fn b() {}\n}\nfn c() {}\n";
        assert_eq!(test_lines(text), [2, 3, 4, 5, 6]);
    }

    #[test]
    fn test_functions_fields_and_imports_are_test_code() {
        assert_eq!(
            test_lines("#[tokio::test(start_paused = true)]\nasync fn a() {\n}\nfn b() {}"),
            [1, 2, 3]
        );
        assert_eq!(test_lines("struct A {\n #[cfg(test)]\n b: B,\n c: C,\n}"), [2, 3]);
        assert_eq!(test_lines("#[cfg(test)]\nuse a::{b, c};\nuse d;"), [1, 2]);
    }

    #[test]
    fn what_is_compiled_without_tests_is_not_test_code() {
        assert_eq!(test_lines("#[cfg(not(test))]\nfn a() {}"), [0_usize; 0]);
        assert_eq!(test_lines("#[cfg(any(test, feature = \"x\"))]\nfn a() {}"), [0_usize; 0]);
    }

    #[test]
    fn a_file_can_be_all_test_code() {
        assert_eq!(test_lines("#![cfg(test)]\nfn a() {}"), [1, 2]);
        assert!(RustFile::parse("crates/core/tests/a.rs", "fn a() {}").is_test(1));
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_is_test_code() {
        let files = Files::given(&[
            ("crates/core/src/a.rs", "#[cfg(test)]\nmod tests;\nmod live;\n"),
            ("crates/core/src/a/live.rs", "fn a() {}\n"),
            ("crates/core/src/a/tests.rs", "fn a() {}\n"),
            ("crates/core/src/a/tests_of_b.rs", "fn a() {}\n"),
            ("crates/core/src/lib.rs", "#[cfg(test)]\nmod check;\nmod a;\n"),
            ("crates/core/src/check.rs", "fn a() {}\n"),
        ]);
        let all: Vec<String> =
            RustFile::all(&files).into_iter().filter(|it| it.is_test(1)).map(|it| it.path).collect();
        let expected = ["a.rs", "a/tests.rs", "check.rs", "lib.rs"];
        assert_eq!(all, expected.map(|name| format!("crates/core/src/{name}")));
    }
}
