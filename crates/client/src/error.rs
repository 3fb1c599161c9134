//! What can come back from a server instead of an answer.

use serde_json::Value;

/// Why a call of the API brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The server said no (RFC 9457). `code` is the stable one; `body` is all it said.
    #[error("{status} {code}: {detail}")]
    Problem { status: u16, code: String, detail: String, body: Value },
    /// Nobody knows whether the server did it: repeat it with the same ids.
    #[error("no answer from {server}: {why}")]
    Transport { server: String, why: String },
    /// An answer this client does not understand.
    #[error("cannot read the answer to {request}: {why}")]
    Decode { request: String, why: String },
}

impl ApiError {
    /// The stable code of a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Problem { code, .. } => Some(code),
            Self::Transport { .. } | Self::Decode { .. } => None,
        }
    }

    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem { status, .. } => Some(*status),
            Self::Transport { .. } | Self::Decode { .. } => None,
        }
    }

    /// Whether the same request may succeed a little later without anything else being done.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Problem { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            Self::Transport { .. } => true,
            Self::Decode { .. } => false,
        }
    }

    /// Reads a problem document, or makes one of whatever a proxy put in its place.
    pub(crate) fn problem(status: u16, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()));
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let code = text("code").unwrap_or_else(|| "unknown".to_owned());
        let detail = text("detail").or_else(|| text("title")).unwrap_or_default();
        Self::Problem { status, code, detail, body }
    }
}

#[cfg(test)]
mod tests {
    use super::ApiError;

    #[test]
    fn a_problem_keeps_its_code_and_what_else_it_says() {
        let error = ApiError::problem(409, br#"{"code":"no_agent","detail":"nobody","earliest":7}"#);
        assert_eq!((error.status(), error.code()), (Some(409), Some("no_agent")));
        assert_eq!(error.to_string(), "409 no_agent: nobody");
        let ApiError::Problem { body, .. } = error else { panic!("a problem") };
        assert_eq!(body["earliest"], 7);
    }

    #[test]
    fn what_is_no_problem_document_is_one_all_the_same() {
        let error = ApiError::problem(502, b"<html>bad gateway");
        assert_eq!((error.status(), error.code()), (Some(502), Some("unknown")));
        assert!(error.is_passing());
    }
}
