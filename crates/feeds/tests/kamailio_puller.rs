#![cfg(test)]
//! The puller against an HTTP server on loopback that answers as told: whole, late, short, too large, or not at all.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use ringfence_feeds::AdapterError;
use ringfence_feeds::kamailio::{
    Config, DUMP_BYTES_MAX, DUMP_TIMEOUT, EPOCH_BYTES_MAX, EPOCH_TIMEOUT, Puller,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const EPOCH: &[u8] = include_bytes!("samples/kamailio/epoch.json");
const DUMP: &[u8] = include_bytes!("samples/kamailio/ul_dump.json");

/// What the server does with one request.
enum Answer {
    Whole(StatusCode, Bytes),
    Never,
}

fn ok(body: &'static [u8]) -> Answer {
    Answer::Whole(StatusCode::OK, Bytes::from_static(body))
}

/// A registrar that gives these answers in turn, and keeps what it was asked.
struct Registrar {
    url: String,
    asked: Arc<Mutex<Vec<(String, Bytes)>>>,
    /// Ends with the test.
    _tasks: JoinSet<()>,
}

impl Registrar {
    async fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let mut tasks = JoinSet::new();
        let kept = Arc::clone(&asked);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, asked) = (Arc::clone(&answers), Arc::clone(&kept));
                connections.spawn(async move {
                    let service =
                        service_fn(|request| answer(request, Arc::clone(&answers), Arc::clone(&asked)));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { url, asked, _tasks: tasks }
    }

    fn puller(&self) -> Puller {
        Puller::new(&Config { url: self.url.clone() }).unwrap()
    }
}

async fn answer(
    request: Request<Incoming>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<(String, Bytes)>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let line = format!("{} {}", request.method(), request.uri());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    asked.lock().unwrap().push((line, body));
    let answer = answers.lock().unwrap().pop_front();
    match answer {
        Some(Answer::Whole(status, body)) => {
            Ok(Response::builder().status(status).body(Full::new(body)).unwrap())
        }
        Some(Answer::Never) | None => std::future::pending().await,
    }
}

/// A server that takes one request, writes these bytes, and hangs up.
async fn raw(response: Vec<u8>) -> (Puller, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(&response).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    (Puller::new(&Config { url }).unwrap(), tasks)
}

async fn check_refused(answers: Vec<Answer>, error: AdapterError) {
    let registrar = Registrar::answering(answers).await;
    assert_eq!(registrar.puller().pull().await, Err(error));
}

fn ms(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_millis()).unwrap()
}

