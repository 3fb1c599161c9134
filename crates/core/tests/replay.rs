//! The journal is the live run: replaying it, from the beginning or onto a snapshot, gives the same account (durability.md
//! D6), and that account goes on as the live one would have.

#![cfg(test)]

mod common;

use common::commands::{Cmd, Driver, Pass, life};
use common::{oracle, store};
use proptest::prelude::*;
use ringfence_core::agent::By;
use ringfence_core::{Account, Input};

proptest! {
    #![proptest_config(common::cases(96))]

    #[test]
    fn replaying_all_records_is_the_live_run_again(life in life(120)) {
        let mut driver = Driver::new();
        for (pass, cmd) in &life {
            driver.pass(*pass);
            driver.step(cmd);
        }
        store::check_replay(&driver.world);
    }

    #[test]
    fn a_snapshot_and_the_records_after_it_are_the_live_run_again(
        life in life(120),
        checkpoints in prop::collection::vec(any::<bool>(), 8),
    ) {
        let mut driver = Driver::new();
        let mut disk = store::Disk::default();
        let mut cut = checkpoint(&mut driver, &mut disk);
        for (n, (pass, cmd)) in life.iter().enumerate() {
            driver.pass(*pass);
            driver.step(cmd);
            // Between checkpoints pages change and vanish; each checkpoint writes only what did.
            if checkpoints[n % checkpoints.len()] && n % 3 == 0 {
                cut = checkpoint(&mut driver, &mut disk);
                store::assert_same_image(&driver.world.account, &disk.restore(), "pages are complete");
            }
        }
        let mut restored = restored(&driver, &disk, cut);
        store::assert_same_image(&driver.world.account, &restored, "D6: pages and tail are the full replay");
        prop_assert_eq!(restored.counts(), driver.world.account.counts());
        derived_state_is_found_again(&driver.world.account, &restored);
        restored.step(Input::Tick, &By::SYSTEM, driver.world.now);
        deadlines_are_armed_again(&restored);
    }

    /// Without leases nothing is soft: then not even what comes next may differ.
    #[test]
    fn a_restored_account_goes_on_as_the_live_one(before in life(60), after in life(40)) {
        let mut driver = Driver::new();
        let mut disk = store::Disk::default();
        let mut cut = checkpoint(&mut driver, &mut disk);
        for (n, (pass, cmd)) in before.iter().filter(|(_, cmd)| is_firm(cmd)).enumerate() {
            driver.pass(*pass);
            driver.step(cmd);
            if n == 20 {
                cut = checkpoint(&mut driver, &mut disk);
            }
        }
        let mut restored = restored(&driver, &disk, cut);
        let mut replayed = store::replayed(&driver.world.journal);
        for (pass, cmd) in after.iter().filter(|(_, cmd)| is_firm(cmd)) {
            driver.pass(*pass);
            let (input, by) = driver.input(cmd);
            let now = driver.world.now;
            let live = driver.world.step_by(input.clone(), &by);
            for other in [&mut restored, &mut replayed] {
                let again = other.step(input.clone(), &by, now);
                let same = store::encode(&again.record) == store::encode(&live.record);
                prop_assert!(same, "{:?}\n{:?}", again.record, live.record);
                prop_assert_eq!(&again.reply, &live.reply);
                prop_assert_eq!(&again.touched, &live.touched);
            }
        }
        store::assert_same_image(&driver.world.account, &restored, "both went the same way");
        store::assert_same_image(&driver.world.account, &replayed, "all three did");
    }
}

fn checkpoint(driver: &mut Driver, disk: &mut store::Disk) -> usize {
    disk.checkpoint(&mut driver.world.account);
    driver.world.journal.len()
}

fn restored(driver: &Driver, disk: &store::Disk, cut: usize) -> Account {
    let mut account = disk.restore();
    for record in &driver.world.journal[cut..] {
        account.replay(&store::decode(&store::encode(record)));
    }
    account
}

