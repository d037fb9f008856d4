//! A thread that waits: parked, or polling as the driver, and how either is told to look again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::time::{Duration, Instant};

use super::spin::Spin;
use crate::sync::{Condvar, Mutex};

/// Something that makes a blocking poll return.
pub(crate) trait Kick: Send + Sync {
    /// Makes the poll of now return, or else the next one. Sticky: no kick is lost.
    fn kick(&self);
}

/// A waiting thread. Its notifications are sticky, so one that comes before the thread sleeps is not lost.
pub(crate) struct Waiter {
    state: Mutex<State>,
    parked: Condvar,
    /// Something was told. For who polls: it may be set late, but then soon.
    news: AtomicBool,
}

struct State {
    /// What was waited for may have happened.
    notified: bool,
    /// The driver's seat was offered to this thread.
    offered: bool,
    doing: Doing,
    /// How long the next wait will be that is spent here rather than in the loop.
    spin: Spin,
}

enum Doing {
    /// Running: it will look at the flags before it sleeps, so nothing need wake it.
    Working,
    Parked,
    Polling(Arc<dyn Kick>),
}

/// Why a parked thread runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    Notified,
    Offered,
    TimedOut,
}

impl Waiter {
    pub(crate) fn new() -> Arc<Self> {
        let state = State {
            notified: false,
            offered: false,
            doing: Doing::Working,
            spin: Spin::of_thread(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            parked: Condvar::new(),
            news: AtomicBool::new(false),
        })
    }

    /// Returns the waiter of the calling thread. A notice left from an earlier wait only makes the next one look twice.
    #[cfg(not(aqueduct_loom))]
    pub(crate) fn current() -> Arc<Self> {
        thread_local! {
            static WAITER: Arc<Waiter> = Waiter::new();
        }
        WAITER.try_with(Arc::clone).unwrap_or_else(|_| Self::new())
    }

    /// In a model, threads are not kept apart by the system's own storage: each wait gets a waiter of its own.
    #[cfg(aqueduct_loom)]
    pub(crate) fn current() -> Arc<Self> {
        Self::new()
    }

    /// Tells the thread that what it waits for may have happened.
    pub(crate) fn notify(&self) {
        self.tell(|state| &mut state.notified);
    }

    /// Offers the driver's seat to the thread.
    pub(crate) fn offer(&self) {
        self.tell(|state| &mut state.offered);
    }

    fn tell(&self, flag: impl FnOnce(&mut State) -> &mut bool) {
        let mut state = self.state.lock();
        *flag(&mut state) = true;
        self.news.store(true, Ordering::Relaxed);
        match &state.doing {
            Doing::Working => {}
            Doing::Parked => self.parked.notify_one(),
            Doing::Polling(kick) => {
                let kick = Arc::clone(kick);
                drop(state);
                kick.kick();
            }
        }
    }

    /// Takes a notification, if there is one.
    pub(crate) fn take_notified(&self) -> bool {
        std::mem::take(&mut self.state.lock().notified)
    }

    pub(crate) fn is_notified(&self) -> bool {
        self.state.lock().notified
    }

    /// Announces a blocking poll that `kick` can end. Returns false, and announces nothing, if there is no need to
    /// block any more.
    pub(crate) fn begin_poll(&self, kick: &Arc<dyn Kick>) -> bool {
        let mut state = self.state.lock();
        if state.notified {
            return false;
        }
        state.doing = Doing::Polling(Arc::clone(kick));
        true
    }

    /// The poll is over.
    pub(crate) fn end_poll(&self) {
        self.state.lock().doing = Doing::Working;
    }

    /// Waits without a loop to turn, until notified or until the deadline. Before it sleeps it polls for so long, or
    /// longer if that is worthwhile.
    pub(crate) fn wait(&self, deadline: Option<Instant>, busy_poll: Duration) {
        let began = Instant::now();
        let state = self.state.lock();
        let patience = state.spin.patience().max(busy_poll);
        // What was told before is known by its own flag.
        self.news.store(state.notified, Ordering::Relaxed);
        drop(state);
        let until = began.checked_add(patience);
        let until = [until, deadline].into_iter().flatten().min();
        if !patience.is_zero() {
            self.poll(until);
        }
        self.park(deadline);
        self.state.lock().spin.note(began.elapsed(), 0);
    }

    /// Polls for news without sleeping.
    fn poll(&self, until: Option<Instant>) {
        while !self.news.load(Ordering::Relaxed) && until.is_some_and(|until| Instant::now() < until) {
            // Whoever is waited for may want to run on this very processor.
            std::thread::yield_now();
        }
    }

    /// Sleeps until told something, or until the deadline. Takes what it was told.
    pub(crate) fn park(&self, deadline: Option<Instant>) -> Woken {
        let mut state = self.state.lock();
        loop {
            if std::mem::take(&mut state.notified) {
                return Woken::Notified;
            }
            if std::mem::take(&mut state.offered) {
                return Woken::Offered;
            }
            let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if timeout.is_some_and(|timeout| timeout.is_zero()) {
                return Woken::TimedOut;
            }
            state.doing = Doing::Parked;
            state = self.parked.wait(state, timeout);
            state.doing = Doing::Working;
        }
    }

    /// Forgets an offer that came too late to be of use.
    pub(crate) fn forget_offer(&self) {
        self.state.lock().offered = false;
    }
}

/// A task whose thread waits for it.
impl Wake for Waiter {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}
