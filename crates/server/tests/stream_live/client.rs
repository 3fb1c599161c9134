#![cfg(test)]
//! A reference client of the websocket: a table per view, and an error where a real one would ask again.

use std::collections::BTreeMap;

use futures_util::{SinkExt, StreamExt};
use ringfence_wire::frame::SUBPROTOCOL_JSON;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::table::Table;
use crate::world::{DEV_KEY, PATIENCE, World};

pub struct Client {
    pub socket: WebSocketStream<TcpStream>,
    pub hello: Value,
    pub views: BTreeMap<String, Table>,
    pub protocol: Option<String>,
}

/// What came.
#[derive(Debug)]
pub enum Got {
    Frame(Value),
    Closed(Option<u16>),
}

/// How to connect.
#[derive(Debug, Clone, Default)]
pub struct Dial {
    pub query: String,
    pub headers: Vec<(&'static str, String)>,
}

impl Dial {
    pub fn key(key: &str) -> Self {
        Self::default().header("authorization", format!("Bearer {key}"))
    }

    pub fn query(mut self, query: impl Into<String>) -> Self {
        self.query = query.into();
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The client after its hello, or the status and code it was refused with.
    pub async fn connect(self, world: &World) -> Result<Client, (u16, String)> {
        let stream = TcpStream::connect(world.addr).await.unwrap();
        self.over(stream, world).await
    }

    pub async fn over(self, stream: TcpStream, world: &World) -> Result<Client, (u16, String)> {
        let mut request =
            format!("ws://{}/v1/stream{}", world.addr, self.query).into_client_request().unwrap();
        for (name, value) in &self.headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let (socket, response) = match client_async(request, stream).await {
            Ok(opened) => opened,
            Err(Error::Http(response)) => {
                let body: Value = serde_json::from_slice(response.body().as_deref().unwrap_or_default())
                    .unwrap_or_default();
                return Err((
                    response.status().as_u16(),
                    body["code"].as_str().unwrap_or_default().to_owned(),
                ));
            }
            Err(error) => panic!("{error}"),
        };
        let protocol =
            response.headers().get("sec-websocket-protocol").map(|value| value.to_str().unwrap().to_owned());
        let mut client = Client { socket, hello: Value::Null, views: BTreeMap::new(), protocol };
        client.hello = client.frame().await;
        assert_eq!(client.hello["type"], "hello");
        Ok(client)
    }
}

impl Client {
    /// With the development key, and the subprotocol.
    pub async fn new(world: &World) -> Self {
        Dial::key(DEV_KEY).header("sec-websocket-protocol", SUBPROTOCOL_JSON).connect(world).await.unwrap()
    }

    pub async fn send(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
    }

    pub async fn got(&mut self) -> Got {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.expect("the server says something");
            match message {
                Some(Ok(Message::Text(text))) => return Got::Frame(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => return Got::Closed(frame.map(|frame| frame.code.into())),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => panic!("{other:?}"),
                Some(Err(_)) | None => return Got::Closed(None),
            }
        }
    }

    /// The next frame, taken into the table it is for.
    pub async fn frame(&mut self) -> Value {
        match self.got().await {
            Got::Frame(frame) => {
                self.take(&frame);
                frame
            }
            Got::Closed(code) => panic!("closed with {code:?}"),
        }
    }

    /// Frames until one of this type, which is returned.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// The code the server closes with; what it says before is read and thrown away.
    pub async fn close_code(&mut self) -> Option<u16> {
        loop {
            if let Got::Closed(code) = self.got().await {
                return code;
            }
        }
    }

    /// Subscribes, and returns the answer.
    pub async fn subscribe(&mut self, mut subscribe: Value) -> Value {
        subscribe["type"] = json!("subscribe");
        subscribe["id"] = json!("s");
        self.send(subscribe).await;
        loop {
            let frame = self.frame().await;
            if frame["id"] == "s" {
                return frame;
            }
        }
    }

    /// The account, in the clear, to its first full table.
    pub async fn watch_all(&mut self) {
        let subscribed = self.subscribe(json!({ "view": all_object(), "class": 0 })).await;
        assert_eq!(subscribed["how"], "snapshot", "{subscribed}");
        self.settle(ALL, 0).await;
    }

    /// Goes on with a table of another connection.
    pub async fn resume_all(&mut self, table: Table) -> Value {
        let since = json!({ "epoch": table.epoch, "seq": table.seq });
        self.views.insert(ALL.to_owned(), table);
        self.subscribe(json!({ "view": all_object(), "class": 0, "since": since })).await
    }

    /// Reads until the view's table is whole and at `seq`.
    pub async fn settle(&mut self, view: &str, seq: u64) -> &Table {
        while !self.views.get(view).is_some_and(|table| table.seen.snapshots > 0 && table.seq >= seq) {
            self.frame().await;
        }
        &self.views[view]
    }

    pub fn all(&self) -> &Table {
        &self.views[ALL]
    }

    fn take(&mut self, frame: &Value) {
        match frame["type"].as_str().unwrap() {
            "snapshot" | "delta" | "reset" => {
                let table = self.views.entry(frame["view"].as_str().unwrap().to_owned()).or_default();
                table.take(frame).unwrap_or_else(|wrong| panic!("{wrong}: {frame}"));
            }
            "heartbeat" => {
                for entry in frame["views"].as_array().unwrap() {
                    let table = self.views.get_mut(entry[0].as_str().unwrap()).expect("a view we watch");
                    table.beat(entry).unwrap_or_else(|wrong| panic!("{wrong}"));
                }
            }
            "hello" | "subscribed" | "error" | "bye" => {}
            other => panic!("{other}"),
        }
    }
}

/// Canonical text of the whole account in the clear.
pub const ALL: &str = "account;full";

fn all_object() -> Value {
    json!({ "account": true, "profile": "full" })
}
