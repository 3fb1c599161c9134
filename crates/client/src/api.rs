//! The HTTP API, typed: what a router, a registrar or an administrator says to a server.

use hyper::Method;
use ringfence_core::offer::{Fence, Offer};
use ringfence_core::{AccountId, AgentId, CallId, OfferId, QueueId, ReasonId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::body::{AgentEventBody, Eligibility, FeedAnswer, OfferStep, Presence, Reserve, Ticket, Written};
use crate::credential::Credential;
use crate::error::ApiError;
use crate::http::Http;
use crate::server_url::{ServerUrl, segment};

/// Entries asked for at a time: as many as a page may have.
const PAGE_ENTRIES: usize = 500;

#[derive(Deserialize)]
struct Page {
    data: Vec<Value>,
    #[serde(default)]
    next_cursor: Option<String>,
}

/// A server as one key sees it. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Api {
    http: Http,
}

impl Api {
    pub fn new(server: ServerUrl, credential: Credential) -> Self {
        Self { http: Http::new(server, credential) }
    }

    /// The same server and key, for another account.
    #[must_use]
    pub fn for_account(&self, account: AccountId) -> Self {
        let mut http = self.http.clone();
        http.credential = http.credential.for_account(account);
        Self { http }
    }

    pub fn server(&self) -> &ServerUrl {
        &self.http.server
    }

    pub fn credential(&self) -> &Credential {
        &self.http.credential
    }

    // What agents do.

    pub async fn event(&self, agent: &AgentId, event: &AgentEventBody) -> Result<Written, ApiError> {
        self.post(&format!("/v1/agents/{}/events", segment(agent.as_str())), event).await
    }

    // What routers do.

    /// Any agent of the queue who can be offered the call now; 409 `no_agent` if there is none.
    pub async fn reserve_queue(&self, queue: &QueueId, ask: &Reserve) -> Result<Offer, ApiError> {
        self.post(&format!("/v1/queues/{}/reserve", segment(queue.as_str())), ask).await
    }

    /// This agent and no other; 409 `not_offerable` with the checks that fail.
    pub async fn reserve_agent(&self, agent: &AgentId, ask: &Reserve) -> Result<Offer, ApiError> {
        self.post(&format!("/v1/agents/{}/reserve", segment(agent.as_str())), ask).await
    }

    pub async fn offer(&self, offer: &OfferId, fence: Fence, step: &OfferStep) -> Result<Written, ApiError> {
        let path = format!("/v1/offers/{}/{}", segment(offer.as_str()), step.verb());
        self.post(&path, &offer_body(fence, step)).await
    }

    /// How the offer ended; none while it is live.
    pub async fn offer_outcome(&self, offer: &OfferId) -> Result<Option<String>, ApiError> {
        let document: Value = self.get(&format!("/v1/offers/{}", segment(offer.as_str()))).await?;
        Ok(document.get("outcome").and_then(Value::as_str).map(str::to_owned))
    }

    /// Ends all legs of the call, or one agent's.
    pub async fn end_call(&self, call: &CallId, agent: Option<&AgentId>) -> Result<Written, ApiError> {
        let mut body = Map::new();
        if let Some(agent) = agent {
            body.insert("agent_id".to_owned(), agent.as_str().into());
        }
        self.post(&format!("/v1/calls/{}/end", segment(call.as_str())), &body).await
    }

    // What registrars and the call feed do.

    /// Normalised events in order, as they go over the wire.
    pub async fn registrar_events(&self, events: &[Value]) -> Result<FeedAnswer, ApiError> {
        self.post("/v1/registrar/events", &events).await
    }

    /// As [`Api::registrar_events`], or in the short form that names no source.
    pub async fn call_events(&self, events: &[Value]) -> Result<FeedAnswer, ApiError> {
        self.post("/v1/calls/events", &events).await
    }

    // What anybody reads.

    /// The whole roster, as of one seq.
    pub async fn presence(&self) -> Result<Presence, ApiError> {
        self.get("/v1/presence").await
    }

    pub async fn agent_presence(&self, agent: &AgentId) -> Result<Written, ApiError> {
        self.get(&format!("/v1/agents/{}/presence", segment(agent.as_str()))).await
    }

    pub async fn eligibility(
        &self,
        agent: &AgentId,
        queue: Option<&QueueId>,
    ) -> Result<Eligibility, ApiError> {
        let path = format!("/v1/agents/{}/eligibility", segment(agent.as_str()));
        match queue {
            Some(queue) => self.get(&format!("{path}?queue_id={}", segment(queue.as_str()))).await,
            None => self.get(&path).await,
        }
    }

    pub async fn ticket(&self) -> Result<Ticket, ApiError> {
        self.post("/v1/tickets", &Map::new()).await
    }

    /// Any document, such as `/version` or `/v1/whoami`.
    pub async fn document(&self, path: &str) -> Result<Value, ApiError> {
        self.get(path).await
    }

