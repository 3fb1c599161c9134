//! Marks of unfinished work, and paths of somebody's machine.

use super::files::Files;
use super::finding::{Finding, Rule};
use super::lexer::is_word;

/// In halves, since this file is checked too.
const MARKS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[", "ignore"),
];

const MACHINES: &[&str] = &["/home/", "/root/", "/work/"];

pub fn check(files: &Files) -> Vec<Finding> {
    let marks = files.texts().flat_map(|(path, text)| {
        let found = places(text, MARKS, |before| !is_word(before));
        found.map(move |(line, mark)| Finding::new(Rule::Words, path, line, format!("`{mark}`")).about(mark))
    });
    let documents = files.texts().filter(|(path, _)| path.starts_with("docs/") || path.ends_with(".md"));
    let paths = documents.flat_map(|(path, text)| {
        // What follows a name is a path within something, such as a URL.
        let found = places(text, MACHINES, |before| !is_word(before) && !"./~-}>".contains(before));
        found.map(move |(line, local)| {
            Finding::new(Rule::LocalPaths, path, line, format!("a path in {local}")).about(local)
        })
    });
    marks.chain(paths).collect()
}

/// Where a line holds a word, not as a part of a longer one.
fn places<'a>(
    text: &'a str,
    words: &'static [&'static str],
    may_precede: impl Fn(char) -> bool + Copy + 'a,
) -> impl Iterator<Item = (usize, &'static str)> + 'a {
    let holds = move |line: &str, word: &str| {
        line.match_indices(word).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = line[at + word.len()..].chars().next();
            let ends_in_word = word.ends_with(is_word);
            before.is_none_or(may_precede) && !(ends_in_word && after.is_some_and(is_word))
        })
    };
    text.lines().enumerate().flat_map(move |(index, line)| {
        words.iter().filter(move |word| holds(line, word)).map(move |word| (index + 1, *word))
    })
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::files::Files;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Files::given(&[(path, text)])).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn marks_are_found_as_whole_words() {
        let text = concat!("a\n// TO", "DO: b\nto", "do!()\n#[", "ignore = \"c\"]\n");
        assert_eq!(lines("a.rs", text), [2, 3, 4]);
        assert_eq!(
            lines("a.rs", concat!("TO", "DOS\nmktemp a.XX", "XXXX\nto", "do = \"deny\"\n")),
            [0_usize; 0]
        );
    }

    #[test]
    fn documentation_names_no_directory_of_a_machine() {
        assert_eq!(lines("docs/a.md", "in `/home/me`\nhttps://a.example/home/b\n"), [1]);
        assert_eq!(lines("crates/a/src/b.rs", "\"/home/me\""), [0_usize; 0]);
    }
}
