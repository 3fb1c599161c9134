//! Reads request bodies within limits of size, time, and memory for all of them together.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::SemaphorePermit;

use crate::config::BODY_FREE_BYTES;
use crate::problem::Problem;
use crate::state::App;

/// A body, and its place in the budget for as long as it is held.
pub(crate) struct Held<'a> {
    pub bytes: Bytes,
    _budget: Option<SemaphorePermit<'a>>,
}

/// Bytes are counted in these.
const UNIT: usize = 1024;

/// What the budget holds, in its units.
pub(crate) fn budget(bytes: usize) -> tokio::sync::Semaphore {
    tokio::sync::Semaphore::new((bytes / UNIT).min(tokio::sync::Semaphore::MAX_PERMITS))
}

/// The whole body, if it has at most `max` bytes.
pub(crate) async fn read<'a>(
    app: &'a App,
    headers: &HeaderMap,
    body: Body,
    max: usize,
) -> Result<Held<'a>, Problem> {
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return Err(too_large(max));
    }
    let time = Duration::from_millis(app.config.limits.body_ms);
    match tokio::time::timeout(time, collect(app, body, announced.unwrap_or(max), max)).await {
        Ok(held) => held,
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            format!("the body did not arrive within {} ms", time.as_millis()),
        )),
    }
}

async fn collect(app: &App, mut body: Body, expected: usize, max: usize) -> Result<Held<'_>, Problem> {
    let mut bytes = BytesMut::new();
    let mut budget = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, "broken_body", format!("the body broke off: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > max {
            return Err(too_large(max));
        }
        bytes.extend_from_slice(&data);
        if budget.is_none() && bytes.len() > BODY_FREE_BYTES {
            let units = u32::try_from(expected.div_ceil(UNIT)).unwrap_or(u32::MAX);
            let permit = app.bodies.try_acquire_many(units);
            budget = Some(permit.map_err(|_| Problem::overloaded("too many large bodies are on their way"))?);
        }
    }
    Ok(Held { bytes: bytes.freeze(), _budget: budget })
}

fn too_large(max: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("a body of this route has at most {max} bytes"),
    )
    .member("limit", max)
}
