#![cfg(test)]
//! The stream against a server that follows a script.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::header::HeaderValue;
use ringfence_core::Time;
use ringfence_core::bucket::BucketCounts;
use ringfence_core::row::{QueueRow, ServiceLevel, row_hash};
use ringfence_wire::client::{ClientFrame, Subscribe};
use ringfence_wire::frame::{RequestId, Resume, SUBPROTOCOL_JSON};
use ringfence_wire::server::{
    Bye, Heartbeat, Hello, How, Limits, ServerFrame, Snapshot, SnapshotEnd, Subscribed, ViewBeat,
};
use ringfence_wire::{CloseCode, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::stream::{Stream, StreamOptions, Update};
use crate::{Api, Credential};

/// Short, so that silence is soon news; far above what a frame takes.
const HEARTBEAT_MS: u32 = 100;
const DEADLINE: Duration = Duration::from_secs(20);
const AT: Resume = Resume { epoch: 7, seq: 12 };

struct Script {
    listener: TcpListener,
}

struct Socket(WebSocketStream<TcpStream>);

impl Script {
    async fn start() -> (Self, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = Api::new(listener.local_addr().unwrap().into(), Credential::new("sk_test"));
        let stream = Stream::new(api, StreamOptions::new("account".parse().unwrap()));
        (Self { listener }, stream)
    }

    /// The next connection, and what it subscribes to.
    async fn accept(&self) -> (Socket, Subscribe) {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_hdr_async(stream, agree).await.unwrap();
        let message = socket.next().await.unwrap().unwrap();
        let frame = json::decode_client(message.into_data().as_ref()).unwrap();
        let ClientFrame::Subscribe(subscribe) = frame else { panic!("not a subscription: {frame:?}") };
        (Socket(socket), subscribe)
    }

    /// The next connection, answered without an upgrade.
    async fn refuse(&self, head: &str) {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(head.as_bytes()).await.unwrap();
    }
}

/// The subprotocol that was offered is the one spoken.
#[allow(clippy::result_large_err, reason = "the shape tungstenite asks for")]
fn agree(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL_JSON));
    Ok(response)
}

