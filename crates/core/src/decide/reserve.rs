//! The reserve fence: check and grant in one step of one actor.

use std::sync::Arc;

use crate::account::{Account, Step};
use crate::agent::Agent;
use crate::call::{Direction, LEGS_MAX};
use crate::fact::Change;
use crate::fence::{Check, Clause, ClauseSet, OfferKind};
use crate::id::{AgentId, CallId, OfferId, QueueId};
use crate::input::{Ask, Explained, Grant, Reply};
use crate::offer::{Fence, LEASE_MS, LEASE_SEC_DEFAULT, Offer, OfferEntry, Target};
use crate::queue::Queue;
use crate::refusal::Refusal;
use crate::slab::Ix;
use crate::time::Time;

impl Account {
    pub(crate) fn reserve_agent(
        &mut self,
        step: &mut Step,
        agent_id: &AgentId,
        queue_id: Option<&QueueId>,
        ask: Ask,
    ) -> Result<Reply, Refusal> {
        let target = Target::Agent(agent_id.clone());
        if let Some(reply) = self.retried(&ask, &target, queue_id)? {
            return Ok(reply);
        }
        self.check_call(&ask)?;
        let ix = self
            .agent_by_id
            .get(agent_id)
            .copied()
            .ok_or_else(|| Refusal::UnknownAgent { agent: agent_id.clone() })?;
        if let Some(id) = queue_id
            && self.queue(id).is_none()
        {
            return Err(Refusal::UnknownQueue { queue: id.clone() });
        }
        let checks = self.checks(ix, queue_id, Some(&ask.call), step.now);
        if checks.iter().any(|check| !check.ok) {
            return Err(Refusal::NotOfferable { agent: agent_id.clone(), checks });
        }
        self.grant_to(step, ix, queue_id.cloned(), target, ask)
    }

    /// Tier, then longest idle, then position, then id, among the members that can be offered a call now.
    pub(crate) fn reserve_queue(
        &mut self,
        step: &mut Step,
        queue_id: &QueueId,
        ask: Ask,
        exclude: &[AgentId],
    ) -> Result<Reply, Refusal> {
        let target = Target::Queue(queue_id.clone());
        if let Some(reply) = self.retried(&ask, &target, Some(queue_id))? {
            return Ok(reply);
        }
        self.check_call(&ask)?;
        let queue = self.queue(queue_id).ok_or_else(|| Refusal::UnknownQueue { queue: queue_id.clone() })?;
        match self.pick(queue, &ask.call, exclude, step.now) {
            Ok(ix) => self.grant_to(step, ix, Some(queue_id.clone()), target, ask),
            Err(refusal) => {
                // Tiers open from the call's first reserve, also from one that found nobody.
                let waits = self.queue(queue_id).is_some_and(|queue| queue.settings.tier_wait_sec > 0);
                if waits && self.calls.find(ask.call.as_str()).is_none() {
                    self.emit(step, Change::CallSeen { call_id: ask.call });
                }
                Err(refusal)
            }
        }
    }

    fn pick(&self, queue: &Queue, call: &CallId, exclude: &[AgentId], now: Time) -> Result<Ix, Refusal> {
        let call = self.calls.get(call.as_str());
        let first_reserve = call.map_or(now, |call| call.first_reserve);
        let tried = |agent: &AgentId| call.is_some_and(|call| call.tried.contains(agent));
        let within = |agent: &AgentId| call.is_some_and(|call| call.legs.contains(agent));
        let mut failing = queue.failing;
        let mut earliest = queue.soonest.first().map(|(at, _)| *at);
        let mut just_tried = None;
        for key in &queue.ready {
            let opens = queue.tier_opens(key.tier, first_reserve);
            if opens > now {
                // Tiers are in order: none of the rest is open either.
                let closed = queue.ready.range(key..).count();
                failing[Clause::Tier.index()] += u32::try_from(closed).unwrap_or(u32::MAX);
                earliest = Some(earliest.map_or(opens, |at| at.min(opens)));
                break;
            }
            let Some(agent) = self.agents.get(key.agent) else { continue };
            let (clauses, _) = self.subject(agent, now).failing(OfferKind::Queue);
            if clauses != ClauseSet::EMPTY {
                clauses.iter().for_each(|clause| failing[clause.index()] += 1);
            } else if !queue.settings.tags_held(&agent.entry.tags) {
                failing[Clause::Tags.index()] += 1;
            } else if exclude.contains(&agent.id) || within(&agent.id) {
                failing[Clause::Excluded.index()] += 1;
            } else if tried(&agent.id) {
                just_tried = just_tried.or(Some(key.agent));
            } else {
                return Ok(key.agent);
            }
        }
        just_tried.ok_or_else(|| Refusal::NoAgent {
            queue: queue.id.clone(),
            members: u32::try_from(queue.members.len()).unwrap_or(u32::MAX),
            failing: Clause::ALL
                .into_iter()
                .map(|clause| (clause, failing[clause.index()]))
                .filter(|(_, count)| *count > 0)
                .collect(),
            earliest,
        })
    }

