//! Whoever a request is made for.

use std::sync::Arc;

use ringfence::AccountId;

use super::keys::DEV_KEY_ID;
use super::{Scope, Scopes};

/// The account the development key acts in when a request names none.
pub(crate) const DEFAULT_ACCOUNT: &str = "default";

/// A credential that was believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    pub key_id: Arc<str>,
    /// None: an administrator of the server, who names an account per request.
    pub account: Option<AccountId>,
    pub scopes: Scopes,
}

impl Principal {
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.allows(scope)
    }

    pub fn is_development(&self) -> bool {
        &*self.key_id == DEV_KEY_ID
    }
}
