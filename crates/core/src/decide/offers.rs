//! Later steps on an offer, each under its fence token, and the end of calls.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::account::{Account, Step};
use crate::call::{AgentCall, CALL_MAX_MS, Call, WrapUp, WrapUpRule};
use crate::fact::Change;
use crate::id::{AgentId, CallId, OfferId};
use crate::input::{Reply, Verb};
use crate::offer::{Ended, Fence, LEASE_MS, OfferEntry, Outcome};
use crate::refusal::Refusal;
use crate::slab::Ix;
use crate::time::Time;

impl Account {
    pub(crate) fn decide_offer(
        &mut self,
        step: &mut Step,
        id: &OfferId,
        fence: Fence,
        verb: Verb,
    ) -> Result<Reply, Refusal> {
        // However much else is due: no step comes after the end of its lease.
        let unknown = || Refusal::UnknownOffer { offer: id.clone() };
        let place = self.offers.find(id.as_str()).ok_or_else(unknown)?;
        self.lease_over(step, place);
        let entry = self.offers.at(place).ok_or_else(unknown)?;
        if entry.offer.fence != fence {
            return Err(Refusal::StaleFence { offer: id.clone() });
        }
        if let Some(ended) = &entry.ended {
            return if is_repeat(&verb, ended) {
                self.offer_reply(id, place, false)
            } else {
                Err(too_late(id, ended))
            };
        }
        match verb {
            Verb::Ringing { leg } => self.know_leg(step, place, leg),
            Verb::Answer { leg } => {
                self.know_leg(step, place, leg);
                self.accept(step, place);
            }
            Verb::Reject => self.decline(step, id, Outcome::Rejected),
            Verb::Busy => self.decline(step, id, Outcome::Busy),
            Verb::Failed { code } => self.decline(step, id, Outcome::Failed(code)),
            Verb::NoAnswer => self.miss(step, id, false),
            Verb::Cancel => self.end_without_miss(step, id, Outcome::Cancelled, None),
            Verb::Extend { lease_ms } => {
                if !LEASE_MS.contains(&lease_ms) {
                    let problem = format!("{} to {} ms", LEASE_MS.start(), LEASE_MS.end());
                    return Err(Refusal::Invalid { field: "lease_ms", problem });
                }
                self.extend_to(step, id, |_, now| now.plus_ms(lease_ms));
            }
        }
        self.offer_reply(id, place, step.changed())
    }

    /// Moves the end of the lease, where that is a change.
    pub(crate) fn extend_to(&mut self, step: &mut Step, id: &OfferId, end: impl Fn(Time, Time) -> Time) {
        let Some(expires_at) = self.offer(id).map(|entry| entry.offer.expires_at) else { return };
        let moved = end(expires_at, step.now);
        if moved != expires_at {
            self.emit(step, Change::Extended { offer: id.clone(), expires_at: moved });
        }
    }

    pub(crate) fn read_offer(&self, id: &OfferId) -> Result<Reply, Refusal> {
        let place = self.offers.find(id.as_str());
        let place = place.ok_or_else(|| Refusal::UnknownOffer { offer: id.clone() })?;
        self.offer_reply(id, place, false)
    }

    fn offer_reply(&self, id: &OfferId, place: Ix, changed: bool) -> Result<Reply, Refusal> {
        let entry = self.offers.at(place).ok_or_else(|| Refusal::UnknownOffer { offer: id.clone() })?;
        Ok(Reply::Granted { grant: self.grant_of(entry), changed })
    }

    fn know_leg(&mut self, step: &mut Step, place: Ix, leg: Option<CallId>) {
        if let Some(leg) = leg
            && let Some(entry) = self.offers.at(place)
            && entry.leg_call_id.as_ref() != Some(&leg)
        {
            let offer = entry.offer.offer_id.clone();
            self.emit(step, Change::LegKnown { offer, leg_call_id: leg });
        }
    }

    fn accept(&mut self, step: &mut Step, place: Ix) {
        let Some(OfferEntry { offer, leg_call_id, .. }) = self.offers.at(place) else { return };
        let queue = offer.queue_id.as_ref().and_then(|queue| self.queue(queue));
        let call = AgentCall {
            call_id: offer.call_id.clone(),
            offer_id: offer.offer_id.clone(),
            fence: offer.fence,
            queue_id: offer.queue_id.clone(),
            direction: offer.direction,
            peer: None,
            since: step.now,
            until: step.now.plus_ms(CALL_MAX_MS),
            wrap_up: queue.map(|queue| WrapUpRule {
                sec: queue.settings.wrap_up_sec,
                max_sec: queue.settings.wrap_up_max_sec,
            }),
            leg_call_id: leg_call_id.clone(),
        };
        let (offer, call_id) = (offer.offer_id.clone(), offer.call_id.clone());
        self.emit(step, Change::Answered { offer, call: Arc::new(call) });
        // One call, one winner: whoever else rings for it has lost the race.
        let wished = std::mem::replace(&mut step.system, true);
        for lost in self.live_offers_of(&call_id) {
            self.end_without_miss(step, &lost, Outcome::LostRace, None);
        }
        step.system = wished;
    }

    pub(crate) fn live_offers_of(&self, call: &CallId) -> SmallVec<[OfferId; 1]> {
        self.calls.get(call.as_str()).into_iter().flat_map(Call::live_offers).cloned().collect()
    }

