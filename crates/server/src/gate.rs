//! What every request passes before its handler: credential, scope, account, rate, body. One place, so that no route can
//! forget one.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use futures_util::FutureExt;
use tracing::Instrument;

use crate::auth::{Principal, Scope, bearer};
use crate::call::{Answer, Call, header_account, resolve};
use crate::json::Nothing;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate::{RateClass, Verdict};
use crate::repeat::{self, Begun, Name};
use crate::state::App;

/// What a route asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gate {
    pub method: &'static str,
    pub path: &'static str,
    /// Any of these; none: any credential will do.
    pub scopes: &'static [Scope],
    /// Parameters of the query; any other is refused.
    pub query: &'static [&'static str],
    pub rate: RateClass,
    pub body: BodyMax,
    pub dialect: Dialect,
}

/// Which limit of the configuration bounds the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyMax {
    Usual,
    Feed,
    Snapshot,
}

/// Whose calls a route understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Native,
    /// sip.io's calls name their account themselves and, on a development server, need no credential.
    SipIo,
}

/// Id of a request, in its answer's header, its problem and its span.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub Arc<str>);

/// The peer's address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub SocketAddr);

/// The route an answer came from, for the counters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered(pub &'static str);

/// Answers one request through its handler.
pub(crate) async fn pass<F, Fut>(app: Arc<App>, gate: Gate, request: Request, handler: F) -> Response<Body>
where
    F: FnOnce(Call) -> Fut + Send + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let id = request_id(request.extensions());
    let span = tracing::debug_span!("request", id = &*id, route = gate.path);
    let mut verdict = None;
    let answered = AssertUnwindSafe(admit(&app, &gate, request, handler, &mut verdict).instrument(span));
    let answer = answered.catch_unwind().await.unwrap_or_else(|_| Err(panicked(&id, gate.path)));
    let mut response = answer.unwrap_or_else(|problem| refuse(&app, problem, &id));
    if let Some(verdict) = verdict {
        verdict.write(response.headers_mut());
    }
    response.extensions_mut().insert(Answered(gate.path));
    response
}

/// A problem as an answer, counted.
pub(crate) fn refuse(app: &App, problem: Problem, request_id: &str) -> Response<Body> {
    app.metrics.problem(problem.code);
    problem.into_response(request_id)
}

pub(crate) fn request_id(extensions: &axum::http::Extensions) -> Arc<str> {
    extensions.get::<RequestId>().map_or_else(|| Arc::from(""), |id| Arc::clone(&id.0))
}

fn panicked(id: &str, route: &'static str) -> Problem {
    tracing::error!(id, route, "a handler panicked");
    Problem::internal("the request could not be answered")
}

async fn admit<F, Fut>(
    app: &Arc<App>,
    gate: &Gate,
    request: Request,
    handler: F,
    verdict: &mut Option<Verdict>,
) -> Answer
where
    F: FnOnce(Call) -> Fut + Send + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let (mut parts, body) = request.into_parts();
    let peer = peer(&parts)?;
    let query = Query::read(parts.uri.query().unwrap_or_default())?;
    let principal = authenticate(app, gate, &parts.headers, peer)?;
    permit(gate, &principal)?;
    let payer = payer(gate, &principal, &parts.headers, &query)?;
    let now = *verdict.insert(app.rates.take(&payer, gate.rate, gate.path, app.now()));
    if !now.allowed {
        return Err(rate_limited(now));
    }
    query.only(gate.query)?;
    let limits = &app.config.limits;
    let max = match gate.body {
        BodyMax::Usual => limits.body_bytes,
        BodyMax::Feed => limits.feed_bytes,
        BodyMax::Snapshot => limits.snapshot_bytes,
    };
    let body = crate::body::read(app, &parts.headers, body, max).await?;
    let path = RawPathParams::from_request_parts(&mut parts, &())
        .await
        .map_err(|error| Problem::invalid("path", error.to_string()))?;
    let path = path.iter().map(|(name, text)| (Box::from(name), Box::from(text))).collect();
    let call = Call {
        app: Arc::clone(app),
        principal,
        path,
        query,
        headers: parts.headers,
        body: body.bytes.clone(),
    };
    if gate.method == "DELETE" {
        let Nothing {} = call.json_or_empty()?;
    }
    // A GET is a repetition of nothing.
    let key = if gate.method == "GET" { None } else { repeat::key(&call.headers)? };
    match key {
        None => handler(call).await,
        Some(text) => {
            let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
            let name = Name { key_id: Arc::clone(&call.principal.key_id), account: payer, text };
            let fingerprint = repeat::fingerprint(gate.method, target, &call.body);
            once(call, name, fingerprint, &request_id(&parts.extensions), gate.path, handler).await
        }
    }
}

