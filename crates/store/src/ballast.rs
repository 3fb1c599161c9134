//! Space set aside while there is some, given up when there is none, so that what must still be written can be.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const FILE: &str = "ballast";
/// Room for hours of answers, ends and expiries, which are all that is written on a full disk.
const BALLAST_BYTES: u64 = 64 << 20;
/// With less than this free a ballast would itself bring the full disk nearer.
pub(crate) const FREE_BYTES_MIN: u64 = 256 << 20;

/// Bytes free for an unprivileged process on the file system of `dir`.
///
/// # Errors
/// When the system will not say.
pub fn free_bytes(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

pub(crate) struct Ballast {
    path: PathBuf,
}

impl Ballast {
    /// Makes the file if there is none and there is room. The text says why there is none in the end.
    pub(crate) fn prepare(dir: &Path) -> (Self, Option<String>) {
        let ballast = Self { path: dir.join(FILE) };
        let warning = ballast.make(dir).err().map(|why| {
            format!(
                "no ballast of {} MiB in {}: {why}; on a full disk even answers are refused",
                BALLAST_BYTES >> 20,
                dir.display()
            )
        });
        (ballast, warning)
    }

    fn make(&self, dir: &Path) -> Result<(), String> {
        if fs::metadata(&self.path).is_ok_and(|found| found.len() == BALLAST_BYTES) {
            return Ok(());
        }
        let free = free_bytes(dir).map_err(|error| error.to_string())?;
        if free < FREE_BYTES_MIN {
            return Err(format!("only {} MiB are free, and it takes {}", free >> 20, FREE_BYTES_MIN >> 20));
        }
        // Allocated, not merely as long: a sparse file would set nothing aside.
        let allocate = || {
            let file = File::create(&self.path)?;
            rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, BALLAST_BYTES)?;
            Ok::<(), io::Error>(())
        };
        allocate().map_err(|error| {
            self.give_up();
            error.to_string()
        })
    }

    /// Frees the space. False if there was none to free.
    pub(crate) fn give_up(&self) -> bool {
        fs::remove_file(&self.path).is_ok()
    }
}
