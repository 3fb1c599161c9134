//! The checkers of the other tests find what they are there to find: what a real server sent, and the same with one thing
//! wrong.

#![cfg(test)]

mod common;

use std::time::Instant;

use common::history::History;
use common::ledger::{Ledger, Told};
use common::{Serve, TempDir, Watcher, id, staff};
use ringfence_client::{Api, OfferStep, Reserve};
use ringfence_core::offer::Offer;
use ringfence_core::row::View;
use ringfence_wire::server::{Delta, ServerFrame};
use ringfence_wire::{Profile, ViewSpec};

const ACCOUNT: &str = "acme";
const QUEUE: &str = "support";

/// One agent takes `calls` calls; every frame of it, and the grants.
async fn recorded(calls: u32) -> (Vec<ServerFrame>, Vec<Offer>) {
    let dir = TempDir::new("checkers");
    let mut server = Serve::new(dir.path());
    server.start().await;
    let api = server.api(ACCOUNT);
    staff::open_queue(&api, QUEUE).await;
    staff::hire(&api, "a0", 0).await;
    staff::available(&api, "a0", QUEUE).await;
    let watcher = Watcher::start(server.addr, ACCOUNT);
    watcher.until("the rows are there", |history| history.board.as_of().ok_or("none".to_owned())).await;
    let mut offers = Vec::new();
    for n in 0..calls {
        offers.push(one_call(&api, &watcher, &format!("call-{n}")).await);
    }
    watcher.assert_clean();
    let frames = watcher.history().frames.clone();
    (frames, offers)
}

async fn one_call(api: &Api, watcher: &Watcher, call: &str) -> Offer {
    let offer = api.reserve_queue(&id(QUEUE), &Reserve::new(id(call))).await.expect("a grant");
    api.offer(&offer.offer_id, offer.fence, &OfferStep::Answer { leg_call_id: None })
        .await
        .expect("an answer");
    let seq = api.end_call(&id(call), None).await.expect("an end").seq;
    let seen = watcher.until("the end is on the stream", |history| match history.board.as_of() {
        Some(as_of) if as_of.seq >= seq => Ok(()),
        other => Err(format!("{other:?}")),
    });
    seen.await;
    offer
}

fn faults(frames: &[ServerFrame]) -> String {
    let mut history = History::new(ViewSpec { view: View::Account, profile: Profile::Full });
    let _ = history.board.subscribe(1, ringfence_wire::RateClass::AtOnce, None);
    for frame in frames {
        let _ = history.take(frame.clone());
    }
    history.rules.faults().join("\n")
}

/// The frames with one delta replaced by others.
fn changed(frames: &[ServerFrame], change: impl Fn(&Delta) -> Vec<Delta>) -> Vec<ServerFrame> {
    let place = frames.iter().rposition(|frame| matches!(frame, ServerFrame::Delta(_))).expect("a delta");
    let place =
        frames[..place].iter().rposition(|frame| matches!(frame, ServerFrame::Delta(_))).expect("two");
    let ServerFrame::Delta(delta) = &frames[place] else { unreachable!("it was found as one") };
    let instead = change(delta).into_iter().map(ServerFrame::Delta);
    frames[..place].iter().cloned().chain(instead).chain(frames[place + 1..].iter().cloned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_with_one_thing_wrong_is_found_out() {
    let (frames, _) = recorded(3).await;
    assert_eq!(faults(&frames), "", "what the server sent");
    assert!(faults(&changed(&frames, |_| Vec::new())).contains("a gap after"), "a delta is missing");
    let twice = faults(&changed(&frames, |delta| vec![delta.clone(), delta.clone()]));
    assert!(twice.contains("after one up to"), "a delta comes twice: {twice}");
    let miscounted = faults(&changed(&frames, |delta| {
        let mut wrong = delta.clone();
        wrong.buckets.paused += 1;
        vec![wrong]
    }));
    assert!(miscounted.contains("counts"), "{miscounted}");
    let emptied = faults(&changed(&frames, |delta| vec![Delta { agents: Vec::new(), ..delta.clone() }]));
    assert!(emptied.contains("counts"), "a row was left out: {emptied}");
    let late = faults(&changed(&frames, |delta| vec![Delta { to: delta.to + 1_000, ..delta.clone() }]));
    assert!(!late.is_empty(), "a delta reaches into the future");
    let unasked = [&frames[..1], &frames[2..]].concat();
    assert!(!faults(&unasked).is_empty(), "rows come before the subscription");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_of_grants_with_one_thing_wrong_is_found_out() {
    let (_, offers) = recorded(2).await;
    let [first, second] = offers.as_slice() else { panic!("two calls, not {offers:?}") };
    let book = |offers: &[&Offer]| {
        let ledger = Ledger::default();
        for offer in offers {
            let place = ledger.granted((*offer).clone(), Instant::now());
            ledger.releasing(place);
            ledger.told(place, Told::Ended);
        }
        ledger
    };
    let right = book(&[first, second]);
    assert_eq!((right.tokens_increase(), right.nobody_is_shared()), (Ok(()), Ok(())));
    let backwards = book(&[second, first]).tokens_increase().expect_err("a token went back");
    assert!(backwards.contains("was granted after"), "{backwards}");
    let reused = book(&[first, first]).tokens_increase().expect_err("a token was given twice");
    assert!(reused.contains("2 grants have 1 tokens"), "{reused}");
    let shared = Ledger::default();
    let places = [first, second].map(|offer| shared.granted(offer.clone(), Instant::now()));
    places.iter().for_each(|place| shared.releasing(*place));
    let shared = shared.nobody_is_shared().expect_err("an agent was given to two calls");
    assert!(shared.contains("at once"), "{shared}");
}
