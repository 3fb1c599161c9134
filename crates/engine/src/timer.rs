//! One timer for all accounts: it holds each one's earliest deadline and sends a tick when that is due. A deadline that
//! moved on meanwhile costs one tick that finds nothing due.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use ringfence_core::{AccountId, Time};
use tokio::sync::Notify;

use crate::cell::Cell;
use crate::shared::Shared;

/// Longest sleep: a clock that is slewed or moved by hand is looked at again this often.
const LOOK_AGAIN: Duration = Duration::from_millis(1_000);
/// The same where the clock is moved by hand.
const LOOK_AGAIN_MANUAL: Duration = Duration::from_millis(1);

#[derive(Default)]
pub(crate) struct Timer {
    due: Mutex<BTreeSet<(Time, AccountId)>>,
    earlier: Notify,
}

impl Timer {
    /// Notes the account's earliest deadline, if that is earlier than what is noted.
    pub fn arm(&self, cell: &Cell, at: Time) {
        let before = cell.armed.fetch_min(at.ms(), Ordering::AcqRel);
        if at.ms() >= before {
            return;
        }
        let first = {
            let mut due = self.due.lock();
            if before != u64::MAX {
                due.remove(&(Time::from_ms(before), cell.id.clone()));
            }
            due.insert((at, cell.id.clone()));
            due.first().is_some_and(|(first, _)| *first == at)
        };
        if first {
            self.earlier.notify_one();
        }
    }

    fn take_due(&self, now: Time) -> Vec<AccountId> {
        let mut due = self.due.lock();
        let later = due.split_off(&(now.plus_ms(1), first_id()));
        std::mem::replace(&mut *due, later).into_iter().map(|(_, id)| id).collect()
    }

    fn next(&self) -> Option<Time> {
        self.due.lock().first().map(|(at, _)| *at)
    }
}

/// Smaller than every id there is.
fn first_id() -> AccountId {
    AccountId::smallest()
}

/// Runs until the engine stops.
pub(crate) async fn run(shared: Arc<Shared>) {
    while !shared.is_closed() {
        let now = shared.clock.now();
        for id in shared.timer.take_due(now) {
            if let Some(cell) = shared.cells.get(&id).map(|cell| Arc::clone(&cell)) {
                cell.armed.store(u64::MAX, Ordering::Release);
                shared.tick(&cell);
            }
        }
        let look_again = if shared.clock.is_manual() { LOOK_AGAIN_MANUAL } else { LOOK_AGAIN };
        let wait = shared
            .timer
            .next()
            .map_or(look_again, |at| Duration::from_millis(at.since(shared.clock.now())).min(look_again));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shared.timer.earlier.notified() => {}
            () = shared.closing.notified() => {}
        }
    }
}
