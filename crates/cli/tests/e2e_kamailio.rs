//! The whole of it, with nothing simulated: a real Kamailio, real phones, the server as it ships, curl, and a wallboard's
//! stream that must not miss anything while the server is killed under it.

#![cfg(test)]

mod common;

use std::collections::BTreeMap;
use std::time::Instant;

use common::kamailio::Kamailio;
use common::phones::Phones;
use common::process::Program;
use common::serve::{Headers, ringfence};
use common::{DEADLINE, Serve, TempDir, Watcher, agree, eventually, http, id};
use ringfence_client::{AgentEventBody, Api, ApiError, OfferStep, QueueChoiceBody, Reserve};
use ringfence_core::bucket::Bucket;
use ringfence_core::offer::Offer;
use ringfence_core::row::{AgentRow, StatusWord};
use ringfence_core::{AgentId, CallId, OfferId, QueueId};
use ringfence_wire::server::How;
use serde_json::{Value, json};

const CURL: Program = Program { name: "curl", package: "curl" };

// The seed's own words.
const ACCOUNT: &str = "acc_01jf18ah3jeb5w6dfp27sgjsbt";
const QUEUE: &str = "q_01j160r23gw5zkpfjme3fwzs5k";
const OTHER_QUEUE: &str = "q_01jx67hmyhnks8yq7m76g5qrrj";
const COMMAND: &str = r#"{ "accountId": "acc_01jf18ah3jeb5w6dfp27sgjsbt", "userId": 1001, "event": "available", "queues": [ { "queueId": "q_01j160r23gw5zkpfjme3fwzs5k", "level": 1 }, { "queueId": "q_01jx67hmyhnks8yq7m76g5qrrj", "level": 2 } ] }"#;

/// A queue nobody but 1002 and 1004 is in.
const SALES: &str = "sales";
/// Longer than the test takes: what ends an offer here is a step, never its lease.
const LEASE_MS: u64 = 120_000;

/// Everything that runs. Dropped in this order: whoever talks goes before whoever is talked to.
struct Stage {
    begun: Instant,
    watcher: Watcher,
    phones: Phones,
    kamailio: Kamailio,
    server: Serve,
    api: Api,
    _dir: TempDir,
}

/// What was acknowledged before the server was killed.
struct Acknowledged {
    rows: BTreeMap<AgentId, AgentRow>,
    /// The seed's agent, being rung.
    offer: Offer,
    /// In a call.
    call: Offer,
    seq: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_register_an_agent_is_reserved_and_nothing_is_lost_by_a_kill() {
    let mut stage = Stage::set().await;
    stage.phones_come().await;
    stage.the_seeds_command_makes_1001_ready().await;
    let offer = stage.a_queue_has_one_agent_and_gives_it_once().await;
    let before = stage.others_work(offer).await;
    stage.the_server_is_killed_and_comes_back(&before).await;
    stage.what_was_acknowledged_is_there(&before).await;
    stage.work_goes_on(&before).await;
    stage.a_lease_runs_out_and_a_phone_leaves().await;
    stage.an_administrator_removes_a_binding().await;
    stage.the_stream_and_the_api_agree().await;
}

impl Stage {
    async fn set() -> Self {
        let dir = TempDir::new("kamailio");
        let mut kamailio = Kamailio::new();
        let server = Serve::new(dir.path());
        let key = registrar_key(&server);
        let text = |name: &str| key[name].as_str().unwrap_or_else(|| panic!("`{name}` of {key}")).to_owned();
        // The endpoint of the events is the key they are posted with; so is that of the snapshots.
        let source = format!("{ACCOUNT}=http://{}#{}", kamailio.addr, text("id"));
        let mut server = server.arg("--kamailio", &source);
        server.start().await;
        kamailio.start(dir.path(), &server.url(), &text("key")).await;
        let phones = Phones::new(dir.path(), kamailio.addr);
        let (api, watcher) = (server.api(ACCOUNT), Watcher::start(server.addr, ACCOUNT));
        let stage = Self { begun: Instant::now(), watcher, phones, kamailio, server, api, _dir: dir };
        stage.says("the server, Kamailio and the stream are there");
        stage
    }

    fn says(&self, what: &str) {
        println!("{:>6} ms  {what}", self.begun.elapsed().as_millis());
    }

