#![cfg(test)]
//! Rate classes, and clients slower than what they watch.

use std::time::{Duration, Instant};

use serde_json::json;
use socket2::SockRef;
use tokio::net::TcpSocket;

use crate::client::{ALL, Client, Dial};
use crate::world::{DEV_KEY, PATIENCE, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_sends_the_first_change_at_once_and_the_rest_of_its_window_together() {
    let world = World::new().await;
    world.staff(2).await;
    let mut client = Client::new(&world).await;
    client.subscribe(json!({ "view": { "account": true }, "class": 1000 })).await;
    client.settle("account", 0).await;
    let started = Instant::now();
    world.stir(1000, 1).await;
    client.until("delta").await;
    let leading = started.elapsed();
    assert!(leading < Duration::from_millis(800), "the first change after quiet took {leading:?}");
    world.stir(1001, 60).await;
    let seq = world.seq().await;
    let deltas = client.views["account"].seen.deltas;
    let table = client.settle("account", seq).await;
    let in_windows = 1 + started.elapsed().as_millis() / 1000;
    assert!(
        u128::from(table.seen.deltas - deltas) <= in_windows,
        "{:?} in {:?}",
        table.seen,
        started.elapsed()
    );
    assert!(table.seen.folded_max >= 30, "{:?}", table.seen);
    world.end(client).await;
}

/// A client with little room, so that it is soon full.
async fn narrow(world: &World) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    SockRef::from(&socket).set_recv_buffer_size(4 * 1024).unwrap();
    let stream = socket.connect(world.addr).await.unwrap();
    Dial::key(DEV_KEY).over(stream, world).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_delays_nobody_and_is_folded_when_it_does() {
    let world = World::new().await;
    world.staff(100).await;
    let mut slow = narrow(&world).await;
    slow.watch_all().await;
    let mut quick = Client::new(&world).await;
    quick.watch_all().await;
    let mut longest = Duration::ZERO;
    // More than what the kernel and the ring keep together.
    for _ in 0..800 {
        world.stir(1042, 1).await;
        let started = Instant::now();
        let seq = world.seq().await;
        quick.settle(ALL, seq).await;
        longest = longest.max(started.elapsed());
        world.stir(1042, 2).await;
    }
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    let seq = world.seq().await;
    quick.settle(ALL, seq).await;
    slow.settle(ALL, seq).await;
    assert_eq!(slow.all().agents, quick.all().agents);
    let (folded, followed) = (slow.all().seen.clone(), quick.all().seen.clone());
    assert_eq!((folded.snapshots, folded.resets), (1, 0));
    assert!(
        folded.folded_max > 100 && folded.deltas < followed.deltas / 2,
        "slow {folded:?} quick {followed:?}"
    );
    assert!(world.metric("stream_folds_total").await > 0);
    world.end((slow, quick)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_is_closed_as_slow() {
    const STALL: Duration = Duration::from_millis(500);
    let world = World::with(|config| config.limits.stall_ms = STALL.as_millis() as u64).await;
    world.staff(400).await;
    let mut stalled = narrow(&world).await;
    let stalled_since = Instant::now();
    // Snapshots enough to fill whatever the kernel still takes.
    for n in 0..40 {
        let view = json!({ "account": true, "profile": (["masked", "anonymous"])[n % 2] });
        stalled.send(json!({ "type": "subscribe", "id": n, "view": view, "class": 0 })).await;
        stalled.send(json!({ "type": "resync", "view": (["account", "account;anonymous"])[n % 2] })).await;
    }
    let mut quick = Client::new(&world).await;
    quick.watch_all().await;
    let started = Instant::now();
    while world.metric("stream_connections").await > 1 {
        assert!(started.elapsed() < PATIENCE, "it is still there");
        world.stir(1000, 2).await;
        let seq = world.seq().await;
        quick.settle(ALL, seq).await;
    }
    assert!(stalled_since.elapsed() > STALL, "it was given time: {:?}", stalled_since.elapsed());
    assert_eq!(world.metric("stream_closed_total{code=\"4108\"}").await, 1);
    world.end((stalled, quick)).await;
}
