//! A server under load is killed again and again. Whatever a router was told holds afterwards, tokens only ever rise, and a
//! wallboard that stayed sees no gap.

#![cfg(test)]

mod common;

use std::collections::BTreeSet;
use std::time::Instant;

use common::ledger::{Entry, Ledger, Told};
use common::random::Random;
use common::serve::ringfence;
use common::{DEADLINE, Serve, TempDir, Watcher, agree, id, pause, staff};
use ringfence_client::{Api, ApiError, OfferStep, Reserve};
use ringfence_core::bucket::Bucket;
use ringfence_core::offer::Offer;
use ringfence_core::{CallId, OfferId};
use ringfence_wire::server::How;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

const ACCOUNT: &str = "acme";
const QUEUE: &str = "support";
/// Another seed, another set of moments.
const SEED: u64 = 0x5eed;
const ROUNDS: u64 = 10;
/// Fewer agents than routers, so that they get into each other's way.
const ROUTERS: u64 = 6;
const AGENTS: u32 = 5;
/// No offer ends by itself here.
const LEASE_MS: u64 = 120_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_router_was_told_survives_kill_after_kill() {
    let dir = TempDir::new("crash");
    let mut server = Serve::new(dir.path());
    server.start().await;
    let api = server.api(ACCOUNT);
    staff::open_queue(&api, QUEUE).await;
    for n in 0..AGENTS {
        let agent = format!("a{n}");
        staff::hire(&api, &agent, n).await;
        staff::available(&api, &agent, QUEUE).await;
    }
    let watcher = Watcher::start(server.addr, ACCOUNT);
    let (ledger, shift) = (Ledger::default(), watch::Sender::new(Shift::Work));
    let mut routers = JoinSet::new();
    for n in 0..ROUTERS {
        let router = Router { n, api: server.api(ACCOUNT), ledger: ledger.clone(), shift: shift.subscribe() };
        routers.spawn(router.run());
    }
    let (mut random, mut settled) = (Random::seeded(SEED), 0);
    for round in 1..=ROUNDS {
        let (begun, load) = (Instant::now(), random.among(20..800));
        acknowledged(&ledger, load, &mut routers).await;
        server.kill();
        let told = ledger.entries();
        // What they were in the middle of they say again; new calls wait until the looks below are done.
        shift.send_replace(Shift::Pause);
        if random.among(0..3) == 0 {
            die_while_starting(&mut server, random.among(0..40_000));
        }
        let killed = Instant::now();
        server.start().await;
        let ready = killed.elapsed().as_millis();
        everything_is_there(&api, &told[settled..]).await;
        let checked = told.len() - settled;
        settled += told[settled..].iter().take_while(|entry| entry.told.is_last()).count();
        shift.send_replace(Shift::Work);
        let ms = begun.elapsed().as_millis();
        println!(
            "round {round}: {load} acknowledged, killed, ready after {ready} ms, {checked} offers checked, {ms} ms"
        );
    }
    acknowledged(&ledger, 50, &mut routers).await;
    shift.send_replace(Shift::Over);
    while let Some(router) = routers.join_next().await {
        router.expect("a router that was never refused what it held");
    }
    the_end(&ledger, &watcher, &api).await;
    server.kill();
    journal_is_sound(&server);
}

/// Waits for so many acknowledgements more.
async fn acknowledged(ledger: &Ledger, more: u64, routers: &mut JoinSet<()>) {
    let mut told = ledger.counter();
    let target = *told.borrow() + more;
    tokio::select! {
        reached = tokio::time::timeout(DEADLINE, told.wait_for(|told| *told >= target)) => {
            reached.expect("the load goes on").expect("a counter");
        }
        Some(router) = routers.join_next() => panic!("a router has ended: {router:?}"),
    }
}

/// A second crash before the first has been recovered from.
fn die_while_starting(server: &mut Serve, after_us: u64) {
    let begun = Instant::now();
    server.launch();
    while begun.elapsed().as_micros() < u128::from(after_us) {
        std::hint::spin_loop();
    }
    server.kill();
}

