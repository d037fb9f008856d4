//! One node of the tree: the bytes that lead to it, its value, and where its children are.

use smallvec::SmallVec;

use super::arena::Arena;

/// The longest label. Longer pieces of topics become chains of nodes, so that a short topic that comes and goes in the
/// middle of a long one does not make us copy the long one each time.
pub(super) const MAX_LABEL: usize = 255;

/// Labels up to this long are kept within the node.
const INLINE_LABEL: usize = 9;

/// The fan of a place that no node uses; no node has more children than a byte has values.
const VACANT: u16 = u16::MAX;

/// Bytes of a child in its parent's block: its key and its number.
const CHILD_BYTES: usize = 5;

/// A node's children: the first byte of each one's label, in ascending order, with its number.
pub(super) type Children = SmallVec<[(u8, u32); 16]>;

/// ```text
///  parent  value   below                   fan   len label
/// ┌───────┬───────┬───────────────────────┬─────┬───┬─────────────────────────┐
/// │ u32   │ V     │ fan 1: the child      │ u16 │u8 │ len ≤ 9: the bytes      │   24 bytes with a value of 4
/// │       │       │ fan 2…: block of keys,│     │   │ else: block of the bytes│
/// │       │       │   then of numbers     │     │   │                         │
/// └───────┴───────┴───────────────────────┴─────┴───┴─────────────────────────┘
/// ```
#[derive(Debug)]
pub(super) struct Node<V> {
    /// The node above; of a vacant place, the next vacant one.
    pub(super) parent: u32,
    pub(super) value: V,
    below: u32,
    fan: u16,
    label: Label,
}

impl<V: Default> Node<V> {
    pub(super) fn new(parent: u32, label: Label) -> Self {
        Self {
            parent,
            value: V::default(),
            below: 0,
            fan: 0,
            label,
        }
    }

    pub(super) fn vacant(next: u32) -> Self {
        Self {
            fan: VACANT,
            ..Self::new(next, Label::default())
        }
    }
}

impl<V> Node<V> {
    pub(super) fn is_vacant(&self) -> bool {
        self.fan == VACANT
    }

    /// How many children there are.
    #[inline]
    pub(super) fn fan(&self) -> usize {
        usize::from(self.fan)
    }

    /// The child of a node that has only one. The caller looks at its label: its key is not kept here.
    #[inline]
    pub(super) fn only_child(&self) -> Option<u32> {
        (self.fan == 1).then_some(self.below)
    }

    #[inline]
    pub(super) fn label<'a>(&'a self, arena: &'a Arena) -> &'a [u8] {
        self.label.bytes(arena)
    }

    pub(super) fn label_len(&self) -> usize {
        usize::from(self.label.len)
    }

    pub(super) fn set_label(&mut self, bytes: &[u8], arena: &mut Arena) -> Option<()> {
        let label = Label::new(bytes, arena)?;
        std::mem::replace(&mut self.label, label).release(arena);
        Some(())
    }

    /// Finds a child among several.
    #[inline]
    pub(super) fn find(&self, key: u8, arena: &Arena) -> Option<u32> {
        let (keys, numbers) = self.block(arena)?;
        number_at(numbers, keys.binary_search(&key).ok()?)
    }

    /// Finds the first child among several whose key is not less than this.
    pub(super) fn find_from(&self, key: u8, arena: &Arena) -> Option<u32> {
        let (keys, numbers) = self.block(arena)?;
        number_at(numbers, keys.partition_point(|other| *other < key))
    }

    /// The children of a node that has several.
    pub(super) fn children(&self, arena: &Arena) -> Children {
        let (keys, numbers) = self.block(arena).unwrap_or_default();
        let numbers = numbers.chunks_exact(4).filter_map(|bytes| number_at(bytes, 0));
        keys.iter().copied().zip(numbers).collect()
    }

    /// Puts another child in the place of one with the same key.
    pub(super) fn replace_child(&mut self, key: u8, new: u32, arena: &mut Arena) {
        if self.fan <= 1 {
            self.below = new;
            return;
        }
        let (fan, len) = (self.fan(), self.block_len());
        let block = arena.block_mut(self.below, len);
        if let Some((keys, numbers)) = block.split_at_mut_checked(fan)
            && let Ok(at) = keys.binary_search(&key)
            && let Some(slot) = numbers.chunks_exact_mut(4).nth(at)
        {
            slot.copy_from_slice(&new.to_le_bytes());
        }
    }

    /// Sets all children; there is no change if the arena is full.
    pub(super) fn set_children(&mut self, children: &[(u8, u32)], arena: &mut Arena) -> Option<()> {
        let fan = u16::try_from(children.len()).ok()?;
        let (old, len) = (self.below, self.block_len());
        self.below = match children {
            [] => 0,
            [(_, only)] => *only,
            several => {
                let mut bytes: SmallVec<[u8; 64]> = several.iter().map(|(key, _)| *key).collect();
                let numbers = several.iter().flat_map(|(_, number)| number.to_le_bytes());
                bytes.extend(numbers);
                if len > 0 {
                    arena.replace(old, len, &bytes)?
                } else {
                    arena.store(&bytes)?
                }
            }
        };
        if len > 0 && fan < 2 {
            arena.release(old, len);
        }
        self.fan = fan;
        Some(())
    }

