//! Watching: how pollers, notifiers and proxies learn that a socket may be used, without using it.

use std::io;
use std::ops::BitOr;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Instant;

use super::closing::Handle;
use super::core::{Core, Phase};
use super::waiters::Signal;
use crate::pattern::Pattern;
use crate::reactor::{Reactor, Waiter};

/// What a [`Poller`](crate::Poller) is to watch for.
///
/// ```
/// use aqueduct::Interest;
///
/// let both = Interest::READABLE | Interest::WRITABLE;
/// assert!(both.is_readable() && both.is_writable());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interest {
    pub(super) readable: bool,
    pub(super) writable: bool,
}

impl Interest {
    /// Whether something can be received.
    pub const READABLE: Self = Self {
        readable: true,
        writable: false,
    };

    /// Whether something can be sent.
    pub const WRITABLE: Self = Self {
        readable: false,
        writable: true,
    };

    /// Returns whether this includes [`READABLE`](Self::READABLE).
    #[must_use]
    pub const fn is_readable(self) -> bool {
        self.readable
    }

    /// Returns whether this includes [`WRITABLE`](Self::WRITABLE).
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.writable
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            readable: self.readable || other.readable,
            writable: self.writable || other.writable,
        }
    }
}

/// What a look has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// At least one of what was wanted.
    Ready {
        #[doc(hidden)]
        readable: bool,
        #[doc(hidden)]
        writable: bool,
        #[doc(hidden)]
        closed: bool,
    },
    /// Nothing: the waker will be told.
    Nothing,
    /// It is not known: the waker will be told if there is something, at the soonest with the next turn of the loop.
    Asked,
}

/// Something that can be watched.
pub trait Watch: Send + Sync {
    /// Looks whether what is wanted can be done without waiting. If not, the waker is told once when that may have
    /// changed, unless the same watcher looks again before. `since` is when the wait began that this look is for.
    ///
    /// To look and to join are one step: whatever comes after it is told.
    fn look(&self, watcher: u64, interest: Interest, waker: &Waker, since: u64) -> Seen;

    /// Has the waker told once when somebody tries to do what is wanted, and cannot.
    fn believe(&self, watcher: u64, interest: Interest, waker: &Waker);

    /// Forgets a watcher.
    fn forget(&self, watcher: u64);

    /// What has to be driven for anything to happen.
    fn reactor(&self) -> io::Result<Arc<Reactor>>;
}

impl<P: Pattern> Watch for Core<P> {
    fn look(&self, watcher: u64, interest: Interest, waker: &Waker, _since: u64) -> Seen {
        let mut state = self.state.lock();
        state.receivers.forget(watcher);
        state.senders.forget(watcher);
        let closed = state.phase != Phase::Open;
        let state_ref = &mut *state;
        // Who tries to use a closed socket need not wait for the answer.
        let readable = interest.readable && (closed || state_ref.pattern.can_recv(&mut state_ref.pipes));
        let writable = interest.writable && (closed || state_ref.pattern.can_send(&mut state_ref.pipes));
        let ready = readable || writable || closed;
        if !ready && interest.readable {
            state.receivers.watch(watcher, Signal::Task(waker.clone()));
        }
        if !ready && interest.writable {
            state.senders.watch(watcher, Signal::Task(waker.clone()));
        }
        let aftermath = state.take_aftermath();
        drop(state);
        self.settle(aftermath);
        if ready {
            Seen::Ready {
                readable,
                writable,
                closed,
            }
        } else {
            Seen::Nothing
        }
    }

    fn believe(&self, watcher: u64, interest: Interest, waker: &Waker) {
        let mut state = self.state.lock();
        if interest.readable {
            state.receivers.believe(watcher, Signal::Task(waker.clone()));
        }
        if interest.writable {
            state.senders.believe(watcher, Signal::Task(waker.clone()));
        }
    }

    fn forget(&self, watcher: u64) {
        let mut state = self.state.lock();
        state.receivers.forget(watcher);
        state.senders.forget(watcher);
    }

    fn reactor(&self) -> io::Result<Arc<Reactor>> {
        Core::reactor(self).map(Arc::clone)
    }
}

/// A handle of a socket, whatever its type.
pub(crate) trait AsCore {
    type Pattern: Pattern;

    fn handle(&self) -> &Arc<Handle<Self::Pattern>>;

    fn core(&self) -> &Arc<Core<Self::Pattern>> {
        &self.handle().0
    }
}

/// A socket that a [`Poller`](crate::Poller) can wait for, and a notifier tell of.
pub trait Pollable: Sealed {}

/// Keeps [`Pollable`] to the types of this crate.
pub trait Sealed {
    #[doc(hidden)]
    fn watched(&self) -> Watched;
}

/// What there is to watch of a socket: not the handle, so that the socket is closed with the last handle all the same.
pub struct Watched(pub(super) Arc<dyn Watch>);

/// Makes a handle of a socket, be it a half, something to be watched.
macro_rules! pollable {
    ($socket:ident($pattern:ty)) => {
        impl $crate::socket::watch::AsCore for $socket {
            type Pattern = $pattern;

            fn handle(&self) -> &::std::sync::Arc<$crate::socket::closing::Handle<$pattern>> {
                &self.0
            }
        }

        impl $crate::socket::watch::Sealed for $socket {
            fn watched(&self) -> $crate::socket::watch::Watched {
                $crate::socket::watch::Watched(::std::sync::Arc::clone(&self.0.0) as _)
            }
        }

        impl $crate::Pollable for $socket {}
    };
}

pub(super) use pollable;

/// Who runs the connections while somebody waits for more than one socket: the waiting thread turns the first loop, and
/// the I/O threads the others.
#[derive(Clone, Default)]
pub(super) struct Drivers(Vec<Arc<Reactor>>);

impl Drivers {
    pub(super) fn add(&mut self, reactor: Arc<Reactor>) {
        if !self.0.iter().any(|known| Arc::ptr_eq(known, &reactor)) {
            self.0.push(reactor);
        }
    }

    pub(super) fn first(&self) -> Option<&Arc<Reactor>> {
        self.0.first()
    }

    /// Blocks until the waiter is notified, or until the deadline.
    pub(super) fn wait(&self, waiter: &Arc<Waiter>, deadline: Option<Instant>) {
        let Some((first, others)) = self.0.split_first() else {
            waiter.park(deadline);
            return;
        };
        for other in others {
            other.flush_gathered();
            other.add_errand();
        }
        first.wait(waiter, deadline);
        others.iter().for_each(|other| other.remove_errand());
    }

    /// Runs what is due, without waiting.
    pub(super) fn glance(&self) {
        self.0.iter().for_each(|reactor| reactor.glance());
    }
}

/// A thread can be woken as a task is.
impl Wake for Waiter {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}
