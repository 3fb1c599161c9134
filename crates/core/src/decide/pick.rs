//! Who is chosen for a queue's call: tier, then the queue's strategy, then position, then id.

use smallvec::{SmallVec, smallvec};

use crate::account::Account;
use crate::call::Call;
use crate::fence::{Clause, ClauseSet, OfferKind};
use crate::id::{AgentId, CallId};
use crate::lots::{Chance, number};
use crate::offer::{Fence, GROUP_MAX};
use crate::queue::{Queue, Strategy};
use crate::ready::{ReadyKey, Stood, Tier};
use crate::refusal::Refusal;
use crate::slab::Ix;
use crate::time::Time;

/// Lots drawn in one tier before its members are looked at one after the other.
const DRAWS_MAX: u64 = 64;

/// Who is to be offered the call: one agent, of a `ring_all` queue up to [`GROUP_MAX`].
pub(super) type Chosen = SmallVec<[Ix; 1]>;

/// What is asked of a queue.
pub(crate) struct Wish<'a> {
    pub call: &'a CallId,
    pub exclude: &'a [AgentId],
    /// Tried first, in this order.
    pub prefer: &'a [AgentId],
}

/// A look for somebody to offer a call to, and what was seen on the way.
struct Search<'a> {
    account: &'a Account,
    queue: &'a Queue,
    call: Option<&'a Call>,
    exclude: &'a [AgentId],
    now: Time,
    first_reserve: Time,
    /// Of the grant to be made.
    fence: Fence,
    failing: [u32; Clause::COUNT],
    /// Who passes everything but that they were just tried: as many as would be chosen, of the first tier with any.
    just_tried: Chosen,
}

/// What there is to say of a member who is in the index.
enum Look {
    Takes,
    JustTried,
    Fails(ClauseSet),
}

impl Account {
    pub(crate) fn pick(&self, queue: &Queue, wish: &Wish<'_>, now: Time) -> Result<Chosen, Refusal> {
        let call = self.calls.get(wish.call.as_str());
        let mut search = Search {
            account: self,
            queue,
            call,
            exclude: wish.exclude,
            now,
            first_reserve: call.map_or(now, |call| call.first_reserve),
            fence: self.next_fence(),
            failing: queue.failing,
            just_tried: Chosen::new(),
        };
        if let Some(ix) = search.preferred(wish.prefer) {
            return Ok(smallvec![ix]);
        }
        let mut earliest = queue.soonest.first().map(|(at, _)| *at);
        let mut tiers = queue.tiers.iter().filter(|(_, tier)| !tier.ready.is_empty());
        while let Some((number, tier)) = tiers.next() {
            let opens = queue.tier_opens(*number, search.first_reserve);
            if opens > now {
                // Tiers are in order: none of the rest is open either.
                let closed = tier.ready.len() + tiers.map(|(_, tier)| tier.ready.len()).sum::<usize>();
                search.failing[Clause::Tier.index()] += u32::try_from(closed).unwrap_or(u32::MAX);
                earliest = Some(earliest.map_or(opens, |at| at.min(opens)));
                break;
            }
            let chosen = search.of_tier(*number, tier);
            if !chosen.is_empty() {
                return Ok(chosen);
            }
        }
        if !search.just_tried.is_empty() {
            return Ok(search.just_tried);
        }
        Err(Refusal::NoAgent {
            queue: queue.id.clone(),
            members: u32::try_from(queue.members.len()).unwrap_or(u32::MAX),
            failing: Clause::ALL
                .into_iter()
                .map(|clause| (clause, search.failing[clause.index()]))
                .filter(|(_, count)| *count > 0)
                .collect(),
            earliest,
        })
    }
}

