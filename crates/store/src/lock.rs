//! One process per data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::error::OpenError;

const FILE: &str = "lock";

/// Held as long as the directory is ours. The system lets go of it when the process ends, however it ends, so a file
/// left behind means nothing.
pub(crate) struct DirLock {
    _file: File,
}

impl DirLock {
    /// # Errors
    /// `InUse` if somebody has it, in this process or another.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(FILE);
        // The file is never read or written; truncating one that another holds would be rude all the same.
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(OpenError::io("open the lock file", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.to_path_buf() }),
            Err(TryLockError::Error(source)) => Err(OpenError::Io { what: "lock", path, source }),
        }
    }
}
