//! Who runs the connections of several sockets at once.

use std::sync::Arc;
use std::time::Instant;

use crate::reactor::{Reactor, Waiter};

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

    /// The loop that the waiting thread turns, if there is any.
    #[cfg(unix)]
    pub(super) fn first(&self) -> Option<Arc<Reactor>> {
        self.0.first().map(Arc::clone)
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
}
