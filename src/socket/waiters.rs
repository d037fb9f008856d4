//! Who waits on a socket: threads and tasks, told one at a time. Knows no lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use crate::reactor::Waiter;

/// Somebody who waits.
#[derive(Clone)]
pub(crate) enum Signal {
    Thread(Arc<Waiter>),
    Task(Waker),
}

impl Signal {
    /// Tells them to look again. No lock may be held.
    pub(crate) fn fire(self) {
        match self {
            Self::Thread(waiter) => waiter.notify(),
            Self::Task(waker) => waker.wake(),
        }
    }
}

/// Those who wait for the same thing, the longest wait in front.
///
/// One is told at a time, so that a message does not wake everybody. Whoever was told and leaves has either taken
/// what there was or passes the word on: [`remove`](Self::remove) says whether they were told.
#[derive(Default)]
pub(crate) struct Waiters {
    entries: VecDeque<Entry>,
    ids: u64,
}

struct Entry {
    id: u64,
    signal: Signal,
    told: bool,
}

impl Waiters {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Joins, and returns the id to leave with.
    pub(crate) fn add(&mut self, signal: Signal) -> u64 {
        self.ids += 1;
        self.entries.push_back(Entry {
            id: self.ids,
            signal,
            told: false,
        });
        self.ids
    }

    /// Leaves; returns whether they had been told.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let Some(at) = self.entries.iter().position(|entry| entry.id == id) else {
            return false;
        };
        self.entries.remove(at).is_some_and(|entry| entry.told)
    }

    /// Chooses the first who has not been told. Fire the signal after unlocking.
    #[must_use]
    pub(crate) fn tell_one(&mut self) -> Option<Signal> {
        let entry = self.entries.iter_mut().find(|entry| !entry.told)?;
        entry.told = true;
        Some(entry.signal.clone())
    }

    /// Chooses all who have not been told.
    #[must_use]
    pub(crate) fn tell_all(&mut self) -> Vec<Signal> {
        std::iter::from_fn(|| self.tell_one()).collect()
    }
}