impl Search<'_> {
    /// The first of these who passes the fence as any member must, whatever the strategy and whichever open tier.
    fn preferred(&mut self, agents: &[AgentId]) -> Option<Ix> {
        let queue_ix = *self.account.queue_by_id.get(&self.queue.id)?;
        for id in agents {
            let Some(ix) = self.account.agent_by_id.get(id).copied() else { continue };
            let agent = self.account.agents.get(ix);
            let Some(member) = agent.and_then(|agent| agent.membership(queue_ix)) else { continue };
            if self.queue.tier_opens(member.tier, self.first_reserve) > self.now {
                continue;
            }
            match self.look(ix) {
                Look::Takes => return Some(ix),
                Look::JustTried => self.note_tried(ix),
                // Counted where all the others are.
                Look::Fails(_) => {}
            }
        }
        None
    }

    fn note_tried(&mut self, ix: Ix) {
        if self.just_tried.is_empty() {
            self.just_tried.push(ix);
        }
    }

    fn of_tier(&mut self, number: u8, tier: &Tier) -> Chosen {
        let one = match self.queue.settings.strategy {
            Strategy::LongestIdle | Strategy::FewestCalls | Strategy::LeastTalkTime | Strategy::TopDown => {
                self.first(tier.in_order())
            }
            Strategy::RoundRobin => match self.queue.turns.get(&number) {
                Some(turn) => {
                    let (position, agent_id) = (turn.position, turn.agent.clone());
                    self.first(tier.after(&ReadyKey { rank: 0, position, agent_id, agent: Ix(u32::MAX) }))
                }
                None => self.first(tier.in_order()),
            },
            Strategy::Random => self.drawn(tier, Chance::Even),
            Strategy::WeightedRandom => self.drawn(tier, Chance::ByAge { now: self.now }),
            Strategy::RingAll => return self.all(tier),
        };
        one.into_iter().collect()
    }

    /// As many as a group may have, in order.
    fn all(&mut self, tier: &Tier) -> Chosen {
        let (mut chosen, mut tried) = (Chosen::new(), Chosen::new());
        for ix in tier.in_order() {
            match self.look(ix) {
                Look::Takes => chosen.push(ix),
                Look::JustTried if tried.len() < GROUP_MAX => tried.push(ix),
                Look::JustTried => {}
                Look::Fails(clauses) => self.count(clauses),
            }
            if chosen.len() == GROUP_MAX {
                break;
            }
        }
        if self.just_tried.is_empty() {
            self.just_tried = tried;
        }
        chosen
    }

    /// The first who takes the call; the others are counted by what they fail.
    fn first(&mut self, mut members: impl Iterator<Item = Ix>) -> Option<Ix> {
        members.find(|ix| match self.look(*ix) {
            Look::Takes => true,
            Look::JustTried => {
                self.note_tried(*ix);
                false
            }
            Look::Fails(clauses) => {
                self.count(clauses);
                false
            }
        })
    }

    fn count(&mut self, clauses: ClauseSet) {
        clauses.iter().for_each(|clause| self.failing[clause.index()] += 1);
    }

    /// Draws until somebody takes the call: among those who do, each is as likely as the chance says. Where they are so
    /// few that no draw finds one, the members after the last one drawn are looked at.
    fn drawn(&mut self, tier: &Tier, chance: Chance) -> Option<Ix> {
        let mut last = None;
        for nth in 0..DRAWS_MAX {
            let ix = tier.lots.draw(number(self.fence, nth), chance)?;
            match self.look(ix) {
                Look::Takes => return Some(ix),
                Look::JustTried => self.note_tried(ix),
                Look::Fails(_) => {}
            }
            last = Some(ix);
        }
        let key = last.and_then(|ix| self.key_of(ix))?;
        self.first(tier.after(&key))
    }

    fn key_of(&self, ix: Ix) -> Option<ReadyKey> {
        let agent = self.account.agents.get(ix)?;
        let membership = agent.membership(*self.account.queue_by_id.get(&self.queue.id)?)?;
        Some(self.queue.settings.strategy.key(ix, &agent.id, membership, &Stood::of(agent)))
    }

    /// Every clause, with the time of this step: the index may be behind.
    fn look(&self, ix: Ix) -> Look {
        #[cfg(test)]
        tests::LOOKS.with(|looks| looks.set(looks.get() + 1));
        let fails = |clause| {
            let mut clauses = ClauseSet::EMPTY;
            clauses.insert(clause);
            Look::Fails(clauses)
        };
        let Some(agent) = self.account.agents.get(ix) else { return Look::Fails(ClauseSet::EMPTY) };
        let (clauses, _) = self.account.subject(agent, self.now).failing(OfferKind::Queue);
        if clauses != ClauseSet::EMPTY {
            Look::Fails(clauses)
        } else if !self.queue.settings.tags_held(&agent.entry.tags) {
            fails(Clause::Tags)
        } else if self.exclude.contains(&agent.id) || !self.account.suits(agent, self.call) {
            fails(Clause::Excluded)
        } else if self.call.is_some_and(|call| call.tried.contains(&agent.id)) {
            Look::JustTried
        } else {
            Look::Takes
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::agent::{AgentEntry, By};
    use crate::id::{AccountId, QueueId};
    use crate::input::{AgentEvent, Ask, EventInput, Input, QueueChoice, Reply, Verb, When};
    use crate::queue::QueueSettings;

    thread_local! {
        /// Members looked at.
        pub static LOOKS: Cell<usize> = const { Cell::new(0) };
    }

    const NOW: Time = Time::from_ms(1_000_000);

    fn say(account: &mut Account, input: Input) -> Reply {
        account.step(input, &By::SYSTEM, NOW).reply.unwrap()
    }

    fn floor(strategy: Strategy, agents: u32) -> Account {
        let mut account = Account::new(AccountId::parse("acc").unwrap(), 1);
        let settings = Box::new(QueueSettings { strategy, ..QueueSettings::default() });
        let queue = QueueId::parse("q").unwrap();
        say(&mut account, Input::PutQueue { queue: queue.clone(), settings });
        for n in 0..agents {
            let agent = AgentId::parse(&format!("a{n}")).unwrap();
            let entry = Box::new(AgentEntry { sip_endpoint: true, ..AgentEntry::default() });
            say(&mut account, Input::PutAgent { agent: agent.clone(), entry });
            let queues = Some(vec![QueueChoice { queue: queue.clone(), tier: None, position: None }]);
            let event = AgentEvent::Login;
            let event =
                EventInput { agent, event, queues, create: false, expected_seq: None, when: When::Now };
            say(&mut account, Input::Event(event));
        }
        account
    }

    /// Members looked at to serve a call.
    fn looks(account: &mut Account, call: &str) -> usize {
        LOOKS.set(0);
        let call = CallId::parse(call).unwrap();
        let ask = Ask { call: call.clone(), offer: None, lease_ms: None, router: None };
        let queue = QueueId::parse("q").unwrap();
        let input = Input::ReserveQueue { queue, ask, exclude: Vec::new(), prefer: Vec::new() };
        let reply = say(account, input);
        let looks = LOOKS.get();
        let Reply::Granted { grant, .. } = reply else { panic!("{reply:?}") };
        let (offer, fence) = (grant.offer.offer_id.clone(), grant.offer.fence);
        say(account, Input::Offer { offer, fence, verb: Verb::Answer { leg: None } });
        say(account, Input::EndCall { call, agent: None, fence: None });
        looks
    }

    #[test]
    fn whoever_is_chosen_is_found_without_a_look_at_the_others() {
        for strategy in Strategy::ALL {
            let mut account = floor(strategy, 500);
            for n in 0..100 {
                let most = if strategy == Strategy::RingAll { GROUP_MAX } else { 1 };
                assert_eq!(looks(&mut account, &format!("k{n}")), most, "{strategy:?}");
            }
        }
    }
}
