//! How a poller watches a file descriptor: as it watches a socket.

use std::io;
use std::sync::Arc;
use std::task::Waker;

use super::super::watch::{Interest, Readiness, Watch};
use crate::reactor::{Descriptor, Reactor};

impl Watch for Descriptor {
    fn look(&self, _observer: u64, interest: Interest, waker: &Waker) -> Readiness {
        let report = Descriptor::look(self, to_mio(interest), waker);
        Readiness {
            readable: report.readable,
            writable: report.writable,
            closed: report.closed,
        }
    }

    fn forget(&self, _observer: u64) {
        Descriptor::forget(self);
    }

    fn reactor(&self) -> io::Result<Arc<Reactor>> {
        Ok(Arc::clone(Descriptor::reactor(self)))
    }
}

pub(super) fn to_mio(interest: Interest) -> mio::Interest {
    match (interest.is_readable(), interest.is_writable()) {
        (true, true) => mio::Interest::READABLE | mio::Interest::WRITABLE,
        (false, true) => mio::Interest::WRITABLE,
        (_, false) => mio::Interest::READABLE,
    }
}
