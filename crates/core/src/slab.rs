//! Dense, stable places: an index keeps its meaning while its entry lives, and pages of a snapshot are ranges of it.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Place of an entry. Reused, lowest first, after the entry is gone; replay makes the same choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ix(pub u32);

/// A small set of places, in the order they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IxSet(SmallVec<[Ix; 4]>);

impl IxSet {
    pub fn insert(&mut self, ix: Ix) {
        if !self.0.contains(&ix) {
            self.0.push(ix);
        }
    }

    pub fn remove(&mut self, ix: Ix) {
        self.0.retain(|held| *held != ix);
    }

    pub fn iter(&self) -> impl Iterator<Item = Ix> {
        self.0.iter().copied()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A vector with holes.
#[derive(Debug, Clone, PartialEq)]
pub struct Slab<T> {
    entries: Vec<Option<T>>,
    free: std::collections::BTreeSet<u32>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: std::collections::BTreeSet::new(), len: 0 }
    }
}

impl<T> Slab<T> {
    pub fn insert(&mut self, entry: T) -> Ix {
        self.len += 1;
        if let Some(place) = self.free.pop_first() {
            self.entries[place as usize] = Some(entry);
            return Ix(place);
        }
        let place = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.entries.push(Some(entry));
        Ix(place)
    }

    /// Puts an entry where a snapshot says it stood.
    pub fn restore(&mut self, ix: Ix, entry: T) {
        let place = ix.0 as usize;
        while self.entries.len() <= place {
            let hole = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
            self.free.insert(hole);
            self.entries.push(None);
        }
        self.free.remove(&ix.0);
        if self.entries[place].replace(entry).is_none() {
            self.len += 1;
        }
    }

    pub fn remove(&mut self, ix: Ix) -> Option<T> {
        let entry = self.entries.get_mut(ix.0 as usize)?.take()?;
        self.len -= 1;
        self.free.insert(ix.0);
        // Holes at the end are given back, so that a slab rebuilt from pages is equal to the live one.
        while self.entries.last().is_some_and(Option::is_none) {
            self.entries.pop();
            self.free.remove(&u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        }
        Some(entry)
    }

    pub fn get(&self, ix: Ix) -> Option<&T> {
        self.entries.get(ix.0 as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, ix: Ix) -> Option<&mut T> {
        self.entries.get_mut(ix.0 as usize)?.as_mut()
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// In order of place.
    pub fn iter(&self) -> impl Iterator<Item = (Ix, &T)> {
        self.entries.iter().enumerate().filter_map(|(place, entry)| {
            Some((Ix(u32::try_from(place).unwrap_or(u32::MAX)), entry.as_ref()?))
        })
    }

    /// The entries of one page, in order of place.
    pub fn page(&self, number: u32, size: u32) -> impl Iterator<Item = (Ix, &T)> {
        let first = number.saturating_mul(size);
        (first..first.saturating_add(size)).filter_map(|place| Some((Ix(place), self.get(Ix(place))?)))
    }
}
