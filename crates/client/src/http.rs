//! One request, one answer, over connections that are kept.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{ACCEPT, CONTENT_TYPE};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::credential::Credential;
use crate::error::ApiError;
use crate::server_url::ServerUrl;

/// Longest wait for a whole answer; a server answers a reserve in milliseconds, and a router must be able to give up.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Longest wait for a connection: a server that is down should be known as such before a caller hangs up.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Idle connections kept, and for how long; below the server's own idle limit, so that it rarely closes one first.
const IDLE_CONNECTIONS_MAX: usize = 32;
const IDLE_MAX: Duration = Duration::from_secs(20);
/// Largest answer read: a roster of 100 000 agents is about 60 MB.
const ANSWER_BYTES_MAX: usize = 64 << 20;

#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    pub server: ServerUrl,
    pub credential: Credential,
}

impl Http {
    pub fn new(server: ServerUrl, credential: Credential) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_MAX));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(connector);
        Self { client, server, credential }
    }

    /// The body of a 2xx answer.
    pub async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Bytes, ApiError> {
        let request = self.request(method, path, body)?;
        let answer = tokio::time::timeout(ANSWER_MAX, self.exchange(request));
        answer.await.unwrap_or_else(|_| Err(self.transport(format!("none within {ANSWER_MAX:?}"))))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Request<Full<Bytes>>, ApiError> {
        let undoable = |why: String| ApiError::Decode { request: format!("{method} {path}"), why };
        let uri = self.server.http(path).ok_or_else(|| undoable("it has no URL".to_owned()))?;
        let mut request = Request::builder().method(&method).uri(uri).header(ACCEPT, "application/json");
        for (name, value) in self.credential.headers() {
            request = request.header(name, value);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        request.body(body).map_err(|error| undoable(format!("it cannot be sent: {error}")))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Bytes, ApiError> {
        let answer = self.client.request(request).await.map_err(|error| self.transport(chain(&error)))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect();
        let body = body.await.map_err(|error| self.transport(chain(error.as_ref())))?.to_bytes();
        if status.is_success() { Ok(body) } else { Err(ApiError::problem(status.as_u16(), &body)) }
    }

    fn transport(&self, why: String) -> ApiError {
        ApiError::Transport { server: self.server.to_string(), why }
    }
}

/// An error with its causes; hyper's own says only which step failed.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
