//! What administrators say: agents, queues, reasons, settings.

use crate::account::{Account, Step};
use crate::agent::{Address, AddressKind, Agent, AgentEntry, CAPACITY_MAX};
use crate::bucket::Intent;
use crate::deadline::Deadline;
use crate::fact::Change;
use crate::fence::Clause;
use crate::fence::OfferKind;
use crate::id::{AgentId, QueueId, ReasonId};
use crate::input::{AGENTS_PER_RECORD, AccountSettings, PauseReason, Reply};
use crate::offer::Cause;
use crate::queue::{QUEUES_MAX, QueueSettings};
use crate::refusal::Refusal;
use crate::slab::Ix;

/// Longest debounce of a lost phone (model.md §5).
const GRACE_MS_MAX: u64 = 30_000;
/// Addresses of one agent.
const ADDRESSES_MAX: usize = 16;
/// Tags of one agent.
const TAGS_MAX: usize = 64;
/// Agents of one account.
pub(super) const AGENTS_MAX: usize = 1_000_000;
/// Pause reasons of one account.
const REASONS_MAX: usize = 1_000;

impl Account {
    pub(crate) fn set_settings(
        &mut self,
        step: &mut Step,
        settings: AccountSettings,
    ) -> Result<Reply, Refusal> {
        if settings.unreachable_grace_ms > GRACE_MS_MAX {
            return Err(invalid("unreachable_grace_ms", format!("at most {GRACE_MS_MAX} ms")));
        }
        if self.settings != settings {
            let turned = self.settings.paused_inbound != settings.paused_inbound;
            self.emit(step, Change::Settings(settings));
            if turned {
                self.resettle(step, Ix(0));
            }
        }
        Ok(Reply::Done { changed: step.changed() })
    }

    /// Agents on break stand differently under another `paused_inbound`: those from this place on, as many as one record
    /// has room for. The rest follow as an input of their own; the fence itself asks the setting and does not wait.
    pub(crate) fn resettle(&mut self, step: &mut Step, from: Ix) {
        let now = step.now;
        let differs = |agent: &Agent| {
            // Nothing but this clause: what else is due at this moment has deadlines of its own.
            let (failing, _) = self.subject(agent, now).failing(OfferKind::Queue);
            let turned = agent.standing.failing.contains(Clause::Status) != failing.contains(Clause::Status);
            // A direct offer may have to go although nothing turned for a queue's.
            turned || agent.live_offers().any(|offer| self.cause_to_rescind(agent, offer, now).is_some())
        };
        let room = AGENTS_PER_RECORD.saturating_sub(step.agents.len());
        let on_break = |agent: &Agent| agent.status.intent() == Intent::OnBreak;
        let turned =
            self.agents.iter().filter(|(ix, agent)| *ix >= from && on_break(agent) && differs(agent));
        let turned: Vec<(Ix, AgentId)> =
            turned.take(room + 1).map(|(ix, agent)| (ix, agent.id.clone())).collect();
        for (n, (ix, agent)) in turned.into_iter().enumerate() {
            if n == room {
                self.deadlines.arm(now, Deadline::Resettle(ix));
            } else {
                self.emit(step, Change::Settled { agent });
            }
        }
    }

    pub(crate) fn decide_put_agent(
        &mut self,
        step: &mut Step,
        id: AgentId,
        entry: AgentEntry,
    ) -> Result<Reply, Refusal> {
        self.check_entry(&id, &entry)?;
        let known = self.agent(&id);
        if known.is_none() && self.agents.len() >= AGENTS_MAX {
            return Err(Refusal::Limit { what: "agents of one account", limit: AGENTS_MAX });
        }
        if known.is_none_or(|agent| *agent.entry != entry) {
            let neighbours = self.aor_neighbours(&id, &entry.addresses);
            self.emit(step, Change::AgentPut { agent: id.clone(), entry: entry.into() });
            self.settle_phones(step, neighbours);
        }
        let changed = step.changed();
        super::consequences(self, step);
        self.reply_row(&id, changed)
    }

    fn check_entry(&self, id: &AgentId, entry: &AgentEntry) -> Result<(), Refusal> {
        if !(1..=CAPACITY_MAX).contains(&entry.capacity) {
            return Err(invalid("capacity", format!("1 to {CAPACITY_MAX} calls at once")));
        }
        if entry.addresses.len() > ADDRESSES_MAX {
            return Err(Refusal::Limit { what: "addresses of one agent", limit: ADDRESSES_MAX });
        }
        if entry.tags.len() > TAGS_MAX {
            return Err(Refusal::Limit { what: "tags of one agent", limit: TAGS_MAX });
        }
        for (place, address) in entry.addresses.iter().enumerate() {
            check_address(address.kind, &address.target)?;
            if entry.addresses[..place].iter().any(|other| other.target == address.target) {
                return Err(invalid("addresses", format!("{:?} is named twice", address.target)));
            }
            let own = self.agent_by_id.get(id);
            if let Some(other) = self.agent_by_address.get(&address.target)
                && Some(other) != own
                && let Some(other) = self.agents.get(*other)
            {
                return Err(Refusal::AddressTaken {
                    address: address.target.clone(),
                    agent: other.id.clone(),
                });
            }
        }
        Ok(())
    }

