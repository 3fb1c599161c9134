//! `/v1/registrar/…` and `POST /v1/calls/events`: what registrars say.

use axum::http::StatusCode;
use bytes::Bytes;
use ringfence::core::agent::{By, Role};
use ringfence::core::call::Direction;
use ringfence::core::feed::{CallEvent, CallPhase, Event, EventKind, Party};
use ringfence::{Account, AgentId, CallId, Error, FeedReport, OfferId};
use ringfence_wire::feed_event::{self, BadEvent, EVENTS_MAX};
use ringfence_wire::feed_snapshot;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::{Answer, Call, ok};
use crate::problem::Problem;

/// Bodies beyond this are read on a thread of their own: reading them takes longer than others should wait.
const READ_APART_BYTES: usize = 256 * 1024;

/// What became of a body of events.
#[derive(Debug, Default, Serialize)]
struct Report {
    accepted: u32,
    duplicates: u32,
    /// About agents or AoRs nobody has, beyond what is kept for later.
    unknown: u32,
    refused: Vec<Refused>,
    snapshot_wanted: bool,
}

#[derive(Debug, Serialize)]
struct Refused {
    index: usize,
    code: &'static str,
    message: String,
}

impl Report {
    fn refuse(&mut self, index: usize, code: &'static str, message: impl Into<String>) {
        self.refused.push(Refused { index, code, message: message.into() });
    }

    /// Takes in what the engine said of the events that stood at `places`.
    fn fed(&mut self, report: FeedReport, places: &[usize]) {
        self.accepted += report.accepted;
        self.duplicates += report.duplicates;
        self.unknown += report.unknown;
        self.snapshot_wanted |= report.snapshot_wanted;
        for (index, code) in report.refused {
            self.refuse(places.get(index).copied().unwrap_or(index), code, meaning(code));
        }
    }

    fn answer(mut self, call: &Call) -> Answer {
        self.refused.sort_by_key(|refused| refused.index);
        call.app.metrics.fed(u64::from(self.accepted), self.refused.len() as u64);
        ok(&self)
    }
}

/// The engine's codes in words.
fn meaning(code: &str) -> &'static str {
    match code {
        "old_epoch" => "the source has begun a newer epoch since",
        "too_many_sources" => "the account has too many sources; is `source` a constant of the node?",
        _ => "the event was not taken",
    }
}

/// Which kinds a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    All,
    Calls,
}

pub(super) async fn events(call: Call) -> Answer {
    feed(&call, Takes::All).await?.answer(&call)
}

pub(super) async fn calls(call: Call) -> Answer {
    match short(&call.body)? {
        Some(bodies) => say(&call, bodies).await?.answer(&call),
        None => feed(&call, Takes::Calls).await?.answer(&call),
    }
}

async fn feed(call: &Call, takes: Takes) -> Result<Report, Problem> {
    if call.body.trim_ascii().is_empty() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "malformed_json", "the body is empty"));
    }
    let account = call.account()?;
    let items = apart(call.body.clone(), feed_event::parse).await?.map_err(|error| {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_events", error.to_string())
            .member("limit", EVENTS_MAX)
    })?;
    let mut report = Report::default();
    let places = places(&call.body, items.len());
    let (mut events, mut stood) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
    for (item, place) in items.into_iter().zip(places) {
        match item {
            Ok(event) if takes == Takes::Calls && !is_call(&event) => {
                report.refuse(place, "not_a_call", "only events of kind call are taken here");
            }
            Ok(event) => {
                events.push(event);
                stood.push(place);
            }
            Err(BadEvent { index, code, message }) => report.refuse(index, code.as_str(), message),
        }
    }
    if !events.is_empty() {
        let fed = call.app.engine.feed(account.id(), &call.principal.key_id, events).await?;
        report.fed(fed, &stood);
    }
    Ok(report)
}

fn is_call(event: &Event) -> bool {
    match event.kind {
        EventKind::Call(_) => true,
        EventKind::Bindings { .. }
        | EventKind::Gone { .. }
        | EventKind::Qualify { .. }
        | EventKind::Heartbeat { .. } => false,
    }
}