async fn everything_is_there(api: &Api, told: &[Entry]) {
    for entry in told {
        let Entry { offer, told, .. } = entry;
        let document = api.document(&format!("/v1/offers/{}", offer.offer_id)).await;
        let found = document.unwrap_or_else(|error| panic!("{offer:?} was granted: {error}"));
        let same = ["fence", "agent_id", "call_id", "queue_id"].map(|name| found[name].clone());
        let granted =
            [json!(offer.fence), json!(offer.agent_id), json!(offer.call_id), json!(offer.queue_id)];
        assert_eq!(same, granted, "{found}");
        match told {
            // Its next step may have been done and not acknowledged.
            Told::Granted => {}
            Told::Cancelled => assert_eq!(found["outcome"], "cancelled", "{found}"),
            Told::Answered | Told::Ended => assert_eq!(found["outcome"], "accepted", "{found}"),
        }
    }
    let roster = api.presence().await.expect("the roster").agents;
    let live = roster.iter().filter_map(|row| row.live.as_deref());
    let calls: BTreeSet<&CallId> =
        live.flat_map(|live| live.calls.iter().map(|call| &call.call_id)).collect();
    for entry in told.iter().filter(|entry| entry.told == Told::Ended) {
        assert!(!calls.contains(&entry.offer.call_id), "{:?} was ended", entry.offer);
    }
}

async fn the_end(ledger: &Ledger, watcher: &Watcher, api: &Api) {
    let entries = ledger.entries();
    everything_is_there(api, &entries).await;
    assert_eq!(ledger.tokens_increase(), Ok(()));
    assert_eq!(ledger.nobody_is_shared(), Ok(()));
    let presence = agree(watcher, api).await;
    for row in &presence.agents {
        let bucket = row.live.as_deref().map(|live| live.bucket);
        assert_eq!(bucket, Some(Bucket::Ready), "nobody is stuck: {row:?}");
    }
    let history = watcher.history();
    let later = &history.hows[1..];
    assert!(later.len() >= ROUNDS as usize, "{later:?}");
    assert!(later.iter().all(|how| matches!(how, How::CatchUp | How::Live)), "{later:?}");
    let (deltas, connections) = (history.deltas(), history.hows.len());
    drop(history);
    watcher.assert_clean();
    println!("{} grants, {deltas} deltas over {connections} connections", entries.len());
}

fn journal_is_sound(server: &Serve) {
    let output =
        ringfence().args(["journal", "verify", "--data"]).arg(&server.data).output().expect("ringfence");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A call router: reserves, then cancels, or answers and ends. What gets no answer it says again, in the same words.
struct Router {
    n: u64,
    api: Api,
    ledger: Ledger,
    shift: watch::Receiver<Shift>,
}

/// What routers do about new calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shift {
    Work,
    Pause,
    Over,
}

impl Router {
    async fn run(mut self) {
        let mut random = Random::seeded(SEED ^ (self.n << 32));
        for turn in 0_u64.. {
            match self.shift.wait_for(|shift| *shift != Shift::Pause).await.map(|shift| *shift) {
                Ok(Shift::Work) => {}
                Ok(Shift::Pause | Shift::Over) | Err(_) => return,
            }
            self.turn(&format!("{}-{turn}", self.n), random.among(0..5) == 0).await;
        }
    }

    async fn turn(&self, name: &str, give_up: bool) {
        let offer_id: OfferId = id(&format!("ofr-{name}"));
        let call: CallId = id(&format!("call-{name}"));
        let ask = Reserve { offer_id: Some(offer_id), lease_ms: Some(LEASE_MS), ..Reserve::new(call) };
        let asked = Instant::now();
        let queue = id(QUEUE);
        let granted = until_answered(|| self.api.reserve_queue(&queue, &ask)).await;
        let offer = match granted {
            Ok(offer) => offer,
            Err(error) if error.code() == Some("no_agent") => return pause().await,
            Err(error) => panic!("{name}: {error}"),
        };
        let place = self.ledger.granted(offer.clone(), asked);
        if give_up {
            self.ledger.releasing(place);
            self.step(&offer, &OfferStep::Cancel).await;
            return self.ledger.told(place, Told::Cancelled);
        }
        self.step(&offer, &OfferStep::Answer { leg_call_id: None }).await;
        self.ledger.told(place, Told::Answered);
        self.ledger.releasing(place);
        let ended = until_answered(|| self.api.end_call(&offer.call_id, None)).await;
        ended.unwrap_or_else(|error| panic!("{name}, end: {error}"));
        self.ledger.told(place, Told::Ended);
    }

    async fn step(&self, offer: &Offer, step: &OfferStep) {
        let done = until_answered(|| self.api.offer(&offer.offer_id, offer.fence, step)).await;
        done.unwrap_or_else(|error| panic!("{step:?} of {offer:?}: {error}"));
    }
}

/// Asks until somebody answers: a server that is away says nothing about what it did.
async fn until_answered<T, Asked>(ask: impl Fn() -> Asked) -> Result<T, ApiError>
where
    Asked: Future<Output = Result<T, ApiError>>,
{
    let begun = Instant::now();
    loop {
        match ask().await {
            Err(error) if error.is_passing() && begun.elapsed() < DEADLINE => pause().await,
            answered => return answered,
        }
    }
}
