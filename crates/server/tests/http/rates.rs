//! Rate limits and limits of connections.

use ringfence_server::{Limits, Quota, ServerConfig};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::client::{Reply, Request};
use crate::server::{DEV_KEY, dev, problem, serving};

fn number(reply: &Reply, name: &str) -> u64 {
    reply
        .header(name)
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("{name}: {:?}", reply.headers))
}

#[tokio::test]
async fn what_the_headers_say_remains_is_what_can_be_asked_and_the_wait_they_name_is_enough() {
    let limits = Limits { requests: Quota { requests: 5, window_sec: 10 }, ..Limits::default() };
    serving(ServerConfig { limits, ..dev() }, async |server| {
        let ask = async || server.get("/v1/presence").await;
        let first = ask().await;
        assert_eq!(first.header("ratelimit-policy"), Some("\"route\";q=5;w=10"));
        assert_eq!(first.header("ratelimit"), Some("\"route\";r=4;t=2"));
        assert_eq!(number(&first, "x-ratelimit-limit"), 5);
        for left in (0..number(&first, "x-ratelimit-remaining")).rev() {
            let reply = ask().await;
            assert_eq!((reply.status, number(&reply, "x-ratelimit-remaining")), (200, left));
        }
        let refused = ask().await;
        problem(&refused, 429, "rate_limited");
        let wait = number(&refused, "retry-after");
        assert_eq!(refused.json()["retry_after_sec"], wait);
        server.clock.advance_ms(wait * 1_000 - 1);
        assert_eq!(ask().await.status, 429);
        server.clock.advance_ms(1);
        assert_eq!(ask().await.status, 200);
        assert_eq!(server.get("/v1/whoami").await.status, 200);
        let full = number(&ask().await, "x-ratelimit-reset");
        server.clock.advance_ms(full * 1_000);
        assert_eq!(number(&ask().await, "x-ratelimit-remaining"), 4);
    })
    .await;
}

#[tokio::test]
async fn accounts_do_not_share_and_routers_have_their_own() {
    let limits = Limits { requests: Quota { requests: 1, window_sec: 10 }, ..Limits::default() };
    serving(ServerConfig { limits, ..dev() }, async |server| {
        let ask =
            |account: &str| Request::new("GET", "/v1/presence").key(DEV_KEY).header("x-account-id", account);
        assert_eq!(server.send(ask("a")).await.status, 200);
        assert_eq!(server.send(ask("a")).await.status, 429);
        assert_eq!(server.send(ask("b")).await.status, 200);
        for call in 0..5 {
            let end = server.call("POST", &format!("/v1/calls/c{call}/end"), json!({})).await;
            assert_ne!(end.status, 429);
            assert_eq!(end.header("ratelimit-policy"), Some("\"router\";q=50000;w=10"));
        }
    })
    .await;
}

#[tokio::test]
async fn beyond_the_last_connection_one_is_told_so_at_once() {
    let limits = Limits { connections: 2, ..Limits::default() };
    serving(ServerConfig { limits, ..dev() }, async |server| {
        let held =
            [TcpStream::connect(server.addr).await.unwrap(), TcpStream::connect(server.addr).await.unwrap()];
        let mut turned_away = TcpStream::connect(server.addr).await.unwrap();
        let mut answer = String::new();
        turned_away.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("retry-after: 5\r\n"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())));
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["code"], "too_many_connections");
        drop(held);
    })
    .await;
}
