//! Sets of pipes by number: nothing but the number where there is one, as there mostly is.

use super::arena::wide;
use super::tree::Tree;

/// Tells a set from a single pipe.
const MANY: u32 = 1 << 31;

/// The pipes that hold a topic: none (0), one (its number and one), or a set in [`Sets`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Holders(u32);

enum View {
    None,
    One(u32),
    Many(u32),
}

impl Holders {
    pub(super) const NONE: Self = Self(0);

    fn one(pipe: u32) -> Option<Self> {
        let number = pipe.checked_add(1).filter(|number| *number < MANY)?;
        Some(Self(number))
    }

    fn many(set: u32) -> Option<Self> {
        (set < MANY).then_some(Self(set | MANY))
    }

    #[inline]
    fn view(self) -> View {
        match self.0.checked_sub(1) {
            None => View::None,
            Some(_) if self.0 & MANY != 0 => View::Many(self.0 & !MANY),
            Some(pipe) => View::One(pipe),
        }
    }
}

/// The sets of two pipes and more, each in ascending order.
#[derive(Debug, Default)]
pub(super) struct Sets {
    sets: Vec<Vec<u32>>,
    free: Vec<u32>,
}

impl Sets {
    /// Returns the holders with a pipe among them, or nothing if it was there already (or there are too many sets).
    pub(super) fn insert(&mut self, holders: Holders, pipe: u32) -> Option<Holders> {
        match holders.view() {
            View::None => Holders::one(pipe),
            View::One(other) if other == pipe => None,
            View::One(other) => self.store(vec![other.min(pipe), other.max(pipe)]),
            View::Many(at) => {
                let set = self.sets.get_mut(wide(at))?;
                let place = set.binary_search(&pipe).err()?;
                set.insert(place, pipe);
                Some(holders)
            }
        }
    }

    /// Returns the holders without a pipe, or nothing if it was not among them.
    pub(super) fn remove(&mut self, holders: Holders, pipe: u32) -> Option<Holders> {
        match holders.view() {
            View::None => None,
            View::One(other) => (other == pipe).then_some(Holders::NONE),
            View::Many(at) => {
                let set = self.sets.get_mut(wide(at))?;
                set.remove(set.binary_search(&pipe).ok()?);
                if let [last] = *set.as_slice() {
                    *set = Vec::new();
                    self.free.push(at);
                    return Holders::one(last);
                }
                // Ten pipes do not keep the room of a thousand.
                if set.len() < set.capacity() / 4 {
                    set.shrink_to(set.len().saturating_mul(2));
                }
                Some(holders)
            }
        }
    }

    pub(super) fn contains(&self, holders: Holders, pipe: u32) -> bool {
        match holders.view() {
            View::None => false,
            View::One(other) => other == pipe,
            View::Many(at) => self.set(at).binary_search(&pipe).is_ok(),
        }
    }

    #[inline]
    pub(super) fn iter(&self, holders: Holders) -> impl Iterator<Item = u32> {
        let (one, set) = match holders.view() {
            View::None => (None, &[][..]),
            View::One(pipe) => (Some(pipe), &[][..]),
            View::Many(at) => (None, self.set(at)),
        };
        one.into_iter().chain(set.iter().copied())
    }

    /// Moves the sets together if most places are free. The walk over the tree that it takes is in proportion to them.
    pub(super) fn tidy(&mut self, tree: &mut Tree<Holders>) {
        let used = self.sets.len().saturating_sub(self.free.len());
        if self.free.len() <= used.saturating_add(tree.len() / 4).saturating_add(64) {
            return;
        }
        let mut sets = Vec::with_capacity(used);
        tree.for_each_value(|holders| {
            if let View::Many(at) = holders.view()
                && let Some(set) = self.sets.get_mut(wide(at))
                && let Some(moved) = u32::try_from(sets.len()).ok().and_then(Holders::many)
            {
                sets.push(std::mem::take(set));
                *holders = moved;
            }
        });
        *self = Self {
            sets,
            free: Vec::new(),
        };
    }

    #[cfg(any(test, fuzzing, aqueduct_bench))]
    pub(super) fn heap_bytes(&self) -> usize {
        let pipes: usize = self.sets.iter().map(Vec::capacity).sum();
        self.sets.capacity() * size_of::<Vec<u32>>() + (pipes + self.free.capacity()) * size_of::<u32>()
    }

    fn set(&self, at: u32) -> &[u32] {
        self.sets.get(wide(at)).map_or(&[], Vec::as_slice)
    }

    fn store(&mut self, set: Vec<u32>) -> Option<Holders> {
        if let Some(at) = self.free.pop() {
            *self.sets.get_mut(wide(at))? = set;
            return Holders::many(at);
        }
        let holders = u32::try_from(self.sets.len()).ok().and_then(Holders::many)?;
        self.sets.push(set);
        Some(holders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_grows_and_shrinks() {
        let mut sets = Sets::default();
        let mut holders = Holders::NONE;
        for pipe in [5, 0, 9, 7] {
            holders = sets.insert(holders, pipe).unwrap();
            assert_eq!(sets.insert(holders, pipe), None);
            assert!(sets.contains(holders, pipe) && !sets.contains(holders, 8));
        }
        assert_eq!(sets.iter(holders).collect::<Vec<_>>(), [0, 5, 7, 9]);
        for pipe in [5, 9, 0] {
            holders = sets.remove(holders, pipe).unwrap();
            assert_eq!(sets.remove(holders, pipe), None);
        }
        assert_eq!(sets.iter(holders).collect::<Vec<_>>(), [7]);
        assert_eq!(sets.free, [0]);
        assert_eq!(sets.remove(holders, 7), Some(Holders::NONE));
    }
}
