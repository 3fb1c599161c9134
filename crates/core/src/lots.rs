//! Drawing lots: a set of places from which one is drawn at random, evenly or by weight, in O(log n). The chance comes in
//! as a number; the same set and the same number give the same place, however the set came to be what it is.

use crate::offer::Fence;
use crate::slab::Ix;
use crate::time::Time;

const NIL: u32 = u32::MAX;

/// The nth number drawn for the grant of this token: SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>) over the three.
pub(crate) fn number(fence: Fence, nth: u64) -> u64 {
    fn mixed(seed: u64) -> u64 {
        let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    mixed(mixed(mixed(fence.term) ^ fence.n) ^ nth)
}

/// What a drawing goes by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chance {
    Even,
    /// The milliseconds since the entry's time, and one.
    ByAge {
        now: Time,
    },
}

impl Chance {
    fn weight(self, sum: Sum) -> u64 {
        match self {
            Self::Even => u64::from(sum.count),
            Self::ByAge { now } => {
                let all = u128::from(sum.count) * (u128::from(now.ms()) + 1);
                u64::try_from(all.saturating_sub(sum.since)).unwrap_or(u64::MAX)
            }
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: u32,
    /// Of the entries' times, ms.
    since: u128,
}

impl Sum {
    fn and(self, other: Self) -> Self {
        Self { count: self.count + other.count, since: self.since + other.since }
    }
}

/// A treap: a search tree by place whose shape follows from the places alone.
#[derive(Debug, Clone)]
pub(crate) struct Lots {
    nodes: Vec<Node>,
    free: Vec<u32>,
    root: u32,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    place: Ix,
    own: Sum,
    /// Of the whole subtree.
    sum: Sum,
    left: u32,
    right: u32,
}

impl Default for Lots {
    fn default() -> Self {
        Self { nodes: Vec::new(), free: Vec::new(), root: NIL }
    }
}

impl PartialEq for Lots {
    fn eq(&self, other: &Self) -> bool {
        self.entries(self.root) == other.entries(other.root)
    }
}

/// Nearer to the root the higher it is.
fn height(place: Ix) -> u64 {
    number(Fence { term: 0, n: u64::from(place.0) }, 0)
}

impl Lots {
    pub fn insert(&mut self, place: Ix, since: Time) {
        let own = Sum { count: 1, since: u128::from(since.ms()) };
        let node = Node { place, own, sum: own, left: NIL, right: NIL };
        let new = match self.free.pop() {
            Some(new) => {
                self.nodes[new as usize] = node;
                new
            }
            None => {
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).unwrap_or(NIL)
            }
        };
        let (left, right) = self.split(self.root, place);
        let left = self.merge(left, new);
        self.root = self.merge(left, right);
    }

    /// Takes a place out, if it is in.
    pub fn remove(&mut self, place: Ix) {
        let (left, rest) = self.split(self.root, place);
        let (found, right) = self.split(rest, Ix(place.0.saturating_add(1)));
        if found != NIL {
            self.free.push(found);
        }
        self.root = self.merge(left, right);
        if self.root == NIL {
            *self = Self::default();
        }
    }

    /// The place on which the number falls when every place has a share of the numbers that is its weight's.
    pub fn draw(&self, number: u64, chance: Chance) -> Option<Ix> {
        let all = chance.weight(self.sum(self.root));
        let mut at = self.nodes.get(self.root as usize)?;
        let mut rest = u64::try_from((u128::from(number) * u128::from(all)) >> 64).unwrap_or(0);
        loop {
            let before = chance.weight(self.sum(at.left));
            if rest < before {
                at = self.nodes.get(at.left as usize)?;
                continue;
            }
            rest -= before;
            let own = chance.weight(at.own);
            match self.nodes.get(at.right as usize) {
                Some(right) if rest >= own => {
                    rest -= own;
                    at = right;
                }
                Some(_) | None => return Some(at.place),
            }
        }
    }

    /// In order of place.
    fn entries(&self, at: u32) -> Vec<(Ix, u128)> {
        let Some(node) = self.nodes.get(at as usize) else { return Vec::new() };
        let mut entries = self.entries(node.left);
        entries.push((node.place, node.own.since));
        entries.append(&mut self.entries(node.right));
        entries
    }

    fn sum(&self, node: u32) -> Sum {
        self.nodes.get(node as usize).map_or(Sum::default(), |node| node.sum)
    }

    fn sum_up(&mut self, at: u32) {
        let Some(node) = self.nodes.get(at as usize) else { return };
        let sum = node.own.and(self.sum(node.left)).and(self.sum(node.right));
        self.nodes[at as usize].sum = sum;
    }

    /// Places before `place`, and the rest.
    fn split(&mut self, at: u32, place: Ix) -> (u32, u32) {
        let Some(node) = self.nodes.get(at as usize).copied() else { return (NIL, NIL) };
        if node.place < place {
            let (left, right) = self.split(node.right, place);
            self.nodes[at as usize].right = left;
            self.sum_up(at);
            (at, right)
        } else {
            let (left, right) = self.split(node.left, place);
            self.nodes[at as usize].left = right;
            self.sum_up(at);
            (left, at)
        }
    }

    /// All places of `left` come before those of `right`.
    fn merge(&mut self, left: u32, right: u32) -> u32 {
        let (Some(one), Some(other)) = (self.nodes.get(left as usize), self.nodes.get(right as usize)) else {
            return if left == NIL { right } else { left };
        };
        // Heights of two places may be equal; then the lower place is the higher up.
        let left_is_up = (height(one.place), other.place) >= (height(other.place), one.place);
        if left_is_up {
            let inner = one.right;
            let merged = self.merge(inner, right);
            self.nodes[left as usize].right = merged;
            self.sum_up(left);
            left
        } else {
            let inner = other.left;
            let merged = self.merge(left, inner);
            self.nodes[right as usize].left = merged;
            self.sum_up(right);
            right
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// The same, place by place.
    fn drawn(held: &BTreeMap<Ix, Time>, number: u64, chance: Chance) -> Option<Ix> {
        let weight = |since: Time| match chance {
            Chance::Even => 1,
            Chance::ByAge { now } => now.since(since) + 1,
        };
        let all: u64 = held.values().map(|since| weight(*since)).sum();
        let mut rest = u64::try_from((u128::from(number) * u128::from(all)) >> 64).unwrap();
        for (place, since) in held {
            if rest < weight(*since) {
                return Some(*place);
            }
            rest -= weight(*since);
        }
        None
    }

    fn depth(lots: &Lots, at: u32) -> usize {
        match lots.nodes.get(at as usize) {
            Some(node) => 1 + depth(lots, node.left).max(depth(lots, node.right)),
            None => 0,
        }
    }

    proptest! {
        #[test]
        fn a_draw_is_what_going_through_all_of_them_gives(
            moves in prop::collection::vec((0..40_u32, 0..1_000_u64, any::<bool>()), 1..120),
            numbers in prop::collection::vec(any::<u64>(), 8),
        ) {
            let (mut lots, mut held) = (Lots::default(), BTreeMap::new());
            for (place, since, comes) in moves {
                lots.remove(Ix(place));
                held.remove(&Ix(place));
                if comes {
                    lots.insert(Ix(place), Time::from_ms(since));
                    held.insert(Ix(place), Time::from_ms(since));
                }
                for number in &numbers {
                    for chance in [Chance::Even, Chance::ByAge { now: Time::from_ms(2_000) }] {
                        prop_assert_eq!(lots.draw(*number, chance), drawn(&held, *number, chance));
                    }
                }
            }
        }
    }

    #[test]
    fn a_hundred_thousand_places_are_some_forty_steps_deep() {
        let mut lots = Lots::default();
        (0..100_000).for_each(|place| lots.insert(Ix(place), Time::ZERO));
        let depth = depth(&lots, lots.root);
        assert!(depth < 64, "{depth}");
    }

    #[test]
    fn every_place_is_drawn_about_as_often_as_its_weight_says() {
        let mut lots = Lots::default();
        // Idle for 0, 1, 2 and 3 ms: weights of 1 to 4.
        (0..4).for_each(|n| lots.insert(Ix(n), Time::from_ms(u64::from(3 - n))));
        for (chance, shares) in
            [(Chance::Even, [25, 25, 25, 25]), (Chance::ByAge { now: Time::from_ms(3) }, [10, 20, 30, 40])]
        {
            let mut counts = [0_u32; 4];
            for n in 0..10_000 {
                let place = lots.draw(number(Fence { term: 7, n }, 0), chance).unwrap();
                counts[place.0 as usize] += 1;
            }
            for (count, share) in counts.iter().zip(shares) {
                assert!(count.abs_diff(share * 100) < 250, "{counts:?} is not {shares:?}");
            }
        }
    }
}
