//! Changes of the directory half: who there is, which queues they are in, and which AoRs are theirs.

use std::sync::Arc;

use crate::account::{Account, Moment, Tombstone};
use crate::agent::{AddressKind, Agent, AgentEntry, Membership, Standing};
use crate::call::MEMORY_MS;
use crate::contact::{Aor, Contact, GONE_MAX, Gone, Lease};
use crate::deadline::Deadline;
use crate::feed::Stamp;
use crate::id::{AgentId, SourceId};
use crate::page::PageKey;
use crate::slab::Ix;
use crate::time::Time;

impl Account {
    pub(crate) fn put_agent(&mut self, id: &AgentId, entry: &Arc<AgentEntry>, moment: &Moment<'_>) -> Ix {
        let ix = match self.agent_by_id.get(id) {
            Some(ix) => *ix,
            None => {
                let agent = Agent::new(id.clone(), Arc::clone(entry), moment.at, moment.by.clone());
                self.counts.enter(agent.standing.bucket);
                let ix = self.agents.insert(agent);
                self.agent_by_id.insert(id.clone(), ix);
                ix
            }
        };
        let released = self.drop_addresses(ix);
        if let Some(agent) = self.agents.get_mut(ix) {
            agent.entry = Arc::clone(entry);
            agent.ringable = None;
            agent.ringable = Some(agent.ringable());
            agent.directory_seq = moment.seq;
        }
        self.take_addresses(ix);
        self.rehome(released);
        ix
    }

    /// Everything of the agent goes at once; its live offers were ended by facts before.
    pub(crate) fn remove_agent(&mut self, id: &AgentId, moment: &Moment<'_>) {
        let Some(ix) = self.agent_by_id.get(id).copied() else { return };
        let released = self.drop_addresses(ix);
        self.agent_by_id.remove(id);
        let Some(agent) = self.agents.remove(ix) else { return };
        self.rehome(released);
        for membership in &agent.memberships {
            if let Some(queue) = self.queues.get_mut(membership.queue)
                && queue.leave(ix, &agent, membership)
            {
                queue.seq = moment.seq;
                self.touched.queues.insert(membership.queue);
                self.dirty.insert(PageKey::queue(membership.queue));
            }
        }
        self.disarm_agent(ix, &agent);
        self.graces.remove(&ix);
        self.counts.leave(agent.standing.bucket);
        self.touched.agents.remove(ix);
        self.touched.agents_removed.push(id.clone());
        self.dirty.insert(PageKey::agent(ix));
        self.bury(Tombstone { seq: moment.seq, at: moment.at, agent: Some(id.clone()), queue: None });
    }

    fn disarm_agent(&mut self, ix: Ix, agent: &Agent) {
        for wrap_up in agent.wrap_ups() {
            self.deadlines.disarm(wrap_up.until, Deadline::WrapUp(ix));
        }
        for call in agent.calls() {
            self.deadlines.disarm(call.until, Deadline::Call(ix));
        }
        for call in &agent.external {
            self.deadlines.disarm(call.until, Deadline::External(ix));
        }
        if let Some(until) = agent.cooldown_until {
            self.deadlines.disarm(until, Deadline::Cooldown(ix));
        }
        if let Some(logout) = &agent.clock_logout {
            self.deadlines.disarm(logout.at, Deadline::ClockLogout(ix));
        }
    }

    pub(crate) fn join(&mut self, id: &AgentId, membership: Membership, moment: &Moment<'_>) -> Option<Ix> {
        let ix = *self.agent_by_id.get(id)?;
        self.leave(id, membership.queue, moment);
        let agent = self.agents.get_mut(ix)?;
        let queue = self.queues.get_mut(membership.queue)?;
        if queue.enter(ix, agent, &membership) {
            queue.seq = moment.seq;
            self.touched.queues.insert(membership.queue);
        }
        self.dirty.insert(PageKey::queue(membership.queue));
        agent.memberships.push(membership);
        agent.directory_seq = moment.seq;
        self.look_at_line(membership.queue, moment.at);
        Some(ix)
    }

