//! `/v1/queues/{id}/calls`: callers who wait for an agent of a queue.

use axum::http::StatusCode;
use ringfence::core::agent::Role;
use ringfence::core::input::{Enqueue, Place};
use ringfence::core::queue::RequiredTags;
use ringfence::{Account, CallId, Error, LineAnswer, QueueId, RouterId, Time};
use serde::{Deserialize, Serialize};

use super::reserve::granted;
use super::written::refused;
use crate::call::{Answer, Call, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnqueueBody {
    call_id: CallId,
    /// 0 to 1000, higher goes first.
    #[serde(default)]
    priority: u16,
    #[serde(default)]
    caller: Option<String>,
    #[serde(default)]
    required_tags: Option<RequiredTags>,
    #[serde(default)]
    router_id: Option<RouterId>,
    /// Of the queue's row.
    #[serde(default)]
    expected_seq: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequeueBody {
    #[serde(default)]
    router_id: Option<RouterId>,
}

/// A place in line.
#[derive(Serialize)]
struct PlaceDocument {
    call_id: CallId,
    queue_id: QueueId,
    place: u32,
    waiting: u32,
    estimate_ms: Option<u64>,
    since: Time,
    until: Time,
    seq: u64,
    changed: bool,
}

#[derive(Serialize)]
struct DoneDocument {
    seq: u64,
    changed: bool,
}

pub(super) async fn enqueue(call: Call) -> Answer {
    let queue: QueueId = call.id("queue_id")?;
    let body: EnqueueBody = call.json()?;
    let input = Enqueue {
        queue,
        call: body.call_id,
        priority: body.priority,
        caller: body.caller,
        required_tags: body.required_tags,
        router: body.router_id,
    };
    let account = call.account()?.expecting(body.expected_seq);
    let answer = account.enqueue(call.by(Role::Router), input).await;
    placed(&call, &account, answer).await
}

pub(super) async fn requeue(call: Call) -> Answer {
    let (queue, id): (QueueId, CallId) = (call.id("queue_id")?, call.id("call_id")?);
    let body: RequeueBody = call.json_or_empty()?;
    let account = call.account()?;
    let answer = account.requeue(call.by(Role::Router), id, Some(queue), body.router_id).await;
    placed(&call, &account, answer).await
}

pub(super) async fn dequeue(call: Call) -> Answer {
    let (queue, id): (QueueId, CallId) = (call.id("queue_id")?, call.id("call_id")?);
    let account = call.account()?;
    match account.dequeue(call.by(Role::Router), id, Some(queue)).await {
        Ok(done) => json(StatusCode::OK, &DoneDocument { seq: done.seq, changed: done.changed }),
        Err(error) => Err(refused(&call, &account, error).await),
    }
}

/// 201 and the offer when somebody is free, 202 and the place when nobody is; of a repetition 200 where nothing changed.
async fn placed(call: &Call, account: &Account, answer: Result<LineAnswer, Error>) -> Answer {
    match answer {
        Ok(LineAnswer::Offered(offered)) => granted(call, account, Ok(offered)).await,
        Ok(LineAnswer::Placed { place, seq, changed }) => {
            let Place { call_id, queue_id, place, waiting, estimate_ms, since, until } = place;
            let document =
                PlaceDocument { call_id, queue_id, place, waiting, estimate_ms, since, until, seq, changed };
            json(if changed { StatusCode::ACCEPTED } else { StatusCode::OK }, &document)
        }
        Err(error) => Err(refused(call, account, error).await),
    }
}