/// Where the items stand: of NDJSON, the lines that are not empty.
fn places(body: &[u8], items: usize) -> Vec<usize> {
    let lines = || body.split(|byte| *byte == b'\n').enumerate();
    let full: Vec<usize> =
        lines().filter(|(_, line)| !line.trim_ascii().is_empty()).map(|(index, _)| index).collect();
    let ndjson = !body.trim_ascii_start().starts_with(b"[") && full.len() == items;
    if ndjson { full } else { (0..items).collect() }
}

pub(super) async fn snapshot(call: Call) -> Answer {
    let account = call.account()?;
    let snapshot = apart(call.body.clone(), feed_snapshot::parse).await?.map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, "bad_snapshot", error.to_string())
            .member("reason", error.code.as_str())
    })?;
    let report = call.app.engine.feed_snapshot(account.id(), &call.principal.key_id, snapshot).await?;
    let mut answer = Report::default();
    answer.fed(report, &[]);
    answer.answer(&call)
}

async fn apart<T: Send + 'static>(
    body: Bytes,
    read: impl FnOnce(&[u8]) -> T + Send + 'static,
) -> Result<T, Problem> {
    if body.len() <= READ_APART_BYTES {
        return Ok(read(&body));
    }
    tokio::task::spawn_blocking(move || read(&body))
        .await
        .map_err(|_| Problem::internal("the body could not be read"))
}

/// A call as somebody says it who is no numbered feed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallBody {
    event: CallPhase,
    call_id: CallId,
    #[serde(default)]
    agent_id: Option<AgentId>,
    #[serde(default)]
    aor: Option<String>,
    #[serde(default)]
    direction: Option<Direction>,
    #[serde(default)]
    peer: Option<String>,
    #[serde(default)]
    offer_id: Option<OfferId>,
}

/// The short form, if the body is in it: one event or an array, none of which names a source.
fn short(body: &[u8]) -> Result<Option<Vec<CallBody>>, Problem> {
    let is_short = |value: &Value| value.as_object().is_some_and(|fields| !fields.contains_key("source"));
    match serde_json::from_slice::<Value>(body) {
        Ok(value) if is_short(&value) => Ok(Some(vec![crate::json::read(body)?])),
        Ok(Value::Array(items)) if !items.is_empty() && items.iter().all(is_short) => {
            if items.len() > EVENTS_MAX {
                return Err(Problem::invalid("body", format!("at most {EVENTS_MAX} events")));
            }
            crate::json::read(body).map(Some)
        }
        Ok(_) | Err(_) => Ok(None),
    }
}

impl CallBody {
    pub fn event(self) -> Result<CallEvent, Problem> {
        let party = match (self.agent_id, self.aor) {
            (Some(agent), None) => Party::Agent(agent),
            (None, Some(aor)) => Party::Aor(aor),
            (None, None) | (Some(_), Some(_)) => {
                return Err(Problem::invalid(
                    "agent_id",
                    "say whose leg it is: agent_id or aor, one of them",
                ));
            }
        };
        let direction = match (self.direction, self.event) {
            (Some(direction), _) => direction,
            (None, CallPhase::State | CallPhase::End) => Direction::Inbound,
            (None, CallPhase::Start) => {
                return Err(Problem::invalid("direction", "a call that starts is inbound or outbound"));
            }
        };
        Ok(CallEvent {
            phase: self.event,
            call_id: self.call_id,
            party,
            direction,
            peer: self.peer,
            offer_id: self.offer_id,
        })
    }
}

async fn say(call: &Call, bodies: Vec<CallBody>) -> Result<Report, Problem> {
    let account = call.account()?;
    let events = bodies.into_iter().map(CallBody::event).collect::<Result<Vec<_>, _>>()?;
    let mut report = Report::default();
    for (index, event) in events.into_iter().enumerate() {
        say_one(&account, call.by(Role::Registrar), index, event, &mut report).await?;
    }
    Ok(report)
}

async fn say_one(
    account: &Account,
    by: By,
    index: usize,
    event: CallEvent,
    report: &mut Report,
) -> Result<(), Problem> {
    match account.call_event(by, event).await {
        Ok(answer) => {
            report.accepted += answer.fed.applied;
            report.duplicates += answer.fed.stale;
            if answer.fed.unknown > 0 {
                report.refuse(index, "unknown_agent", "nobody here has that agent id or AoR");
            }
        }
        Err(Error::Refused(refusal)) => report.refuse(index, refusal.code(), refusal.to_string()),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
