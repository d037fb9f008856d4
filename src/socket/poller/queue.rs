//! What a poller shares with what it watches: the queue of what may be ready, and those who wait for it.

#[cfg(all(test, aqueduct_loom))]
mod loom_model;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use super::super::core::fire_signals;
use super::super::drivers::Drivers;
use super::super::waiters::{Signal, Waiters, next_observer};
use super::super::watch::{Interest, Watch};
use super::{Ready, ReadyList};
use crate::error::PollError;
use crate::reactor::{Reactor, Timers, Waiter};
use crate::sync::Mutex;

/// The queue and its lock, which is a leaf: nothing that is watched is looked at while it is held.
///
/// An entry is at any time in the queue, or known to what it watches (which will wake it), or being looked at by a
/// thread, which will bring it to one of these two. So none is forgotten, and none is looked at without need.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    registered: HashMap<usize, Registered>,
    /// The keys of what may be ready; each at most once, so no longer than the table above.
    ready: VecDeque<usize>,
    timers: Timers,
    /// Whose turn it is, sockets' and descriptors' or timers', to be the first in a list that may be too short.
    timers_turn: bool,
    waiters: Waiters,
    drivers: Drivers,
    /// Somebody asked for a wait to end.
    woken: bool,
    #[cfg(test)]
    looks: usize,
}

enum Registered {
    Source {
        entry: Arc<Entry>,
        interest: Interest,
        queued: bool,
    },
    Timer {
        armed: Option<Instant>,
        period: Option<Duration>,
    },
}

/// A socket or descriptor that is registered; its waker puts it into the queue.
pub(super) struct Entry {
    key: usize,
    /// Tells it from others that had or will have the same key.
    id: u64,
    source: Arc<dyn Watch>,
    queue: Weak<Queue>,
}

impl Wake for Entry {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(queue) = self.queue.upgrade() {
            queue.push(self);
        }
    }
}

impl Queue {
    pub(super) fn add(
        self: &Arc<Self>,
        source: Arc<dyn Watch>,
        key: usize,
        interest: Interest,
    ) -> Result<(), PollError> {
        let reactor = source.reactor()?;
        self.enlist(source, key, interest, Some(reactor))
    }

    /// Registers something, and whose loop has to be turned for it, if any.
    fn enlist(
        self: &Arc<Self>,
        source: Arc<dyn Watch>,
        key: usize,
        interest: Interest,
        reactor: Option<Arc<Reactor>>,
    ) -> Result<(), PollError> {
        let entry = Arc::new(Entry {
            key,
            id: next_observer(),
            source,
            queue: Arc::downgrade(self),
        });
        let mut state = self.state.lock();
        let registered = Registered::Source {
            entry,
            interest,
            queued: true,
        };
        state.register(key, registered)?;
        state.ready.push_back(key);
        reactor.into_iter().for_each(|reactor| state.drivers.add(reactor));
        // Those who wait have to run its connections from now on.
        let signals = state.waiters.tell_all();
        drop(state);
        fire_signals(signals);
        Ok(())
    }

    pub(super) fn add_timer(
        &self,
        key: usize,
        at: Option<Instant>,
        period: Option<Duration>,
    ) -> Result<(), PollError> {
        let mut state = self.state.lock();
        state.register(key, Registered::Timer { armed: None, period })?;
        // Those who wait would sleep for too long if this is the first to go off.
        let signals = match at {
            Some(at) if state.arm(key, at) => state.waiters.tell_all(),
            _ => Vec::new(),
        };
        drop(state);
        fire_signals(signals);
        Ok(())
    }

    pub(super) fn modify(&self, key: usize, wanted: Interest) -> Result<(), PollError> {
        let mut state = self.state.lock();
        let Some(Registered::Source { interest, entry, .. }) = state.registered.get_mut(&key) else {
            return Err(PollError::NotRegistered(key));
        };
        *interest = wanted;
        let entry = Arc::clone(entry);
        drop(state);
        // Somebody may be looking for what was wanted before.
        self.push(&entry);
        Ok(())
    }

    pub(super) fn remove(&self, key: usize) -> bool {
        let mut state = self.state.lock();
        let removed = state.registered.remove(&key);
        let removed_any = removed.is_some();
        match removed {
            Some(Registered::Timer { mut armed, .. }) => state.timers.disarm(key, &mut armed),
            Some(Registered::Source { entry, queued, .. }) => {
                if queued {
                    state.ready.retain(|other| *other != key);
                }
                drop(state);
                entry.source.forget(entry.id);
            }
            None => {}
        }
        removed_any
    }

    /// Removes everything.
    pub(super) fn clear(&self) {
        let state = std::mem::take(&mut *self.state.lock());
        for registered in state.registered.into_values() {
            if let Registered::Source { entry, .. } = registered {
                entry.source.forget(entry.id);
            }
        }
    }

    /// The loop that the waiting thread turns, if it is known.
    #[cfg(unix)]
    pub(super) fn home(&self) -> Option<Arc<Reactor>> {
        self.state.lock().drivers.first()
    }

    /// Something may be ready.
    fn push(&self, entry: &Entry) {
        let mut state = self.state.lock();
        let signal = if state.push(entry) {
            state.waiters.tell_one()
        } else {
            None
        };
        drop(state);
        fire_signals(signal);
    }

