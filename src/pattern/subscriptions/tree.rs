//! A radix tree over bytes: values under topics, found by a topic or by whatever begins with it.

use smallvec::SmallVec;

use super::arena::{Arena, reserve, wide};
use super::node::{Children, Label, MAX_LABEL, Node};

/// The node of the empty topic; it is always there.
const ROOT: u32 = 0;

/// No place.
const NONE: u32 = u32::MAX;

/// Waste below this is not worth a move.
const TOLERATED_WASTE: usize = 16 * 1024;

/// Values under topics. The default value is none at all.
///
/// Each node stands for the labels on the way to it. Nodes without a value are there only to branch, or because the
/// label would be too long without them. Nodes lie in one table and are known by number, so that neither a deep tree
/// nor its end needs a deep stack; and a node keeps its number for as long as it has a value, but for [`tidy`].
///
/// [`tidy`]: Self::tidy
#[derive(Debug)]
pub(super) struct Tree<V> {
    nodes: Vec<Node<V>>,
    arena: Arena,
    /// The first vacant place of the table.
    free: u32,
    vacant: usize,
    /// How many nodes have a value.
    len: usize,
}

impl<V: Copy + Default + PartialEq> Default for Tree<V> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::new(ROOT, Label::default())],
            arena: Arena::default(),
            free: NONE,
            vacant: 0,
            len: 0,
        }
    }
}

impl<V: Copy + Default + PartialEq> Tree<V> {
    /// How many topics have a value.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Finds or makes the node of a topic, or fails if the table is full. Whoever leaves a node without a value
    /// [removes](Self::remove) it.
    pub(super) fn insert(&mut self, topic: &[u8]) -> Option<u32> {
        let (mut at, mut rest) = (ROOT, topic);
        while let Some(&key) = rest.first() {
            let Some((child, node)) = self.child(self.node(at)?, key) else {
                return self.extend(at, rest);
            };
            let label = node.label(&self.arena);
            let common = common_prefix(label, rest);
            at = if common < label.len() {
                self.split(child, common)?
            } else {
                child
            };
            rest = rest.get(common..)?;
        }
        Some(at)
    }

    /// Finds the node of a topic that has a value.
    pub(super) fn find(&self, topic: &[u8]) -> Option<u32> {
        let (mut at, mut node, mut rest) = (ROOT, self.node(ROOT)?, topic);
        while let Some(&key) = rest.first() {
            (at, node) = self.child(node, key)?;
            rest = rest.strip_prefix(node.label(&self.arena))?;
        }
        (node.value != V::default()).then_some(at)
    }

    /// The value of a node.
    #[inline]
    pub(super) fn value(&self, at: u32) -> V {
        self.node(at).map_or_else(V::default, |node| node.value)
    }

    /// Sets the value of a node.
    pub(super) fn set_value(&mut self, at: u32, value: V) {
        if let Some(node) = self.nodes.get_mut(wide(at)) {
            let old = std::mem::replace(&mut node.value, value);
            let (had, has) = (old != V::default(), value != V::default());
            self.len = self
                .len
                .saturating_add(usize::from(has))
                .saturating_sub(usize::from(had));
        }
    }

    /// Takes the value of a node away, and with it the nodes that nothing needs any more.
    pub(super) fn remove(&mut self, at: u32) {
        self.set_value(at, V::default());
        let mut next = Some(at);
        while let Some(at) = next {
            next = self.prune(at);
        }
    }

    /// Shows the values of all topics that a message's topic begins with, shortest first, until told to stop.
    #[inline]
    pub(super) fn along(&self, topic: &[u8], mut go_on: impl FnMut(V) -> bool) {
        let (mut next, mut rest) = (self.node(ROOT), topic);
        while let Some(node) = next {
            if node.value != V::default() && !go_on(node.value) {
                return;
            }
            let Some(&key) = rest.first() else { return };
            next = self.child(node, key).and_then(|(_, child)| {
                rest = rest.strip_prefix(child.label(&self.arena))?;
                Some(child)
            });
        }
    }

    /// Writes down the topic of a node.
    pub(super) fn topic(&self, at: u32, topic: &mut Vec<u8>) {
        topic.clear();
        let mut next = at;
        while next != ROOT
            && let Some(node) = self.node(next)
        {
            topic.extend(node.label(&self.arena).iter().rev());
            next = node.parent;
        }
        topic.reverse();
    }

    /// Finds the first topic with a value that comes after a given one, or the very first, in the order of bytes; puts
    /// it in the place of the given one.
    pub(super) fn next_topic(&self, after: Option<&[u8]>, topic: &mut Vec<u8>) -> Option<u32> {
        topic.clear();
        let mut at = match after {
            Some(after) => self.seek(after, topic)?,
            None => ROOT,
        };
        while self.value(at) == V::default() {
            at = self.step(at, topic)?;
        }
        Some(at)
    }

