//! One registrar node as an endpoint hears it: continuity, silence, and what a snapshot must sweep. Order per contact is
//! the account's business; here (epoch, seq) only tells gaps and repetitions.

use std::collections::HashMap;

use parking_lot::Mutex;
use ringfence_core::feed::{
    Event, EventContact, EventKind, FeedItem, FeedWhat, SeenContact, Snapshot, Stamp,
};
use ringfence_core::{AccountId, SourceId, Time};

/// Heartbeats come this often; two missed ones make a source suspect.
const HEARTBEAT_MS: u64 = 5_000;
/// Heartbeats in a row with another count after which a snapshot is asked for.
const UNEQUAL_BEATS: u32 = 2;
/// Not more often than this for that reason: a count that never agrees is not worth a resync a minute.
const RESYNC_PAUSE_MS: u64 = 60_000;
/// How long what a registrar that began anew does not know of is held, at the most (feeds.md).
const UNCONFIRMED_MS: u64 = 120_000;
/// Sources known at once, over all accounts; more are refused.
pub(crate) const SOURCES_MAX: usize = 10_000;

/// What is known of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    pub account: AccountId,
    pub endpoint: String,
    pub source: SourceId,
    pub epoch: u64,
    pub last_seq: u64,
    pub heard_at: Time,
    /// Nothing heard for two heartbeats. Leases run on; nobody is flipped.
    pub suspect: bool,
    pub gaps: u64,
    pub duplicates: u64,
    /// A full resync is asked for: after a start, a gap, a new epoch, or events the source says it lost.
    pub snapshot_wanted: bool,
    /// As of the last heartbeat.
    pub contacts_total: Option<u64>,
}

/// What becomes of one event.
#[derive(Debug, PartialEq)]
pub(crate) enum Admitted {
    Item(FeedItem),
    /// Nothing to apply: a heartbeat.
    Heard,
    Duplicate,
    OldEpoch,
}

#[derive(Debug, Default)]
pub(crate) struct Source {
    epoch: u64,
    last_seq: u64,
    heard_at: Time,
    gaps: u64,
    duplicates: u64,
    lost: u64,
    contacts_total: Option<u64>,
    /// Heartbeats in a row that counted other contacts than are held here.
    unequal_beats: u32,
    resynced_at: Time,
    snapshot_wanted: bool,
    /// No snapshot has come since the epoch began.
    unconfirmed: bool,
}

impl Source {
    /// A source nobody has heard of: what it said before is unknown, so a snapshot is wanted.
    fn unheard() -> Self {
        Self { snapshot_wanted: true, ..Self::default() }
    }

    fn admit(&mut self, event: Event, now: Time, margin_ms: u64) -> Admitted {
        if event.epoch < self.epoch {
            return Admitted::OldEpoch;
        }
        self.heard_at = now;
        if event.epoch > self.epoch {
            // What is bound stays, unconfirmed; its leases run on.
            self.unconfirmed = self.epoch != 0;
            self.epoch = event.epoch;
            self.last_seq = event.seq.saturating_sub(1);
            self.lost = 0;
            self.snapshot_wanted = true;
        }
        if event.seq <= self.last_seq {
            self.duplicates += 1;
            return Admitted::Duplicate;
        }
        if event.seq > self.last_seq + 1 {
            self.gaps += 1;
            self.snapshot_wanted = true;
        }
        self.last_seq = event.seq;
        let stamp = Stamp { epoch: event.epoch, seq: event.seq };
        let leased = |contact| seen(contact, event.at, now, margin_ms);
        let what = match event.kind {
            EventKind::Heartbeat { contacts_total, users_total: _, lost } => {
                if lost > self.lost {
                    self.snapshot_wanted = true;
                }
                self.lost = lost;
                self.contacts_total = contacts_total;
                return Admitted::Heard;
            }
            EventKind::Bindings { aor, contacts } => FeedWhat::Bindings {
                aor,
                contacts: contacts.into_iter().map(leased).collect(),
                hold_unconfirmed_until: None,
            },
            EventKind::Gone { aor, contacts } => FeedWhat::Gone { aor, contacts },
            EventKind::Qualify { aor, contact, qualify } => FeedWhat::Qualify { aor, contact, qualify },
            EventKind::Call(call) => FeedWhat::Call(call),
        };
        Admitted::Item(FeedItem { source: event.source, stamp, what })
    }

    /// Holds the last heartbeat's count against what is held here: removals by an administrator, loads and replication
    /// emit nothing, and show only in this.
    fn compare(&mut self, held: u64, now: Time) {
        match self.contacts_total {
            Some(total) if total != held => self.unequal_beats += 1,
            Some(_) | None => self.unequal_beats = 0,
        }
        if self.unequal_beats >= UNEQUAL_BEATS && now.since(self.resynced_at) >= RESYNC_PAUSE_MS {
            self.unequal_beats = 0;
            self.snapshot_wanted = true;
        }
    }

