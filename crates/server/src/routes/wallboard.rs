//! `/wallboard`: the page, from the binary. It may talk to this server and to nothing else.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::gate::{refuse, request_id};
use crate::problem::Problem;
use crate::state::App;

struct File {
    name: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        &[$(File { name: $name, bytes: include_bytes!(concat!("../../assets/wallboard/", $name)) }),+]
    };
}

const FILES: &[File] = files![
    "agent-row.js",
    "agents.css",
    "agents.js",
    "bucket.js",
    "connection.js",
    "credential.js",
    "filter.js",
    "format.js",
    "hold.js",
    "index.html",
    "keyboard.js",
    "order.js",
    "queues.js",
    "ringfence-client.js",
    "theme.css",
    "theme.js",
    "threshold.js",
    "tiles.js",
    "wallboard.css",
    "wallboard.js",
];

/// Scripts and styles from here, data from here, and no frame around it: a supervisor's buttons are worth framing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

pub(super) fn named(app: &Arc<App>, request: &Request) -> Response<Body> {
    let name = request.uri().path().rsplit('/').next().unwrap_or_default();
    if FILES.iter().any(|file| file.name == name) {
        return file(name, request);
    }
    let problem = Problem::not_found("unknown_file", "the wallboard has no such file");
    refuse(app, problem, &request_id(request.extensions()))
}

/// One of the page's files; nothing of it if the browser has it already.
pub(super) fn file(name: &str, request: &Request) -> Response<Body> {
    let bytes = FILES.iter().find(|file| file.name == name).map_or(&b""[..], |file| file.bytes);
    let tag = etag(bytes);
    let fresh = request.headers().get_all(header::IF_NONE_MATCH).iter().any(|known| *known == tag);
    let mut response = Response::new(Body::from(if fresh { &[] } else { bytes }));
    if fresh {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    describe(response.headers_mut(), name, tag);
    response
}

fn describe(headers: &mut HeaderMap, name: &str, tag: String) {
    let kind = match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" | "webmanifest" => "application/json",
        _ => "application/octet-stream",
    };
    let fixed = [
        (header::CONTENT_TYPE, kind),
        // Asked for again each time, answered with 304: a new server never meets an old script.
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
}

fn etag(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let mut tag = String::from("\"");
    for byte in digest.iter().take(8) {
        tag.push_str(&format!("{byte:02x}"));
    }
    tag.push('"');
    tag
}
