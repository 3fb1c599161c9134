//! The way in to an account: who owns it, what has been sent and not yet been taken, and how much may be under way. One
//! short critical section a message, whatever the runtime's mailboxes cost; the actor takes all there is at once.

use std::collections::VecDeque;

use parking_lot::Mutex;
use ractor::ActorRef;

use crate::actor::{Msg, Wake};
use crate::error::Error;
use crate::options::Permits;

/// Who answers for an account. The cluster's directory will say here who else does.
pub(crate) enum Owner {
    Unloaded,
    Ready(ActorRef<Wake>),
    Quarantined(String),
    /// The store fenced our writes off: somebody else has the account.
    Moved,
    /// The engine is shutting down.
    Closed,
}

/// Which pool a permit is from: a storm of reserves never keeps an answer or a hang-up waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pool {
    Steps,
    Rest,
}

/// Permits taken and not given back, or on their way to being so.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub steps: usize,
    pub rest: usize,
}

impl Taken {
    pub fn add(&mut self, pool: Pool) {
        match pool {
            Pool::Steps => self.steps += 1,
            Pool::Rest => self.rest += 1,
        }
    }
}

/// Why a message could not be left.
pub(crate) enum Turned {
    /// As many requests as there may be are under way.
    Busy,
    /// The account is not up; the permit has been taken.
    NotUp,
    Refused(Error),
}

pub(crate) struct Door {
    inside: Mutex<Inside>,
    most: Permits,
}

struct Inside {
    owner: Owner,
    /// Sent and not yet taken.
    inbox: VecDeque<Msg>,
    /// The owner knows that there is something in the inbox, or is still looking.
    awake: bool,
    taken: Taken,
}

impl Door {
    pub fn new(most: Permits) -> Self {
        let inside =
            Inside { owner: Owner::Unloaded, inbox: VecDeque::new(), awake: false, taken: Taken::default() };
        Self { inside: Mutex::new(inside), most }
    }

    /// Leaves a request that somebody waits for, under a permit of its own. The message is taken only when it is left.
    pub fn request(&self, pool: Pool, msg: &mut Option<Msg>) -> Result<(), Turned> {
        let mut inside = self.inside.lock();
        let (taken, most) = match pool {
            Pool::Steps => (&mut inside.taken.steps, self.most.steps),
            Pool::Rest => (&mut inside.taken.rest, self.most.rest),
        };
        if *taken >= most {
            return Err(Turned::Busy);
        }
        match inside.owner.up()? {
            false => {
                inside.taken.add(pool);
                Err(Turned::NotUp)
            }
            true => {
                inside.taken.add(pool);
                if let Some(msg) = msg.take() {
                    inside.leave(msg);
                }
                Ok(())
            }
        }
    }

    /// Leaves a message that is bound by something else. False: nobody is there, the message is gone.
    pub fn leave(&self, msg: Msg) -> bool {
        let mut inside = self.inside.lock();
        if !matches!(inside.owner.up(), Ok(true)) {
            return false;
        }
        inside.leave(msg);
        true
    }

    /// All there is, for the owner. False: there is nothing, and the owner is woken when there is again.
    pub fn take(&self, into: &mut VecDeque<Msg>, back: Taken) -> bool {
        let mut inside = self.inside.lock();
        inside.give_back(back);
        if inside.inbox.is_empty() {
            inside.awake = false;
            return false;
        }
        std::mem::swap(&mut inside.inbox, into);
        true
    }

    pub fn give_back(&self, back: Taken) {
        if back != Taken::default() {
            self.inside.lock().give_back(back);
        }
    }

    /// Whether the account is up, or why it never will be.
    pub fn is_up(&self) -> Result<bool, Error> {
        self.inside.lock().owner.up().map_err(|turned| match turned {
            Turned::Refused(error) => error,
            Turned::Busy | Turned::NotUp => Error::Unavailable,
        })
    }

    pub fn owner(&self) -> Option<ActorRef<Wake>> {
        self.inside.lock().owner.actor().cloned()
    }

    /// Nobody new comes in; what is in the inbox is still taken.
    pub fn shut(&self) -> Option<ActorRef<Wake>> {
        let mut inside = self.inside.lock();
        match std::mem::replace(&mut inside.owner, Owner::Closed) {
            Owner::Ready(actor) => Some(actor),
            Owner::Unloaded | Owner::Quarantined(_) | Owner::Moved | Owner::Closed => None,
        }
    }

