//! Feed events as they are posted (feeds.md): one object, an array, or NDJSON. Each item is read for itself; a bad one is
//! refused with its place, the field and the reason, and the others count.
//!
//! Unknown fields are ignored, and so is `account`: whose event it is, the credential says.

use ringfence_core::call::Direction;
use ringfence_core::contact::CONTACTS_MAX;
use ringfence_core::feed::{CallEvent, CallPhase, Event, EventContact, EventKind, Party, Qualify};
use serde_json::Value;

use crate::elements::{self, Walk};
use crate::fields::{BadField, Fields, bounded};

pub use crate::fields::{AOR_BYTES_MAX, BadCode};

/// Items of one body: an emitter's batch is a quarter of that, and the whole is answered at once.
pub const EVENTS_MAX: usize = 1_000;
/// Contacts of one event: as many as an AoR may have at all.
pub const CONTACTS_PER_EVENT_MAX: usize = CONTACTS_MAX;
/// Bytes of a URI, a contact's id, a user agent and the like. They are kept, and shown, per contact.
pub const TEXT_BYTES_MAX: usize = 512;

/// One item of a body that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {index}: {message}")]
pub struct BadEvent {
    /// Of the element, or of the line (empty ones count too), from 0.
    pub index: usize,
    pub code: BadCode,
    pub message: String,
}

/// A body of which nothing was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    #[error("a body has at most {EVENTS_MAX} events, this one more; send it in pieces")]
    TooManyEvents,
}

/// Every item of a body, in its order. An array that breaks off gives the elements before the break, then one refusal.
pub fn parse(body: &[u8]) -> Result<Vec<Result<Event, BadEvent>>, BadBody> {
    let body = body.trim_ascii();
    if body.starts_with(b"[") {
        return array(body);
    }
    // An object written over several lines is no NDJSON; NDJSON is no JSON text as a whole.
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => Ok(vec![item(0, event(&value))]),
        Err(_) => lines(body),
    }
}

fn array(body: &[u8]) -> Result<Vec<Result<Event, BadEvent>>, BadBody> {
    let mut items = Vec::new();
    let mut too_many = false;
    let walked = elements::each(body, |value| {
        if items.len() == EVENTS_MAX {
            too_many = true;
            return Walk::Stop;
        }
        items.push(item(items.len(), event(&value)));
        Walk::On
    });
    if too_many {
        return Err(BadBody::TooManyEvents);
    }
    if let Err(error) = walked {
        items.push(item(items.len(), Err(BadField::not_json(&error))));
    }
    Ok(items)
}

fn lines(body: &[u8]) -> Result<Vec<Result<Event, BadEvent>>, BadBody> {
    let mut items = Vec::new();
    for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        if items.len() == EVENTS_MAX {
            return Err(BadBody::TooManyEvents);
        }
        let read = serde_json::from_slice::<Value>(line).map_err(|error| BadField::not_json(&error));
        items.push(item(index, read.and_then(|value| event(&value))));
    }
    Ok(items)
}

fn item(index: usize, read: Result<Event, BadField>) -> Result<Event, BadEvent> {
    read.map_err(|BadField { code, message }| BadEvent { index, code, message })
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Bindings,
    Gone,
    Qualify,
    Heartbeat,
    Call,
}

const KINDS: [(&str, Kind); 5] = [
    ("bindings", Kind::Bindings),
    ("gone", Kind::Gone),
    ("qualify", Kind::Qualify),
    ("heartbeat", Kind::Heartbeat),
    ("call", Kind::Call),
];

const QUALIFIES: [(&str, Qualify); 3] =
    [("reachable", Qualify::Ok), ("unreachable", Qualify::Failed), ("unknown", Qualify::Unknown)];

const PHASES: [(&str, CallPhase); 3] =
    [("start", CallPhase::Start), ("state", CallPhase::State), ("end", CallPhase::End)];

const DIRECTIONS: [(&str, Direction); 2] =
    [("inbound", Direction::Inbound), ("outbound", Direction::Outbound)];

/// States after which a leg is over, whatever the event that tells is called.
const OVER: [&str; 2] = ["ended", "terminated"];

fn event(value: &Value) -> Result<Event, BadField> {
    let fields = Fields::of(value, "")?;
    let kind = match fields.word("kind", &KINDS)? {
        Kind::Bindings => bindings(fields)?,
        Kind::Gone => gone(fields)?,
        Kind::Qualify => qualify(fields)?,
        Kind::Heartbeat => heartbeat(fields)?,
        Kind::Call => EventKind::Call(call(fields)?),
    };
    let seq = fields.number("seq")?;
    if seq == 0 {
        return Err(BadField::new(BadCode::BadValue, "`seq` is 0; it counts from 1 within an epoch"));
    }
    Ok(Event {
        source: fields.id("source")?,
        epoch: fields.number("epoch")?,
        seq,
        at: fields.time("at")?,
        kind,
    })
}

