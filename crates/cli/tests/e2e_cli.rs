//! The command as a person or a service manager meets it: exit codes, what is said where, and what a key may do.

#![cfg(test)]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Output};

use common::process::Running;
use common::serve::{DEV_KEY, ringfence};
use common::{DEADLINE, Serve, TempDir, id, ports, staff};
use ringfence_client::{Api, ApiError, Credential, Reserve, ServerUrl, Stream, StreamOptions, Update};
use ringfence_core::AccountId;
use ringfence_wire::ViewSpec;
use serde_json::{Value, json};

const ACCOUNT: &str = "acme";

fn run(command: &mut Command) -> Output {
    command.output().expect("ringfence")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// stdout is data: what a program reads.
fn data(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {}", output.status, said(output));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

/// A server that is expected not to start, so that it needs no guard.
fn serve(data: &Path, listen: SocketAddr) -> Command {
    let mut command = ringfence();
    command.arg("serve").args(["--listen", &listen.to_string()]).arg("--data").arg(data);
    command
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()))
}

#[test]
fn a_flag_that_is_none_is_bad_usage() {
    let output = run(ringfence().args(["serve", "--lisen", "127.0.0.1:1"]));
    assert_eq!(code(&output), Some(2));
    assert!(output.stdout.is_empty(), "stdout is data");
    let said = said(&output);
    assert!(said.contains("--lisen") && said.contains("'--listen'"), "{said}");
    assert_eq!(code(&run(ringfence().arg("sevre"))), Some(2));
    assert_eq!(code(&run(ringfence().args(["serve", "--durability", "maybe"]))), Some(2));
}