    /// Mark, fill, sweep: what the snapshot says of every AoR it names and of those it leaves out. None: it is older
    /// than what was heard.
    fn resync(
        &mut self,
        snapshot: Snapshot,
        known: &[String],
        now: Time,
        margin_ms: u64,
    ) -> Option<Vec<FeedItem>> {
        if snapshot.epoch < self.epoch {
            return None;
        }
        if snapshot.epoch > self.epoch {
            self.unconfirmed = self.epoch != 0;
            self.last_seq = 0;
            self.lost = 0;
        }
        self.epoch = snapshot.epoch;
        self.last_seq = self.last_seq.max(snapshot.cut);
        self.heard_at = now;
        self.snapshot_wanted = false;
        self.unequal_beats = 0;
        self.resynced_at = now;
        let hold = std::mem::take(&mut self.unconfirmed).then(|| now.plus_ms(UNCONFIRMED_MS));
        let stamp = Stamp { epoch: snapshot.epoch, seq: snapshot.cut };
        let bindings = |aor: String, contacts: Vec<SeenContact>| FeedItem {
            source: snapshot.source.clone(),
            stamp,
            what: FeedWhat::Bindings { aor, contacts, hold_unconfirmed_until: hold },
        };
        let named: std::collections::BTreeSet<String> = snapshot
            .bindings
            .iter()
            .filter_map(|(aor, _)| ringfence_core::contact::canonical_aor(aor).ok())
            .collect();
        let left_out = known.iter().filter(|aor| !named.contains(*aor));
        let mut items: Vec<FeedItem> = left_out.map(|aor| bindings(aor.clone(), Vec::new())).collect();
        let at = snapshot.at;
        for (aor, contacts) in snapshot.bindings.iter().cloned() {
            let contacts = contacts.into_iter().map(|contact| seen(contact, at, now, margin_ms)).collect();
            items.push(bindings(aor, contacts));
        }
        Some(items)
    }
}

/// A contact's lease on our own clock: what the source says remains of it, and the margin.
fn seen(contact: EventContact, at: Time, now: Time, margin_ms: u64) -> SeenContact {
    let lease = contact.expires_at.map(|expires_at| match expires_at.since(at) {
        // It is over by the source's own word; no margin revives it.
        0 => now,
        remaining => now.plus_ms(remaining).plus_ms(margin_ms),
    });
    SeenContact {
        id: contact.id,
        uri: contact.uri,
        lease,
        instance: contact.instance,
        user_agent: contact.user_agent,
        qualify: contact.qualify,
    }
}

type Key = (AccountId, String, SourceId);

/// All sources of an engine. Soft: after a start they are unknown and asked for a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Sources(Mutex<HashMap<Key, Source>>);

impl Sources {
    /// Sorts one batch of events; None: too many sources.
    pub fn admit(
        &self,
        account: &AccountId,
        endpoint: &str,
        event: Event,
        now: Time,
        margin_ms: u64,
    ) -> Option<Admitted> {
        let mut sources = self.0.lock();
        let key = (account.clone(), endpoint.to_owned(), event.source.clone());
        if !sources.contains_key(&key) && sources.len() >= SOURCES_MAX {
            return None;
        }
        Some(sources.entry(key).or_insert_with(Source::unheard).admit(event, now, margin_ms))
    }

    pub fn resync(
        &self,
        account: &AccountId,
        endpoint: &str,
        snapshot: Snapshot,
        known: &[String],
        now: Time,
        margin_ms: u64,
    ) -> Option<Vec<FeedItem>> {
        let mut sources = self.0.lock();
        let key = (account.clone(), endpoint.to_owned(), snapshot.source.clone());
        sources.entry(key).or_insert_with(Source::unheard).resync(snapshot, known, now, margin_ms)
    }

    /// What was admitted could not be applied: it is to be said again, from this seq on.
    pub fn take_back(&self, account: &AccountId, endpoint: &str, source: &SourceId, seq: u64) {
        let key = (account.clone(), endpoint.to_owned(), source.clone());
        if let Some(source) = self.0.lock().get_mut(&key) {
            source.last_seq = source.last_seq.min(seq.saturating_sub(1));
            source.snapshot_wanted = true;
        }
    }

    pub fn compare(&self, account: &AccountId, endpoint: &str, source: &SourceId, held: u64, now: Time) {
        let key = (account.clone(), endpoint.to_owned(), source.clone());
        if let Some(source) = self.0.lock().get_mut(&key) {
            source.compare(held, now);
        }
    }

