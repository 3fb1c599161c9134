//! The one place where an account's state changes. Nothing in here looks at a predicate, a strategy, a setting or a
//! clock: what is to happen stands in the fact.

use std::sync::Arc;

use crate::account::{Account, Moment, TOMBSTONE_MS, TOMBSTONES_MAX, Tombstone};
use crate::agent::{Agent, By, LastOffer, Membership, Slot, Standing, Status, Tally};
use crate::bucket::Bucket;
use crate::call::{AgentCall, Call, Direction, MEMORY_MAX, MEMORY_MS, WrapUp};
use crate::deadline::Deadline;
use crate::fact::{Change, Fact};
use crate::fence::ClauseSet;
use crate::id::{AgentId, CallId, OfferId, ReasonId};
use crate::offer::{Ended, Fence, Group, OfferEntry, Outcome};
use crate::page::PageKey;
use crate::queue::{Queue, Turn};
use crate::ready::Stood;
use crate::slab::Ix;
use crate::time::Time;

impl Account {
    /// Applies a fact of a record that was decided earlier.
    pub(crate) fn apply(&mut self, fact: &Fact, moment: &Moment<'_>) {
        let agent = self.change(&fact.change, moment);
        if let (Some(ix), Some(standing)) = (agent, &fact.standing) {
            self.settle(ix, &fact.change, *standing, fact.by.as_ref().unwrap_or(moment.by), moment);
        }
    }

    /// The change itself. Returns the agent whose standing it may alter.
    pub(crate) fn change(&mut self, change: &Change, moment: &Moment<'_>) -> Option<Ix> {
        match change {
            Change::Settings(settings) => self.head_change(|account| account.settings = settings.clone()),
            Change::AgentPut { agent, entry } => Some(self.put_agent(agent, entry, moment)),
            Change::AgentRemoved { agent } => {
                self.remove_agent(agent, moment);
                None
            }
            Change::QueuePut { queue, settings } => {
                self.put_queue(queue, settings, moment);
                None
            }
            Change::QueueRemoved { queue } => {
                self.remove_queue(queue, moment);
                None
            }
            Change::ReasonPut { reason } => self.head_change(|account| {
                account.reasons.insert(reason.id.clone(), reason.clone());
            }),
            Change::ReasonRemoved { reason } => self.head_change(|account| {
                account.reasons.remove(reason);
            }),
            Change::Joined { agent, queue, tier, position, mode } => {
                let queue = *self.queue_by_id.get(queue)?;
                let membership = Membership { queue, tier: *tier, position: *position, mode: *mode };
                self.join(agent, membership, moment)
            }
            Change::Left { agent, queue } => {
                let queue = *self.queue_by_id.get(queue)?;
                self.leave(agent, queue, moment)
            }
            Change::StatusSet { agent, status, misses_reset } => {
                self.staff(agent, status);
                self.with_agent(agent, |agent| set_status(agent, status, *misses_reset, moment.at))
            }
            Change::Settled { agent } => self.with_agent(agent, |_| {}),
            Change::Bound { aor, contact } => self.bind(aor, contact),
            Change::Unbound { aor, source, id, stamp } => self.unbind(aor, source, id, *stamp, moment.at),
            Change::ExternalBegan { agent, call } => {
                let ix = *self.agent_by_id.get(agent)?;
                self.deadlines.arm(call.until, Deadline::External(ix));
                self.with_agent(agent, |agent| agent.external.push((**call).clone()))
            }
            Change::ExternalOver { agent, call_id, .. } => self.external_over(agent, call_id, moment.at),
            Change::Granted { entry } => self.grant(entry, moment),
            Change::Extended { offer, expires_at } => self.extend(offer, *expires_at),
            Change::LegKnown { offer, leg_call_id } => self.leg_known(offer, leg_call_id),
            Change::OfferEnded { offer, outcome, lease_over, misses, cooldown_until } => {
                let ended = Ended { outcome: outcome.clone(), at: moment.at, lease_over: *lease_over };
                let ix = self.end_offer(offer, ended)?;
                self.cool_down(ix, *misses, *cooldown_until);
                Some(ix)
            }
            Change::Answered { offer, call } => self.answer(offer, call, moment),
            Change::LegEnded { agent, call_id, wrap_up } => {
                self.end_leg(agent, call_id, wrap_up.as_ref(), moment.at)
            }
            Change::Enqueued { call_id, waiting } => self.enter_line(call_id, waiting, moment),
            Change::Dequeued { call_id, .. } => self.dequeued(call_id, moment),
            Change::CallSeen { call_id } => self.see_call(call_id, moment.at),
            Change::CallEnded { call_id } => self.end_call(call_id, moment),
            Change::WrapUpEnded { agent, fence, .. } => self.end_wrap_up(agent, *fence),
            Change::WrapUpMoved { agent, fence, until, .. } => self.move_wrap_up(agent, *fence, *until),
            Change::CooldownOver { agent } => self.cooled_down(agent),
            Change::Acted { .. } => None,
            Change::PendingSet { agent, pending } => self.set_pending(agent, pending.as_deref()),
            Change::ClockLogoutSet { agent, logout } => self.set_clock_logout(agent, logout.as_deref()),
        }
    }

