//! Keys in a data directory nobody has open: how the first key of a server comes to be.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ringfence_store::{Config, Durability, KeyRow, Opened, TableOp};
use serde_json::{Value, json};

use crate::failure::Failure;

/// What a key is to be.
#[derive(Debug)]
pub struct Made {
    /// Empty: an administrator of the server, who names an account per request.
    pub account: String,
    /// Separated by spaces.
    pub scopes: String,
    pub label: String,
    pub now: u64,
    pub expires_at: Option<u64>,
}

/// Makes a key and answers what a server would: the only time its secret is seen.
pub fn create(dir: &Path, made: Made) -> Result<Value, Failure> {
    let (id, secret, hash) = ringfence_server::new_key().map_err(Failure::of)?;
    let Made { account, scopes, label, now, expires_at } = made;
    let shown = json!({
        "id": id, "key": secret, "account_id": some(&account), "scopes": words(&scopes), "label": label,
        "created_at": now, "expires_at": expires_at,
    });
    let row = KeyRow { id, hash, account, scopes, label, created_at: now, expires_at };
    change(dir, &TableOp::PutKey(row))?;
    Ok(shown)
}

pub fn list(dir: &Path) -> Result<Vec<Value>, Failure> {
    let opened = open_existing(dir)?;
    let keys = opened.reader.keys();
    opened.store.close().map_err(Failure::of)?;
    let shown = |key: &KeyRow| {
        json!({
            "id": key.id, "account_id": some(&key.account), "scopes": words(&key.scopes), "label": key.label,
            "created_at": key.created_at, "expires_at": key.expires_at,
        })
    };
    Ok(keys.map_err(Failure::of)?.iter().map(shown).collect())
}

pub fn revoke(dir: &Path, id: &str) -> Result<(), Failure> {
    let mut opened = open_existing(dir)?;
    let keys = opened.reader.keys().map_err(Failure::of);
    let outcome = keys.and_then(|keys| {
        if !keys.iter().any(|key| key.id == id) {
            return Err(Failure::Failed(format!("there is no key {id:?}; `ringfence key list` shows them")));
        }
        opened.store.apply_ops(&[TableOp::DropKey { id: id.to_owned() }]).map_err(Failure::of)
    });
    outcome.and(opened.store.close().map_err(Failure::of))
}

pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn change(dir: &Path, op: &TableOp) -> Result<(), Failure> {
    let mut opened = open(dir)?;
    let changed = opened.store.apply_ops(std::slice::from_ref(op)).map_err(Failure::of);
    changed.and(opened.store.close().map_err(Failure::of))
}

fn some(account: &str) -> Option<&str> {
    Some(account).filter(|account| !account.is_empty())
}

fn words(scopes: &str) -> Vec<&str> {
    scopes.split_whitespace().collect()
}

/// To look for keys in a directory must not make one.
fn open_existing(dir: &Path) -> Result<Opened, Failure> {
    if !dir.join("ringfence.db").exists() {
        return Err(Failure::Failed(format!("{} is not a data directory", dir.display())));
    }
    open(dir)
}

fn open(dir: &Path) -> Result<Opened, Failure> {
    let config = Config::new(dir, Durability::Sync, now_ms());
    ringfence_store::open(&config).map_err(Failure::of)
}
