//! Listens, accepts, serves, and stops without cutting anybody off.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ringfence::Engine;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::auth::{NoRandom, mint_secret};
use crate::config::ServerConfig;
use crate::connection::{Connections, Seat};
use crate::gate::{Answered, Peer, RequestId};
use crate::metrics::TurnedAway;
use crate::puller;
use crate::state::App;

/// Connections the kernel holds until they are accepted: all phones of a centre come back at once.
const BACKLOG: i32 = 4096;
/// When accepting fails the process is short of something; to try at once would only burn what is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest request id taken over from a caller.
const REQUEST_ID_MAX: usize = 64;
/// Said to those there is no room for, without reading what they want.
const NO_ROOM: &str = r#"{"type":"urn:ringfence:problem:too_many_connections","title":"Too many connections","status":503,"code":"too_many_connections","detail":"the server, or this address, has as many connections as it may","retry_after_sec":5}"#;

/// Why a server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {addr}: {source}")]
    Listen { addr: SocketAddr, source: io::Error },
    #[error(
        "{addr} can be reached from elsewhere, and there is no key yet: make one first (`ringfence key create`), or \
         listen on 127.0.0.1"
    )]
    PublicWithoutKey { addr: SocketAddr },
    #[error("the development key is empty; leave it out and one is made")]
    EmptyDevKey,
    #[error("the system gives no random numbers")]
    NoRandom,
}

impl From<NoRandom> for ServeError {
    fn from(_: NoRandom) -> Self {
        Self::NoRandom
    }
}

/// The HTTP server.
#[derive(Debug)]
pub struct Server;

/// A server that listens and does not answer yet.
pub struct Bound {
    listener: TcpListener,
    addr: SocketAddr,
    dev_key: Option<String>,
    app: Arc<App>,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Bound").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Server {
    /// Listens. Must be called within a tokio runtime. The engine stays the caller's to shut down, after [`Bound::run`].
    pub fn bind(engine: Engine, config: ServerConfig) -> Result<Bound, ServeError> {
        let dev_key = match (config.dev, config.dev_key.clone()) {
            (true, Some(given)) if given.trim().is_empty() => return Err(ServeError::EmptyDevKey),
            (true, Some(given)) => Some(given),
            (true, None) => Some(mint_secret("sk_dev_")?),
            (false, _) => None,
        };
        let (asked, given) = (config.listen, config.dev && config.dev_key.is_some());
        let app = Arc::new(App::new(engine, config, dev_key.as_deref())?);
        if !asked.ip().to_canonical().is_loopback() && !given && app.keys.len() == 0 {
            return Err(ServeError::PublicWithoutKey { addr: asked });
        }
        let listen = |source| ServeError::Listen { addr: asked, source };
        let listener = listen_on(asked).map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        Ok(Bound { listener, addr, dev_key, app })
    }
}

fn listen_on(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted server takes its port back from connections that are still going away.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// What connections are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Finish the request under way.
    Draining,
    /// Time is up.
    Closing,
}

impl Bound {
    /// Where it listens; of port 0, the port it was given.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The development key, given or minted.
    pub fn dev_key(&self) -> Option<&str> {
        self.dev_key.as_deref()
    }

    /// Serves until `shutdown`; then accepts nobody, says goodbye to streams, and lets requests finish.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let Self { listener, app, .. } = self;
        let (phase, _) = watch::channel(Phase::Serving);
        let mut pullers = puller::start(&app);
        let router = crate::routes::router(&app);
        let connections = Arc::new(Connections::default());
        tokio::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => match connections.seat(&app, peer.ip()) {
                    Ok(seat) => {
                        let served =
                            serve(Arc::clone(&app), router.clone(), stream, peer, seat, phase.subscribe());
                        tokio::spawn(served);
                    }
                    Err(why) => turn_away(&app, &stream, why),
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        pullers.abort_all();
        app.streams.drain().await;
        drain(&phase, Duration::from_millis(app.config.limits.drain_ms)).await;
        Ok(())
    }
}

/// Waits until every connection has ended, and ends those that do not.
async fn drain(phase: &watch::Sender<Phase>, patience: Duration) {
    phase.send_replace(Phase::Draining);
    if tokio::time::timeout(patience, phase.closed()).await.is_err() {
        tracing::warn!(left = phase.receiver_count(), "connections that did not finish are closed");
        phase.send_replace(Phase::Closing);
        phase.closed().await;
    }
}

fn turn_away(app: &App, stream: &TcpStream, why: TurnedAway) {
    app.metrics.turned_away(why);
    tracing::debug!(?why, "a connection is turned away");
    let length = NO_ROOM.len();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\n\
         content-type: application/problem+json\r\ncontent-length: {length}\r\n\r\n{NO_ROOM}"
    );
    // Best effort: it is not worth waiting for somebody there is no room for.
    let _ = SockRef::from(stream).send(answer.as_bytes());
}

async fn serve(
    app: Arc<App>,
    router: Router,
    stream: TcpStream,
    peer: SocketAddr,
    seat: Seat,
    mut phase: watch::Receiver<Phase>,
) {
    // Answers are small and written at once; to gather them would only delay them.
    let _ = stream.set_nodelay(true);
    let limits = &app.config.limits;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.head_ms))
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(MIN_BUFFER))
        .max_headers(limits.headers);
    let service = TowerToHyperService::new(router);
    let answer = service_fn(|request| answer(&app, &service, peer, &seat, request));
    let connection = http.serve_connection(TokioIo::new(stream), answer).with_upgrades();
    tokio::pin!(connection);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::trace!(%error, "a connection ended");
                }
                return;
            }
            changed = phase.changed() => {
                let now = *phase.borrow_and_update();
                match (changed, now) {
                    (Ok(()), Phase::Serving) => {}
                    (Ok(()), Phase::Draining) => connection.as_mut().graceful_shutdown(),
                    (Ok(()), Phase::Closing) | (Err(_), _) => return,
                }
            }
        }
    }
}

/// hyper takes no smaller buffer.
const MIN_BUFFER: usize = 8 * 1024;

async fn answer(
    app: &Arc<App>,
    service: &TowerToHyperService<Router>,
    peer: SocketAddr,
    seat: &Seat,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut request = request.map(Body::new);
    let given = request.headers().get("x-request-id").and_then(|id| id.to_str().ok());
    let id: Arc<str> = match given.filter(|id| is_request_id(id)) {
        Some(id) => Arc::from(id),
        None => Arc::from(app.mint_request_id()),
    };
    let method = known_method(request.method());
    let extensions = request.extensions_mut();
    extensions.insert(RequestId(Arc::clone(&id)));
    extensions.insert(Peer(peer));
    extensions.insert(seat.clone());
    let mut response = service.call(request).await?;
    if let Ok(id) = HeaderValue::try_from(&*id) {
        response.headers_mut().insert("x-request-id", id);
    }
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let route = response.extensions().get::<Answered>().map_or("unknown", |route| route.0);
    app.metrics.answered(route, method, response.status().as_u16());
    Ok(response)
}

/// A caller's own id, if it can stand in a header and a log.
fn is_request_id(id: &str) -> bool {
    (1..=REQUEST_ID_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// Methods are a label; what callers make up is not.
fn known_method(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        _ => "other",
    }
}
