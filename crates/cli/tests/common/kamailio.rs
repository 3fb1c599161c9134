//! A real Kamailio with the configuration of docs/integrations, posting to the server under test.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::process::{Program, Running};
use super::{DEADLINE, eventually, http, ports};

const KAMAILIO: Program = Program {
    name: "kamailio",
    package: "kamailio (and kamailio-extra-modules, kamailio-json-modules, kamailio-utils-modules)",
};

/// docs/integrations/kamailio.
pub fn documents() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/integrations/kamailio")
}

pub struct Kamailio {
    /// SIP over UDP and TCP, and HTTP.
    pub addr: SocketAddr,
    running: Option<Running>,
}

impl Kamailio {
    pub fn new() -> Self {
        Self { addr: SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free())), running: None }
    }

    /// Starts it, posting to `url` with `key`, and waits until it answers.
    pub async fn start(&mut self, dir: &Path, url: &str, key: &str) {
        let run = dir.join("kamailio");
        std::fs::create_dir_all(&run).expect("a directory for Kamailio");
        let mut command = KAMAILIO.command();
        command.arg("-f").arg(documents().join("ringfence.cfg")).args(["-DD", "-E", "-m", "64", "-M", "16"]);
        command.arg("-Y").arg(&run).env("RINGFENCE_URL", url).env("RINGFENCE_KEY", key);
        command.args(["-A", &format!("LISTEN_UDP=udp:{}", self.addr)]);
        command.args(["-A", &format!("LISTEN_TCP=tcp:{}", self.addr)]);
        command.args(["-A", "EXPIRY_SCAN=1", "-A", "MIN_EXPIRES=2", "-A", "EXPIRES_RANGE=0"]);
        // Four workers are for a machine with more than two cores.
        command.args(["-A", "UDP_WORKERS=2", "-A", "TCP_WORKERS=1"]);
        let running = self.running.insert(Running::start("kamailio", &mut command, dir));
        let running = std::cell::RefCell::new(running);
        eventually(DEADLINE, "Kamailio answers", async || {
            if let Some(status) = running.borrow_mut().ended() {
                panic!("Kamailio ended with {status}");
            }
            match http::get(self.addr, "/v1/epoch", &[]).await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(format!("{answer:?}")),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// Events it still holds, and events it gave up.
    pub async fn undelivered(&self) -> (u64, u64) {
        let answer = http::get(self.addr, "/v1/epoch", &[]).await.expect("an answer of Kamailio");
        let count =
            |name: &str| answer.body[name].as_u64().unwrap_or_else(|| panic!("`{name}` in {answer:?}"));
        (count("queued"), count("lost"))
    }

    /// What it has logged.
    pub fn talk(&self) -> String {
        self.running.as_ref().map(Running::talk).unwrap_or_default()
    }

    /// A call of its JSON-RPC.
    pub async fn rpc(&self, method: &str, params: &[&str]) -> serde_json::Value {
        let request = serde_json::json!({"jsonrpc": "2.0", "method": method, "params": params, "id": 1});
        let answer = http::post(self.addr, "/RPC", &[], &request).await.expect("an answer of Kamailio");
        assert_eq!(answer.status, 200, "{method}: {answer:?}");
        answer.body["result"].clone()
    }
}
