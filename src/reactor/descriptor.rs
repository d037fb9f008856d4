//! A file descriptor of the application's that the event loop watches for it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::event_loop::Scratch;
use super::{Reactor, Readiness, Source};
use crate::sync::Mutex;

/// A descriptor among the sources of a reactor.
///
/// The event loop reports edges: that something has changed, once. They only say when to look; what there is to see,
/// the [`Probe`] finds out at that moment, so that nothing stale is ever taken for true.
pub(crate) struct Descriptor {
    reactor: Arc<Reactor>,
    key: usize,
    fd: OwnedFd,
    state: Mutex<State>,
}

struct State {
    /// What the event loop looks for; `None` if it does not any more.
    interest: Option<Interest>,
    /// Whom to tell that something has changed.
    waker: Option<Waker>,
}

/// What a descriptor is ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The other end is closed, or there was an error.
    pub(crate) closed: bool,
}

impl Descriptor {
    /// Has a reactor watch a descriptor. Fails for what the system cannot watch, such as a file on a disk.
    pub(crate) fn watch(reactor: &Arc<Reactor>, fd: OwnedFd, interest: Interest) -> io::Result<Arc<Self>> {
        reactor.start_thread()?;
        let descriptor = reactor.insert(|key| {
            Arc::new(Self {
                reactor: Arc::clone(reactor),
                key,
                fd,
                state: Mutex::new(State {
                    interest: Some(interest),
                    waker: None,
                }),
            })
        });
        let raw = descriptor.fd.as_raw_fd();
        let token = Token(descriptor.key);
        // A look that fails shall fail now rather than later, when nobody could be told.
        let registered = (reactor.probe.look(raw, interest))
            .and_then(|_| reactor.registry.register(&mut SourceFd(&raw), token, interest));
        if registered.is_err() {
            reactor.remove(descriptor.key, &mut None);
        }
        registered.map(|()| descriptor)
    }

    /// Returns what of the interest is there now, and has the waker told of whatever changes from now on.
    pub(crate) fn look(&self, interest: Interest, waker: &Waker) -> Report {
        let raw = self.fd.as_raw_fd();
        let mut state = self.state.lock();
        let Some(before) = state.interest else {
            return Report::default();
        };
        // First the waker, then the look: what changes in between is told.
        state.waker = Some(waker.clone());
        let mut asked = Ok(());
        if before != interest {
            state.interest = Some(interest);
            let registry = &self.reactor.registry;
            asked = registry.reregister(&mut SourceFd(&raw), Token(self.key), interest);
        }
        drop(state);
        let report = asked.and_then(|()| self.reactor.probe.look(raw, interest));
        // What cannot be watched any more is for the application to find out, by trying.
        let unknown = Report {
            readable: true,
            writable: true,
            closed: false,
        };
        report.unwrap_or(unknown).of(interest)
    }

    pub(crate) fn reactor(&self) -> &Arc<Reactor> {
        &self.reactor
    }

    /// Ends the watch; the descriptor itself is closed with the last use of this.
    pub(crate) fn forget(&self) {
        let mut state = self.state.lock();
        let waker = state.waker.take();
        let watched = state.interest.take().is_some();
        drop(state);
        drop(waker);
        if watched {
            let raw = self.fd.as_raw_fd();
            // It was registered; should the system think otherwise, there is nothing left to do.
            let _ = self.reactor.registry.deregister(&mut SourceFd(&raw));
            self.reactor.remove(self.key, &mut None);
        }
    }
}

impl Source for Descriptor {
    fn handle_ready(self: Arc<Self>, _readiness: Readiness, _scratch: &mut Scratch) {
        let waker = self.state.lock().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn handle_timeout(self: Arc<Self>, _now: Instant, _scratch: &mut Scratch) {}
}

impl Report {
    /// Leaves out what nobody asked for.
    fn of(self, interest: Interest) -> Self {
        Self {
            readable: interest.is_readable() && self.readable,
            writable: interest.is_writable() && self.writable,
            closed: self.closed,
        }
    }
}

/// Asks the system what a descriptor is ready for, at this moment.
///
/// An event loop that is told of edges cannot answer that, and there is no other call for it without `unsafe`: so there is
/// a second poll, which a descriptor is in only while it is asked about. It is made when it is first needed.
#[derive(Default)]
pub(super) struct Probe(Mutex<Option<(Poll, Events)>>);

/// Some systems report each direction by itself.
const EVENTS_OF_ONE: usize = 4;

impl Probe {
    fn look(&self, raw: RawFd, interest: Interest) -> io::Result<Report> {
        let mut place = self.0.lock();
        let (poll, events) = match &mut *place {
            Some(made) => made,
            empty => empty.insert((Poll::new()?, Events::with_capacity(EVENTS_OF_ONE))),
        };
        poll.registry()
            .register(&mut SourceFd(&raw), Token(0), interest)?;
        let polled = poll.poll(events, Some(Duration::ZERO));
        poll.registry().deregister(&mut SourceFd(&raw))?;
        polled?;
        let mut report = Report::default();
        for event in &*events {
            // An end or an error shows at once in what is tried, so there is no wait.
            let (no_reads, no_writes) = (event.is_read_closed(), event.is_write_closed());
            report.readable |= event.is_readable() || no_reads || event.is_error();
            report.writable |= event.is_writable() || no_writes || event.is_error();
            report.closed |= no_reads || no_writes || event.is_error();
        }
        Ok(report)
    }
}
