//! Decisions: from an input to facts. Only the first decision on an input may refuse; what follows from it is part of
//! its record.

mod actions;
mod calls;
mod contacts;
mod directory;
mod due;
mod line;
mod memberships;
mod next;
mod offers;
mod pick;
mod presence;
mod read;
mod reserve;
mod self_reserve;

use crate::account::{Account, Moment, Step};
use crate::agent::{Agent, By, Standing, Status};
use crate::bucket::{Bucket, Facets};
use crate::fact::{Change, Fact};
use crate::feed::FeedItem;
use crate::fence::{Clause, ClauseSet, OfferKind};
use crate::id::{AgentId, OfferId};
use crate::input::{FEED_ITEMS_MAX, Fed, Input, Reply};
use crate::offer::{Cause, Outcome};
use crate::refusal::Refusal;
use crate::slab::Ix;
use crate::time::Time;

pub(crate) use due::due;
pub(crate) use line::PUSHES_PER_RECORD;

/// Decides one input.
pub(crate) fn input(account: &mut Account, step: &mut Step, input: Input, by: &By) -> Result<Reply, Refusal> {
    match input {
        Input::Tick => Ok(Reply::Done { changed: step.changed() }),
        Input::Rearm => Ok(account.rearm(step)),
        Input::SetSettings(settings) => account.set_settings(step, settings),
        Input::PutAgent { agent, entry } => account.decide_put_agent(step, agent, *entry),
        Input::RemoveAgent { agent } => account.decide_remove_agent(step, &agent),
        Input::PutQueue { queue, settings } => account.decide_put_queue(step, queue, *settings),
        Input::RemoveQueue { queue } => account.decide_remove_queue(step, &queue),
        Input::PutReason(reason) => account.decide_put_reason(step, reason),
        Input::RemoveReason { reason } => account.decide_remove_reason(step, reason),
        Input::Event(event) => account.decide_event(step, event, by),
        Input::ReserveAgent { agent, queue, ask } => account.reserve_agent(step, &agent, queue.as_ref(), ask),
        Input::ReserveQueue { queue, ask, exclude, prefer } => {
            account.reserve_queue(step, &queue, ask, &exclude, &prefer)
        }
        Input::Offer { offer, fence, verb } => account.decide_offer(step, &offer, fence, verb),
        Input::EndCall { call, agent, fence } => account.decide_end_call(step, &call, agent.as_ref(), fence),
        Input::Feed { items, create } => account.decide_feed(step, items, create),
        Input::Explain { agent, queue } => account.explain(&agent, queue.as_ref(), step.now),
        Input::ReadAgent { agent } => account.reply_row(&agent, false),
        Input::ReadOffer { offer } => account.read_offer(&offer),
        Input::Enqueue(enqueue) => account.enqueue(step, enqueue),
        Input::Requeue { call, queue, router } => account.requeue(step, call, queue.as_ref(), router),
        Input::Dequeue { call, queue } => account.dequeue(step, &call, queue.as_ref()),
        Input::RouterUp { router } => account.router_up(step, router),
        Input::RouterDown { router } => Ok(account.router_down(step, &router)),
        Input::ReadEntries { agents } => account.read_entries(&agents),
        Input::ReadQueues { queues } => account.read_queues(&queues),
        Input::ReadConfig => Ok(account.read_config()),
        Input::Expecting { seq, input } => account.decide_expecting(step, seq, *input, by),
        Input::Assign { agent, choice } => account.decide_assign(step, &agent, choice, by),
        Input::SelfReserve { agent, ask } => account.self_reserve(step, &agent, ask),
        Input::Act(action) => account.decide_action(step, action, by),
        Input::Unassign { agent, queue } => account.decide_unassign(step, &agent, &queue, by),
    }
}

/// What must follow from what was decided: a live offer whose agent can no longer take it is rescinded, and an agent who
/// is free becomes what they were to become, or takes the next caller, until nobody is free or nobody fits.
pub(crate) fn consequences(account: &mut Account, step: &mut Step) {
    step.system = true;
    let mut pushes = step.pushes;
    loop {
        for ix in std::mem::take(&mut step.agents).iter() {
            account.rescind_if_need_be(step, ix);
            if account.carry_out_next(step, ix) {
                account.rescind_if_need_be(step, ix);
            }
            account.next_caller(step, ix);
        }
        for place in std::mem::take(&mut step.calls).iter() {
            account.call_waits(step, place);
        }
        if !step.agents.is_empty() || !step.calls.is_empty() {
            continue;
        }
        if std::mem::replace(&mut pushes, step.pushes) != step.pushes && !step.passed_over.is_empty() {
            // Who else was free may be so no longer: the exclusion has lapsed.
            step.agents = std::mem::take(&mut step.passed_over);
            continue;
        }
        if step.is_full() || !account.lines_due(step) {
            return;
        }
    }
}