    pub(crate) fn leave(&mut self, id: &AgentId, queue_ix: Ix, moment: &Moment<'_>) -> Option<Ix> {
        let ix = *self.agent_by_id.get(id)?;
        let agent = self.agents.get_mut(ix)?;
        let place = agent.memberships.iter().position(|membership| membership.queue == queue_ix)?;
        let membership = agent.memberships.remove(place);
        agent.directory_seq = moment.seq;
        if let Some(queue) = self.queues.get_mut(queue_ix)
            && queue.leave(ix, agent, &membership)
        {
            queue.seq = moment.seq;
            self.touched.queues.insert(queue_ix);
        }
        self.dirty.insert(PageKey::queue(queue_ix));
        Some(ix)
    }

    /// Takes what AoRs map to the agent by its addresses.
    fn take_addresses(&mut self, ix: Ix) {
        let Some(agent) = self.agents.get(ix) else { return };
        let entry = Arc::clone(&agent.entry);
        for address in &entry.addresses {
            self.agent_by_address.insert(address.target.clone(), ix);
            // A SIP address comes before the extension that its user part may be.
            if address.kind == AddressKind::Sip
                && let Some(aor) = self.aor_by_name.get(&address.target).copied()
            {
                self.detach(aor);
            }
        }
        if self.unowned_aors == 0 {
            return;
        }
        let gained: Vec<Ix> = self
            .aors
            .iter()
            .filter(|(_, aor)| aor.owner.is_none() && self.owner_of(&aor.name) == Some(ix))
            .map(|(aor, _)| aor)
            .collect();
        for aor in gained {
            self.attach(aor, ix);
        }
    }

    /// Returns the AoRs that are nobody's for now.
    fn drop_addresses(&mut self, ix: Ix) -> Vec<Ix> {
        let Some(agent) = self.agents.get_mut(ix) else { return Vec::new() };
        let aors = std::mem::take(&mut agent.aors);
        let entry = Arc::clone(&agent.entry);
        for address in &entry.addresses {
            if self.agent_by_address.get(&address.target) == Some(&ix) {
                self.agent_by_address.remove(&address.target);
            }
        }
        for aor in &aors {
            self.detach(*aor);
        }
        aors
    }

    /// AoRs one agent has lost go to whoever else has a claim to them. One that is nobody's, and that nothing is bound
    /// to, says nothing.
    fn rehome(&mut self, released: Vec<Ix>) {
        for ix in released {
            let Some(aor) = self.aors.get(ix).filter(|aor| aor.owner.is_none()) else { continue };
            let (name, empty) = (aor.name.clone(), aor.contacts.is_empty());
            if let Some(owner) = self.owner_of(&name) {
                self.attach(ix, owner);
            } else if empty {
                self.drop_aor(ix, &name);
            }
        }
    }

    fn detach(&mut self, ix: Ix) {
        if let Some(aor) = self.aors.get_mut(ix)
            && let Some(owner) = aor.owner.take()
        {
            self.unowned_aors += 1;
            if let Some(agent) = self.agents.get_mut(owner) {
                agent.aors.retain(|held| *held != ix);
            }
        }
    }

    fn drop_aor(&mut self, ix: Ix, name: &str) {
        if let Some(aor) = self.aors.remove(ix)
            && !aor.floors.is_empty()
        {
            self.early_floors.insert(aor.name, aor.floors);
        }
        self.aor_by_name.remove(name);
        self.unowned_aors = self.unowned_aors.saturating_sub(1);
        self.dirty.insert(PageKey::aor(ix));
    }

    pub(crate) fn attach(&mut self, aor_ix: Ix, owner: Ix) {
        if let Some(aor) = self.aors.get_mut(aor_ix)
            && let Some(agent) = self.agents.get_mut(owner)
        {
            if aor.owner.is_none() {
                self.unowned_aors = self.unowned_aors.saturating_sub(1);
            }
            aor.owner = Some(owner);
            agent.aors.push(aor_ix);
        }
    }

    /// The agent who has the AoR as a SIP address, else the one who has its user part as an extension.
    pub(crate) fn owner_of(&self, aor: &str) -> Option<Ix> {
        self.agent_by_address.get(aor).copied().or_else(|| self.extension_of(aor))
    }

    /// The agent who has the AoR's user part as an extension. (What begins with a plus is a telephone number.)
    pub(crate) fn extension_of(&self, aor: &str) -> Option<Ix> {
        let user = aor.split_once('@')?.0;
        self.agent_by_address.get(user).filter(|_| !user.starts_with('+')).copied()
    }

