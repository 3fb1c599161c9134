//! A stream client that stays: it connects again whenever its server is gone, resumes by (epoch, seq), and keeps every
//! frame. It has no backoff, so that a test sees at once what a patient client would see later.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use ringfence_core::row::View;
use ringfence_wire::frame::SUBPROTOCOL_JSON;
use ringfence_wire::json;
use ringfence_wire::{ClientFrame, Profile, RateClass, ViewSpec};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::history::History;
use super::serve::DEV_KEY;
use super::{DEADLINE, pause};

/// The shortest a client may ask for.
const HEARTBEAT_MS: u32 = 1_000;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub struct Watcher {
    history: Arc<Mutex<History>>,
    changed: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

struct Client {
    server: SocketAddr,
    account: String,
    history: Arc<Mutex<History>>,
    change: watch::Sender<u64>,
    subscriptions: u64,
}

impl Watcher {
    /// Watches the whole account, at once and in the clear, as the development key.
    pub fn start(server: SocketAddr, account: &str) -> Self {
        let view = ViewSpec { view: View::Account, profile: Profile::Full };
        let history = Arc::new(Mutex::new(History::new(view)));
        let (change, changed) = watch::channel(0);
        let account = account.to_owned();
        let client = Client { server, account, history: Arc::clone(&history), change, subscriptions: 0 };
        Self { history, changed, task: tokio::spawn(client.run()) }
    }

    pub fn history(&self) -> MutexGuard<'_, History> {
        lock(&self.history)
    }

    /// Waits until `look`, asked after every frame, finds something. What it says instead is told when time is up.
    pub async fn until<T>(&self, what: &str, mut look: impl FnMut(&History) -> Result<T, String>) -> T {
        let (begun, mut changed) = (Instant::now(), self.changed.clone());
        loop {
            changed.mark_unchanged();
            let instead = match look(&self.history()) {
                Ok(found) => return found,
                Err(instead) => instead,
            };
            let left = DEADLINE.saturating_sub(begun.elapsed());
            if self.task.is_finished() || tokio::time::timeout(left, changed.changed()).await.is_err() {
                let faults = self.history().rules.faults().join("\n");
                panic!("not on the stream within {DEADLINE:?}: {what}; instead: {instead}\n{faults}");
            }
        }
    }

    /// Waits for the next frame, or for so long.
    pub async fn frame(&self, at_most: Duration) {
        let mut changed = self.changed.clone();
        changed.mark_unchanged();
        _ = tokio::time::timeout(at_most, changed.changed()).await;
    }

    /// Every frame kept to the rules, and the client never had to ask for anything twice.
    pub fn assert_clean(&self) {
        let history = self.history();
        let faults = history.rules.faults();
        assert!(
            faults.is_empty(),
            "{} faults on the stream, the first:\n{}",
            faults.len(),
            faults[..faults.len().min(10)].join("\n")
        );
        let counters = history.board.counters();
        assert_eq!((counters.resyncs, counters.hash_mismatches), (0, 0), "{counters:?}");
        assert!(!self.task.is_finished(), "the stream client ended");
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A test that failed while it looked does not make the next look fail.
fn lock(history: &Mutex<History>) -> MutexGuard<'_, History> {
    history.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Client {
    async fn run(mut self) {
        loop {
            match self.connect().await {
                Ok(socket) => self.read(socket).await,
                Err(_) => pause().await,
            }
        }
    }

    async fn connect(&self) -> Result<Socket, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let url = format!("ws://{}/v1/stream", self.server);
        let mut request = url.into_client_request().map_err(|error| text(&error))?;
        let values = [
            ("sec-websocket-protocol", SUBPROTOCOL_JSON.to_owned()),
            ("authorization", format!("Bearer {DEV_KEY}")),
            ("x-account-id", self.account.clone()),
        ];
        for (name, value) in values {
            request.headers_mut().insert(name, value.parse().expect("a header's value"));
        }
        let upgrade = tokio_tungstenite::connect_async(request);
        match tokio::time::timeout(DEADLINE, upgrade).await {
            Ok(Ok((socket, _))) => Ok(socket),
            Ok(Err(error)) => Err(text(&error)),
            Err(elapsed) => Err(text(&elapsed)),
        }
    }

    async fn read(&mut self, mut socket: Socket) {
        self.subscriptions += 1;
        let subscribe = {
            let mut history = lock(&self.history);
            history.rules.connected();
            history.board.subscribe(self.subscriptions, RateClass::AtOnce, Some(HEARTBEAT_MS))
        };
        if send(&mut socket, &subscribe).await.is_err() {
            return;
        }
        while let Some(Ok(message)) = socket.next().await {
            let text = match message {
                Message::Text(text) => text,
                Message::Ping(_) | Message::Pong(_) => continue,
                Message::Binary(_) | Message::Frame(_) => {
                    return lock(&self.history).rules.fault("a frame that is not text");
                }
                Message::Close(_) => return,
            };
            let answer = match json::decode_server(text.as_bytes()) {
                Ok(frame) => lock(&self.history).take(frame),
                Err(error) => return lock(&self.history).rules.fault(format!("{error}: {text}")),
            };
            self.change.send_modify(|frames| *frames += 1);
            if let Some(answer) = answer
                && send(&mut socket, &answer).await.is_err()
            {
                return;
            }
        }
    }
}

async fn send(socket: &mut Socket, frame: &ClientFrame) -> Result<(), ()> {
    let text = String::from_utf8(json::encode_client(frame)).expect("a frame is text");
    socket.send(Message::text(text)).await.map_err(drop)
}
