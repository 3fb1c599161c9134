//! `If-Match`: configuration that is written only if it is still what its writer read (RFC 9110 §13.1.1).

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use ringfence::{Account, AccountId};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::call::{Answer, Call};
use crate::problem::Problem;

/// Accounts are spread over so many locks: two that share one only wait for each other now and then.
const LOCKS: usize = 64;
/// Bytes of the hash a tag is made of.
const TAG_BYTES: usize = 8;

/// Who writes configuration. Writers without a condition go together; one with a condition reads and writes alone.
#[derive(Debug)]
pub(crate) struct Turns([RwLock<()>; LOCKS]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| RwLock::new(())))
    }
}

impl Turns {
    fn of(&self, account: &AccountId) -> &RwLock<()> {
        let mut hasher = DefaultHasher::new();
        account.hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or(0);
        &self.0[place]
    }
}

/// Held while configuration is written.
pub(super) enum Turn<'a> {
    Shared { _guard: RwLockReadGuard<'a, ()> },
    Alone { _guard: RwLockWriteGuard<'a, ()> },
}

/// The tag of what was written: equal for equal contents, whatever else of the resource is shown beside them.
pub(super) fn tag(written: &impl Serialize) -> Result<String, Problem> {
    let bytes = serde_json::to_vec(written).map_err(|error| Problem::internal(error.to_string()))?;
    let digest = Sha256::digest(&bytes);
    let mut tag = String::with_capacity(2 * TAG_BYTES + 2);
    tag.push('"');
    for byte in digest.iter().take(TAG_BYTES) {
        tag.push_str(&format!("{byte:02x}"));
    }
    tag.push('"');
    Ok(tag)
}

/// The answer, with the tag of what it shows or has written.
pub(super) fn tagged(answer: Answer, written: &impl Serialize) -> Answer {
    let mut response: Response<Body> = answer?;
    if let Ok(value) = HeaderValue::try_from(tag(written)?) {
        response.headers_mut().insert(header::ETAG, value);
    }
    Ok(response)
}

/// Waits for the turn to write, and refuses if what is there, as `current` tells its tag, is not what the request asks
/// for. None: there is nothing yet.
pub(super) async fn turn<'a>(
    call: &'a Call,
    account: &Account,
    current: impl AsyncFnOnce() -> Result<Option<String>, Problem>,
) -> Result<Turn<'a>, Problem> {
    let lock = call.app.turns.of(account.id());
    let Some(asked) = asked(call)? else { return Ok(Turn::Shared { _guard: lock.read().await }) };
    let guard = lock.write().await;
    let found = current().await?;
    let holds = found.as_ref().is_some_and(|found| asked.iter().any(|tag| tag == "*" || tag == found));
    if holds {
        return Ok(Turn::Alone { _guard: guard });
    }
    let detail = match &found {
        Some(found) => format!("what is there has the tag {found}"),
        None => "there is nothing yet".to_owned(),
    };
    Err(Problem::new(StatusCode::PRECONDITION_FAILED, "etag_mismatch", detail)
        .on("If-Match")
        .hint("read it again and decide anew")
        .member("etag", found))
}

/// The tags of the header. A weak one is kept as it stands, and so never matches.
fn asked(call: &Call) -> Result<Option<Vec<String>>, Problem> {
    let mut values = call.headers.get_all(header::IF_MATCH).iter().peekable();
    if values.peek().is_none() {
        return Ok(None);
    }
    let mut tags = Vec::new();
    for value in values {
        let text = value.to_str().map_err(|_| Problem::invalid("If-Match", "it is not text"))?;
        tags.extend(text.split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()));
    }
    let wrong = tags.is_empty() || tags.iter().any(|tag| tag != "*" && !tag.ends_with('"'));
    if wrong {
        return Err(Problem::invalid("If-Match", "a tag as the header ETag said it, in quotes, or *"));
    }
    Ok(Some(tags))
}
