//! `POST /presence/event`: `type` is register, dialog or agent. Its document shows no fields but that one; these are
//! what each kind needs.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::StatusCode;
use parking_lot::Mutex;
use ringfence::AccountId;
use ringfence::core::agent::Role;
use ringfence::core::feed::{CallEvent, Event, EventContact, EventKind};
use ringfence::{SourceId, Time};
use ringfence_wire::feed_event::{CONTACTS_PER_EVENT_MAX, TEXT_BYTES_MAX};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use crate::auth::Scope;
use crate::call::{Answer, Call, ok};
use crate::problem::Problem;
use crate::routes::CallBody;

/// The source these registrations are kept under: who posts here numbers nothing.
const SOURCE: &str = "presence-event";

pub(crate) async fn post(mut call: Call) -> Answer {
    let mut fields: Map<String, Value> = super::body(&call)?;
    let kind = fields.remove("type").unwrap_or_default();
    match kind.as_str() {
        Some("agent") => {
            require(&call, &[Scope::PresenceWrite, Scope::PresenceSupervise])?;
            call.body = Value::Object(fields).to_string().into();
            call.headers.remove(axum::http::header::CONTENT_TYPE);
            super::agent::post(call).await
        }
        Some("register") => {
            require(&call, &[Scope::Registrar])?;
            register(&call, fields).await
        }
        Some("dialog") => {
            require(&call, &[Scope::Registrar])?;
            dialog(&call, fields).await
        }
        Some(_) | None => Err(Problem::invalid("type", "one of register, dialog, agent")),
    }
}

fn require(call: &Call, scopes: &[Scope]) -> Result<(), Problem> {
    if scopes.iter().any(|scope| call.principal.allows(*scope)) {
        return Ok(());
    }
    Err(Problem::missing_scope(scopes, call.principal.scopes))
}

/// Numbers registrations whose sender does not, per account and key.
#[derive(Debug)]
pub(crate) struct Registrations {
    turn: Semaphore,
    numbers: Mutex<HashMap<(AccountId, Arc<str>), u64>>,
}

impl Default for Registrations {
    fn default() -> Self {
        Self { turn: Semaphore::new(1), numbers: Mutex::default() }
    }
}

fn next(numbers: &Mutex<HashMap<(AccountId, Arc<str>), u64>>, of: (AccountId, Arc<str>)) -> u64 {
    let mut numbers = numbers.lock();
    let number = numbers.entry(of).or_default();
    *number += 1;
    *number
}

/// The whole contact set of one AoR; without contacts, its last one is gone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Register {
    #[serde(default)]
    account_id: Option<AccountId>,
    aor: String,
    #[serde(default)]
    contacts: Vec<Contact>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Contact {
    #[serde(default)]
    id: Option<String>,
    uri: String,
    /// Seconds from now.
    #[serde(default)]
    expires: Option<u32>,
    #[serde(default)]
    user_agent: Option<String>,
}

async fn register(call: &Call, fields: Map<String, Value>) -> Answer {
    let body: Register = read(fields)?;
    let account = call.account_named(body.account_id.as_ref())?;
    let now = call.app.now();
    let contacts = contacts(body.contacts, now)?;
    let aor = ringfence::core::contact::canonical_aor(&body.aor)
        .map_err(|_| Problem::invalid("aor", "it is not user@domain"))?;
    let source = SourceId::parse(SOURCE).map_err(|error| Problem::internal(error.to_string()))?;
    let Registrations { turn, numbers } = &call.app.registrations;
    // Numbered and handed over one at a time: a number that comes late looks like a repetition.
    let _turn = turn.acquire().await.map_err(|_| Problem::overloaded("the server is going down"))?;
    let (epoch, seq) =
        (call.app.engine.term(), next(numbers, (account.id().clone(), call.principal.key_id.clone())));
    let event = Event { source, epoch, seq, at: now, kind: EventKind::Bindings { aor, contacts } };
    let report = call.app.engine.feed(account.id(), &call.principal.key_id, vec![event]).await?;
    if let Some((_, code)) = report.refused.first() {
        let problem = Problem::new(StatusCode::CONFLICT, code, "the registration was not taken");
        return Err(problem.member("source", SOURCE).member("key_id", &*call.principal.key_id));
    }
    ok(&json!({ "accepted": report.accepted, "duplicates": report.duplicates }))
}

fn contacts(bodies: Vec<Contact>, now: Time) -> Result<Vec<EventContact>, Problem> {
    if bodies.len() > CONTACTS_PER_EVENT_MAX {
        return Err(Problem::invalid("contacts", format!("at most {CONTACTS_PER_EVENT_MAX}")));
    }
    let contact = |(place, body): (usize, Contact)| {
        let id = body.id.unwrap_or_else(|| body.uri.clone());
        let texts = [&id, &body.uri].into_iter().chain(&body.user_agent);
        if texts.into_iter().any(|text| text.is_empty() || text.len() > TEXT_BYTES_MAX) {
            let detail = format!("its texts have 1 to {TEXT_BYTES_MAX} bytes");
            return Err(Problem::invalid(format!("contacts[{place}]"), detail));
        }
        Ok(EventContact {
            id,
            uri: body.uri,
            expires_at: body.expires.map(|sec| now.plus_sec(sec)),
            instance: None,
            received: None,
            user_agent: body.user_agent,
            qualify: None,
        })
    };
    bodies.into_iter().enumerate().map(contact).collect()
}

async fn dialog(call: &Call, mut fields: Map<String, Value>) -> Answer {
    let account: Option<AccountId> = fields
        .remove("accountId")
        .map(|id| {
            AccountId::deserialize(id).map_err(|error| Problem::invalid("accountId", error.to_string()))
        })
        .transpose()?;
    for (theirs, ours) in [("callId", "call_id"), ("userId", "agent_id"), ("offerId", "offer_id")] {
        if let Some(value) = fields.remove(theirs) {
            fields.insert(ours.to_owned(), value);
        }
    }
    let body: CallBody = read(fields)?;
    let account = call.account_named(account.as_ref())?;
    let event: CallEvent = body.event()?;
    let answer = account.call_event(call.by(Role::Registrar), event).await?;
    ok(
        &json!({ "accepted": answer.fed.applied, "duplicates": answer.fed.stale, "unknown": answer.fed.unknown }),
    )
}

fn read<T: serde::de::DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Problem> {
    crate::json::read(Value::Object(fields).to_string().as_bytes())
}
