//! A file descriptor of the application's that the event loop watches for it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Token};

use super::event_loop::Scratch;
use super::{Reactor, Readiness, Source};
use crate::sync::Mutex;

/// A descriptor among the sources of a reactor.
///
/// The system reports edges: that something has become ready, once. To know whether it still is, it has to be asked
/// again, which setting the interest anew does; the answer comes with a turn of the loop. A report is worth something
/// only to who has not acted on the descriptor since, so each is stamped with the time of a clock that its owner turns.
pub(crate) struct Descriptor {
    reactor: Arc<Reactor>,
    key: usize,
    fd: OwnedFd,
    clock: Arc<AtomicU64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the system has reported, and when.
    report: Option<(Report, u64)>,
    /// Whom to tell of a report.
    waker: Option<Waker>,
}

/// What the system says of a descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) closed: bool,
}

impl Report {
    /// Some systems report each direction by itself.
    fn merge(&mut self, other: Self) {
        self.readable |= other.readable;
        self.writable |= other.writable;
        self.closed |= other.closed;
    }
}

impl Descriptor {
    /// Has a reactor watch a descriptor. Fails for what the system cannot watch, such as a file on a disk.
    pub(crate) fn watch(
        reactor: &Arc<Reactor>,
        fd: OwnedFd,
        interest: Interest,
        clock: &Arc<AtomicU64>,
    ) -> io::Result<Arc<Self>> {
        reactor.start_thread()?;
        let descriptor = reactor.insert(|key| {
            Arc::new(Self {
                reactor: Arc::clone(reactor),
                key,
                fd,
                clock: Arc::clone(clock),
                state: Mutex::default(),
            })
        });
        let raw = descriptor.fd.as_raw_fd();
        let token = Token(descriptor.key);
        let registered = reactor.registry.register(&mut SourceFd(&raw), token, interest);
        match registered {
            Ok(()) => Ok(descriptor),
            Err(error) => {
                reactor.remove(descriptor.key, &mut None);
                Err(error)
            }
        }
    }

    /// Returns what was reported at a time or later; if nothing was, asks anew, to have the waker told of the answer.
    pub(crate) fn ask(&self, interest: Interest, waker: &Waker, since: u64) -> Option<Report> {
        let mut state = self.state.lock();
        if let Some((report, _)) = state.report.take().filter(|(_, when)| *when >= since) {
            return Some(report);
        }
        state.waker = Some(waker.clone());
        drop(state);
        let raw = self.fd.as_raw_fd();
        let asked = self
            .reactor
            .registry
            .reregister(&mut SourceFd(&raw), Token(self.key), interest);
        // What cannot be watched any more is for the application to find out, by trying.
        asked.is_err().then_some(Report {
            readable: interest.is_readable(),
            writable: interest.is_writable(),
            closed: false,
        })
    }

    /// Ends the watch; the descriptor itself is closed with the last use of this.
    pub(crate) fn forget(&self) {
        let raw = self.fd.as_raw_fd();
        // It was registered; should the system think otherwise, there is nothing left to do.
        let _ = self.reactor.registry.deregister(&mut SourceFd(&raw));
        self.reactor.remove(self.key, &mut None);
        self.state.lock().waker = None;
    }
}

impl Source for Descriptor {
    fn handle_ready(self: Arc<Self>, readiness: Readiness, _scratch: &mut Scratch) {
        let mut state = self.state.lock();
        // An error shows in whatever is tried next.
        let mut report = Report {
            readable: readiness.readable || readiness.hangup,
            writable: readiness.writable || readiness.hangup,
            closed: readiness.hangup,
        };
        let now = self.clock.load(Ordering::Acquire);
        if let Some((before, _)) = state.report.filter(|(_, when)| *when == now) {
            report.merge(before);
        }
        state.report = Some((report, now));
        let waker = state.waker.clone();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn handle_timeout(self: Arc<Self>, _now: Instant, _scratch: &mut Scratch) {}
}
