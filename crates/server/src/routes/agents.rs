//! `/v1/agents/{id}`: the directory.

use ringfence::core::agent::{Address, AddressKind, AgentEntry, AgentKind, RingMethod, Role};
use ringfence::{AgentId, TagId};
use serde::Deserialize;
use serde_json::json;

use super::calls::done;
use crate::call::{Answer, Call, ok};
use crate::json::flag;
use crate::problem::Problem;

/// What an administrator may write. What is left out has its default: a PUT says everything.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Body {
    id: Option<AgentId>,
    name: Option<String>,
    /// Short for an address of that type.
    extension: Option<String>,
    kind: AgentKind,
    capacity: u16,
    #[serde(deserialize_with = "flag::deserialize")]
    is_agent: bool,
    #[serde(deserialize_with = "flag::deserialize")]
    active: bool,
    #[serde(deserialize_with = "flag::deserialize")]
    voice: bool,
    ring_method: RingMethod,
    addresses: Vec<AddressBody>,
    #[serde(alias = "tags")]
    tag_ids: Vec<TagId>,
    #[serde(deserialize_with = "flag::deserialize")]
    sip_endpoint: bool,
}

impl Default for Body {
    fn default() -> Self {
        let entry = AgentEntry::default();
        Self {
            id: None,
            name: None,
            extension: None,
            kind: entry.kind,
            capacity: entry.capacity,
            is_agent: entry.is_agent,
            active: entry.active,
            voice: entry.voice,
            ring_method: entry.ring_method,
            addresses: Vec::new(),
            tag_ids: Vec::new(),
            sip_endpoint: entry.sip_endpoint,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddressBody {
    #[serde(rename = "type")]
    kind: AddressKind,
    target: String,
    #[serde(default)]
    ring: Option<bool>,
}

/// Longest name: it is in every row.
const NAME_CHARS_MAX: usize = 128;

impl Body {
    fn entry(self) -> Result<AgentEntry, Problem> {
        if self.name.as_ref().is_some_and(|name| name.chars().count() > NAME_CHARS_MAX) {
            return Err(Problem::invalid("name", format!("at most {NAME_CHARS_MAX} characters")));
        }
        let extension =
            self.extension.map(|target| AddressBody { kind: AddressKind::Extension, target, ring: None });
        let addresses = extension.into_iter().chain(self.addresses);
        Ok(AgentEntry {
            name: self.name,
            kind: self.kind,
            capacity: self.capacity,
            is_agent: self.is_agent,
            active: self.active,
            voice: self.voice,
            ring_method: self.ring_method,
            addresses: addresses.map(AddressBody::address).collect(),
            tags: self.tag_ids,
            sip_endpoint: self.sip_endpoint,
        })
    }
}

impl AddressBody {
    /// A desk phone rings unless it is told not to; a telephone number only if it is told to.
    fn address(self) -> Address {
        let ring = self.ring.unwrap_or(match self.kind {
            AddressKind::Extension | AddressKind::Sip => true,
            AddressKind::Tel => false,
        });
        Address { kind: self.kind, target: self.target, ring }
    }
}

pub(super) async fn put(call: Call) -> Answer {
    let agent: AgentId = call.id("agent_id")?;
    let body: Body = call.json_or_empty()?;
    if body.id.as_ref().is_some_and(|id| *id != agent) {
        return Err(Problem::invalid("id", "the path names another agent"));
    }
    let answer = call.account()?.put_agent(call.by(Role::Api), agent, body.entry()?).await?;
    ok(&json!({ "agent": call.shown(&answer.row), "seq": answer.seq, "changed": answer.changed }))
}

pub(super) async fn get(call: Call) -> Answer {
    call.query.only(&[])?;
    let agent: AgentId = call.id("agent_id")?;
    let answer = call.account()?.read_agent(agent).await?;
    let mut document = json!(answer.row.directory);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("id".into(), json!(answer.row.agent_id));
        fields.insert("seq".into(), json!(answer.row.seq));
    }
    ok(&document)
}

pub(super) async fn remove(call: Call) -> Answer {
    let agent: AgentId = call.id("agent_id")?;
    done(call.account()?.remove_agent(call.by(Role::Api), agent).await?)
}