    /// Shows all topics that have a value, in the order of bytes.
    #[cfg(any(test, fuzzing))]
    pub(super) fn for_each(&self, mut show: impl FnMut(&[u8], V)) {
        let mut topic = Vec::new();
        let mut next = Some(ROOT);
        while let Some(at) = next {
            let value = self.value(at);
            if value != V::default() {
                show(&topic, value);
            }
            next = self.step(at, &mut topic);
        }
    }

    /// Shows all values, which may be changed but not into none.
    pub(super) fn for_each_value(&mut self, mut show: impl FnMut(&mut V)) {
        let nodes = self.nodes.iter_mut();
        nodes
            .filter(|node| node.value != V::default())
            .for_each(|node| show(&mut node.value));
    }

    /// Moves everything together if more space is wasted than used, here and (`elsewhere`) by who keeps numbers of nodes.
    /// Returns the new number of each node in that case, which is `u32::MAX` for those that are gone.
    ///
    /// The work is in proportion to the waste, hence to what was removed since the last time.
    pub(super) fn tidy(&mut self, elsewhere: usize) -> Option<Vec<u32>> {
        let used = self.nodes.len().saturating_sub(self.vacant);
        let bytes = |nodes: usize| nodes.saturating_mul(size_of::<Node<V>>());
        let live = bytes(used).saturating_add(self.arena.live());
        let waste = bytes(self.vacant).saturating_add(self.arena.vacant());
        if waste <= live.saturating_add(elsewhere).saturating_add(TOLERATED_WASTE) {
            return None;
        }
        let mut count = 0;
        let number = |node: &Node<V>| {
            if node.is_vacant() {
                return NONE;
            }
            let number: u32 = count;
            count = count.saturating_add(1);
            number
        };
        let numbers: Vec<u32> = self.nodes.iter().map(number).collect();
        let mut arena = Arena::with_capacity(self.arena.live());
        self.nodes.retain_mut(|node| {
            let renumber = |old: u32| numbers.get(wide(old)).copied().unwrap_or(NONE);
            // There is room for what was in a larger arena.
            !node.is_vacant() && node.relocate(&self.arena, &mut arena, renumber)
        });
        self.nodes.shrink_to_fit();
        self.arena = arena;
        (self.free, self.vacant) = (NONE, 0);
        Some(numbers)
    }

