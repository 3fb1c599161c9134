//! The text files git would keep: tracked ones, and new ones that are not ignored.

use crate::process::{capture, command};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, Default)]
pub struct Files {
    /// By path from the root, with `/`. `None` where the file is not text.
    by_path: BTreeMap<String, Option<String>>,
}

impl Files {
    pub fn listed(root: &Path) -> Result<Self, String> {
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let names =
            capture(command("git").args(list)).map_err(|why| format!("tidy wants a git checkout: {why}"))?;
        let mut files = Self::default();
        for name in names.split('\0').filter(|name| !name.is_empty()) {
            let path = root.join(name);
            // A file deleted but not yet committed is still listed.
            if path.is_symlink() || !path.is_file() {
                continue;
            }
            let bytes = std::fs::read(&path).map_err(|error| format!("{name}: {error}"))?;
            let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
            files.by_path.insert(name.to_owned(), text);
        }
        Ok(files)
    }

    #[cfg(test)]
    pub fn given(files: &[(&str, &str)]) -> Self {
        let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), Some((*text).to_owned()));
        Self { by_path: files.iter().map(owned).collect() }
    }

    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.by_path.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    pub fn with_extension(&self, extensions: &[&str]) -> impl Iterator<Item = (&str, &str)> {
        self.texts()
            .filter(move |(path, _)| path.rsplit_once('.').is_some_and(|(_, it)| extensions.contains(&it)))
    }

    pub fn text(&self, path: &str) -> Option<&str> {
        self.by_path.get(path)?.as_deref()
    }

    /// Whether a clean clone has this file, or a directory of this name.
    pub fn holds(&self, path: &str) -> bool {
        let directory = format!("{}/", path.trim_end_matches('/'));
        path.is_empty()
            || self.by_path.contains_key(path)
            || self
                .by_path
                .range(directory.clone()..)
                .next()
                .is_some_and(|(first, _)| first.starts_with(&directory))
    }

    pub fn count(&self) -> usize {
        self.by_path.len()
    }
}