/// Commands that leave no soft state: contacts are held, no grace is under way.
fn is_firm(cmd: &Cmd) -> bool {
    use common::commands::SaidWhat;
    match cmd {
        Cmd::Settings { grace_ms, .. } => *grace_ms == 0,
        Cmd::Feed(said) => said.iter().all(|said| match &said.what {
            SaidWhat::Bindings(contacts) => {
                said.back == 0 && contacts.iter().all(|(_, lease)| lease.is_none())
            }
            // One that says nothing new leaves its stamp behind, and nothing else.
            SaidWhat::Qualify(..) => said.back == 0,
            SaidWhat::Gone(_) | SaidWhat::Call { .. } => said.back == 0,
        }),
        Cmd::Tick
        | Cmd::Rearm
        | Cmd::Event { .. }
        | Cmd::Pause { .. }
        | Cmd::ReserveAgent { .. }
        | Cmd::ReserveQueue { .. }
        | Cmd::Verb { .. }
        | Cmd::EndCall { .. }
        | Cmd::PutAgent { .. }
        | Cmd::PutQueue { .. }
        | Cmd::RemoveAgent { .. }
        | Cmd::RemoveQueue { .. }
        | Cmd::Wish(_)
        | Cmd::Explain { .. } => true,
    }
}

/// Indexes, counts and deadlines stand in no page. Soft leases end later than the live ones did, up to the stored pad, so
/// only what is not about phones can be compared outright.
fn derived_state_is_found_again(live: &Account, restored: &Account) {
    for ((_, left), (_, right)) in live.queues().zip(restored.queues()) {
        assert_eq!((&left.id, left.ready_count()), (&right.id, right.ready_count()));
    }
    for (_, agent) in live.agents() {
        assert_eq!(live.row(&agent.id), restored.row(&agent.id));
    }
    assert_eq!(live.tombstones().collect::<Vec<_>>(), restored.tombstones().collect::<Vec<_>>());
}

/// Whatever has an end is armed for it, once what a restart leaves due at once has been looked at.
fn deadlines_are_armed_again(restored: &Account) {
    let ends = restored.agents().flat_map(|(_, agent)| {
        let wrap_ups = agent.wrap_ups().map(|wrap_up| wrap_up.until);
        let calls = agent.calls().map(|call| call.until).chain(agent.external.iter().map(|call| call.until));
        let offers = agent.live_offers().filter_map(|id| Some(restored.offer(id)?.offer.expires_at));
        let logout = agent.clock_logout.as_ref().filter(|logout| !logout.due).map(|logout| logout.at);
        wrap_ups.chain(calls).chain(offers).chain(agent.cooldown_until).chain(logout)
    });
    if let Some(first) = ends.min() {
        assert!(restored.next_deadline().is_some_and(|at| at <= first), "a deadline is lost");
    }
}

#[test]
fn after_a_restore_time_still_frees_everybody() {
    let mut driver = Driver::new();
    for (n, agent) in (0..5_u8).enumerate() {
        let ask = common::commands::Wanted { call: agent, offer: Some(agent), lease_ms: None };
        driver.step(&Cmd::ReserveQueue { queue: 0, ask, exclude: None, prefer: None });
        if n % 2 == 0 {
            let verb = ringfence_core::input::Verb::Answer { leg: None };
            driver.step(&Cmd::Verb { nth: 0, verb, own: true });
            driver.pass(Pass::Ms(10));
            driver.step(&Cmd::EndCall { call: agent, agent: None, token: None });
        } else if n == 1 {
            driver.step(&Cmd::Verb { nth: 0, verb: ringfence_core::input::Verb::Reject, own: true });
        }
    }
    let mut disk = store::Disk::default();
    disk.checkpoint(&mut driver.world.account);
    let mut restored = disk.restore();
    let mut now = driver.world.now;
    while let Some(due) = restored.next_deadline() {
        now = now.max(due);
        restored.step(Input::Tick, &By::SYSTEM, now);
        oracle::check(&restored, now);
    }
    for (_, agent) in restored.agents() {
        assert!(agent.slots.is_empty() && agent.cooldown_until.is_none(), "{:?} is stuck", agent.id);
    }
}