#[tokio::test]
async fn a_pull_asks_three_questions_in_order() {
    let registrar = Registrar::answering([ok(EPOCH), ok(DUMP), ok(EPOCH)]).await;
    let pulled = registrar.puller().pull().await.unwrap();
    assert_eq!(Ok(pulled), ringfence_feeds::kamailio::snapshot(EPOCH, DUMP, EPOCH));
    let asked = registrar.asked.lock().unwrap().clone();
    let dump = Bytes::from_static(br#"{"jsonrpc":"2.0","method":"ul.dump","id":1}"#);
    let epoch = ("GET /v1/epoch".to_owned(), Bytes::new());
    assert_eq!(asked, [epoch.clone(), ("POST /RPC".to_owned(), dump), epoch]);
}

#[tokio::test]
async fn a_puller_pulls_again() {
    let answers = [ok(EPOCH), ok(DUMP), ok(EPOCH), ok(EPOCH), ok(DUMP), ok(EPOCH)];
    let registrar = Registrar::answering(answers).await;
    let puller = registrar.puller();
    assert_eq!(puller.pull().await, puller.pull().await);
}

#[tokio::test(start_paused = true)]
async fn an_epoch_that_never_comes_times_out() {
    let error = AdapterError::TimedOut { what: "GET /v1/epoch", ms: ms(EPOCH_TIMEOUT) };
    check_refused(vec![Answer::Never], error).await;
}

#[tokio::test(start_paused = true)]
async fn a_dump_that_never_comes_times_out() {
    let error = AdapterError::TimedOut { what: "ul.dump", ms: ms(DUMP_TIMEOUT) };
    check_refused(vec![ok(EPOCH), Answer::Never], error).await;
}

#[tokio::test]
async fn a_restart_in_between_is_told() {
    let later = br#"{"source":"kam1","epoch":1795324327902,"seq":0,"queued":0,"lost":0,"now":1795324328000}"#;
    let error = AdapterError::Restarted { before: 1_795_324_297_454, after: 1_795_324_327_902 };
    check_refused(vec![ok(EPOCH), ok(DUMP), ok(later)], error).await;
}

#[tokio::test]
async fn a_refusal_is_told_with_its_status() {
    let forbidden = || Answer::Whole(StatusCode::FORBIDDEN, Bytes::new());
    check_refused(vec![forbidden()], AdapterError::Refused { what: "GET /v1/epoch", status: 403 }).await;
    check_refused(vec![ok(EPOCH), forbidden()], AdapterError::Refused { what: "ul.dump", status: 403 }).await;
}

#[tokio::test]
async fn an_rpc_error_is_told_whatever_its_status() {
    let body: &[u8] = br#"{"jsonrpc":"2.0","error":{"code":500,"message":"Internal"},"id":1}"#;
    for status in [StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR] {
        let error = AdapterError::Rpc { what: "ul.dump", code: 500, message: "Internal".to_owned() };
        check_refused(vec![ok(EPOCH), Answer::Whole(status, Bytes::from_static(body)), ok(EPOCH)], error)
            .await;
    }
}

#[tokio::test]
async fn a_body_too_large_is_not_read() {
    let large = Answer::Whole(StatusCode::OK, Bytes::from(vec![b' '; EPOCH_BYTES_MAX + 1]));
    check_refused(vec![large], AdapterError::TooLarge { what: "GET /v1/epoch", limit: EPOCH_BYTES_MAX })
        .await;
}

#[tokio::test]
async fn a_body_too_large_that_does_not_say_so_is_not_read_to_its_end() {
    let mut response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2000\r\n".to_vec();
    response.extend_from_slice(&[b' '; 0x2000]);
    let (puller, _tasks) = raw(response).await;
    let error = AdapterError::TooLarge { what: "GET /v1/epoch", limit: EPOCH_BYTES_MAX };
    assert_eq!(puller.pull().await, Err(error));
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_told() {
    let mut response = b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n".to_vec();
    response.extend_from_slice(&EPOCH[..40]);
    let (puller, _tasks) = raw(response).await;
    let why = "90 were announced".to_owned();
    assert_eq!(puller.pull().await, Err(AdapterError::CutShort { what: "GET /v1/epoch", received: 40, why }));
}

#[tokio::test]
async fn a_body_whose_json_breaks_off_is_told() {
    let short = Answer::Whole(StatusCode::OK, Bytes::from_static(&DUMP[..2_000]));
    let why = "the JSON has no end".to_owned();
    let error = AdapterError::CutShort { what: "ul.dump", received: 2_000, why };
    check_refused(vec![ok(EPOCH), short, ok(EPOCH)], error).await;
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_told() {
    let (puller, _tasks) = raw(b"SIP/2.0 200 OK\r\n\r\n".to_vec()).await;
    let error = puller.pull().await.unwrap_err();
    assert!(matches!(error, AdapterError::Unreachable { what: "GET /v1/epoch", .. }), "{error}");
}

#[tokio::test]
async fn nobody_there_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = Puller::new(&Config { url }).unwrap().pull().await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn an_address_that_could_never_answer_is_refused() {
    for url in
        ["", "127.0.0.1:5060", "https://kam1:5060", "http://", "http://kam1:5060/?a=b", "udp://kam1", "a b"]
    {
        let error = Puller::new(&Config { url: url.to_owned() }).unwrap_err();
        assert!(matches!(error, AdapterError::BadUrl { .. }), "{url}: {error}");
    }
    for url in ["http://127.0.0.1:5060", "http://kam1/", "http://[::1]:5060/kam"] {
        assert!(Puller::new(&Config { url: url.to_owned() }).is_ok(), "{url}");
    }
}

#[test]
fn the_largest_snapshot_fits_the_largest_dump() {
    let bytes_per_contact = 540;
    assert!(DUMP_BYTES_MAX > bytes_per_contact * ringfence_wire::feed_snapshot::SNAPSHOT_CONTACTS_MAX);
}
