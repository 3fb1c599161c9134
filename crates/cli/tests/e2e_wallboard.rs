//! The wallboard as people see it: in a real browser, over a real server, which dies and comes back under it.

#![cfg(test)]

mod common;

use std::time::Instant;

use common::browser::{Browser, Line};
use common::serve::DEV_KEY;
use common::{DEADLINE, Serve, TempDir, eventually, id, staff};
use fantoccini::Locator;
use ringfence_client::{AgentEventBody, Api, Reserve};
use serde_json::{Value, json};

const ACCOUNT: &str = "acme";
const QUEUE: &str = "support";
const AGENTS: usize = 12;
/// Of these so many are at work; the others have not logged in.
const AT_WORK: usize = 9;

const ROWS: &str = "document.querySelectorAll('.row:not([hidden])').length";
const TILES: &str = "Object.fromEntries([...document.querySelectorAll('.tile')].map((it) => [it.dataset.tile, Number(it.dataset.count)]))";
/// Notes every state of the connection, and proves by being there that the page was not loaded again.
const NOTE: &str = "window.states = [];
    new MutationObserver(() => window.states.push(document.body.dataset.connection))
        .observe(document.body, { attributeFilter: ['data-connection'] });
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (it) => window.violations.push(it.violatedDirective + ' ' + it.blockedURI));";

const POLICY: &str = "const request = new XMLHttpRequest();
    request.open('GET', location.href, false);
    request.send();
    return request.getResponseHeader('content-security-policy');";

struct Board {
    browser: Browser,
    server: Serve,
    api: Api,
    _dir: TempDir,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_shows_what_is_and_comes_back_by_itself() {
    let mut board = Board::set().await;
    board.first_paint().await;
    board.a_change_appears().await;
    board.the_server_dies_and_comes_back().await;
    board.filters().await;
    board.nothing_was_complained_about().await;
}

impl Board {
    async fn set() -> Self {
        let dir = TempDir::new("wallboard");
        let mut server = Serve::new(dir.path()).arg("--heartbeat-ms", "1000");
        server.start().await;
        let api = server.api(ACCOUNT);
        staff::open_queue(&api, QUEUE).await;
        for n in 0..AGENTS {
            let agent = agent(n);
            staff::hire(&api, &agent, u32::try_from(n).expect("few agents")).await;
            if n < AT_WORK {
                staff::available(&api, &agent, QUEUE).await;
            }
        }
        Self { browser: Browser::start(1400, 1100).await, server, api, _dir: dir }
    }

    async fn first_paint(&self) {
        let begun = Instant::now();
        let url = format!("{}/wallboard#key={DEV_KEY}&account={ACCOUNT}", self.server.url());
        self.browser.page.goto(&url).await.expect("the page");
        self.browser.until("the board is live", "document.body.dataset.connection === 'LIVE'").await;
        self.rows(AGENTS).await;
        println!("live with {AGENTS} rows {} ms after it was asked for", begun.elapsed().as_millis());
        assert_eq!(self.browser.ask("document.body.dataset.agents").await, json!(AGENTS.to_string()));
        let buckets = self
            .browser
            .ask("[...document.querySelectorAll('.row:not([hidden])')].map((it) => it.dataset.bucket)");
        let buckets = buckets.await;
        let count =
            |bucket: &str| buckets.as_array().map(|all| all.iter().filter(|it| **it == bucket).count());
        assert_eq!((count("ready"), count("offline")), (Some(AT_WORK), Some(AGENTS - AT_WORK)), "{buckets}");
        self.tiles().await;
        assert_eq!(self.browser.ask("location.hash").await, json!(""), "the key does not stay in sight");
        assert_eq!(complaints(self.browser.log().await), [], "in the console");
        self.browser.page.execute(NOTE, Vec::new()).await.expect("a script");
    }

    async fn a_change_appears(&self) {
        let agent = agent(0);
        let begun = Instant::now();
        self.api.event(&id(&agent), &AgentEventBody::plain("pause")).await.expect("a pause");
        let acknowledged = begun.elapsed();
        self.bucket(&agent, "paused").await;
        let seen = begun.elapsed();
        println!(
            "a pause: acknowledged after {} ms, in its row after {} ms",
            acknowledged.as_millis(),
            seen.as_millis()
        );
        self.bucket_is_said(&agent, "Paused").await;
        let offer = self.api.reserve_agent(&id("a01"), &Reserve::new(id("call-1"))).await.expect("a grant");
        self.bucket(offer.agent_id.as_str(), "ringing").await;
        self.tiles().await;
    }

