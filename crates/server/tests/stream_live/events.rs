#![cfg(test)]
//! The same stream as server-sent events.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use serde_json::Value;

use crate::table::Table;
use crate::world::{DEV_KEY, PATIENCE, World};

struct Listener {
    stream: BufReader<TcpStream>,
    table: Table,
    last_id: Option<String>,
    /// Of the chunk being read.
    pending: Vec<u8>,
}

#[derive(Debug, Default)]
struct Event {
    name: String,
    id: Option<String>,
    data: Value,
}

impl Listener {
    async fn open(world: &World, query: &str, last_id: Option<&str>, table: Table) -> Result<Self, u16> {
        let mut stream = BufReader::new(TcpStream::connect(world.addr).await.unwrap());
        let resume = last_id.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        let request = format!(
            "GET /v1/stream{query} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {DEV_KEY}\r\n\
             accept: text/event-stream\r\n{resume}\r\n",
            world.addr
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut status = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            if status == 0 {
                status = line.split(' ').nth(1).unwrap().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        if status != 200 {
            return Err(status);
        }
        Ok(Self { stream, table, last_id: None, pending: Vec::new() })
    }

    /// The next event; None at the end of the stream.
    async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.pending.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.pending.drain(..end + 2).collect();
                return Some(self.take(std::str::from_utf8(&event).unwrap()));
            }
            let mut length = String::new();
            let read =
                timeout(PATIENCE, self.stream.read_line(&mut length)).await.expect("an event comes").unwrap();
            let length = if read == 0 { 0 } else { usize::from_str_radix(length.trim(), 16).unwrap() };
            if length == 0 {
                return None;
            }
            let mut chunk = vec![0; length + 2];
            self.stream.read_exact(&mut chunk).await.unwrap();
            self.pending.extend_from_slice(&chunk[..length]);
        }
    }

    fn take(&mut self, text: &str) -> Event {
        let mut event = Event::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            match line.split_once(": ").unwrap() {
                ("event", name) => event.name = name.to_owned(),
                ("id", id) => event.id = Some(id.to_owned()),
                ("data", data) => event.data = serde_json::from_str(data).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(event.data["type"], event.name.as_str());
        let resumable = event.name == "delta" || (event.name == "snapshot" && event.data["last"] == true);
        assert_eq!(event.id.is_some(), resumable, "{text}");
        if matches!(event.name.as_str(), "delta" | "snapshot" | "reset") {
            self.table.take(&event.data).unwrap();
        }
        if event.name == "heartbeat" {
            self.table.beat(&event.data["views"][0]).unwrap();
        }
        if let Some(id) = &event.id {
            self.last_id = Some(id.clone());
        }
        event
    }

    async fn until(&mut self, name: &str) -> Event {
        loop {
            let event = self.event().await.expect("the stream goes on");
            if event.name == name {
                return event;
            }
        }
    }

    async fn settle(&mut self, seq: u64) {
        while self.table.seen.snapshots == 0 || self.table.seq < seq {
            self.event().await.expect("the stream goes on");
        }
    }
}

const QUERY: &str = "?view=account;full&class=0&heartbeat_ms=1000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_stream_resumes_by_its_last_event() {
    let world = World::new().await;
    world.staff(150).await;
    let mut listener = Listener::open(&world, QUERY, None, Table::default()).await.unwrap();
    assert_eq!(listener.event().await.unwrap().name, "hello");
    let subscribed = listener.event().await.unwrap();
    assert_eq!((subscribed.name.as_str(), &subscribed.data["how"]), ("subscribed", &"snapshot".into()));
    listener.settle(0).await;
    world.stir(1001, 3).await;
    let seq = world.seq().await;
    listener.settle(seq).await;
    listener.until("heartbeat").await;
    assert!(
        listener.table.seen.snapshots == 1
            && listener.last_id.as_deref() == Some(&*format!("{}:{seq}", listener.table.epoch))
    );

    let Listener { table, last_id, .. } = listener;
    world.stir(1002, 3).await;
    let seq = world.seq().await;
    let mut again = Listener::open(&world, QUERY, last_id.as_deref(), table).await.unwrap();
    again.settle(seq).await;
    assert_eq!(again.table.seen.snapshots, 1, "gone on where it was");
    let presence = world.presence().await;
    let rows = presence["agents"].as_array().unwrap().iter();
    assert!(rows.zip(again.table.agents.values()).all(|(server, ours)| server == ours));

    let foreign = Listener::open(&world, QUERY, Some("7:1"), again.table.clone()).await;
    assert_eq!(foreign.unwrap().until("reset").await.data["view"], "account;full");
    world.end(again).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_event_stream_cannot_be_is_said_with_a_status() {
    let world = World::new().await;
    for (query, last_id, status) in [
        ("?view=nothing", None, 400),
        ("?class=7", None, 400),
        ("", Some("yesterday"), 400),
        ("?account=other&colour=red", None, 400),
    ] {
        let refused = Listener::open(&world, query, last_id, Table::default()).await.err();
        assert_eq!(refused, Some(status), "{query} {last_id:?}");
    }
    world.end(()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_stream_ends_with_a_goodbye() {
    let world = World::new().await;
    let mut listener = Listener::open(&world, QUERY, None, Table::default()).await.unwrap();
    listener.until("subscribed").await;
    let stopping = world.stop();
    assert_eq!(listener.until("bye").await.data["code"], 4200);
    assert!(listener.event().await.is_none());
    stopping.end().await;
}
