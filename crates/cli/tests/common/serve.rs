//! `ringfence serve`, on one port and one data directory for all its lives.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, TryRecvError};

use ringfence_client::{Api, Credential, ServerUrl};
use ringfence_core::AccountId;

use super::process::Running;
use super::{DEADLINE, eventually, id, ports};

pub const DEV_KEY: &str = "rk_e2e_development";

pub struct Serve {
    pub addr: SocketAddr,
    pub data: PathBuf,
    dir: PathBuf,
    more: Vec<String>,
    running: Option<(Running, Receiver<String>)>,
}

/// The binary under test, deaf to the environment of whoever runs the tests.
pub fn ringfence() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("RINGFENCE_")) {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1");
    command
}

impl Serve {
    /// A server to be, with its data in `dir`.
    pub fn new(dir: &Path) -> Self {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
        Self { addr, data: dir.join("data"), dir: dir.to_owned(), more: Vec::new(), running: None }
    }

    #[must_use]
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        self.more.extend([name.to_owned(), value.to_owned()]);
        self
    }

    fn command(&self) -> Command {
        let mut command = ringfence();
        command.arg("serve").args(["--listen", &self.addr.to_string(), "--durability", "sync"]);
        command.arg("--data").arg(&self.data).args(["--dev", "--dev-key", DEV_KEY]).args(&self.more);
        command
    }

    /// Starts it, without waiting for it to be ready.
    pub fn launch(&mut self) {
        self.running = Some(Running::start_talking("ringfence", &mut self.command(), &self.dir));
    }

    /// Starts it and waits for the line that says it is ready.
    pub async fn start(&mut self) {
        self.launch();
        self.ready().await;
    }

    pub async fn ready(&mut self) {
        let (running, lines) = self.running.as_mut().expect("a server that was started");
        let expected = format!("listening on http://{}", self.addr);
        let running = std::cell::RefCell::new(running);
        let line = eventually(DEADLINE, "ringfence says that it listens", async || match lines.try_recv() {
            Ok(line) => Ok(line),
            Err(TryRecvError::Empty) => Err("nothing yet"),
            Err(TryRecvError::Disconnected) => {
                let talk = running.borrow().talk();
                panic!("ringfence ended before it listened:\n{talk}")
            }
        });
        assert_eq!(line.await, expected, "the one line on stdout");
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.running().kill();
    }

    pub fn running(&mut self) -> &mut Running {
        &mut self.running.as_mut().expect("a server that was started").0
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The server as the development key sees it, in `account`.
    pub fn api(&self, account: &str) -> Api {
        self.api_as(DEV_KEY).for_account(id::<AccountId>(account))
    }

    pub fn api_as(&self, key: &str) -> Api {
        Api::new(ServerUrl::from(self.addr), Credential::new(key))
    }
}

/// The headers of the development key in `account`.
pub struct Headers(Vec<(&'static str, String)>);

impl Headers {
    pub fn of(account: &str) -> Self {
        Self(vec![("Authorization", format!("Bearer {DEV_KEY}")), ("X-Account-Id", account.to_owned())])
    }

    pub fn pairs(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}
