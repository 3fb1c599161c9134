//! Busy days of one queue: calls come, are answered and end, agents come and go, and now and then the strategy is changed.
//! Whoever is chosen is whom the naive reference chooses, who looks at everybody.

#![cfg(test)]

mod common;

use common::choice::{Candidate, Ranks};
use common::{
    World, agent_id, end_call, entry, event, event_with, pause, put_agent, put_queue, reserve_from, store,
};
use proptest::prelude::*;
use ringfence_core::agent::AgentEntry;
use ringfence_core::fence::ClauseSet;
use ringfence_core::input::{AgentEvent, Reply, Verb};
use ringfence_core::offer::Fence;
use ringfence_core::queue::{QueueSettings, Strategy as Choosing};
use ringfence_core::{AgentId, CallId, Input, OfferId, StepOutcome};

const AGENTS: u8 = 9;

#[derive(Debug, Clone)]
enum Act {
    Pass(u64),
    Reserve,
    /// The nth of the offers that ring.
    Answer(u8),
    Reject(u8),
    /// The nth of the calls that are talked in.
    End(u8),
    Pause(u8),
    Available(u8),
    /// Out, and in again with a place that may differ.
    LogIn(u8, u8),
    Capacity(u8, u16),
    Change(Choosing),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1_u64..5_000).prop_map(Act::Pass),
        8 => Just(Act::Reserve),
        6 => any::<u8>().prop_map(Act::Answer),
        1 => any::<u8>().prop_map(Act::Reject),
        6 => any::<u8>().prop_map(Act::End),
        1 => (0..AGENTS).prop_map(Act::Pause),
        2 => (0..AGENTS).prop_map(Act::Available),
        1 => (0..AGENTS, 0..6_u8).prop_map(|(agent, place)| Act::LogIn(agent, place)),
        1 => (0..AGENTS, 1..4_u16).prop_map(|(agent, capacity)| Act::Capacity(agent, capacity)),
        1 => prop::sample::select(Choosing::ALL.to_vec()).prop_map(Act::Change),
    ]
}

struct Day {
    world: World,
    ranks: Ranks,
    calls: u32,
    ringing: Vec<(OfferId, Fence)>,
    talking: Vec<CallId>,
    choices: u32,
}

fn settings(strategy: Choosing) -> QueueSettings {
    QueueSettings { strategy, wrap_up_sec: Some(0), reject_cooldown_sec: 0, ..QueueSettings::default() }
}

fn name(agent: u8) -> String {
    (100 + u32::from(agent)).to_string()
}

/// Two tiers, some of the same position.
fn place(n: u8) -> String {
    format!("q/{}/{}", n % 2, n % 3)
}

impl Day {
    fn begin(strategy: Choosing) -> Self {
        let (world, ranks) = (World::default(), Ranks::default());
        let mut day = Self { world, ranks, calls: 0, ringing: Vec::new(), talking: Vec::new(), choices: 0 };
        day.say(put_queue("q", settings(strategy)));
        for agent in 0..AGENTS {
            day.say(put_agent(&name(agent), entry(&name(agent))));
            day.world.register(&name(agent));
            day.say(event_with(&name(agent), AgentEvent::Login, &[&place(agent)]));
        }
        day
    }

    fn say(&mut self, input: Input) -> StepOutcome {
        let outcome = self.world.step(input);
        for fact in outcome.record.iter().flat_map(|record| &record.facts) {
            self.ranks.take_in(fact, self.world.now, &self.world.account);
        }
        let account = &self.world.account;
        self.ringing.retain(|(id, _)| account.offer(id).is_some_and(|entry| entry.ended.is_none()));
        outcome
    }

