//! A line of pipes that wait for their turn, each at most once.

use std::collections::VecDeque;

use crate::slab::KeyMarks;

/// Keys in order, the next one in front. Joining twice is joining once.
#[derive(Debug, Default)]
pub(crate) struct Line {
    queue: VecDeque<usize>,
    /// The members of `queue`, so that a socket with ten thousand peers need not search it.
    members: KeyMarks,
}

impl Line {
    pub(crate) fn join(&mut self, key: usize) {
        if self.members.insert(key) {
            self.queue.push_back(key);
        }
    }

    #[inline]
    pub(crate) fn front(&self) -> Option<usize> {
        self.queue.front().copied()
    }

    /// The front has had its turn and goes to the end.
    #[inline]
    pub(crate) fn rotate(&mut self) {
        if self.queue.len() > 1 {
            self.queue.rotate_left(1);
        }
    }

    /// The front leaves the line.
    pub(crate) fn leave(&mut self) {
        if let Some(key) = self.queue.pop_front() {
            self.members.remove(key);
        }
    }

    pub(crate) fn remove(&mut self, key: usize) {
        if self.members.remove(key) {
            self.queue.retain(|other| *other != key);
        }
    }
}