    /// The actor is up, and finds these messages before any other.
    pub fn open(&self, actor: ActorRef<Wake>, first: impl IntoIterator<Item = Msg>) {
        let mut inside = self.inside.lock();
        inside.owner = Owner::Ready(actor);
        inside.awake = false;
        for msg in first {
            inside.leave(msg);
        }
    }

    /// Nobody is up from here on, if `whose` says that the owner so far is the one that is gone. What was left and not
    /// taken is dropped: who waits for it learns that it was not applied.
    pub fn close(&self, whose: impl FnOnce(&Owner) -> bool, why: impl FnOnce() -> Owner) -> bool {
        let dropped = {
            let mut inside = self.inside.lock();
            if !whose(&inside.owner) {
                return false;
            }
            inside.owner = why();
            inside.awake = false;
            let dropped = std::mem::take(&mut inside.inbox);
            inside.give_back(taken_by(&dropped));
            dropped
        };
        drop(dropped);
        true
    }
}

/// The permits that go with messages.
pub(crate) fn taken_by<'a>(messages: impl IntoIterator<Item = &'a Msg>) -> Taken {
    let mut taken = Taken::default();
    for pool in messages.into_iter().filter_map(Msg::pool) {
        taken.add(pool);
    }
    taken
}

impl Inside {
    fn leave(&mut self, msg: Msg) {
        self.inbox.push_back(msg);
        if !self.awake
            && let Some(actor) = self.owner.actor()
        {
            // An actor that is just failing is told of by its warden, who closes the door behind it.
            self.awake = actor.cast(Wake).is_ok();
        }
    }

    fn give_back(&mut self, back: Taken) {
        self.taken.steps = self.taken.steps.saturating_sub(back.steps);
        self.taken.rest = self.taken.rest.saturating_sub(back.rest);
    }
}

impl Owner {
    fn up(&self) -> Result<bool, Turned> {
        match self {
            Self::Ready(_) => Ok(true),
            Self::Unloaded => Ok(false),
            Self::Quarantined(why) => Err(Turned::Refused(Error::Quarantined { why: why.clone() })),
            Self::Moved => Err(Turned::Refused(Error::Moved)),
            Self::Closed => Err(Turned::Refused(Error::Closed)),
        }
    }

    fn actor(&self) -> Option<&ActorRef<Wake>> {
        match self {
            Self::Ready(actor) => Some(actor),
            Self::Unloaded | Self::Quarantined(_) | Self::Moved | Self::Closed => None,
        }
    }

    /// This actor is the owner.
    pub fn is(&self, id: ractor::ActorId) -> bool {
        self.actor().is_some_and(|actor| actor.get_id() == id)
    }
}

#[cfg(test)]
mod tests {
    use ringfence_core::agent::By;
    use ringfence_core::{AgentId, Input};
    use tokio::sync::oneshot;

    use super::*;
    use crate::gate::Waiting;

    fn request(door: &Door, pool: Pool) -> Result<(), Turned> {
        let agent = AgentId::parse("a").expect("an id");
        let (reply, _) = oneshot::channel();
        let waiting = Some(Waiting { reply, pool });
        door.request(pool, &mut Some(Msg::Do { input: Input::ReadAgent { agent }, by: By::SYSTEM, waiting }))
    }

    #[test]
    fn a_pool_that_is_taken_turns_away_until_a_permit_is_given_back_and_the_other_pool_goes_on() {
        let door = Door::new(Permits { steps: 1, rest: 2 });
        for _ in 0..2 {
            assert!(
                matches!(request(&door, Pool::Rest), Err(Turned::NotUp)),
                "taken for the time of the load"
            );
        }
        assert!(matches!(request(&door, Pool::Rest), Err(Turned::Busy)));
        assert!(matches!(request(&door, Pool::Steps), Err(Turned::NotUp)));
        assert!(matches!(request(&door, Pool::Steps), Err(Turned::Busy)));
        door.give_back(Taken { steps: 0, rest: 1 });
        assert!(matches!(request(&door, Pool::Rest), Err(Turned::NotUp)));
        assert!(matches!(request(&door, Pool::Rest), Err(Turned::Busy)));
    }

    #[test]
    fn a_door_that_will_not_open_says_why_and_takes_no_permit() {
        let door = Door::new(Permits { steps: 1, rest: 1 });
        assert!(door.close(|_| true, || Owner::Quarantined("torn".to_owned())));
        for _ in 0..3 {
            let turned = request(&door, Pool::Rest);
            assert!(matches!(turned, Err(Turned::Refused(Error::Quarantined { why })) if why == "torn"));
        }
        assert!(!door.leave(Msg::Tick));
    }
}