    fn step(&mut self, act: &Act) {
        match act {
            Act::Pass(ms) => {
                self.world.now = self.world.now.plus_ms(*ms);
                self.say(Input::Tick);
            }
            Act::Reserve => self.reserve(),
            Act::Answer(nth) => {
                if let Some((offer, fence)) = nth_of(&self.ringing, *nth) {
                    self.talking.push(self.world.account.offer(&offer).unwrap().offer.call_id.clone());
                    self.say(Input::Offer { offer, fence, verb: Verb::Answer { leg: None } }).reply.unwrap();
                }
            }
            Act::Reject(nth) => {
                if let Some((offer, fence)) = nth_of(&self.ringing, *nth) {
                    self.say(Input::Offer { offer, fence, verb: Verb::Reject }).reply.unwrap();
                }
            }
            Act::End(nth) => {
                if let Some(call) = nth_of(&self.talking, *nth) {
                    self.talking.retain(|other| *other != call);
                    self.say(end_call(call.as_str()));
                }
            }
            Act::Pause(agent) => _ = self.say(pause(&name(*agent), "")),
            Act::Available(agent) => _ = self.say(event(&name(*agent), AgentEvent::Available)),
            Act::LogIn(agent, to) => {
                self.say(event(&name(*agent), AgentEvent::Logout));
                self.say(event_with(&name(*agent), AgentEvent::Login, &[&place(*to)]));
            }
            Act::Capacity(agent, capacity) => {
                let entry = AgentEntry { capacity: *capacity, ..entry(&name(*agent)) };
                self.say(put_agent(&name(*agent), entry));
            }
            Act::Change(strategy) => _ = self.say(put_queue("q", settings(*strategy))),
        }
    }

    /// A call nobody was tried for yet.
    fn reserve(&mut self) {
        self.calls += 1;
        let expected = self.expected();
        let call = format!("k{}", self.calls);
        match self.say(reserve_from("q", &call, &format!("o-{call}"))).reply {
            Ok(Reply::Granted { grant, .. }) => {
                let grants = std::iter::once(&grant).chain(&grant.group);
                let chosen: Vec<AgentId> = grants.clone().map(|g| g.offer.agent_id.clone()).collect();
                assert_eq!(chosen, expected);
                self.ringing.extend(grants.map(|g| (g.offer.offer_id.clone(), g.offer.fence)));
                self.choices += 1;
            }
            Err(refusal) => {
                assert_eq!(refusal.code(), "no_agent");
                assert_eq!(expected, [], "refused although somebody is ready");
            }
            Ok(other) => panic!("{other:?}"),
        }
    }

    fn expected(&self) -> Vec<AgentId> {
        let account = &self.world.account;
        let (queue_ix, queue) = account.queues().next().unwrap();
        let ready = account.agents().filter(|(_, agent)| agent.standing.failing == ClauseSet::EMPTY);
        let candidates: Vec<Candidate<'_>> = ready
            .filter_map(|(ix, agent)| {
                let membership = *agent.membership(queue_ix)?;
                Some(Candidate { ix, agent, membership, passes: true })
            })
            .collect();
        let (grants, now) = (account.grants(), self.world.now);
        self.ranks.choose(&queue.id, queue.settings.strategy, &candidates, grants, now)
    }
}

fn nth_of<T: Clone>(all: &[T], nth: u8) -> Option<T> {
    (!all.is_empty()).then(|| all[usize::from(nth) % all.len()].clone())
}

proptest! {
    #![proptest_config(common::cases(64))]

    #[test]
    fn on_a_busy_day_whoever_is_picked_is_the_naive_choice_of_the_strategy(
        acts in prop::collection::vec(act(), 150..250),
        checkpoint in 0..150_usize,
    ) {
        for strategy in Choosing::ALL {
            let mut day = Day::begin(strategy);
            for (n, act) in acts.iter().enumerate() {
                day.step(act);
                if n == checkpoint {
                    let mut disk = store::Disk::default();
                    disk.checkpoint(&mut day.world.account);
                    day.world.account = disk.restore();
                    day.say(Input::Tick);
                }
            }
            prop_assert!(day.choices > 0);
            store::check_replay(&day.world);
        }
    }
}

#[test]
fn a_tally_is_what_the_facts_add_up_to() {
    let mut day = Day::begin(Choosing::FewestCalls);
    for act in [Act::Reserve, Act::Answer(0), Act::Pass(70), Act::Reserve, Act::Answer(0), Act::End(0)] {
        day.step(&act);
    }
    let tallies = (0..AGENTS).map(|n| day.world.account.agent(&agent_id(&name(n))).unwrap().tally);
    let talked: Vec<(u32, u64)> = tallies.map(|t| (t.answered, t.talk_ms)).filter(|t| *t != (0, 0)).collect();
    assert_eq!(talked, [(1, 70), (1, 0)]);
}
