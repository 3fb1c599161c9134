//! What is there without an account: health, metrics, the wallboard's files.

use serde_json::json;

use crate::client::Request;
use crate::server::{dev, problem, serving};

#[tokio::test]
async fn machines_find_health_version_and_metrics() {
    serving(dev(), async |server| {
        let get = async |target: &str| server.send(Request::new("GET", target)).await;
        assert_eq!(get("/livez").await.status, 200);
        assert_eq!(get("/readyz").await.status, 200);
        assert_eq!(get("/version").await.json()["name"], "ringfence");
        assert!(get("/").await.text().contains("POST /v1/queues/{id}/reserve"));
        server.must(200, "POST", "/v1/agents/987654/events", json!({ "event": "login" })).await;
        server.get("/v1/agents/nobody/presence").await;
        let metrics = get("/metrics").await;
        assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        let text = metrics.text();
        let line = "ringfence_http_requests_total{route=\"/v1/agents/{agent_id}/events\",method=\"POST\",status=\"200\"} 1";
        assert!(text.lines().any(|known| known == line), "{text}");
        assert!(text.contains("ringfence_http_problems_total{code=\"unknown_agent\"} 1"));
        assert!(!text.contains("987654") && !text.contains("nobody"));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (_, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<u64>().is_ok(), "{line}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_wallboard_is_served_strictly_and_not_twice() {
    serving(dev(), async |server| {
        let page = server.send(Request::new("GET", "/wallboard")).await;
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        // Whatever the page asks for is there.
        let html = page.text();
        let files = html.split('"').filter(|text| text.starts_with("/wallboard/"));
        let mut asked = 0;
        for file in files {
            let reply = server.send(Request::new("GET", file)).await;
            assert_eq!(reply.status, 200, "{file}");
            let tag = reply.header("etag").unwrap();
            let again = server.send(Request::new("GET", file).header("if-none-match", tag)).await;
            assert_eq!((again.status, again.body.len()), (304, 0));
            asked += 1;
        }
        assert!(asked > 3);
        problem(&server.send(Request::new("GET", "/wallboard/secret.js")).await, 404, "unknown_file");
        problem(
            &server.send(Request::new("GET", "/wallboard/..%2f..%2fCargo.toml")).await,
            404,
            "unknown_file",
        );
    })
    .await;
}

#[tokio::test]
async fn every_script_of_the_wallboard_is_served() {
    serving(dev(), async |server| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/wallboard");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let status = server.send(Request::new("GET", &format!("/wallboard/{name}"))).await.status;
            let expected = if name.contains(".test.") { 404 } else { 200 };
            assert_eq!(status, expected, "{name}: is it in the table of files?");
        }
    })
    .await;
}