    pub fn snapshot_wanted(&self, account: &AccountId, endpoint: &str) -> bool {
        let sources = self.0.lock();
        sources.iter().any(|((of, at, _), source)| of == account && at == endpoint && source.snapshot_wanted)
    }

    pub fn read(&self, now: Time) -> Vec<SourceStatus> {
        let mut all: Vec<SourceStatus> = Vec::new();
        for ((account, endpoint, id), source) in self.0.lock().iter() {
            all.push(SourceStatus {
                account: account.clone(),
                endpoint: endpoint.clone(),
                source: id.clone(),
                epoch: source.epoch,
                last_seq: source.last_seq,
                heard_at: source.heard_at,
                suspect: now.since(source.heard_at) > 2 * HEARTBEAT_MS,
                gaps: source.gaps,
                duplicates: source.duplicates,
                snapshot_wanted: source.snapshot_wanted,
                contacts_total: source.contacts_total,
            });
        }
        all.sort_by(|a, b| (&a.account, &a.endpoint, &a.source).cmp(&(&b.account, &b.endpoint, &b.source)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(epoch: u64, seq: u64, lost: u64) -> Event {
        let kind = EventKind::Heartbeat { contacts_total: Some(3), users_total: None, lost };
        Event { source: SourceId::parse("kam1").expect("an id"), epoch, seq, at: Time::from_ms(1), kind }
    }

    fn admit(source: &mut Source, event: Event) -> (bool, bool) {
        let admitted = source.admit(event, Time::from_ms(10), 0);
        (admitted == Admitted::Heard, std::mem::take(&mut source.snapshot_wanted))
    }

    #[test]
    fn a_gap_is_applied_counted_and_asks_for_a_snapshot() {
        let mut source = Source::unheard();
        assert_eq!(admit(&mut source, beat(7, 40, 0)), (true, true), "an unknown source");
        assert_eq!(admit(&mut source, beat(7, 41, 0)), (true, false));
        assert_eq!(admit(&mut source, beat(7, 43, 0)), (true, true), "42 is missing");
        assert_eq!(source.gaps, 1);
    }

    #[test]
    fn repetitions_and_older_epochs_are_dropped() {
        let mut source = Source::unheard();
        admit(&mut source, beat(7, 40, 0));
        assert_eq!(source.admit(beat(7, 40, 0), Time::from_ms(11), 0), Admitted::Duplicate);
        assert_eq!(source.admit(beat(6, 99, 0), Time::from_ms(11), 0), Admitted::OldEpoch);
        assert_eq!(admit(&mut source, beat(8, 1, 0)), (true, true), "a new epoch");
        assert!(source.unconfirmed);
    }

    #[test]
    fn events_the_source_lost_ask_for_a_snapshot_once() {
        let mut source = Source::unheard();
        admit(&mut source, beat(7, 1, 0));
        assert_eq!(admit(&mut source, beat(7, 2, 5)), (true, true));
        assert_eq!(admit(&mut source, beat(7, 3, 5)), (true, false));
    }

    #[test]
    fn a_count_that_differs_twice_asks_for_a_snapshot_but_not_again_at_once() {
        let mut source = Source { resynced_at: Time::ZERO, ..Source::unheard() };
        let minute = |n: u64| Time::from_ms(n * 60_000);
        admit(&mut source, beat(7, 1, 0));
        source.compare(3, minute(1));
        source.compare(2, minute(1));
        assert!(!source.snapshot_wanted, "once may be an event on its way");
        source.compare(2, minute(1));
        assert!(std::mem::take(&mut source.snapshot_wanted));
        source.resynced_at = minute(1);
        source.compare(2, minute(1));
        source.compare(2, minute(1));
        assert!(!source.snapshot_wanted, "that was tried just now");
        source.compare(2, minute(2));
        assert!(source.snapshot_wanted);
    }

    #[test]
    fn a_lease_is_what_remains_plus_the_margin_on_our_clock() {
        let contact = |expires_at| EventContact {
            id: "c".to_owned(),
            uri: "sip:c@127.0.0.1".to_owned(),
            expires_at,
            instance: None,
            received: None,
            user_agent: None,
            qualify: None,
        };
        let (at, now) = (Time::from_ms(1_000_000), Time::from_ms(5_000));
        assert_eq!(seen(contact(Some(at.plus_ms(60_000))), at, now, 500).lease, Some(Time::from_ms(65_500)));
        assert_eq!(seen(contact(Some(at)), at, now, 500).lease, Some(now), "over is over");
        assert_eq!(seen(contact(None), at, now, 500).lease, None, "held without a lease");
    }
}
