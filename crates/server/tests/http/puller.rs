//! A registrar whose bindings are read as a whole.

use std::net::SocketAddr;

use ringfence_server::{KamailioSource, ServerConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::client::Request;
use crate::server::{DEV_KEY, dev, loopback, serving};

const EPOCH: &str = include_str!("../../../feeds/tests/samples/kamailio/epoch.json");
const DUMP: &str = include_str!("../../../feeds/tests/samples/kamailio/ul_dump.json");

/// A Kamailio as far as it is asked: `GET /v1/epoch` and `POST /RPC`, one request per connection.
async fn kamailio(tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            answer(stream).await;
        }
    });
    addr
}

async fn answer(mut stream: TcpStream) {
    let mut heard = Vec::new();
    let asks_for_the_dump = loop {
        if heard.ends_with(b"\r\n\r\n") && heard.starts_with(b"GET /v1/epoch ") {
            break false;
        }
        if heard.starts_with(b"POST /RPC ") && heard.ends_with(b"}") {
            break true;
        }
        if stream.read_buf(&mut heard).await.unwrap() == 0 {
            return;
        }
    };
    let body = if asks_for_the_dump { DUMP } else { EPOCH };
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
}

#[tokio::test]
async fn what_is_pulled_is_said_in_the_name_of_the_key_it_posts_with() {
    let mut tasks = JoinSet::new();
    let url = format!("http://{}", kamailio(&mut tasks).await);
    let account = "acme".parse().unwrap();
    let source = KamailioSource { account, endpoint: "key_7".to_owned(), url };
    serving(ServerConfig { kamailio: vec![source], ..dev() }, async |server| {
        let roster = loop {
            let roster = Request::new("GET", "/v1/presence").key(DEV_KEY).header("x-account-id", "acme");
            let roster = server.send(roster).await.json();
            if roster["agents"].as_array().is_some_and(|agents| agents.len() == 7) {
                break roster;
            }
            tokio::task::yield_now().await;
        };
        let rows = roster["agents"].as_array().unwrap();
        for row in rows {
            let by = json!({ "type": "registrar", "id": "key_7" });
            assert_eq!((&row["live"]["reachable"], &row["live"]["changed_by"]), (&json!(true), &by), "{row}");
        }
        let other = server.must(200, "GET", "/v1/presence", Value::Null).await;
        assert_eq!(other["agents"], json!([]), "another account knows nothing of it");
    })
    .await;
}
