//! Small blocks of bytes in one allocation, found again by number, and reused by size.

/// Blocks begin at multiples of this, so that 32 bits reach 16 GiB; and a free block has room for a number.
const UNIT: usize = 4;

/// How many sizes are searched for a block to reuse: more would cost more time than the space is worth.
const MAX_SEARCH: usize = 64;

/// No block.
const NONE: u32 = u32::MAX;

/// Blocks whose owners know where they are and how long they are.
///
/// A block that is given back is the first to be reused for the next of its size, or cut up for smaller ones. What nobody
/// asks for any more is counted, so that the owner can tell when it pays to move all blocks into a new arena.
#[derive(Debug, Default)]
pub(super) struct Arena {
    bytes: Vec<u8>,
    /// The first free block of each size in units; each free block begins with the number of the next.
    free: Vec<u32>,
    vacant: usize,
}

impl Arena {
    /// Makes an arena that can take this many bytes without growing.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// Copies bytes into a block; they must not be empty. There is no block if the arena is full.
    pub(super) fn store(&mut self, data: &[u8]) -> Option<u32> {
        let units = data.len().div_ceil(UNIT);
        let at = match self.reuse(units) {
            Some(at) => at,
            None => self.grow(units)?,
        };
        self.write(at, data);
        Some(at)
    }

    /// Gives a block back.
    pub(super) fn release(&mut self, at: u32, len: usize) {
        let units = len.div_ceil(UNIT);
        if self.free.len() <= units {
            self.free.resize(units.saturating_add(1), NONE);
        }
        if let Some(head) = self.free.get_mut(units) {
            let next = std::mem::replace(head, at);
            self.write(at, &next.to_le_bytes());
            self.vacant = self.vacant.saturating_add(units.saturating_mul(UNIT));
        }
    }

    /// Stores bytes in the place of a block's, or elsewhere if their number asks for another size.
    pub(super) fn replace(&mut self, at: u32, len: usize, data: &[u8]) -> Option<u32> {
        if len.div_ceil(UNIT) == data.len().div_ceil(UNIT) {
            self.write(at, data);
            return Some(at);
        }
        let new = self.store(data)?;
        self.release(at, len);
        Some(new)
    }

    #[inline]
    pub(super) fn block(&self, at: u32, len: usize) -> &[u8] {
        let rest = self.bytes.get(offset(at)..).unwrap_or_default();
        rest.get(..len).unwrap_or_default()
    }

    pub(super) fn block_mut(&mut self, at: u32, len: usize) -> &mut [u8] {
        let rest = self.bytes.get_mut(offset(at)..).unwrap_or_default();
        rest.get_mut(..len).unwrap_or_default()
    }

    /// Bytes in blocks that are in use.
    pub(super) fn live(&self) -> usize {
        self.bytes.len().saturating_sub(self.vacant)
    }

    /// Bytes in blocks that wait to be reused.
    pub(super) fn vacant(&self) -> usize {
        self.vacant
    }

    #[cfg(any(test, fuzzing, aqueduct_bench))]
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.free.capacity() * size_of::<u32>()
    }

    /// Finds a free block of this size, or takes the front of a larger one, whose rest stays free.
    fn reuse(&mut self, units: usize) -> Option<u32> {
        let sizes = self.free.get(units..)?.iter().take(MAX_SEARCH);
        let surplus = sizes.into_iter().position(|head| *head != NONE)?;
        let size = units.saturating_add(surplus);
        let head = self.free.get_mut(size)?;
        let at = *head;
        let next = self.bytes.get(offset(at)..)?.first_chunk()?;
        *head = u32::from_le_bytes(*next);
        self.vacant = self.vacant.saturating_sub(size.saturating_mul(UNIT));
        if surplus > 0 {
            let rest = at.checked_add(u32::try_from(units).ok()?)?;
            self.release(rest, surplus.saturating_mul(UNIT));
        }
        Some(at)
    }

    fn grow(&mut self, units: usize) -> Option<u32> {
        let at = u32::try_from(self.bytes.len().checked_div(UNIT)?).ok()?;
        let len = units.checked_mul(UNIT)?;
        if at == NONE {
            return None;
        }
        reserve(&mut self.bytes, len);
        self.bytes.resize(self.bytes.len().saturating_add(len), 0);
        Some(at)
    }

    fn write(&mut self, at: u32, data: &[u8]) {
        self.block_mut(at, data.len())
            .iter_mut()
            .zip(data)
            .for_each(|(slot, byte)| *slot = *byte);
    }
}

/// Makes room for more elements by an eighth at a time: doubling would waste up to half of a large table.
pub(super) fn reserve<T>(table: &mut Vec<T>, more: usize) {
    if table.capacity().saturating_sub(table.len()) < more {
        table.reserve_exact(more.max(table.len() >> 3).max(4));
    }
}

/// Widens the number of something in a table.
#[inline]
pub(super) fn wide(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[inline]
fn offset(at: u32) -> usize {
    wide(at).saturating_mul(UNIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_reused_by_size() {
        let mut arena = Arena::default();
        let first = arena.store(b"123456789").unwrap();
        let second = arena.store(b"abc").unwrap();
        arena.release(first, 9);
        assert_eq!((arena.live(), arena.vacant()), (4, 12));
        assert_eq!(arena.store(b"ABCDEFGHIJKL"), Some(first));
        assert_eq!(arena.block(first, 12), b"ABCDEFGHIJKL");
        assert_eq!(arena.block(second, 3), b"abc");
        assert_eq!(arena.vacant(), 0);
    }

    #[test]
    fn a_large_block_is_cut_up_for_small_ones() {
        let mut arena = Arena::default();
        let large = arena.store(b"123456789abc").unwrap();
        arena.release(large, 12);
        let (first, second) = (arena.store(b"abcdefgh").unwrap(), arena.store(b"ijkl").unwrap());
        assert_eq!((arena.live(), arena.vacant()), (12, 0));
        assert_eq!(
            (arena.block(first, 8), arena.block(second, 4)),
            (&b"abcdefgh"[..], &b"ijkl"[..])
        );
    }

    #[test]
    fn a_block_of_the_same_size_stays() {
        let mut arena = Arena::default();
        let at = arena.store(b"12345").unwrap();
        assert_eq!(arena.replace(at, 5, b"abcdefgh"), Some(at));
        let new = arena.replace(at, 8, b"abcdefghi").unwrap();
        assert_ne!(new, at);
        assert_eq!(arena.block(new, 9), b"abcdefghi");
        assert_eq!(arena.vacant(), 8);
    }

    #[test]
    fn a_block_that_does_not_exist_is_empty() {
        let arena = Arena::default();
        assert_eq!(arena.block(7, 1), b"");
        assert_eq!(arena.block(u32::MAX, usize::MAX), b"");
    }
}
