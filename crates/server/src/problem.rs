//! Problems: every answer that is not what was asked for, in the form of RFC 9457, with a code that stays.

mod engine;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value};

pub(crate) use engine::outcome_members;

use crate::auth::{Scope, Scopes};

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    pub status: StatusCode,
    pub code: &'static str,
    pub detail: String,
    pub field: Option<Box<str>>,
    pub hint: Option<Box<str>>,
    pub retry_after_sec: Option<u32>,
    /// Further members, by name.
    pub members: Map<String, Value>,
    pub header: Option<Box<(HeaderName, HeaderValue)>>,
}

/// What somebody who was turned away for load waits: long enough to pass, short enough not to be noticed.
pub(crate) const RETRY_SEC: u32 = 1;

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            field: None,
            hint: None,
            retry_after_sec: None,
            members: Map::new(),
            header: None,
        }
    }

    /// The request says something that cannot be.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", detail).on(field)
    }

    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// A credential that holds none of these scopes.
    pub fn missing_scope(any_of: &[Scope], held: Scopes) -> Self {
        let names: Vec<&str> = any_of.iter().map(|scope| scope.as_str()).collect();
        let detail = format!("this needs the scope {}", names.join(" or "));
        Self::new(StatusCode::FORBIDDEN, "missing_scope", detail)
            .member("scope", names.first().copied().unwrap_or_default())
            .member("held", held.names())
    }

    /// A limit of this server; it passes.
    pub fn overloaded(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(RETRY_SEC)
    }

    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
            .hint("this is a fault of the server; its log has the request_id")
    }

    #[must_use]
    pub fn on(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into().into());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into().into());
        self
    }

    /// The hint that something else was meant, where it may have been.
    #[must_use]
    pub fn did_you_mean(mut self, word: Option<&str>) -> Self {
        self.hint = word.map(|word| format!("did you mean {word:?}?").into());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, sec: u32) -> Self {
        self.retry_after_sec = Some(sec.max(1));
        self
    }

    #[must_use]
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// The code in words, the same for every problem of that code.
    fn title(&self) -> String {
        let mut title = self.code.replace('_', " ");
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        title
    }

    /// The problem document.
    pub fn document(&self, request_id: &str) -> Value {
        let mut members = self.members.clone();
        members.insert("type".into(), format!("urn:ringfence:problem:{}", self.code).into());
        members.insert("title".into(), self.title().into());
        members.insert("status".into(), self.status.as_u16().into());
        members.insert("detail".into(), self.detail.clone().into());
        members.insert("code".into(), self.code.into());
        members.insert("request_id".into(), request_id.into());
        for (name, text) in [("field", &self.field), ("hint", &self.hint)] {
            if let Some(text) = text {
                members.insert(name.into(), Value::from(&**text));
            }
        }
        if let Some(sec) = self.retry_after_sec {
            members.insert("retry_after_sec".into(), sec.into());
        }
        Value::Object(members)
    }

    pub fn into_response(self, request_id: &str) -> Response<Body> {
        let mut response = Response::new(Body::from(self.document(request_id).to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(sec) = self.retry_after_sec {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(sec));
        }
        if let Some((name, value)) = self.header.map(|header| *header) {
            headers.insert(name, value);
        }
        response
    }
}
