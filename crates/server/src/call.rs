//! One request, understood as far as all routes have in common: who asks, for which account, with what.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use ringfence::core::agent::{By, Role};
use ringfence::core::row::AgentRow;
use ringfence::{Account, AccountId, Cursor};
use ringfence_wire::{Profile, mask};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::auth::{DEFAULT_ACCOUNT, Principal, Scope};
use crate::problem::Problem;
use crate::query::Query;
use crate::state::App;

/// What a handler is given.
pub(crate) struct Call {
    pub app: Arc<App>,
    pub principal: Principal,
    /// The variables of the path, decoded, by name.
    pub path: Vec<(Box<str>, Box<str>)>,
    pub query: Query,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What a handler answers.
pub(crate) type Answer = Result<Response<Body>, Problem>;

impl Call {
    /// The account the request is about.
    pub fn account(&self) -> Result<Account, Problem> {
        self.account_named(None)
    }

    /// The same, where the request may name it in a way of its own.
    pub fn account_named(&self, named: Option<&AccountId>) -> Result<Account, Problem> {
        let header = header_account(&self.headers)?;
        if let (Some(named), Some(header)) = (named, &header)
            && named != header
        {
            return Err(Problem::invalid(
                "X-Account-Id",
                "the header names another account than the request",
            ));
        }
        let id = resolve(&self.principal, named.cloned().or(header))?;
        Ok(self.app.account(&id))
    }

    /// The account of a read, once it has come as far as the read asks: whoever names the seq of its own write, or of
    /// what a stream has shown it, reads nothing older.
    pub async fn account_to_read(&self) -> Result<Account, Problem> {
        let account = self.account()?;
        let Some(after) = self.query.value::<u64>("after_seq")? else { return Ok(account) };
        let released = account.released().await?;
        let come = async {
            while released.head() < after {
                released.changed(Cursor { epoch: released.epoch(), seq: released.head() }).await;
            }
        };
        let wait = Duration::from_millis(self.app.config.limits.read_wait_ms);
        if tokio::time::timeout(wait, come).await.is_err() {
            let (epoch, found) = (released.epoch(), released.head());
            let detail = format!("the account is at seq {found} of epoch {epoch}, before {after}");
            return Err(Problem::new(StatusCode::PRECONDITION_FAILED, "seq_not_reached", detail)
                .on("after_seq")
                .hint("the seq is of another account or epoch, or nobody has written it yet")
                .member("after_seq", after)
                .member("found_seq", found)
                .member("epoch", epoch.to_string()));
        }
        Ok(account)
    }

    /// A variable of the path as an id.
    pub fn id<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, Problem> {
        let text = self.path.iter().find(|(known, _)| **known == *name).map_or("", |(_, text)| text);
        text.parse().map_err(|error: T::Err| Problem::invalid(name, error.to_string()))
    }

    /// The body as strict JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if let Some(kind) = self.content_type()
            && kind == "application/x-www-form-urlencoded"
        {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "this route reads JSON, not a form",
            )
            .hint("send the header content-type: application/json"));
        }
        crate::json::read(&self.body)
    }

    /// The same, where no body is a body without fields.
    pub fn json_or_empty<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if self.body.trim_ascii().is_empty() { crate::json::read(b"{}") } else { self.json() }
    }

    /// The media type, without parameters.
    pub fn content_type(&self) -> Option<String> {
        let text = self.headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        Some(text.split(';').next().unwrap_or(text).trim().to_ascii_lowercase())
    }

    /// Who did it, for the row: the key.
    pub fn by(&self, role: Role) -> By {
        By::new(role, &self.principal.key_id)
    }

    pub fn profile(&self) -> Profile {
        if self.principal.allows(Scope::Numbers) { Profile::Full } else { Profile::Masked }
    }

    /// A row as this principal may see it.
    pub fn shown(&self, row: &AgentRow) -> AgentRow {
        mask::row(row, self.profile()).into_owned()
    }
}

/// The account of a credential, or the one it chose.
pub(crate) fn resolve(principal: &Principal, named: Option<AccountId>) -> Result<AccountId, Problem> {
    match (&principal.account, named) {
        (Some(own), None) => Ok(own.clone()),
        (Some(own), Some(named)) if *own == named => Ok(named),
        // As if it did not exist: whether it does is nobody else's business.
        (Some(_), Some(_)) => Err(Problem::not_found("unknown_account", "there is no such account")),
        (None, Some(named)) => Ok(named),
        (None, None) if principal.is_development() => AccountId::parse(DEFAULT_ACCOUNT)
            .map_err(|error| Problem::internal(format!("the default account: {error}"))),
        (None, None) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "account_required",
            "an administrator's key belongs to no account; say which one is meant",
        )
        .on("X-Account-Id")
        .hint("send the header X-Account-Id")),
    }
}

/// The account the header names.
pub(crate) fn header_account(headers: &HeaderMap) -> Result<Option<AccountId>, Problem> {
    let Some(value) = headers.get("x-account-id") else { return Ok(None) };
    let bad = |why: String| Problem::invalid("X-Account-Id", why);
    let text = value.to_str().map_err(|_| bad("it is not text".to_owned()))?;
    AccountId::parse(text).map(Some).map_err(|error| bad(error.to_string()))
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, document: &impl Serialize) -> Answer {
    let bytes = serde_json::to_vec(document).map_err(|error| Problem::internal(error.to_string()))?;
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A plain answer of 200.
pub(crate) fn ok(document: &impl Serialize) -> Answer {
    json(StatusCode::OK, document)
}
