//! Watching: how pollers and notifiers learn that a socket may be used, without using it.

use std::io;
use std::ops::BitOr;
use std::sync::Arc;
use std::task::Waker;

use super::core::{Core, Phase, State};
use super::waiters::Signal;
use crate::pattern::Pattern;
use crate::reactor::Reactor;

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
    readable: bool,
    writable: bool,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Readiness {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) closed: bool,
}

impl Readiness {
    pub(super) fn is_any(self) -> bool {
        self.readable || self.writable || self.closed
    }
}

/// Something that can be watched.
pub(super) trait Watch: Send + Sync {
    /// Looks whether what is wanted can be done without waiting. If not, the waker is told when that may have changed,
    /// at least once, unless the same observer looks again before.
    ///
    /// To look and to join are one step: whatever comes after it is told.
    fn look(&self, observer: u64, interest: Interest, waker: &Waker) -> Readiness;

    /// Forgets an observer, if it is known.
    fn forget(&self, observer: u64);

    /// What has to be driven for anything to happen.
    fn reactor(&self) -> io::Result<Arc<Reactor>>;
}

impl<P: Pattern> Watch for Core<P> {
    fn look(&self, observer: u64, interest: Interest, waker: &Waker) -> Readiness {
        let mut state = self.state.lock();
        state.forget(observer);
        let readiness = state.readiness(interest);
        if !readiness.is_any() {
            let signal = || Signal::Task(waker.clone());
            if interest.readable {
                state.receivers.observe(observer, signal());
            }
            if interest.writable {
                state.senders.observe(observer, signal());
            }
        }
        let aftermath = state.take_aftermath();
        drop(state);
        self.settle(aftermath);
        readiness
    }

    fn forget(&self, observer: u64) {
        self.state.lock().forget(observer);
    }

    fn reactor(&self) -> io::Result<Arc<Reactor>> {
        Core::reactor(self).map(Arc::clone)
    }
}

impl<P: Pattern> State<P> {
    fn readiness(&mut self, interest: Interest) -> Readiness {
        // Who tries to use a closed socket need not wait for the answer.
        let closed = self.phase != Phase::Open;
        let (pattern, pipes) = (&mut self.pattern, &mut self.pipes);
        Readiness {
            readable: interest.readable && (closed || pattern.is_readable(pipes)),
            writable: interest.writable && (closed || pattern.is_writable(pipes)),
            closed,
        }
    }

    fn forget(&mut self, observer: u64) {
        self.receivers.forget(observer);
        self.senders.forget(observer);
    }
}

/// A socket, or a half of one, that a [`Poller`](crate::Poller) can wait for and a [`Notifier`](crate::Notifier) can tell
/// of: all are.
pub trait Pollable: Sealed {}

/// Keeps [`Pollable`] to the types of this crate.
pub trait Sealed {
    #[doc(hidden)]
    fn watched(&self) -> Watched;
}

/// What there is to watch of a socket: not the handle, so that the socket is closed with the last handle all the same.
pub struct Watched(pub(super) Arc<dyn Watch>);

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

/// Makes a handle of a socket, be it of a half, something to be watched.
macro_rules! pollable {
    ($socket:ident) => {
        impl $crate::socket::watch::Sealed for $socket {
            fn watched(&self) -> $crate::socket::watch::Watched {
                $crate::socket::watch::Watched(::std::sync::Arc::clone(&self.0.0) as _)
            }
        }

        impl $crate::Pollable for $socket {}
    };
}

pub(super) use pollable;
