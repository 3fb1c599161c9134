//! One queue of the router: whoever came first is served first, and who was not answered keeps the place.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringfence_client::{ApiError, Reserve};
use ringfence_core::offer::Offer;
use ringfence_core::{OfferId, QueueId, RouterId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::demo::call::{self, After};
use crate::demo::callers::Caller;
use crate::demo::floor::Floor;
use crate::demo::tally::Count;

/// Callers in one line; beyond it they hear that all are busy.
const LINE_MAX: usize = 500;
/// How often a line asks again although the board shows nobody ready.
const ASK_AGAIN: Duration = Duration::from_millis(1_500);
/// After a no, although the board shows somebody: it may be a moment behind.
const BREATHER: Duration = Duration::from_millis(150);

#[derive(Debug)]
pub enum ToLine {
    Arrived(Caller),
    /// Was offered to somebody who did not answer: to the head of the line.
    Back(Caller),
}

struct Line {
    floor: Arc<Floor>,
    queue: QueueId,
    waiting: VecDeque<Caller>,
    back: mpsc::Sender<ToLine>,
    calls: JoinSet<()>,
}

/// What became of an attempt to serve the head of the line.
enum Served {
    Granted,
    NobodyReady,
    /// The caller need not be served any more.
    Gone,
    TryAgain,
}

pub async fn run(
    floor: Arc<Floor>,
    queue: QueueId,
    back: mpsc::Sender<ToLine>,
    mut inbox: mpsc::Receiver<ToLine>,
) {
    let mut line = Line { floor, queue, waiting: VecDeque::new(), back, calls: JoinSet::new() };
    loop {
        if line.waiting.is_empty() {
            let Some(message) = inbox.recv().await else { return };
            line.take(message);
        }
        while let Ok(message) = inbox.try_recv() {
            line.take(message);
        }
        while line.calls.try_join_next().is_some() {}
        line.lose_the_impatient();
        match line.serve().await {
            Some(Served::Granted | Served::Gone) | None => {}
            Some(Served::TryAgain) => tokio::time::sleep(BREATHER).await,
            Some(Served::NobodyReady) => {
                tokio::time::sleep(BREATHER).await;
                line.wait_for_somebody(&mut inbox).await;
            }
        }
    }
}

impl Line {
    fn take(&mut self, message: ToLine) {
        match message {
            ToLine::Back(caller) => self.waiting.push_front(caller),
            ToLine::Arrived(caller) if self.waiting.len() < LINE_MAX => self.waiting.push_back(caller),
            ToLine::Arrived(_) => self.floor.tally.count(Count::GaveUp),
        }
    }

    fn lose_the_impatient(&mut self) {
        let now = Instant::now();
        let before = self.waiting.len();
        self.waiting.retain(|caller| caller.gives_up > now);
        self.floor.tally.add(Count::GaveUp, (before - self.waiting.len()) as u64);
    }

    async fn serve(&mut self) -> Option<Served> {
        let caller = self.waiting.front_mut()?;
        caller.attempts += 1;
        let ask = Reserve {
            // A name for the offer makes a repeated request the same request.
            offer_id: OfferId::parse(&format!("{}-{}", caller.call_id, caller.attempts)).ok(),
            router_id: RouterId::parse("demo").ok(),
            ..Reserve::new(caller.call_id.clone())
        };
        let served = match self.floor.api.reserve_queue(&self.queue, &ask).await {
            Ok(offer) => {
                self.connect(offer);
                return Some(Served::Granted);
            }
            Err(error) => self.not_granted(&error).await,
        };
        if matches!(served, Served::Gone) {
            self.waiting.pop_front();
        }
        Some(served)
    }

    async fn not_granted(&self, error: &ApiError) -> Served {
        match error.code() {
            Some("no_agent") => Served::NobodyReady,
            // The lease of the offer before is over here, and not yet there.
            Some("call_already_offered") => Served::TryAgain,
            Some("call_ended") => Served::Gone,
            _ if error.is_passing() => {
                self.floor.missed(error).await;
                Served::TryAgain
            }
            _ => {
                self.floor.unexpected("a reserve", error);
                Served::Gone
            }
        }
    }

    fn connect(&mut self, offer: Offer) {
        let Some(caller) = self.waiting.pop_front() else { return };
        let (floor, back) = (Arc::clone(&self.floor), self.back.clone());
        self.calls.spawn(async move {
            if let After::Back(caller) = call::run(&floor, caller, offer).await {
                // Without a line there is nobody to wait for.
                drop(back.send(ToLine::Back(caller)).await);
            }
        });
    }

    async fn wait_for_somebody(&mut self, inbox: &mut mpsc::Receiver<ToLine>) {
        let mut seen = self.floor.seen.clone();
        let queue = &self.queue;
        tokio::select! {
            _ = seen.wait_for(|seen| seen.ready(queue) > 0) => {}
            message = inbox.recv() => {
                if let Some(message) = message {
                    self.take(message);
                }
            }
            () = tokio::time::sleep(ASK_AGAIN) => {}
        }
    }
}
