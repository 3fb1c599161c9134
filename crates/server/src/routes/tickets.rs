//! `POST /v1/tickets`.

use axum::http::StatusCode;
use serde_json::json;

use crate::call::{Answer, Call, json};
use crate::json::Nothing;
use crate::problem::Problem;

pub(super) async fn mint(call: Call) -> Answer {
    let Nothing {} = call.json_or_empty()?;
    let account = call.account()?;
    let minted = call
        .app
        .tickets
        .mint(&call.principal, account.id(), call.app.now())
        .map_err(|error| Problem::overloaded(error.to_string()))?;
    json(StatusCode::CREATED, &json!({ "ticket": minted.ticket, "expires_at": minted.expires_at }))
}