#[test]
fn a_bad_configuration_file_is_refused_with_its_line_and_a_suggestion() {
    let dir = TempDir::new("config");
    let file = dir.join("ringfence.toml");
    let refused = |text: &str| {
        std::fs::write(&file, text).expect("a file");
        let output = run(ringfence().args(["serve", "--config"]).arg(&file));
        assert_eq!(code(&output), Some(2), "{}", said(&output));
        said(&output)
    };
    let text = refused("# a comment\ndurability = \"sync\"\nlisten_at = \"127.0.0.1:1\"\n");
    assert!(text.contains("ringfence.toml:3: ") && text.contains("did you mean `listen`?"), "{text}");
    let text = refused("durability = \"memory\"\nheartbeat_ms = \"soon\"\n");
    assert!(text.contains("ringfence.toml:2: "), "{text}");
    let missing = run(ringfence().args(["serve", "--config"]).arg(dir.join("none.toml")));
    assert_eq!(code(&missing), Some(2));
    assert!(said(&missing).contains("none.toml"), "{}", said(&missing));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_has_one_server() {
    let dir = TempDir::new("two");
    let mut first = Serve::new(dir.path());
    first.start().await;
    let mut command = serve(&first.data, loopback());
    let (mut second, _) = Running::start_talking("second", &mut command, dir.path());
    assert_eq!(second.end(DEADLINE).await.code(), Some(1));
    let said = second.talk();
    assert!(said.contains(&first.data.display().to_string()), "it names the directory: {said}");
    assert!(
        ["another process", "in use", "open already", "already open"].iter().any(|why| said.contains(why)),
        "{said}"
    );
    first.api(ACCOUNT).presence().await.expect("the first goes on");
    let offline = run(ringfence().args(["key", "list", "--data"]).arg(&first.data));
    assert_eq!(code(&offline), Some(1), "nor do keys get read behind its back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_server_says_goodbye_and_exits_0() {
    let dir = TempDir::new("term");
    let mut server = Serve::new(dir.path());
    server.start().await;
    let api = server.api(ACCOUNT);
    staff::hire(&api, "a0", 0).await;
    let mut stream = Stream::new(api.clone(), StreamOptions::new("account".parse().expect("a view")));
    let next = async |stream: &mut Stream| {
        tokio::time::timeout(DEADLINE, stream.next()).await.expect("news in time").expect("a stream")
    };
    loop {
        if let Update::Changed(changed) = next(&mut stream).await
            && changed.whole
        {
            break;
        }
    }
    server.running().terminate();
    let why = loop {
        if let Update::Offline { why, retry_in } = next(&mut stream).await {
            assert!(retry_in.is_some(), "it may come back: {why}");
            break why;
        }
    };
    assert!(why.contains("4200"), "the close code of a drain: {why}");
    assert_eq!(server.running().end(DEADLINE).await.code(), Some(0));
    server.start().await;
    let found = server.api(ACCOUNT).presence().await.expect("the roster");
    assert_eq!(found.agents.len(), 1, "what was there is there again");
    let resumed = loop {
        match next(&mut stream).await {
            Update::Connected => break stream.board().counters(),
            Update::Offline { .. } | Update::Changed(_) | Update::Stale | Update::Beat => {}
        }
    };
    assert_eq!((resumed.snapshots, resumed.resyncs), (1, 0), "it went on from where it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_address_needs_a_key() {
    let dir = TempDir::new("public");
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, ports::free()));
    let mut command = serve(&dir.join("data"), everywhere);
    let (mut refused, _) = Running::start_talking("public", &mut command, dir.path());
    assert_eq!(refused.end(DEADLINE).await.code(), Some(1));
    let said = refused.talk();
    assert!(said.contains("ringfence key create"), "it says what to do: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_does_what_its_scopes_say_and_no_more() {
    let dir = TempDir::new("keys");
    let data_dir = dir.join("data");
    let create = |scopes: &str, account: &[&str]| {
        let mut command = ringfence();
        command.args(["key", "create", "--scopes", scopes, "-o", "json"]).args(account);
        command
    };
    let secret = |made: &Value| made["key"].as_str().unwrap_or_else(|| panic!("a key in {made}")).to_owned();
    let offline = |mut command: Command| data(&run(command.arg("--data").arg(&data_dir)));
    let reader = offline(create("presence:read", &["--account", ACCOUNT]));
    let admin = offline(create("admin", &[]));

    let addr = loopback();
    let mut command = serve(&data_dir, addr);
    let (_running, lines) = Running::start_talking("ringfence", &mut command, dir.path());
    let line = tokio::task::spawn_blocking(move || lines.recv_timeout(DEADLINE)).await.expect("a thread");
    assert_eq!(line.expect("a line"), format!("listening on http://{addr}"));
    let api = |key: &str| Api::new(ServerUrl::from(addr), Credential::new(key));

    let reading = api(&secret(&reader));
    assert_eq!(reading.presence().await.expect("what it may read").agents, []);
    forbidden(reading.reserve_queue(&id("q"), &Reserve::new(id("c"))).await, "router");
    forbidden(reading.put_agent(&id("a"), &json!({})).await, "agents:manage");
    forbidden(reading.ticket().await, "wallboard");
    let elsewhere = reading.for_account(id::<AccountId>("other")).presence().await;
    assert_eq!(elsewhere.expect_err("another's account").status(), Some(404));

    let url = format!("http://{addr}");
    let root = secret(&admin);
    let remote = ["--server", url.as_str(), "--key", root.as_str(), "--account", ACCOUNT];
    let router = run(&mut create("router,presence:read", &remote));
    let router = data(&router);
    let routing = api(&secret(&router));
    let refused = routing.reserve_queue(&id("q"), &Reserve::new(id("c"))).await.expect_err("no such queue");
    assert_eq!(refused.status(), Some(404), "its scope is enough: {refused}");
    let listed = data(&run(ringfence().args(["key", "list", "-o", "json"]).args(remote)));
    assert_eq!(listed.as_array().map(Vec::len), Some(3), "{listed}");
    assert!(!listed.to_string().contains("sk_"), "no secret is shown twice");
    let revoked =
        run(ringfence().args(["key", "revoke", router["id"].as_str().expect("an id")]).args(remote));
    assert_eq!(code(&revoked), Some(0), "{}", said(&revoked));
    let refused = routing.presence().await.expect_err("a revoked key");
    assert_eq!(refused.status(), Some(401));
    let unknown = run(&mut create("routr", &remote));
    assert_eq!(code(&unknown), Some(2));
    assert!(said(&unknown).contains("did you mean `router`?"), "{}", said(&unknown));
}

fn forbidden<T: std::fmt::Debug>(answer: Result<T, ApiError>, scope: &str) {
    match answer {
        Err(ApiError::Problem { status: 403, code, body, .. }) => {
            assert_eq!((code.as_str(), &body["scope"]), ("missing_scope", &json!(scope)), "{body}");
        }
        other => panic!("not refused for want of {scope}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_command_prints_the_board_once() {
    let dir = TempDir::new("stream");
    let mut server = Serve::new(dir.path());
    server.start().await;
    staff::hire(&server.api(ACCOUNT), "a0", 0).await;
    let url = server.url();
    let remote = ["--server", url.as_str(), "--key", DEV_KEY, "--account", ACCOUNT];
    let output = run(ringfence().args(["stream", "--once"]).args(remote));
    assert_eq!(code(&output), Some(0), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    let last: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["type"], &last["agents"][0]["agent_id"]), (&json!("snapshot"), &json!("a0")), "{text}");
    assert!("account".parse::<ViewSpec>().is_ok());
    let bad = run(ringfence().args(["stream", "--once", "--view", "planet"]).args(remote));
    assert_eq!(code(&bad), Some(2), "{}", said(&bad));
}

#[test]
fn the_demo_checks_itself() {
    let output = run(ringfence().args(["demo", "--check", "5", "--listen", &loopback().to_string()]));
    assert_eq!(code(&output), Some(0), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    let summary: Value = serde_json::from_str(text.lines().last().expect("a summary")).expect("JSON");
    println!("{summary}");
    assert_eq!((&summary["ok"], &summary["counts"]["double_offers"]), (&json!(true), &json!(0)), "{summary}");
    assert!(summary["counts"]["answered"].as_u64() > Some(0), "calls were answered: {summary}");
}
