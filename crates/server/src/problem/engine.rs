//! The one map from what the engine says to problems: total, so that a new refusal does not compile until it has a place.

use axum::http::StatusCode;
use ringfence::core::fence::{Check, Clause};
use ringfence::core::offer::Outcome;
use ringfence::{Error, Refusal, RefusalKind, Time};
use serde_json::{Map, Value, json};

use super::{Problem, RETRY_SEC};
use crate::auth::Scope;

/// A quarantined account waits for a person, a full disk for room.
const RETRY_PERSON_SEC: u32 = 30;

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        let unavailable =
            |code, sec| Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail.clone()).retry_after(sec);
        match error {
            Error::Refused(refusal) => Self::from(refusal),
            Error::Busy { retry_after_ms } => Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail)
                .retry_after(u32::try_from(retry_after_ms.div_ceil(1000)).unwrap_or(u32::MAX)),
            Error::Unavailable => unavailable("unavailable", RETRY_SEC),
            Error::Quarantined { .. } => unavailable("quarantined", RETRY_PERSON_SEC),
            Error::Moved => unavailable("moved", RETRY_SEC),
            Error::DiskFull { free_bytes } => {
                unavailable("disk_full", RETRY_PERSON_SEC).member("free_bytes", free_bytes)
            }
            Error::Closed => unavailable("shutting_down", RETRY_SEC),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let mut problem = Self::new(status(refusal.kind()), refusal.code(), refusal.to_string());
        problem.hint = hint(&refusal).map(Box::from);
        let (field, members) = members(refusal);
        problem.field = field.map(Box::from);
        if let Value::Object(members) = members {
            problem.members = members;
        }
        problem
    }
}

const fn status(kind: RefusalKind) -> StatusCode {
    match kind {
        RefusalKind::NotFound => StatusCode::NOT_FOUND,
        RefusalKind::Conflict => StatusCode::CONFLICT,
        RefusalKind::Invalid => StatusCode::BAD_REQUEST,
        RefusalKind::Forbidden => StatusCode::FORBIDDEN,
        RefusalKind::Precondition => StatusCode::PRECONDITION_FAILED,
    }
}

/// What to do about it, where the detail does not say so already.
const fn hint(refusal: &Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::UnknownAgent { .. } => Some("PUT /v1/agents/{id} makes it; with --dev its first event does"),
        Refusal::UnknownQueue { .. } => {
            Some("PUT /v1/queues/{id} makes it; so does an agent's first choice of it")
        }
        Refusal::UnknownReason { .. } => Some("PUT /v1/pause-reasons/{id} makes it"),
        Refusal::NotOfferable { .. } | Refusal::NoAgent { .. } => {
            Some("a refused reserve leaves nothing behind; ask again when a row says ready")
        }
        Refusal::CallAlreadyOffered { .. } => Some("POST /v1/offers/{id}/cancel ends it"),
        Refusal::StaleFence { .. } => {
            Some("send the fence the grant came with; GET /v1/offers/{id} shows it")
        }
        Refusal::SeqMismatch { .. } => Some("read the row again and decide anew"),
        Refusal::QueueFull { .. } | Refusal::NoAgents { .. } => {
            Some("send the caller elsewhere: another queue, a message, a callback")
        }
        Refusal::NotQueued { .. } => Some("POST /v1/queues/{id}/calls puts it in line"),
        Refusal::AlreadyQueued { .. } => Some("DELETE /v1/queues/{id}/calls/{call_id} takes it out"),
        Refusal::UnknownOffer { .. }
        | Refusal::CallEnded { .. }
        | Refusal::CallFull { .. }
        | Refusal::OfferIdReused { .. }
        | Refusal::LeaseExpired { .. }
        | Refusal::OfferEnded { .. }
        | Refusal::NotLoggedIn { .. }
        | Refusal::AgentInCall { .. }
        | Refusal::MembershipDenied { .. }
        | Refusal::SupervisorsOnly { .. }
        | Refusal::DuplicateQueue { .. }
        | Refusal::AddressTaken { .. }
        | Refusal::Invalid { .. }
        | Refusal::Limit { .. } => None,
    }
}

