//! `/v1/queues`, `/v1/pause-reasons` and `/v1/settings`: what an account is configured with.

use ringfence::core::agent::Role;
use ringfence::core::fence::PausedInbound;
use ringfence::core::input::{AccountSettings, PauseReason};
use ringfence::core::queue::QueueSettings;
use ringfence::{AccountId, QueueId, ReasonId, Refusal};
use serde::Deserialize;
use serde_json::json;

use super::calls::done;
use crate::call::{Answer, Call, ok, resolve};
use crate::json::flag;
use crate::problem::Problem;

/// Longest name of a queue or a reason: it is shown wherever there is a row.
const NAME_CHARS_MAX: usize = 128;

pub(super) async fn put(call: Call) -> Answer {
    let queue: QueueId = call.id("queue_id")?;
    let settings: QueueSettings = call.json_or_empty()?;
    named_shortly(settings.name.as_deref().unwrap_or_default())?;
    done(call.account()?.put_queue(call.by(Role::Api), queue, settings).await?)
}

pub(super) async fn get(call: Call) -> Answer {
    call.query.only(&[])?;
    let queue: QueueId = call.id("queue_id")?;
    let roster = call.account()?.roster().await?;
    let row = roster.queues.iter().find(|row| row.queue_id == queue);
    let row = row.ok_or(Refusal::UnknownQueue { queue })?;
    ok(&json!({
        "id": row.queue_id,
        "seq": row.seq,
        "waiting": row.waiting,
        "oldest_since": row.oldest_since,
        "ready": row.ready,
        "service_level": row.service_level,
    }))
}

pub(super) async fn remove(call: Call) -> Answer {
    let queue: QueueId = call.id("queue_id")?;
    done(call.account()?.remove_queue(call.by(Role::Api), queue).await?)
}

/// A pause reason, as sip.io writes it too: with its own id and account, and flags as 0 or 1.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReasonBody {
    #[serde(default)]
    id: Option<ReasonId>,
    #[serde(default)]
    account_id: Option<AccountId>,
    name: String,
    #[serde(default, deserialize_with = "flag::deserialize")]
    allow_inbound: bool,
    #[serde(default = "yes", deserialize_with = "flag::deserialize")]
    allow_outbound: bool,
    #[serde(default)]
    max_sec: Option<u32>,
    #[serde(default, deserialize_with = "flag::deserialize")]
    productive: bool,
    #[serde(default, deserialize_with = "flag::deserialize")]
    supervisor_only: bool,
}

const fn yes() -> bool {
    true
}

pub(super) async fn put_reason(call: Call) -> Answer {
    let id: ReasonId = call.id("reason_id")?;
    let body: ReasonBody = call.json()?;
    if body.id.as_ref().is_some_and(|named| *named != id) {
        return Err(Problem::invalid("id", "the path names another reason"));
    }
    named_shortly(&body.name)?;
    let account = call.account()?;
    if let Some(named) = body.account_id
        && named != *account.id()
    {
        resolve(&call.principal, Some(named))?;
        return Err(Problem::invalid("account_id", "the request is about another account"));
    }
    let reason = PauseReason {
        id,
        name: body.name,
        allow_inbound: body.allow_inbound,
        allow_outbound: body.allow_outbound,
        max_sec: body.max_sec,
        productive: body.productive,
        supervisor_only: body.supervisor_only,
    };
    done(account.put_reason(call.by(Role::Api), reason).await?)
}

pub(super) async fn remove_reason(call: Call) -> Answer {
    let reason: ReasonId = call.id("reason_id")?;
    done(call.account()?.remove_reason(call.by(Role::Api), reason).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsBody {
    #[serde(default)]
    paused_inbound: PausedInbound,
    #[serde(default)]
    unreachable_grace_ms: u64,
}

pub(super) async fn put_settings(call: Call) -> Answer {
    let body: SettingsBody = call.json()?;
    let settings = AccountSettings {
        paused_inbound: body.paused_inbound,
        unreachable_grace_ms: body.unreachable_grace_ms,
    };
    done(call.account()?.set_settings(call.by(Role::Api), settings).await?)
}

fn named_shortly(name: &str) -> Result<(), Problem> {
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(Problem::invalid("name", format!("at most {NAME_CHARS_MAX} characters")));
    }
    Ok(())
}
