//! Scopes: what a credential may do.

use std::fmt;

/// One permission. `admin` holds all the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    AgentsRead,
    AgentsManage,
    PresenceRead,
    PresenceWrite,
    PresenceSupervise,
    QueuesRead,
    QueuesManage,
    Router,
    Registrar,
    Wallboard,
    /// Peers' numbers in clear.
    Numbers,
    Admin,
}

impl Scope {
    pub const ALL: [Self; 12] = [
        Self::AgentsRead,
        Self::AgentsManage,
        Self::PresenceRead,
        Self::PresenceWrite,
        Self::PresenceSupervise,
        Self::QueuesRead,
        Self::QueuesManage,
        Self::Router,
        Self::Registrar,
        Self::Wallboard,
        Self::Numbers,
        Self::Admin,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AgentsRead => "agents:read",
            Self::AgentsManage => "agents:manage",
            Self::PresenceRead => "presence:read",
            Self::PresenceWrite => "presence:write",
            Self::PresenceSupervise => "presence:supervise",
            Self::QueuesRead => "queues:read",
            Self::QueuesManage => "queues:manage",
            Self::Router => "router",
            Self::Registrar => "registrar",
            Self::Wallboard => "wallboard",
            Self::Numbers => "numbers",
            Self::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Scopes(u16);

impl Scopes {
    pub const ADMIN: Self = Self(Scope::Admin.bit());

    pub fn of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }

    /// Reads the stored form, words with spaces between them. A word that is not known, from a newer version, permits
    /// nothing.
    pub fn read(text: &str) -> Self {
        Self::of(text.split_whitespace().filter_map(Scope::parse))
    }

    /// Whether it permits `scope`, itself or as `admin`.
    pub const fn allows(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::Admin.bit()) != 0
    }

    /// What of this the other may hand on.
    pub fn within(self, other: Self) -> bool {
        self.iter().all(|scope| other.allows(scope))
    }

    /// What it permits of these.
    pub fn narrowed(self, to: &[Scope]) -> Self {
        Self::of(to.iter().copied().filter(|scope| self.allows(*scope)))
    }

    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & scope.bit() != 0)
    }

    pub fn names(self) -> Vec<&'static str> {
        self.iter().map(Scope::as_str).collect()
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{Scope, Scopes};

    #[test]
    fn each_scope_has_a_bit_and_a_name_of_its_own() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
            assert_eq!(Scopes::of([scope]).names(), [scope.as_str()]);
        }
    }

    #[test]
    fn admin_permits_everything_and_an_unknown_word_nothing() {
        assert!(Scope::ALL.into_iter().all(|scope| Scopes::ADMIN.allows(scope)));
        assert_eq!(Scopes::read("teleport"), Scopes::default());
        assert!(!Scopes::read("router").allows(Scope::Admin));
        assert!(Scopes::read("router wallboard").within(Scopes::ADMIN));
        assert!(!Scopes::ADMIN.within(Scopes::read("router")));
    }
}