impl Account {
    /// Makes a fact: applies the change, sees how the agent stands, and keeps both.
    pub(crate) fn emit(&mut self, step: &mut Step, change: Change) {
        self.emit_with(step, change, |_| {});
    }

    /// The same with soft state to be laid over the change before the standing is seen.
    pub(crate) fn emit_with(&mut self, step: &mut Step, change: Change, overlay: impl FnOnce(&mut Self)) {
        let by = step.maker();
        let moment = Moment { seq: self.seq + 1, at: step.now, by: by.as_ref().unwrap_or(&step.by) };
        let agent = self.change(&change, &moment);
        if let Change::OfferEnded { offer, .. } = &change
            && let Some(place) = self.offer(offer).and_then(|e| self.calls.find(e.offer.call_id.as_str()))
        {
            step.calls.insert(place);
        }
        overlay(self);
        let standing = agent.and_then(|ix| self.standing(ix, step.now));
        if let (Some(ix), Some(standing)) = (agent, standing) {
            self.settle(ix, &change, standing, moment.by, &moment);
            step.agents.insert(ix);
        }
        if step.facts.is_empty() {
            // Most records are one or two facts long; a vector's own first guess is four.
            step.facts.reserve_exact(2);
        }
        step.facts.push(Fact { change, standing, by });
    }

    /// How an agent stands by everything known now.
    fn standing(&self, ix: Ix, now: Time) -> Option<Standing> {
        let agent = self.agents.get(ix)?;
        let subject = self.subject(agent, now);
        let (failing, ready_at) = subject.failing(OfferKind::Queue);
        let free_slot = subject.free_slot();
        let exact = subject.live_until.live(now);
        let (external_call, intent, in_queue) =
            (!agent.external.is_empty(), agent.status.intent(), !agent.memberships.is_empty());
        let in_call = agent.calls().next().is_some();
        let offering = agent.live_offers().next().is_some();
        let shown_before = agent.standing.reachable;
        let reachable = exact || shown_before && now < self.grace_until(ix, now);
        let bucket = Bucket::of(Facets {
            external_call,
            in_call,
            offering,
            free_slot,
            intent,
            reachable,
            offerable: failing == ClauseSet::EMPTY,
            in_queue,
        });
        Some(Standing { bucket, reachable, failing, ready_at })
    }

    fn rescind_if_need_be(&mut self, step: &mut Step, ix: Ix) {
        let Some(agent) = self.agents.get(ix) else { return };
        let standing = agent.standing;
        let fine = standing.reachable
            && !standing.failing.contains(Clause::ExternalCall)
            && agent.status == Status::Available;
        if fine {
            return;
        }
        for rescind in self.rescinds_of(agent, step.now) {
            self.emit(step, rescind);
        }
    }

    /// The end of each live offer that this agent can no longer take.
    fn rescinds_of(&self, agent: &Agent, now: Time) -> Vec<Change> {
        let rescind = |id: &OfferId| {
            let outcome = Outcome::Rescinded(self.cause_to_rescind(agent, id, now)?);
            Some(due::ended_without_miss(Some(agent), id, outcome, None, now))
        };
        agent.live_offers().filter_map(rescind).collect()
    }

    fn cause_to_rescind(&self, agent: &Agent, offer: &OfferId, now: Time) -> Option<Cause> {
        let (failing, _) = self.subject(agent, now).failing(self.offer(offer)?.offer.kind());
        if failing.contains(Clause::ExternalCall) {
            Some(Cause::ExternalCall)
        } else if failing.contains(Clause::Status) {
            Some(match agent.status.intent() {
                crate::bucket::Intent::Offline => Cause::Logout,
                crate::bucket::Intent::OnBreak | crate::bucket::Intent::Available => Cause::Paused,
            })
        } else if !agent.standing.reachable {
            Some(Cause::Unreachable)
        } else {
            None
        }
    }

    fn decide_feed(&mut self, step: &mut Step, items: Vec<FeedItem>, create: bool) -> Result<Reply, Refusal> {
        if items.len() > FEED_ITEMS_MAX {
            return Err(Refusal::Limit { what: "items of one feed input", limit: FEED_ITEMS_MAX });
        }
        let mut fed = Fed::default();
        for item in items {
            self.feed(step, item, create, &mut fed);
        }
        Ok(Reply::Fed(fed))
    }

    pub(crate) fn reply_row(&self, agent: &AgentId, changed: bool) -> Result<Reply, Refusal> {
        let row = self.row(agent).ok_or_else(|| Refusal::UnknownAgent { agent: agent.clone() })?;
        Ok(Reply::Agent { row: Box::new(row), changed })
    }
}
