//! Deadlines that are due: the whole story of what time can do to an account.

use crate::account::{Account, Step};
use crate::agent::{Agent, Break, RONA, Status};
use crate::contact::Lease;
use crate::deadline::Deadline;
use crate::fact::Change;
use crate::id::{OfferId, ReasonId};
use crate::input::{AGENTS_PER_RECORD, Reply};
use crate::offer::{Cause, Outcome};
use crate::slab::Ix;
use crate::time::Time;

/// Fires what is due at `step.now`. Returns whether more is due than one record may touch.
pub(crate) fn due(account: &mut Account, step: &mut Step) -> bool {
    while step.agents.len() < AGENTS_PER_RECORD && !step.is_full() {
        let Some(deadline) = account.deadlines.pop_due(step.now) else { return false };
        match deadline {
            Deadline::Offer { place, .. } => account.lease_over(step, place),
            Deadline::WrapUp(ix) => account.wrap_ups_over(step, ix),
            Deadline::Cooldown(ix) => account.cooldown_over(step, ix),
            Deadline::Call(ix) => account.calls_lost(step, ix),
            Deadline::External(ix) => account.externals_lost(step, ix),
            Deadline::Contact(ix) => account.contacts_over(step, ix),
            Deadline::Grace(ix) => account.grace_over(step, ix),
            Deadline::Resettle(from) => account.resettle(step, from),
            Deadline::Waiting(place) => account.call_waits(step, place),
            Deadline::Line(queue) => account.line_due(step, queue),
            Deadline::Routers => account.routers_over(step),
            Deadline::ClockLogout(ix) => account.clock_logout_due(step, ix),
        }
    }
    account.deadlines.next().is_some_and(|at| at <= step.now)
}

impl Account {
    pub(crate) fn lease_over(&mut self, step: &mut Step, place: Ix) {
        if let Some(entry) = self.offers.at(place)
            && entry.ended.is_none()
            && entry.offer.expires_at <= step.now
        {
            let id = entry.offer.offer_id.clone();
            let wished = std::mem::replace(&mut step.system, true);
            self.miss(step, &id, true);
            step.system = wished;
        }
    }

    /// Ends the offer as not answered; at the queue's limit of misses in a row the agent is put on break.
    pub(crate) fn miss(&mut self, step: &mut Step, id: &OfferId, lease_over: bool) {
        let Some(entry) = self.offer(id) else { return };
        let agent_id = entry.offer.agent_id.clone();
        let settings = entry.offer.queue_id.as_ref().and_then(|queue| self.queue(queue)).map(|q| &q.settings);
        let cooldown = settings.map_or(0, |settings| settings.no_answer_cooldown_sec);
        let limit = settings.map_or(0, |settings| settings.max_no_answer);
        // A direct offer that is missed counts for nothing (model.md §3).
        let counted = u32::from(entry.offer.queue_id.is_some());
        let agent = self.agent(&agent_id);
        let misses = agent.map_or(0, |agent| agent.misses.saturating_add(counted));
        let running = agent.and_then(|agent| agent.cooldown_until).filter(|until| *until > step.now);
        let asked = (cooldown > 0).then(|| step.now.plus_sec(cooldown));
        self.emit(
            step,
            Change::OfferEnded {
                offer: id.clone(),
                outcome: Outcome::NoAnswer,
                lease_over,
                misses,
                cooldown_until: running.max(asked),
            },
        );
        // Also on a break that lets queue offers through: nobody rings for ever.
        let stops = self.agent(&agent_id).is_some_and(|agent| match &agent.status {
            Status::Available => true,
            Status::OnBreak(pause) => pause.allow_inbound,
            Status::Offline => false,
        });
        if counted == 1 && limit > 0 && misses >= limit && stops {
            let status = Status::OnBreak(Break {
                reason_id: ReasonId::parse(RONA).ok(),
                name: Some("Missed too many offers in a row".to_owned()),
                ..Break::plain(step.now)
            });
            let wished = std::mem::replace(&mut step.system, true);
            self.emit(step, Change::StatusSet { agent: agent_id, status, misses_reset: false });
            step.system = wished;
        }
    }

    pub(crate) fn rescind(&mut self, step: &mut Step, id: &OfferId, cause: Cause) {
        self.end_without_miss(step, id, Outcome::Rescinded(cause), None);
    }

