//! Who comes next, found the slow way: everybody is looked at, and what the strategies go by is counted from the facts
//! alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ringfence_core::agent::{Agent, Membership, Status};
use ringfence_core::fact::{Change, Fact};
use ringfence_core::queue::Strategy;
use ringfence_core::{Account, AgentId, CallId, Ix, QueueId, Time};

use super::TERM;

/// A member with clauses 1 to 8 true.
pub struct Candidate<'a> {
    pub ix: Ix,
    pub agent: &'a Agent,
    pub membership: Membership,
    /// Clause 9 as well.
    pub passes: bool,
}

#[derive(Debug, Default)]
pub struct Ranks {
    /// Who was granted last, by queue and tier.
    turns: BTreeMap<(QueueId, u8), (u32, AgentId)>,
    online: BTreeSet<AgentId>,
    answered: BTreeMap<AgentId, u32>,
    talked: BTreeMap<AgentId, u64>,
    talking: BTreeMap<(AgentId, CallId), VecDeque<Time>>,
}

impl Ranks {
    pub fn take_in(&mut self, fact: &Fact, now: Time, account: &Account) {
        // Facts of no concern are the rest of a long list; the model names them all.
        #[allow(clippy::wildcard_enum_match_arm, reason = "the model's own match is total")]
        match &fact.change {
            Change::Granted { entry } => {
                let (offer, queue) = (&entry.offer, entry.offer.queue_id.as_ref());
                let place = account.queues().find(|(_, known)| Some(&known.id) == queue);
                let agent = account.agent(&offer.agent_id).expect("whoever is granted is there");
                if let (Some((place, known)), Some(queue)) = (place, queue) {
                    let member = agent.membership(place).expect("a queue offer is a member's");
                    assert_eq!(&known.id, queue);
                    self.turns
                        .insert((queue.clone(), member.tier), (member.position, offer.agent_id.clone()));
                }
            }
            Change::Answered { offer, call } => {
                let agent = account.offer(offer).expect("it is remembered").offer.agent_id.clone();
                *self.answered.entry(agent.clone()).or_default() += 1;
                self.talking.entry((agent, call.call_id.clone())).or_default().push_back(now);
            }
            Change::LegEnded { agent, call_id, .. } => {
                let began = self.talking.get_mut(&(agent.clone(), call_id.clone()));
                let began = began.and_then(VecDeque::pop_front).expect("a leg was answered");
                *self.talked.entry(agent.clone()).or_default() += now.since(began);
            }
            Change::StatusSet { agent, status: Status::Offline, .. } => _ = self.online.remove(agent),
            Change::StatusSet { agent, .. } => self.is_online(agent),
            Change::AgentRemoved { agent } => _ = self.online.remove(agent),
            Change::QueueRemoved { queue } => self.turns.retain(|(of, _), _| of != queue),
            _ => {}
        }
    }

    fn is_online(&mut self, agent: &AgentId) {
        if self.online.insert(agent.clone()) {
            self.answered.remove(agent);
            self.talked.remove(agent);
        }
    }

    /// Those of the candidates (in order of place) to whom the next grants go: one, or a group.
    pub fn choose(
        &self,
        queue: &QueueId,
        strategy: Strategy,
        candidates: &[Candidate<'_>],
        grants: u64,
        now: Time,
    ) -> Vec<AgentId> {
        let Some(tier) = candidates.iter().filter(|c| c.passes).map(|c| c.membership.tier).min() else {
            return Vec::new();
        };
        let here: Vec<&Candidate<'_>> = candidates.iter().filter(|c| c.membership.tier == tier).collect();
        let drawn = |weight: &dyn Fn(&Candidate<'_>) -> u64| {
            let order =
                |c: &Candidate<'_>| (self.rank(strategy, c), c.membership.position, c.agent.id.clone());
            let mut last = None;
            for nth in 0..64 {
                let drawn = draw(&here, weight, number(TERM, grants + 1, nth));
                if drawn.passes {
                    return Some(drawn.agent.id.clone());
                }
                last = Some(order(drawn));
            }
            let after = |c: &&&Candidate<'_>| (Some(order(c)) <= last, order(c));
            here.iter().filter(|c| c.passes).min_by_key(after).map(|c| c.agent.id.clone())
        };
        let turn = self.turns.get(&(queue.clone(), tier));
        let place = |c: &Candidate<'_>| (c.membership.position, c.agent.id.clone());
        let one = match strategy {
            Strategy::RingAll => {
                let mut group: Vec<_> = here.iter().filter(|c| c.passes).map(|c| place(c)).collect();
                group.sort();
                return group.into_iter().take(32).map(|(_, id)| id).collect();
            }
            Strategy::Random => drawn(&|_| 1),
            Strategy::WeightedRandom => drawn(&|c| now.since(c.agent.ready_since) + 1),
            Strategy::RoundRobin => {
                let after = |c: &&&Candidate<'_>| (Some(&place(c)) <= turn, place(c));
                here.iter().filter(|c| c.passes).min_by_key(after).map(|c| c.agent.id.clone())
            }
            Strategy::LongestIdle | Strategy::FewestCalls | Strategy::LeastTalkTime | Strategy::TopDown => {
                let order = |c: &&&Candidate<'_>| (self.rank(strategy, c), place(c));
                here.iter().filter(|c| c.passes).min_by_key(order).map(|c| c.agent.id.clone())
            }
        };
        one.into_iter().collect()
    }

    fn rank(&self, strategy: Strategy, candidate: &Candidate<'_>) -> u64 {
        let id = &candidate.agent.id;
        match strategy {
            Strategy::LongestIdle | Strategy::WeightedRandom => candidate.agent.ready_since.ms(),
            Strategy::FewestCalls => u64::from(self.answered.get(id).copied().unwrap_or(0)),
            Strategy::LeastTalkTime => self.talked.get(id).copied().unwrap_or(0),
            Strategy::Random | Strategy::RoundRobin | Strategy::TopDown | Strategy::RingAll => 0,
        }
    }
}

/// The candidate on whose share of all 64-bit numbers this one falls.
fn draw<'a, 'b>(
    here: &[&'a Candidate<'b>],
    weight: &dyn Fn(&Candidate<'_>) -> u64,
    number: u64,
) -> &'a Candidate<'b> {
    let all: u128 = here.iter().map(|c| u128::from(weight(c))).sum();
    let mut rest = (u128::from(number) * all) >> 64;
    for candidate in here {
        match rest.checked_sub(u128::from(weight(candidate))) {
            Some(less) => rest = less,
            None => return candidate,
        }
    }
    panic!("the shares are all there is")
}

/// docs/decisions/0020: SplitMix64 over term, then n, then the number of the draw.
fn number(term: u64, n: u64, nth: u64) -> u64 {
    fn next(state: u64) -> u64 {
        let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    next(next(next(term) ^ n) ^ nth)
}
