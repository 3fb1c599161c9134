//! The answer of `ul.dump`: every contact of every location table.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use ringfence_core::Time;
use ringfence_core::contact::{CONTACTS_MAX, canonical_aor};
use ringfence_core::feed::EventContact;
use ringfence_wire::feed_event::{AOR_BYTES_MAX, TEXT_BYTES_MAX};
use ringfence_wire::feed_snapshot::SNAPSHOT_CONTACTS_MAX;
use serde::Deserialize;

use crate::error::AdapterError;
use crate::kamailio::{DUMP, unreadable};

/// What `ul.dump` writes for a field without a value.
const NOT_SET: &str = "[not set]";
/// How much of a registrar's own words goes into an error: it ends in a log line.
const RPC_MESSAGE_CHARS_MAX: usize = 256;

/// What a dump holds and a snapshot does not: for a metric, and one line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeftOut {
    /// AoRs that are not user@domain: `use_domain` is off, and nobody could say whose they are.
    pub aors: u64,
    /// Contacts without an id or a URI of a possible length, or beyond the most an AoR may have.
    pub contacts: u64,
    /// Contacts that had expired or were deleted and only not yet collected. Nothing is wrong with these.
    pub ended: u64,
}

/// The contacts of each AoR, in the dump's order.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    pub bindings: Vec<(String, Vec<EventContact>)>,
    pub left_out: LeftOut,
    /// Where each AoR stands: several tables may hold the same.
    places: HashMap<String, usize>,
    contacts: usize,
}

impl Dump {
    /// `at` is the registrar's clock when the dump was asked for.
    pub(crate) fn parse(bytes: &[u8], at: Time) -> Result<Self, AdapterError> {
        let reply: Reply = serde_json::from_slice(bytes).map_err(|error| unreadable(DUMP, bytes, &error))?;
        if let Some(error) = reply.error {
            return Err(error.told());
        }
        let result = reply.result.ok_or_else(|| unexpected("there is neither `result` nor `error`"))?;
        let mut dump = Self::default();
        for Named { domain: table } in result.domains {
            let listed = table.aors.len() as u64;
            if let Some(stats) = table.stats.filter(|stats| stats.records > listed) {
                let why = format!("{listed} AoRs are listed of {}", stats.records);
                return Err(AdapterError::CutShort { what: DUMP, received: bytes.len() as u64, why });
            }
            for Info { info } in table.aors {
                dump.add(info, at)?;
            }
        }
        Ok(dump)
    }

    fn add(&mut self, aor: Aor, at: Time) -> Result<(), AdapterError> {
        let name = match canonical_aor(&aor.name) {
            Ok(name) if aor.name.len() <= AOR_BYTES_MAX => name,
            Ok(_) | Err(_) => {
                self.left_out.aors += 1;
                return Ok(());
            }
        };
        let place = match self.places.entry(name) {
            Entry::Occupied(held) => *held.get(),
            Entry::Vacant(new) => {
                self.bindings.push((new.key().clone(), Vec::new()));
                *new.insert(self.bindings.len() - 1)
            }
        };
        let held = &mut self.bindings[place].1;
        for Wrapped { contact } in aor.contacts {
            match contact.read(at)? {
                Read::Ended => self.left_out.ended += 1,
                Read::Unusable => self.left_out.contacts += 1,
                Read::Held(_) if held.len() == CONTACTS_MAX => self.left_out.contacts += 1,
                Read::Held(contact) => {
                    held.push(*contact);
                    self.contacts += 1;
                }
            }
        }
        if self.contacts > SNAPSHOT_CONTACTS_MAX || self.bindings.len() > SNAPSHOT_CONTACTS_MAX {
            return Err(AdapterError::TooManyContacts { what: DUMP, limit: SNAPSHOT_CONTACTS_MAX });
        }
        Ok(())
    }
}

