//! sip.io's own calls.

use serde_json::{Value, json};

use crate::client::Request;
use crate::server::{DEV_KEY, dev, problem, serving};

const ACCOUNT: &str = "acc_01jf18ah3jeb5w6dfp27sgjsbt";
/// The body of the document's curl, as it stands there.
const CURL: &str = r#"{ "accountId": "acc_01jf18ah3jeb5w6dfp27sgjsbt", "userId": 1001, "event": "available", "queues": [ { "queueId": "q_01j160r23gw5zkpfjme3fwzs5k", "level": 1 }, { "queueId": "q_01jx67hmyhnks8yq7m76g5qrrj", "level": 2 } ] }"#;

#[tokio::test]
async fn the_documents_curl_works_on_an_empty_server() {
    serving(dev(), async |server| {
        let post = Request::new("POST", "/agent").text("application/json", CURL);
        let reply = server.send(post).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let get = format!("/agent?accountId={ACCOUNT}&userId=1001");
        let live = server.send(Request::new("GET", &get)).await.json();
        assert_eq!((&live["accountId"], &live["userId"]), (&json!(ACCOUNT), &json!(1001)));
        assert_eq!(
            (&live["status"], &live["state"], &live["reachable"]),
            (&json!("available"), &json!("waiting"), &json!(false))
        );
        assert_eq!(
            (&live["bucket"], &live["code"], &live["tile"]),
            (&json!("unreachable"), &json!("unreachable"), &json!("offline"))
        );
        let queues = live["queues"].as_array().unwrap();
        let levels: Vec<_> =
            queues.iter().map(|queue| (queue["queueId"].as_str().unwrap(), queue["level"].clone())).collect();
        assert_eq!(levels.len(), 2);
        assert!(levels.contains(&("q_01j160r23gw5zkpfjme3fwzs5k", json!(1))));
        assert!(levels.contains(&("q_01jx67hmyhnks8yq7m76g5qrrj", json!(2))));
        let again = server.send(Request::new("POST", "/agent").text("application/json", CURL)).await.json();
        assert_eq!(again["changed"], false);
    })
    .await;
}

#[tokio::test]
async fn the_documents_pause_reason_is_taken_as_it_stands() {
    serving(dev(), async |server| {
        let reason = json!({
            "id": "pr_01jy2jaazhf1kxbnpepe22atz1", "account_id": ACCOUNT, "name": "Lunch",
            "allow_inbound": 0, "allow_outbound": 1
        });
        let put = Request::new("PUT", "/v1/pause-reasons/pr_01jy2jaazhf1kxbnpepe22atz1")
            .key(DEV_KEY)
            .header("x-account-id", ACCOUNT)
            .json(&reason);
        assert_eq!(server.send(put).await.status, 200);
        server.send(Request::new("POST", "/agent").text("application/json", CURL)).await;
        let pause = json!({ "accountId": ACCOUNT, "userId": 1001, "event": "pause", "reason": "pr_01jy2jaazhf1kxbnpepe22atz1" });
        let live = server.send(Request::new("POST", "/agent").json(&pause)).await.json();
        assert_eq!((&live["status"], &live["pauseReason"]["name"]), (&json!("on_break"), &json!("Lunch")));
        let roster = server.send(Request::new("GET", &format!("/presence?accountId={ACCOUNT}"))).await.json();
        assert_eq!(roster["agents"].as_array().map(Vec::len), Some(1));
        assert_eq!(roster["buckets"]["unreachable"], 1);
    })
    .await;
}

#[tokio::test]
async fn a_form_is_read_like_json() {
    serving(dev(), async |server| {
        let form = "accountId=acme&userId=082018&event=available&queues=%5B%7B%22queueId%22%3A%22q1%22%2C%22level%22%3A3%7D%5D";
        let post = Request::new("POST", "/agent").text("application/x-www-form-urlencoded", form);
        let live = server.send(post).await.json();
        assert_eq!(live["userId"], "082018");
        assert_eq!(live["queues"], json!([{ "queueId": "q1", "level": 3, "position": 0 }]));
        // curl -d says it is a form when nobody says otherwise.
        let json = Request::new("POST", "/agent").text("application/x-www-form-urlencoded", CURL);
        assert_eq!(server.send(json).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn presence_events_register_talk_and_log_in() {
    serving(dev(), async |server| {
        let event = async |body: Value| server.must(200, "POST", "/presence/event", body).await;
        event(json!({ "type": "agent", "userId": 1001, "event": "login", "queues": [{ "queueId": "q1", "level": 1 }] })).await;
        server.register("1001").await;
        let live = server.must(200, "GET", "/agent?userId=1001", Value::Null).await;
        assert_eq!((&live["reachable"], &live["code"]), (&json!(true), &json!("ready")));
        event(json!({ "type": "dialog", "event": "start", "callId": "c1", "userId": 1001, "direction": "outbound" })).await;
        let ready = server.must(200, "GET", "/presence?bucket=extcall", Value::Null).await;
        assert_eq!(ready["agents"][0]["bucket"], "external_call");
        event(json!({ "type": "dialog", "event": "end", "callId": "c1", "userId": 1001 })).await;
        event(json!({ "type": "register", "aor": "1001@acme.test" })).await;
        let live = server.must(200, "GET", "/agent?userId=1001", Value::Null).await;
        assert_eq!(live["bucket"], "unreachable");
    })
    .await;
}

#[tokio::test]
async fn without_a_credential_only_a_person_on_this_machine_is_believed() {
    serving(dev(), async |server| {
        let post = || Request::new("POST", "/agent").text("application/json", CURL);
        let from_page = server.send(post().header("origin", "https://evil.example")).await;
        problem(&from_page, 401, "unauthorized");
        let by_name = server.send(post().header("host", "rebound.example:7800")).await;
        problem(&by_name, 401, "unauthorized");
        let native = server.send(Request::new("GET", "/v1/presence")).await;
        problem(&native, 401, "unauthorized");
        assert_eq!(server.send(post().header("host", "localhost:7800")).await.status, 200);
        assert_eq!(server.send(post().header("host", "[::1]:7800")).await.status, 200);
    })
    .await;
}
