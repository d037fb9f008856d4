//! A table whose keys are small numbers that are not reused by mistake: a stale key finds nothing. And maps by such keys.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// Bits of a key that index the table; the others count how often the place was used.
const INDEX_BITS: u32 = usize::BITS / 2;
const INDEX_MASK: usize = (1 << INDEX_BITS) - 1;

/// A full table grows by one part in so many, and at least by so many places: were it doubled, up to half of it would lie
/// unused below thousands of idle connections.
const GROWTH: usize = 4;

/// Values under keys, of which each is given out once: its upper half guards against the reuse of its lower half.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Place<T> {
    uses: usize,
    value: Option<T>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    /// Stores a value and returns its key.
    pub(crate) fn insert(&mut self, value: T) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            if self.places.len() == self.places.capacity() {
                self.places
                    .reserve_exact((self.places.len() / GROWTH).max(GROWTH));
            }
            self.places.push(Place { uses: 0, value: None });
            self.places.len() - 1
        });
        let Some(place) = self.places.get_mut(index) else {
            return usize::MAX;
        };
        place.value = Some(value);
        (place.uses << INDEX_BITS) | index
    }

    /// Returns the key that the next [`insert`](Self::insert) will give out.
    pub(crate) fn vacant_key(&self) -> usize {
        match self.free.last() {
            Some(&index) => self
                .places
                .get(index)
                .map_or(index, |place| (place.uses << INDEX_BITS) | index),
            None => self.places.len(),
        }
    }

    /// Removes the value under a key.
    pub(crate) fn remove(&mut self, key: usize) -> Option<T> {
        let place = self.places.get_mut(key & INDEX_MASK)?;
        if place.uses != key >> INDEX_BITS {
            return None;
        }
        let value = place.value.take()?;
        place.uses = (place.uses + 1) & INDEX_MASK;
        self.free.push(key & INDEX_MASK);
        Some(value)
    }

    #[inline]
    pub(crate) fn get(&self, key: usize) -> Option<&T> {
        let place = self.places.get(key & INDEX_MASK)?;
        place.value.as_ref().filter(|_| place.uses == key >> INDEX_BITS)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: usize) -> Option<&mut T> {
        let place = self.places.get_mut(key & INDEX_MASK)?;
        place.value.as_mut().filter(|_| place.uses == key >> INDEX_BITS)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        let key = |(index, place): (usize, &Place<T>)| (place.uses << INDEX_BITS) | index;
        let used = self.places.iter().enumerate();
        used.filter_map(move |(index, place)| Some((key((index, place)), place.value.as_ref()?)))
    }

    pub(crate) fn keys(&self) -> Vec<usize> {
        self.iter().map(|(key, _)| key).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

/// What is known beside a slab of some of its keys.
pub(crate) type KeyMap<T> = HashMap<usize, T, BuildHasherDefault<KeyHasher>>;

/// Some of the keys of a slab.
pub(crate) type KeySet = HashSet<usize, BuildHasherDefault<KeyHasher>>;

/// Some of the keys of a slab, for who asks with each message: there is a place for each index, and the member is in it.
/// Of two keys with the same index, the first of which is stale, the later one is a member.
#[derive(Debug, Default)]
pub(crate) struct KeyMarks(Vec<usize>);

impl KeyMarks {
    /// No key, for none has so large an index.
    const NONE: usize = usize::MAX;
    /// No slab has so many values: the pipes would be tens of gigabytes. A key beyond is stray, and must not
    /// cost the memory of all those before it.
    const MAX_INDEX: usize = 1 << 24;

    /// Makes a key a member; returns whether it was none. A stray key is never one.
    #[inline]
    pub(crate) fn insert(&mut self, key: usize) -> bool {
        let index = key & INDEX_MASK;
        if index > Self::MAX_INDEX {
            return false;
        }
        if index >= self.0.len() {
            self.0.resize(index + 1, Self::NONE);
        }
        let place = self.0.get_mut(index);
        place.is_some_and(|place| std::mem::replace(place, key) != key)
    }

    /// Lets a key be none; returns whether it was a member.
    #[inline]
    pub(crate) fn remove(&mut self, key: usize) -> bool {
        let place = self.0.get_mut(key & INDEX_MASK).filter(|place| **place == key);
        place.map(|place| *place = Self::NONE).is_some()
    }
}

/// Hashes the keys of a slab. No peer chooses them, so it need not withstand one who seeks collisions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyHasher(u64);

impl KeyHasher {
    /// 2^64 divided by the golden ratio, and odd: neighbours are spread over the upper bits, and do not meet in the lower.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
}

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_usize(usize::from(*byte)));
    }

    #[inline]
    fn write_usize(&mut self, key: usize) {
        self.0 = (self.0 ^ key as u64).wrapping_mul(Self::FACTOR);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spread_over_both_ends_of_a_hash() {
        let hash = |key| {
            let mut hasher = KeyHasher::default();
            hasher.write_usize(key);
            hasher.finish()
        };
        // Both new keys and those of places that were used before.
        let keys = (0..64).flat_map(|index| (0..4).map(move |uses| (uses << INDEX_BITS) | index));
        let hashes: Vec<_> = keys.map(hash).collect();
        let (lower, upper): (HashSet<_>, HashSet<_>) =
            hashes.iter().map(|hash| (hash % 64, hash >> 57)).unzip();
        assert_eq!(lower.len(), 64);
        assert!(upper.len() > 64, "{} of 128", upper.len());
    }

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut slab = Slab::default();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_ne!(first, second);
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
        assert_eq!((slab.len(), slab.keys()), (1, vec![second]));
    }

    #[test]
    fn a_key_is_a_member_until_it_is_removed_or_its_place_is_used_again() {
        let mut marks = KeyMarks::default();
        let again = (1 << INDEX_BITS) | 5;
        assert!(marks.insert(5) && !marks.insert(5));
        assert!(marks.insert(again), "the place is used again");
        assert!(!marks.remove(5) && marks.remove(again) && !marks.remove(again));
        assert!(marks.insert(5) && marks.insert(0));
    }

    #[test]
    fn a_stray_key_is_no_member_and_takes_no_memory() {
        let mut marks = KeyMarks::default();
        assert!(!marks.insert(usize::MAX) && !marks.remove(usize::MAX));
        assert!(marks.0.is_empty());
    }
}