    /// A reserve with a known offer id: the original grant and its present outcome, or a refusal if it asks for
    /// something else.
    pub(super) fn retried(
        &self,
        ask: &Ask,
        target: &Target,
        queue: Option<&QueueId>,
    ) -> Result<Option<Reply>, Refusal> {
        let Some((id, entry)) = ask.offer.as_ref().and_then(|id| Some((id, self.offer(id)?))) else {
            return Ok(None);
        };
        let same = entry.target == *target
            && entry.offer.call_id == ask.call
            && entry.offer.queue_id.as_ref() == queue
            && entry.asked_lease_ms == ask.lease_ms;
        if !same {
            return Err(Refusal::OfferIdReused { offer: id.clone() });
        }
        Ok(Some(Reply::Granted { grant: grant_of(entry), changed: false }))
    }

    pub(super) fn check_call(&self, ask: &Ask) -> Result<(), Refusal> {
        if let Some(ms) = ask.lease_ms
            && !LEASE_MS.contains(&ms)
        {
            let problem = format!("{} to {} ms", LEASE_MS.start(), LEASE_MS.end());
            return Err(Refusal::Invalid { field: "lease_ms", problem });
        }
        let Some(call) = self.calls.get(ask.call.as_str()) else { return Ok(()) };
        if call.ended {
            return Err(Refusal::CallEnded { call: call.id.clone() });
        }
        if call.legs.len() >= LEGS_MAX {
            return Err(Refusal::CallFull { call: call.id.clone(), limit: LEGS_MAX });
        }
        if let Some(entry) = call.offer.as_ref().and_then(|id| self.offer(id)) {
            return Err(Refusal::CallAlreadyOffered {
                call: call.id.clone(),
                offer: entry.offer.offer_id.clone(),
                agent: entry.offer.agent_id.clone(),
            });
        }
        Ok(())
    }

    pub(super) fn grant_to(
        &mut self,
        step: &mut Step,
        ix: Ix,
        queue_id: Option<QueueId>,
        target: Target,
        ask: Ask,
    ) -> Result<Reply, Refusal> {
        let Some(agent) = self.agents.get(ix) else {
            return Err(Refusal::Invalid { field: "agent", problem: "gone".to_owned() });
        };
        let settings = queue_id.as_ref().and_then(|id| self.queue(id)).map(|queue| &queue.settings);
        let lease_sec = settings.map_or(LEASE_SEC_DEFAULT, |settings| settings.agent_ring_timeout_sec);
        let lease_ms = ask.lease_ms.unwrap_or(u64::from(lease_sec) * 1000);
        let fence = Fence { term: self.term, n: self.grants + 1 };
        let (direction, wrap_up) = match &target {
            Target::Own(_) => (Direction::Outbound, self.slot_in_wrap_up(agent, step.now)),
            Target::Agent(_) | Target::Queue(_) => (Direction::Inbound, None),
        };
        let offer = Offer {
            offer_id: ask.offer.unwrap_or_else(|| self.mint(fence)),
            fence,
            call_id: ask.call,
            queue_id,
            agent_id: agent.id.clone(),
            addresses: agent.ringable(),
            granted_at: step.now,
            expires_at: step.now.plus_ms(lease_ms),
            router_id: ask.router,
            direction,
        };
        let entry = OfferEntry {
            offer: Arc::new(offer),
            target,
            asked_lease_ms: ask.lease_ms,
            lease_ms,
            leg_call_id: None,
            ended: None,
            wrap_up,
        };
        let grant = grant_of(&entry);
        self.emit(step, Change::Granted { entry: Box::new(entry) });
        Ok(Reply::Granted { grant, changed: true })
    }

