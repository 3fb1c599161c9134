//! The reserve fence, exhaustively and through a real account: every combination of what its clauses look at, against a
//! predicate written from model.md §3.

#![cfg(test)]

mod common;

use common::{
    World, aor, ask, at, bindings, call_leg, contact, end_call, entry, event, event_with, explain, gone,
    oracle, pause, put_agent, put_queue, queue_id, reason, reserve, reserve_for, reserve_from, verb_answer,
    words,
};
use ringfence_core::agent::AgentEntry;
use ringfence_core::bucket::Bucket;
use ringfence_core::call::Direction;
use ringfence_core::feed::CallPhase;
use ringfence_core::fence::{Clause, PausedInbound};
use ringfence_core::input::{AccountSettings, AgentEvent, Reply, Verb};
use ringfence_core::queue::QueueSettings;
use ringfence_core::{Input, Refusal};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Wish {
    Offline,
    Available,
    Closed,
    Open,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Doing {
    Free,
    Offering,
    InCall,
    WrapUp,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    /// `reserve(agent)`
    Direct,
    /// `reserve(agent)` with a queue
    ForQueue,
    /// `reserve(queue)`
    Queue,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
struct Row {
    wish: Wish,
    inbound: PausedInbound,
    doing: Doing,
    reachable: bool,
    external: bool,
    cooldown: bool,
    member: bool,
    /// is_agent, active, voice.
    flags: [bool; 3],
    target: Target,
}

/// Every pair of values of every two flags is in here.
const FLAGS: [[bool; 3]; 4] =
    [[true, true, true], [true, false, false], [false, true, false], [false, false, true]];

fn rows(target: Target) -> Vec<Row> {
    let mut rows = Vec::new();
    for wish in [Wish::Offline, Wish::Available, Wish::Closed, Wish::Open] {
        for inbound in [PausedInbound::None, PausedInbound::Direct, PausedInbound::DirectAndQueue] {
            for doing in [Doing::Free, Doing::Offering, Doing::InCall, Doing::WrapUp] {
                for bits in 0_u32..16 {
                    for flags in FLAGS {
                        let bit = |n: u32| bits >> n & 1 == 1;
                        let (reachable, external, cooldown, member) = (bit(0), bit(1), bit(2), bit(3));
                        rows.push(Row {
                            wish,
                            inbound,
                            doing,
                            reachable,
                            external,
                            cooldown,
                            member,
                            flags,
                            target,
                        });
                    }
                }
            }
        }
    }
    rows
}

impl Row {
    fn wish_holds(&self, queue_offer: bool) -> bool {
        match self.wish {
            Wish::Available => true,
            Wish::Offline | Wish::Closed => false,
            Wish::Open if queue_offer => self.inbound == PausedInbound::DirectAndQueue,
            Wish::Open => self.inbound != PausedInbound::None,
        }
    }

    /// An offer does not outlive what it stands on: then the slot is free again.
    fn really_doing(&self) -> Doing {
        let rescinded = !self.wish_holds(true) || !self.reachable || self.external;
        if self.doing == Doing::Offering && rescinded { Doing::Free } else { self.doing }
    }

    /// The clauses that fail, in the order in which they are listed.
    fn failing(&self) -> Vec<&'static str> {
        let for_queue = self.target != Target::Direct;
        let doing = self.really_doing();
        let rows = [
            ("is_agent", self.flags[0]),
            ("active", self.flags[1]),
            ("voice", self.flags[2]),
            ("status", self.wish_holds(for_queue)),
            ("slot", doing != Doing::Offering && doing != Doing::InCall),
            ("reachable", self.reachable),
            ("external_call", !self.external),
            ("wrap_up", doing != Doing::WrapUp),
            ("cooldown", !self.cooldown),
            ("membership", !for_queue || self.member),
        ];
        rows.iter().filter(|(_, ok)| !ok).map(|(code, _)| *code).collect()
    }

    /// An account with the agent "100" as the row says, reached by inputs alone.
    fn world(&self) -> World {
        let mut world = World::default();
        world.must(Input::PutReason(reason("open", true)));
        world.must(put_queue("q", QueueSettings::default()));
        // Two slots, so that one offer can be rejected, for the cooldown, beside the one that stays.
        world.must(put_agent("100", AgentEntry { capacity: 2, ..entry("100") }));
        world.must(bindings(1, &aor("100"), vec![contact("c1", None)]));
        world.must(event_with("100", AgentEvent::Login, &["q"]));
        if self.doing != Doing::Free {
            world.must(reserve_for("100", "q", "k1", "o1"));
        }
        if self.cooldown {
            world.must(reserve_for("100", "q", "k2", "o2"));
            world.verb("o2", Verb::Reject);
        }
        match self.doing {
            Doing::Free | Doing::Offering => {}
            Doing::InCall => verb_answer(&mut world, "o1"),
            Doing::WrapUp => {
                verb_answer(&mut world, "o1");
                world.must(end_call("k1"));
            }
        }
        let [is_agent, active, voice] = self.flags;
        world.must(put_agent("100", AgentEntry { is_agent, active, voice, ..entry("100") }));
        self.turn(&mut world);
        world.now = at(1);
        oracle::check(&world.account, world.now);
        world
    }

    fn turn(&self, world: &mut World) {
        world.must(Input::SetSettings(AccountSettings {
            paused_inbound: self.inbound,
            ..AccountSettings::default()
        }));
        match self.wish {
            Wish::Available => {}
            Wish::Offline => {
                world.must(event("100", AgentEvent::Logout));
            }
            Wish::Closed => {
                world.must(pause("100", ""));
            }
            Wish::Open => {
                world.must(pause("100", "open"));
            }
        }
        if !self.reachable {
            world.must(gone(2, &aor("100"), "c1"));
        }
        if self.external {
            world.must(call_leg(3, CallPhase::Start, "100", "ext", Direction::Outbound));
        }
        // An event that by itself changes nothing, to carry the queues past a logout.
        let queues: &[&str] = if self.member { &["q"] } else { &[] };
        world.must(event_with("100", AgentEvent::ExtendWrapUp { sec: 0 }, queues));
    }

    fn reserve(&self) -> Input {
        match self.target {
            Target::Direct => reserve("100", "new", "o9"),
            Target::ForQueue => reserve_for("100", "q", "new", "o9"),
            Target::Queue => reserve_from("q", "new", "o9"),
        }
    }

    fn check(&self) {
        let mut world = self.world();
        let failing = self.failing();
        self.explain_says_so(&mut world, &failing);
        let agent = world.account.agent(&common::agent_id("100")).unwrap();
        let for_queue = Row { target: Target::ForQueue, ..*self };
        // A break that lets queue offers through is still shown as a break.
        let ready = self.member && for_queue.failing().is_empty() && self.wish == Wish::Available;
        assert_eq!(
            agent.standing.bucket == Bucket::Ready,
            ready,
            "ready iff offerable and in a queue: {self:?}"
        );
        let outcome = world.step(self.reserve());
        match outcome.reply {
            Ok(Reply::Granted { grant, changed: true }) => {
                assert!(failing.is_empty(), "F5: granted while {failing:?} fails: {self:?}");
                assert_eq!(grant.offer.agent_id, common::agent_id("100"));
                assert_eq!(world.account.agent(&common::agent_id("100")).unwrap().busy(), 1);
            }
            Err(refusal) => {
                assert!(!failing.is_empty(), "refused for nothing: {refusal:?} {self:?}");
                assert!(outcome.record.is_none(), "a refusal writes nothing: {self:?}");
                self.refusal_names(&refusal, &failing);
            }
            Ok(other) => panic!("{other:?}: {self:?}"),
        }
    }

    fn explain_says_so(&self, world: &mut World, failing: &[&'static str]) {
        let queue = (self.target != Target::Direct).then_some("q");
        let outcome = world.step(explain("100", queue));
        assert!(outcome.record.is_none());
        let Ok(Reply::Explained(explained)) = outcome.reply else { panic!("explain: {:?}", outcome.reply) };
        assert_eq!(words::failing(&explained.checks), failing.join(" "), "{self:?}");
        assert_eq!(explained.offerable, failing.is_empty(), "{self:?}");
        let expected = if queue.is_some() { Clause::ALL.len() } else { Clause::ALL.len() - 4 };
        let listed: Vec<Clause> = explained.checks.iter().map(|check| check.clause).collect();
        assert_eq!(listed, Clause::ALL[..expected], "every clause is listed, in order");
        let direct = Row { target: Target::Direct, ..*self };
        assert_eq!(explained.may_receive_direct, direct.failing().is_empty(), "{self:?}");
        assert_eq!(explained.may_place, self.wish != Wish::Offline, "{self:?}");
    }

    fn refusal_names(&self, refusal: &Refusal, failing: &[&'static str]) {
        let codes: Vec<&str> = if self.target == Target::Queue {
            let Refusal::NoAgent { queue, members, failing, .. } = refusal else {
                panic!("{refusal:?}: {self:?}")
            };
            assert_eq!((queue, *members), (&queue_id("q"), u32::from(self.member)));
            assert!(failing.iter().all(|(_, count)| *count == 1));
            failing.iter().map(|(clause, _)| clause.as_str()).collect()
        } else {
            let Refusal::NotOfferable { checks, .. } = refusal else { panic!("{refusal:?}: {self:?}") };
            checks.iter().filter(|check| !check.ok).map(|check| check.clause.as_str()).collect()
        };
        // Who is no member is not counted in the queue's refusal at all.
        let expected = if self.target == Target::Queue && !self.member { &[] } else { failing };
        assert_eq!(codes, expected, "{self:?}");
    }
}

#[test]
fn a_direct_offer_is_granted_iff_the_predicate_holds() {
    rows(Target::Direct).iter().for_each(Row::check);
}

#[test]
fn a_queue_offer_to_a_named_agent_is_granted_iff_the_predicate_holds() {
    rows(Target::ForQueue).iter().for_each(Row::check);
}

#[test]
fn a_queue_is_granted_an_agent_iff_the_predicate_holds() {
    rows(Target::Queue).iter().for_each(Row::check);
}

#[test]
fn a_deadline_lets_the_agent_through_at_its_moment_and_not_before() {
    for (doing, cooldown, over) in [(Doing::WrapUp, false, 10_000), (Doing::Free, true, 5_000)] {
        for (now, granted) in [(over - 1, false), (over, true)] {
            for target in [Target::Direct, Target::ForQueue, Target::Queue] {
                let row = Row {
                    wish: Wish::Available,
                    inbound: PausedInbound::Direct,
                    doing,
                    reachable: true,
                    external: false,
                    cooldown,
                    member: true,
                    flags: [true; 3],
                    target,
                };
                let mut world = row.world();
                world.now = at(now);
                let outcome = world.step(row.reserve());
                assert_eq!(outcome.reply.is_ok(), granted, "{doing:?} {now} {target:?}");
            }
        }
    }
}

#[test]
fn a_refusal_says_until_when_where_that_is_known() {
    let row = Row {
        wish: Wish::Available,
        inbound: PausedInbound::Direct,
        doing: Doing::WrapUp,
        reachable: true,
        external: false,
        cooldown: true,
        member: true,
        flags: [true; 3],
        target: Target::Queue,
    };
    let mut world = row.world();
    let Err(Refusal::NoAgent { earliest, .. }) = world.step(row.reserve()).reply else { panic!("granted") };
    assert_eq!(earliest, Some(at(10_000)), "the later of wrap-up and cooldown");
    let Err(Refusal::NotOfferable { checks, .. }) = world.step(reserve("100", "new", "o9")).reply else {
        panic!("granted")
    };
    let until = |clause| checks.iter().find(|check| check.clause == clause).unwrap().until;
    assert_eq!(until(Clause::WrapUp), Some(at(10_000)));
    assert_eq!(until(Clause::Cooldown), Some(at(5_000)));
    assert_eq!(until(Clause::Status), None);
}

#[test]
fn nobody_and_nothing_is_refused_by_name() {
    let mut world = World::default();
    let ask = ask("k1", "o1");
    let refused = |reply: &Result<Reply, Refusal>| reply.as_ref().unwrap_err().code();
    assert_eq!(refused(&world.step(reserve("100", "k1", "o1")).reply), "unknown_agent");
    assert_eq!(refused(&world.step(reserve_from("q", "k1", "o1")).reply), "unknown_queue");
    assert_eq!(refused(&world.step(explain("100", None)).reply), "unknown_agent");
    world.ready("100", &[]);
    assert_eq!(refused(&world.step(reserve_for("100", "q", "k1", "o1")).reply), "unknown_queue");
    assert_eq!(refused(&world.step(explain("100", Some("q"))).reply), "unknown_queue");
    for lease_ms in [0, 999, 120_001] {
        let ask = ringfence_core::input::Ask { lease_ms: Some(lease_ms), ..ask.clone() };
        let input = Input::ReserveAgent { agent: common::agent_id("100"), queue: None, ask };
        assert_eq!(refused(&world.step(input).reply), "invalid", "{lease_ms}");
    }
}