    /// A change of what stands in the snapshot's head, and concerns no agent.
    fn head_change(&mut self, write: impl FnOnce(&mut Self)) -> Option<Ix> {
        write(self);
        self.dirty.insert(PageKey::Head);
        None
    }

    /// Takes the agent's new standing: time accounting, counts, the queues' indexes, the row's seq.
    pub(crate) fn settle(
        &mut self,
        ix: Ix,
        change: &Change,
        standing: Standing,
        by: &By,
        moment: &Moment<'_>,
    ) {
        let Some(agent) = self.agents.get_mut(ix) else { return };
        let old = agent.standing;
        let offerable = |standing: &Standing| standing.failing == ClauseSet::EMPTY;
        let granted_again = matches!(change, Change::Granted { .. }) && offerable(&standing);
        let ready_since = if offerable(&standing) && (!offerable(&old) || granted_again) {
            moment.at
        } else {
            agent.ready_since
        };
        let shown = old.bucket != standing.bucket || old.reachable != standing.reachable;
        if old.bucket != standing.bucket {
            let reason = pause_reason(agent);
            agent.ledger.close(old.bucket, reason.as_ref(), moment.at);
            agent.bucket_since = moment.at;
            self.counts.leave(old.bucket);
            self.counts.enter(standing.bucket);
        }
        if old.reachable != standing.reachable {
            agent.reachable_since = moment.at;
        }
        if shown || !is_quiet(change) {
            agent.seq = moment.seq;
            agent.changed_by = by.clone();
            self.touched.agents.insert(ix);
        }
        let ranked_anew = agent.ranked != agent.tally && offerable(&old) && offerable(&standing);
        if old.failing != standing.failing
            || old.ready_at != standing.ready_at
            || agent.ready_since != ready_since
            || ranked_anew
        {
            self.reindex(ix, standing, ready_since, moment.seq);
        } else {
            agent.standing = standing;
            agent.ranked = agent.tally;
        }
        self.watch_grace(ix, &standing, moment.at);
        self.dirty.insert(PageKey::agent(ix));
    }

    /// Moves the agent from where the old standing put it in its queues to where the new one does.
    fn reindex(&mut self, ix: Ix, standing: Standing, ready_since: Time, seq: u64) {
        let Some(agent) = self.agents.get_mut(ix) else { return };
        let from = Stood::of(agent);
        let to = Stood { standing, ready_since, tally: agent.tally };
        agent.standing = standing;
        agent.ready_since = ready_since;
        agent.ranked = agent.tally;
        let turned = (from.standing.failing == ClauseSet::EMPTY) != (standing.failing == ClauseSet::EMPTY);
        for membership in &agent.memberships {
            if let Some(queue) = self.queues.get_mut(membership.queue) {
                queue.restand(ix, &agent.id, membership, from, to);
                if turned {
                    queue.seq = seq;
                    self.touched.queues.insert(membership.queue);
                    self.dirty.insert(PageKey::queue(membership.queue));
                }
            }
        }
    }

    pub(crate) fn with_agent(&mut self, id: &AgentId, write: impl FnOnce(&mut Agent)) -> Option<Ix> {
        let ix = *self.agent_by_id.get(id)?;
        write(self.agents.get_mut(ix)?);
        Some(ix)
    }