    async fn the_server_dies_and_comes_back(&mut self) {
        let begun = Instant::now();
        self.server.kill();
        let gone = "['STALE', 'OFFLINE'].includes(document.body.dataset.connection)";
        self.browser.until("the board says that it is not live", gone).await;
        println!("not live {} ms after the kill", begun.elapsed().as_millis());
        let rows = self.browser.ask(ROWS).await;
        assert_eq!(rows, json!(AGENTS), "the last known rows stay");
        let begun = Instant::now();
        self.server.start().await;
        // What happens before the page is back must not be missed by it.
        self.api.event(&id(&agent(2)), &AgentEventBody::plain("pause")).await.expect("a pause");
        self.browser.until("the board is live again", "document.body.dataset.connection === 'LIVE'").await;
        println!("live again {} ms after the start", begun.elapsed().as_millis());
        let states = self.browser.ask("window.states").await;
        let states = states.as_array().expect("the page was not loaded again");
        assert_eq!(states.last(), Some(&json!("LIVE")), "{states:?}");
        assert!(states.iter().any(|state| state == "OFFLINE" || state == "STALE"), "{states:?}");
        self.bucket(&agent(2), "paused").await;
        self.rows(AGENTS).await;
        self.tiles().await;
    }

    async fn filters(&self) {
        let search = self.browser.page.find(Locator::Css("#search")).await.expect("the search field");
        search.send_keys(&agent(3)).await.expect("typing");
        self.rows(1).await;
        let shown = "document.querySelector('.row:not([hidden])').dataset.agent";
        assert_eq!(self.browser.ask(shown).await, json!(agent(3)));
        assert_eq!(self.browser.ask("new URLSearchParams(location.search).get('q')").await, json!(agent(3)));
        self.browser
            .page
            .find(Locator::Css("#clear"))
            .await
            .expect("a button")
            .click()
            .await
            .expect("a click");
        self.rows(AGENTS).await;
        let tile = self.browser.page.find(Locator::Css(".tile[data-tile=paused]")).await.expect("a tile");
        tile.click().await.expect("a click");
        self.rows(2).await;
    }

    async fn nothing_was_complained_about(&self) {
        let complaints = complaints(self.browser.log().await);
        // A browser logs that a server is away, and nothing a page does can keep it from that.
        let unexpected: Vec<&Line> =
            complaints.iter().filter(|line| !line.message.contains("net::ERR_CONNECTION")).collect();
        assert!(unexpected.is_empty(), "{unexpected:#?}");
        assert_eq!(self.browser.ask("window.violations").await, json!([]), "content security policy");
        let policy = self.browser.page.execute(POLICY, Vec::new()).await.expect("a script");
        assert!(
            policy.as_str().is_some_and(|policy| policy.contains("default-src")),
            "there is one: {policy}"
        );
    }

    async fn rows(&self, count: usize) {
        self.browser.until(&format!("{count} rows are shown"), &format!("{ROWS} === {count}")).await;
    }

    async fn bucket(&self, agent: &str, bucket: &str) {
        let row = format!("document.querySelector('.row[data-agent=\"{agent}\"]:not([hidden])')");
        let shown = format!("{row}?.dataset.bucket === '{bucket}'");
        self.browser.until(&format!("{agent} is {bucket}"), &shown).await;
    }

    /// In words too: colour alone tells not everybody.
    async fn bucket_is_said(&self, agent: &str, word: &str) {
        let chip = format!("document.querySelector('.row[data-agent=\"{agent}\"] .chip-name').textContent");
        assert_eq!(self.browser.ask(&chip).await, json!(word));
    }

    /// The tiles show what the API counts.
    async fn tiles(&self) {
        eventually(DEADLINE, "the tiles are the API's", async || {
            let tiles = self.api.presence().await.map_err(|error| error.to_string())?.tiles;
            let (shown, counted) = (self.browser.ask(TILES).await, json!(tiles));
            if same(&shown, &counted) { Ok(()) } else { Err(format!("{shown}, not {counted}")) }
        })
        .await;
    }
}

fn agent(n: usize) -> String {
    format!("a{n:02}")
}

/// Equal counts; JavaScript has one kind of number.
fn same(shown: &Value, counted: &Value) -> bool {
    let counts = |value: &Value| -> Option<Vec<(String, f64)>> {
        let counts = value.as_object()?.iter().map(|(name, count)| Some((name.clone(), count.as_f64()?)));
        let mut counts: Vec<_> = counts.collect::<Option<_>>()?;
        counts.sort_by(|a, b| a.0.cmp(&b.0));
        Some(counts)
    };
    counts(shown).is_some() && counts(shown) == counts(counted)
}

/// What is worse than information.
fn complaints(log: Vec<Line>) -> Vec<Line> {
    log.into_iter().filter(|line| line.level == "SEVERE" || line.level == "WARNING").collect()
}
