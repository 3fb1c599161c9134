//! The delta stream: websockets and event streams that show an account's rows as they change.
//!
//! A [`Hub`] keeps one channel per view, profile, rate class and encoding, from its first subscriber to its last. A
//! channel asks the account what changed since its boundary, encodes that once, keeps the bytes in a ring, and rings
//! its subscribers' bells. A connection has a cursor per view and nothing queued: when its bell rings it is sent the
//! ring's bytes beyond its cursor; when it has fallen behind the ring, one folded delta to the head, shared with
//! others about as far behind; when not even that can be made, a snapshot. To join, to resume and to be slow differ by
//! the cursor alone.
//!
//! Read in this order: `frame`, `ring`, `image` (what is sent), `channel`, `hub` (who makes it), `session` (where one
//! reader stands), `connection` with `command` and `socket`, `events` (what carries it), `admit`, `roll` (who may come,
//! and who has to go).
//!
//! A listener that hands out plain `TokioIo<TcpStream>`s lets the socket's buffers be kept small once it is upgraded;
//! around anything else (TLS), `SO_SNDBUF` and `TCP_NOTSENT_LOWAT` are to be set where it is accepted.

mod bell;
mod counters;
mod frame;

mod encode;
mod image;
mod ring;

mod channel;
mod hub;

mod session;

mod command;
mod connection;
mod events;
mod io;
mod socket;

mod admit;
mod roll;

#[cfg(test)]
mod state_test;
#[cfg(test)]
#[path = "../tests/stream_live/table.rs"]
mod table;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Response, StatusCode, header};
use ringfence::Engine;
use ringfence_wire::frame::SUBPROTOCOL_JSON;

use admit::{Admitted, Carrier, Events};
use bell::Bell;
use connection::{Connection, Opened};
pub(crate) use counters::StreamCounters;
use counters::{Counters, count};
use events::EventStream;
use hub::Hub;
use ring::RINGS_BYTES_MAX;
use roll::{Enrolled, NotEnrolled, Roll};
use session::{NoSubscription, Session};

use crate::auth::Principal;
use crate::config::ServerConfig;
use crate::gate::{refuse, request_id};
use crate::problem::Problem;
use crate::state::App;

/// All streams of a server.
pub(crate) struct Streams {
    hub: Arc<Hub>,
    roll: Arc<Roll>,
    counters: Arc<Counters>,
    heartbeat_ms: u32,
    /// Without a byte of progress for this long a client has stalled.
    stall: Duration,
    drain: Duration,
}

impl Streams {
    pub(crate) fn new(engine: &Engine, config: &ServerConfig) -> Self {
        let counters = Arc::new(Counters::default());
        Self {
            hub: Arc::new(Hub::new(engine, Arc::clone(&counters), RINGS_BYTES_MAX)),
            roll: Arc::default(),
            counters,
            heartbeat_ms: u32::try_from(config.heartbeat_ms).unwrap_or(u32::MAX),
            stall: Duration::from_millis(config.limits.stall_ms),
            drain: Duration::from_millis(config.limits.drain_ms),
        }
    }

    /// Says goodbye to every client, each with a window of its own to come back in, and waits until they are gone. New
    /// ones are refused from here on.
    pub(crate) async fn drain(&self) {
        self.roll.drain(self.drain).await;
    }

    pub(crate) fn draining(&self) -> bool {
        self.roll.draining()
    }

    pub(crate) fn counters(&self) -> StreamCounters {
        self.hub.read_counters()
    }

    fn enroll(
        &self,
        app: &Arc<App>,
        principal: Principal,
        bell: &Arc<Bell>,
    ) -> Result<Enrolled, NotEnrolled> {
        self.roll.watch_keys(app);
        self.roll.enroll(principal, bell)
    }
}

/// Answers `GET /v1/stream`: with the switch to a websocket, with an event stream, or with a problem.
pub(crate) async fn upgrade(app: Arc<App>, peer: SocketAddr, request: Request) -> Response<Body> {
    let id = request_id(request.extensions());
    let (parts, body) = request.into_parts();
    let admitted = match admit::admit(&app, &parts) {
        Ok(admitted) => admitted,
        Err(problem) => {
            count(&app.streams.counters.refused);
            return refuse(&app, problem, &id);
        }
    };
    count(&app.streams.counters.accepted);
    tracing::debug!(%peer, key = &*admitted.principal.key_id, "a stream is opened");
    let Admitted { carrier, principal, account, heartbeat_ms, bell, enrolled, handshake, seat } = admitted;
    let heartbeat_ms = heartbeat_ms.unwrap_or(app.streams.heartbeat_ms);
    let session = Session::new(&app.streams.hub, account, Arc::clone(&bell), heartbeat_ms);
    let hello = session.hello(&id, &app.config.node);
    match carrier {
        Carrier::Events(events) => {
            let stream = EventStream { session, bell, enrolled, stall: app.streams.stall };
            open_events(stream, *events, hello).await.unwrap_or_else(|problem| refuse(&app, problem, &id))
        }
        Carrier::WebSocket { accept, offered } => {
            let upgrade = hyper::upgrade::on(Request::from_parts(parts, body));
            let connection = Connection::new(Opened { app, principal, enrolled, session, bell, seat });
            tokio::spawn(async move {
                // Fails when the client is gone before the switch.
                let Ok(upgraded) = upgrade.await else { return };
                drop(handshake);
                connection.serve(upgraded, hello).await;
            });
            switch(accept, offered)
        }
    }
}

async fn open_events(
    mut stream: EventStream,
    events: Events,
    hello: frame::Frame,
) -> Result<Response<Body>, Problem> {
    let Events { view, class, since } = events;
    let begun = stream.session.subscribe(view, class, since.map(command::cursor)).await;
    let begun = begun.map_err(|why| match why {
        NoSubscription::Account(error) => Problem::from(error),
        NoSubscription::Overloaded | NoSubscription::Twice | NoSubscription::TooMany => {
            Problem::overloaded(why.to_string())
        }
    })?;
    Ok(stream.respond(hello, &begun))
}

fn switch(accept: HeaderValue, offered: bool) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if offered {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL_JSON));
    }
    response
}
