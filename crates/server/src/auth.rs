//! Who is asking, and what they may: API keys, the development key, tickets.

mod credential;
mod keys;
mod principal;
mod scope;
mod secret;
mod tickets;

pub(crate) use credential::bearer;
pub(crate) use keys::{DEV_KEY_ID, KeyRing, NewKey};
pub(crate) use principal::{DEFAULT_ACCOUNT, Principal};
pub(crate) use scope::{Scope, Scopes};
pub(crate) use secret::{NoRandom, mint as mint_secret, random_text};
pub(crate) use tickets::Tickets;
