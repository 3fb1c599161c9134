//! The scenarios' one door: `check(given, when, then)`. `then` is everything that comes out, line by line: the answer,
//! the facts, and the agents whose bucket changed. What is not listed did not happen, or the check fails.

use std::collections::BTreeMap;

use ringfence_core::agent::{By, Role};
use ringfence_core::bucket::Bucket;
use ringfence_core::input::Verb;
use ringfence_core::offer::Fence;
use ringfence_core::{AgentId, Input};

use super::{World, at, by, offer_id, oracle, store, words};

/// What is said, and by whom.
pub enum Say {
    Input(Box<Input>, By),
    /// On an offer, with its own token.
    Verb(&'static str, Verb),
    /// On an offer, with a token that is not its own.
    Stale(&'static str, Verb),
}

/// At this many milliseconds.
pub struct When(u64, Say);

pub fn say(ms: u64, input: Input) -> When {
    When(ms, Say::Input(Box::new(input), by(Role::Api)))
}

pub fn say_by(ms: u64, role: Role, input: Input) -> When {
    When(ms, Say::Input(Box::new(input), by(role)))
}

pub fn verb(ms: u64, offer: &'static str, verb: Verb) -> When {
    When(ms, Say::Verb(offer, verb))
}

pub fn stale(ms: u64, offer: &'static str, verb: Verb) -> When {
    When(ms, Say::Stale(offer, verb))
}

pub fn tick(ms: u64) -> When {
    say(ms, Input::Tick)
}

/// Nothing but the answer of a read is of interest.
pub fn answer() -> Verb {
    Verb::Answer { leg: None }
}

pub fn check(given: World, when: Vec<When>, then: &[&str]) {
    let (_, said) = run(given, when);
    let expected: Vec<String> = then.iter().map(|line| (*line).to_owned()).collect();
    assert_eq!(said, expected, "\n got: {said:#?}");
}

/// The same, for tests that go on to look at the account.
pub fn run(mut world: World, when: Vec<When>) -> (World, Vec<String>) {
    let mut lines = Vec::new();
    for When(ms, say) in when {
        assert!(at(ms) >= world.now, "time does not run backwards");
        world.now = at(ms);
        lines.push(one(&mut world, say));
        oracle::check(&world.account, world.now);
    }
    store::check_replay(&world);
    (world, lines)
}

fn one(world: &mut World, say: Say) -> String {
    let buckets = buckets(world);
    let image = store::image_bytes(&world.account);
    let outcome = match say {
        Say::Input(input, by) => world.step_by(*input, &by),
        Say::Verb(offer, verb) => world.verb(offer, verb),
        Say::Stale(offer, verb) => {
            let id = offer_id(offer);
            let fence = world.account.offer(&id).expect("the offer is known").offer.fence;
            let fence = Fence { n: fence.n + 1, ..fence };
            world.step(Input::Offer { offer: id, fence, verb })
        }
    };
    if outcome.record.is_none() {
        assert!(store::image_bytes(&world.account) == image, "what writes no record changes nothing");
    }
    let facts: Vec<String> =
        outcome.record.iter().flat_map(|record| &record.facts).map(words::fact).collect();
    let now = self::buckets(world);
    let moved: Vec<String> = now
        .iter()
        .filter(|(id, bucket)| buckets.get(*id) != Some(*bucket))
        .map(|(id, bucket)| format!("{id}={}", bucket.as_str()))
        .collect();
    let mut line = words::reply(&outcome.reply);
    for part in [facts.join(", "), moved.join(" ")] {
        if !part.is_empty() {
            line = format!("{line} | {part}");
        }
    }
    line
}

fn buckets(world: &World) -> BTreeMap<AgentId, Bucket> {
    world.account.agents().map(|(_, agent)| (agent.id.clone(), agent.standing.bucket)).collect()
}
