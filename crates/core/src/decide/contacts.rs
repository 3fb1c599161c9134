//! What registrars say. Level-triggered and ordered by stamp alone: saying it again, late, or out of order changes
//! nothing that newer words have settled.

use crate::account::{Account, Step};
use crate::contact::{CONTACTS_MAX, Contact, UNOWNED_AORS_MAX, canonical_aor, floor, padded, raise_floor};
use crate::fact::Change;
use crate::feed::{FeedItem, FeedWhat, Qualify, SeenContact, Stamp};
use crate::id::{AgentId, SourceId};
use crate::input::Fed;
use crate::time::Time;

/// AoRs of one agent; an extension answers in as many domains as there are registrars.
const AORS_PER_AGENT_MAX: usize = 16;

impl Account {
    pub(crate) fn feed(&mut self, step: &mut Step, item: FeedItem, create: bool, fed: &mut Fed) {
        match item.what {
            FeedWhat::Bindings { aor, contacts, hold_unconfirmed_until } => {
                let Some(aor) = self.admit_aor(step, &aor, create && !contacts.is_empty()) else {
                    fed.unknown += 1;
                    return;
                };
                let set = Set { source: &item.source, stamp: item.stamp, hold: hold_unconfirmed_until };
                count(fed, self.bindings(step, &aor, contacts, &set));
            }
            FeedWhat::Gone { aor, contacts } => {
                let Ok(aor) = canonical_aor(&aor) else { return fed.unknown += 1 };
                let mut applied = false;
                for id in contacts {
                    applied |= self.contact_gone(step, &aor, &item.source, &id, item.stamp);
                }
                count(fed, applied);
            }
            FeedWhat::Qualify { aor, contact, qualify } => {
                let Ok(aor) = canonical_aor(&aor) else { return fed.unknown += 1 };
                count(fed, self.qualified(step, &aor, &item.source, &contact, qualify, item.stamp));
            }
            FeedWhat::Call(call) => self.call_event(step, call, &item.source, item.stamp, create, fed),
        }
    }

    /// The AoR in its canonical form if there is room for what is said of it; on a development server, its agent is
    /// made if nobody has it.
    fn admit_aor(&mut self, step: &mut Step, aor: &str, create: bool) -> Option<String> {
        let aor = canonical_aor(aor).ok()?;
        if create && self.owner_of(&aor).is_none() {
            let user = aor.split_once('@').map_or(aor.as_str(), |(user, _)| user);
            if let Ok(agent) = AgentId::parse(user)
                && self.agent(&agent).is_none()
            {
                let entry = self.entry_for_new(user);
                self.emit(step, Change::AgentPut { agent, entry: entry.into() });
            }
        }
        if self.aor_by_name.contains_key(&aor) {
            return Some(aor);
        }
        self.has_room(&aor).then_some(aor)
    }

    fn has_room(&self, aor: &str) -> bool {
        match self.owner_of(aor).and_then(|owner| self.agents.get(owner)) {
            Some(agent) => agent.aors.len() < AORS_PER_AGENT_MAX,
            None => self.unowned_aors < UNOWNED_AORS_MAX,
        }
    }

    /// The whole contact set of an AoR at a source. Returns whether it said anything new.
    fn bindings(&mut self, step: &mut Step, aor: &str, contacts: Vec<SeenContact>, set: &Set<'_>) -> bool {
        if set.stamp < self.floor(aor, set.source) {
            return false;
        }
        let known = self.aor_by_name.get(aor).and_then(|ix| self.aors.get(*ix));
        let mut news = false;
        let left_out: Vec<Contact> = known
            .into_iter()
            .flat_map(|known| &known.contacts)
            .filter(|contact| contact.source == *set.source && contact.last_stamp() < set.stamp)
            .filter(|contact| !contacts.iter().any(|seen| seen.id == contact.id))
            .cloned()
            .collect();
        for seen in contacts.into_iter().take(CONTACTS_MAX) {
            news |= self.contact_seen(step, aor, seen, set);
        }
        for contact in left_out {
            news = true;
            match set.hold.filter(|_| contact.last_stamp().epoch < set.stamp.epoch) {
                Some(until) => self.hold_until(aor, &contact, until),
                None => self.emit(
                    step,
                    Change::Unbound {
                        aor: aor.to_owned(),
                        source: contact.source,
                        id: contact.id,
                        stamp: set.stamp,
                    },
                ),
            }
        }
        self.raise_floor(aor, set.source, set.stamp);
        news
    }

    /// Stamp of the newest whole set: what is older says nothing any more.
    fn floor(&self, aor: &str, source: &SourceId) -> Stamp {
        let early = self.early_floors.get(aor).map_or(Stamp::ZERO, |floors| floor(floors, source));
        let known = self.aor_by_name.get(aor).and_then(|ix| self.aors.get(*ix));
        known.map_or(early, |known| known.floor(source).max(early))
    }

    fn raise_floor(&mut self, aor: &str, source: &SourceId, stamp: Stamp) {
        match self.aor_by_name.get(aor).and_then(|ix| self.aors.get_mut(*ix)) {
            Some(known) => raise_floor(&mut known.floors, source, stamp),
            None => {
                if self.early_floors.len() >= UNOWNED_AORS_MAX {
                    self.early_floors.clear();
                }
                raise_floor(self.early_floors.entry(aor.to_owned()).or_default(), source, stamp);
            }
        }
    }