    /// Keeps count of who of each queue is logged in.
    fn staff(&mut self, id: &AgentId, status: &Status) {
        let Some(agent) = self.agent_by_id.get(id).and_then(|ix| self.agents.get(*ix)) else { return };
        let (was, is) = (agent.status != Status::Offline, *status != Status::Offline);
        if was == is {
            return;
        }
        for membership in &agent.memberships {
            if let Some(queue) = self.queues.get_mut(membership.queue) {
                queue.logged_in = if is { queue.logged_in + 1 } else { queue.logged_in.saturating_sub(1) };
            }
        }
    }

    fn put_queue(
        &mut self,
        id: &crate::id::QueueId,
        settings: &crate::queue::QueueSettings,
        moment: &Moment<'_>,
    ) {
        let ix = match self.queue_by_id.get(id) {
            Some(ix) => *ix,
            None => {
                let ix = self.queues.insert(Queue::new(id.clone(), settings.clone()));
                self.queue_by_id.insert(id.clone(), ix);
                ix
            }
        };
        if let Some(queue) = self.queues.get_mut(ix) {
            queue.set(settings, &self.agents);
            queue.seq = moment.seq;
        }
        self.look_at_line(ix, moment.at);
        self.touched.queues.insert(ix);
        self.dirty.insert(PageKey::queue(ix));
    }

    fn remove_queue(&mut self, id: &crate::id::QueueId, moment: &Moment<'_>) {
        if let Some(ix) = self.queue_by_id.remove(id) {
            self.queues.remove(ix);
            self.touched.queues.remove(ix);
            self.touched.queues_removed.push(id.clone());
            self.dirty.insert(PageKey::queue(ix));
            self.bury(Tombstone { seq: moment.seq, at: moment.at, agent: None, queue: Some(id.clone()) });
        }
    }

    pub(crate) fn bury(&mut self, tombstone: Tombstone) {
        self.tombstones.push_back(tombstone);
        self.dirty.insert(PageKey::Head);
    }

    fn external_over(&mut self, agent: &AgentId, call_id: &CallId, at: Time) -> Option<Ix> {
        let ix = *self.agent_by_id.get(agent)?;
        let agent = self.agents.get_mut(ix)?;
        let known = agent.external.iter().position(|call| call.call_id == *call_id);
        if let Some(place) = known {
            let call = agent.external.remove(place);
            self.deadlines.disarm(call.until, Deadline::External(ix));
            // Another of the agent's calls may be due at the same moment.
            for other in &agent.external {
                self.deadlines.arm(other.until, Deadline::External(ix));
            }
        }
        let id = agent.id.clone();
        *self.ended_external_ids.entry((call_id.clone(), id.clone())).or_default() += 1;
        self.ended_externals.push_back((at, id, call_id.clone()));
        self.dirty.insert(PageKey::Head);
        // The end of a call nobody has heard of is remembered, and is no news of the agent.
        known.map(|_| ix)
    }

    fn grant(&mut self, entry: &OfferEntry, moment: &Moment<'_>) -> Option<Ix> {
        let offer = &entry.offer;
        let ix = *self.agent_by_id.get(&offer.agent_id)?;
        let agent = self.agents.get_mut(ix)?;
        agent.slots.push(Slot::Offering(offer.offer_id.clone()));
        // Figures of offers are about those that come in.
        if offer.direction == Direction::Inbound {
            agent.ledger.offered(moment.at);
        }
        if let Some(wrap_up) = entry.wrap_up {
            agent.take_wrap_up(wrap_up, offer.fence);
        }
        self.grants += 1;
        self.last_fence = self.last_fence.max(Some(offer.fence));
        let call = self.call_or_new(&offer.call_id, moment.at);
        if let Some(call) = self.calls.at_mut(call) {
            match &entry.group {
                Some(Group::Follows(_)) => call.group.push(offer.offer_id.clone()),
                Some(Group::Leads(_)) | None => call.offer = Some(offer.offer_id.clone()),
            }
            call.idle_since = None;
        }
        self.line_rings(call, true);
        self.dirty.insert(PageKey::offer(offer.fence.n));
        let place = self.offers.insert(entry.clone());
        self.deadlines.arm(offer.expires_at, entry.deadline(place));
        if let Some(queue) = &offer.queue_id {
            self.take_turn(ix, queue);
        }
        Some(ix)
    }