    /// Gives its blocks back.
    pub(super) fn release(self, arena: &mut Arena) {
        if self.block_len() > 0 {
            arena.release(self.below, self.block_len());
        }
        self.label.release(arena);
    }

    /// Copies its blocks into another arena, with other numbers for the nodes; true if there was room for all.
    pub(super) fn relocate(&mut self, from: &Arena, to: &mut Arena, renumber: impl Fn(u32) -> u32) -> bool {
        self.parent = renumber(self.parent);
        let Some(label) = Label::new(self.label.bytes(from), to) else {
            return false;
        };
        self.label = label;
        if self.fan == 1 {
            self.below = renumber(self.below);
        } else if self.fan > 1 {
            let mut children = self.children(from);
            for (_, number) in &mut children {
                *number = renumber(*number);
            }
            self.fan = 0;
            return self.set_children(&children, to).is_some();
        }
        true
    }

    /// The keys and the numbers of the children, of which there are several.
    #[inline]
    fn block<'a>(&self, arena: &'a Arena) -> Option<(&'a [u8], &'a [u8])> {
        arena
            .block(self.below, self.block_len())
            .split_at_checked(self.fan())
    }

    fn block_len(&self) -> usize {
        match self.fan {
            0 | 1 | VACANT => 0,
            several => usize::from(several).saturating_mul(CHILD_BYTES),
        }
    }
}

#[inline]
fn number_at(numbers: &[u8], at: usize) -> Option<u32> {
    let bytes = numbers.get(at.checked_mul(4)?..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

/// Up to [`MAX_LABEL`] bytes.
#[derive(Debug, Default)]
pub(super) struct Label {
    len: u8,
    bytes: [u8; INLINE_LABEL],
}

impl Label {
    /// Stores bytes; fails if there are too many of them or the arena is full.
    pub(super) fn new(bytes: &[u8], arena: &mut Arena) -> Option<Self> {
        let mut label = Self {
            len: u8::try_from(bytes.len()).ok()?,
            ..Self::default()
        };
        if let Some(inline) = label.bytes.get_mut(..bytes.len()) {
            inline.copy_from_slice(bytes);
        } else {
            let block = arena.store(bytes)?;
            *label.bytes.first_chunk_mut()? = block.to_le_bytes();
        }
        Some(label)
    }

    #[inline]
    fn bytes<'a>(&'a self, arena: &'a Arena) -> &'a [u8] {
        let len = usize::from(self.len);
        match self.bytes.get(..len) {
            Some(inline) => inline,
            None => arena.block(self.block(), len),
        }
    }

    fn release(self, arena: &mut Arena) {
        if usize::from(self.len) > INLINE_LABEL {
            arena.release(self.block(), usize::from(self.len));
        }
    }

    #[inline]
    fn block(&self) -> u32 {
        let [a, b, c, d, ..] = self.bytes;
        u32::from_le_bytes([a, b, c, d])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_small() {
        assert_eq!(size_of::<Node<u32>>(), 24);
    }

    #[test]
    fn labels_of_all_lengths_come_back() {
        let mut arena = Arena::default();
        let all: Vec<u8> = (0..=255).collect();
        for len in 0..=MAX_LABEL {
            let label = Label::new(&all[..len], &mut arena).unwrap();
            assert_eq!(label.bytes(&arena), &all[..len]);
            label.release(&mut arena);
            assert_eq!(arena.live(), 0);
        }
        assert!(Label::new(&all, &mut arena).is_none());
    }

    #[test]
    fn children_come_and_go() {
        let mut arena = Arena::default();
        let mut node = Node::<u32>::new(0, Label::default());
        let mut children = Children::new();
        for key in 0..=255u8 {
            children.push((key, u32::from(key) * 3));
            node.set_children(&children, &mut arena).unwrap();
            assert_eq!(node.fan(), usize::from(key) + 1);
        }
        node.replace_child(9, 1000, &mut arena);
        assert_eq!(node.find(9, &arena), Some(1000));
        assert_eq!(node.find(200, &arena), Some(600));
        children.retain(|(key, _)| *key % 2 == 1);
        node.set_children(&children, &mut arena).unwrap();
        assert_eq!(
            (node.find(200, &arena), node.find_from(200, &arena)),
            (None, Some(603))
        );
        assert_eq!(node.children(&arena), children);
        node.set_children(&[(7, 5)], &mut arena).unwrap();
        assert_eq!((node.only_child(), arena.live()), (Some(5), 0));
    }
}