    fn open_aor(&mut self, name: &str) -> Ix {
        if let Some(ix) = self.aor_by_name.get(name) {
            return *ix;
        }
        let ix = self.aors.insert(Aor::new(name.to_owned(), None));
        self.aor_by_name.insert(name.to_owned(), ix);
        self.unowned_aors += 1;
        if let Some(owner) = self.owner_of(name) {
            self.attach(ix, owner);
        }
        ix
    }

    pub(crate) fn bind(&mut self, name: &str, contact: &Contact) -> Option<Ix> {
        let ix = self.open_aor(name);
        let aor = self.aors.get_mut(ix)?;
        aor.gone.retain(|gone| gone.source != contact.source || gone.id != contact.id);
        match aor.contact_mut(&contact.source, &contact.id) {
            Some(known) => {
                let soft = (known.exact, known.soft_stamp, known.soft_qualified);
                *known = contact.clone();
                (known.exact, known.soft_stamp, known.soft_qualified) = soft;
            }
            None => {
                aor.contacts.push(contact.clone());
                *self.contacts_by_source.entry(contact.source.clone()).or_default() += 1;
            }
        }
        let owner = aor.owner;
        self.dirty.insert(PageKey::aor(ix));
        self.arm_contacts(ix);
        owner
    }

    pub(crate) fn unbind(
        &mut self,
        name: &str,
        source: &SourceId,
        id: &str,
        stamp: Stamp,
        at: Time,
    ) -> Option<Ix> {
        let ix = self.open_aor(name);
        let aor = self.aors.get_mut(ix)?;
        let before = aor.contacts.len();
        aor.contacts.retain(|contact| contact.source != *source || contact.id != id);
        if aor.contacts.len() < before
            && let Some(count) = self.contacts_by_source.get_mut(source)
        {
            *count = count.saturating_sub(1);
        }
        let fresh = |gone: &Gone| at.since(gone.at) <= MEMORY_MS && (gone.source != *source || gone.id != id);
        aor.gone.retain(fresh);
        aor.gone.push(Gone { source: source.clone(), id: id.to_owned(), stamp, at });
        if aor.gone.len() > GONE_MAX {
            aor.gone.remove(0);
        }
        let owner = aor.owner;
        self.dirty.insert(PageKey::aor(ix));
        // An AoR nobody has and nothing is bound to says nothing.
        if owner.is_none() && aor.contacts.is_empty() {
            self.drop_aor(ix, name);
        }
        owner
    }

    /// Losing the phone is debounced for display and for the rescind; coming back is immediate. Soft, and kept where
    /// standings are applied, so that a replayed account shows the loss in the end as well.
    pub(crate) fn watch_grace(&mut self, ix: Ix, standing: &Standing, at: Time) {
        if !standing.debounced() {
            self.graces.remove(&ix);
        } else if !self.graces.contains_key(&ix) {
            let until = self.grace_until(ix, at);
            self.graces.insert(ix, until);
            self.deadlines.arm(until, Deadline::Grace(ix));
        }
    }

    /// Until when a phone that is lost at `at` goes on being shown.
    pub(crate) fn grace_until(&self, ix: Ix, at: Time) -> Time {
        self.graces.get(&ix).copied().unwrap_or(at.plus_ms(self.settings.unreachable_grace_ms))
    }

    /// Arms the AoR's deadline at its earliest lease. A lease that moved on leaves a deadline behind that finds nothing
    /// due and arms the next one.
    pub(crate) fn arm_contacts(&mut self, ix: Ix) {
        let Some(aor) = self.aors.get(ix) else { return };
        let earliest = aor.contacts.iter().filter_map(|contact| match contact.lease() {
            Lease::Until(time) => Some(time),
            Lease::None | Lease::Held => None,
        });
        if let Some(earliest) = earliest.min() {
            let armed = self.aor_armed.entry(ix).or_insert(earliest);
            if earliest < *armed {
                self.deadlines.disarm(*armed, Deadline::Contact(ix));
                *armed = earliest;
            }
            let at = *armed;
            self.deadlines.arm(at, Deadline::Contact(ix));
        }
    }
}
