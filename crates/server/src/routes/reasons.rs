//! `/v1/pause-reasons` and `/v1/settings`.

use axum::http::StatusCode;
use ringfence::core::agent::Role;
use ringfence::core::fence::PausedInbound;
use ringfence::core::input::{AccountSettings, PauseReason};
use ringfence::{Account, AccountId, Error, ReasonId, Refusal};
use serde::Deserialize;

use super::calls::done;
use super::condition::{tag, tagged, turn};
use super::page::Page;
use super::queues::named_shortly;
use crate::call::{Answer, Call, ok, resolve};
use crate::json::flag;
use crate::problem::Problem;

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

pub(super) async fn put(call: Call) -> Answer {
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
    let _turn = turn(&call, &account, async || written(&account, &reason.id).await).await?;
    let put = account.put_reason(call.by(Role::Api), reason.clone()).await?;
    tagged(done(put), &reason)
}

/// The tag of what was written of the reason.
async fn written(account: &Account, id: &ReasonId) -> Result<Option<String>, Problem> {
    let read = account.read_config().await?;
    read.config.reasons.iter().find(|reason| reason.id == *id).map(tag).transpose()
}

pub(super) async fn get(call: Call) -> Answer {
    let id: ReasonId = call.id("reason_id")?;
    let read = call.account_to_read().await?.read_config().await?;
    let reason = read.config.reasons.into_iter().find(|reason| reason.id == id);
    let reason = reason.ok_or(Error::Refused(Refusal::UnknownReason { reason: id })).map_err(not_there)?;
    tagged(ok(&reason), &reason)
}

pub(super) async fn list(call: Call) -> Answer {
    let page = Page::<ReasonId>::read(&call.query)?.or_default();
    let read = call.account_to_read().await?.read_config().await?;
    ok(&page.of(read.config.reasons, |reason| &reason.id))
}

pub(super) async fn remove(call: Call) -> Answer {
    let reason: ReasonId = call.id("reason_id")?;
    let account = call.account()?;
    let _turn = turn(&call, &account, async || written(&account, &reason).await).await?;
    done(account.remove_reason(call.by(Role::Api), reason).await.map_err(not_there)?)
}

/// In a pause an unknown reason is a field at fault, in a path it is a resource that is not there.
fn not_there(error: Error) -> Problem {
    let unknown = matches!(&error, Error::Refused(Refusal::UnknownReason { .. }));
    let mut problem = Problem::from(error);
    if unknown {
        problem.status = StatusCode::NOT_FOUND;
        problem.field = None;
    }
    problem
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsBody {
    #[serde(default)]
    paused_inbound: PausedInbound,
    #[serde(default)]
    unreachable_grace_ms: u64,
}

pub(super) async fn settings(call: Call) -> Answer {
    let settings = call.account_to_read().await?.read_config().await?.config.settings;
    tagged(ok(&settings), &settings)
}

pub(super) async fn put_settings(call: Call) -> Answer {
    let body: SettingsBody = call.json()?;
    let settings = AccountSettings {
        paused_inbound: body.paused_inbound,
        unreachable_grace_ms: body.unreachable_grace_ms,
    };
    let account = call.account()?;
    let written = async || tag(&account.read_config().await?.config.settings).map(Some);
    let _turn = turn(&call, &account, written).await?;
    let set = account.set_settings(call.by(Role::Api), settings.clone()).await?;
    tagged(done(set), &settings)
}
