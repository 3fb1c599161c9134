//! How long files and functions are.

use super::files::Files;
use super::finding::{Finding, Rule};
use super::rust_file::RustFile;

const FILE_LINES: usize = 600;
const FILE_LINES_SHOULD: usize = 400;
const FUNCTION_LINES: usize = 70;

pub fn check_files(files: &Files) -> Vec<Finding> {
    let sources = files.with_extension(&["rs", "js", "mjs"]);
    sources.filter_map(|(path, text)| file(path, text.lines().count())).collect()
}

fn file(path: &str, lines: usize) -> Option<Finding> {
    let finding = |limit| Finding::new(Rule::FileLength, path, lines, format!("{lines} lines; {limit}"));
    if lines > FILE_LINES {
        return Some(finding(format!("at most {FILE_LINES}")));
    }
    (lines > FILE_LINES_SHOULD).then(|| finding(format!("about {FILE_LINES_SHOULD} is enough")).warns())
}

pub fn check_functions(file: &RustFile) -> Vec<Finding> {
    let long =
        file.functions.iter().map(|it| (it, it.last - it.first + 1)).filter(|it| it.1 > FUNCTION_LINES);
    long.map(|(function, lines)| {
        let message = format!("`{}` has {lines} lines; at most {FUNCTION_LINES}", function.name);
        Finding::new(Rule::FunctionLength, &file.path, function.first, message).about(&function.name)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::{check_files, check_functions};
    use crate::tidy::files::Files;
    use crate::tidy::finding::Severity;
    use crate::tidy::rust_file::RustFile;

    #[test]
    fn a_file_warns_above_400_lines_and_fails_above_600() {
        let severity = |lines: usize| {
            let files = Files::given(&[("a.mjs", &"x\n".repeat(lines))]);
            check_files(&files).first().map(|finding| finding.severity)
        };
        assert_eq!([400, 401, 600].map(severity), [None, Some(Severity::Warns), Some(Severity::Warns)]);
        assert_eq!(severity(601), Some(Severity::Fails));
    }

    #[test]
    fn a_function_of_71_lines_is_too_long() {
        let found = |inside: usize| {
            let text = format!("fn a() {{\n{}}}\n", "x;\n".repeat(inside));
            check_functions(&RustFile::parse("a.rs", &text)).len()
        };
        assert_eq!((found(68), found(69)), (0, 1));
    }
}
