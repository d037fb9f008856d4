//! What a poller shares with what it watches: the queue of what may be ready, and those who wait for it.

#[cfg(all(test, aqueduct_loom))]
mod loom_model;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use super::super::core::fire_signals;
use super::super::waiters::{Signal, Waiters, next_watcher};
use super::super::watch::{Drivers, Interest, Seen, Watch};
use super::{Ready, ReadyList};
use crate::error::PollError;
use crate::reactor::{Reactor, Timers, Waiter};
use crate::sync::Mutex;

/// The queue, its lock, and the time that stamps reports.
///
/// An entry is at any time in the queue, or known to what it watches (which will wake it), or being looked at by a
/// thread, which will bring it to one of these two. So none is forgotten, and none is looked at without need.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Counts waits; see [`Watch::look`].
    clock: Arc<AtomicU64>,
}

#[derive(Default)]
struct State {
    registered: HashMap<usize, Registered>,
    /// What may be ready; each entry at most once, so no longer than the table above.
    ready: VecDeque<Arc<Entry>>,
    timers: Timers,
    waiters: Waiters,
    drivers: Drivers,
    /// Somebody asked for a wait to end.
    woken: bool,
}

enum Registered {
    Source(Arc<Entry>),
    Timer {
        armed: Option<Instant>,
        period: Option<Duration>,
    },
}

/// A socket or descriptor that is registered.
pub(super) struct Entry {
    key: usize,
    watcher: u64,
    source: Arc<dyn Watch>,
    interest: Mutex<Interest>,
    queue: Weak<Queue>,
    /// It is in the queue. Changed only while that is locked.
    queued: AtomicBool,
    removed: AtomicBool,
}

impl Entry {
    pub(super) fn key(&self) -> usize {
        self.key
    }

    /// Looks whether it is ready; `None` if it was removed.
    pub(super) fn look(self: &Arc<Self>, since: u64) -> Option<Seen> {
        if self.removed.load(Ordering::SeqCst) {
            return None;
        }
        let interest = *self.interest.lock();
        let waker = Waker::from(Arc::clone(self));
        let seen = self.source.look(self.watcher, interest, &waker, since);
        // Whoever removed it meanwhile has had it forgotten before it joined again.
        if self.removed.load(Ordering::SeqCst) {
            self.source.forget(self.watcher);
            return None;
        }
        Some(seen)
    }

    fn retire(&self) {
        self.removed.store(true, Ordering::SeqCst);
        self.source.forget(self.watcher);
    }
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
        reactor: Arc<Reactor>,
        key: usize,
        interest: Interest,
    ) -> Result<(), PollError> {
        let entry = Arc::new(Entry {
            key,
            watcher: next_watcher(),
            source,
            interest: Mutex::new(interest),
            queue: Arc::downgrade(self),
            queued: AtomicBool::new(true),
            removed: AtomicBool::new(false),
        });
        let mut state = self.state.lock();
        if state.registered.contains_key(&key) {
            return Err(PollError::KeyInUse(key));
        }
        state
            .registered
            .insert(key, Registered::Source(Arc::clone(&entry)));
        state.drivers.add(reactor);
        state.ready.push_back(entry);
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
        if state.registered.contains_key(&key) {
            return Err(PollError::KeyInUse(key));
        }
        let mut armed = None;
        let first = at.is_some_and(|at| state.timers.arm(key, &mut armed, at));
        state
            .registered
            .insert(key, Registered::Timer { armed, period });
        // Those who wait would sleep for too long.
        let signals = if first {
            state.waiters.tell_all()
        } else {
            Vec::new()
        };
        drop(state);
        fire_signals(signals);
        Ok(())
    }

    pub(super) fn modify(&self, key: usize, interest: Interest) -> Result<(), PollError> {
        let state = self.state.lock();
        let Some(Registered::Source(entry)) = state.registered.get(&key) else {
            return Err(PollError::NotRegistered(key));
        };
        let entry = Arc::clone(entry);
        drop(state);
        *entry.interest.lock() = interest;
        entry.wake_by_ref();
        Ok(())
    }

    pub(super) fn remove(&self, key: usize) -> bool {
        let mut state = self.state.lock();
        let removed = state.registered.remove(&key);
        match removed {
            None => false,
            Some(Registered::Timer { mut armed, .. }) => {
                state.timers.disarm(key, &mut armed);
                true
            }
            Some(Registered::Source(entry)) => {
                if entry.queued.swap(false, Ordering::SeqCst) {
                    state.ready.retain(|other| !Arc::ptr_eq(other, &entry));
                }
                drop(state);
                entry.retire();
                true
            }
        }
    }

    /// Removes everything.
    pub(super) fn clear(&self) {
        let registered = std::mem::take(&mut self.state.lock().registered);
        for registered in registered.into_values() {
            if let Registered::Source(entry) = registered {
                entry.retire();
            }
        }
        self.state.lock().ready.clear();
    }

    /// The loop that the waiting thread turns, if it is known.
    #[cfg(unix)]
    pub(super) fn home(&self) -> Option<Arc<Reactor>> {
        self.state.lock().drivers.first().map(Arc::clone)
    }

    #[cfg(unix)]
    pub(super) fn clock(&self) -> &Arc<AtomicU64> {
        &self.clock
    }

    pub(super) fn drivers(&self) -> Drivers {
        self.state.lock().drivers.clone()
    }

    /// A wait begins; returns when.
    pub(super) fn begin(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::AcqRel) + 1
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().ready.len()
    }

    /// Takes the first that may be ready.
    pub(super) fn pop(&self) -> Option<Arc<Entry>> {
        let mut state = self.state.lock();
        let entry = state.ready.pop_front()?;
        entry.queued.store(false, Ordering::SeqCst);
        Some(entry)
    }

    /// Something may be ready.
    fn push(&self, entry: &Arc<Entry>) {
        let mut state = self.state.lock();
        let signal = state.push(entry).then(|| state.waiters.tell_one()).flatten();
        drop(state);
        fire_signals(signal);
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
        if !state.ready.is_empty() || state.woken {
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
    pub(super) fn end(&self, kept: Vec<Arc<Entry>>, told: bool) {
        let pass_on = told || !kept.is_empty();
        let mut state = self.state.lock();
        for entry in kept {
            state.push(&entry);
        }
        let signal = if pass_on && (!state.ready.is_empty() || state.woken) {
            state.waiters.tell_one()
        } else {
            None
        };
        drop(state);
        fire_signals(signal);
    }
}

impl State {
    /// Puts an entry into the queue if it is not there; tells whether it was put.
    fn push(&mut self, entry: &Arc<Entry>) -> bool {
        if entry.removed.load(Ordering::SeqCst) || entry.queued.swap(true, Ordering::SeqCst) {
            return false;
        }
        self.ready.push_back(Arc::clone(entry));
        true
    }

    /// A timer has gone off: one with a period goes on, from when it should have gone off, and any other is removed.
    fn go_on(&mut self, key: usize, now: Instant) {
        let Some(Registered::Timer { armed, period }) = self.registered.get_mut(&key) else {
            return;
        };
        let (before, period) = (armed.take().unwrap_or(now), *period);
        let Some(period) = period else {
            self.registered.remove(&key);
            return;
        };
        let next = before.checked_add(period).filter(|next| *next > now);
        if let Some(next) = next.or_else(|| now.checked_add(period)) {
            self.timers.arm(key, armed, next);
        }
    }
}
