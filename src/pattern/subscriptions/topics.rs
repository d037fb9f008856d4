//! The topics that a SUB or XSUB socket asks its peers for.

use super::tree::Tree;

/// Own topics, each as often as it was subscribed to: N times in, N times out.
///
/// A pipe of a new peer, or of one that came back, is to hear each topic once. There may be more of them than its queue
/// takes, so whoever tells them keeps the last topic told, and goes on [after](Self::next_after) it when there is room;
/// topics may come and go in between.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    tree: Tree<u32>,
    bytes: usize,
}

impl Topics {
    /// Adds a subscription; tells whether it is the first of its topic.
    pub(crate) fn add(&mut self, topic: &[u8]) -> bool {
        let Some(at) = self.tree.insert(topic) else {
            return false;
        };
        let count = self.tree.value(at);
        self.tree.set_value(at, count.saturating_add(1));
        if count == 0 {
            self.bytes = self.bytes.saturating_add(topic.len());
        }
        count == 0
    }

    /// Takes a subscription away; tells whether it was the last of its topic. There may have been none.
    pub(crate) fn remove(&mut self, topic: &[u8]) -> Option<bool> {
        let at = self.tree.find(topic)?;
        let left = self.tree.value(at).saturating_sub(1);
        if left > 0 {
            self.tree.set_value(at, left);
            return Some(false);
        }
        self.tree.remove(at);
        self.bytes = self.bytes.saturating_sub(topic.len());
        // Nobody keeps numbers of nodes.
        drop(self.tree.tidy(0));
        Some(true)
    }

    /// Tells whether a message whose first frame this is was asked for.
    #[inline]
    pub(crate) fn matches(&self, frame: &[u8]) -> bool {
        let mut found = false;
        self.tree.along(frame, |_| {
            found = true;
            false
        });
        found
    }

    /// Tells whether a topic itself was subscribed to.
    pub(crate) fn contains(&self, topic: &[u8]) -> bool {
        self.tree.find(topic).is_some()
    }

    /// Finds the topic that follows one (which need not be there any more), or the first, in the order of bytes, and
    /// writes it into `next`. Returns false when there are no more.
    pub(crate) fn next_after(&self, topic: Option<&[u8]>, next: &mut Vec<u8>) -> bool {
        self.tree.next_topic(topic, next).is_some()
    }

    /// Shows each topic once, in the order of bytes.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn for_each(&self, mut show: impl FnMut(&[u8])) {
        self.tree.for_each(|topic, _| show(topic));
    }

    /// How many topics there are.
    pub(crate) fn len(&self) -> usize {
        self.tree.len()
    }

    /// How long they are together.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.tree.heap_bytes()
    }
}