    fn decline(&mut self, step: &mut Step, id: &OfferId, outcome: Outcome) {
        let Some(entry) = self.offer(id) else { return };
        let settings = entry.offer.queue_id.as_ref().and_then(|queue| self.queue(queue)).map(|q| &q.settings);
        let cooldown = settings.map(|settings| match outcome {
            Outcome::Rejected => settings.reject_cooldown_sec,
            Outcome::Busy => settings.busy_cooldown_sec,
            Outcome::Failed(_) => settings.failed_cooldown_sec,
            Outcome::Accepted
            | Outcome::NoAnswer
            | Outcome::Cancelled
            | Outcome::Rescinded(_)
            | Outcome::LostRace => 0,
        });
        self.end_without_miss(step, id, outcome, cooldown);
    }

    /// Ends all legs of a call, or the one of the named agent.
    pub(crate) fn decide_end_call(
        &mut self,
        step: &mut Step,
        id: &CallId,
        agent: Option<&AgentId>,
        fence: Option<Fence>,
    ) -> Result<Reply, Refusal> {
        if let Some(agent) = agent
            && self.agent(agent).is_none()
        {
            return Err(Refusal::UnknownAgent { agent: agent.clone() });
        }
        self.check_call_fence(id, agent, fence)?;
        let concerns = |of: &AgentId| agent.is_none_or(|agent| agent == of);
        let legs = self.calls.get(id.as_str()).into_iter().flat_map(|call| &call.legs);
        let legs: SmallVec<[AgentId; 1]> = legs.filter(|leg| concerns(leg)).cloned().collect();
        let mut agents: Vec<AgentId> = agent.cloned().into_iter().collect();
        for offer in self.live_offers_of(id) {
            let rung = self.offer(&offer).map(|entry| entry.offer.agent_id.clone());
            if let Some(rung) = rung.filter(|rung| concerns(rung)) {
                agents.push(rung);
                self.end_without_miss(step, &offer, Outcome::Cancelled, None);
            }
        }
        for leg in &legs {
            self.leg_over(step, leg, id);
        }
        agents.extend(legs);
        agents.sort();
        agents.dedup();
        if agent.is_none() && self.calls.get(id.as_str()).is_none_or(|call| !call.ended) {
            self.emit(step, Change::CallEnded { call_id: id.clone() });
        }
        Ok(Reply::Ended { agents, changed: step.changed() })
    }

    /// A token, when one is given, must be that of an offer of this call (and agent).
    fn check_call_fence(
        &self,
        id: &CallId,
        agent: Option<&AgentId>,
        fence: Option<Fence>,
    ) -> Result<(), Refusal> {
        let Some(fence) = fence else { return Ok(()) };
        let Some(call) = self.calls.get(id.as_str()) else { return Ok(()) };
        let concerns = |of: &AgentId| agent.is_none_or(|agent| agent == of);
        let in_slot = |leg: &AgentId| {
            let call = self.agent(leg)?.calls().find(|call| call.call_id == *id)?;
            Some((call.offer_id.clone(), call.fence))
        };
        let ringing = call.live_offers().filter_map(|offer| self.offer(offer)).map(|entry| &entry.offer);
        let ringing = ringing.filter(|offer| concerns(&offer.agent_id));
        let mut known: Vec<(OfferId, Fence)> =
            call.legs.iter().filter(|leg| concerns(leg)).filter_map(in_slot).collect();
        known.extend(ringing.map(|offer| (offer.offer_id.clone(), offer.fence)));
        match known.first() {
            Some((offer, _)) if known.iter().all(|(_, own)| *own != fence) => {
                Err(Refusal::StaleFence { offer: offer.clone() })
            }
            // Nothing of the call is live: there is nothing to hold the token against.
            Some(_) | None => Ok(()),
        }
    }

    /// The agent's leg of the call is over: wrap-up, by the rule taken at answer time.
    pub(crate) fn leg_over(&mut self, step: &mut Step, agent: &AgentId, id: &CallId) {
        let Some(call) = self.agent(agent).and_then(|agent| agent.calls().find(|call| call.call_id == *id))
        else {
            return;
        };
        let wrap_up = call.wrap_up.and_then(|rule| {
            let limit = step.now.plus_sec(rule.max_sec);
            let (until, timed) = match rule.sec {
                Some(sec) => (step.now.plus_sec(sec), true),
                None => (limit, false),
            };
            (until > step.now).then(|| {
                let (call_id, queue_id, fence) = (id.clone(), call.queue_id.clone(), call.fence);
                let since = step.now;
                Arc::new(WrapUp { call_id, queue_id, since, until, timed, limit, fence, taken_by: None })
            })
        });
        self.emit(step, Change::LegEnded { agent: agent.clone(), call_id: id.clone(), wrap_up });
    }
}

/// A step that says again what was done already.
fn is_repeat(verb: &Verb, ended: &Ended) -> bool {
    match verb {
        Verb::Answer { .. } => ended.outcome == Outcome::Accepted,
        Verb::Reject => ended.outcome == Outcome::Rejected,
        Verb::Busy => ended.outcome == Outcome::Busy,
        Verb::NoAnswer => ended.outcome == Outcome::NoAnswer && !ended.lease_over,
        Verb::Failed { code } => ended.outcome == Outcome::Failed(*code),
        Verb::Cancel => ended.outcome == Outcome::Cancelled,
        Verb::Ringing { .. } | Verb::Extend { .. } => false,
    }
}

fn too_late(id: &OfferId, ended: &Ended) -> Refusal {
    if ended.lease_over {
        Refusal::LeaseExpired { offer: id.clone() }
    } else {
        Refusal::OfferEnded { offer: id.clone(), outcome: ended.outcome.clone() }
    }
}