    /// The agent is the one of its tier whom the queue was granted last.
    fn take_turn(&mut self, ix: Ix, queue: &crate::id::QueueId) {
        if let Some(queue_ix) = self.queue_by_id.get(queue).copied()
            && let Some(queue) = self.queues.get_mut(queue_ix)
            && let Some(agent) = self.agents.get(ix)
            && let Some(membership) = agent.membership(queue_ix)
        {
            let turn = Turn { position: membership.position, agent: agent.id.clone() };
            queue.turns.insert(membership.tier, turn);
            self.dirty.insert(PageKey::queue(queue_ix));
        }
    }

    fn extend(&mut self, id: &OfferId, expires_at: Time) -> Option<Ix> {
        let place = self.offers.find(id.as_str())?;
        let entry = self.offers.at_mut(place)?;
        self.deadlines.disarm(entry.offer.expires_at, entry.deadline(place));
        Arc::make_mut(&mut entry.offer).expires_at = expires_at;
        self.deadlines.arm(expires_at, entry.deadline(place));
        self.dirty.insert(PageKey::offer(entry.offer.fence.n));
        self.agent_by_id.get(&entry.offer.agent_id).copied()
    }

    fn leg_known(&mut self, id: &OfferId, leg: &CallId) -> Option<Ix> {
        let entry = self.offers.get_mut(id.as_str())?;
        entry.leg_call_id = Some(leg.clone());
        // The id may have been a forgotten offer's before, whose call goes on; the token never was.
        let fence = entry.offer.fence;
        self.dirty.insert(PageKey::offer(entry.offer.fence.n));
        let ix = *self.agent_by_id.get(&entry.offer.agent_id)?;
        for slot in &mut self.agents.get_mut(ix)?.slots {
            if let Slot::InCall(call) = slot
                && call.fence == fence
            {
                Arc::make_mut(call).leg_call_id = Some(leg.clone());
            }
        }
        Some(ix)
    }

    /// The offer leaves its slot and its call, and is remembered.
    fn end_offer(&mut self, id: &OfferId, ended: Ended) -> Option<Ix> {
        let at = ended.at;
        let place = self.offers.find(id.as_str())?;
        let entry = self.offers.at_mut(place)?;
        let offer = Arc::clone(&entry.offer);
        let last = LastOffer { at, queue_id: offer.queue_id.clone(), outcome: ended.outcome.clone() };
        let accepted = ended.outcome == Outcome::Accepted;
        entry.ended = Some(ended);
        self.deadlines.disarm(offer.expires_at, entry.deadline(place));
        self.ended_offers.push_back((at, place));
        self.dirty.insert(PageKey::offer(offer.fence.n));
        if let Some(place) = self.calls.find(offer.call_id.as_str())
            && let Some(call) = self.calls.at_mut(place)
        {
            call.offer_over(id);
            if !accepted {
                if !call.tried.contains(&offer.agent_id) {
                    call.tried.push(offer.agent_id.clone());
                }
                // Of a group that rings, others may ring on.
                if call.offer.is_none() {
                    self.line_rings(place, false);
                }
                self.settle_call(place, at);
            }
        }
        let ix = *self.agent_by_id.get(&offer.agent_id)?;
        let agent = self.agents.get_mut(ix)?;
        agent.slots.retain(|slot| !matches!(slot, Slot::Offering(offer) if offer == id));
        if offer.direction == Direction::Inbound {
            agent.ledger.ended(&last.outcome, at);
        }
        if !accepted {
            agent.release_wrap_up(offer.fence);
        }
        agent.last_offer = Some(last);
        Some(ix)
    }

    fn cooled_down(&mut self, agent: &AgentId) -> Option<Ix> {
        let ix = *self.agent_by_id.get(agent)?;
        self.cool_down(ix, self.agents.get(ix)?.misses, None);
        Some(ix)
    }

