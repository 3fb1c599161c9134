//! Deleting batches nobody needs, and remembering that it was us.
//!
//! Batches go in any order, so that one account without a snapshot holds back its own batches only. Of what went, a
//! run of ids is one row of `gap` with the crc of the run's last batch: ids and the chain go on across it, and a batch
//! that is missing without a gap is damage.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

/// Most a trim deletes, in bytes and in batches, so that the commits between two trims wait a few milliseconds only.
pub(crate) const TRIM_BYTES_MAX: u64 = 1 << 20;
pub(crate) const TRIM_BATCHES_MAX: usize = 4096;
/// Most trims that follow one commit, when a lot has become free at once.
pub(crate) const TRIMS_MAX: u64 = 8;

/// Runs of trimmed batches, by their first id.
#[derive(Default)]
pub(crate) struct Gaps(BTreeMap<u64, Gap>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) last: u64,
    /// Of the last batch.
    pub(crate) crc: u32,
}

/// One gap as it will be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    first: u64,
    gap: Gap,
    /// Gaps that become part of it, by their first ids.
    absorbed: Vec<u64>,
    /// Runs of batches to delete.
    runs: Vec<(u64, u64)>,
}

impl Gaps {
    /// Leaves out rows that fail their checksum: what they cover then counts as missing.
    pub(crate) fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let mut gaps = BTreeMap::new();
        let mut statement = conn.prepare("SELECT first, last, crc, sum FROM gap")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let first = row.get::<_, i64>(0)?.cast_unsigned();
            let gap = Gap { last: row.get::<_, i64>(1)?.cast_unsigned(), crc: row.get(2)? };
            if row.get::<_, u32>(3)? == gap.sum(first) {
                gaps.insert(first, gap);
            }
        }
        Ok(Self(gaps))
    }

    /// The gap that `id` lies in.
    pub(crate) fn at(&self, id: u64) -> Option<Gap> {
        self.0.range(..=id).next_back().map(|(_, gap)| *gap).filter(|gap| gap.last >= id)
    }

    pub(crate) fn first_from(&self, id: u64) -> Option<u64> {
        self.0.range(id..).next().map(|(first, _)| *first)
    }

    /// One beyond the highest id ever trimmed.
    pub(crate) fn end(&self) -> Option<u64> {
        self.0.values().next_back().map(|gap| gap.last + 1)
    }

    /// What trimming these batches, ascending and each with its crc, makes of the gaps.
    pub(crate) fn plan(&self, batches: &[(u64, u32)]) -> Vec<Merge> {
        let mut merges: Vec<Merge> = Vec::new();
        for &(id, crc) in batches {
            let follows = merges.last().is_some_and(|merge| merge.gap.last + 1 == id);
            let mut merge = match merges.pop() {
                Some(merge) if follows => merge,
                former => {
                    merges.extend(former);
                    self.begin(id)
                }
            };
            match merge.runs.last_mut().filter(|run| run.1 + 1 == id) {
                Some(run) => run.1 = id,
                None => merge.runs.push((id, id)),
            }
            merge.gap = Gap { last: id, crc };
            if let Some(next) = self.0.get(&(id + 1)) {
                merge.absorbed.push(id + 1);
                merge.gap = *next;
            }
            merges.push(merge);
        }
        merges
    }

    /// A gap that reaches up to `id`, with what lies directly before it.
    fn begin(&self, id: u64) -> Merge {
        let before = self.0.range(..id).next_back().filter(|(_, gap)| gap.last + 1 == id);
        Merge {
            first: before.map_or(id, |(first, _)| *first),
            gap: Gap { last: id, crc: 0 },
            absorbed: before.into_iter().map(|(first, _)| *first).collect(),
            runs: Vec::new(),
        }
    }

    pub(crate) fn apply(&mut self, merges: &[Merge]) {
        for merge in merges {
            for first in &merge.absorbed {
                self.0.remove(first);
            }
            self.0.insert(merge.first, merge.gap);
        }
    }
}

impl Gap {
    fn sum(&self, first: u64) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&first.to_le_bytes());
        crc.update(&self.last.to_le_bytes());
        crc.update(&self.crc.to_le_bytes());
        crc.finalize()
    }
}

impl Merge {
    pub(crate) fn write(&self, conn: &Connection) -> rusqlite::Result<()> {
        for (first, last) in &self.runs {
            conn.prepare_cached("DELETE FROM batch WHERE id BETWEEN ? AND ?")?
                .execute([first.cast_signed(), last.cast_signed()])?;
        }
        for first in &self.absorbed {
            conn.prepare_cached("DELETE FROM gap WHERE first = ?")?.execute([first.cast_signed()])?;
        }
        conn.prepare_cached("INSERT INTO gap(first, last, crc, sum) VALUES (?, ?, ?, ?)")?
            .execute(params![
                self.first.cast_signed(),
                self.gap.last.cast_signed(),
                self.gap.crc,
                self.gap.sum(self.first)
            ])
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_grow_together_and_keep_the_crc_of_their_last_batch() {
        let mut gaps = Gaps::default();
        let mut trim = |ids: &[u64]| {
            let batches: Vec<_> = ids.iter().map(|id| (*id, u32::try_from(*id).unwrap() * 10)).collect();
            gaps.apply(&gaps.plan(&batches));
            gaps.0.iter().map(|(first, gap)| (*first, gap.last, gap.crc)).collect::<Vec<_>>()
        };
        assert_eq!(trim(&[5, 6]), [(5, 6, 60)]);
        assert_eq!(trim(&[2, 9]), [(2, 2, 20), (5, 6, 60), (9, 9, 90)]);
        assert_eq!(trim(&[3, 4, 7]), [(2, 7, 70), (9, 9, 90)]);
        assert_eq!(trim(&[1, 8, 10]), [(1, 10, 100)]);
        assert_eq!(trim(&[12]), [(1, 10, 100), (12, 12, 120)]);
    }
}
