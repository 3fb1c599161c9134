#![cfg(test)]
//! Connections that have to go although their client did nothing.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Client, Dial};
use crate::world::{DEV_KEY, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_server_says_when_to_come_back() {
    let world = World::new().await;
    world.staff(3).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = Client::new(&world).await;
        client.watch_all().await;
        clients.push(client);
    }
    let stopping = world.stop();
    let mut windows = Vec::new();
    for client in &mut clients {
        let bye = client.until("bye").await;
        assert_eq!(bye["code"], 4200);
        windows.push((bye["retry_ms"][0].as_u64().unwrap(), bye["retry_ms"][1].as_u64().unwrap()));
        assert_eq!(client.close_code().await, Some(4200));
    }
    windows.sort_unstable();
    let spread: Vec<u64> = windows.iter().map(|(lo, _)| *lo).collect();
    assert_eq!(spread, (0..8).map(|n| n * 5_000 / 8).collect::<Vec<_>>());
    assert!(windows.iter().all(|(lo, hi)| lo < hi));
    drop(clients);
    stopping.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_closes_its_connections_and_no_other() {
    let world = World::new().await;
    let (id, key) = world.key(&["wallboard"]).await;
    let (mut theirs, mut ours) = (Dial::key(&key).connect(&world).await.unwrap(), Client::new(&world).await);
    theirs.subscribe(json!({ "view": { "account": true } })).await;
    let since = Instant::now();
    assert_eq!(world.http("DELETE", &format!("/v1/keys/{id}"), DEV_KEY, None).await.0, 200);
    assert_eq!(theirs.close_code().await, Some(4001));
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    ours.watch_all().await;
    world.end((ours, theirs)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_leaves_nothing_behind() {
    let world = World::new().await;
    world.staff(3).await;
    for _ in 0..5 {
        let mut client = Client::new(&world).await;
        client.watch_all().await;
        client.socket.close(None).await.unwrap();
        assert!(client.close_code().await.is_none_or(|code| code == 1005));
        Client::new(&world).await.watch_all().await;
    }
    for gauge in ["stream_connections", "stream_subscriptions", "stream_channels", "stream_ring_bytes"] {
        while world.metric(gauge).await > 0 {
            tokio::task::yield_now().await;
        }
    }
    world.end(()).await;
}