    fn contact_seen(&mut self, step: &mut Step, aor: &str, seen: SeenContact, set: &Set<'_>) -> bool {
        let aor_ix = self.aor_by_name.get(aor).copied();
        let known = aor_ix.and_then(|ix| self.aors.get(ix));
        if known.is_some_and(|known| set.stamp <= known.stamp_of(set.source, &seen.id)) {
            return false;
        }
        let contact = known.and_then(|known| known.contact(set.source, &seen.id));
        if seen.lease.is_some_and(|lease| lease <= step.now) {
            return match contact {
                Some(_) => self.contact_gone(step, aor, set.source, &seen.id, set.stamp),
                None => false,
            };
        }
        let (qualify, qualified) = match (contact, seen.qualify) {
            (Some(known), Some(qualify)) if set.stamp > known.last_qualified() => (qualify, set.stamp),
            (Some(known), Some(_) | None) => (known.qualify, known.last_qualified()),
            (None, said) => (said.unwrap_or_default(), set.stamp),
        };
        let covered = contact.is_some_and(|contact| {
            let within = match (seen.lease, contact.expires_at) {
                (Some(lease), Some(stored)) => lease <= stored,
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            within && contact.uri == seen.uri && contact.qualify == qualify
        });
        let (lease, id, stamp, source) = (seen.lease, seen.id.clone(), set.stamp, set.source.clone());
        let overlay = move |account: &mut Self, aor: &str| {
            account.lay_over(aor, &source, &id, |contact| {
                contact.exact = lease;
                contact.soft_stamp = Some(stamp);
                contact.soft_qualified = Some(qualified);
            });
        };
        if covered {
            // A refresh that the stored expiry covers writes no record.
            overlay(self, aor);
            return true;
        }
        let contact = Contact {
            source: set.source.clone(),
            id: seen.id,
            uri: seen.uri,
            expires_at: padded(seen.lease, step.now),
            qualify,
            stamp: set.stamp,
            qualified,
            instance: seen.instance,
            user_agent: seen.user_agent,
            exact: None,
            soft_stamp: None,
            soft_qualified: None,
        };
        let name = aor.to_owned();
        let change = Change::Bound { aor: aor.to_owned(), contact: Box::new(contact) };
        self.emit_with(step, change, move |account| overlay(account, &name));
        true
    }

    /// Soft state: the exact end of a lease, and the stamps of who said so.
    fn lay_over(&mut self, aor: &str, source: &SourceId, id: &str, write: impl FnOnce(&mut Contact)) {
        let Some(ix) = self.aor_by_name.get(aor).copied() else { return };
        if let Some(contact) = self.aors.get_mut(ix).and_then(|known| known.contact_mut(source, id)) {
            write(contact);
        }
        self.arm_contacts(ix);
    }

    /// A contact nobody has confirmed since its registrar began anew: held for a while, then gone.
    fn hold_until(&mut self, aor: &str, contact: &Contact, until: Time) {
        let lease = contact.exact.or(contact.expires_at).map_or(until, |lease| lease.min(until));
        self.lay_over(aor, &contact.source, &contact.id, |contact| contact.exact = Some(lease));
    }

    fn contact_gone(
        &mut self,
        step: &mut Step,
        aor: &str,
        source: &SourceId,
        id: &str,
        stamp: Stamp,
    ) -> bool {
        let known = self.aor_by_name.get(aor).and_then(|ix| self.aors.get(*ix));
        // Also of a contact nobody has heard of: its registration may be on the way.
        let heard = known.map_or(Stamp::ZERO, |known| known.stamp_of(source, id));
        let nobodys = known.is_none() && (self.owner_of(aor).is_none() || !self.has_room(aor));
        if nobodys || stamp <= heard || stamp < self.floor(aor, source) {
            return false;
        }
        self.emit(
            step,
            Change::Unbound { aor: aor.to_owned(), source: source.clone(), id: id.to_owned(), stamp },
        );
        true
    }

    fn qualified(
        &mut self,
        step: &mut Step,
        aor: &str,
        source: &SourceId,
        id: &str,
        qualify: Qualify,
        stamp: Stamp,
    ) -> bool {
        let known = self.aor_by_name.get(aor).and_then(|ix| self.aors.get(*ix));
        let Some(contact) = known.and_then(|known| known.contact(source, id)) else { return false };
        if stamp <= contact.last_qualified() {
            return false;
        }
        if contact.qualify != qualify {
            let contact = Contact { qualify, qualified: stamp, ..contact.clone() };
            self.emit(step, Change::Bound { aor: aor.to_owned(), contact: Box::new(contact) });
        } else {
            self.lay_over(aor, source, id, |contact| contact.soft_qualified = Some(stamp));
        }
        true
    }
}

/// A whole-set statement of one source.
struct Set<'a> {
    source: &'a SourceId,
    stamp: Stamp,
    hold: Option<Time>,
}

fn count(fed: &mut Fed, news: bool) {
    if news {
        fed.applied += 1;
    } else {
        fed.stale += 1;
    }
}
