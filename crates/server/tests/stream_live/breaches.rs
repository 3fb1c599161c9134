#![cfg(test)]
//! Clients that break the protocol are told and closed, each with its code, and nobody else notices.

use futures_util::SinkExt;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::client::{ALL, Client};
use crate::world::World;

async fn closed_after(world: &World, message: Message) -> Option<u16> {
    let mut client = Client::new(world).await;
    client.watch_all().await;
    client.socket.send(message).await.unwrap();
    client.close_code().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_breach_has_its_close_code() {
    let world = World::new().await;
    world.staff(3).await;
    let mut witness = Client::new(&world).await;
    witness.watch_all().await;
    let long = "x".repeat(4_097);
    for (message, code) in [
        (Message::binary(vec![1, 2, 3]), 4009),
        (Message::text("not json"), 4009),
        (Message::text("[]"), 4009),
        (Message::text(r#"{"type":"dance"}"#), 4009),
        (Message::text(r#"{"type":"ack","view":"account","seq":-1}"#), 4009),
        (Message::text(r#"{"type":"subscribe","id":1,"view":{"account":true},"sinze":1}"#), 4009),
        (Message::text(&*long), 4013),
        (Message::Frame(Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true)), 4009),
        (Message::Frame(Frame::message(vec![b'{'], OpCode::Data(Data::Continue), true)), 4009),
    ] {
        let shown = format!("{message:?}").chars().take(80).collect::<String>();
        assert_eq!(closed_after(&world, message).await, Some(code), "{shown}");
    }
    world.stir(1001, 3).await;
    let seq = world.seq().await;
    witness.settle(ALL, seq).await;
    world.end(witness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_too_large_in_its_fragments_is_too_large() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    for n in 0..3 {
        let code = OpCode::Data(if n == 0 { Data::Text } else { Data::Continue });
        client.socket.send(Message::Frame(Frame::message(vec![b' '; 2_000], code, false))).await.unwrap();
    }
    assert_eq!(client.close_code().await, Some(4013));
    world.end(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unmasked_bytes_are_no_client() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    client.socket.get_mut().write_all(b"\x81\x02{}").await.unwrap();
    assert_eq!(client.close_code().await, Some(4009));
    world.end(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_stops_talking_is_closed() {
    let world = World::new().await;
    world.staff(1).await;
    let mut client = Client::new(&world).await;
    client.watch_all().await;
    // One frame is spent on the subscription.
    for n in 0..119 {
        if n % 2 == 0 {
            client.socket.send(Message::Ping(vec![1].into())).await.unwrap();
        } else {
            client.send(json!({ "type": "ack", "view": ALL, "seq": 1 })).await;
        }
    }
    world.stir(1000, 1).await;
    let seq = world.seq().await;
    client.settle(ALL, seq).await;
    client.send(json!({ "type": "ack", "view": ALL, "seq": 1 })).await;
    assert_eq!(client.close_code().await, Some(4101));
    world.end(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_empty_fragments_are_counted_too() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    let first = Frame::message(vec![b' '], OpCode::Data(Data::Text), false);
    client.socket.send(Message::Frame(first)).await.unwrap();
    // A masked continuation without payload: six bytes that make no message.
    let empties = b"\x00\x80\x00\x00\x00\x00".repeat(10_000);
    for _ in 0..20 {
        if client.socket.get_mut().write_all(&empties).await.is_err() {
            break;
        }
    }
    assert!(matches!(client.close_code().await, Some(4101) | None), "closed, its last words maybe lost");
    while world.metric("stream_connections").await > 0 {
        tokio::task::yield_now().await;
    }
    world.end(client).await;
}
