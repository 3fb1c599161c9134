//! One thing wrong at one place, and the rules there are.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warns,
    Fails,
}

/// Sorts by place, so that a reader goes through a file once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub path: String,
    /// From 1; 0 where the finding is about the whole file.
    pub line: usize,
    pub rule: Rule,
    pub severity: Severity,
    /// What an exception names: a function, a word, a link; empty for a whole file.
    pub subject: String,
    pub message: String,
}

impl Finding {
    pub fn new(rule: Rule, path: &str, line: usize, message: impl Into<String>) -> Self {
        let (path, message) = (path.to_owned(), message.into());
        Self { path, line, rule, severity: Severity::Fails, subject: String::new(), message }
    }

    pub fn about(mut self, subject: &str) -> Self {
        self.subject = subject.to_owned();
        self
    }

    pub fn warns(mut self) -> Self {
        self.severity = Severity::Warns;
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warning = if self.severity == Severity::Warns { "warning: " } else { "" };
        write!(f, "{}:{}: {warning}[{}] {}", self.path, self.line, self.rule.name(), self.message)
    }
}

macro_rules! rules {
    ($($variant:ident $name:literal $why:literal;)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule { $($variant,)+ }

        impl Rule {
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            pub fn why(self) -> &'static str {
                match self { $(Self::$variant => $why,)+ }
            }
        }
    };
}

rules! {
    FileLength "file-length"
        "One noun per file: about 400 lines, at most 600. Longer means two nouns; split it.";
    FunctionLength "function-length"
        "A function is at most 70 lines, from `fn` to its closing brace: what fits a screen can be checked by eye.";
    Panics "panics"
        "Outside tests, the command line and these tasks nothing unwraps, panics or prints: return an error, log an event.";
    LintReason "lint-reason"
        "Matches on our own enums name every variant. Whoever allows a wildcard arm says why, in `reason = \"…\"` or \
         a `// reason:` comment.";
    CorePurity "core-purity"
        "core decides and does nothing else: time, randomness and files are handed to it, never reached for.";
    Trees "dependency-trees"
        "Whole dependency trees stay free of what their crate may not see, also through somebody else's crate.";
    Arrows "dependency-arrows"
        "A crate exists because another must be unable to see something. The arrows are in docs/architecture.md.";
    Sleeps "sleeping-tests"
        "A test never sleeps to wait for something: inject time or await the event. A sleep that is the thing under test \
         says so with a `// not a wait:` comment.";
    Words "unfinished-words"
        "What is tracked is finished. An open end is an issue or a sentence in the docs, not a mark in the source.";
    Links "links"
        "A relative link leads to a tracked file, and `#L12` to a line that it has.";
    LocalPaths "local-paths"
        "Documentation names no directory of the machine it was written on.";
    Exceptions "exceptions"
        "An exception that excuses nothing any more is taken off the list.";
}
