//! Who may open a stream: everything that can be known is decided before the upgrade, where a refusal still has a
//! status and a reason. A client that is refused after it takes itself for connected, and tries again at once.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use ringfence::AccountId;
use ringfence_wire::frame::SUBPROTOCOL_JSON;
use ringfence_wire::{RateClass, Resume, ViewSpec};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::bell::Bell;
use super::command::{may_watch, require};
use super::roll::{Enrolled, NotEnrolled};
use crate::auth::{Principal, Scope, bearer};
use crate::call::{header_account, resolve};
use crate::connection::Seat;
use crate::gate::origin_allowed;
use crate::problem::{Problem, RETRY_SEC};
use crate::query::Query;
use crate::state::App;

/// Carries a ticket among the subprotocols: a browser can send no header, and a URL stays in logs.
const TICKET_PROTOCOL: &str = "ringfence.ticket.";
/// Sixteen bytes in base64 (RFC 6455 §4.1).
const WEBSOCKET_KEY_BYTES: usize = 24;

/// What carries the stream.
#[derive(Debug)]
pub(super) enum Carrier {
    WebSocket {
        /// `Sec-WebSocket-Accept`.
        accept: HeaderValue,
        /// Whether the client offered our subprotocol, which is then echoed.
        offered: bool,
    },
    Events(Box<Events>),
}

/// The one subscription of an event stream, from its query.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) view: ViewSpec,
    pub(super) class: RateClass,
    pub(super) since: Option<Resume>,
}

/// Somebody who may open a stream.
pub(super) struct Admitted {
    pub(super) carrier: Carrier,
    pub(super) principal: Principal,
    pub(super) account: AccountId,
    pub(super) heartbeat_ms: Option<u32>,
    pub(super) bell: Arc<Bell>,
    pub(super) enrolled: Enrolled,
    pub(super) handshake: Handshake,
    pub(super) seat: Option<Seat>,
}

/// One of the handshakes that may be under way at once.
pub(super) struct Handshake(Arc<App>);

/// The request as far as it is about the stream. A ticket is used up last: one that is refused for something else can
/// be used again.
pub(super) fn admit(app: &Arc<App>, parts: &Parts) -> Result<Admitted, Problem> {
    let headers = &parts.headers;
    if app.streams.draining() {
        return Err(draining());
    }
    if !origin_allowed(app, headers) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "origin_not_allowed",
            "pages of this origin may not connect",
        )
        .hint("list the origin in the server's configuration, `origins`"));
    }
    let query = Query::read(parts.uri.query().unwrap_or_default())?;
    let offers = offers(headers);
    let carrier = carrier(parts, &query, &offers)?;
    let handshake = Handshake::begin(app)?;
    let heartbeat_ms = query.value("heartbeat_ms")?;
    let named = named_account(headers, &query)?;
    let ticket = query.text("ticket").or(offers.ticket);
    let principal = believe(app, headers, ticket)?;
    require(&principal, Scope::Wallboard)?;
    let account = resolve(&principal, named)?;
    if let Carrier::Events(events) = &carrier {
        may_watch(&principal, &events.view)?;
    }
    let bell = Arc::new(Bell::default());
    let enrolled = app.streams.enroll(app, principal.clone(), &bell).map_err(not_enrolled)?;
    let seat = parts.extensions.get::<Seat>().cloned();
    Ok(Admitted { carrier, principal, account, heartbeat_ms, bell, enrolled, handshake, seat })
}

/// Subprotocols a client offers.
#[derive(Debug, Default)]
struct Offers<'a> {
    ours: bool,
    ticket: Option<&'a str>,
    others: bool,
}

fn offers(headers: &HeaderMap) -> Offers<'_> {
    let mut offers = Offers::default();
    let lists = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|list| list.to_str().ok());
    for offer in lists.flat_map(|list| list.split(',')).map(str::trim).filter(|offer| !offer.is_empty()) {
        match offer.strip_prefix(TICKET_PROTOCOL) {
            Some(ticket) => offers.ticket = Some(ticket),
            None if offer == SUBPROTOCOL_JSON => offers.ours = true,
            None => offers.others = true,
        }
    }
    offers
}

