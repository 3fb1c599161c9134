//! Who is asking, and for which account.

use std::fmt;

use ringfence_core::AccountId;

/// A key, and the account it is to be used for where the key may choose one.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    key: String,
    account: Option<AccountId>,
}

impl Credential {
    pub fn new(key: impl Into<String>) -> Self {
        Self { key: key.into(), account: None }
    }

    /// The same key, used for this account.
    #[must_use]
    pub fn for_account(&self, account: AccountId) -> Self {
        Self { key: self.key.clone(), account: Some(account) }
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn account(&self) -> Option<&AccountId> {
        self.account.as_ref()
    }

    /// The headers that carry it, by name and value.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let account = self.account.as_ref().map(|account| ("x-account-id", account.to_string()));
        std::iter::once(("authorization", format!("Bearer {}", self.key))).chain(account)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A key in a log is a key to be replaced.
        formatter.debug_struct("Credential").field("account", &self.account).finish_non_exhaustive()
    }
}
