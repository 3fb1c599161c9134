//! Who watches rows sees the account: what a step says it touched is what changed, and nothing else.

#![cfg(test)]

mod common;

use std::collections::BTreeMap;

use common::commands::{Driver, life};
use common::{
    World, agent_id, at, event, event_with, put_agent, put_queue, queue_id, reserve_from, sales, tag_id,
};
use proptest::prelude::*;
use ringfence_core::agent::AgentEntry;
use ringfence_core::input::{AgentEvent, Reply};
use ringfence_core::queue::QueueSettings;
use ringfence_core::row::{AgentRow, QueueRow, View, row_hash};
use ringfence_core::{Account, AgentId, Input, Ix, QueueId, StepOutcome};

/// All rows of an account, `today` left out: it moves with closed intervals, outside `seq`.
#[derive(Debug, Clone, PartialEq, Default)]
struct Roster {
    agents: BTreeMap<AgentId, AgentRow>,
    queues: BTreeMap<QueueId, QueueRow>,
}

impl Roster {
    fn of(account: &Account) -> Self {
        let without_today = |row: AgentRow| AgentRow { today: None, ..row };
        let rows = account.agents().map(|(_, agent)| without_today(account.agent_row(agent)));
        Self {
            agents: rows.map(|row| (row.agent_id.clone(), row)).collect(),
            queues: account.queue_rows().into_iter().map(|row| (row.queue_id.clone(), row)).collect(),
        }
    }

    /// What a subscriber does with what a step is said to have touched.
    fn apply(&mut self, account: &Account, outcome: &StepOutcome) {
        let touched = &outcome.touched;
        touched.agents_removed.iter().for_each(|id| drop(self.agents.remove(id)));
        touched.queues_removed.iter().for_each(|id| drop(self.queues.remove(id)));
        for ix in touched.agents.iter() {
            let row = account.row_at(ix).expect("a touched row is there");
            self.agents.insert(row.agent_id.clone(), AgentRow { today: None, ..row });
        }
        for ix in touched.queues.iter() {
            let row = account.queue_row_at(ix).expect("a touched row is there");
            self.queues.insert(row.queue_id.clone(), row);
        }
    }

    fn hash(&self) -> u32 {
        let agents = self.agents.values().map(|row| row_hash(row.agent_id.as_str(), row.seq));
        agents.fold(0, |hash, row| hash ^ row)
    }
}

fn touched_is_exactly_what_changed(before: &Roster, account: &Account, outcome: &StepOutcome) {
    let after = Roster::of(account);
    let seq = account.seq();
    let mut seen = before.clone();
    seen.apply(account, outcome);
    assert_eq!(seen, after, "view and deltas are the state");
    assert_eq!(seen.hash(), after.hash());
    let agent = |ix: Ix| account.row_at(ix).unwrap();
    for row in outcome.touched.agents.iter().map(agent) {
        assert_ne!(before.agents.get(&row.agent_id), after.agents.get(&row.agent_id), "touched for nothing");
        assert_eq!(row.seq, seq, "a touched row carries the record's seq");
    }
    for ix in outcome.touched.queues.iter() {
        let row = account.queue_row_at(ix).unwrap();
        assert_ne!(before.queues.get(&row.queue_id), after.queues.get(&row.queue_id), "touched for nothing");
        assert_eq!(row.seq, seq);
    }
    for (id, row) in &after.agents {
        let old = before.agents.get(id);
        let content = |row: &AgentRow| (row.directory.clone(), row.live.clone());
        let moved = old.is_none_or(|old| content(old) != content(row));
        assert!(!moved || row.seq == seq, "what changed has the record's seq: {id:?}");
        assert!(old.is_none_or(|old| old.seq <= row.seq), "a row's seq never falls");
    }
}

/// A row that says nothing new but for who said it is a delta nobody needs.
fn no_row_changes_in_seq_alone(before: &Roster, account: &Account, outcome: &StepOutcome) {
    for ix in outcome.touched.agents.iter() {
        let row = account.row_at(ix).unwrap();
        let Some(old) = before.agents.get(&row.agent_id) else { continue };
        let news = old.directory != row.directory || old.live != row.live;
        assert!(
            news || is_hidden(outcome),
            "{:?} changed in nothing but its seq: {:?}",
            row.agent_id,
            outcome.record
        );
    }
}

/// The exceptions: what an entry holds and no row shows (addresses, ring method), and a call that comes and goes within
/// one input.
fn is_hidden(outcome: &StepOutcome) -> bool {
    use ringfence_core::fact::Change;
    let facts = || outcome.record.iter().flat_map(|record| &record.facts);
    let began = facts().any(|fact| matches!(fact.change, Change::ExternalBegan { .. }));
    let over = facts().any(|fact| matches!(fact.change, Change::ExternalOver { .. }));
    // Of two things that are to come a row shows the first.
    let hidden = |change: &Change| {
        matches!(change, Change::AgentPut { .. } | Change::PendingSet { .. } | Change::ClockLogoutSet { .. })
    };
    began && over || facts().any(|fact| hidden(&fact.change))
}

