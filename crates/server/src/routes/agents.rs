//! `/v1/agents`: the directory.

use std::sync::Arc;

use ringfence::core::agent::{Address, AddressKind, AgentEntry, AgentKind, RingMethod, Role};
use ringfence::core::input::ReadEntry;
use ringfence::core::row::{AgentRow, Live, QueueMembership, Today};
use ringfence::{Account, AgentId, Refusal, TagId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::calls::done;
use super::condition::{tag, tagged, turn};
use super::page::Page;
use super::presence::Filter;
use super::written::refused;
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
        // What is read names it in both places, and may be written as it was read.
        let listed = |target: &String| {
            let is =
                |address: &AddressBody| address.kind == AddressKind::Extension && address.target == *target;
            self.addresses.iter().any(is)
        };
        let extension = self.extension.filter(|target| !listed(target));
        let extension =
            extension.map(|target| AddressBody { kind: AddressKind::Extension, target, ring: None });
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
    let (account, entry) = (call.account()?, body.entry()?);
    let _turn = turn(&call, &account, async || written(&account, &agent).await).await?;
    let answer = account.put_agent(call.by(Role::Api), agent, entry.clone()).await?;
    let document = json!({ "agent": call.shown(&answer.row), "seq": answer.seq, "changed": answer.changed });
    tagged(ok(&document), &entry)
}

/// The tag of what was written of the agent.
async fn written(account: &Account, agent: &AgentId) -> Result<Option<String>, Problem> {
    let read = account.read_entries(vec![agent.clone()]).await?;
    read.entries.first().map(|read| tag(&*read.entry)).transpose()
}

pub(super) async fn get(call: Call) -> Answer {
    let agent: AgentId = call.id("agent_id")?;
    let read = call.account_to_read().await?.read_entries(vec![agent.clone()]).await?;
    let read = read.entries.into_iter().next().ok_or(Refusal::UnknownAgent { agent })?;
    let entry = Arc::clone(&read.entry);
    tagged(ok(&Document::new(&call, read, true)), &*entry)
}

/// The roster says who there is and who fits the filter; the account says what was written of those on the page.
pub(super) async fn list(call: Call) -> Answer {
    let (filter, page) = (Filter::read(&call.query)?, Page::<AgentId>::read(&call.query)?.or_default());
    let live = match call.query.text("include") {
        None => false,
        Some("live") => true,
        Some(_) => return Err(Problem::invalid("include", "only \"live\" is possible")),
    };
    let account = call.account_to_read().await?;
    let rows = account.roster().await?.agents;
    let ids: Vec<AgentId> =
        rows.iter().filter(|row| filter.holds(row)).map(|row| row.agent_id.clone()).collect();
    let page = page.of(ids, |id| id);
    let read = account.read_entries(page.data.clone()).await?;
    let data = read.entries.into_iter().map(|read| Document::new(&call, read, live)).collect();
    ok(&page.with::<Document>(data))
}

/// An agent as it was written, with its memberships and, if asked for, what it is doing.
#[derive(Serialize)]
struct Document {
    id: AgentId,
    seq: u64,
    name: Option<String>,
    extension: Option<String>,
    kind: AgentKind,
    capacity: u16,
    is_agent: bool,
    active: bool,
    voice: bool,
    ring_method: RingMethod,
    addresses: Vec<Address>,
    tag_ids: Vec<TagId>,
    sip_endpoint: bool,
    queues: Vec<QueueMembership>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<Arc<Live>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    today: Option<Arc<Today>>,
}

impl Document {
    fn new(call: &Call, read: ReadEntry, with_live: bool) -> Self {
        let AgentRow { agent_id, seq, directory, live, today } = call.shown(&read.row);
        let entry = Arc::unwrap_or_clone(read.entry);
        Self {
            id: agent_id,
            seq,
            extension: entry.extension().map(str::to_owned),
            name: entry.name,
            kind: entry.kind,
            capacity: entry.capacity,
            is_agent: entry.is_agent,
            active: entry.active,
            voice: entry.voice,
            ring_method: entry.ring_method,
            addresses: entry.addresses,
            tag_ids: entry.tags,
            sip_endpoint: entry.sip_endpoint,
            queues: directory.map_or_else(Vec::new, |directory| Arc::unwrap_or_clone(directory).queues),
            live: live.filter(|_| with_live),
            today: today.filter(|_| with_live),
        }
    }
}

pub(super) async fn remove(call: Call) -> Answer {
    let agent: AgentId = call.id("agent_id")?;
    let account = call.account()?;
    let _turn = turn(&call, &account, async || written(&account, &agent).await).await?;
    match account.remove_agent(call.by(Role::Api), agent).await {
        Ok(removed) => done(removed),
        Err(error) => Err(refused(&call, &account, error).await),
    }
}
