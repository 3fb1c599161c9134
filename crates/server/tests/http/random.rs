//! Bodies nobody would write.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use crate::client::{Reply, Request};
use crate::server::{DEV_KEY, Running, dev, serving};

/// Every route that writes, in turn with random ids.
const WRITES: &[(&str, &str)] = &[
    ("PUT", "/v1/agents/{}"),
    ("DELETE", "/v1/agents/{}"),
    ("PUT", "/v1/queues/{}"),
    ("DELETE", "/v1/queues/{}"),
    ("PUT", "/v1/pause-reasons/{}"),
    ("DELETE", "/v1/pause-reasons/{}"),
    ("PUT", "/v1/settings"),
    ("POST", "/v1/agents/{}/events"),
    ("POST", "/v1/queues/{}/reserve"),
    ("POST", "/v1/agents/{}/reserve"),
    ("POST", "/v1/offers/{}/ringing"),
    ("POST", "/v1/offers/{}/answer"),
    ("POST", "/v1/offers/{}/reject"),
    ("POST", "/v1/offers/{}/busy"),
    ("POST", "/v1/offers/{}/no-answer"),
    ("POST", "/v1/offers/{}/failed"),
    ("POST", "/v1/offers/{}/cancel"),
    ("POST", "/v1/offers/{}/extend"),
    ("POST", "/v1/calls/{}/end"),
    ("POST", "/v1/registrar/events"),
    ("PUT", "/v1/registrar/snapshot"),
    ("POST", "/v1/calls/events"),
    ("POST", "/v1/tickets"),
    ("POST", "/v1/keys"),
    ("DELETE", "/v1/keys/{}"),
    ("POST", "/agent"),
    ("POST", "/presence/event"),
];

/// Fields of all bodies: random names alone would never get past the first check.
const FIELDS: &[&str] = &[
    "event",
    "queues",
    "queue_id",
    "queueId",
    "tier",
    "level",
    "sec",
    "when",
    "expected_seq",
    "reason_id",
    "call_id",
    "offer_id",
    "lease_ms",
    "fence",
    "leg_call_id",
    "code",
    "agent_id",
    "source",
    "epoch",
    "seq",
    "at",
    "kind",
    "aor",
    "contacts",
    "bindings",
    "cut",
    "id",
    "uri",
    "expires_at",
    "name",
    "capacity",
    "addresses",
    "type",
    "target",
    "extension",
    "scopes",
    "account_id",
    "accountId",
    "userId",
    "paused_inbound",
    "strategy",
    "wrap_up_sec",
];

const WORDS: &[&str] = &[
    "login",
    "available",
    "pause",
    "extend_wrap_up",
    "start",
    "end",
    "bindings",
    "gone",
    "call",
    "heartbeat",
    "inbound",
    "register",
    "dialog",
    "agent",
    "1001",
    "1001@acme.test",
    "1.1",
    "18446744073709551615.18446744073709551615",
    "",
    "tel",
    "+1555",
    "admin",
    "now",
    "none",
    "\u{0}",
    "ü",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(WORDS).prop_map(Value::from),
        ".{0,80}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let fields = vec((prop::sample::select(FIELDS), inner.clone()), 0..6);
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::from),
            fields.prop_map(|fields| {
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
            }),
        ]
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let fields = vec((prop::sample::select(FIELDS), value()), 0..6);
    let object = fields.prop_map(|fields| {
        let map: Map<_, _> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Value::from(map)
    });
    prop_oneof![
        4 => object.prop_map(|value| value.to_string().into_bytes()),
        2 => value().prop_map(|value| value.to_string().into_bytes()),
        1 => vec(any::<u8>(), 0..200),
        1 => (object_text(), 0..200_usize).prop_map(|(text, cut)| text.into_bytes().into_iter().take(cut).collect()),
    ]
}

fn object_text() -> impl Strategy<Value = String> {
    value().prop_map(|value| value.to_string())
}

#[derive(Debug, Clone)]
struct Case {
    route: usize,
    id: String,
    query: String,
    kind: &'static str,
    body: Vec<u8>,
}

const KINDS: &[&str] = &[
    "application/json",
    "application/x-ndjson",
    "application/x-www-form-urlencoded",
    "text/plain",
    "\"",
    "",
];

fn case() -> impl Strategy<Value = Case> {
    let id = prop_oneof![Just("1001".to_owned()), Just("q1".to_owned()), "[ -~]{0,70}", ".{1,20}"];
    let query = prop_oneof![3 => Just(String::new()), 1 => "[a-z=&%0-9;]{0,30}"];
    (0..WRITES.len(), id, query, prop::sample::select(KINDS), body())
        .prop_map(|(route, id, query, kind, body)| Case { route, id, query, kind, body })
}

fn request(case: &Case) -> Request {
    let (method, path) = WRITES[case.route];
    let id: String = case.id.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let mut target = path.replace("{}", &id);
    if !case.query.is_empty() {
        target += &format!("?{}", case.query);
    }
    let mut request = Request::new(method, &target).key(DEV_KEY).header("content-type", case.kind);
    request.body.clone_from(&case.body);
    request
}

async fn check(server: &Running, case: &Case) -> Result<(), TestCaseError> {
    let before = server.seq().await;
    let reply = server.send(request(case)).await;
    prop_assert!(reply.status < 500, "{} {}", reply.status, reply.text());
    if reply.status >= 400 {
        prop_assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{}", reply.text());
    }
    if reply.status >= 400 || took_nothing(&reply) {
        prop_assert_eq!(server.seq().await, before, "{} {}", reply.status, reply.text());
    }
    Ok(())
}

/// A feed's answer that says it accepted none.
fn took_nothing(reply: &Reply) -> bool {
    serde_json::from_slice::<Value>(&reply.body).is_ok_and(|answer| answer["accepted"] == 0)
}

const CASES: u32 = 600;

#[tokio::test(flavor = "multi_thread")]
async fn no_body_breaks_the_server_and_a_refused_one_changes_nothing() {
    let mut config = dev();
    // Not what is looked at here.
    config.limits.requests.requests = u32::MAX;
    serving(config, async |server| {
        server.ready("1001", serde_json::json!([{ "queue_id": "q1" }])).await;
        let plan = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        let now = Handle::current();
        let outcome = TestRunner::new(plan)
            .run(&case(), |case| tokio::task::block_in_place(|| now.block_on(check(server, &case))));
        outcome.unwrap();
    })
    .await;
}
