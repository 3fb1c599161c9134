//! `/v1/queues`.

use ringfence::core::agent::Role;
use ringfence::core::input::ReadQueue;
use ringfence::core::queue::QueueSettings;
use ringfence::core::row::ServiceLevel;
use ringfence::{Account, QueueId, Refusal, Time};
use serde::Serialize;
use serde_json::{Map, Value};

use super::calls::done;
use super::condition::{tag, tagged, turn};
use super::page::Page;
use crate::call::{Answer, Call, ok};
use crate::problem::Problem;

/// Longest name of a queue or a reason.
const NAME_CHARS_MAX: usize = 128;

pub(super) async fn put(call: Call) -> Answer {
    let queue: QueueId = call.id("queue_id")?;
    let settings = settings(&call, &queue)?;
    named_shortly(settings.name.as_deref().unwrap_or_default())?;
    let account = call.account()?;
    let _turn = turn(&call, &account, async || written(&account, &queue).await).await?;
    let put = account.put_queue(call.by(Role::Api), queue, settings.clone()).await?;
    tagged(done(put), &settings)
}

/// The tag of what was written of the queue.
async fn written(account: &Account, queue: &QueueId) -> Result<Option<String>, Problem> {
    let read = account.read_queues(vec![queue.clone()]).await?;
    read.queues.first().map(|read| tag(&read.settings)).transpose()
}

/// The settings a body says. It may name the queue too, as what is read does.
fn settings(call: &Call, queue: &QueueId) -> Result<QueueSettings, Problem> {
    let named = serde_json::from_slice::<Map<String, Value>>(&call.body).ok();
    let Some(mut fields) = named.filter(|fields| fields.contains_key("id")) else {
        return call.json_or_empty();
    };
    let id = fields.remove("id").map(serde_json::from_value::<QueueId>);
    if !matches!(id, Some(Ok(id)) if id == *queue) {
        return Err(Problem::invalid("id", "the path names another queue"));
    }
    crate::json::read(Value::Object(fields).to_string().as_bytes())
}

/// A queue as it was written, and as it is.
#[derive(Serialize)]
struct Document {
    id: QueueId,
    seq: u64,
    #[serde(flatten)]
    settings: QueueSettings,
    members: usize,
    ready: u32,
    waiting: u32,
    oldest_since: Option<Time>,
    service_level: ServiceLevel,
}

impl From<ReadQueue> for Document {
    fn from(read: ReadQueue) -> Self {
        let ReadQueue { row, settings, members } = read;
        Self {
            id: row.queue_id,
            seq: row.seq,
            settings,
            members,
            ready: row.ready,
            waiting: row.waiting,
            oldest_since: row.oldest_since,
            service_level: row.service_level,
        }
    }
}

pub(super) async fn get(call: Call) -> Answer {
    let queue: QueueId = call.id("queue_id")?;
    let read = call.account_to_read().await?.read_queues(vec![queue.clone()]).await?;
    let document = read.queues.into_iter().next().map(Document::from);
    let document = document.ok_or(Refusal::UnknownQueue { queue })?;
    tagged(ok(&document), &document.settings)
}

pub(super) async fn list(call: Call) -> Answer {
    let page = Page::<QueueId>::read(&call.query)?.or_default();
    let account = call.account_to_read().await?;
    let rows = account.roster().await?.queues;
    let page = page.of(rows.iter().map(|row| row.queue_id.clone()).collect(), |id| id);
    let read = account.read_queues(page.data.clone()).await?;
    ok(&page.with::<Document>(read.queues.into_iter().map(Document::from).collect()))
}

pub(super) async fn remove(call: Call) -> Answer {
    let queue: QueueId = call.id("queue_id")?;
    let account = call.account()?;
    let _turn = turn(&call, &account, async || written(&account, &queue).await).await?;
    done(account.remove_queue(call.by(Role::Api), queue).await?)
}

/// Names are shown wherever there is a row.
pub(super) fn named_shortly(name: &str) -> Result<(), Problem> {
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(Problem::invalid("name", format!("at most {NAME_CHARS_MAX} characters")));
    }
    Ok(())
}