    #[cfg(any(test, fuzzing, aqueduct_bench))]
    pub(super) fn heap_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node<V>>() + self.arena.heap_bytes()
    }

    #[inline]
    fn node(&self, at: u32) -> Option<&Node<V>> {
        self.nodes.get(wide(at))
    }

    #[inline]
    fn child(&self, node: &Node<V>, key: u8) -> Option<(u32, &Node<V>)> {
        if let Some(only) = node.only_child() {
            let child = self.node(only)?;
            return (child.label(&self.arena).first() == Some(&key)).then_some((only, child));
        }
        let at = node.find(key, &self.arena)?;
        Some((at, self.node(at)?))
    }

    /// The first child whose key is not less than this.
    fn child_from(&self, at: u32, key: u8) -> Option<u32> {
        let node = self.node(at)?;
        match node.only_child() {
            Some(only) => (self.key(only)? >= key).then_some(only),
            None => node.find_from(key, &self.arena),
        }
    }

    /// The first byte of a node's label.
    fn key(&self, at: u32) -> Option<u8> {
        self.node(at)?.label(&self.arena).first().copied()
    }

    fn children(&self, at: u32) -> Children {
        let Some(node) = self.node(at) else {
            return Children::new();
        };
        match node.only_child() {
            Some(only) => self.key(only).map(|key| (key, only)).into_iter().collect(),
            None => node.children(&self.arena),
        }
    }

    /// Adds what is left of a topic below a node that has no child for it.
    fn extend(&mut self, above: u32, rest: &[u8]) -> Option<u32> {
        let mut at = above;
        for piece in rest.chunks(MAX_LABEL) {
            let Some(child) = self.add(at, piece) else {
                self.remove_if_useless(at);
                return None;
            };
            at = child;
        }
        Some(at)
    }

    /// A node that was on the way to one for which there was no room.
    fn remove_if_useless(&mut self, at: u32) {
        if self.value(at) == V::default() {
            self.remove(at);
        }
    }

    fn add(&mut self, parent: u32, label: &[u8]) -> Option<u32> {
        let key = *label.first()?;
        let mut children = self.children(parent);
        let child = self.make(parent, label)?;
        let place = children.partition_point(|(other, _)| *other < key);
        children.insert(place, (key, child));
        let node = self.nodes.get_mut(wide(parent))?;
        if node.set_children(&children, &mut self.arena).is_none() {
            self.release(child);
            return None;
        }
        Some(child)
    }

    /// Puts a node in the middle of another's label, and returns it.
    fn split(&mut self, lower: u32, at: usize) -> Option<u32> {
        let node = self.node(lower)?;
        let parent = node.parent;
        let label: SmallVec<[u8; 64]> = SmallVec::from_slice(node.label(&self.arena));
        let (above, below) = label.split_at_checked(at)?;
        let (&key_above, &key_below) = (above.first()?, below.first()?);
        let upper = self.make(parent, above)?;
        let node = self.nodes.get_mut(wide(lower))?;
        if node.set_label(below, &mut self.arena).is_none() {
            self.release(upper);
            return None;
        }
        node.parent = upper;
        let node = self.nodes.get_mut(wide(upper))?;
        node.set_children(&[(key_below, lower)], &mut self.arena)?;
        let node = self.nodes.get_mut(wide(parent))?;
        node.replace_child(key_above, upper, &mut self.arena);
        Some(upper)
    }

    /// Removes a node that nothing needs, and returns the node above it, which may not be needed either then.
    ///
    /// A node with one child is merged into that child, which may have a value and thus keeps its number.
    fn prune(&mut self, at: u32) -> Option<u32> {
        let node = self.node(at)?;
        if at == ROOT || node.value != V::default() || node.fan() > 1 {
            return None;
        }
        let (parent, key) = (node.parent, self.key(at)?);
        if let Some(child) = node.only_child() {
            let lower = self.node(child)?;
            if node.label_len().saturating_add(lower.label_len()) > MAX_LABEL {
                return None;
            }
            let mut label: SmallVec<[u8; 64]> = SmallVec::from_slice(node.label(&self.arena));
            label.extend_from_slice(lower.label(&self.arena));
            let lower = self.nodes.get_mut(wide(child))?;
            lower.set_label(&label, &mut self.arena)?;
            lower.parent = parent;
            let above = self.nodes.get_mut(wide(parent))?;
            above.replace_child(key, child, &mut self.arena);
        } else {
            let mut children = self.children(parent);
            children.retain(|(other, _)| *other != key);
            let above = self.nodes.get_mut(wide(parent))?;
            above.set_children(&children, &mut self.arena)?;
        }
        self.release(at);
        Some(parent)
    }

    /// The next node in the order of topics, to which `topic` is changed.
    fn step(&self, at: u32, topic: &mut Vec<u8>) -> Option<u32> {
        match self.child_from(at, 0) {
            Some(child) => self.enter(child, topic),
            None => self.step_over(at, topic),
        }
    }

    /// The next node in the order of topics that is not below this one.
    fn step_over(&self, mut at: u32, topic: &mut Vec<u8>) -> Option<u32> {
        while at != ROOT {
            let node = self.node(at)?;
            topic.truncate(topic.len().saturating_sub(node.label_len()));
            let key = self.key(at)?.checked_add(1);
            if let Some(sibling) = key.and_then(|key| self.child_from(node.parent, key)) {
                return self.enter(sibling, topic);
            }
            at = node.parent;
        }
        None
    }

    fn enter(&self, at: u32, topic: &mut Vec<u8>) -> Option<u32> {
        topic.extend_from_slice(self.node(at)?.label(&self.arena));
        Some(at)
    }

    /// The first node, with a value or without, whose topic comes after a given one.
    fn seek(&self, after: &[u8], topic: &mut Vec<u8>) -> Option<u32> {
        let (mut at, mut rest) = (ROOT, after);
        while let Some(&key) = rest.first() {
            let Some(child) = self.child_from(at, key) else {
                return self.step_over(at, topic);
            };
            self.enter(child, topic)?;
            let label = self.node(child)?.label(&self.arena);
            match rest.strip_prefix(label) {
                Some(shorter) => (at, rest) = (child, shorter),
                None if label > rest => return Some(child),
                None => return self.step_over(child, topic),
            }
        }
        self.step(at, topic)
    }

    fn make(&mut self, parent: u32, label: &[u8]) -> Option<u32> {
        let label = Label::new(label, &mut self.arena)?;
        let node = Node::new(parent, label);
        if let Some(place) = self.nodes.get_mut(wide(self.free)) {
            let at = std::mem::replace(&mut self.free, place.parent);
            *place = node;
            self.vacant = self.vacant.saturating_sub(1);
            return Some(at);
        }
        let at = u32::try_from(self.nodes.len()).ok().filter(|at| *at != NONE);
        if at.is_none() {
            node.release(&mut self.arena);
            return None;
        }
        reserve(&mut self.nodes, 1);
        self.nodes.push(node);
        at
    }

    fn release(&mut self, at: u32) {
        if let Some(place) = self.nodes.get_mut(wide(at)) {
            let node = std::mem::replace(place, Node::vacant(self.free));
            node.release(&mut self.arena);
            self.free = at;
            self.vacant = self.vacant.saturating_add(1);
        }
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
