//! `Idempotency-Key`: a write that comes again, because nobody knows whether its answer was lost or itself, is answered
//! with what the first one was answered. The header is that of draft-ietf-httpapi-idempotency-key-header.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use ringfence::Time;
use sha2::{Digest, Sha256};

use crate::call::Answer;
use crate::problem::Problem;

const HEADER: &str = "idempotency-key";
/// Longest key.
const KEY_BYTES_MAX: usize = 255;
/// Answers are kept so long, as offers and calls that ended are …
const KEPT_MS: u64 = 10 * 60 * 1000;
/// … or until there are so many of them, oldest first, …
const KEPT_MAX: usize = 64 * 1024;
/// … or they take so many bytes.
const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Whose key it is: another credential, or another account, has others of the same text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub key_id: Arc<str>,
    pub account: Arc<str>,
    pub text: Arc<str>,
}

/// What the key stands for.
type Fingerprint = [u8; 32];

/// The answers that are kept, and the requests that have none yet.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_name: HashMap<Name, Entry>,
    /// In the order they were answered in.
    order: VecDeque<(Time, Name)>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    fingerprint: Fingerprint,
    request_id: Arc<str>,
    /// None: the first request is under way.
    answer: Option<KeptAnswer>,
}

#[derive(Debug, Clone)]
struct KeptAnswer {
    status: StatusCode,
    kind: Option<HeaderValue>,
    tag: Option<HeaderValue>,
    body: Bytes,
}

/// What is to be done with a request that has a key.
pub(crate) enum Begun {
    /// It is the first of its name: it is to be done, and its answer [kept](First::keep).
    First(First),
    /// It was done before; this is what it was answered.
    Again(Response<Body>),
}

/// The first request of a name. Dropped without an answer, it is as if it had never come.
pub(crate) struct First {
    repeats: Arc<Repeats>,
    name: Name,
    answered: bool,
}

/// The key a request names.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<Arc<str>>, Problem> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let bad = || Problem::invalid("Idempotency-Key", format!("1 to {KEY_BYTES_MAX} visible characters"));
    let text = value.to_str().map_err(|_| bad())?;
    if text.is_empty() || text.len() > KEY_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad());
    }
    Ok(Some(Arc::from(text)))
}

/// What tells a repetition from another request under the same key.
pub(crate) fn fingerprint(method: &str, target: &str, body: &[u8]) -> Fingerprint {
    let mut hasher = Sha256::new();
    for part in [method.as_bytes(), target.as_bytes()] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(body);
    hasher.finalize().into()
}

impl Repeats {
    pub fn begin(
        self: &Arc<Self>,
        name: Name,
        fingerprint: Fingerprint,
        request_id: &Arc<str>,
        now: Time,
    ) -> Result<Begun, Problem> {
        let mut kept = self.kept.lock();
        kept.forget(now);
        match kept.by_name.get(&name) {
            Some(entry) if entry.fingerprint != fingerprint => Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "the key was sent with another request; every request has a key of its own",
            )
            .on("Idempotency-Key")
            .member("first_request_id", &*entry.request_id)),
            Some(Entry { answer: None, request_id, .. }) => Err(Problem::new(
                StatusCode::CONFLICT,
                "idempotency_key_under_way",
                "the first request with this key has not been answered yet",
            )
            .on("Idempotency-Key")
            .hint("send it again a little later")
            .member("first_request_id", &**request_id)),
            Some(Entry { answer: Some(answer), .. }) => Ok(Begun::Again(answer.response())),
            None => {
                let entry = Entry { fingerprint, request_id: Arc::clone(request_id), answer: None };
                kept.by_name.insert(name.clone(), entry);
                Ok(Begun::First(First { repeats: Arc::clone(self), name, answered: false }))
            }
        }
    }
}

impl Kept {
    /// Lets go of what is old or too much.
    fn forget(&mut self, now: Time) {
        while let Some((at, _)) = self.order.front()
            && (now.since(*at) >= KEPT_MS || self.order.len() > KEPT_MAX || self.bytes > KEPT_BYTES_MAX)
            && let Some((_, name)) = self.order.pop_front()
        {
            let answer = self.by_name.remove(&name).and_then(|entry| entry.answer);
            self.bytes -= answer.map_or(0, |answer| answer.body.len());
        }
    }
}

