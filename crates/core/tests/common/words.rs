//! Facts, replies and refusals as short words, so that a scenario can list everything that came out.

use ringfence_core::agent::Status;
use ringfence_core::call::Direction;
use ringfence_core::fact::{Change, Fact};
use ringfence_core::fence::Check;
use ringfence_core::input::{Explained, Grant, Reply};
use ringfence_core::next::NextStatus;
use ringfence_core::offer::Outcome;
use ringfence_core::{Refusal, Time};

use super::T0;

fn rel(time: Time) -> u64 {
    time.since(T0)
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Rescinded(cause) => format!("rescinded:{}", cause.as_str()),
        Outcome::Failed(code) => format!("failed:{code}"),
        Outcome::Accepted
        | Outcome::NoAnswer
        | Outcome::Rejected
        | Outcome::Busy
        | Outcome::Cancelled
        | Outcome::LostRace => outcome.as_str().to_owned(),
    }
}

fn status(status: &Status) -> String {
    match status {
        Status::Offline | Status::Available => status.as_str().to_owned(),
        Status::OnBreak(pause) => {
            format!("break({})", pause.reason_id.as_ref().map_or("", |reason| reason.as_str()))
        }
    }
}

pub fn fact(fact: &Fact) -> String {
    change(&fact.change)
}

pub fn change(change: &Change) -> String {
    match change {
        Change::Settings(_) => "settings".to_owned(),
        Change::AgentPut { agent, .. } => format!("put {agent}"),
        Change::AgentRemoved { agent } => format!("removed {agent}"),
        Change::QueuePut { queue, .. } => format!("put {queue}"),
        Change::QueueRemoved { queue } => format!("removed {queue}"),
        Change::ReasonPut { reason } => format!("put {}", reason.id),
        Change::ReasonRemoved { reason } => format!("removed {reason}"),
        Change::Joined { agent, queue, tier, position, .. } => {
            format!("{agent} joined {queue}/{tier}/{position}")
        }
        Change::Left { agent, queue } => format!("{agent} left {queue}"),
        Change::StatusSet { agent, status: to, .. } => format!("{agent} {}", status(to)),
        Change::Bound { aor, contact } => format!("bound {aor} {}", contact.id),
        Change::Unbound { aor, id, .. } => format!("unbound {aor} {id}"),
        Change::Settled { agent } => format!("settled {agent}"),
        Change::ExternalBegan { agent, call } => format!("{agent} external {}", call.call_id),
        Change::ExternalOver { agent, call_id, .. } => format!("{agent} external {call_id} over"),
        Change::Granted { entry } => {
            let word = if entry.offer.direction == Direction::Outbound { "outbound by" } else { "to" };
            format!("{} {word} {}", entry.offer.offer_id, entry.offer.agent_id)
        }
        Change::Extended { offer, expires_at } => format!("{offer} until {}", rel(*expires_at)),
        Change::LegKnown { offer, leg_call_id } => format!("{offer} leg {leg_call_id}"),
        Change::OfferEnded { offer, outcome: how, misses, cooldown_until, .. } => {
            let misses = if *misses > 0 { format!(" misses {misses}") } else { String::new() };
            let cooldown = cooldown_until.map_or(String::new(), |until| format!(" cooldown {}", rel(until)));
            format!("{offer} {}{misses}{cooldown}", outcome(how))
        }
        Change::Answered { offer, .. } => format!("{offer} answered"),
        Change::LegEnded { agent, call_id, wrap_up } => {
            let wrap_up = wrap_up.as_ref().map_or(String::new(), |w| format!(" wrap-up {}", rel(w.until)));
            format!("{agent} leg {call_id} over{wrap_up}")
        }
        Change::CallSeen { call_id } => format!("{call_id} seen"),
        Change::CallEnded { call_id } => format!("{call_id} ended"),
        Change::WrapUpEnded { agent, call_id, .. } => format!("{agent} wrapped up {call_id}"),
        Change::WrapUpMoved { agent, until, .. } => format!("{agent} wrap-up {}", rel(*until)),
        Change::CooldownOver { agent } => format!("{agent} cooldown over"),
        Change::Enqueued { call_id, waiting } => format!("{call_id} waits in {}", waiting.queue_id),
        Change::Dequeued { call_id, outcome } => format!("{call_id} {}", outcome.as_str()),
        Change::Acted { agent, action, note } => {
            let note = note.as_ref().map_or(String::new(), |note| format!(" ({note})"));
            format!("{} of {agent}{note}", action.as_str())
        }
        Change::PendingSet { agent, pending: None } => format!("{agent} nothing next"),
        Change::PendingSet { agent, pending: Some(pending) } => {
            let reason = pending.status.reason_id().map_or("", |reason| reason.as_str());
            match &pending.status {
                NextStatus::Offline => format!("{agent} next offline"),
                NextStatus::Available => format!("{agent} next available"),
                NextStatus::OnBreak(_) => format!("{agent} next break({reason})"),
            }
        }
        Change::ClockLogoutSet { agent, logout: None } => format!("{agent} no logout"),
        Change::ClockLogoutSet { agent, logout: Some(logout) } => {
            format!("{agent} logout {}{}", if logout.due { "due " } else { "" }, rel(logout.at))
        }
    }
}

