//! A data disk that is nearly full: nothing new, and everything that is live goes on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ringfence::{Durability, Options};
use serde_json::{Value, json};

use crate::client::Request;
use crate::server::{DEV_KEY, Running, dev, serving_from};

/// A directory for the journal, beside a file that says how much is free.
struct Disk(PathBuf);

impl Disk {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("ringfence-disk-{}", std::process::id()));
        fs::create_dir_all(path.join("data")).unwrap();
        let disk = Self(path);
        disk.leaves(u64::MAX);
        disk
    }

    fn leaves(&self, bytes: u64) {
        // In one step: it is read at any time.
        fs::write(self.0.join("next"), bytes.to_string()).unwrap();
        fs::rename(self.0.join("next"), self.0.join("free")).unwrap();
    }

    fn options(&self) -> Options {
        Options { free_bytes: free, ..Options::durable(self.0.join("data"), Durability::Os) }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn free(data: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(data.with_file_name("free"))?;
    text.parse().map_err(io::Error::other)
}

fn put(target: &str) -> Request {
    Request::new("PUT", target).key(DEV_KEY).json(&json!({ "name": "x" }))
}

/// Until the engine has looked again: it does so once a second.
async fn until_put_is(server: &Running, status: u16) {
    while server.send(put("/v1/queues/probe")).await.status != status {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_nearly_full_disk_nothing_new_begins_and_what_is_live_goes_on() {
    let disk = Disk::new();
    let mut config = dev();
    config.limits.requests.requests = u32::MAX;
    serving_from(disk.options(), config, async |server| {
        for agent in ["1001", "1002"] {
            server.ready(agent, json!([{ "queue_id": "q1" }])).await;
        }
        let ask = json!({ "call_id": "c1", "offer_id": "o1" });
        let grant = server.must(201, "POST", "/v1/queues/q1/reserve", ask).await;
        disk.leaves(1_000_000);
        until_put_is(server, 503).await;
        refuses_what_is_new(server).await;
        goes_on(server, &grant["fence"]).await;
        disk.leaves(1_000_000_000);
        until_put_is(server, 200).await;
        server.must(201, "POST", "/v1/queues/q1/reserve", json!({ "call_id": "c9" })).await;
    })
    .await;
}

async fn refuses_what_is_new(server: &Running) {
    let post = |target: &str, body: Value| Request::new("POST", target).key(DEV_KEY).json(&body);
    let delete = |target: &str| Request::new("DELETE", target).key(DEV_KEY);
    let before = server.seq().await;
    for request in [
        post("/v1/queues/q1/reserve", json!({ "call_id": "c2" })),
        post("/v1/agents/1002/reserve", json!({ "call_id": "c3", "expected_seq": 1 })),
        post("/v1/keys", json!({ "account_id": "acme", "scopes": ["wallboard"] })),
        put("/v1/agents/1003"),
        put("/v1/queues/q2"),
        put("/v1/pause-reasons/r1"),
        Request::new("PUT", "/v1/settings").key(DEV_KEY).json(&json!({})),
        delete("/v1/agents/1002"),
        delete("/v1/queues/q1"),
        delete("/v1/pause-reasons/r1"),
    ] {
        let said = format!("{} {}", request.method, request.target);
        let refused = server.refused(503, "disk_full", request).await;
        assert_eq!(
            (&refused["free_bytes"], &refused["retry_after_sec"]),
            (&json!(1_000_000), &json!(30)),
            "{said}"
        );
    }
    assert_eq!(server.seq().await, before);
}

async fn goes_on(server: &Running, fence: &Value) {
    let fence = json!({ "fence": fence });
    let answered = server.must(200, "POST", "/v1/offers/o1/answer", fence).await;
    let talking = answered["agent"]["agent_id"].as_str().unwrap().to_owned();
    assert_eq!(server.must(200, "POST", "/v1/calls/c1/end", json!({})).await["agent"]["agent_id"], *talking);
    let pause = json!({ "event": "pause" });
    server.must(200, "POST", &format!("/v1/agents/{talking}/events"), pause).await;
    server.register("1002").await;
    for read in ["/v1/presence", "/v1/agents", "/v1/queues/q1", "/v1/offers/o1", "/v1/keys"] {
        server.must(200, "GET", read, Value::Null).await;
    }
}
