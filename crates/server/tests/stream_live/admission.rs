#![cfg(test)]
//! Who gets a stream. Whoever does not is told before the upgrade.

use serde_json::json;

use crate::client::{Client, Dial};
use crate::world::{DEV_KEY, World};

async fn refused(world: &World, dial: Dial) -> (u16, String) {
    match dial.connect(world).await {
        Ok(_) => panic!("it was let in"),
        Err(refused) => refused,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_come_before_the_upgrade_with_their_reason() {
    let world = World::with(|config| config.origins = vec!["https://board.example".to_owned()]).await;
    let (_, reader) = world.key(&["presence:read"]).await;
    let (_, board) = world.key(&["wallboard"]).await;
    let foreign = Dial::key(&board).header("x-account-id", "other");
    for (dial, status, code) in [
        (Dial::default(), 401, "unauthorized"),
        (Dial::key("sk_wrong"), 401, "unauthorized"),
        (Dial::default().query("?ticket=tkt_wrong"), 401, "unauthorized"),
        (Dial::key(&reader), 403, "missing_scope"),
        (foreign, 404, "unknown_account"),
        (Dial::key(&board).header("origin", "https://evil.example"), 403, "origin_not_allowed"),
        (Dial::key(&board).header("sec-websocket-protocol", "ringfence.v9.json"), 400, "subprotocol"),
        (Dial::key(&board).header("sec-websocket-version", "12"), 426, "websocket_version"),
        (Dial::key(&board).query("?heartbeat_mz=5"), 400, "unknown_parameter"),
    ] {
        let shown = format!("{dial:?}");
        assert_eq!(refused(&world, dial).await, (status, code.to_owned()), "{shown}");
    }
    for origin in ["https://board.example".to_owned(), format!("http://{}", world.addr)] {
        Dial::key(&board).header("origin", origin).connect(&world).await.unwrap();
    }
    assert_eq!(Dial::key(&board).connect(&world).await.unwrap().protocol, None, "none offered, none echoed");
    world.end(()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_opens_one_connection() {
    let world = World::new().await;
    let ticket = world.ticket().await;
    // Refused for something else, it is not used up.
    let unspoken = Dial::default().query(format!("?ticket={ticket}")).header("sec-websocket-protocol", "x");
    assert_eq!(refused(&world, unspoken).await.0, 400);
    let by_query = Dial::default().query(format!("?ticket={ticket}"));
    by_query.clone().connect(&world).await.unwrap().watch_all().await;
    assert_eq!(refused(&world, by_query).await.0, 401);

    let offers = format!("ringfence.ticket.{}, ringfence.v1.json", world.ticket().await);
    let by_protocol = Dial::default().header("sec-websocket-protocol", offers);
    let client = by_protocol.clone().connect(&world).await.unwrap();
    assert_eq!(client.protocol.as_deref(), Some("ringfence.v1.json"), "the ticket is not echoed");
    assert_eq!(refused(&world, by_protocol).await.0, 401);
    world.end(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_may_see_numbers_sees_everything() {
    let world = World::new().await;
    let (_, board) = world.key(&["wallboard"]).await;
    let (_, desk) = world.key(&["wallboard", "numbers"]).await;
    let full = json!({ "view": { "account": true, "profile": "full" } });
    let mut client = Dial::key(&board).connect(&world).await.unwrap();
    let refused = client.subscribe(full.clone()).await;
    assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("missing_scope")));
    for profile in ["masked", "anonymous"] {
        let view = json!({ "account": true, "profile": profile });
        assert_eq!(client.subscribe(json!({ "view": view })).await["type"], "subscribed");
    }
    // A newer credential may be better, or no good at all.
    client.send(json!({ "type": "refresh", "token": "sk_wrong" })).await;
    assert_eq!(client.until("error").await["code"], "unauthorized");
    client.send(json!({ "type": "refresh", "token": desk })).await;
    assert_eq!(client.subscribe(full).await["type"], "subscribed");
    client.send(json!({ "type": "refresh", "token": board })).await;
    assert_eq!(client.until("error").await["code"], "missing_scope", "what it watches needs more");
    world.end(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_sees_nothing_of_another() {
    let world = World::new().await;
    world.staff(3).await;
    let mut client = Dial::key(DEV_KEY).query("?account=other").connect(&world).await.unwrap();
    client.watch_all().await;
    assert!(client.all().agents.is_empty());
    let both = Dial::key(DEV_KEY).query("?account=other").header("x-account-id", "another");
    assert_eq!(refused(&world, both).await.0, 400);
    world.end(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_handshakes_at_once_and_no_more() {
    let world = World::with(|config| config.limits.handshakes = 0).await;
    assert_eq!(refused(&world, Dial::key(DEV_KEY)).await, (503, "overloaded".to_owned()));
    world.end(()).await;
    let world = World::with(|config| config.limits.handshakes = 1).await;
    for _ in 0..3 {
        Client::new(&world).await;
    }
    world.end(()).await;
}
