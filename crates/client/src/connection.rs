//! One websocket: frames in, frames out, with a bound on everything that is kept for it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use hyper::header::{HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use ringfence_wire::CloseCode;
use ringfence_wire::client::ClientFrame;
use ringfence_wire::frame::{FrameError, SUBPROTOCOL_JSON};
use ringfence_wire::json;
use ringfence_wire::server::ServerFrame;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::error::ApiError;
use crate::http::chain;
use crate::server_url::ServerUrl;

/// Longest wait for the upgrade.
const UPGRADE_MAX: Duration = Duration::from_secs(10);
/// What one read takes at most; a busy account's deltas of a quarter second are some 20 KiB.
const READ_BUFFER_BYTES: usize = 32 << 10;
/// A client frame is at most 4 KiB, and is flushed at once.
const WRITE_BUFFER_BYTES: usize = 4 << 10;
/// Frames that could not be written yet; beyond it the connection is broken.
const WRITE_BUFFER_BYTES_MAX: usize = 64 << 10;
/// A folded delta after a long absence has the rows of a whole account; snapshots come in parts.
const FRAME_BYTES_MAX: usize = 32 << 20;

/// What a connection brought.
#[derive(Debug)]
pub(crate) enum Event {
    Frame(Box<ServerFrame>),
    /// Nothing until the deadline.
    Quiet,
    /// The server closed, with the code it gave.
    Closed {
        code: Option<CloseCode>,
        reason: String,
    },
    /// The transport failed, or what came was no frame.
    Broken(String),
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The same request will be refused again.
    ForGood {
        status: u16,
        detail: String,
    },
    ForNow {
        why: String,
        retry_after: Option<Duration>,
    },
}

#[derive(Debug)]
pub(crate) struct Connection {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Frames the socket has not taken yet: a wait that was dropped half-way loses none.
    outbox: VecDeque<ClientFrame>,
    unflushed: bool,
}

impl Connection {
    /// Upgrades with these headers.
    pub async fn open(
        server: &ServerUrl,
        path: &str,
        headers: impl Iterator<Item = (&'static str, String)>,
    ) -> Result<Self, Refused> {
        let request = request(server, path, headers).ok_or_else(|| Refused::ForGood {
            status: 0,
            detail: "the credential fits no header".to_owned(),
        })?;
        let mut config = WebSocketConfig::default();
        config.read_buffer_size = READ_BUFFER_BYTES;
        config.write_buffer_size = WRITE_BUFFER_BYTES;
        config.max_write_buffer_size = WRITE_BUFFER_BYTES_MAX;
        config.max_message_size = Some(FRAME_BYTES_MAX);
        config.max_frame_size = Some(FRAME_BYTES_MAX);
        let upgrade = connect_async_with_config(request, Some(config), true);
        match tokio::time::timeout(UPGRADE_MAX, upgrade).await {
            Ok(Ok((socket, _))) => Ok(Self { socket, outbox: VecDeque::new(), unflushed: false }),
            Ok(Err(error)) => Err(refused(&error)),
            Err(_) => {
                Err(Refused::ForNow { why: format!("no upgrade within {UPGRADE_MAX:?}"), retry_after: None })
            }
        }
    }

    pub fn send(&mut self, frame: ClientFrame) {
        self.outbox.push_back(frame);
    }

    /// The next thing that happens, until the deadline. Cancel safe.
    pub async fn next(&mut self, until: Instant) -> Event {
        loop {
            match tokio::time::timeout_at(until.into(), self.turn()).await {
                Ok(Some(event)) => return event,
                Ok(None) => {}
                Err(_) => return Event::Quiet,
            }
        }
    }

    async fn turn(&mut self) -> Option<Event> {
        if let Err(error) = self.write().await {
            return Some(Event::Broken(chain(&error)));
        }
        match self.socket.next().await {
            Some(Ok(message)) => read(message),
            Some(Err(error)) => Some(Event::Broken(chain(&error))),
            None => Some(Event::Closed { code: None, reason: String::new() }),
        }
    }

    async fn write(&mut self) -> Result<(), Error> {
        while let Some(frame) = self.outbox.front() {
            let text = String::from_utf8(json::encode_client(frame)).unwrap_or_default();
            // From here to the next await the frame is the socket's.
            self.socket.feed(Message::text(text)).await?;
            self.outbox.pop_front();
            self.unflushed = true;
        }
        if self.unflushed {
            self.socket.flush().await?;
            self.unflushed = false;
        }
        Ok(())
    }
}

fn read(message: Message) -> Option<Event> {
    let bytes = match message {
        Message::Text(text) => bytes::Bytes::from(text),
        Message::Binary(bytes) => bytes,
        Message::Close(frame) => {
            let code = frame.as_ref().and_then(|frame| CloseCode::parse(frame.code.into()).ok());
            let reason = frame.map(|frame| frame.reason.to_string()).unwrap_or_default();
            return Some(Event::Closed { code, reason });
        }
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return None,
    };
    match json::decode_server(&bytes) {
        Ok(frame) => Some(Event::Frame(Box::new(frame))),
        // A newer server may say more than this client knows.
        Err(FrameError::UnknownType { .. }) => None,
        Err(error) => Some(Event::Broken(error.to_string())),
    }
}

fn request(
    server: &ServerUrl,
    path: &str,
    headers: impl Iterator<Item = (&'static str, String)>,
) -> Option<Request> {
    let mut request = server.websocket(path)?.into_client_request().ok()?;
    let protocol = HeaderValue::from_static(SUBPROTOCOL_JSON);
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    for (name, value) in headers {
        request.headers_mut().insert(name, HeaderValue::from_str(&value).ok()?);
    }
    Some(request)
}

fn refused(error: &Error) -> Refused {
    if let Error::Http(response) = error {
        return refused_by_server(response);
    }
    Refused::ForNow { why: chain(error), retry_after: None }
}

fn refused_by_server(response: &Response) -> Refused {
    let status = response.status().as_u16();
    let body = response.body().as_deref().unwrap_or_default();
    let problem = ApiError::problem(status, body);
    if response.status().is_client_error() && !problem.is_passing() {
        return Refused::ForGood { status, detail: problem.to_string() };
    }
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Refused::ForNow { why: problem.to_string(), retry_after: seconds.map(Duration::from_secs) }
}
