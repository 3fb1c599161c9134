//! One HTTP request over a connection of its own, for what the client crate does not ask: other servers, and the exact
//! status of a success.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer. A body that is not JSON is its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

pub async fn get(server: SocketAddr, path: &str, headers: &[(&str, &str)]) -> std::io::Result<Answer> {
    send(server, "GET", path, headers, "").await
}

pub async fn post(
    server: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> std::io::Result<Answer> {
    send(server, "POST", path, headers, &body.to_string()).await
}

pub async fn send(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Answer> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method != "GET" {
        head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await?;
    let mut received = Vec::new();
    loop {
        if let Some(answer) = whole(&received) {
            return Ok(answer);
        }
        if stream.read_buf(&mut received).await? == 0 {
            return whole(&received).ok_or_else(|| std::io::Error::other("the answer ends in the middle"));
        }
    }
}

/// The answer, once all of its body is there. Whoever leaves the connection open says how long the body is.
fn whole(received: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(received).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    if body.len() < length? {
        return None;
    }
    let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
    Some(Answer { status, body })
}