/// The error of a JSON-RPC answer, when it is one: Kamailio sends some with a status of their own.
pub(crate) fn rpc_error(bytes: &[u8]) -> Option<AdapterError> {
    let reply: Reply = serde_json::from_slice(bytes).ok()?;
    reply.error.map(RpcError::told)
}

#[derive(Deserialize)]
struct Reply {
    result: Option<Tables>,
    error: Option<RpcError>,
}

#[derive(Deserialize)]
struct RpcError {
    code: i64,
    message: String,
}

#[derive(Deserialize)]
struct Tables {
    #[serde(rename = "Domains")]
    domains: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "Domain")]
    domain: Table,
}

#[derive(Deserialize)]
struct Table {
    #[serde(rename = "AoRs")]
    aors: Vec<Info>,
    #[serde(rename = "Stats")]
    stats: Option<Stats>,
}

#[derive(Deserialize)]
struct Stats {
    /// AoRs, counted while they were written.
    #[serde(rename = "Records")]
    records: u64,
}

#[derive(Deserialize)]
struct Info {
    #[serde(rename = "Info")]
    info: Aor,
}

#[derive(Deserialize)]
struct Aor {
    #[serde(rename = "AoR")]
    name: String,
    #[serde(rename = "Contacts")]
    contacts: Vec<Wrapped>,
}

#[derive(Deserialize)]
struct Wrapped {
    #[serde(rename = "Contact")]
    contact: Contact,
}

#[derive(Deserialize)]
struct Contact {
    #[serde(rename = "Address")]
    address: Option<String>,
    #[serde(rename = "Expires")]
    expires: Expires,
    #[serde(rename = "User-Agent")]
    user_agent: Option<String>,
    #[serde(rename = "Received")]
    received: Option<String>,
    #[serde(rename = "Ruid")]
    ruid: Option<String>,
    #[serde(rename = "Instance")]
    instance: Option<String>,
}

/// Seconds from now, or a word.
#[derive(Deserialize)]
#[serde(untagged)]
enum Expires {
    Seconds(i64),
    Word(String),
}

enum Read {
    Held(Box<EventContact>),
    Ended,
    Unusable,
}

impl RpcError {
    fn told(self) -> AdapterError {
        let message = self.message.chars().take(RPC_MESSAGE_CHARS_MAX).collect();
        AdapterError::Rpc { what: DUMP, code: self.code, message }
    }
}

impl Contact {
    fn read(self, at: Time) -> Result<Read, AdapterError> {
        let expires_at = match self.expires {
            Expires::Seconds(left) => match u64::try_from(left) {
                // Kamailio counts whole seconds: so the end is the one its events name.
                Ok(left) => Some(Time::from_ms((at.ms() / 1000).saturating_add(left).saturating_mul(1000))),
                Err(_) => return Ok(Read::Ended),
            },
            Expires::Word(word) => match word.as_str() {
                "permanent" => None,
                "expired" | "deleted" => return Ok(Read::Ended),
                // To guess would be to end a registration or to make one eternal.
                _ => {
                    return Err(unexpected(
                        "an `Expires` is neither seconds nor permanent, expired, deleted",
                    ));
                }
            },
        };
        let (Some(id), Some(uri)) = (bounded(self.ruid), bounded(self.address)) else {
            return Ok(Read::Unusable);
        };
        Ok(Read::Held(Box::new(EventContact {
            id,
            uri,
            expires_at,
            instance: bounded(self.instance),
            received: bounded(self.received),
            user_agent: bounded(self.user_agent),
            qualify: None,
        })))
    }
}

/// The value of a field, where it has one that may be kept.
fn bounded(field: Option<String>) -> Option<String> {
    field.filter(|text| text != NOT_SET && !text.is_empty() && text.len() <= TEXT_BYTES_MAX)
}

fn unexpected(why: &str) -> AdapterError {
    AdapterError::Unexpected { what: DUMP, why: why.to_owned() }
}
