//! The full state of one source as it is put (feeds.md): `{source, epoch, cut, at, bindings: [{aor, contacts}]}`.
//!
//! Taken whole or not at all: what a snapshot leaves out is swept, so leaving out what could not be read would end
//! registrations that are fine.

use std::collections::HashSet;

use ringfence_core::feed::{EventContact, Snapshot};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::elements::{self, Walk};
use crate::feed_event::{BadCode, contacts};
use crate::fields::{BadField, Fields};

/// Contacts of one source, and AoRs: twice what the largest registrar of the tests holds. A source beyond that is to be
/// split into several.
pub const SNAPSHOT_CONTACTS_MAX: usize = 200_000;

/// Why a snapshot was refused; nothing of it was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot is refused as a whole: {message}")]
pub struct BadSnapshot {
    pub code: BadCode,
    pub message: String,
}

/// Reads a snapshot. Bindings are read one at a time; the body is the largest thing held.
pub fn parse(body: &[u8]) -> Result<Snapshot, BadSnapshot> {
    read(body).map_err(|BadField { code, message }| BadSnapshot { code, message })
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(default)]
    source: Value,
    #[serde(default)]
    epoch: Value,
    #[serde(default)]
    cut: Value,
    #[serde(default)]
    at: Value,
    #[serde(borrow)]
    bindings: Option<&'a RawValue>,
}

fn read(body: &[u8]) -> Result<Snapshot, BadField> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(BadField::new(BadCode::NotAnObject, "this is not a JSON object"));
    }
    let body: Body<'_> = serde_json::from_slice(body).map_err(|error| BadField::not_json(&error))?;
    let head = serde_json::json!({
        "source": body.source, "epoch": body.epoch, "cut": body.cut, "at": body.at,
    });
    let head = Fields::of(&head, "")?;
    let bindings =
        body.bindings.ok_or_else(|| BadField::new(BadCode::MissingField, "`bindings` is missing"))?;
    Ok(Snapshot {
        source: head.id("source")?,
        epoch: head.number("epoch")?,
        cut: head.number("cut")?,
        at: head.time("at")?,
        bindings: read_bindings(bindings)?,
    })
}

fn read_bindings(json: &RawValue) -> Result<Vec<(String, Vec<EventContact>)>, BadField> {
    if !json.get().starts_with('[') {
        return Err(BadField::new(BadCode::WrongType, "`bindings` is not an array"));
    }
    let mut bindings = Bindings::default();
    let mut refused = None;
    let walked = elements::each(json.get().as_bytes(), |value| match bindings.add(&value) {
        Ok(()) => Walk::On,
        Err(error) => {
            refused = Some(error);
            Walk::Stop
        }
    });
    match (refused, walked) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(BadField::not_json(&error)),
        (None, Ok(())) => Ok(bindings.read),
    }
}

#[derive(Default)]
struct Bindings {
    read: Vec<(String, Vec<EventContact>)>,
    aors: HashSet<String>,
    contacts: usize,
}

impl Bindings {
    fn add(&mut self, value: &Value) -> Result<(), BadField> {
        let place = format!("bindings[{}].", self.read.len());
        let fields = Fields::of(value, &place)?;
        let aor = fields.aor("aor")?;
        let contacts = contacts(fields)?;
        self.contacts += contacts.len();
        if self.contacts > SNAPSHOT_CONTACTS_MAX || self.read.len() == SNAPSHOT_CONTACTS_MAX {
            let message = format!("a snapshot has at most {SNAPSHOT_CONTACTS_MAX} contacts, and AoRs");
            return Err(BadField::new(BadCode::TooMany, message));
        }
        if !self.aors.insert(aor.clone()) {
            let message = format!("`{place}aor` is listed twice; one entry has all contacts of an AoR");
            return Err(BadField::new(BadCode::BadValue, message));
        }
        self.read.push((aor, contacts));
        Ok(())
    }
}
