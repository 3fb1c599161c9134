//! Asks a Kamailio for its state over plain HTTP/1.1: loopback or a network of one's own, there is no TLS.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::error::AdapterError;
use crate::kamailio::dump::{LeftOut, rpc_error};
use crate::kamailio::snapshot::{Pulled, snapshot};
use crate::kamailio::{DUMP, EPOCH};

/// `/v1/epoch` is a line made by a script: what takes longer is a registrar with no worker free.
pub const EPOCH_TIMEOUT: Duration = Duration::from_secs(5);
/// `ul.dump` of the largest registrar takes seconds; it is a background task, and nothing waits for it.
pub const DUMP_TIMEOUT: Duration = Duration::from_secs(60);
/// Six numbers and a name.
pub const EPOCH_BYTES_MAX: usize = 4 * 1024;
/// Some 540 bytes a contact, for as many contacts as a snapshot may have, and a fifth more.
pub const DUMP_BYTES_MAX: usize = 128 * 1024 * 1024;

const DUMP_REQUEST: &[u8] = br#"{"jsonrpc":"2.0","method":"ul.dump","id":1}"#;

/// Where a Kamailio is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Of its HTTP side, like `http://127.0.0.1:5060`; a path is put before those asked for.
    pub url: String,
}

/// A client of one Kamailio.
#[derive(Debug, Clone)]
pub struct Puller {
    epoch: Uri,
    rpc: Uri,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Puller {
    /// Refuses an address it could never ask.
    pub fn new(config: &Config) -> Result<Self, AdapterError> {
        let base = config.url.trim_end_matches('/');
        let bad = |why: String| AdapterError::BadUrl { url: config.url.clone(), why };
        let uri = |path| format!("{base}{path}").parse::<Uri>().map_err(|error| bad(error.to_string()));
        let (epoch, rpc) = (uri("/v1/epoch")?, uri("/RPC")?);
        if rpc.scheme_str() != Some("http") || rpc.query().is_some() {
            return Err(bad("it begins with http:// and has no query; there is no TLS here".to_owned()));
        }
        // Pulls are minutes apart: a connection kept in between would be found dead.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Ok(Self { epoch, rpc, client })
    }

    /// The registrar's whole state. Must run in a tokio runtime with time and IO.
    pub async fn pull(&self) -> Result<Pulled, AdapterError> {
        let before = self.read_epoch().await?;
        let dump = self.read_dump().await?;
        let after = self.read_epoch().await?;
        let pulled = snapshot(&before, &dump, &after)?;
        let LeftOut { aors, contacts, ended } = pulled.left_out;
        if aors > 0 || contacts > 0 {
            tracing::warn!(
                source = pulled.snapshot.source.as_str(),
                aors,
                contacts,
                "the dump has AoRs that are not user@domain, or contacts that cannot be kept; they are left out"
            );
        }
        tracing::debug!(bindings = pulled.snapshot.bindings.len(), ended, "pulled");
        Ok(pulled)
    }

    async fn read_epoch(&self) -> Result<Bytes, AdapterError> {
        let request = Request::get(self.epoch.clone()).body(Full::default());
        let (status, body) = self.ask(EPOCH, request, EPOCH_TIMEOUT, EPOCH_BYTES_MAX).await?;
        if status.is_success() { Ok(body) } else { Err(refused(EPOCH, status)) }
    }

    async fn read_dump(&self) -> Result<Bytes, AdapterError> {
        let request = Request::post(self.rpc.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from_static(DUMP_REQUEST)));
        let (status, body) = self.ask(DUMP, request, DUMP_TIMEOUT, DUMP_BYTES_MAX).await?;
        if status.is_success() {
            return Ok(body);
        }
        Err(rpc_error(&body).unwrap_or_else(|| refused(DUMP, status)))
    }

    async fn ask(
        &self,
        what: &'static str,
        request: Result<Request<Full<Bytes>>, hyper::http::Error>,
        timeout: Duration,
        limit: usize,
    ) -> Result<(StatusCode, Bytes), AdapterError> {
        let exchange = async {
            let request = request.map_err(|error| unreachable(what, &error))?;
            let response = self.client.request(request).await.map_err(|error| unreachable(what, &error))?;
            read_body(what, response, limit).await
        };
        let answered = tokio::time::timeout(timeout, exchange).await;
        answered.unwrap_or_else(|_| {
            Err(AdapterError::TimedOut { what, ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX) })
        })
    }
}

async fn read_body(
    what: &'static str,
    response: Response<Incoming>,
    limit: usize,
) -> Result<(StatusCode, Bytes), AdapterError> {
    let status = response.status();
    let announced: Option<u64> =
        response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(AdapterError::TooLarge { what, limit });
    }
    let mut body = Limited::new(response.into_body(), limit);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(AdapterError::TooLarge { what, limit });
            }
            Err(_) => {
                let why = announced.map_or_else(
                    || "its end was never sent".to_owned(),
                    |length| format!("{length} were announced"),
                );
                return Err(AdapterError::CutShort { what, received: bytes.len() as u64, why });
            }
        }
    }
    Ok((status, Bytes::from(bytes)))
}

fn refused(what: &'static str, status: StatusCode) -> AdapterError {
    AdapterError::Refused { what, status: status.as_u16() }
}

/// The innermost cause says most: "connection refused", not "client error".
fn unreachable(what: &'static str, error: &dyn Error) -> AdapterError {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    AdapterError::Unreachable { what, why: cause.to_string() }
}