impl First {
    /// The answer, kept if the write was done. What was refused changed nothing, and is asked afresh.
    pub async fn keep(mut self, answer: Answer, now: Time) -> Answer {
        let response = answer?;
        if !response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| Problem::internal(error.to_string()))?.to_bytes();
        let field = |name: HeaderName| parts.headers.get(name).cloned();
        let answer = KeptAnswer {
            status: parts.status,
            kind: field(header::CONTENT_TYPE),
            tag: field(header::ETAG),
            body: body.clone(),
        };
        let mut kept = self.repeats.kept.lock();
        if let Some(entry) = kept.by_name.get_mut(&self.name) {
            entry.answer = Some(answer);
            kept.bytes += body.len();
            kept.order.push_back((now, self.name.clone()));
            kept.forget(now);
        }
        drop(kept);
        self.answered = true;
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}

impl Drop for First {
    fn drop(&mut self) {
        if !self.answered {
            self.repeats.kept.lock().by_name.remove(&self.name);
        }
    }
}

impl KeptAnswer {
    fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        for (name, value) in [(header::CONTENT_TYPE, &self.kind), (header::ETAG, &self.tag)] {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name { key_id: Arc::from("key_1"), account: Arc::from("acme"), text: Arc::from(text) }
    }

    fn begin(repeats: &Arc<Repeats>, text: &str, body: &str, ms: u64) -> Result<Begun, &'static str> {
        let fingerprint = fingerprint("POST", "/v1/x", body.as_bytes());
        repeats
            .begin(name(text), fingerprint, &Arc::from("req_1"), Time::from_ms(ms))
            .map_err(|problem| problem.code)
    }

    async fn answer(repeats: &Arc<Repeats>, text: &str, status: u16, body: Vec<u8>, ms: u64) {
        let Ok(Begun::First(first)) = begin(repeats, text, "b", ms) else { panic!("{text} was known") };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        first.keep(Ok(response), Time::from_ms(ms)).await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_is_kept_for_its_time() {
        let repeats = Arc::default();
        answer(&repeats, "k", 201, b"done".to_vec(), 0).await;
        let Ok(Begun::Again(again)) = begin(&repeats, "k", "b", KEPT_MS - 1) else { panic!("forgotten") };
        assert_eq!(again.status(), 201);
        assert_eq!(again.into_body().collect().await.unwrap().to_bytes(), "done");
        assert_eq!(begin(&repeats, "k", "c", 1).err(), Some("idempotency_key_reused"));
        assert!(matches!(begin(&repeats, "k", "b", KEPT_MS), Ok(Begun::First(_))));
        assert_eq!(repeats.kept.lock().bytes, 0);
    }

    #[tokio::test]
    async fn what_was_refused_or_broke_off_is_as_if_it_had_never_come() {
        let repeats = Arc::default();
        answer(&repeats, "k", 409, Vec::new(), 0).await;
        let Ok(Begun::First(under_way)) = begin(&repeats, "k", "b", 0) else { panic!("a refusal was kept") };
        assert_eq!(begin(&repeats, "k", "b", 0).err(), Some("idempotency_key_under_way"));
        drop(under_way);
        assert!(matches!(begin(&repeats, "k", "b", 0), Ok(Begun::First(_))));
    }

    #[tokio::test]
    async fn the_oldest_go_when_they_are_too_many_bytes() {
        let repeats = Arc::default();
        let half = KEPT_BYTES_MAX / 2;
        for text in ["a", "b", "c"] {
            answer(&repeats, text, 200, vec![b'x'; half], 0).await;
        }
        assert_eq!(repeats.kept.lock().bytes, 2 * half);
        assert!(matches!(begin(&repeats, "a", "b", 0), Ok(Begun::First(_))));
        assert!(matches!(begin(&repeats, "c", "b", 0), Ok(Begun::Again(_))));
    }

    #[test]
    fn a_key_is_a_short_visible_text() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_static(text));
            key(&headers).map_err(|problem| problem.code)
        };
        assert_eq!(read("8e03978e-40d5"), Ok(Some(Arc::from("8e03978e-40d5"))));
        assert_eq!(read(""), Err("invalid"));
        assert_eq!(read("a b"), Err("invalid"));
        assert_eq!(key(&HeaderMap::new()), Ok(None));
    }
}
