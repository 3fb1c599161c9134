//! Who is connected, so that they can be told to go.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::bell::{Bell, Order};
use crate::auth::Principal;
use crate::state::App;

/// Connections of one key: one wallboard key may serve a whole centre, but not use up the server.
const CONNECTIONS_PER_KEY_MAX: usize = 16 * 1024;
/// How often every connected key is asked for: a revoked one's connections are closed within this.
const KEY_LOOK: Duration = Duration::from_secs(1);
/// Least time over which the clients of a drained server come back …
const SPREAD_MS_MIN: u64 = 5_000;
/// … and how many of them a second its successor is expected to take.
const SPREAD_CLIENTS_PER_SEC: u64 = 2_000;

/// The connections of a server.
#[derive(Default)]
pub(super) struct Roll {
    members: Mutex<Members>,
    left: Notify,
    draining: AtomicBool,
    watched: AtomicBool,
}

#[derive(Default)]
struct Members {
    next: u64,
    by_number: HashMap<u64, Member>,
    per_key: HashMap<Arc<str>, usize>,
}

struct Member {
    principal: Principal,
    bell: Arc<Bell>,
}

/// A connection is on the roll for as long as this lives.
pub(super) struct Enrolled {
    roll: Arc<Roll>,
    number: u64,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotEnrolled {
    Draining,
    TooManyOfKey,
}

impl Roll {
    pub(super) fn enroll(
        self: &Arc<Self>,
        principal: Principal,
        bell: &Arc<Bell>,
    ) -> Result<Enrolled, NotEnrolled> {
        let mut members = self.members.lock();
        // Looked at under the lock: whoever gets in before the drain is told by it.
        if self.draining() {
            return Err(NotEnrolled::Draining);
        }
        members.count_in(&principal)?;
        members.next += 1;
        let number = members.next;
        members.by_number.insert(number, Member { principal, bell: Arc::clone(bell) });
        Ok(Enrolled { roll: Arc::clone(self), number })
    }

    pub(super) fn draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Tells everybody to go, each with a window of its own to come back in, and waits until they have, at most `wait`.
    pub(super) async fn drain(&self, wait: Duration) {
        {
            let members = self.members.lock();
            self.draining.store(true, Ordering::Release);
            let count = members.by_number.len() as u64;
            let spread_ms = SPREAD_MS_MIN.max(count * 1_000 / SPREAD_CLIENTS_PER_SEC);
            for (at, member) in members.by_number.values().enumerate() {
                let retry_ms = u32::try_from(spread_ms * at as u64 / count.max(1)).unwrap_or(u32::MAX);
                member.bell.order(Order::Drain { retry_ms });
            }
        }
        let all_left = async {
            loop {
                let left = self.left.notified();
                if self.members.lock().by_number.is_empty() {
                    return;
                }
                left.await;
            }
        };
        if timeout(wait, all_left).await.is_err() {
            let left = self.members.lock().by_number.len();
            tracing::warn!(
                connections = left,
                "streams were cut off: their clients did not take the goodbye in time"
            );
        }
    }

    /// Looks after the keys of all connections, once, for as long as the server lives.
    pub(super) fn watch_keys(self: &Arc<Self>, app: &Arc<App>) {
        if self.watched.swap(true, Ordering::AcqRel) {
            return;
        }
        let (roll, app): (Weak<Self>, Weak<App>) = (Arc::downgrade(self), Arc::downgrade(app));
        tokio::spawn(async move {
            let mut looks = interval(KEY_LOOK);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                looks.tick().await;
                let (Some(roll), Some(app)) = (roll.upgrade(), app.upgrade()) else { return };
                roll.turn_out(|principal| app.still_believes(principal));
            }
        });
    }

    /// Closes the connections whose key opens nothing any more. A key is asked for once, however many hold it.
    fn turn_out(&self, believed: impl Fn(&Principal) -> bool) {
        let mut keys: HashMap<Arc<str>, Principal> = HashMap::new();
        for member in self.members.lock().by_number.values() {
            keys.entry(Arc::clone(&member.principal.key_id)).or_insert_with(|| member.principal.clone());
        }
        keys.retain(|_, principal| !believed(principal));
        if keys.is_empty() {
            return;
        }
        for member in self.members.lock().by_number.values() {
            if keys.contains_key(&member.principal.key_id) {
                member.bell.order(Order::Revoked);
            }
        }
    }
}

