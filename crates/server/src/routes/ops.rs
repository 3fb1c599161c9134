//! What operators and their machines ask: is it up, is it ready, which version, how much of what. And the way to the
//! stream.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use crate::auth::bearer;
use crate::call;
use crate::gate::{Peer, refuse, request_id};
use crate::metrics::{self, Page};
use crate::problem::Problem;
use crate::state::App;

const INDEX: &str = "\
ringfence: who can take this call right now?

  POST /v1/agents/{id}/events      login, logout, available, pause, unpause, end_wrap_up, extend_wrap_up
  GET  /v1/presence                the whole roster, live
  GET  /v1/agents/{id}/presence    one agent; /eligibility says why no call comes
  POST /v1/queues/{id}/reserve     the next agent for a call; POST /v1/agents/{id}/reserve for this one
  POST /v1/offers/{id}/answer      … ringing reject busy no-answer failed cancel extend
  POST /v1/calls/{id}/end
  POST /v1/registrar/events        registrations; PUT /v1/registrar/snapshot, POST /v1/calls/events
  PUT  /v1/agents/{id}  /v1/queues/{id}  /v1/pause-reasons/{id}  /v1/settings
  GET  /v1/agents  /v1/queues  /v1/pause-reasons      in pages
  POST /v1/tickets                 then GET /v1/stream, a websocket or text/event-stream
  GET  /v1/whoami  /v1/keys
  POST /agent  GET /agent  GET /presence  POST /presence/event      as sip.io has them
  GET  /wallboard                  for people
  GET  /livez  /readyz  /version  /metrics
";

pub(super) fn index() -> Response<Body> {
    text("text/plain; charset=utf-8", INDEX)
}

pub(super) fn livez() -> Response<Body> {
    text("text/plain; charset=utf-8", "ok\n")
}

pub(super) fn readyz(app: &App, request: &Request) -> Response<Body> {
    match app.engine.ready() {
        Ok(()) => text("text/plain; charset=utf-8", "ready\n"),
        Err(why) => {
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", why).retry_after(1);
            refuse(app, problem, &request_id(request.extensions()))
        }
    }
}

pub(super) fn version(app: &App, request: &Request) -> Response<Body> {
    let document = json!({
        "name": "ringfence",
        "version": env!("CARGO_PKG_VERSION"),
        "node": app.config.node,
        "term": app.engine.term().to_string(),
    });
    let id = request_id(request.extensions());
    call::ok(&document).unwrap_or_else(|problem| refuse(app, problem, &id))
}

/// The page names no account, yet says how much goes on: this machine may read it, others with any key.
pub(super) fn metrics(app: &App, request: &Request) -> Response<Body> {
    let local = peer(request).is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    let known = || bearer(request.headers()).and_then(|secret| app.keys.find(secret, app.now()));
    if !local && known().is_none() {
        let problem =
            Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "a key is needed from elsewhere")
                .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return refuse(app, problem, &request_id(request.extensions()));
    }
    let mut page = Page::new();
    metrics::engine(&mut page, &app.engine);
    metrics::server(&mut page, &app.metrics, app.tickets.open());
    metrics::streams(&mut page, &app.streams);
    let mut response = Response::new(Body::from(page.finish()));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Hands a request for a stream over.
pub(super) async fn stream(app: Arc<App>, request: Request) -> Response<Body> {
    let id = request_id(request.extensions());
    match peer(&request) {
        Some(peer) => crate::stream::upgrade(app, peer, request).await,
        None => refuse(&app, Problem::internal("no peer address"), &id),
    }
}

fn peer(request: &Request) -> Option<SocketAddr> {
    request.extensions().get::<Peer>().map(|peer| peer.0)
}

fn text(kind: &'static str, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