    /// Ends a live offer in a way that is no miss.
    pub(crate) fn end_without_miss(
        &mut self,
        step: &mut Step,
        id: &OfferId,
        outcome: Outcome,
        cooldown_sec: Option<u32>,
    ) {
        let Some(entry) = self.offer(id) else { return };
        let agent = self.agent(&entry.offer.agent_id);
        let ended = ended_without_miss(agent, id, outcome, cooldown_sec, step.now);
        self.emit(step, ended);
    }

    fn wrap_ups_over(&mut self, step: &mut Step, ix: Ix) {
        let Some(agent) = self.agents.get(ix) else { return };
        let id = agent.id.clone();
        let over: Vec<_> =
            agent.wrap_ups().filter(|w| w.until <= step.now).map(|w| (w.call_id.clone(), w.fence)).collect();
        for (call_id, fence) in over {
            self.emit(step, Change::WrapUpEnded { agent: id.clone(), call_id, fence });
        }
    }

    fn cooldown_over(&mut self, step: &mut Step, ix: Ix) {
        let Some(agent) = self.agents.get(ix) else { return };
        if agent.cooldown_until.is_some_and(|until| until <= step.now) {
            let agent = agent.id.clone();
            self.emit(step, Change::CooldownOver { agent });
        }
    }

    /// Calls nobody has spoken of for so long that they are taken for ended.
    fn calls_lost(&mut self, step: &mut Step, ix: Ix) {
        let Some(agent) = self.agents.get(ix) else { return };
        let id = agent.id.clone();
        let lost: Vec<_> = agent.calls().filter(|c| c.until <= step.now).map(|c| c.call_id.clone()).collect();
        for call_id in lost {
            self.leg_over(step, &id, &call_id);
        }
    }

    fn externals_lost(&mut self, step: &mut Step, ix: Ix) {
        let Some(agent) = self.agents.get(ix) else { return };
        let id = agent.id.clone();
        let lost: Vec<_> = agent.external.iter().filter(|call| call.until <= step.now).cloned().collect();
        for call in lost {
            self.emit(
                step,
                Change::ExternalOver {
                    agent: id.clone(),
                    call_id: call.call_id,
                    source: call.source,
                    stamp: call.stamp,
                },
            );
        }
    }

    fn contacts_over(&mut self, step: &mut Step, ix: Ix) {
        self.aor_armed.remove(&ix);
        let Some(aor) = self.aors.get(ix) else { return };
        let name = aor.name.clone();
        let over: Vec<_> = aor
            .contacts
            .iter()
            .filter(|contact| match contact.lease() {
                Lease::Until(time) => time <= step.now,
                Lease::None | Lease::Held => false,
            })
            .map(|contact| (contact.source.clone(), contact.id.clone(), contact.last_stamp()))
            .collect();
        for (source, id, stamp) in over {
            self.emit(step, Change::Unbound { aor: name.clone(), source, id, stamp });
        }
        self.arm_contacts(ix);
    }

    fn grace_over(&mut self, step: &mut Step, ix: Ix) {
        let Some(agent) = self.agents.get(ix) else { return };
        if self.graces.get(&ix).is_some_and(|until| *until <= step.now) {
            let agent = agent.id.clone();
            self.emit(step, Change::Settled { agent });
        }
    }

    /// After an unclean start: every live offer has at least its full length again, so that none is released too early.
    pub(crate) fn rearm(&mut self, step: &mut Step) -> Reply {
        let mut live: Vec<_> = self
            .offers
            .values()
            .filter(|entry| entry.ended.is_none())
            .map(|e| (e.offer.fence, e.lease_ms))
            .collect();
        live.sort_unstable();
        let by_fence: std::collections::BTreeMap<_, _> =
            self.offers.values().map(|entry| (entry.offer.fence, entry.offer.offer_id.clone())).collect();
        for (fence, lease_ms) in live {
            if let Some(offer) = by_fence.get(&fence) {
                self.extend_to(step, offer, |expires_at, now| expires_at.max(now.plus_ms(lease_ms)));
            }
        }
        Reply::Done { changed: step.changed() }
    }
}

/// The end of an offer of this agent, in a way that is no miss.
pub(super) fn ended_without_miss(
    agent: Option<&Agent>,
    offer: &OfferId,
    outcome: Outcome,
    cooldown_sec: Option<u32>,
    now: Time,
) -> Change {
    let running = agent.and_then(|agent| agent.cooldown_until).filter(|until| *until > now);
    let asked = cooldown_sec.filter(|sec| *sec > 0).map(|sec| now.plus_sec(sec));
    Change::OfferEnded {
        offer: offer.clone(),
        outcome,
        lease_over: false,
        misses: agent.map_or(0, |agent| agent.misses),
        cooldown_until: running.max(asked),
    }
}
