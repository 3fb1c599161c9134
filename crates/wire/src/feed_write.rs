//! Writes feed events and snapshots: the other half of [`crate::feed_event`] and [`crate::feed_snapshot`], for adapters
//! that post to a server elsewhere.

use ringfence_core::call::Direction;
use ringfence_core::feed::{CallEvent, CallPhase, Event, EventContact, EventKind, Party, Qualify, Snapshot};
use ringfence_core::{AgentId, CallId, OfferId, SourceId, Time};
use serde::{Serialize, Serializer};

use crate::json::write;

/// One event on one line, the line's end included: NDJSON is these, one after the other.
pub fn event_line(event: &Event) -> Vec<u8> {
    let mut line = Vec::with_capacity(512);
    write(&mut line, &EventFields::of(event));
    line.push(b'\n');
    line
}

/// The body of a snapshot.
pub fn snapshot(snapshot: &Snapshot) -> Vec<u8> {
    let Snapshot { source, epoch, cut, at, bindings } = snapshot;
    let mut body = Vec::new();
    write(
        &mut body,
        &SnapshotFields { source, epoch: *epoch, cut: *cut, at: *at, bindings: Bindings(bindings) },
    );
    body
}

/// All fields an event may have; the kind says which it has.
#[derive(Serialize)]
struct EventFields<'a> {
    source: &'a SourceId,
    epoch: u64,
    seq: u64,
    at: Time,
    #[serde(flatten)]
    kind: KindFields<'a>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum KindFields<'a> {
    Bindings {
        aor: &'a str,
        contacts: Vec<ContactFields<'a>>,
    },
    Gone {
        aor: &'a str,
        contacts: Vec<GoneFields<'a>>,
    },
    Qualify {
        cause: &'static str,
        aor: &'a str,
        contacts: [GoneFields<'a>; 1],
    },
    Heartbeat {
        #[serde(skip_serializing_if = "Option::is_none")]
        contacts_total: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        users_total: Option<u64>,
        lost: u64,
    },
    Call {
        event: &'static str,
        call_id: &'a CallId,
        #[serde(skip_serializing_if = "Option::is_none")]
        agent: Option<&'a AgentId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        aor: Option<&'a str>,
        direction: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        peer: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        offer_id: Option<&'a OfferId>,
    },
}

#[derive(Serialize)]
struct ContactFields<'a> {
    id: &'a str,
    uri: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qualify: Option<&'static str>,
}

#[derive(Serialize)]
struct GoneFields<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct SnapshotFields<'a> {
    source: &'a SourceId,
    epoch: u64,
    cut: u64,
    at: Time,
    bindings: Bindings<'a>,
}

#[derive(Serialize)]
struct BindingFields<'a> {
    aor: &'a str,
    contacts: Vec<ContactFields<'a>>,
}

struct Bindings<'a>(&'a [(String, Vec<EventContact>)]);

impl Serialize for Bindings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_seq(self.0.iter().map(|(aor, held)| BindingFields { aor, contacts: contacts(held) }))
    }
}

impl<'a> EventFields<'a> {
    fn of(event: &'a Event) -> Self {
        let Event { source, epoch, seq, at, kind } = event;
        Self { source, epoch: *epoch, seq: *seq, at: *at, kind: KindFields::of(kind) }
    }
}

impl<'a> KindFields<'a> {
    fn of(kind: &'a EventKind) -> Self {
        match kind {
            EventKind::Bindings { aor, contacts: held } => Self::Bindings { aor, contacts: contacts(held) },
            EventKind::Gone { aor, contacts } => {
                Self::Gone { aor, contacts: contacts.iter().map(|id| GoneFields { id }).collect() }
            }
            EventKind::Qualify { aor, contact, qualify } => {
                Self::Qualify { cause: qualify_word(*qualify), aor, contacts: [GoneFields { id: contact }] }
            }
            EventKind::Heartbeat { contacts_total, users_total, lost } => {
                Self::Heartbeat { contacts_total: *contacts_total, users_total: *users_total, lost: *lost }
            }
            EventKind::Call(call) => Self::call(call),
        }
    }

    fn call(call: &'a CallEvent) -> Self {
        let CallEvent { phase, call_id, party, direction, peer, offer_id } = call;
        let (agent, aor) = match party {
            Party::Agent(agent) => (Some(agent), None),
            Party::Aor(aor) => (None, Some(aor.as_str())),
        };
        Self::Call {
            event: phase_word(*phase),
            call_id,
            agent,
            aor,
            direction: direction_word(*direction),
            peer: peer.as_deref(),
            offer_id: offer_id.as_ref(),
        }
    }
}

fn contacts(contacts: &[EventContact]) -> Vec<ContactFields<'_>> {
    contacts.iter().map(ContactFields::of).collect()
}

impl<'a> ContactFields<'a> {
    fn of(contact: &'a EventContact) -> Self {
        let EventContact { id, uri, expires_at, instance, received, user_agent, qualify } = contact;
        Self {
            id,
            uri,
            expires_at: *expires_at,
            instance: instance.as_deref(),
            received: received.as_deref(),
            user_agent: user_agent.as_deref(),
            qualify: qualify.map(qualify_word),
        }
    }
}

fn qualify_word(qualify: Qualify) -> &'static str {
    match qualify {
        Qualify::Ok => "reachable",
        Qualify::Failed => "unreachable",
        Qualify::Unknown => "unknown",
    }
}

fn phase_word(phase: CallPhase) -> &'static str {
    match phase {
        CallPhase::Start => "start",
        CallPhase::State => "state",
        CallPhase::End => "end",
    }
}

fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}