    pub(crate) fn decide_remove_agent(&mut self, step: &mut Step, id: &AgentId) -> Result<Reply, Refusal> {
        let agent = self.agent(id).ok_or_else(|| Refusal::UnknownAgent { agent: id.clone() })?;
        if agent.calls().next().is_some() {
            return Err(Refusal::AgentInCall { agent: id.clone() });
        }
        let offers: Vec<_> = agent.live_offers().cloned().collect();
        for offer in offers {
            self.rescind(step, &offer, Cause::Removed);
        }
        let neighbours = self.aor_neighbours(id, &[]);
        self.emit(step, Change::AgentRemoved { agent: id.clone() });
        self.settle_phones(step, neighbours);
        Ok(Reply::Done { changed: true })
    }

    /// Agents who lose or gain an AoR when this one's addresses become these: those with its user part as extension.
    fn aor_neighbours(&self, id: &AgentId, addresses: &[Address]) -> Vec<AgentId> {
        let own = self.agent_by_id.get(id).copied();
        let held = own.and_then(|ix| self.agents.get(ix)).into_iter().flat_map(|agent| &agent.aors);
        let held = held.filter_map(|aor| Some(self.aors.get(*aor)?.name.as_str()));
        let claimed = addresses.iter().filter(|a| a.kind == AddressKind::Sip).map(|a| a.target.as_str());
        let mut others: Vec<AgentId> = held
            .chain(claimed)
            .filter_map(|aor| self.extension_of(aor))
            .filter(|ix| Some(*ix) != own)
            .filter_map(|ix| Some(self.agents.get(ix)?.id.clone()))
            .collect();
        others.sort();
        others.dedup();
        others
    }

    fn settle_phones(&mut self, step: &mut Step, agents: Vec<AgentId>) {
        for agent in agents {
            let turned = self.agent(&agent).is_some_and(|agent| {
                agent.standing.failing.contains(Clause::Reachable) == self.live_until(agent).live(step.now)
            });
            if turned {
                self.emit(step, Change::Settled { agent });
            }
        }
    }

    pub(crate) fn decide_put_queue(
        &mut self,
        step: &mut Step,
        id: QueueId,
        settings: QueueSettings,
    ) -> Result<Reply, Refusal> {
        settings.check().map_err(|(field, problem)| invalid(field, problem))?;
        let known = self.queue(&id);
        if known.is_none() && self.queues.len() >= QUEUES_MAX {
            return Err(Refusal::Limit { what: "queues of one account", limit: QUEUES_MAX });
        }
        if known.is_none_or(|queue| queue.settings != settings) {
            self.emit(step, Change::QueuePut { queue: id, settings: Box::new(settings) });
        }
        Ok(Reply::Done { changed: step.changed() })
    }

    pub(crate) fn decide_remove_queue(&mut self, step: &mut Step, id: &QueueId) -> Result<Reply, Refusal> {
        let queue = self.queue(id).ok_or_else(|| Refusal::UnknownQueue { queue: id.clone() })?;
        if queue.members.len() > AGENTS_PER_RECORD {
            return Err(invalid(
                "queue",
                format!(
                    "it has {} members; take them out until {AGENTS_PER_RECORD} are left",
                    queue.members.len()
                ),
            ));
        }
        let members: Vec<AgentId> =
            queue.members.iter().filter_map(|ix| Some(self.agents.get(*ix)?.id.clone())).collect();
        let ringing =
            self.offers.values().filter(|e| e.ended.is_none() && e.offer.queue_id.as_ref() == Some(id));
        let mut offers: Vec<_> =
            ringing.map(|entry| (entry.offer.fence, entry.offer.offer_id.clone())).collect();
        // Order of a hash map must not show.
        offers.sort();
        for (_, offer) in offers {
            self.rescind(step, &offer, Cause::Removed);
        }
        self.clear_line(step, id);
        for agent in members {
            self.emit(step, Change::Left { agent, queue: id.clone() });
        }
        self.emit(step, Change::QueueRemoved { queue: id.clone() });
        Ok(Reply::Done { changed: true })
    }

    pub(crate) fn decide_put_reason(
        &mut self,
        step: &mut Step,
        reason: PauseReason,
    ) -> Result<Reply, Refusal> {
        let known = self.reasons.get(&reason.id);
        if known.is_none() && self.reasons.len() >= REASONS_MAX {
            return Err(Refusal::Limit { what: "pause reasons of one account", limit: REASONS_MAX });
        }
        if known != Some(&reason) {
            self.emit(step, Change::ReasonPut { reason });
        }
        Ok(Reply::Done { changed: step.changed() })
    }

    pub(crate) fn decide_remove_reason(
        &mut self,
        step: &mut Step,
        reason: ReasonId,
    ) -> Result<Reply, Refusal> {
        if !self.reasons.contains_key(&reason) {
            return Err(Refusal::UnknownReason { reason });
        }
        self.emit(step, Change::ReasonRemoved { reason });
        Ok(Reply::Done { changed: true })
    }
}

fn check_address(kind: AddressKind, target: &str) -> Result<(), Refusal> {
    let digits =
        |text: &str| !text.is_empty() && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_digit());
    let ok = match kind {
        AddressKind::Extension => digits(target),
        AddressKind::Sip => crate::contact::canonical_aor(target).as_deref() == Ok(target),
        AddressKind::Tel => target.strip_prefix('+').is_some_and(|rest| digits(rest) && rest.len() <= 15),
    };
    let expected = match kind {
        AddressKind::Extension => "digits",
        AddressKind::Sip => "user@domain, the domain in lower case",
        AddressKind::Tel => "E.164, like +15559876543",
    };
    if ok { Ok(()) } else { Err(invalid("addresses", format!("{target:?} is not {expected}"))) }
}

fn invalid(field: &'static str, problem: impl Into<String>) -> Refusal {
    Refusal::Invalid { field, problem: problem.into() }
}
