//! What call feeds say: legs of dialogs, those of the fence's own calls and those that are not (model.md §4).

use crate::account::{Account, Step};
use crate::agent::Slot;
use crate::call::{Direction, EXTERNAL_CALLS_MAX, EXTERNAL_MAX_MS, ExternalCall};
use crate::contact::canonical_aor;
use crate::fact::Change;
use crate::feed::{CallEvent, CallPhase, Party, Stamp};
use crate::id::{AgentId, OfferId, SourceId};
use crate::input::Fed;
use crate::offer::OfferEntry;
use crate::slab::Ix;

impl Account {
    pub(crate) fn call_event(
        &mut self,
        step: &mut Step,
        call: CallEvent,
        source: &SourceId,
        stamp: Stamp,
        create: bool,
        fed: &mut Fed,
    ) {
        let Some(ix) = self.party(step, &call.party, create) else {
            fed.unknown += 1;
            return;
        };
        let news = match call.phase {
            CallPhase::Start | CallPhase::State => self.call_up(step, ix, call, source, stamp),
            CallPhase::End => self.call_down(step, ix, &call, source, stamp),
        };
        if news {
            fed.applied += 1;
        } else {
            fed.stale += 1;
        }
    }

    fn party(&mut self, step: &mut Step, party: &Party, create: bool) -> Option<Ix> {
        match party {
            Party::Agent(id) => {
                if self.agent(id).is_none() && create {
                    let entry = self.entry_for_new(id.as_str());
                    self.emit(step, Change::AgentPut { agent: id.clone(), entry: entry.into() });
                }
                self.agent_by_id.get(id).copied()
            }
            Party::Aor(aor) => self.owner_of(&canonical_aor(aor).ok()?),
        }
    }

    fn call_up(&mut self, step: &mut Step, ix: Ix, call: CallEvent, source: &SourceId, stamp: Stamp) -> bool {
        let Some(agent) = self.agents.get(ix) else { return false };
        // `ended` absorbs: a start that comes after its end is late, whatever its stamp.
        if self.ended_external_ids.contains_key(&(call.call_id.clone(), agent.id.clone())) {
            return false;
        }
        if agent.external.iter().any(|known| known.call_id == call.call_id) {
            return false;
        }
        if let Some(offer) = self.own_leg(ix, &call) {
            return match offer {
                OwnLeg::Known => false,
                OwnLeg::Claims(offer) => {
                    self.emit(step, Change::LegKnown { offer, leg_call_id: call.call_id });
                    true
                }
            };
        }
        if agent.external.len() >= EXTERNAL_CALLS_MAX {
            return false;
        }
        let agent = agent.id.clone();
        let call = ExternalCall {
            call_id: call.call_id,
            source: source.clone(),
            stamp,
            direction: call.direction,
            peer: call.peer,
            since: step.now,
            until: step.now.plus_ms(EXTERNAL_MAX_MS),
        };
        self.emit(step, Change::ExternalBegan { agent, call: Box::new(call) });
        true
    }

    fn call_down(
        &mut self,
        step: &mut Step,
        ix: Ix,
        call: &CallEvent,
        source: &SourceId,
        stamp: Stamp,
    ) -> bool {
        let Some(agent) = self.agents.get(ix) else { return false };
        let external = agent.external.iter().any(|known| known.call_id == call.call_id);
        let own = self.own_leg(ix, call).is_some();
        if own
            || (!external && self.ended_external_ids.contains_key(&(call.call_id.clone(), agent.id.clone())))
        {
            return false;
        }
        // An end of a call nobody has heard of is kept as well: its start may be on the way.
        let agent: AgentId = agent.id.clone();
        self.emit(
            step,
            Change::ExternalOver { agent, call_id: call.call_id.clone(), source: source.clone(), stamp },
        );
        external
    }

    /// Whether the leg is that of a call the fence gave to the agent: by the offer it names, by the leg or the call's
    /// id, or, while an offer lives that has no leg yet, because nothing else explains it (the oldest one): any offer
    /// explains a leg to the agent, one from the agent is that of a call it took itself to dial.
    fn own_leg(&self, ix: Ix, call: &CallEvent) -> Option<OwnLeg> {
        let agent = self.agents.get(ix)?;
        let (mut unclaimed, mut unclaimed_own): (Option<OfferId>, Option<OfferId>) = (None, None);
        for slot in &agent.slots {
            let (offer_id, call_id, leg, direction) = match slot {
                Slot::Offering(id) => {
                    let OfferEntry { offer, leg_call_id, .. } = self.offer(id)?;
                    (id, &offer.call_id, leg_call_id, offer.direction)
                }
                Slot::InCall(own) => (&own.offer_id, &own.call_id, &own.leg_call_id, own.direction),
                Slot::WrapUp(_) => continue,
            };
            if leg.as_ref() == Some(&call.call_id) || *call_id == call.call_id {
                return Some(OwnLeg::Known);
            }
            if call.offer_id.as_ref() == Some(offer_id) {
                return Some(OwnLeg::Claims(offer_id.clone()));
            }
            if matches!(slot, Slot::Offering(_)) && leg.is_none() {
                if direction == Direction::Outbound {
                    unclaimed_own = unclaimed_own.or_else(|| Some(offer_id.clone()));
                }
                unclaimed = unclaimed.or_else(|| Some(offer_id.clone()));
            }
        }
        let claimed = match call.direction {
            Direction::Inbound => unclaimed,
            Direction::Outbound => unclaimed_own,
        };
        claimed.filter(|_| call.phase != CallPhase::End && call.offer_id.is_none()).map(OwnLeg::Claims)
    }
}

enum OwnLeg {
    Known,
    Claims(OfferId),
}