proptest! {
    #![proptest_config(common::cases(96))]

    #[test]
    fn what_a_step_touched_is_what_changed(life in life(120)) {
        let mut driver = Driver::new();
        for (pass, cmd) in &life {
            driver.pass(*pass);
            let before = Roster::of(&driver.world.account);
            let outcome = driver.step(cmd);
            touched_is_exactly_what_changed(&before, &driver.world.account, &outcome);
            no_row_changes_in_seq_alone(&before, &driver.world.account, &outcome);
        }
    }

    #[test]
    fn an_answer_shows_the_row_as_it_stands_after_the_step(life in life(80)) {
        let mut driver = Driver::new();
        for (pass, cmd) in &life {
            driver.pass(*pass);
            let outcome = driver.step(cmd);
            if let Ok(Reply::Agent { row, .. }) = &outcome.reply {
                let now = driver.world.account.row(&row.agent_id);
                prop_assert_eq!(Some(&**row), now.as_ref());
            }
        }
    }
}

#[test]
fn a_directory_change_moves_the_directory_seq_and_a_live_one_does_not() {
    let mut world = sales(&["100"]);
    let ix = world.account.agents().next().unwrap().0;
    let seqs = |world: &World| (world.account.directory_seq_at(ix), world.account.row_at(ix).unwrap().seq);
    let (directory, _) = seqs(&world);
    world.must(event("100", AgentEvent::Logout));
    let (left_queue, row) = seqs(&world);
    assert!(left_queue > directory && left_queue == row, "memberships are part of the directory fragment");
    world.must(event("100", AgentEvent::Login));
    assert_eq!(seqs(&world), (left_queue, row + 1));
    world.must(put_agent("100", AgentEntry { name: Some("Ann".to_owned()), ..common::entry("100") }));
    assert_eq!(seqs(&world), (row + 2, row + 2));
}

#[test]
fn a_queues_row_changes_with_its_ready_agents_and_its_settings_only() {
    let mut world = sales(&["100", "101"]);
    let row = |world: &World| world.account.queue_rows().remove(0);
    assert_eq!((row(&world).ready, row(&world).seq), (2, world.account.seq()), "the second login");
    let outcome = world.must(reserve_from("q", "k1", "o1"));
    assert_eq!((row(&world).ready, outcome.touched.queues.len()), (1, 1));
    // Who rings is as little ready as who is on break.
    let outcome = world.must(event("100", AgentEvent::Pause { reason: None }));
    assert!(outcome.touched.queues.is_empty());
    assert_eq!(world.must(event_with("101", AgentEvent::Login, &[])).touched.queues.len(), 1);
    assert_eq!(row(&world).ready, 0);
    world.must(put_queue("q", QueueSettings { wrap_up_sec: Some(1), ..QueueSettings::default() }));
    assert_eq!(row(&world).seq, world.account.seq());
}

#[test]
fn a_view_holds_the_rows_it_names() {
    let mut world = sales(&["100", "101"]);
    world.must(put_agent("101", AgentEntry { tags: vec![tag_id("vip")], ..common::entry("101") }));
    world.must(event_with("100", AgentEvent::Login, &["p"]));
    let held = |view: &View| -> Vec<String> {
        let rows = world.account.agents().map(|(_, agent)| world.account.agent_row(agent));
        rows.filter(|row| view.holds(row)).map(|row| row.agent_id.to_string()).collect()
    };
    assert_eq!(held(&View::Account), ["100", "101"]);
    assert_eq!(held(&View::Queue(queue_id("q"))), ["101"]);
    assert_eq!(held(&View::Queue(queue_id("p"))), ["100"]);
    assert_eq!(held(&View::Tag(tag_id("vip"))), ["101"]);
    assert_eq!(held(&View::Agent(agent_id("100"))), ["100"]);
    let queues = |view: &View| world.account.queue_rows().iter().filter(|row| view.holds_queue(row)).count();
    assert_eq!((queues(&View::Account), queues(&View::Queue(queue_id("q")))), (2, 1));
    assert_eq!(queues(&View::Tag(tag_id("vip"))), 0);
}

#[test]
fn the_hash_of_a_row_moves_with_its_seq_and_its_id() {
    // FNV-1a, 32 bits, computed elsewhere: "1001:7" and "1002:12".
    assert_eq!(row_hash("1001", 7), fnv(b"1001:7"));
    assert_eq!(row_hash("1002", u64::MAX), fnv(b"1002:18446744073709551615"));
    let mut world = sales(&["100", "101"]);
    let first = Roster::of(&world.account).hash();
    world.now = at(1);
    world.must(event("100", AgentEvent::Logout));
    assert_ne!(Roster::of(&world.account).hash(), first);
    assert!(world.step(Input::Tick).record.is_none());
}

fn fnv(bytes: &[u8]) -> u32 {
    let mut hash = 2_166_136_261_u32;
    for byte in bytes {
        hash = (hash ^ u32::from(*byte)).wrapping_mul(16_777_619);
    }
    hash
}