impl Members {
    fn count_in(&mut self, principal: &Principal) -> Result<(), NotEnrolled> {
        let of_key = self.per_key.entry(Arc::clone(&principal.key_id)).or_default();
        if *of_key >= CONNECTIONS_PER_KEY_MAX {
            return Err(NotEnrolled::TooManyOfKey);
        }
        *of_key += 1;
        Ok(())
    }

    fn count_out(&mut self, principal: &Principal) {
        if let Some(of_key) = self.per_key.get_mut(&principal.key_id) {
            *of_key -= 1;
            if *of_key == 0 {
                self.per_key.remove(&principal.key_id);
            }
        }
    }
}

impl Enrolled {
    /// The connection goes on in another name.
    pub(super) fn rename(&self, principal: Principal) -> Result<(), NotEnrolled> {
        let mut members = self.roll.members.lock();
        members.count_in(&principal)?;
        let Some(member) = members.by_number.get_mut(&self.number) else { return Ok(()) };
        let before = std::mem::replace(&mut member.principal, principal);
        members.count_out(&before);
        Ok(())
    }
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        let mut members = self.roll.members.lock();
        if let Some(member) = members.by_number.remove(&self.number) {
            members.count_out(&member.principal);
        }
        drop(members);
        self.roll.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Scope, Scopes};

    fn principal(key: &str) -> Principal {
        Principal { key_id: Arc::from(key), account: None, scopes: Scopes::of([Scope::Wallboard]) }
    }

    #[tokio::test]
    async fn only_the_connections_of_a_revoked_key_are_turned_out() {
        let roll = Arc::new(Roll::default());
        let (kept, revoked) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
        let _one = roll.enroll(principal("a"), &kept).unwrap_or_else(|_| panic!("enrolled"));
        let two = roll.enroll(principal("a"), &revoked).unwrap_or_else(|_| panic!("enrolled"));
        assert_eq!(two.rename(principal("b")), Ok(()));
        roll.turn_out(|principal| &*principal.key_id != "b");
        assert_eq!(revoked.ordered().await, Order::Revoked);
        assert!(timeout(Duration::ZERO, kept.ordered()).await.is_err());
    }

    #[tokio::test]
    async fn a_drain_spreads_its_clients_and_waits_for_them() {
        let roll = Arc::new(Roll::default());
        let bells: Vec<_> = (0..4).map(|_| Arc::new(Bell::default())).collect();
        let enrolled: Vec<_> = bells.iter().map(|bell| roll.enroll(principal("a"), bell)).collect();
        let drained = tokio::spawn({
            let roll = Arc::clone(&roll);
            async move { roll.drain(Duration::from_secs(10)).await }
        });
        let mut windows = Vec::new();
        for bell in &bells {
            windows.push(bell.ordered().await);
        }
        windows.sort_by_key(|order| format!("{order:?}"));
        assert_eq!(windows, [0, 1_250, 2_500, 3_750].map(|retry_ms| Order::Drain { retry_ms }));
        assert!(matches!(roll.enroll(principal("a"), &bells[0]), Err(NotEnrolled::Draining)));
        assert!(!drained.is_finished());
        drop(enrolled);
        drained.await.unwrap();
    }

    #[test]
    fn a_key_has_no_more_connections_than_it_may() {
        let roll = Arc::new(Roll::default());
        let bell = Arc::new(Bell::default());
        let mut open: Vec<_> =
            (0..CONNECTIONS_PER_KEY_MAX).map(|_| roll.enroll(principal("a"), &bell)).collect();
        assert!(open.iter().all(Result::is_ok));
        assert!(matches!(roll.enroll(principal("a"), &bell), Err(NotEnrolled::TooManyOfKey)));
        assert!(roll.enroll(principal("b"), &bell).is_ok());
        open.pop();
        assert!(roll.enroll(principal("a"), &bell).is_ok());
    }
}
