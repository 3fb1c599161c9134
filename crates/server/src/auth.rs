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
pub use secret::{NoRandom, new_key};
pub(crate) use secret::{mint as mint_secret, random_text};

/// Scopes a key may have.
pub fn scope_names() -> impl Iterator<Item = &'static str> {
    Scope::ALL.into_iter().map(Scope::as_str)
}
pub(crate) use tickets::Tickets;
