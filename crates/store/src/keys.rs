//! The table of API keys. A row that fails its checksum is no key: a flipped bit must not widen a scope.

use rusqlite::{Connection, Row, params};

use crate::error::Damage;
use crate::scan::{Fault, Harm};
use crate::write::{KeyRow, TableOp};

pub(crate) fn apply(conn: &Connection, op: &TableOp) -> rusqlite::Result<()> {
    match op {
        TableOp::PutKey(key) => conn
            .prepare_cached(
                "INSERT OR REPLACE INTO key(id, hash, account, scopes, label, created_at, expires_at, sum)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                key.id,
                key.hash,
                key.account,
                key.scopes,
                key.label,
                key.created_at.cast_signed(),
                key.expires_at.map(u64::cast_signed),
                sum(key)
            ])
            .map(drop),
        TableOp::DropKey { id } => {
            conn.prepare_cached("DELETE FROM key WHERE id = ?")?.execute([id]).map(drop)
        }
    }
}

/// The keys that can be believed, by id.
pub(crate) fn read(conn: &Connection) -> rusqlite::Result<Vec<KeyRow>> {
    let mut keys = Vec::new();
    each(conn, |key, sound| {
        if sound {
            keys.push(key);
        }
    })?;
    Ok(keys)
}

/// How many keys there are, and those that cannot be believed.
pub(crate) fn check(conn: &Connection) -> rusqlite::Result<(u64, Vec<Fault>)> {
    let (mut keys, mut faults) = (0, Vec::new());
    each(conn, |key, sound| {
        keys += 1;
        if !sound {
            let damage = Damage::new(
                "its row fails its checksum: drop it and make another",
                format!("key {}", key.id),
            );
            faults.push(Fault { damage, harm: Harm::Key(key.id) });
        }
    })?;
    Ok((keys, faults))
}

fn each(conn: &Connection, mut take: impl FnMut(KeyRow, bool)) -> rusqlite::Result<()> {
    let columns = "id, hash, account, scopes, label, created_at, expires_at, sum";
    let mut statement = conn.prepare_cached(&format!("SELECT {columns} FROM key ORDER BY id"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key = from_row(row)?;
        let sound = row.get::<_, u32>(7)? == sum(&key);
        take(key, sound);
    }
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<KeyRow> {
    Ok(KeyRow {
        id: row.get(0)?,
        hash: row.get(1)?,
        account: row.get(2)?,
        scopes: row.get(3)?,
        label: row.get(4)?,
        created_at: row.get::<_, i64>(5)?.cast_unsigned(),
        expires_at: row.get::<_, Option<i64>>(6)?.map(i64::cast_unsigned),
    })
}

fn sum(key: &KeyRow) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    for text in [&key.id, &key.account, &key.scopes, &key.label] {
        crc.update(&(text.len() as u64).to_le_bytes());
        crc.update(text.as_bytes());
    }
    crc.update(&key.hash);
    crc.update(&key.created_at.to_le_bytes());
    crc.update(&[u8::from(key.expires_at.is_some())]);
    crc.update(&key.expires_at.unwrap_or(0).to_le_bytes());
    crc.finalize()
}
