//! Whether the file is one that can be worked with at all. What lies in its rows has checksums of its own; what holds
//! the rows together has not, and a row that is gone from it is gone without a word.

use rusqlite::Connection;

use crate::db;

/// Faults listed; a file that has that many is beyond telling more.
const FAULTS_MAX: usize = 100;

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Every page and every row's place; 0.2 s for 400 MB that are in memory.
    Quick,
    /// The contents of indexes against those of their tables too.
    Full,
}

/// What is wrong; empty if nothing.
pub(crate) fn faults(conn: &Connection, depth: Depth) -> rusqlite::Result<Vec<String>> {
    let found = db::schema_of(conn)?;
    let missing = |(name, sql): &(String, Option<String>)| match found.iter().find(|(known, _)| known == name)
    {
        None => Some(format!("{name} is missing")),
        Some((_, known)) if plain(known) != plain(sql) => Some(format!("{name} is not made as it was")),
        Some(_) => None,
    };
    let faults = db::schema()?.iter().filter_map(missing).collect::<Vec<_>>();
    if faults.is_empty() { pages(conn, depth) } else { Ok(faults) }
}

/// A table that was renamed and back has its name in quotes.
fn plain(sql: &Option<String>) -> Option<String> {
    sql.as_ref().map(|sql| sql.replace('"', ""))
}

/// The same without asking what tables there are.
pub(crate) fn pages(conn: &Connection, depth: Depth) -> rusqlite::Result<Vec<String>> {
    let check = match depth {
        Depth::Quick => "quick_check",
        Depth::Full => "integrity_check",
    };
    let mut statement = conn.prepare(&format!("PRAGMA {check}({FAULTS_MAX})"))?;
    let lines: rusqlite::Result<Vec<String>> = statement.query_map([], |row| row.get(0))?.collect();
    Ok(lines?.into_iter().filter(|line| line != "ok").collect())
}
