//! Who waits on a socket: threads and tasks, told one at a time. Knows no lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use crate::reactor::Waiter;

/// Somebody who waits.
pub(crate) enum Signal {
    Thread(Arc<Waiter>),
    Task(Waker),
    /// One whose turn it is, with all who observe.
    Several(Vec<Signal>),
}

impl Signal {
    /// Tells them to look again. No lock may be held.
    pub(crate) fn fire(self) {
        match self {
            Self::Thread(waiter) => waiter.notify(),
            Self::Task(waker) => waker.wake(),
            Self::Several(signals) => signals.into_iter().for_each(Self::fire),
        }
    }
}

/// Those who wait for the same thing, the longest wait in front.
///
/// One is told at a time, so that a message does not wake everybody. Whoever was told and leaves has either taken
/// what there was or passes the word on: [`remove`](Self::remove) says whether they were told.
///
/// Those who only observe (pollers, notifiers) take nothing because of being told, so they are all told, whenever
/// anybody would be, and have no word to pass on. Each is told once, and observes again when it has looked.
#[derive(Default)]
pub(crate) struct Waiters {
    entries: VecDeque<Entry>,
    ids: u64,
    /// By ids of their own, from [`next_observer`].
    observers: Vec<(u64, Signal)>,
}

/// Returns an id that no other observer has, of whatever socket.
pub(crate) fn next_observer() -> u64 {
    static IDS: AtomicU64 = AtomicU64::new(0);
    IDS.fetch_add(1, Ordering::Relaxed)
}

struct Entry {
    id: u64,
    /// Gone once they are told.
    signal: Option<Signal>,
}

impl Waiters {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.observers.is_empty()
    }

    pub(crate) fn are_observed(&self) -> bool {
        !self.observers.is_empty()
    }

    /// Has an observer told with the next who waits.
    pub(crate) fn observe(&mut self, observer: u64, signal: Signal) {
        self.observers.push((observer, signal));
    }

    /// Forgets an observer.
    pub(crate) fn forget(&mut self, observer: u64) {
        self.observers.retain(|(id, _)| *id != observer);
    }

    /// Chooses all who observe.
    #[must_use]
    pub(crate) fn tell_observers(&mut self) -> Option<Signal> {
        self.with_observers(None)
    }

    /// Joins, and returns the id to leave with.
    pub(crate) fn add(&mut self, signal: Signal) -> u64 {
        self.ids += 1;
        self.entries.push_back(Entry {
            id: self.ids,
            signal: Some(signal),
        });
        self.ids
    }

    /// Leaves; returns whether they had been told.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        // Mostly nobody else waits.
        let entry = if self.entries.front().is_some_and(|entry| entry.id == id) {
            self.entries.pop_front()
        } else {
            let at = self.entries.iter().position(|entry| entry.id == id);
            at.and_then(|at| self.entries.remove(at))
        };
        entry.is_some_and(|entry| entry.signal.is_none())
    }

    /// Chooses the first who has not been told, and all who observe. Fire the signal after unlocking.
    #[must_use]
    pub(crate) fn tell_one(&mut self) -> Option<Signal> {
        let chosen = self.entries.iter_mut().find_map(|entry| entry.signal.take());
        self.with_observers(chosen)
    }

    /// Chooses all who have not been told.
    #[must_use]
    pub(crate) fn tell_all(&mut self) -> Vec<Signal> {
        std::iter::from_fn(|| self.tell_one()).collect()
    }

    /// Adds all who observe to whoever was chosen.
    fn with_observers(&mut self, chosen: Option<Signal>) -> Option<Signal> {
        if self.observers.is_empty() {
            return chosen;
        }
        let all = self.observers.drain(..).map(|(_, signal)| signal);
        Some(Signal::Several(all.chain(chosen).collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Told(AtomicUsize);

    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Told {
        fn signal(self: &Arc<Self>) -> Signal {
            Signal::Task(Waker::from(Arc::clone(self)))
        }

        fn times(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn one_who_waits_is_told_and_all_who_observe() {
        let mut waiters = Waiters::default();
        let told: [Arc<Told>; 4] = std::array::from_fn(|_| Arc::default());
        for told in &told[..2] {
            waiters.add(told.signal());
        }
        for (at, told) in told.iter().enumerate().skip(2) {
            waiters.observe(at as u64, told.signal());
        }
        let times = || told.each_ref().map(|told| told.times());
        waiters.tell_one().into_iter().for_each(Signal::fire);
        assert_eq!(times(), [1, 0, 1, 1]);
        waiters.tell_one().into_iter().for_each(Signal::fire);
        assert_eq!(times(), [1, 1, 1, 1], "who observes is told once");
        assert!(waiters.tell_one().is_none());
    }

    #[test]
    fn who_is_forgotten_is_not_told() {
        let mut waiters = Waiters::default();
        waiters.observe(7, Arc::<Told>::default().signal());
        assert!(!waiters.is_empty() && waiters.are_observed());
        waiters.forget(7);
        assert!(waiters.is_empty() && !waiters.are_observed());
        assert!(waiters.tell_one().is_none() && waiters.tell_observers().is_none());
    }
}
