//! What is known by a caller's id and comes and goes by the thousand: offers and calls. Entries lie in the order of their
//! places, which are reused as soon as they are free, so that what is old lies together; the index holds places, not ids.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::slab::Ix;

/// Has an id of its own within its roll.
pub(crate) trait Named {
    fn name(&self) -> &str;
}

#[derive(Debug)]
pub(crate) struct Roll<T> {
    places: Vec<Place<T>>,
    free: Vec<Ix>,
    index: HashTable<Ix>,
    hasher: FixedState,
}

/// The hash stands beside the entry, so that the index moves and forgets without looking into what may be long cold.
#[derive(Debug)]
struct Place<T> {
    hash: u64,
    entry: Option<T>,
}

impl<T: Named> Roll<T> {
    /// The seed keeps whoever chooses names from knowing which of them share a slot of the index.
    pub fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self { places: Vec::new(), free: Vec::new(), index: HashTable::new(), hasher }
    }

    /// Adds an entry, or puts it in the place of the one of the same name.
    pub fn insert(&mut self, entry: T) -> Ix {
        let hash = self.hasher.hash_one(entry.name());
        if let Some(ix) = self.look_up(hash, entry.name()) {
            self.places[ix.0 as usize].entry = Some(entry);
            return ix;
        }
        let place = Place { hash, entry: Some(entry) };
        let ix = match self.free.pop() {
            Some(ix) => {
                self.places[ix.0 as usize] = place;
                ix
            }
            None => {
                self.places.push(place);
                Ix(u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX))
            }
        };
        let places = &self.places;
        self.index.insert_unique(hash, ix, |ix| places[ix.0 as usize].hash);
        ix
    }

    pub fn find(&self, name: &str) -> Option<Ix> {
        self.look_up(self.hasher.hash_one(name), name)
    }

    fn look_up(&self, hash: u64, name: &str) -> Option<Ix> {
        let is = |ix: &Ix| {
            let place = &self.places[ix.0 as usize];
            place.hash == hash && place.entry.as_ref().is_some_and(|entry| entry.name() == name)
        };
        self.index.find(hash, is).copied()
    }

    pub fn get(&self, name: &str) -> Option<&T> {
        self.at(self.find(name)?)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.at_mut(self.find(name)?)
    }

    pub fn at(&self, ix: Ix) -> Option<&T> {
        self.places.get(ix.0 as usize)?.entry.as_ref()
    }

    pub fn at_mut(&mut self, ix: Ix) -> Option<&mut T> {
        self.places.get_mut(ix.0 as usize)?.entry.as_mut()
    }

    pub fn remove(&mut self, ix: Ix) -> Option<T> {
        let place = self.places.get_mut(ix.0 as usize)?;
        let entry = place.entry.take()?;
        if let Ok(held) = self.index.find_entry(place.hash, |held| *held == ix) {
            held.remove();
        }
        self.free.push(ix);
        Some(entry)
    }

    /// In order of place.
    pub fn iter(&self) -> impl Iterator<Item = (Ix, &T)> {
        self.places.iter().enumerate().filter_map(|(number, place)| {
            Some((Ix(u32::try_from(number).unwrap_or(u32::MAX)), place.entry.as_ref()?))
        })
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.places.iter().filter_map(|place| place.entry.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Named for (String, u32) {
        fn name(&self) -> &str {
            &self.0
        }
    }

    fn entry(name: &str, value: u32) -> (String, u32) {
        (name.to_owned(), value)
    }

    #[test]
    fn an_entry_is_found_by_name_until_it_is_removed_and_its_place_is_used_again() {
        let mut roll = Roll::new(1);
        for n in 0..1_000 {
            roll.insert(entry(&format!("k{n}"), n));
        }
        for n in (0..1_000).step_by(3) {
            let ix = roll.find(&format!("k{n}")).expect("an entry");
            assert_eq!(roll.remove(ix), Some(entry(&format!("k{n}"), n)));
            assert_eq!(roll.remove(ix), None);
        }
        for n in 0..1_000 {
            let held = roll.get(&format!("k{n}")).map(|(_, value)| *value);
            assert_eq!(held, (n % 3 != 0).then_some(n));
        }
        let again = roll.insert(entry("again", 7));
        assert!(again.0 < 1_000, "a free place");
        assert_eq!(roll.at(again), Some(&entry("again", 7)));
        assert_eq!(roll.values().count(), 667);
    }

    #[test]
    fn an_entry_of_the_same_name_takes_the_place() {
        let mut roll = Roll::new(1);
        let first = roll.insert(entry("a", 1));
        assert_eq!(roll.insert(entry("a", 2)), first);
        assert_eq!(roll.iter().collect::<Vec<_>>(), [(first, &entry("a", 2))]);
    }
}
