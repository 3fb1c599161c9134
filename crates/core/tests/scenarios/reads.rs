//! Commands for a row their caller saw, and what was written, read back.

use ringfence_core::input::{AgentEvent, PauseReason, READ_MAX, ReadEntry, ReadQueue, Verb};
use ringfence_core::queue::QueueSettings;
use ringfence_core::{Input, Refusal, Reply};

use crate::common::{
    World, agent_id, call_id, end_call, end_leg, entry, event, offer_id, put_agent, put_queue, queue_id,
    reason, reserve, reserve_for, reserve_from, sales, verb_answer,
};

fn expecting(seq: u64, input: Input) -> Input {
    Input::Expecting { seq, input: Box::new(input) }
}

fn agent_seq(world: &World, agent: &str) -> u64 {
    world.account.agent(&agent_id(agent)).unwrap().seq
}

fn queue_seq(world: &World, queue: &str) -> u64 {
    world.account.queue(&queue_id(queue)).unwrap().seq
}

/// The step on the offer with its own token.
fn step_on(world: &World, offer: &str, verb: Verb) -> Input {
    let id = offer_id(offer);
    let fence = world.account.offer(&id).unwrap().offer.fence;
    Input::Offer { offer: id, fence, verb }
}

/// Refused at any other seq, naming both and changing nothing; done at its own.
fn holds_only_at(world: &mut World, found: u64, input: &Input) {
    for expected in [found - 1, found + 1] {
        let outcome = world.step(expecting(expected, input.clone()));
        assert_eq!(outcome.reply, Err(Refusal::SeqMismatch { expected, found }), "{input:?}");
        assert_eq!(outcome.record, None, "{input:?}");
    }
    let outcome = world.step(expecting(found, input.clone()));
    assert!(outcome.reply.is_ok() && outcome.record.is_some(), "{input:?}: {:?}", outcome.reply);
}

#[test]
fn a_command_that_expects_a_row_holds_for_that_row_alone() {
    let mut world = sales(&["100", "101"]);
    let seq = agent_seq(&world, "100");
    holds_only_at(&mut world, seq, &reserve_for("100", "q", "k1", "o1"));
    for verb in [
        Verb::Extend { lease_ms: 9_000 },
        Verb::Ringing { leg: Some(call_id("leg")) },
        Verb::Answer { leg: None },
    ] {
        let (seq, input) = (agent_seq(&world, "100"), step_on(&world, "o1", verb));
        holds_only_at(&mut world, seq, &input);
    }
    let seq = agent_seq(&world, "100");
    holds_only_at(&mut world, seq, &end_leg("k1", "100"));
    let seq = agent_seq(&world, "100");
    holds_only_at(&mut world, seq, &event("100", AgentEvent::EndWrapUp));
    let seq = queue_seq(&world, "q");
    holds_only_at(&mut world, seq, &reserve_from("q", "k2", "o2"));
    let seq = agent_seq(&world, "101");
    holds_only_at(
        &mut world,
        seq,
        &put_agent("101", ringfence_core::agent::AgentEntry { capacity: 2, ..entry("101") }),
    );
    let seq = queue_seq(&world, "q");
    holds_only_at(
        &mut world,
        seq,
        &put_queue("q", QueueSettings { max_no_answer: 1, ..QueueSettings::default() }),
    );
}

#[test]
fn what_repeats_a_step_or_is_refused_anyway_is_answered_as_without_an_expectation() {
    let mut world = sales(&["100"]);
    world.must(reserve_from("q", "k1", "o1"));
    let again = world.step(expecting(1, reserve_from("q", "k1", "o1"))).reply;
    assert!(matches!(again, Ok(Reply::Granted { changed: false, .. })), "{again:?}");
    verb_answer(&mut world, "o1");
    let again = step_on(&world, "o1", Verb::Answer { leg: None });
    let again = world.step(expecting(1, again)).reply;
    assert!(matches!(again, Ok(Reply::Granted { changed: false, .. })), "{again:?}");
    let late = step_on(&world, "o1", Verb::Reject);
    assert!(matches!(world.step(expecting(1, late)).reply, Err(Refusal::OfferEnded { .. })));
    world.must(end_leg("k1", "100"));
    let over = Ok(Reply::Ended { agents: vec![agent_id("100")], changed: false });
    assert_eq!(world.step(expecting(1, end_leg("k1", "100"))).reply, over);
    let unknown = world.step(expecting(1, reserve("nobody", "k3", ""))).reply;
    assert_eq!(unknown, Err(Refusal::UnknownAgent { agent: agent_id("nobody") }));
    let call = world.step(expecting(1, end_call("k1"))).reply;
    assert!(matches!(call, Err(Refusal::Invalid { field: "expected_seq", .. })), "{call:?}");
}

#[test]
fn the_end_of_a_call_names_whom_it_ended_for() {
    let mut world = sales(&["100", "101", "102"]);
    for (agent, offer) in [("101", "o1"), ("100", "o2")] {
        world.must(reserve(agent, "k1", offer));
        verb_answer(&mut world, offer);
    }
    world.must(reserve("102", "k1", "o3"));
    let ended = |agents: &[&str], changed| {
        Ok(Reply::Ended { agents: agents.iter().map(|id| agent_id(id)).collect(), changed })
    };
    assert_eq!(world.step(end_leg("k1", "100")).reply, ended(&["100"], true));
    assert_eq!(world.step(end_call("k1")).reply, ended(&["101", "102"], true));
    assert_eq!(world.step(end_call("k1")).reply, ended(&[], false));
}

#[test]
fn what_was_written_is_read_back_with_what_it_is_now() {
    let mut world = sales(&["100"]);
    let settings =
        QueueSettings { name: Some("Sales".to_owned()), tier_wait_sec: 7, ..QueueSettings::default() };
    world.must(put_queue("q", settings.clone()));
    world.must(Input::PutReason(reason("lunch", true)));
    let before = world.account.seq();
    let agents = ["nobody", "100"].map(agent_id).to_vec();
    let row = world.account.row(&agent_id("100")).unwrap();
    let read = ReadEntry { row, entry: entry("100").into() };
    assert_eq!(world.must(Input::ReadEntries { agents }).reply, Ok(Reply::Entries(vec![read])));
    let Ok(Reply::Queues(read)) =
        world.must(Input::ReadQueues { queues: vec![queue_id("none"), queue_id("q")] }).reply
    else {
        panic!("no queues")
    };
    let row = world.account.queue_rows().remove(0);
    assert_eq!(read, [ReadQueue { row, settings, members: 1 }]);
    let Ok(Reply::Config(config)) = world.must(Input::ReadConfig).reply else { panic!("no configuration") };
    let reasons: Vec<PauseReason> = vec![reason("lunch", true)];
    assert_eq!((config.reasons, config.settings), (reasons, Default::default()));
    assert_eq!(world.account.seq(), before);
    let many = Input::ReadEntries { agents: vec![agent_id("100"); READ_MAX + 1] };
    assert!(matches!(world.step(many).reply, Err(Refusal::Limit { .. })));
}
