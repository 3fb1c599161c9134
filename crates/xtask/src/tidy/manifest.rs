//! As much of a `Cargo.toml` as the arrows need: the package's name and what it is built from.

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    pub package: String,
    /// Packages of `[dependencies]` and `[build-dependencies]`, for every target, with their lines.
    pub dependencies: Vec<(String, usize)>,
}

impl Manifest {
    pub fn parse(text: &str) -> Self {
        let mut manifest = Self::default();
        let mut section = String::new();
        let mut open = 0;
        for (index, line) in text.lines().enumerate() {
            let line = without_comment(line).trim();
            let continues = open > 0;
            open += balance(line);
            if continues || line.is_empty() {
                continue;
            }
            if let Some(header) = line.strip_prefix('[') {
                section = header.trim_matches(['[', ']']).to_owned();
                open = 0;
                manifest.header(&section, index + 1);
            } else if let Some((key, value)) = line.split_once('=') {
                manifest.entry(&section, key.trim(), value.trim(), index + 1);
            }
        }
        manifest
    }

    /// `[dependencies.name]`
    fn header(&mut self, section: &str, line: usize) {
        if let Some((table, name)) = section.rsplit_once('.')
            && is_dependencies(table)
        {
            self.dependencies.push((unquoted(name).to_owned(), line));
        }
    }

    fn entry(&mut self, section: &str, key: &str, value: &str, line: usize) {
        if section == "package" && key == "name" {
            self.package = unquoted(value).to_owned();
        } else if is_dependencies(section) {
            let name = key.split('.').next().unwrap_or(key);
            self.dependencies.push((renamed(value).unwrap_or(unquoted(name)).to_owned(), line));
        }
    }
}

/// `dependencies`, `build-dependencies`, and both of a target; what only tests see is free.
fn is_dependencies(section: &str) -> bool {
    let own = |name: &str| matches!(name, "dependencies" | "build-dependencies");
    own(section)
        || section.starts_with("target.") && section.rsplit_once('.').is_some_and(|(_, last)| own(last))
}

/// The package behind `name = { package = "other" }`.
fn renamed(value: &str) -> Option<&str> {
    let (_, package) = value.split_once("package")?;
    package.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"')?.split('"').next()
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches(['"', '\''])
}

fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let comment = line.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == '#' && !quoted
    });
    comment.map_or(line, |(at, _)| &line[..at])
}

/// How many more brackets a line opens than it closes.
fn balance(line: &str) -> i32 {
    line.chars().map(|c| i32::from(matches!(c, '[' | '{')) - i32::from(matches!(c, ']' | '}'))).sum()
}

#[cfg(test)]
mod tests {
    use super::Manifest;

    fn check(given: &str, then: &[(&str, usize)]) {
        let expected: Vec<(String, usize)> =
            then.iter().map(|(name, line)| ((*name).to_owned(), *line)).collect();
        assert_eq!(Manifest::parse(given).dependencies, expected);
    }

    #[test]
    fn every_way_to_depend_is_seen() {
        check(
            "[dependencies]\na.workspace = true # b = 1\nc = { version = \"1\", features = [\n \"d\",\n] }\n\"e\" = \"1\"\n",
            &[("a", 2), ("c", 3), ("e", 6)],
        );
        check("[dependencies.a]\nversion = \"1\"\n", &[("a", 1)]);
        check(
            "[target.'cfg(unix)'.dependencies]\na = \"1\"\n[build-dependencies]\nb = \"1\"\n",
            &[("a", 2), ("b", 4)],
        );
        check("[dependencies]\nshort = { package = \"long\", version = \"1\" }\n", &[("long", 2)]);
    }

    #[test]
    fn what_only_tests_see_is_free() {
        check("[dev-dependencies]\na = \"1\"\n[[bin]]\nname = \"b\"\n", &[]);
    }

    #[test]
    fn the_package_is_the_one_of_its_section() {
        assert_eq!(Manifest::parse("[package]\nname = \"a\"\n[[bin]]\nname = \"b\"\n").package, "a");
    }
}
