//! What a poller reports: keys, and what can be done with what is registered under them.

use super::super::watch::Readiness;

/// Reports that a list has room for, unless it is told otherwise. What does not fit is reported by the next wait.
const DEFAULT_CAPACITY: usize = 1024;

/// Something that is ready: what is registered under this key can be used without waiting, though somebody else may be
/// faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    key: usize,
    readiness: Readiness,
    timer: bool,
}

impl Ready {
    pub(super) fn source(key: usize, readiness: Readiness) -> Self {
        Self {
            key,
            readiness,
            timer: false,
        }
    }

    pub(super) fn timer(key: usize) -> Self {
        Self {
            key,
            readiness: Readiness::default(),
            timer: true,
        }
    }

    /// Returns the key it is registered under.
    #[must_use]
    pub fn key(&self) -> usize {
        self.key
    }

    /// Returns whether something can be received or read; [`Poller`](crate::Poller) says what that means.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.readiness.readable
    }

    /// Returns whether something can be sent or written; [`Poller`](crate::Poller) says what that means.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.readiness.writable
    }

    /// Returns whether the socket is closed; or, for a descriptor, whether its peer has closed it, perhaps for one
    /// direction only, or it has failed. What had come in before can still be read. It is reported until it is removed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.readiness.closed
    }

    /// Returns whether this is a timer that went off.
    #[must_use]
    pub fn is_timer(&self) -> bool {
        self.timer
    }
}

/// What is ready, as [`Poller::wait`](crate::Poller::wait) found it: to be made once and used for each wait.
#[derive(Clone, Debug)]
pub struct ReadyList {
    list: Vec<Ready>,
    capacity: usize,
}

impl Default for ReadyList {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }
}

impl ReadyList {
    /// Makes a list for so many reports at once, at least one. The default is 1,024.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            list: Vec::new(),
            capacity: capacity.max(1),
        }
    }

    /// Returns how many reports there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Iterates over the reports.
    pub fn iter(&self) -> std::slice::Iter<'_, Ready> {
        self.list.iter()
    }

    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= self.capacity
    }

    pub(super) fn push(&mut self, ready: Ready) {
        self.list.push(ready);
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }
}

impl<'a> IntoIterator for &'a ReadyList {
    type Item = &'a Ready;
    type IntoIter = std::slice::Iter<'a, Ready>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
