//! `POST /agent` and `GET /agent`.

use ringfence::core::agent::{By, Role};
use ringfence::core::input::{EventInput, When};
use ringfence::{AccountId, AgentId, ReasonId};
use serde::Deserialize;

use super::{body, document};
use crate::call::{Answer, Call, ok};
use crate::problem::Problem;
use crate::routes::{QueueBody, agent_event, choices};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Body {
    #[serde(default)]
    account_id: Option<AccountId>,
    user_id: AgentId,
    event: String,
    #[serde(default, alias = "reasonId", alias = "pauseReason", alias = "pause_reason")]
    reason: Option<ReasonId>,
    #[serde(default)]
    queues: Option<Vec<QueueBody>>,
    #[serde(default)]
    sec: Option<u32>,
}

pub(crate) async fn post(call: Call) -> Answer {
    let body: Body = body(&call)?;
    let account = call.account_named(body.account_id.as_ref())?;
    let by = By::new(Role::Agent, body.user_id.as_str());
    let input = EventInput {
        agent: body.user_id,
        event: agent_event(&body.event, body.reason, body.sec)?,
        queues: choices(body.queues),
        create: call.app.config.dev,
        expected_seq: None,
        when: When::Now,
    };
    let answer = account.event(by, input).await?;
    let mut reply = document::agent(account.id(), &answer.row);
    if let Some(fields) = reply.as_object_mut() {
        fields.insert("changed".into(), answer.changed.into());
    }
    ok(&reply)
}

pub(crate) async fn get(call: Call) -> Answer {
    let query = &call.query;
    let account = call.account_named(query.value("accountId")?.as_ref())?;
    let agent: AgentId = query.value("userId")?.ok_or_else(|| Problem::invalid("userId", "which agent?"))?;
    let answer = account.read_agent(agent).await?;
    ok(&document::agent(account.id(), &answer.row))
}
