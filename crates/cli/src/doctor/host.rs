//! What the machine gives a server.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::doctor::finding::{Finding, State};

/// A server bears 50 000 connections by default, each a file; and its journal, its log and the rest.
const FILES_WANTED: u64 = 51_200;
/// A wallboard for each of a few hundred supervisors, and the registrars.
const FILES_LEAST: u64 = 4_096;
/// No clock that is right says less: 2025-01-01.
const WALL_LEAST: Duration = Duration::from_secs(1_735_689_600);
/// The engine grants nothing new below 64 MiB; a day of a busy account is about 1 GiB before it is trimmed.
const FREE_BYTES_LEAST: u64 = 64 << 20;
const FREE_BYTES_WANTED: u64 = 2 << 30;
/// A synced write that takes longer makes every answer feel slow.
const SYNC_SLOW: Duration = Duration::from_millis(20);

pub fn file_limit() -> Finding {
    let what = "file limit";
    let Some(limit) = fs::read_to_string("/proc/self/limits").ok().and_then(|text| open_files(&text)) else {
        return Finding::new(what, State::Skipped, "this system does not tell");
    };
    let detail = |hint: &str| format!("{limit} open files{hint}");
    if limit < FILES_LEAST {
        return Finding::new(what, State::Bad, detail("; raise it with LimitNOFILE= or ulimit -n"));
    }
    if limit < FILES_WANTED {
        return Finding::new(
            what,
            State::Doubtful,
            detail(&format!("; {FILES_WANTED} are for all connections")),
        );
    }
    Finding::new(what, State::Good, detail(""))
}

/// The soft limit; the line reads `Max open files  1024  524288  files`.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

pub fn clock() -> Finding {
    let what = "clock";
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if wall < WALL_LEAST {
        return Finding::new(what, State::Bad, format!("it says {} s since 1970; set it", wall.as_secs()));
    }
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return Finding::new(what, State::Good, "set, and kept by systemd-timesyncd");
    }
    Finding::new(what, State::Good, "set; see that something keeps it so, such as chrony")
}

pub fn sqlite() -> Finding {
    Finding::new("sqlite", State::Good, format!("{} (bundled)", rusqlite::version()))
}

pub fn port(listen: SocketAddr, server_answers: bool) -> Finding {
    let what = "port";
    match TcpListener::bind(listen) {
        Ok(_) => Finding::new(what, State::Good, format!("{listen} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && server_answers => {
            Finding::new(what, State::Good, format!("{listen} is in use, and a server answers"))
        }
        Err(error) => {
            Finding::new(what, State::Bad, format!("{listen}: {error}; choose another with --listen"))
        }
    }
}

pub fn data(dir: Option<&Path>) -> Finding {
    let what = "data directory";
    let Some(dir) = dir else {
        return Finding::new(what, State::Skipped, "none named; give --data DIR");
    };
    let sync = match synced_write(dir) {
        Ok(sync) => sync,
        Err(error) => return Finding::new(what, State::Bad, format!("{}: {error}", dir.display())),
    };
    let free = ringfence_store::free_bytes(dir).unwrap_or(0);
    let state = if free < FREE_BYTES_LEAST {
        State::Bad
    } else if free < FREE_BYTES_WANTED || sync > SYNC_SLOW {
        State::Doubtful
    } else {
        State::Good
    };
    let (mib, ms) = (free >> 20, sync.as_secs_f64() * 1000.0);
    Finding::new(what, state, format!("{}: writable, {mib} MiB free, a sync takes {ms:.1} ms", dir.display()))
}

/// Proves that the directory takes a file, and how long it takes to be safe.
fn synced_write(dir: &Path) -> io::Result<Duration> {
    let path = dir.join(".doctor");
    let outcome = write_and_sync(&path);
    drop(fs::remove_file(&path));
    outcome
}

fn write_and_sync(path: &Path) -> io::Result<Duration> {
    let mut file = File::create(path)?;
    file.write_all(b"a file that may be deleted\n")?;
    let started = Instant::now();
    file.sync_data()?;
    Ok(started.elapsed())
}

#[cfg(test)]
mod tests {
    use super::open_files;

    #[test]
    fn the_soft_limit_is_the_first_number_of_its_line() {
        let text =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024    524288    files\n";
        assert_eq!(open_files(text), Some(1024));
        assert_eq!(open_files("Max open files unlimited unlimited files"), Some(u64::MAX));
        assert_eq!(open_files("Max processes 1 2 processes"), None);
    }
}