fn bindings(fields: Fields<'_>) -> Result<EventKind, BadField> {
    Ok(EventKind::Bindings { aor: fields.aor("aor")?, contacts: contacts(fields)? })
}

/// The contacts of an event or of a snapshot's binding.
pub(crate) fn contacts(fields: Fields<'_>) -> Result<Vec<EventContact>, BadField> {
    let values = fields.array("contacts", CONTACTS_PER_EVENT_MAX)?;
    let place = |n| format!("{}.", fields.path(&format!("contacts[{n}]")));
    values.iter().enumerate().map(|(n, value)| contact(value, &place(n))).collect()
}

fn contact(value: &Value, place: &str) -> Result<EventContact, BadField> {
    let fields = Fields::of(value, place)?;
    let optional = |key| Ok(fields.optional_text(key, TEXT_BYTES_MAX)?.map(str::to_owned));
    Ok(EventContact {
        id: fields.text("id", TEXT_BYTES_MAX)?.to_owned(),
        uri: fields.text("uri", TEXT_BYTES_MAX)?.to_owned(),
        expires_at: fields.optional_time("expires_at")?,
        instance: optional("instance")?,
        received: optional("received")?,
        user_agent: optional("user_agent")?,
        qualify: fields.optional_word("qualify", &QUALIFIES)?,
    })
}

fn gone(fields: Fields<'_>) -> Result<EventKind, BadField> {
    let values = fields.array("contacts", CONTACTS_PER_EVENT_MAX)?;
    if values.is_empty() {
        return Err(BadField::new(BadCode::BadValue, "`contacts` is empty; `gone` names who is gone"));
    }
    let ids: Result<Vec<String>, BadField> =
        values.iter().enumerate().map(|(n, value)| gone_contact(value, n)).collect();
    Ok(EventKind::Gone { aor: fields.aor("aor")?, contacts: ids? })
}

/// A contact's id, by itself or in an object.
fn gone_contact(value: &Value, n: usize) -> Result<String, BadField> {
    if !value.is_string() {
        return Fields::of(value, &format!("contacts[{n}]."))?.text("id", TEXT_BYTES_MAX).map(str::to_owned);
    }
    let path = format!("contacts[{n}]");
    match bounded(value, &path, TEXT_BYTES_MAX)? {
        "" => Err(BadField::new(BadCode::BadValue, format!("`{path}` is empty"))),
        id => Ok(id.to_owned()),
    }
}

/// What the contact says of itself goes before the event's cause.
fn qualify(fields: Fields<'_>) -> Result<EventKind, BadField> {
    let [value] = fields.array("contacts", CONTACTS_PER_EVENT_MAX)? else {
        return Err(BadField::new(BadCode::BadValue, "`contacts` of `qualify` has exactly one item"));
    };
    let contact = Fields::of(value, "contacts[0].")?;
    let qualify = match contact.optional_word("qualify", &QUALIFIES)? {
        Some(qualify) => qualify,
        None => fields.word("cause", &QUALIFIES)?,
    };
    let contact = contact.text("id", TEXT_BYTES_MAX)?.to_owned();
    Ok(EventKind::Qualify { aor: fields.aor("aor")?, contact, qualify })
}

fn heartbeat(fields: Fields<'_>) -> Result<EventKind, BadField> {
    Ok(EventKind::Heartbeat {
        contacts_total: fields.optional_number("contacts_total")?,
        users_total: fields.optional_number("users_total")?,
        lost: fields.optional_number("lost")?.unwrap_or(0),
    })
}

/// Whose leg it is, the agent says where both agent and AoR are given: it is the more exact.
fn call(fields: Fields<'_>) -> Result<CallEvent, BadField> {
    let party = match fields.optional_id("agent")? {
        Some(agent) => Party::Agent(agent),
        None if fields.has("aor") => Party::Aor(fields.aor("aor")?),
        None => return Err(BadField::new(BadCode::MissingField, "`agent` or `aor` is missing")),
    };
    let phase = match (fields.word("event", &PHASES)?, fields.optional_text("state", TEXT_BYTES_MAX)?) {
        (CallPhase::State, Some(state)) if OVER.contains(&state) => CallPhase::End,
        (phase, _) => phase,
    };
    Ok(CallEvent {
        phase,
        call_id: fields.id("call_id")?,
        party,
        direction: fields.word("direction", &DIRECTIONS)?,
        peer: fields.optional_text("peer", TEXT_BYTES_MAX)?.map(str::to_owned),
        offer_id: fields.optional_id("offer_id")?,
    })
}