    fn mint(&self, fence: Fence) -> OfferId {
        let mut again = 0;
        loop {
            let id = OfferId::minted(fence.term, fence.n, again);
            if self.offers.find(id.as_str()).is_none() {
                return id;
            }
            again += 1;
        }
    }

    /// Every clause for this agent, in order; clause 9 only for a queue offer.
    pub(crate) fn checks(
        &self,
        ix: Ix,
        queue: Option<&QueueId>,
        call: Option<&CallId>,
        now: Time,
    ) -> Vec<Check> {
        let Some(agent) = self.agents.get(ix) else { return Vec::new() };
        let kind = if queue.is_some() { OfferKind::Queue } else { OfferKind::Direct };
        let mut checks = self.subject(agent, now).checks(kind);
        if let Some(queue) = queue.and_then(|id| self.queue(id)) {
            checks.extend(self.queue_checks(ix, agent, queue, call, now));
        } else if call.is_some_and(|call| self.is_within(agent, call)) {
            checks.push(Check { clause: Clause::Excluded, ok: false, since: None, until: None });
        }
        checks
    }

    /// Nobody is offered a call they are in: there would be two legs of one person in it, and no telling them apart.
    pub(super) fn is_within(&self, agent: &Agent, call: &CallId) -> bool {
        self.calls.get(call.as_str()).is_some_and(|call| call.legs.contains(&agent.id))
    }

    fn queue_checks(
        &self,
        ix: Ix,
        agent: &Agent,
        queue: &Queue,
        call: Option<&CallId>,
        now: Time,
    ) -> [Check; 4] {
        let plain = |clause, ok| Check { clause, ok, since: None, until: None };
        let member = agent.memberships.iter().find(|m| self.queue_by_id.get(&queue.id) == Some(&m.queue));
        let call = call.and_then(|id| self.calls.get(id.as_str()));
        let first_reserve = call.map_or(now, |call| call.first_reserve);
        let opens = member.map_or(now, |membership| queue.tier_opens(membership.tier, first_reserve));
        let tier = Check {
            clause: Clause::Tier,
            ok: opens <= now,
            since: None,
            until: (opens > now).then_some(opens),
        };
        let tried = call.is_some_and(|call| call.tried.contains(&agent.id));
        let within = |id: &AgentId| call.is_some_and(|call| call.legs.contains(id));
        let another = || {
            queue.ready.iter().any(|key| {
                key.agent != ix
                    && queue.tier_opens(key.tier, first_reserve) <= now
                    && self.agents.get(key.agent).is_some_and(|other| {
                        !call.is_some_and(|call| call.tried.contains(&other.id))
                            && !within(&other.id)
                            && queue.settings.tags_held(&other.entry.tags)
                            && self.subject(other, now).failing(OfferKind::Queue).0 == ClauseSet::EMPTY
                    })
            })
        };
        [
            plain(Clause::Membership, member.is_some()),
            plain(Clause::Tags, queue.settings.tags_held(&agent.entry.tags)),
            tier,
            plain(Clause::Excluded, !(within(&agent.id) || tried && another())),
        ]
    }

    pub(crate) fn explain(
        &self,
        agent: &AgentId,
        queue: Option<&QueueId>,
        now: Time,
    ) -> Result<Reply, Refusal> {
        let unknown = || Refusal::UnknownAgent { agent: agent.clone() };
        let ix = self.agent_by_id.get(agent).copied().ok_or_else(unknown)?;
        if let Some(id) = queue
            && self.queue(id).is_none()
        {
            return Err(Refusal::UnknownQueue { queue: id.clone() });
        }
        let checks = self.checks(ix, queue, None, now);
        let entry = self.agents.get(ix).ok_or_else(unknown)?;
        let direct = self.subject(entry, now).failing(OfferKind::Direct).0 == ClauseSet::EMPTY;
        let may_place = entry.status.may_place();
        Ok(Reply::Explained(Explained {
            offerable: checks.iter().all(|check| check.ok),
            checks,
            may_receive_direct: direct,
            may_place,
        }))
    }
}

pub(crate) fn grant_of(entry: &OfferEntry) -> Grant {
    Grant {
        offer: Arc::clone(&entry.offer),
        outcome: entry.ended.as_ref().map(|ended| ended.outcome.clone()),
    }
}
