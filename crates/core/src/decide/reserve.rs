//! The reserve fence: check and grant in one step of one actor.

use std::sync::Arc;

use smallvec::SmallVec;

use super::pick::Wish;
use crate::account::{Account, Step};
use crate::agent::Agent;
use crate::call::{Call, Direction, LEGS_MAX};
use crate::fact::Change;
use crate::fence::{Check, Clause, ClauseSet, OfferKind};
use crate::id::{AgentId, CallId, OfferId, QueueId};
use crate::input::{Ask, Explained, Grant, PREFER_MAX, Reply};
use crate::offer::{Fence, Group, LEASE_MS, LEASE_SEC_DEFAULT, Offer, OfferEntry, Target};
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
        self.grant_to(step, &[ix], queue_id.cloned(), target, ask)
    }

    /// Those preferred, then tier, the queue's strategy, position, id, among the members that can be offered a call.
    pub(crate) fn reserve_queue(
        &mut self,
        step: &mut Step,
        queue_id: &QueueId,
        ask: Ask,
        exclude: &[AgentId],
        prefer: &[AgentId],
    ) -> Result<Reply, Refusal> {
        let target = Target::Queue(queue_id.clone());
        if let Some(reply) = self.retried(&ask, &target, Some(queue_id))? {
            return Ok(reply);
        }
        self.check_call(&ask)?;
        if prefer.len() > PREFER_MAX {
            return Err(Refusal::Limit { what: "preferred agents of one reserve", limit: PREFER_MAX });
        }
        let queue = self.queue(queue_id).ok_or_else(|| Refusal::UnknownQueue { queue: queue_id.clone() })?;
        match self.pick(queue, &Wish { call: &ask.call, exclude, prefer }, step.now) {
            Ok(chosen) => self.grant_to(step, &chosen, Some(queue_id.clone()), target, ask),
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
        Ok(Some(Reply::Granted { grant: self.grant_of(entry), changed: false }))
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

    /// Offers the call to whoever was chosen: one agent, or those of a group at once.
    pub(crate) fn grant_to(
        &mut self,
        step: &mut Step,
        chosen: &[Ix],
        queue_id: Option<QueueId>,
        target: Target,
        ask: Ask,
    ) -> Result<Reply, Refusal> {
        let gone = || Refusal::Invalid { field: "agent", problem: "gone".to_owned() };
        let settings = queue_id.as_ref().and_then(|id| self.queue(id)).map(|queue| &queue.settings);
        let lease_sec = settings.map_or(LEASE_SEC_DEFAULT, |settings| settings.agent_ring_timeout_sec);
        let lease_ms = ask.lease_ms.unwrap_or(u64::from(lease_sec) * 1000);
        let ids = self.offer_ids(ask.offer, chosen.len());
        let leader = ids.first().cloned().ok_or_else(gone)?;
        let attached = ask.router.as_ref().is_some_and(|router| self.routers.contains(router));
        for (place, (ix, offer_id)) in chosen.iter().zip(&ids).enumerate() {
            let agent = self.agents.get(*ix).ok_or_else(gone)?;
            let (direction, wrap_up) = match &target {
                Target::Own(_) => (Direction::Outbound, self.slot_in_wrap_up(agent, step.now)),
                Target::Agent(_) | Target::Queue(_) => (Direction::Inbound, None),
            };
            let offer = Offer {
                offer_id: offer_id.clone(),
                fence: self.next_fence(),
                call_id: ask.call.clone(),
                queue_id: queue_id.clone(),
                agent_id: agent.id.clone(),
                addresses: agent.ringable(),
                granted_at: step.now,
                expires_at: step.now.plus_ms(lease_ms),
                router_id: ask.router.clone(),
                direction,
            };
            let group = match place {
                _ if chosen.len() == 1 => None,
                0 => Some(Group::Leads(ids[1..].into())),
                _ => Some(Group::Follows(leader.clone())),
            };
            let entry = OfferEntry {
                offer: Arc::new(offer),
                target: target.clone(),
                asked_lease_ms: ask.lease_ms,
                lease_ms,
                leg_call_id: None,
                ended: None,
                attached,
                wrap_up,
                group,
            };
            self.emit(step, Change::Granted { entry: Box::new(entry) });
        }
        let entry = self.offer(&leader).ok_or_else(gone)?;
        Ok(Reply::Granted { grant: self.grant_of(entry), changed: true })
    }

    /// An id for each of the next grants; the first may be the router's own.
    fn offer_ids(&self, first: Option<OfferId>, count: usize) -> SmallVec<[OfferId; 1]> {
        let mut ids: SmallVec<[OfferId; 1]> = first.into_iter().collect();
        let mut fence = self.next_fence();
        fence.n += ids.len() as u64;
        while ids.len() < count {
            ids.push(self.mint(fence, ids.first()));
            fence.n += 1;
        }
        ids
    }

    /// The grant as it stands, with those of its group.
    pub(super) fn grant_of(&self, entry: &OfferEntry) -> Grant {
        let plain = plain_grant(entry);
        let leader = match &entry.group {
            None => return plain,
            Some(Group::Leads(_)) => Some(entry),
            Some(Group::Follows(leader)) => self.offer(leader),
        };
        let led = leader.and_then(|leader| Some((leader, leader.group.as_ref()?)));
        let Some((leader, Group::Leads(others))) = led else { return plain };
        // Once an offer is forgotten its id may be another's, of the same router.
        let of_this = Some(Group::Follows(leader.offer.offer_id.clone()));
        let others = others.iter().filter_map(|id| self.offer(id)).filter(|other| other.group == of_this);
        let group = std::iter::once(leader).chain(others).filter(|other| {
            other.offer.call_id == entry.offer.call_id && other.offer.fence != entry.offer.fence
        });
        Grant { group: group.map(plain_grant).collect(), ..plain }
    }

    /// The token of the next grant.
    pub(super) fn next_fence(&self) -> Fence {
        Fence { term: self.term, n: self.grants + 1 }
    }

    /// An id nobody has, also not the one that is about to be given.
    fn mint(&self, fence: Fence, given: Option<&OfferId>) -> OfferId {
        let mut again = 0;
        loop {
            let id = OfferId::minted(fence.term, fence.n, again);
            if self.offers.find(id.as_str()).is_none() && given != Some(&id) {
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
        [
            plain(Clause::Membership, member.is_some()),
            plain(Clause::Tags, queue.settings.tags_held(&agent.entry.tags)),
            tier,
            plain(Clause::Excluded, !(within(&agent.id) || tried && self.another_fits(queue, ix, call, now))),
        ]
    }

    /// Somebody else of the queue, not tried for this call yet, passes everything.
    pub(crate) fn another_fits(&self, queue: &Queue, ix: Ix, call: Option<&Call>, now: Time) -> bool {
        let first_reserve = call.map_or(now, |call| call.first_reserve);
        let open = |tier: u8| queue.tier_opens(tier, first_reserve) <= now;
        let tiers = queue.tiers.iter().take_while(|(tier, _)| open(**tier));
        tiers.flat_map(|(_, tier)| &tier.ready).any(|key| {
            key.agent != ix
                && self.agents.get(key.agent).is_some_and(|other| {
                    !call.is_some_and(|call| call.tried.contains(&other.id))
                        && queue.settings.tags_held(&other.entry.tags)
                        && self.suits(other, call)
                        && self.subject(other, now).failing(OfferKind::Queue).0 == ClauseSet::EMPTY
                })
        })
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

fn plain_grant(entry: &OfferEntry) -> Grant {
    Grant {
        offer: Arc::clone(&entry.offer),
        outcome: entry.ended.as_ref().map(|ended| ended.outcome.clone()),
        group: Vec::new(),
    }
}
