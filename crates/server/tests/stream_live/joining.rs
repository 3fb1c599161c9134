#![cfg(test)]
//! To join, to go on, and to begin anew.

use ringfence::AgentId;
use ringfence::core::agent::By;
use ringfence::core::input::AgentEvent;
use serde_json::{Value, json};

use crate::client::{ALL, Client, Dial};
use crate::table::Table;
use crate::world::{DEV_KEY, World};

async fn assert_same(world: &World, table: &Table) {
    let presence = world.presence().await;
    let rows = |kind: &str, id: &str| -> crate::table::Rows {
        let rows = presence[kind].as_array().unwrap();
        rows.iter().map(|row| (row[id].as_str().unwrap().to_owned(), row.clone())).collect()
    };
    assert_eq!(table.agents, rows("agents", "agent_id"));
    assert_eq!(table.queues, rows("queues", "queue_id"));
    assert_eq!((&table.tiles, &table.buckets), (&presence["tiles"], &presence["buckets"]));
    assert_eq!(presence["epoch"], table.epoch.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_and_its_deltas_are_what_presence_says() {
    let world = World::new().await;
    world.staff(150).await;
    let mut client = Client::new(&world).await;
    assert_eq!(client.protocol.as_deref(), Some("ringfence.v1.json"));
    client.watch_all().await;
    assert_same(&world, client.all()).await;
    world.stir(1007, 9).await;
    world.event_in(1008, AgentEvent::Login, Some(&["sales"])).await;
    world.account.remove_agent(By::SYSTEM, AgentId::parse("1009").unwrap()).await.unwrap();
    let seq = world.seq().await;
    client.settle(ALL, seq).await;
    assert_same(&world, client.all()).await;
    assert_eq!(client.all().seen.snapshots, 1);
    assert!(client.all().agents.len() == 149 && client.all().queues.len() == 1);
    world.end(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_comes_back_misses_nothing_and_gets_no_snapshot() {
    let world = World::new().await;
    world.staff(20).await;
    // While somebody else watches, the ring is there; then it is not, and what was missed is folded.
    for somebody_watches in [true, false] {
        let mut other = Client::new(&world).await;
        other.watch_all().await;
        let mut client = Client::new(&world).await;
        client.watch_all().await;
        let table = client.all().clone();
        drop(client);
        if !somebody_watches {
            drop(other);
            while world.metric("stream_channels").await > 0 {
                tokio::task::yield_now().await;
            }
        }
        world.stir(1003, 7).await;
        world.event_in(1004, AgentEvent::Login, Some(&["sales"])).await;
        let seq = world.seq().await;
        let mut client = Client::new(&world).await;
        let subscribed = client.resume_all(table).await;
        assert_eq!(subscribed["how"], "catch_up", "{subscribed}");
        client.settle(ALL, seq).await;
        assert_same(&world, client.all()).await;
        let seen = client.all().seen.clone();
        assert_eq!((seen.snapshots, seen.resets), (1, 0));

        let table = client.all().clone();
        let subscribed = Client::new(&world).await.resume_all(table).await;
        assert_eq!(subscribed["how"], "live", "{subscribed}");
    }
    world.end(()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_resumed_is_reset_on_the_same_connection() {
    let world = World::new().await;
    world.staff(5).await;
    let mut client = Client::new(&world).await;
    client.watch_all().await;
    let table = client.all().clone();
    let (mut foreign, mut beyond) = (table.clone(), table);
    foreign.epoch = "7".to_owned();
    beyond.seq += 1_000;
    for stale in [foreign, beyond] {
        let mut client = Client::new(&world).await;
        let subscribed = client.resume_all(stale).await;
        assert_eq!(subscribed["how"], "snapshot", "{subscribed}");
        assert_eq!(client.frame().await["type"], "reset");
        while client.all().seen.snapshots < 2 {
            client.frame().await;
        }
        assert_same(&world, client.all()).await;
    }
    world.end(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_is_watched_once_and_left_again() {
    let world = World::new().await;
    world.staff(2).await;
    let mut client = Client::new(&world).await;
    let account = json!({ "account": true });
    assert_eq!(client.subscribe(json!({ "view": account })).await["type"], "subscribed");
    let again = client.subscribe(json!({ "view": account, "class": 0 })).await;
    assert_eq!((&again["type"], &again["code"]), (&json!("error"), &json!("already_subscribed")));
    client.send(json!({ "type": "unsubscribe", "view": "account" })).await;
    assert_eq!(client.subscribe(json!({ "view": account })).await["type"], "subscribed");
    for kind in ["unsubscribe", "resync"] {
        client.send(json!({ "type": kind, "view": "queue:q" })).await;
        assert_eq!(client.until("error").await["code"], "not_subscribed");
    }
    let bad = client.subscribe(json!({ "view": { "router": "r" } })).await;
    assert_eq!((&bad["type"], &bad["code"]), (&json!("error"), &json!("bad_view")));
    for n in 0..63 {
        let subscribed = client.subscribe(json!({ "view": { "queue": format!("q{n}") } })).await;
        assert_eq!(subscribed["type"], "subscribed", "{subscribed}");
    }
    let more = client.subscribe(json!({ "view": { "queue": "q63" } })).await;
    assert_eq!(more["code"], "too_many_views");
    world.end((client, again)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_come_into_a_queues_view_and_go() {
    let world = World::new().await;
    world.event_in(1001, AgentEvent::Login, Some(&["sales"])).await;
    world.event_in(1002, AgentEvent::Login, Some(&["service"])).await;
    let mut client = Client::new(&world).await;
    client.subscribe(json!({ "view": { "queue": "sales" }, "class": 0 })).await;
    let seen = |client: &Client| client.views["queue:sales"].agents.keys().cloned().collect::<Vec<_>>();
    client.settle("queue:sales", 0).await;
    assert_eq!(seen(&client), ["1001"]);
    world.event_in(1002, AgentEvent::Login, Some(&["sales"])).await;
    world.event_in(1001, AgentEvent::Login, Some(&[])).await;
    let seq = world.seq().await;
    client.settle("queue:sales", seq).await;
    assert_eq!(seen(&client), ["1002"]);
    assert!(
        client.views["queue:sales"].agents["1002"]["directory"].is_object(),
        "sent whole when it comes in"
    );
    world.end(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_proves_the_table_and_a_resync_renews_it() {
    let world = World::new().await;
    world.staff(30).await;
    let mut client = Dial::key(DEV_KEY).query("?heartbeat_ms=1000").connect(&world).await.unwrap();
    assert_eq!(client.hello["heartbeat_ms"], 1_000);
    client.watch_all().await;
    world.stir(1001, 5).await;
    let seq = world.seq().await;
    client.settle(ALL, seq).await;
    while client.all().seen.proofs < 2 {
        client.until("heartbeat").await;
    }
    client.send(json!({ "type": "ack", "view": ALL, "seq": seq })).await;
    client.send(json!({ "type": "resync", "view": ALL })).await;
    while client.all().seen.snapshots < 2 {
        client.frame().await;
    }
    assert_same(&world, client.all()).await;
    assert_eq!(world.metric("stream_resyncs_total").await, 1);
    world.end(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_refused_and_costs_nothing_else() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    client.send(json!({ "type": "cmd", "rid": 5, "op": "reserve" })).await;
    let error: Value = client.until("error").await;
    assert_eq!((&error["id"], &error["code"]), (&json!(5), &json!("unsupported_command")));
    client.watch_all().await;
    world.end(client).await;
}
