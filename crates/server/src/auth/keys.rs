//! The keys a server believes, in memory: those of the engine's store, and in development one more.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use ringfence::{AccountId, Engine, KeyRow, Time};

use super::secret::{self, NoRandom, SECRET_LENGTH_MAX, SecretHash};
use super::{Principal, Scopes};

/// Id of the development key, which no store holds.
pub(crate) const DEV_KEY_ID: &str = "key_dev";

/// Keys by the hash of their secret, and by id.
#[derive(Debug, Default)]
pub(crate) struct KeyRing {
    keys: RwLock<Keys>,
}

#[derive(Debug, Default)]
struct Keys {
    by_hash: HashMap<SecretHash, Held>,
    by_id: HashMap<Arc<str>, SecretHash>,
}

#[derive(Debug)]
struct Held {
    principal: Principal,
    expires_at: Option<Time>,
    /// None for the development key.
    row: Option<KeyRow>,
}

/// A key as it is made: the secret is shown once.
#[derive(Debug)]
pub(crate) struct NewKey {
    pub secret: String,
    pub row: KeyRow,
}

impl NewKey {
    pub fn mint(
        account: Option<&AccountId>,
        scopes: Scopes,
        label: String,
        now: Time,
        expires_at: Option<u64>,
    ) -> Result<Self, NoRandom> {
        let (id, secret, hash) = secret::new_key()?;
        let row = KeyRow {
            id,
            hash,
            account: account.map(ToString::to_string).unwrap_or_default(),
            scopes: scopes.names().join(" "),
            label,
            created_at: now.ms(),
            expires_at,
        };
        Ok(Self { secret, row })
    }
}

impl KeyRing {
    /// All keys of the store. A row whose account is no id belongs to nobody and opens nothing.
    pub fn load(engine: &Engine) -> Self {
        let ring = Self::default();
        for row in engine.keys() {
            ring.add(&row);
        }
        ring
    }

    pub fn add(&self, row: &KeyRow) {
        let account = match row.account.as_str() {
            "" => None,
            text => match AccountId::parse(text) {
                Ok(account) => Some(account),
                Err(_) => return,
            },
        };
        let principal =
            Principal { key_id: Arc::from(row.id.as_str()), account, scopes: Scopes::read(&row.scopes) };
        let expires_at = row.expires_at.map(Time::from_ms);
        self.keys.write().put(row.hash, Held { principal, expires_at, row: Some(row.clone()) });
    }

    pub fn add_development(&self, secret: &str) {
        let principal = Principal { key_id: Arc::from(DEV_KEY_ID), account: None, scopes: Scopes::ADMIN };
        self.keys.write().put(secret::hash(secret), Held { principal, expires_at: None, row: None });
    }

    pub fn remove(&self, id: &str) {
        let mut keys = self.keys.write();
        if let Some(hash) = keys.by_id.remove(id) {
            keys.by_hash.remove(&hash);
        }
    }

    /// Who holds this secret.
    pub fn find(&self, secret: &str, now: Time) -> Option<Principal> {
        if secret.len() > SECRET_LENGTH_MAX {
            return None;
        }
        let keys = self.keys.read();
        let held = keys.by_hash.get(&secret::hash(secret))?;
        held.lives(now).then(|| held.principal.clone())
    }

    /// Whether the key still opens anything: a socket outlives the moment its key was looked at.
    pub fn lives(&self, id: &str, now: Time) -> bool {
        let keys = self.keys.read();
        keys.by_id.get(id).and_then(|hash| keys.by_hash.get(hash)).is_some_and(|held| held.lives(now))
    }

    /// How many keys there are that somebody made.
    pub fn len(&self) -> usize {
        self.keys.read().by_hash.values().filter(|held| held.row.is_some()).count()
    }

    /// The rows of those, by id.
    pub fn rows(&self) -> Vec<KeyRow> {
        let mut rows: Vec<KeyRow> =
            self.keys.read().by_hash.values().filter_map(|held| held.row.clone()).collect();
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        rows
    }

    pub fn row(&self, id: &str) -> Option<KeyRow> {
        let keys = self.keys.read();
        keys.by_id.get(id).and_then(|hash| keys.by_hash.get(hash)).and_then(|held| held.row.clone())
    }

    pub fn development(&self) -> Option<Principal> {
        let keys = self.keys.read();
        let held = keys.by_id.get(DEV_KEY_ID).and_then(|hash| keys.by_hash.get(hash))?;
        Some(held.principal.clone())
    }
}

impl Keys {
    fn put(&mut self, hash: SecretHash, held: Held) {
        self.by_id.insert(held.principal.key_id.clone(), hash);
        self.by_hash.insert(hash, held);
    }
}

impl Held {
    fn lives(&self, now: Time) -> bool {
        self.expires_at.is_none_or(|at| at > now)
    }
}