    async fn phones_come(&mut self) {
        self.phones.register((1001..=1100).filter(|user| *user != 1042), 300).await;
        self.phones.register([1042], 8).await;
        let all = self.watcher.until("100 agents are reachable", |history| match history.reached() {
            100 => Ok(history.board.table().agents().len()),
            some => Err(format!("{some} are")),
        });
        assert_eq!(all.await, 100, "agents there are");
        self.says("100 phones are registered, and so says the stream");
        // From here on the loss of these phones is more than "offline".
        for agent in ["1042", "1050", "1060", "1099"] {
            let written = self.api.event(&id(agent), &AgentEventBody::plain("available")).await.expect(agent);
            assert!(written.changed, "{agent} was offline");
        }
    }

    async fn the_seeds_command_makes_1001_ready(&self) {
        let url = format!("{}/agent", self.server.url());
        let mut curl = CURL.command();
        curl.args(["-sS", "-X", "POST", &url, "-H", "content-type: application/json", "-d", COMMAND]);
        let output =
            tokio::task::spawn_blocking(move || curl.output()).await.expect("a thread").expect("curl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let reply: Value = serde_json::from_slice(&output.stdout).expect("a JSON reply");
        let seen =
            (&reply["userId"], &reply["status"], &reply["state"], &reply["reachable"], &reply["bucket"]);
        let (user, yes) = (json!(1001), json!(true));
        assert_eq!(seen, (&user, &json!("available"), &json!("waiting"), &yes, &json!("ready")), "{reply}");
        let levels: Vec<_> = reply["queues"].as_array().expect("queues").iter().collect();
        let level = |at: usize| (levels[at]["queueId"].as_str(), levels[at]["level"].as_u64());
        assert_eq!((level(0), level(1)), ((Some(QUEUE), Some(1)), (Some(OTHER_QUEUE), Some(2))), "{reply}");
        self.bucket("1001", Bucket::Ready).await;
        self.says("1001 is ready");
    }

    async fn a_queue_has_one_agent_and_gives_it_once(&self) -> Offer {
        let queue: QueueId = id(QUEUE);
        let ask = |call: &str, offer: &str| Reserve {
            offer_id: Some(id(offer)),
            lease_ms: Some(LEASE_MS),
            ..Reserve::new(id(call))
        };
        let offer = self.api.reserve_queue(&queue, &ask("call-1", "ofr_1")).await.expect("a grant");
        assert_eq!(offer.agent_id.as_str(), "1001");
        let refused = self.api.reserve_queue(&queue, &ask("call-2", "ofr_2")).await;
        let Err(ApiError::Problem { status: 409, code, body, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(code, "no_agent", "{body}");
        assert_eq!((&body["members"], &body["failing"]["slot"]), (&json!(1), &json!(1)), "{body}");
        let direct = self.api.reserve_agent(&id("1001"), &ask("call-3", "ofr_3")).await;
        let Err(ApiError::Problem { status: 409, code, body, .. }) = direct else { panic!("{direct:?}") };
        assert_eq!(code, "not_offerable", "{body}");
        let checks = body["checks"].as_array().expect("checks");
        let failing: Vec<&str> = checks
            .iter()
            .filter(|check| check["ok"] == false)
            .filter_map(|it| it["clause"].as_str())
            .collect();
        assert_eq!(failing, ["slot"], "{body}");
        self.bucket("1001", Bucket::Ringing).await;
        let buckets = self.watcher.history().buckets("1001").to_vec();
        assert_eq!(buckets, [Bucket::Offline, Bucket::Ready, Bucket::Ringing], "as the stream saw it");
        self.says("1001 rings, and nobody else gets it");
        offer
    }

    /// Somebody in a call, somebody on a break, somebody ready: states a restart must give back.
    async fn others_work(&self, offer: Offer) -> Acknowledged {
        let event = |queues| AgentEventBody { queues, ..AgentEventBody::plain("available") };
        let sales = || Some(vec![QueueChoiceBody { queue_id: id(SALES), tier: 1 }]);
        self.api.event(&id("1004"), &event(sales())).await.expect("1004 is available");
        let ask = Reserve { lease_ms: Some(LEASE_MS), ..Reserve::new(id("call-4")) };
        let call = self.api.reserve_queue(&id(SALES), &ask).await.expect("1004 is reserved");
        let answer = OfferStep::Answer { leg_call_id: None };
        assert!(self.api.offer(&call.offer_id, call.fence, &answer).await.expect("1004 answers").changed);
        self.api.event(&id("1002"), &event(sales())).await.expect("1002 is available");
        self.api.event(&id("1003"), &event(None)).await.expect("1003 is available");
        let lunch = json!({"name": "Lunch", "allow_inbound": 0, "allow_outbound": 1});
        self.api.put_reason(&id("pr_lunch"), &lunch).await.expect("a reason");
        let pause = AgentEventBody::pause(id("pr_lunch"));
        let seq = self.api.event(&id("1003"), &pause).await.expect("1003 is on a break").seq;
        // All but those whose phones are about to go.
        let stays = |row: &AgentRow| !["1042", "1099"].contains(&row.agent_id.as_str());
        let roster = self.api.presence().await.expect("the roster").agents.into_iter();
        let rows: BTreeMap<AgentId, AgentRow> =
            roster.filter(stays).map(|row| (row.agent_id.clone(), row)).collect();
        let buckets = ["1001", "1002", "1003", "1004"].map(|agent| essence(&rows[agent]).0);
        assert_eq!(buckets, [Bucket::Ringing, Bucket::Ready, Bucket::Paused, Bucket::InCall]);
        self.says("1004 is in a call, 1003 at lunch, 1002 ready");
        Acknowledged { rows, offer, call, seq }
    }

    async fn the_server_is_killed_and_comes_back(&mut self, before: &Acknowledged) {
        let held = self.watcher.until("the stream has what was acknowledged", |history| {
            let as_of = history.board.as_of().ok_or("no rows")?;
            if as_of.seq < before.seq { Err(format!("it is at {}", as_of.seq)) } else { Ok(as_of) }
        });
        let held = held.await;
        self.server.kill();
        // Nobody but Kamailio knows of these, until it can tell.
        self.phones.register(1101..=1105, 300).await;
        self.phones.register([1099], 0).await;
        self.says("the server is dead, five phones came, one went");
        self.server.start().await;
        self.says("the server is back");
        let (how, connections) = self
            .watcher
            .until("the stream goes on", |history| match history.hows.as_slice() {
                [_, .., last] => Ok((*last, history.hows.len())),
                hows => Err(format!("{hows:?}")),
            })
            .await;
        assert!(matches!(how, How::CatchUp | How::Live), "it goes on with {how:?}");
        assert_eq!(connections, 2, "one connection before, one after");
        let epoch = self.watcher.history().board.as_of().expect("rows").epoch;
        assert_eq!(epoch, held.epoch, "a kill begins no epoch in mode sync");
    }

    async fn what_was_acknowledged_is_there(&self, before: &Acknowledged) {
        let now = self.api.presence().await.expect("the roster");
        assert!(now.seq >= before.seq, "{} after {}", now.seq, before.seq);
        let now: BTreeMap<AgentId, AgentRow> =
            now.agents.into_iter().map(|row| (row.agent_id.clone(), row)).collect();
        for (agent, row) in &before.rows {
            let found = now.get(agent).unwrap_or_else(|| panic!("{agent} is gone"));
            assert_eq!(found.directory, row.directory, "{agent}");
            assert_eq!(essence(found), essence(row), "{agent}");
        }
        let path = format!("/v1/offers/{}", before.call.offer_id);
        let offer = self.api.document(&path).await.expect("the offer that was answered");
        assert_eq!(
            (&offer["outcome"], &offer["fence"]),
            (&json!("accepted"), &json!(before.call.fence)),
            "{offer}"
        );
        self.says("everything acknowledged is there");
    }

    /// The offer of before the kill is answered with its token, calls end, and what Kamailio kept arrives.
    async fn work_goes_on(&self, before: &Acknowledged) {
        let offer = &before.offer;
        let path = format!("/v1/offers/{}/answer", offer.offer_id);
        let body = json!({"fence": offer.fence});
        let headers = Headers::of(ACCOUNT);
        let answer = http::post(self.server.addr, &path, &headers.pairs(), &body).await.expect("an answer");
        assert_eq!((answer.status, &answer.body["changed"]), (200, &json!(true)), "{answer:?}");
        self.bucket("1001", Bucket::InCall).await;
        let again: Offer = self.retry(offer).await;
        assert_eq!((again.fence, &again.agent_id), (offer.fence, &offer.agent_id), "the same grant");
        let newer = self.api.reserve_queue(&id(SALES), &Reserve::new(id("call-5"))).await.expect("1002");
        assert!(newer.fence > offer.fence && newer.fence > before.call.fence, "{} is not newer", newer.fence);
        for call in [&before.call.call_id, &offer.call_id] {
            assert!(self.api.end_call(call, None).await.expect("an end").changed, "{call} was live");
        }
        self.bucket("1004", Bucket::WrapUp).await;
        let arrived = self.watcher.until("what Kamailio kept has arrived", |history| {
            let missing: Vec<String> = (1101..=1105)
                .map(|user| user.to_string())
                .filter(|user| !history.is_reachable(user))
                .collect();
            match (missing.as_slice(), history.bucket("1099")) {
                ([], Some(Bucket::Unreachable)) => Ok(()),
                (missing, bucket) => Err(format!("without {missing:?}, and 1099 is {bucket:?}")),
            }
        });
        arrived.await;
        // The snapshot a new server asks for may have told the same before; the events are delivered all the same.
        eventually(DEADLINE, "Kamailio delivers what it held", async || {
            let delivered = self.kamailio.talk().contains("delivery works again");
            let undelivered = self.kamailio.undelivered().await;
            if delivered && undelivered == (0, 0) {
                Ok(())
            } else {
                Err(format!("{delivered}, {undelivered:?}"))
            }
        })
        .await;
        self.says("the old token answers, and what Kamailio kept has arrived");
    }

    async fn retry(&self, offer: &Offer) -> Offer {
        let ask = Reserve {
            offer_id: Some(offer.offer_id.clone()),
            lease_ms: Some(LEASE_MS),
            ..Reserve::new(offer.call_id.clone())
        };
        self.api.reserve_queue(&id(QUEUE), &ask).await.expect("the original grant")
    }

    async fn a_lease_runs_out_and_a_phone_leaves(&mut self) {
        self.bucket("1042", Bucket::Unreachable).await;
        self.says("1042's registration has expired");
        self.phones.register([1050], 0).await;
        self.bucket("1050", Bucket::Unreachable).await;
        self.says("1050 has left");
        for agent in ["1042", "1050"] {
            let refused = self.api.reserve_agent(&id(agent), &Reserve::new(id("call-6"))).await;
            assert_eq!(refused.expect_err("no phone, no offer").code(), Some("not_offerable"), "{agent}");
        }
    }

    /// Makes no event: the heartbeat's count differs, or the next snapshot tells.
    async fn an_administrator_removes_a_binding(&mut self) {
        let aor = format!("1060@{}", common::phones::DOMAIN);
        self.kamailio.rpc("ul.rm", &["location", &aor]).await;
        // A server that has just started asks for a snapshot.
        self.server.kill();
        self.server.start().await;
        self.bucket("1060", Bucket::Unreachable).await;
        self.says("1060 was removed by hand, and the snapshot tells");
    }

    async fn the_stream_and_the_api_agree(&self) {
        let presence = agree(&self.watcher, &self.api).await;
        assert_eq!(presence.agents.len(), 105);
        let history = self.watcher.history();
        let (frames, deltas) = (history.frames.len(), history.deltas());
        assert!(matches!(history.hows.as_slice(), [_, How::CatchUp | How::Live, How::CatchUp | How::Live]));
        drop(history);
        self.watcher.assert_clean();
        self.says(&format!("{frames} frames, {deltas} deltas, no gap, equal tables"));
    }

    async fn bucket(&self, agent: &str, bucket: Bucket) {
        let what = format!("{agent} is {}", bucket.as_str());
        let look = self.watcher.until(&what, |history| match history.bucket(agent) {
            Some(found) if found == bucket => Ok(()),
            other => Err(format!("{other:?}, and before {:?}", history.buckets(agent))),
        });
        look.await;
    }
}

/// A key for Kamailio, made as an administrator makes the first one: in the directory of a server that is not running.
fn registrar_key(server: &Serve) -> Value {
    let mut command = ringfence();
    command.args([
        "key",
        "create",
        "--scopes",
        "registrar",
        "--account",
        ACCOUNT,
        "--label",
        "kam1",
        "-o",
        "json",
    ]);
    let output = command.arg("--data").arg(&server.data).output().expect("ringfence key create");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a JSON document")
}

/// What of a row must not differ after a restart: an offer's lease is given in full again, and the clock runs on.
fn essence(row: &AgentRow) -> (Bucket, StatusWord, Option<String>, Vec<OfferId>, Vec<CallId>) {
    let live = row.live.as_deref().expect("what is live");
    let reason = live.pause.as_ref().and_then(|pause| pause.reason_id.as_ref()).map(ToString::to_string);
    let offers = live.offers.iter().map(|offer| offer.offer_id.clone()).collect();
    let calls = live.calls.iter().map(|call| call.call_id.clone()).collect();
    (live.bucket, live.status, reason, offers, calls)
}