    /// A page that is no JSON, such as `/metrics`.
    pub async fn text(&self, path: &str) -> Result<String, ApiError> {
        let body = self.http.send(Method::GET, path, None).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    // What administrators do.

    /// Makes the agent, or makes it this.
    pub async fn put_agent(&self, agent: &AgentId, fields: &Value) -> Result<Written, ApiError> {
        self.write(Method::PUT, &format!("/v1/agents/{}", segment(agent.as_str())), fields).await
    }

    /// Makes the queue, or makes its settings these.
    pub async fn put_queue(&self, queue: &QueueId, settings: &Value) -> Result<Written, ApiError> {
        self.write(Method::PUT, &format!("/v1/queues/{}", segment(queue.as_str())), settings).await
    }

    /// Makes the pause reason, or makes it this.
    pub async fn put_reason(&self, reason: &ReasonId, fields: &Value) -> Result<Written, ApiError> {
        self.write(Method::PUT, &format!("/v1/pause-reasons/{}", segment(reason.as_str())), fields).await
    }

    /// All keys this one may see, never their secrets.
    pub async fn keys(&self) -> Result<Vec<Value>, ApiError> {
        self.list("/v1/keys").await
    }

    pub async fn make_key(&self, fields: &Value) -> Result<Value, ApiError> {
        self.post("/v1/keys", fields).await
    }

    pub async fn drop_key(&self, id: &str) -> Result<(), ApiError> {
        self.http.send(Method::DELETE, &format!("/v1/keys/{}", segment(id)), None).await.map(drop)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let body = self.http.send(Method::GET, path, None).await?;
        decode(&Method::GET, path, &body)
    }

    /// Every entry of a list, page by page.
    async fn list(&self, path: &str) -> Result<Vec<Value>, ApiError> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let after =
                cursor.map_or(String::new(), |cursor: String| format!("&cursor={}", segment(&cursor)));
            let page: Page = self.get(&format!("{path}?limit={PAGE_ENTRIES}{after}")).await?;
            all.extend(page.data);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(all),
            }
        }
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ApiError> {
        self.write(Method::POST, path, body).await
    }

    async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        let undoable =
            |error: serde_json::Error| ApiError::Decode { request: path.to_owned(), why: error.to_string() };
        let body = serde_json::to_vec(body).map_err(undoable)?;
        let answer = self.http.send(method.clone(), path, Some(body)).await?;
        decode(&method, path, &answer)
    }
}

fn decode<T: DeserializeOwned>(method: &Method, path: &str, body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::Decode { request: format!("{method} {path}"), why: error.to_string() })
}

fn offer_body(fence: Fence, step: &OfferStep) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("fence".to_owned(), fence.to_string().into());
    match step {
        OfferStep::Ringing { leg_call_id } | OfferStep::Answer { leg_call_id } => {
            if let Some(leg) = leg_call_id {
                body.insert("leg_call_id".to_owned(), leg.as_str().into());
            }
        }
        OfferStep::Failed { code } => {
            body.insert("code".to_owned(), (*code).into());
        }
        OfferStep::Extend { lease_ms } => {
            body.insert("lease_ms".to_owned(), (*lease_ms).into());
        }
        OfferStep::Reject | OfferStep::Busy | OfferStep::NoAnswer | OfferStep::Cancel => {}
    }
    body
}

#[cfg(test)]
mod tests {
    use ringfence_core::CallId;
    use ringfence_core::offer::Fence;
    use serde_json::Value;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::{Api, OfferStep, offer_body};
    use crate::Credential;

    /// Answers one request per connection with these bodies, and says what was asked.
    async fn answering(listener: TcpListener, bodies: [&str; 2]) -> Vec<String> {
        let mut asked = Vec::new();
        for body in bodies {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            asked.push(String::from_utf8(request).unwrap().lines().next().unwrap().to_owned());
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
        asked
    }

    #[tokio::test]
    async fn a_list_is_read_to_its_last_page() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = Api::new(listener.local_addr().unwrap().into(), Credential::new("sk_test"));
        let pages = [r#"{"data":[{"id":"a"},{"id":"b"}],"next_cursor":"b/c"}"#, r#"{"data":[{"id":"d"}]}"#];
        let (keys, asked) = tokio::join!(api.keys(), answering(listener, pages));
        let ids: Vec<String> =
            keys.unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids, ["a", "b", "d"]);
        let lines = ["GET /v1/keys?limit=500 HTTP/1.1", "GET /v1/keys?limit=500&cursor=b%2Fc HTTP/1.1"];
        assert_eq!(asked, lines);
    }

    #[test]
    fn every_step_says_its_token_and_what_belongs_to_it() {
        let fence = Fence { term: 5, n: 7 };
        let body = |step| Value::Object(offer_body(fence, &step));
        assert_eq!(body(OfferStep::Reject), serde_json::json!({"fence": "5.7"}));
        assert_eq!(body(OfferStep::Failed { code: 480 }), serde_json::json!({"fence": "5.7", "code": 480}));
        let leg_call_id = CallId::parse("leg").ok();
        assert_eq!(
            body(OfferStep::Answer { leg_call_id }),
            serde_json::json!({"fence": "5.7", "leg_call_id": "leg"})
        );
    }
}