impl Socket {
    async fn send(&mut self, frame: ServerFrame) {
        let text = String::from_utf8(json::encode(&frame)).unwrap();
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn greet(&mut self, subscribe: &Subscribe, how: How) {
        let text = || "test".to_owned();
        self.send(ServerFrame::Hello(Hello {
            session: text(),
            node: text(),
            now: Time::ZERO,
            heartbeat_ms: HEARTBEAT_MS,
            limits: Limits::default(),
            build: text(),
        }))
        .await;
        let (id, view) = (subscribe.id.clone(), subscribe.view.to_string());
        self.send(ServerFrame::Subscribed(Subscribed { id, view, epoch: AT.epoch, seq: AT.seq, how })).await;
    }

    async fn send_everything(&mut self) {
        let row = QueueRow {
            queue_id: "sales".parse().unwrap(),
            seq: 3,
            waiting: 0,
            oldest_since: None,
            ready: 2,
            service_level: ServiceLevel::default(),
        };
        let counts = BucketCounts::default();
        let end =
            SnapshotEnd { tiles: counts.tiles(), buckets: counts, count: 1, hash: row_hash("sales", 3) };
        self.send(ServerFrame::Snapshot(Snapshot {
            view: "account".to_owned(),
            epoch: AT.epoch,
            seq: AT.seq,
            part: 0,
            agents: Vec::new(),
            queues: vec![row.into()],
            end: Some(end),
        }))
        .await;
    }

    async fn beat(&mut self) {
        let beat = ViewBeat { view: "account".to_owned(), seq: AT.seq, hash: Some(row_hash("sales", 3)) };
        self.send(ServerFrame::Heartbeat(Heartbeat { now: Time::ZERO, views: vec![beat] })).await;
    }

    async fn close(mut self, code: CloseCode) {
        let frame = CloseFrame { code: code.code().into(), reason: code.reason().into() };
        self.0.close(Some(frame)).await.unwrap();
        // Until the other side has said goodbye too.
        while let Some(Ok(_)) = self.0.next().await {}
    }
}

/// The updates up to and with the first that `is`.
async fn until(stream: &mut Stream, is: impl Fn(&Update) -> bool) -> Vec<Update> {
    let mut updates = Vec::new();
    let all = async {
        loop {
            let update = stream.next().await.expect("it is not over");
            updates.push(update);
            if updates.last().is_some_and(&is) {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, all).await.expect("in time");
    updates
}

fn is_offline(update: &Update) -> bool {
    matches!(update, Update::Offline { .. })
}

#[tokio::test]
async fn silence_is_stale_then_offline_and_the_next_connection_goes_on() {
    let (script, mut stream) = Script::start().await;
    let server = tokio::spawn(async move {
        let (mut first, subscribe) = script.accept().await;
        assert_eq!((&subscribe.id, subscribe.since), (&RequestId::Number(1), None));
        first.greet(&subscribe, How::Snapshot).await;
        first.send_everything().await;
        first.beat().await;
        // And says nothing more, while the next one is asked for.
        let (mut second, subscribe) = script.accept().await;
        assert_eq!((&subscribe.id, subscribe.since), (&RequestId::Number(2), Some(AT)));
        second.greet(&subscribe, How::Live).await;
        second.beat().await;
        drop(first);
        second
    });
    let updates = until(&mut stream, is_offline).await;
    let kinds: Vec<&str> = updates.iter().map(kind).collect();
    assert_eq!(kinds, ["connected", "changed", "beat", "stale", "offline"]);
    assert_eq!(stream.board().table().queues().len(), 1, "the rows of the last moment");
    let updates = until(&mut stream, |update| *update == Update::Beat).await;
    assert_eq!(updates, [Update::Connected, Update::Beat]);
    assert_eq!(stream.board().counters().snapshots, 1, "nothing was sent twice");
    drop(server.await.unwrap());
}

fn kind(update: &Update) -> &'static str {
    match update {
        Update::Connected => "connected",
        Update::Changed(_) => "changed",
        Update::Beat => "beat",
        Update::Stale => "stale",
        Update::Offline { .. } => "offline",
    }
}

#[tokio::test]
async fn the_range_of_a_close_code_says_when_to_come_back() {
    let (script, mut stream) = Script::start().await;
    let server = tokio::spawn(async move {
        let (mut draining, subscribe) = script.accept().await;
        draining.greet(&subscribe, How::Snapshot).await;
        draining.send(ServerFrame::Bye(Bye { code: CloseCode::Draining, retry_ms: [40, 60] })).await;
        draining.close(CloseCode::Draining).await;
        let (forbidding, _) = script.accept().await;
        forbidding.close(CloseCode::Forbidden).await;
    });
    let updates = until(&mut stream, is_offline).await;
    let Some(Update::Offline { why, retry_in: Some(wait) }) = updates.last() else { panic!("{updates:?}") };
    assert!(why.contains("4200") && (40..60).contains(&wait.as_millis()), "{why} {wait:?}");
    let updates = until(&mut stream, is_offline).await;
    let Some(Update::Offline { why, retry_in: None }) = updates.last() else { panic!("{updates:?}") };
    assert!(why.contains("4003"), "{why}");
    assert_eq!(stream.next().await, None);
    server.await.unwrap();
}

#[tokio::test]
async fn a_refused_upgrade_is_final_unless_it_passes() {
    let (script, mut stream) = Script::start().await;
    let server = tokio::spawn(async move {
        script
            .refuse("HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n")
            .await;
        script.refuse("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
    });
    let updates = until(&mut stream, is_offline).await;
    let Some(Update::Offline { retry_in: Some(wait), .. }) = updates.last() else { panic!("{updates:?}") };
    assert!(wait.as_millis() >= 1000, "{wait:?}");
    let updates = until(&mut stream, is_offline).await;
    assert!(matches!(updates.last(), Some(Update::Offline { retry_in: None, .. })), "{updates:?}");
    server.await.unwrap();
}