fn carrier(parts: &Parts, query: &Query, offers: &Offers<'_>) -> Result<Carrier, Problem> {
    let headers = &parts.headers;
    if !has_word(headers, header::UPGRADE, "websocket") {
        if has_word(headers, header::ACCEPT, "text/event-stream") {
            return events(headers, query).map(Box::new).map(Carrier::Events);
        }
        return Err(Problem::new(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade_required",
            "this is a websocket, or with the header `accept: text/event-stream` an event stream",
        )
        .header(header::UPGRADE, HeaderValue::from_static("websocket")));
    }
    query.only(&["ticket", "account", "heartbeat_ms"])?;
    if parts.method != Method::GET || !has_word(headers, header::CONNECTION, "upgrade") {
        return Err(Problem::invalid(
            "Connection",
            "a websocket begins with a GET and `connection: upgrade`",
        ));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Problem::new(
            StatusCode::UPGRADE_REQUIRED,
            "websocket_version",
            "the websocket version is 13",
        )
        .header(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
    }
    if !offers.ours && (offers.others || offers.ticket.is_some()) {
        let detail = format!("none of the subprotocols offered is spoken here; offer {SUBPROTOCOL_JSON}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "subprotocol", detail).on("Sec-WebSocket-Protocol"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == WEBSOCKET_KEY_BYTES);
    let accept = key.and_then(|key| HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok());
    let accept =
        accept.ok_or_else(|| Problem::invalid("Sec-WebSocket-Key", "16 bytes in base64 are missing"))?;
    Ok(Carrier::WebSocket { accept, offered: offers.ours })
}

fn events(headers: &HeaderMap, query: &Query) -> Result<Events, Problem> {
    query.only(&["ticket", "account", "heartbeat_ms", "view", "class", "last_event_id"])?;
    let class: Option<u32> = query.value("class")?;
    let class = class.map_or(Ok(RateClass::default()), RateClass::try_from);
    // A browser sends the header when it comes back by itself; the parameter is for those who cannot set one.
    let header = match headers.get("last-event-id").map(HeaderValue::to_str) {
        None => None,
        Some(Ok(text)) => Some(text),
        Some(Err(_)) => return Err(Problem::invalid("Last-Event-ID", "it is not text")),
    };
    let since = header.or(query.text("last_event_id")).filter(|text| !text.is_empty());
    Ok(Events {
        view: query.value("view")?.unwrap_or(ViewSpec::masked(ringfence_core::row::View::Account)),
        class: class.map_err(|bad| Problem::invalid("class", bad.to_string()))?,
        since: since.map(str::parse).transpose().map_err(|bad: ringfence_wire::frame::BadResume| {
            Problem::invalid("Last-Event-ID", bad.to_string())
        })?,
    })
}

fn named_account(headers: &HeaderMap, query: &Query) -> Result<Option<AccountId>, Problem> {
    let by_query: Option<AccountId> = query.value("account")?;
    match (header_account(headers)?, by_query) {
        (Some(header), Some(query)) if header != query => {
            Err(Problem::invalid("account", "the header X-Account-Id names another account than the query"))
        }
        (header, query) => Ok(header.or(query)),
    }
}

fn believe(app: &App, headers: &HeaderMap, ticket: Option<&str>) -> Result<Principal, Problem> {
    match (bearer(headers), ticket) {
        (Some(secret), _) => believe_key(app, secret),
        (None, Some(ticket)) => app.redeem_ticket(ticket).ok_or_else(|| {
            unauthorized("the ticket is unknown, used or expired").hint("POST /v1/tickets mints one")
        }),
        (None, None) => Err(unauthorized("a credential is missing")
            .hint("send the header Authorization: Bearer sk_…, or a ticket as ?ticket=")),
    }
}

pub(super) fn believe_key(app: &App, secret: &str) -> Result<Principal, Problem> {
    app.keys.find(secret, app.now()).ok_or_else(|| unauthorized("the key is unknown, revoked or expired"))
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn draining() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "draining", "the server is going down")
        .retry_after(RETRY_SEC)
}

fn not_enrolled(why: NotEnrolled) -> Problem {
    match why {
        NotEnrolled::Draining => draining(),
        NotEnrolled::TooManyOfKey => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_connections",
            "the key has as many streams open as a key may have",
        )
        .retry_after(RETRY_SEC),
    }
}

/// Whether one of a header's comma-separated values is `word`, parameters aside.
fn has_word(headers: &HeaderMap, name: header::HeaderName, word: &str) -> bool {
    let lists = headers.get_all(name).iter().filter_map(|list| list.to_str().ok());
    let mut words = lists.flat_map(|list| list.split(','));
    words.any(|value| value.split(';').next().is_some_and(|value| value.trim().eq_ignore_ascii_case(word)))
}

impl Handshake {
    fn begin(app: &Arc<App>) -> Result<Self, Problem> {
        let permit = app
            .handshakes
            .try_acquire()
            .map_err(|_| Problem::overloaded("too many connections are being opened at once"))?;
        permit.forget();
        Ok(Self(Arc::clone(app)))
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.handshakes.add_permits(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_ticket_is_found_among_the_subprotocols() {
        let headers = headers(&[
            ("sec-websocket-protocol", "x, ringfence.ticket.tkt_1"),
            ("sec-websocket-protocol", "ringfence.v1.json"),
        ]);
        let offers = offers(&headers);
        assert!(offers.ours && offers.others);
        assert_eq!(offers.ticket, Some("tkt_1"));
    }

    #[test]
    fn words_are_found_in_lists_whatever_their_case() {
        let headers =
            headers(&[("connection", "keep-alive, Upgrade"), ("accept", "text/event-stream;q=0.9")]);
        assert!(has_word(&headers, header::CONNECTION, "upgrade"));
        assert!(has_word(&headers, header::ACCEPT, "text/event-stream"));
        assert!(!has_word(&headers, header::UPGRADE, "websocket"));
    }
}
