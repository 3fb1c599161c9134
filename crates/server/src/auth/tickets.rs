//! Tickets: what opens one stream, once, soon. A browser cannot give a websocket a header, and a key in a URL stays in
//! logs; a ticket in a URL is worth nothing by the time somebody reads it.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use ringfence::{AccountId, Time};

use super::secret::{self, NoRandom, SECRET_LENGTH_MAX, SecretHash};
use super::{Principal, Scope};

/// How long a ticket waits to be used.
const TICKET_MS: u64 = 30_000;
/// What a stream can make use of; a ticket hands on no more, whatever its key may.
const TICKET_SCOPES: &[Scope] = &[Scope::Wallboard, Scope::PresenceRead, Scope::Numbers, Scope::Router];

/// Tickets nobody has used yet.
#[derive(Debug)]
pub(crate) struct Tickets {
    open_max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    by_hash: HashMap<SecretHash, (Time, Principal)>,
    /// In the order they expire, which is the order they were made in. Used ones stay until their time.
    expiries: VecDeque<(Time, SecretHash)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Minted {
    pub ticket: String,
    pub expires_at: Time,
}

/// Why there is no ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoTicket {
    #[error("too many tickets wait to be used")]
    Full,
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

impl Tickets {
    pub fn new(open_max: usize) -> Self {
        Self { open_max, open: Mutex::default() }
    }

    /// A ticket for `account`, in the name of the key that asked.
    pub fn mint(&self, principal: &Principal, account: &AccountId, now: Time) -> Result<Minted, NoTicket> {
        let ticket = secret::mint("tkt_")?;
        let hash = secret::hash(&ticket);
        let expires_at = now.plus_ms(TICKET_MS);
        let holder = Principal {
            key_id: principal.key_id.clone(),
            account: Some(account.clone()),
            scopes: principal.scopes.narrowed(TICKET_SCOPES),
        };
        let mut open = self.open.lock();
        open.forget(now);
        if open.expiries.len() >= self.open_max {
            return Err(NoTicket::Full);
        }
        open.by_hash.insert(hash, (expires_at, holder));
        open.expiries.push_back((expires_at, hash));
        Ok(Minted { ticket, expires_at })
    }

    /// Uses a ticket up.
    pub fn redeem(&self, ticket: &str, now: Time) -> Option<Principal> {
        if ticket.len() > SECRET_LENGTH_MAX {
            return None;
        }
        let hash = secret::hash(ticket);
        let mut open = self.open.lock();
        open.forget(now);
        open.by_hash.remove(&hash).map(|(_, principal)| principal)
    }

    pub fn open(&self) -> usize {
        self.open.lock().by_hash.len()
    }
}

impl Open {
    fn forget(&mut self, now: Time) {
        while let Some((at, hash)) = self.expiries.front()
            && *at <= now
        {
            self.by_hash.remove(hash);
            self.expiries.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::auth::Scopes;

    fn holder() -> (Principal, AccountId) {
        let account = AccountId::parse("acme").unwrap();
        (Principal { key_id: Arc::from("key_1"), account: None, scopes: Scopes::ADMIN }, account)
    }

    #[test]
    fn a_ticket_opens_one_account_once_and_hands_on_no_administration() {
        let (tickets, (principal, account), now) = (Tickets::new(8), holder(), Time::from_ms(5));
        let minted = tickets.mint(&principal, &account, now).unwrap();
        let found = tickets.redeem(&minted.ticket, now).unwrap();
        assert_eq!(found.account, Some(account));
        assert!(found.allows(Scope::Wallboard) && !found.allows(Scope::AgentsManage));
        assert_eq!(tickets.redeem(&minted.ticket, now), None);
    }

    #[test]
    fn a_ticket_is_void_at_its_expiry_and_makes_room() {
        let (tickets, (principal, account), now) = (Tickets::new(1), holder(), Time::from_ms(5));
        let minted = tickets.mint(&principal, &account, now).unwrap();
        assert_eq!(tickets.mint(&principal, &account, now), Err(NoTicket::Full));
        assert_eq!(tickets.redeem(&minted.ticket, minted.expires_at), None);
        assert!(tickets.mint(&principal, &account, minted.expires_at).is_ok());
    }
}
