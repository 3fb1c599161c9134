//! A real process, and everything it started, for as long as its guard lives, and no longer than the test process.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::eventually;

/// Lines of a process's talk shown when its test fails.
const TALK_LINES: usize = 40;

/// A program the tests need, and the Debian package it is in.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    pub name: &'static str,
    pub package: &'static str,
}

impl Program {
    /// Where it is. A machine without it cannot run the tests, which is a failure and no reason to pass.
    pub fn find(self) -> PathBuf {
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian keeps servers where the PATH of a plain user does not lead.
        let places =
            std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")]);
        let found = places.map(|place| place.join(self.name)).find(|path| path.is_file());
        found.unwrap_or_else(|| {
            let Self { name, package } = self;
            panic!(
                "`{name}` is missing; it is in the Debian package {package}: `cargo xtask setup` installs it"
            )
        })
    }

    pub fn command(self) -> Command {
        Command::new(self.find())
    }
}

/// One process in a group of its own, killed with its group.
pub struct Running {
    name: String,
    child: Child,
    /// Kills the group when this test process is no more, however it ended.
    leash: Child,
    talk: PathBuf,
    ended: Option<ExitStatus>,
}

impl Running {
    /// Starts it with its stderr in a file of `dir`, shown when the test fails. stdout goes there too, unless it was
    /// taken before.
    pub fn start(name: &str, command: &mut Command, dir: &Path) -> Self {
        Self::spawn(name, command, dir, false)
    }

    /// The same, with stdout as lines.
    pub fn start_talking(name: &str, command: &mut Command, dir: &Path) -> (Self, Receiver<String>) {
        let mut running = Self::spawn(name, command, dir, true);
        let lines = lines(running.child.stdout.take().expect("a pipe"));
        (running, lines)
    }

    fn spawn(name: &str, command: &mut Command, dir: &Path, piped: bool) -> Self {
        let talk = dir.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&talk).expect("a log file");
        let stdout = if piped { Stdio::piped() } else { Stdio::from(file.try_clone().expect("a log file")) };
        command.stdin(Stdio::null()).stdout(stdout).stderr(file).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let leash = leash(child.id());
        Self { name: name.to_owned(), child, leash, talk, ended: None }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended; none while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("the state of a child");
        }
        self.ended
    }

    /// What it has said on stderr.
    pub fn talk(&self) -> String {
        std::fs::read(&self.talk)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// SIGKILL, as a power cut is for a process, and the wait until nothing of it is left.
    pub fn kill(&mut self) {
        if self.ended.is_none() {
            signal("KILL", self.pid());
            self.ended = Some(self.child.wait().expect("the end of a child"));
        }
    }

    pub fn terminate(&self) {
        signal("TERM", self.pid());
    }

    pub async fn end(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        let waiting = std::cell::RefCell::new(self);
        eventually(deadline, &what, async || waiting.borrow_mut().ended().ok_or("it runs")).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let was_running = self.ended().is_none();
        // Children of a process that has ended by itself are gone too, or they are in the group.
        signal("KILL", self.pid());
        if was_running {
            _ = self.child.wait();
        }
        // Before its pipe closes, since from now on the group's number may be somebody else's.
        _ = self.leash.kill();
        _ = self.leash.wait();
        if std::thread::panicking() {
            let talk = self.talk();
            let lines: Vec<&str> = talk.lines().collect();
            let last = lines[lines.len().saturating_sub(TALK_LINES)..].join("\n");
            eprintln!(
                "--- the end of what {} said (it {}):\n{last}",
                self.name,
                how(self.ended, was_running)
            );
        }
    }
}

fn how(ended: Option<ExitStatus>, was_running: bool) -> String {
    match ended {
        Some(status) => match status.signal() {
            Some(signal) => format!("ended by signal {signal}"),
            None => format!("ended with {status}"),
        },
        None if was_running => "was running".to_owned(),
        None => "is gone".to_owned(),
    }
}

/// Sends a signal to a group. Through the shell, since this code may not be unsafe.
fn signal(name: &str, group: u32) {
    let mut shell = Command::new("sh");
    shell.args(["-c", "kill -s \"$0\" -- \"-$1\"", name, &group.to_string()]);
    // That the group is gone already is what was wanted.
    _ = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// A shell that waits for the end of a pipe only this process holds.
fn leash(group: u32) -> Child {
    let mut shell = Command::new("sh");
    shell.args(["-c", "read -r _; kill -s KILL -- \"-$0\"", &group.to_string()]).process_group(0);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().expect("a shell")
}

fn lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
