//! The attendant: a driver that somebody else's event loop calls, in a task of some executor.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::Reactor;

/// The right, and the duty, to turn a reactor's loop whenever its descriptor is readable. Ends when dropped.
pub(crate) struct Attendant {
    reactor: Arc<Reactor>,
}

impl Attendant {
    /// Takes over from the I/O thread, unless somebody else has.
    pub(crate) fn new(reactor: &Arc<Reactor>) -> Option<Self> {
        if !reactor.driver.attend() {
            return None;
        }
        reactor.rest();
        Some(Self {
            reactor: Arc::clone(reactor),
        })
    }

    /// Runs what the system has something for, without waiting. If a caller does so already, that one calls again. Tells
    /// whether it is worthwhile to come again at once.
    pub(crate) fn turn(&self) -> bool {
        let mut soon = false;
        if let Some(mut event_loop) = self.reactor.driver.visit() {
            soon = event_loop.visit(&self.reactor);
            self.reactor.give_back(event_loop);
        }
        if !soon {
            // Whoever called will now be busy with other tasks, or sleep: nothing that was sent shall wait for that.
            self.reactor.flush_gathered();
        }
        soon
    }
}

impl AsFd for Attendant {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reactor.registry.as_fd()
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        self.reactor.driver.unattend();
    }
}
