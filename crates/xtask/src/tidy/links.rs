//! Relative links in Markdown lead to what a clean clone has.

use super::files::Files;
use super::finding::{Finding, Rule};

pub fn check(files: &Files) -> Vec<Finding> {
    let documents = files.with_extension(&["md"]);
    let links =
        documents.flat_map(|(path, text)| targets(text).into_iter().map(move |(line, to)| (path, line, to)));
    let broken = links.filter_map(|(path, line, target)| {
        let why = broken(files, path, &target)?;
        Some(Finding::new(Rule::Links, path, line, format!("`{target}` {why}")).about(&target))
    });
    let documents = files.with_extension(&["md"]);
    let labelled =
        documents.flat_map(|(path, text)| labelled(text).into_iter().map(move |link| (path, link)));
    let moved = labelled.filter_map(|(path, (line, label, target))| {
        let why = moved(files, path, label, target)?;
        Some(Finding::new(Rule::Links, path, line, format!("`{target}` {why}")).about(target))
    });
    broken.chain(moved).collect()
}

/// What begins an item that a link may lead to.
const ITEMS: &[&str] = &[
    "fn ",
    "struct ",
    "enum ",
    "trait ",
    "impl ",
    "impl<",
    "const ",
    "static ",
    "type ",
    "mod ",
    "class ",
    "function ",
];

/// A link to a line of code leads to the item it speaks of, also after the code above it has moved.
fn moved(files: &Files, path: &str, label: &str, target: &str) -> Option<String> {
    let (file, anchor) = target.split_once('#')?;
    let (line, _) = lines_named(anchor)?;
    let file = joined(path, &decoded(file))?;
    if ![".rs", ".js", ".mjs"].iter().any(|ending| file.ends_with(ending)) {
        return None;
    }
    let text = files.text(&file)?.lines().nth(line.checked_sub(1)?)?.trim();
    let named = label.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    let name = named.map(|name| name.rsplit(['.', ':']).next().unwrap_or(name).trim_end_matches("()"));
    if file.ends_with(".rs") && !ITEMS.iter().any(|item| text.contains(item)) {
        Some(format!("leads to a line where nothing begins: `{text}`"))
    } else {
        let name = name.filter(|name| !text.contains(name))?;
        Some(format!("leads to `{text}`, not to `{name}`"))
    }
}

/// Links in prose with what they are called: line, label, target.
fn labelled(text: &str) -> Vec<(usize, &str, &str)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (at, open) in line.match_indices("](") {
            let label = line[..at].rfind('[').map_or("", |start| &line[start + 1..at]);
            found.push((index + 1, label, within(&line[at + open.len()..])));
        }
    }
    found
}

/// What is wrong with a link from `path`.
fn broken(files: &Files, path: &str, target: &str) -> Option<String> {
    let is_elsewhere = target.split_once(':').is_some_and(|(scheme, _)| {
        scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    });
    if is_elsewhere || target.starts_with("//") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    if file.starts_with('/') {
        return Some("is absolute; write it relative to this file".into());
    }
    let Some(file) = (if file.is_empty() { Some(path.to_owned()) } else { joined(path, &decoded(file)) })
    else {
        return Some("leads out of the repository".into());
    };
    if !files.holds(&file) {
        return Some(format!("does not exist: {file}"));
    }
    let (first, last) = lines_named(anchor)?;
    let has = files.text(&file).map_or(0, |text| text.lines().count());
    (first == 0 || first > last || last > has)
        .then(|| format!("names a line that {file}, of {has} lines, does not have"))
}

/// The lines of `L12` and `L12-L20`; none for the name of a heading.
fn lines_named(anchor: &str) -> Option<(usize, usize)> {
    let line = |text: &str| text.strip_prefix('L')?.parse::<usize>().ok();
    match anchor.split_once('-') {
        Some((first, last)) => Some((line(first)?, line(last)?)),
        None => line(anchor).map(|only| (only, only)),
    }
}

/// A path seen from the directory of `from`, unless it climbs above the root.
fn joined(from: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn decoded(path: &str) -> String {
    let mut pieces = path.split('%');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let byte = piece.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte.filter(u8::is_ascii) {
            Some(byte) => text.extend([char::from(byte).to_string().as_str(), &piece[2..]]),
            None => text.extend(["%", piece]),
        }
    }
    text
}

/// Targets of `[a](b)`, `![a](b)` and `[a]: b` with their lines, outside of code.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut fence: Option<&str> = None;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let marker = ["```", "~~~"].into_iter().find(|marker| start.starts_with(marker));
        match (fence, marker) {
            (Some(open), Some(marker)) if open == marker => fence = None,
            (None, Some(marker)) => fence = Some(marker),
            (Some(_), _) => {}
            (None, None) => found.extend(targets_of(line).into_iter().map(|target| (index + 1, target))),
        }
    }
    found
}