    fn cool_down(&mut self, ix: Ix, misses: u32, until: Option<Time>) {
        let Some(agent) = self.agents.get_mut(ix) else { return };
        agent.misses = misses;
        if let Some(old) = agent.cooldown_until {
            self.deadlines.disarm(old, Deadline::Cooldown(ix));
        }
        agent.cooldown_until = until;
        if let Some(until) = until {
            self.deadlines.arm(until, Deadline::Cooldown(ix));
        }
    }

    fn answer(&mut self, id: &OfferId, call: &Arc<AgentCall>, moment: &Moment<'_>) -> Option<Ix> {
        let accepted = Ended { outcome: Outcome::Accepted, at: moment.at, lease_over: false };
        let ix = self.end_offer(id, accepted)?;
        let agent = self.agents.get_mut(ix)?;
        agent.misses = 0;
        agent.tally.answered = agent.tally.answered.saturating_add(1);
        agent.slots.push(Slot::InCall(Arc::clone(call)));
        self.deadlines.arm(call.until, Deadline::Call(ix));
        if let Some(place) = self.calls.find(call.call_id.as_str())
            && let Some(known) = self.calls.at_mut(place)
        {
            self.dirty.insert(PageKey::call(known.number));
            known.legs.push(agent.id.clone());
            known.idle_since = None;
            if known.waiting.is_some() {
                self.line_answered(place, moment.seq, moment.at);
            }
        }
        Some(ix)
    }

    fn end_leg(
        &mut self,
        id: &AgentId,
        call_id: &CallId,
        wrap_up: Option<&Arc<WrapUp>>,
        at: Time,
    ) -> Option<Ix> {
        let ix = *self.agent_by_id.get(id)?;
        let agent = self.agents.get_mut(ix)?;
        let place = agent
            .slots
            .iter()
            .position(|slot| matches!(slot, Slot::InCall(call) if call.call_id == *call_id))?;
        if let Slot::InCall(call) = agent.slots.remove(place) {
            agent.tally.talk_ms = agent.tally.talk_ms.saturating_add(at.since(call.since));
            self.deadlines.disarm(call.until, Deadline::Call(ix));
            agent.release_wrap_up(call.fence);
        }
        for call in agent.calls() {
            self.deadlines.arm(call.until, Deadline::Call(ix));
        }
        if let Some(wrap_up) = wrap_up {
            self.deadlines.arm(wrap_up.until, Deadline::WrapUp(ix));
            agent.slots.push(Slot::WrapUp(Arc::clone(wrap_up)));
        }
        if let Some(place) = self.calls.find(call_id.as_str())
            && let Some(call) = self.calls.at_mut(place)
        {
            call.legs.retain(|leg| leg != id);
            self.settle_call(place, at);
        }
        Some(ix)
    }

    fn see_call(&mut self, id: &CallId, at: Time) -> Option<Ix> {
        let place = self.call_or_new(id, at);
        self.settle_call(place, at);
        None
    }

    fn end_call(&mut self, id: &CallId, moment: &Moment<'_>) -> Option<Ix> {
        let place = self.call_or_new(id, moment.at);
        self.calls.at_mut(place)?.ended = true;
        self.leave_line(place, moment.seq);
        self.settle_call(place, moment.at);
        None
    }

    /// The call's place; it is marked as changed.
    pub(crate) fn call_or_new(&mut self, id: &CallId, at: Time) -> Ix {
        let place = match self.calls.find(id.as_str()) {
            Some(place) => place,
            None => {
                self.call_count += 1;
                self.calls.insert(Call::new(id.clone(), self.call_count, at))
            }
        };
        if let Some(call) = self.calls.at(place) {
            self.dirty.insert(PageKey::call(call.number));
        }
        place
    }

    /// A call of which nothing is live any more begins to be forgotten.
    pub(crate) fn settle_call(&mut self, place: Ix, at: Time) {
        let Some(call) = self.calls.at_mut(place) else { return };
        self.dirty.insert(PageKey::call(call.number));
        let live = call.offer.is_some() || !call.legs.is_empty() || call.waiting.is_some();
        if !live && call.idle_since != Some(at) {
            call.idle_since = Some(at);
            self.idle_calls.push_back((at, place));
        }
    }