/// Does what the first request of this name asks, to its end even if its caller hangs up: the next one is told.
async fn once<F, Fut>(
    call: Call,
    name: Name,
    fingerprint: [u8; 32],
    id: &Arc<str>,
    route: &'static str,
    handler: F,
) -> Answer
where
    F: FnOnce(Call) -> Fut + Send + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let app = Arc::clone(&call.app);
    match app.repeats.begin(name, fingerprint, id, app.now())? {
        Begun::Again(response) => Ok(response),
        Begun::First(first) => {
            let done = async move { first.keep(handler(call).await, app.now()).await };
            tokio::spawn(done.in_current_span()).await.unwrap_or_else(|_| Err(panicked(id, route)))
        }
    }
}

pub(crate) fn peer(parts: &Parts) -> Result<SocketAddr, Problem> {
    let peer = parts.extensions.get::<Peer>().ok_or_else(|| Problem::internal("no peer address"))?;
    Ok(peer.0)
}

fn authenticate(app: &App, gate: &Gate, headers: &HeaderMap, peer: SocketAddr) -> Result<Principal, Problem> {
    let Some(secret) = bearer(headers) else {
        let local = gate.dialect == Dialect::SipIo && app.config.dev && from_this_machine(app, headers, peer);
        let development = local.then(|| app.keys.development()).flatten();
        return development.ok_or_else(|| unauthorized("a credential is missing"));
    };
    app.keys.find(secret, app.now()).ok_or_else(|| unauthorized("the key is unknown, revoked or expired"))
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
        .hint("send the header Authorization: Bearer sk_…")
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

/// A person with curl on this machine. A page in this machine's browser is somebody else: it comes from another origin,
/// or by a name that somebody made to point here.
fn from_this_machine(app: &App, headers: &HeaderMap, peer: SocketAddr) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let named_local = name.eq_ignore_ascii_case("localhost")
        || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    peer.ip().to_canonical().is_loopback() && named_local && origin_allowed(app, headers)
}

/// Whether a page may talk to this server: one of its own, or of an origin that is listed. What is no browser sends no
/// origin.
pub(crate) fn origin_allowed(app: &App, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = host.is_some_and(|host| origin.split_once("://").is_some_and(|(_, from)| from == host));
    own || app.config.origins.iter().any(|allowed| allowed == origin)
}

fn permit(gate: &Gate, principal: &Principal) -> Result<(), Problem> {
    if gate.scopes.is_empty() || gate.scopes.iter().any(|scope| principal.allows(*scope)) {
        return Ok(());
    }
    Err(Problem::missing_scope(gate.scopes, principal.scopes))
}

/// Whose bucket the request draws on: the account's, or that of a key that has named none yet.
fn payer(
    gate: &Gate,
    principal: &Principal,
    headers: &HeaderMap,
    query: &Query,
) -> Result<Arc<str>, Problem> {
    let named = match gate.dialect {
        Dialect::Native => header_account(headers)?,
        Dialect::SipIo => query.value("accountId")?.or(header_account(headers)?),
    };
    match (&principal.account, named) {
        (None, None) => Ok(Arc::clone(&principal.key_id)),
        (_, named) => resolve(principal, named).map(|account| Arc::from(account.as_str())),
    }
}

fn rate_limited(verdict: Verdict) -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "rate_limited",
        "the account has used up its requests to this route",
    )
    .retry_after(verdict.next_in_sec)
}