fn targets_of(line: &str) -> Vec<String> {
    let line = without_code(line);
    let definition = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    if let Some((label, target)) = definition
        && !label.contains(']')
        && !label.starts_with('^')
    {
        return vec![bare(target)];
    }
    line.match_indices("](").map(|(at, open)| bare(within(&line[at + open.len()..]))).collect()
}

/// Leaves out `code`, whose brackets are not links: from a run of backticks to the next run as long.
fn without_code(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(open) = rest.find('`') {
        let (before, code) = rest.split_at(open);
        text.push_str(before);
        let marks = run_of_marks(code);
        let inside = &code[marks..];
        rest = match closing(inside, marks) {
            Some(close) => &inside[close + marks..],
            None => inside,
        };
    }
    text + rest
}

fn run_of_marks(text: &str) -> usize {
    text.bytes().take_while(|byte| *byte == b'`').count()
}

fn closing(inside: &str, marks: usize) -> Option<usize> {
    let begins = |at: usize| !inside[..at].ends_with('`');
    inside
        .match_indices('`')
        .map(|(at, _)| at)
        .find(|at| begins(*at) && run_of_marks(&inside[*at..]) == marks)
}

/// Up to the `)` that closes, past those that were opened in between.
fn within(rest: &str) -> &str {
    let mut depth = 0;
    let end = rest.char_indices().find(|(_, c)| {
        depth += i32::from(*c == '(') - i32::from(*c == ')');
        depth < 0
    });
    end.map_or(rest, |(at, _)| &rest[..at])
}

/// A target without its title and angle brackets.
fn bare(target: &str) -> String {
    let target = target.trim();
    match target.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((target, _)) => target.to_owned(),
        None => target.split_whitespace().next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::files::Files;

    /// The targets found broken in `docs/a.md`, beside a `crates/core/src/b.rs` of three lines.
    fn check_links(given: &str, then: &[&str]) {
        let files = Files::given(&[
            ("docs/a.md", given),
            ("crates/core/src/b.rs", "fn a\nfn b\nfn c\n"),
            ("c d.md", ""),
        ]);
        let broken: Vec<String> = check(&files).into_iter().map(|finding| finding.subject).collect();
        assert_eq!(broken, then);
    }

    #[test]
    fn links_lead_to_files_and_directories() {
        check_links("[a](../crates/core/src/b.rs), ![b](./a.md \"title\") [c](../crates/core/)", &[]);
        check_links("[a](b.md)\n[b]: ../crates/none \"c\"\n", &["b.md", "../crates/none"]);
        check_links("[a](../c%20d.md) [b](<../c d.md>)", &[]);
    }

    #[test]
    fn lines_exist() {
        check_links("[a](../crates/core/src/b.rs#L3) [b](../crates/core/src/b.rs#L1-L3)", &[]);
        check_links("[a](../crates/core/src/b.rs#L4)", &["../crates/core/src/b.rs#L4"]);
        check_links("[a](../crates/core/src/b.rs#L2-L1)", &["../crates/core/src/b.rs#L2-L1"]);
        check_links("[a](#a-heading) [b](#L9)", &["#L9"]);
    }

    #[test]
    fn links_to_code_lead_to_the_item_they_name() {
        let code = "//! prose\npub fn one() {\n    two();\n}\n";
        let check_code = |given: &str, then: &[&str]| {
            let files = Files::given(&[("docs/a.md", given), ("src/b.rs", code)]);
            let found: Vec<String> = check(&files).into_iter().map(|finding| finding.subject).collect();
            assert_eq!(found, then);
        };
        check_code("[`b::one`](../src/b.rs#L2) [that](../src/b.rs#L2)", &[]);
        check_code("[`two`](../src/b.rs#L2)", &["../src/b.rs#L2"]);
        check_code("[that](../src/b.rs#L3)", &["../src/b.rs#L3"]);
    }

    #[test]
    fn links_stay_in_the_repository_or_name_another_place() {
        check_links("[a](https://a.example/b) [b](mailto:c) [c](//d.example)", &[]);
        check_links("[a](/docs/a.md) [b](../../e)", &["/docs/a.md", "../../e"]);
    }

    #[test]
    fn code_holds_no_links() {
        check_links("`[a](b)` and ``[c](d)``\n```rust\nx[1](2)\n```\n[e](f)", &["f"]);
    }
}