    fn end_wrap_up(&mut self, agent: &AgentId, fence: Fence) -> Option<Ix> {
        let ix = *self.agent_by_id.get(agent)?;
        let agent = self.agents.get_mut(ix)?;
        let place =
            agent.slots.iter().position(|slot| matches!(slot, Slot::WrapUp(w) if w.fence == fence))?;
        if let Slot::WrapUp(wrap_up) = agent.slots.remove(place) {
            self.deadlines.disarm(wrap_up.until, Deadline::WrapUp(ix));
        }
        for wrap_up in agent.wrap_ups() {
            self.deadlines.arm(wrap_up.until, Deadline::WrapUp(ix));
        }
        Some(ix)
    }

    fn move_wrap_up(&mut self, agent: &AgentId, fence: Fence, until: Time) -> Option<Ix> {
        let ix = *self.agent_by_id.get(agent)?;
        let agent = self.agents.get_mut(ix)?;
        for slot in &mut agent.slots {
            if let Slot::WrapUp(wrap_up) = slot
                && wrap_up.fence == fence
            {
                self.deadlines.disarm(wrap_up.until, Deadline::WrapUp(ix));
                Arc::make_mut(wrap_up).until = until;
            }
        }
        for wrap_up in agent.wrap_ups() {
            self.deadlines.arm(wrap_up.until, Deadline::WrapUp(ix));
        }
        Some(ix)
    }

    /// What has been remembered for long enough, or is too much. A function of the facts' times alone, so that a replay
    /// forgets the same.
    pub(crate) fn forget(&mut self, at: Time) {
        while let Some((ended, _)) = self.ended_offers.front()
            && (at.since(*ended) > MEMORY_MS || self.ended_offers.len() > MEMORY_MAX)
        {
            if let Some((_, place)) = self.ended_offers.pop_front()
                && let Some(entry) = self.offers.remove(place)
            {
                self.dirty.insert(PageKey::offer(entry.offer.fence.n));
            }
        }
        while let Some((idle, _)) = self.idle_calls.front()
            && (at.since(*idle) > MEMORY_MS || self.idle_calls.len() > MEMORY_MAX)
        {
            if let Some((idle, place)) = self.idle_calls.pop_front()
                && self.calls.at(place).is_some_and(|call| call.idle_since == Some(idle))
                && let Some(call) = self.calls.remove(place)
            {
                self.dirty.insert(PageKey::call(call.number));
            }
        }
        while let Some((ended, _, _)) = self.ended_externals.front()
            && (at.since(*ended) > MEMORY_MS || self.ended_externals.len() > MEMORY_MAX)
        {
            if let Some((_, agent, call)) = self.ended_externals.pop_front()
                && let Some(count) = self.ended_external_ids.get_mut(&(call.clone(), agent.clone()))
            {
                *count -= 1;
                if *count == 0 {
                    self.ended_external_ids.remove(&(call, agent));
                }
            }
        }
        while let Some(oldest) = self.tombstones.front()
            && (at.since(oldest.at) > TOMBSTONE_MS || self.tombstones.len() > TOMBSTONES_MAX)
        {
            self.tombstone_floor = oldest.seq;
            self.tombstones.pop_front();
        }
    }
}

fn set_status(agent: &mut Agent, status: &Status, misses_reset: bool, at: Time) {
    // A pause interval belongs to the reason it was begun with.
    if agent.standing.bucket == Bucket::Paused {
        let reason = pause_reason(agent);
        agent.ledger.close(Bucket::Paused, reason.as_ref(), at);
    }
    if agent.status == Status::Offline && *status != Status::Offline {
        agent.tally = Tally::default();
    }
    if agent.status != *status {
        agent.status = status.clone();
        agent.status_since = at;
    }
    if misses_reset {
        agent.misses = 0;
    }
}

/// Changes that by themselves show in no row.
fn is_quiet(change: &Change) -> bool {
    matches!(
        change,
        Change::Bound { .. }
            | Change::Unbound { .. }
            | Change::Settled { .. }
            | Change::CooldownOver { .. }
            | Change::LegKnown { .. }
    )
}

pub(crate) fn pause_reason(agent: &Agent) -> Option<ReasonId> {
    match &agent.status {
        Status::OnBreak(pause) => pause.reason_id.clone(),
        Status::Offline | Status::Available => None,
    }
}
