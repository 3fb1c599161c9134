//! `GET /presence`: the whole roster, so that extensions that never registered show as offline.

use serde_json::{Value, json};

use super::document;
use crate::call::{Answer, Call, ok};
use crate::routes::Filter;

pub(crate) async fn get(call: Call) -> Answer {
    let query = &call.query;
    let filter = Filter::read(query)?;
    let account = call.account_named(query.value("accountId")?.as_ref())?;
    let roster = account.roster().await?;
    let agents: Vec<Value> = roster
        .agents
        .iter()
        .filter(|row| filter.holds(row))
        .map(|row| document::agent(account.id(), row))
        .collect();
    ok(&json!({
        "accountId": account.id(),
        "seq": roster.seq,
        "tiles": roster.counts.tiles(),
        "buckets": roster.counts,
        "agents": agents,
    }))
}
