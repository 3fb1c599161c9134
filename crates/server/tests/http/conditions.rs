//! `If-Match`: configuration that is written only over what its writer read.

use serde_json::{Value, json};

use crate::client::Request;
use crate::server::{DEV_KEY, Running, dev, serving};

const RESOURCES: [(&str, &str, &str); 4] = [
    ("/v1/agents/1001", r#"{"name":"Ana","extension":"1001"}"#, r#"{"name":"Ben","extension":"1001"}"#),
    ("/v1/queues/q1", r#"{"name":"Sales"}"#, r#"{"name":"Sales","wrap_up_sec":null}"#),
    ("/v1/pause-reasons/r1", r#"{"name":"Lunch"}"#, r#"{"name":"Lunch","productive":true}"#),
    ("/v1/settings", r#"{"paused_inbound":"none"}"#, r#"{"paused_inbound":"direct"}"#),
];

fn put(target: &str, body: &str, if_match: Option<&str>) -> Request {
    let request = Request::new("PUT", target).key(DEV_KEY).text("application/json", body);
    match if_match {
        Some(tag) => request.header("if-match", tag),
        None => request,
    }
}

/// The tag of a read.
async fn tag(server: &Running, target: &str) -> String {
    server.get(target).await.header("etag").unwrap().to_owned()
}

#[tokio::test]
async fn a_write_over_what_somebody_else_changed_is_refused_with_the_tag_that_is_there() {
    serving(dev(), async |server| {
        for (target, first, second) in RESOURCES {
            let written = server.send(put(target, first, None)).await;
            let old = tag(server, target).await;
            assert_eq!(written.header("etag"), Some(&*old), "{target}: the write says what the read does");
            assert_eq!(server.send(put(target, second, Some(&old))).await.status, 200, "{target}");
            let new = tag(server, target).await;
            assert_ne!(new, old, "{target}");
            let before = server.get(target).await.json();
            for asked in [&*old, &format!("W/{new}"), "\"nothing\""] {
                let refused = server.refused(412, "etag_mismatch", put(target, first, Some(asked))).await;
                assert_eq!(
                    (&refused["etag"], &refused["field"]),
                    (&json!(new), &json!("If-Match")),
                    "{target}"
                );
            }
            assert_eq!(server.get(target).await.json(), before, "{target}");
            server.refused(400, "invalid", put(target, first, Some("unquoted"))).await;
            for asked in ["*".to_owned(), format!("{old}, {new}")] {
                assert_eq!(
                    server.send(put(target, second, Some(&asked))).await.status,
                    200,
                    "{target} {asked}"
                );
            }
            if target != "/v1/settings" {
                let delete = |tag: &str| Request::new("DELETE", target).key(DEV_KEY).header("if-match", tag);
                server.refused(412, "etag_mismatch", delete(&old)).await;
                assert_eq!(server.send(delete(&new)).await.status, 200, "{target}");
                let gone = server.refused(412, "etag_mismatch", put(target, first, Some("*"))).await;
                assert_eq!(gone["etag"], Value::Null, "{target}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_an_agent_does_changes_no_tag() {
    serving(dev(), async |server| {
        server.ready("1001", json!([{ "queue_id": "q1" }])).await;
        let before = (tag(server, "/v1/agents/1001").await, tag(server, "/v1/queues/q1").await);
        server.must(200, "POST", "/v1/agents/1001/events", json!({ "event": "pause", "queues": [] })).await;
        assert_eq!((tag(server, "/v1/agents/1001").await, tag(server, "/v1/queues/q1").await), before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_read_the_same_one_writes() {
    serving(dev(), async |server| {
        server.must(200, "PUT", "/v1/queues/q1", json!({ "name": "0" })).await;
        for round in 1..=5 {
            let read = tag(server, "/v1/queues/q1").await;
            let (addr, mut writers) = (server.addr, tokio::task::JoinSet::new());
            for writer in 0..8 {
                let body = json!({ "name": format!("{round}.{writer}") }).to_string();
                let request = put("/v1/queues/q1", &body, Some(&read));
                writers.spawn(async move { crate::client::send(addr, &request).await.status });
            }
            let mut statuses = writers.join_all().await;
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412]);
        }
    })
    .await;
}