pub fn failing(checks: &[Check]) -> String {
    let failing: Vec<&str> = checks.iter().filter(|check| !check.ok).map(|c| c.clause.as_str()).collect();
    failing.join(" ")
}

fn changed(word: String, changed: bool) -> String {
    if changed { word } else { format!("{word} unchanged") }
}

fn grant(grant: &Grant) -> String {
    let how = grant.outcome.as_ref().map_or("live".to_owned(), outcome);
    let group: String = grant.group.iter().map(|other| format!(" + {}", self::grant(other))).collect();
    format!("{} {} {how}{group}", grant.offer.offer_id, grant.offer.agent_id)
}

pub fn reply(reply: &Result<Reply, Refusal>) -> String {
    match reply {
        Ok(Reply::Done { changed: news }) => changed("ok".to_owned(), *news),
        Ok(Reply::Agent { changed: news, .. }) => changed("ok".to_owned(), *news),
        Ok(Reply::Granted { grant: of, changed: news }) => changed(grant(of), *news),
        Ok(Reply::Explained(Explained { offerable: true, .. })) => "offerable".to_owned(),
        Ok(Reply::Explained(Explained { checks, .. })) => format!("not offerable: {}", failing(checks)),
        Ok(Reply::Placed { place, changed: news }) => {
            let estimate = place.estimate_ms.map_or(String::new(), |ms| format!(" in {ms}"));
            changed(format!("{} place {} of {}{estimate}", place.call_id, place.place, place.waiting), *news)
        }
        Ok(Reply::Ended { changed: news, .. }) => changed("ok".to_owned(), *news),
        Ok(Reply::Entries(read)) => format!("{} entries", read.len()),
        Ok(Reply::Queues(read)) => format!("{} queues", read.len()),
        Ok(Reply::Config(config)) => format!("{} reasons", config.reasons.len()),
        Ok(Reply::Planned { changes, .. }) => {
            let words: Vec<String> = changes.iter().map(change).collect();
            format!("would: {}", words.join(", "))
        }
        Ok(Reply::Fed(fed)) => format!("fed {}/{}/{}", fed.applied, fed.stale, fed.unknown),
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: &Refusal) -> String {
    let code = refusal.code();
    match refusal {
        Refusal::NotOfferable { checks, .. } => format!("{code} {}", failing(checks)),
        Refusal::NoAgent { members, failing, earliest, .. } => {
            let clauses: String = failing.iter().map(|(c, n)| format!(" {}={n}", c.as_str())).collect();
            let earliest = earliest.map_or(String::new(), |at| format!(" @{}", rel(at)));
            format!("{code} of {members}{clauses}{earliest}")
        }
        Refusal::CallAlreadyOffered { offer, agent, .. } => format!("{code} {offer} {agent}"),
        Refusal::OfferEnded { outcome: how, .. } => format!("{code} {}", outcome(how)),
        Refusal::MembershipDenied { mode, .. } => format!("{code} {mode}"),
        Refusal::AlreadyQueued { queue, .. } => format!("{code} {queue}"),
        Refusal::NotQueued { .. }
        | Refusal::QueueFull { .. }
        | Refusal::NoAgents { .. }
        | Refusal::UnknownAgent { .. }
        | Refusal::UnknownQueue { .. }
        | Refusal::UnknownReason { .. }
        | Refusal::UnknownOffer { .. }
        | Refusal::CallEnded { .. }
        | Refusal::CallFull { .. }
        | Refusal::OfferIdReused { .. }
        | Refusal::StaleFence { .. }
        | Refusal::LeaseExpired { .. }
        | Refusal::NotLoggedIn { .. }
        | Refusal::AgentInCall { .. }
        | Refusal::SupervisorsOnly { .. }
        | Refusal::DuplicateQueue { .. }
        | Refusal::AddressTaken { .. }
        | Refusal::SeqMismatch { .. }
        | Refusal::Invalid { .. }
        | Refusal::Limit { .. } => code.to_owned(),
    }
}
