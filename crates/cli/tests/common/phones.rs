//! Real phones: SIPp, one REGISTER each.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::process::{Program, Running};
use super::{DEADLINE, kamailio, ports};

const SIPP: Program = Program { name: "sipp", package: "sip-tester" };

pub const DOMAIN: &str = "acme.test";

pub struct Phones {
    /// One port for all runs: the contact is user@ip:port, and a refresh or an un-REGISTER is found by it.
    port: u16,
    registrar: SocketAddr,
    dir: PathBuf,
    runs: u32,
}

impl Phones {
    pub fn new(dir: &Path, registrar: SocketAddr) -> Self {
        Self { port: ports::free(), registrar, dir: dir.to_owned(), runs: 0 }
    }

    /// Registers `users` for `expires` seconds each; 0 un-REGISTERs.
    pub async fn register(&mut self, users: impl IntoIterator<Item = u32>, expires: u32) {
        self.runs += 1;
        let lines: Vec<String> =
            users.into_iter().map(|user| format!("{user};{expires};{}\n", self.runs)).collect();
        let csv = self.dir.join(format!("users-{}.csv", self.runs));
        std::fs::write(&csv, format!("SEQUENTIAL\n{}", lines.concat())).expect("a CSV file");
        let mut command = SIPP.command();
        command.arg("-sf").arg(kamailio::documents().join("register.sipp.xml")).arg("-inf").arg(&csv);
        command.args(["-key", "domain", DOMAIN, "-i", "127.0.0.1", "-p", &self.port.to_string()]);
        command.args(["-m", &lines.len().to_string(), "-r", "200", "-l", "100"]);
        command.args(["-nostdin", "-timeout", "20s", "-timeout_error"]).arg(self.registrar.to_string());
        command.current_dir(&self.dir).env("TERM", "dumb");
        let mut running = Running::start(&format!("sipp-{}", self.runs), &mut command, &self.dir);
        let status = running.end(DEADLINE).await;
        assert!(status.success(), "sipp: {} REGISTERs with expires {expires}: {status}", lines.len());
    }
}