    /// Takes the first that may be ready.
    fn pop(&self) -> Option<(Arc<Entry>, Interest)> {
        let mut state = self.state.lock();
        let key = state.ready.pop_front()?;
        let Some(Registered::Source {
            entry,
            interest,
            queued,
        }) = state.registered.get_mut(&key)
        else {
            return None;
        };
        *queued = false;
        Some((Arc::clone(entry), *interest))
    }

    /// Looks at all that may be ready, each once, and reports what is, as far as there is room; keeps that in mind.
    pub(super) fn look(&self, ready: &mut ReadyList, kept: &mut Vec<Arc<Entry>>) {
        let mut left = self.state.lock().ready.len();
        while left > 0
            && !ready.is_full()
            && let Some((entry, interest)) = self.pop()
        {
            left -= 1;
            let waker = Waker::from(Arc::clone(&entry));
            let readiness = entry.source.look(entry.id, interest, &waker);
            if !self.knows(&entry) {
                // Whoever removed it meanwhile may have had it forgotten before it was known again.
                entry.source.forget(entry.id);
            } else if readiness.is_any() {
                ready.push(Ready::source(entry.key, readiness));
                kept.push(entry);
            }
        }
    }

    /// Tells whether an entry is still registered.
    fn knows(&self, entry: &Entry) -> bool {
        let mut state = self.state.lock();
        #[cfg(test)]
        {
            state.looks += 1;
        }
        state.queued(entry).is_some()
    }

    /// Reports the timers that have gone off, as far as there is room, and sets those with a period anew.
    pub(super) fn take_due(&self, ready: &mut ReadyList, now: Instant) {
        let mut state = self.state.lock();
        while !ready.is_full()
            && let Some(key) = state.timers.pop_due(now)
        {
            ready.push(Ready::timer(key));
            state.go_on(key, now);
        }
    }

    /// Tells whether timers come first this time.
    pub(super) fn take_turn(&self) -> bool {
        let mut state = self.state.lock();
        state.timers_turn = !state.timers_turn;
        state.timers_turn
    }

    pub(super) fn take_woken(&self) -> bool {
        std::mem::take(&mut self.state.lock().woken)
    }

    pub(super) fn wake_one(&self) {
        let mut state = self.state.lock();
        state.woken = true;
        let signal = state.waiters.tell_one();
        drop(state);
        fire_signals(signal);
    }

    /// Blocks, and runs connections meanwhile, until there may be something to report; tells whether this thread was
    /// chosen to be told of it.
    pub(super) fn block(&self, waiter: &Arc<Waiter>, deadline: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        // Under the lock under which things are put into the queue: what comes later will be told.
        if state.has_news() {
            return false;
        }
        let id = state.waiters.add(Signal::Thread(Arc::clone(waiter)));
        let until = [deadline, state.timers.next()].into_iter().flatten().min();
        let drivers = state.drivers.clone();
        drop(state);
        drivers.wait(waiter, until);
        self.state.lock().waiters.remove(id)
    }

    /// A wait ends: what was ready may still be, and others who wait have to be told, of this and of what the thread was
    /// told of and has not taken.
    pub(super) fn end(&self, kept: &[Arc<Entry>], told: bool) {
        let mut state = self.state.lock();
        for entry in kept {
            state.push(entry);
        }
        let signal = if (told || !kept.is_empty()) && state.has_news() {
            state.waiters.tell_one()
        } else {
            None
        };
        drop(state);
        fire_signals(signal);
    }

    /// Tells whether a thread sleeps here, or is about to.
    #[cfg(test)]
    pub(super) fn is_awaited(&self) -> bool {
        !self.state.lock().waiters.is_empty()
    }

    /// Returns how often anything was looked at.
    #[cfg(test)]
    pub(super) fn looks(&self) -> usize {
        self.state.lock().looks
    }
}

impl State {
    fn register(&mut self, key: usize, registered: Registered) -> Result<(), PollError> {
        if self.registered.contains_key(&key) {
            return Err(PollError::KeyInUse(key));
        }
        self.registered.insert(key, registered);
        Ok(())
    }

    /// Whether an entry is in the queue, if it is registered.
    fn queued(&mut self, entry: &Entry) -> Option<&mut bool> {
        match self.registered.get_mut(&entry.key)? {
            Registered::Source {
                entry: known, queued, ..
            } if known.id == entry.id => Some(queued),
            _ => None,
        }
    }

    /// Puts an entry into the queue if it is registered and not there; tells whether it was put.
    fn push(&mut self, entry: &Entry) -> bool {
        let due = self
            .queued(entry)
            .is_some_and(|queued| !std::mem::replace(queued, true));
        if due {
            self.ready.push_back(entry.key);
        }
        due
    }

    fn has_news(&self) -> bool {
        self.woken || !self.ready.is_empty()
    }

    /// Sets a timer; tells whether it is now the first to go off.
    fn arm(&mut self, key: usize, at: Instant) -> bool {
        match self.registered.get_mut(&key) {
            Some(Registered::Timer { armed, .. }) => self.timers.arm(key, armed, at),
            _ => false,
        }
    }

    /// A timer has gone off: one with a period goes on, from when it should have gone off, and any other is removed.
    fn go_on(&mut self, key: usize, now: Instant) {
        let Some(Registered::Timer { armed, period }) = self.registered.get_mut(&key) else {
            return;
        };
        let before = armed.take().unwrap_or(now);
        let Some(period) = *period else {
            self.registered.remove(&key);
            return;
        };
        let next = before.checked_add(period).filter(|next| *next > now);
        if let Some(next) = next.or_else(|| now.checked_add(period)) {
            self.arm(key, next);
        }
    }
}
