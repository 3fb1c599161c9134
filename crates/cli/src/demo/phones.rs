//! The account's registrar: phones that register, refresh, and now and then fall off the network.

use std::sync::Arc;
use std::time::Duration;

use ringfence_core::AgentId;
use serde_json::{Value, json};

use crate::demo::floor::Floor;
use crate::demo::random::Random;
use crate::demo::tally::Count;
use crate::key_offline::now_ms;

/// What a phone asks for; it refreshes at half of it (RFC 3261 leaves that to the phone).
const LEASE_SEC: f64 = 60.0;
/// Mean time a phone stays, in seconds.
const STAYS_SEC: f64 = 900.0;
/// How often the registrar sends what it has.
const FLUSH: Duration = Duration::from_millis(250);
/// Every 5 s, in whatever time passes outside: the server counts missed ones by its own clock.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Events of one request.
const BATCH_MAX: usize = 250;
/// All phones of the first shift register within this.
const OPENING_SEC: f64 = 0.7;

#[derive(Debug)]
struct Phone {
    agent: AgentId,
    aor: String,
    random: Random,
    state: State,
    /// Told apart from its earlier bindings by this.
    binding: u32,
}

/// Times are the centre's seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Away {
        until: f64,
    },
    Bound {
        refresh: f64,
        lost: f64,
    },
    /// Says nothing; its lease is left to run out.
    Silent {
        until: f64,
    },
    /// Does not answer OPTIONS.
    Deaf {
        until: f64,
    },
}

/// The registrar's own side of the feed.
#[derive(Debug)]
struct Node {
    source: String,
    epoch: u64,
    seq: u64,
    waiting: Vec<Value>,
}

pub async fn run(floor: Arc<Floor>) {
    let mut phones: Vec<Phone> = floor
        .plan
        .agents
        .iter()
        .filter(|agent| agent.has_phone)
        .map(|agent| Phone::new(&floor, &agent.id, &agent.aor))
        .collect();
    let source = format!("registrar-{}", floor.plan.id);
    let mut node = Node { source, epoch: now_ms(), seq: 0, waiting: Vec::new() };
    let mut flush = tokio::time::interval(FLUSH);
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    loop {
        tokio::select! {
            _ = flush.tick() => {
                let now = floor.pace.now();
                for phone in &mut phones {
                    phone.turn(now, &floor, &mut node);
                }
            }
            _ = heartbeat.tick() => {
                let bound = phones.iter().filter(|phone| phone.is_bound()).count();
                node.push(json!({"kind": "heartbeat", "contacts_total": bound, "users_total": bound, "lost": 0}));
            }
        }
        node.send(&floor).await;
    }
}

impl Phone {
    fn new(floor: &Floor, agent: &AgentId, aor: &str) -> Self {
        let mut random = floor.random(&[agent.as_str(), "phone"]);
        let opening = random.between(0.0, OPENING_SEC);
        let until = floor.pace.now() + opening / floor.pace.real(1.0).as_secs_f64();
        let state = State::Away { until };
        Self { agent: agent.clone(), aor: aor.to_owned(), random, state, binding: 0 }
    }

    fn is_bound(&self) -> bool {
        match self.state {
            State::Bound { .. } | State::Deaf { .. } => true,
            State::Away { .. } | State::Silent { .. } => false,
        }
    }

    fn turn(&mut self, now: f64, floor: &Floor, node: &mut Node) {
        match self.state {
            State::Away { until } | State::Silent { until } if now >= until => {
                self.binding += 1;
                self.register("registered", floor, node);
                self.state = State::Bound { refresh: now + LEASE_SEC / 2.0, lost: now + self.stays() };
                floor.ledger.shaky(&self.agent, false);
            }
            State::Deaf { until } if now >= until => {
                node.push(json!({
                    "kind": "qualify", "cause": "reachable", "aor": self.aor, "contacts": [{"id": self.contact()}],
                }));
                self.state = State::Bound { refresh: now, lost: now + self.stays() };
                floor.ledger.shaky(&self.agent, false);
            }
            State::Bound { lost, .. } if now >= lost => self.lose(now, floor, node),
            State::Bound { refresh, lost } if now >= refresh => {
                self.register("refreshed", floor, node);
                self.state = State::Bound { refresh: now + LEASE_SEC / 2.0, lost };
            }
            State::Away { .. } | State::Silent { .. } | State::Deaf { .. } | State::Bound { .. } => {}
        }
    }

    /// Cables are pulled, access points restart, phones crash.
    fn lose(&mut self, now: f64, floor: &Floor, node: &mut Node) {
        floor.ledger.shaky(&self.agent, true);
        floor.tally.count(Count::PhonesLost);
        let gap = self.random.between(15.0, 60.0);
        let contact = self.contact();
        match self.random.unit() {
            roll if roll < 0.5 => self.state = State::Silent { until: now + LEASE_SEC + gap },
            roll if roll < 0.8 => {
                node.push(json!({
                    "kind": "gone", "cause": "transport_lost", "aor": self.aor, "contacts": [{"id": contact}],
                }));
                self.state = State::Away { until: now + gap };
            }
            _ => {
                node.push(json!({
                    "kind": "qualify", "cause": "unreachable", "aor": self.aor, "contacts": [{"id": contact}],
                }));
                // Before its lease is over: a qualify revives nothing.
                self.state = State::Deaf { until: now + gap.min(LEASE_SEC / 3.0) };
            }
        }
    }

    fn register(&self, cause: &str, floor: &Floor, node: &mut Node) {
        let lease_ms = u64::try_from(floor.pace.real(LEASE_SEC).as_millis()).unwrap_or(u64::MAX);
        let extension = self.agent.as_str();
        node.push(json!({
            "kind": "bindings", "cause": cause, "aor": self.aor,
            "contacts": [{
                "id": self.contact(),
                "uri": format!("sip:{extension}@192.0.2.{}:5060;transport=tcp", 1 + self.binding % 250),
                "expires_at": now_ms() + lease_ms,
                "user_agent": "Demo Phone 1.0",
            }],
        }));
    }

    fn contact(&self) -> String {
        format!("{}-{}", self.agent, self.binding)
    }

    fn stays(&mut self) -> f64 {
        // Long enough for its first refresh.
        LEASE_SEC + self.random.exponential(STAYS_SEC)
    }
}

impl Node {
    fn push(&mut self, mut event: Value) {
        self.seq += 1;
        event["source"] = self.source.as_str().into();
        event["epoch"] = self.epoch.into();
        event["seq"] = self.seq.into();
        event["at"] = now_ms().into();
        self.waiting.push(event);
    }

    /// In order and without a gap: what was not answered is sent again, and the server knows what it has heard.
    async fn send(&mut self, floor: &Floor) {
        while !self.waiting.is_empty() {
            let many = self.waiting.len().min(BATCH_MAX);
            match floor.api.registrar_events(&self.waiting[..many]).await {
                Ok(answer) => {
                    for refusal in &answer.refused {
                        let words = format!("event {} refused: {}", refusal.index, refusal.code);
                        floor.tally.note(Count::Unexpected, words);
                    }
                    floor.tally.add(Count::FeedEvents, many as u64);
                    self.waiting.drain(..many);
                }
                Err(error) if error.is_passing() => return floor.missed(&error).await,
                Err(error) => {
                    floor.refused("registrar events", &error);
                    self.waiting.drain(..many);
                }
            }
        }
    }
}