/// The field at fault, and the members that say who holds what.
fn members(refusal: Refusal) -> (Option<&'static str>, Value) {
    match refusal {
        Refusal::UnknownAgent { agent } => (None, json!({ "agent_id": agent })),
        Refusal::UnknownQueue { queue } => (None, json!({ "queue_id": queue })),
        Refusal::UnknownReason { reason } => (Some("reason_id"), json!({ "reason_id": reason })),
        Refusal::UnknownOffer { offer }
        | Refusal::OfferIdReused { offer }
        | Refusal::StaleFence { offer } => (None, json!({ "offer_id": offer })),
        Refusal::NotOfferable { agent, checks } => {
            (None, json!({ "agent_id": agent, "checks": checks_of(&checks) }))
        }
        Refusal::NoAgent { queue, members, failing, earliest } => (
            None,
            json!({
                "queue_id": queue,
                "members": members,
                "failing": failing_of(&failing),
                "earliest": earliest.map(Time::ms),
            }),
        ),
        Refusal::CallAlreadyOffered { call, offer, agent } => {
            (None, json!({ "call_id": call, "offer_id": offer, "agent_id": agent }))
        }
        Refusal::CallEnded { call } => (None, json!({ "call_id": call })),
        Refusal::CallFull { call, limit } => (None, json!({ "call_id": call, "limit": limit })),
        Refusal::LeaseExpired { offer } => (None, json!({ "offer_id": offer, "outcome": "no_answer" })),
        Refusal::OfferEnded { offer, outcome } => {
            let mut members = outcome_members(Some(&outcome));
            members.insert("offer_id".into(), json!(offer));
            (None, Value::Object(members))
        }
        Refusal::NotLoggedIn { agent } | Refusal::AgentInCall { agent } => {
            (None, json!({ "agent_id": agent }))
        }
        Refusal::MembershipDenied { agent, queue, mode, by } => (
            Some("queues"),
            json!({
                "agent_id": agent,
                "queue_id": queue,
                "membership_mode": mode,
                "changed_by": by,
                "scope": scope_for(mode).as_str(),
            }),
        ),
        Refusal::SupervisorsOnly { action } => (None, json!({ "action": action })),
        Refusal::DuplicateQueue { queue } => (Some("queues"), json!({ "queue_id": queue })),
        Refusal::AddressTaken { address: _, agent } => (Some("addresses"), json!({ "agent_id": agent })),
        Refusal::SeqMismatch { expected, found } => {
            (Some("expected_seq"), json!({ "expected_seq": expected, "found_seq": found }))
        }
        Refusal::Invalid { field, problem: _ } => (Some(field), json!({})),
        Refusal::QueueFull { queue, waiting, limit } => {
            (None, json!({ "queue_id": queue, "waiting": waiting, "limit": limit }))
        }
        Refusal::NoAgents { queue, members } => (None, json!({ "queue_id": queue, "members": members })),
        Refusal::NotQueued { call } => (None, json!({ "call_id": call })),
        Refusal::AlreadyQueued { call, queue } => (None, json!({ "call_id": call, "queue_id": queue })),
        Refusal::Limit { what, limit } => (None, json!({ "what": what, "limit": limit })),
    }
}

/// Who may change a membership of this mode.
fn scope_for(membership_mode: &str) -> Scope {
    if membership_mode == "static" { Scope::AgentsManage } else { Scope::PresenceSupervise }
}

fn checks_of(checks: &[Check]) -> Value {
    checks
        .iter()
        .map(|check| {
            json!({
                "clause": check.clause.as_str(),
                "ok": check.ok,
                "since": check.since.map(Time::ms),
                "until": check.until.map(Time::ms),
            })
        })
        .collect()
}

fn failing_of(failing: &[(Clause, u32)]) -> Value {
    failing.iter().map(|(clause, count)| (clause.as_str().to_owned(), json!(count))).collect()
}

/// How an offer ended, as members: `outcome` (null while it lives) and the cause or code it came with.
pub(crate) fn outcome_members(outcome: Option<&Outcome>) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("outcome".into(), json!(outcome.map(Outcome::as_str)));
    match outcome {
        Some(Outcome::Rescinded(cause)) => {
            members.insert("cause".into(), cause.as_str().into());
        }
        Some(Outcome::Failed(code)) => {
            members.insert("failure_code".into(), (*code).into());
        }
        Some(
            Outcome::Accepted
            | Outcome::NoAnswer
            | Outcome::Rejected
            | Outcome::Busy
            | Outcome::Cancelled
            | Outcome::LostRace,
        )
        | None => {}
    }
    members
}

#[cfg(test)]
mod tests {
    use ringfence::core::offer::Cause;
    use ringfence::{AgentId, OfferId, QueueId};

    use super::*;

    #[test]
    fn a_queue_with_nobody_free_says_how_many_fail_what_and_until_when() {
        let queue = QueueId::parse("q1").unwrap();
        let refusal = Refusal::NoAgent {
            queue,
            members: 2,
            failing: vec![(Clause::Slot, 2), (Clause::WrapUp, 1)],
            earliest: Some(Time::from_ms(77)),
        };
        let document = Problem::from(refusal).document("req_1");
        assert_eq!(document["status"], 409);
        assert_eq!(document["code"], "no_agent");
        assert_eq!(document["title"], "No agent");
        assert_eq!(document["request_id"], "req_1");
        assert_eq!(document["failing"], json!({ "slot": 2, "wrap_up": 1 }));
        assert_eq!(document["earliest"], 77);
    }

    #[test]
    fn a_rescinded_offer_says_its_cause() {
        let offer = OfferId::parse("o1").unwrap();
        let refusal = Refusal::OfferEnded { offer, outcome: Outcome::Rescinded(Cause::Paused) };
        let document = Problem::from(refusal).document("");
        assert_eq!((&document["outcome"], &document["cause"]), (&json!("rescinded"), &json!("paused")));
    }

    #[test]
    fn what_passes_by_itself_says_when() {
        for error in [
            Error::Busy { retry_after_ms: 1_200 },
            Error::Unavailable,
            Error::Moved,
            Error::Closed,
            Error::Quarantined { why: String::new() },
            Error::DiskFull { free_bytes: 1 },
        ] {
            assert!(Problem::from(error).retry_after_sec.is_some_and(|sec| sec >= 1));
        }
        assert_eq!(Problem::from(Error::Busy { retry_after_ms: 1_200 }).retry_after_sec, Some(2));
    }

    #[test]
    fn an_unknown_agent_is_not_found() {
        let refusal = Refusal::UnknownAgent { agent: AgentId::parse("7").unwrap() };
        assert_eq!(Problem::from(refusal).status, StatusCode::NOT_FOUND);
    }
}
