//! A headless Chromium, driven through chromedriver.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};

use super::process::{Program, Running};
use super::{DEADLINE, TempDir, eventually, http, ports};

const CHROMIUM: Program = Program { name: "chromium", package: "chromium" };
const CHROMEDRIVER: Program = Program { name: "chromedriver", package: "chromium-driver" };

/// One window. Its processes are in the group of the driver, and go with it.
pub struct Browser {
    pub page: Client,
    driver: SocketAddr,
    _running: Running,
    // Last, so that the browser is gone before its directory.
    _profile: TempDir,
}

/// One line of the browser's log.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub level: String,
    pub source: String,
    pub message: String,
}

impl Browser {
    pub async fn start(width: u32, height: u32) -> Self {
        let chromium = CHROMIUM.find();
        let profile = TempDir::new("chromium");
        let driver = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
        let mut command = CHROMEDRIVER.command();
        command.arg(format!("--port={}", driver.port()));
        let running = RefCell::new(Running::start("chromedriver", &mut command, profile.path()));
        eventually(DEADLINE, "chromedriver answers", async || {
            assert_eq!(running.borrow_mut().ended(), None, "chromedriver ended");
            http::get(driver, "/status", &[]).await.map(drop)
        })
        .await;
        let user_data = profile.sub("user-data");
        let args = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            // A container's /dev/shm is smaller than a page.
            "--disable-dev-shm-usage".to_owned(),
            format!("--user-data-dir={}", user_data.display()),
            format!("--window-size={width},{height}"),
        ];
        let mut capabilities = Map::new();
        capabilities.insert("browserName".to_owned(), "chrome".into());
        capabilities.insert("goog:chromeOptions".to_owned(), json!({"args": args, "binary": chromium}));
        capabilities.insert("goog:loggingPrefs".to_owned(), json!({"browser": "ALL"}));
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let url = format!("http://{driver}");
        let session = builder.capabilities(capabilities).connect(&url);
        let page = tokio::time::timeout(Duration::from_secs(60), session).await.expect("a browser in time");
        Self { page: page.expect("a browser"), driver, _running: running.into_inner(), _profile: profile }
    }

    /// What the page's script says.
    pub async fn ask(&self, expression: &str) -> Value {
        self.page.execute(&format!("return {expression}"), Vec::new()).await.expect(expression)
    }

    /// Waits until an expression is true.
    pub async fn until(&self, what: &str, expression: &str) {
        eventually(DEADLINE, what, async || {
            let found = self.ask(expression).await;
            if found == true {
                return Ok(());
            }
            Err(format!("{expression} is {found}; the page says {}", self.state().await))
        })
        .await;
    }

    /// What the page tells of itself.
    async fn state(&self) -> Value {
        self.ask("({...document.body.dataset})").await
    }

    /// What was logged since the last time it was asked for.
    pub async fn log(&self) -> Vec<Line> {
        let session = self.page.session_id().await.expect("a session").expect("its id");
        let path = format!("/session/{session}/se/log");
        let answer = http::post(self.driver, &path, &[], &json!({"type": "browser"})).await;
        let answer = answer.expect("the browser's log");
        assert_eq!(answer.status, 200, "{answer:?}");
        let lines = answer.body["value"].as_array().cloned().unwrap_or_default();
        let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let line = |line: &Value| Line {
            level: text(line, "level"),
            source: text(line, "source"),
            message: text(line, "message"),
        };
        lines.iter().map(line).collect()
    }
}
