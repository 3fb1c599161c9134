//! A server that is told to stop.

use ringfence::{Engine, Options};
use ringfence_server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::server::{DEV_KEY, dev};

#[tokio::test]
async fn a_request_under_way_is_answered_idle_connections_end_and_nobody_new_comes_in() {
    let engine = Engine::open(Options { create_on_first_use: true, ..Options::memory() }).await.unwrap();
    let bound = Server::bind(engine.clone(), dev()).unwrap();
    let addr = bound.addr();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(bound.run(async move {
        let _ = stopped.await;
    }));

    let mut idle = TcpStream::connect(addr).await.unwrap();
    let mut busy = TcpStream::connect(addr).await.unwrap();
    let body = r#"{"event":"login"}"#;
    let head = format!(
        "POST /v1/agents/1001/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {DEV_KEY}\r\n\
         expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    busy.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0_u8; 25];
    busy.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");

    drop(stop);
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    assert!(TcpStream::connect(addr).await.is_err());
    busy.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    server.await.unwrap().unwrap();
    engine.shutdown().await.unwrap();
}
