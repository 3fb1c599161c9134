//! One process per data directory, and what the last one said of itself.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::OpenError;
use crate::store::Durability;

const FILE: &str = "lock";
/// What we write has some hundred bytes; more is not ours, and not read.
const BYTES_MAX: u64 = 4096;

/// Held as long as the directory is ours. The system lets go of it when the process ends, however it ends, so a file
/// left behind locks nobody out.
///
/// Its contents outlive the run on purpose: they tell the next start how much of the WAL the system had promised to
/// keep, which has to be known before the database can be asked anything.
pub(crate) struct DirLock {
    file: File,
    path: PathBuf,
}

/// What a run says of itself once it begins to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) term: u64,
    /// The boot it ran in; empty if unknown.
    pub(crate) boot: String,
    pub(crate) durability: Durability,
}

impl DirLock {
    /// # Errors
    /// `InUse` if somebody has it, in this process or another.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(FILE);
        // Truncating one that another holds would take what it says of itself.
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(OpenError::io("open the lock file", &path))?;
        Self::lock(dir, path, file)
    }

    fn lock(dir: &Path, path: PathBuf, file: File) -> Result<Self, OpenError> {
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.to_path_buf() }),
            Err(TryLockError::Error(source)) => Err(OpenError::Io { what: "lock", path, source }),
        }
    }

    /// What the last run said; `None` if there was none, or if it cannot be believed.
    pub(crate) fn run(&self) -> Result<Option<Run>, OpenError> {
        let mut text = String::new();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0)).map_err(OpenError::io("read", &self.path))?;
        match file.take(BYTES_MAX).read_to_string(&mut text) {
            Ok(_) => Ok(Run::parse(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Ok(None),
            Err(source) => Err(OpenError::Io { what: "read", path: self.path.clone(), source }),
        }
    }

    /// Synced. From here on what the WAL holds is this run's.
    pub(crate) fn note(&self, run: &Run) -> Result<(), OpenError> {
        let write = || {
            let mut file = &self.file;
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(run.to_string().as_bytes())?;
            file.sync_all()
        };
        write().map_err(OpenError::io("write", &self.path))
    }
}

impl Run {
    fn parse(text: &str) -> Option<Self> {
        let (body, sum) = text.rsplit_once("sum ")?;
        if u32::from_str_radix(sum.trim_end(), 16) != Ok(crc32fast::hash(body.as_bytes())) {
            return None;
        }
        let mut lines = body.lines();
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        Some(Self {
            term: field("term")?.parse().ok()?,
            boot: field("boot")?.to_owned(),
            durability: match field("durability")? {
                "sync" => Durability::Sync,
                "os" => Durability::Os,
                "memory" => Durability::Memory,
                _ => return None,
            },
        })
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let durability = match self.durability {
            Durability::Sync => "sync",
            Durability::Os => "os",
            Durability::Memory => "memory",
        };
        let body = format!("term {}\nboot {}\ndurability {durability}\n", self.term, self.boot);
        writeln!(formatter, "{body}sum {:08x}", crc32fast::hash(body.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_as_it_was_written_and_not_if_a_bit_is_another() {
        let run = Run { term: 1_700_000_000_000, boot: "4a1c-f".to_owned(), durability: Durability::Os };
        let text = run.to_string();
        assert_eq!(Run::parse(&text), Some(run));
        for bit in 0..(text.len() - 1) * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(text) = String::from_utf8(bytes) {
                let same_sum = text.to_lowercase() == run_text(&text);
                assert!(same_sum || Run::parse(&text).is_none(), "bit {bit}: {text}");
            }
        }
        assert_eq!(Run::parse(""), None);
    }

    /// Letters of the sum in the other case mean the same.
    fn run_text(text: &str) -> String {
        Run::parse(text).map(|run| run.to_string()).unwrap_or_default()
    }
}
