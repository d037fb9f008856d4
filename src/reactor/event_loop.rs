//! The event loop: one turn runs timers, scheduled sources, and what the system reports.

use std::time::{Duration, Instant};

use mio::{Events, Poll};

use super::spin::Spin;
use super::waiter::Waiter;
use super::{KICK, Reactor, Readiness};
use crate::queue::Queue;

/// Events taken from the system at once; the others come in the next turn.
const EVENTS_PER_TURN: usize = 256;

/// Timers that go off in one turn before the loop looks at sockets again.
const TIMERS_PER_TURN: usize = 1024;

/// Bytes read from one connection in one turn, so that a busy peer starves nobody.
pub(super) const READ_MOST: usize = 512 * 1024;

/// What all connections that are ready together read in a turn, as far as [`READ_LEAST`] allows: with many, what is read
/// should still be in the cache when it is received.
const READ_IN_ALL: usize = 512 * 1024;

/// What each of them reads at least, or its system calls would cost more than the cache saves.
const READ_LEAST: usize = 8 * 1024;

/// How long a turn deals with peers that still shake hands, who may cost a tenth of a millisecond each: the others wait for
/// one or two of them at most, however many come at once. In the tests of this crate each turn deals with one.
const STRANGERS_MOST: Duration = Duration::from_micros(if cfg!(test) { 0 } else { 100 });

/// So many connections are many. Of these a caller reads only those from which the application has nothing left: what
/// the others have sent stays with the system, for it would have left the cache before it is received.
const MANY: usize = 8;

/// What each of many reads at most. Less costs more in turns of the loop than the cache saves; twice as much is a fifth
/// slower, for it is not received at once.
const READ_OF_MANY: usize = 32 * 1024;

/// For so long connections are counted that are ready now and then: in less, a thread that receives from a thousand may not
/// come round.
const CENSUS: Duration = Duration::from_millis(10);

/// What is read from a connection at once. One buffer serves all connections, so it may be generous.
const READ_BUFFER: usize = 128 * 1024;

/// Memory that sources use while the driver runs them, so that an idle one needs none.
pub(crate) struct Scratch {
    pub(super) bytes: Vec<u8>,
    pub(super) inbox: Queue,
    /// Bytes that one connection may read in this turn.
    pub(super) share: usize,
    /// Whether a connection is left alone while the application has something left from it.
    pub(super) lazy: bool,
    /// Tells the connections that are counted as busy from those that were before.
    pub(super) census: u32,
    /// How many that are.
    pub(super) counted: usize,
    /// Bytes read in this turn.
    pub(super) read: usize,
    /// Time that went to handshakes in this turn.
    pub(super) strangers: Duration,
    /// Started at the first need in a turn.
    pub(super) now: Instant,
}

impl Scratch {
    /// So many connections read in this turn.
    fn share_among(&mut self, connections: usize) {
        let most = if self.lazy { READ_OF_MANY } else { READ_MOST };
        self.share = (READ_IN_ALL / connections.max(1)).clamp(READ_LEAST, most);
    }

    /// Tells whether peers that still shake hands have had their part of this turn.
    pub(super) fn has_met_enough_strangers(&self) -> bool {
        self.strangers > STRANGERS_MOST
    }
}

/// How a turn waits for the system when nothing else is to be done.
#[derive(Clone, Copy)]
pub(super) struct Sleep<'a> {
    /// When it ends at the latest.
    pub(super) deadline: Option<Instant>,
    /// A thread that waits for something of its own, and does not sleep any more once that has come.
    pub(super) waiter: Option<&'a Waiter>,
    /// For how long the waiter polls at least before it sleeps.
    pub(super) busy_poll: Duration,
}

impl Sleep<'_> {
    /// What the I/O thread does: it waits for whatever comes.
    pub(super) const UNTIL_KICKED: Self = Self {
        deadline: None,
        waiter: None,
        busy_poll: Duration::ZERO,
    };
}

/// What the driver turns.
pub(crate) struct EventLoop {
    poll: Poll,
    events: Events,
    scratch: Scratch,
    scheduled: Vec<usize>,
    /// How many connections were counted in the last census, and when this one began.
    crowd: usize,
    census_began: Instant,
    spin: Spin,
    /// The same for one who visits.
    visits: Spin,
    /// When a visitor had last done what it found.
    found: Instant,
}

impl EventLoop {
    pub(super) fn new(poll: Poll) -> Self {
        let scratch = Scratch {
            bytes: vec![0; READ_BUFFER],
            inbox: Queue::new(),
            share: READ_MOST,
            census: 1,
            counted: 0,
            lazy: false,
            read: 0,
            strangers: Duration::ZERO,
            now: Instant::now(),
        };
        Self {
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            scratch,
            scheduled: Vec::new(),
            crowd: 0,
            census_began: Instant::now(),
            spin: Spin::of_thread(),
            visits: Spin::of_task(),
            found: Instant::now(),
        }
    }

    /// Runs what is due, waits for more as told if nothing was, and runs what has come.
    pub(super) fn turn(&mut self, reactor: &Reactor, sleep: Option<Sleep<'_>>) {
        self.scratch.now = Instant::now();
        self.scratch.strangers = Duration::ZERO;
        self.take_census();
        // A caller comes back as soon as it has nothing left. Others may not, and see to it that all is read.
        self.scratch.lazy = self.crowd >= MANY && sleep.is_some_and(|sleep| sleep.waiter.is_some());
        let busy = self.run_timers(reactor) | self.run_scheduled(reactor);
        match sleep.filter(|_| !busy) {
            Some(sleep) => self.wait(reactor, sleep),
            None => {
                self.poll(Some(Duration::ZERO));
                self.run_events(reactor);
            }
        }
    }

    /// Begins to count anew when it is time.
    fn take_census(&mut self) {
        let now = self.scratch.now;
        if now.saturating_duration_since(self.census_began) > CENSUS {
            self.census_began = now;
            self.scratch.census = self.scratch.census.wrapping_add(1);
            self.crowd = std::mem::take(&mut self.scratch.counted);
        }
    }

    /// One turn without waiting, by somebody who comes when called, or sooner. Tells whether it is worthwhile to come again
    /// at once.
    pub(super) fn visit(&mut self, reactor: &Reactor) -> bool {
        self.turn(reactor, None);
        let wait = self.scratch.now.saturating_duration_since(self.found);
        if self.events.is_empty() {
            return wait < self.visits.patience();
        }
        self.visits.note(wait, self.scratch.read);
        self.found = Instant::now();
        !self.visits.patience().is_zero()
    }

    /// Waits for events and runs them.
    fn wait(&mut self, reactor: &Reactor, sleep: Sleep<'_>) {
        let timeout = self.prepare_poll(reactor, sleep);
        let began = self.scratch.now;
        if timeout == Some(Duration::ZERO) || !self.spin(began, timeout, sleep) {
            self.poll(timeout);
        }
        reactor.mailbox.lock().polling = false;
        self.scratch.now = Instant::now();
        if let Some(waiter) = sleep.waiter {
            waiter.end_poll();
        }
        self.run_events(reactor);
        let wait = self.scratch.now.saturating_duration_since(began);
        self.spin.note(wait, self.scratch.read);
    }

    /// Runs the sources of which the system has reported something.
    fn run_events(&mut self, reactor: &Reactor) {
        self.scratch.read = 0;
        self.scratch.share_among(self.events.iter().count());
        for event in &self.events {
            if event.token() == KICK {
                continue;
            }
            let readiness = Readiness {
                readable: event.is_readable(),
                writable: event.is_writable(),
                hangup: event.is_read_closed() || event.is_error(),
            };
            if let Some(source) = reactor.source(event.token().0) {
                source.handle_ready(readiness, &mut self.scratch);
            }
        }
    }

    fn poll(&mut self, timeout: Option<Duration>) {
        if let Err(error) = self.poll.poll(&mut self.events, timeout) {
            // Interrupted by a signal (or out of memory for a moment): the next turn polls again.
            debug_assert_eq!(error.kind(), std::io::ErrorKind::Interrupted, "{error}");
            self.events.clear();
        }
    }

    /// Polls without sleeping for as long as that is worthwhile or wanted; tells whether anything came, or the time is
    /// over.
    fn spin(&mut self, began: Instant, timeout: Option<Duration>, sleep: Sleep<'_>) -> bool {
        let patience = self.spin.patience().max(sleep.busy_poll);
        if patience.is_zero() || sleep.waiter.is_none() {
            return false;
        }
        loop {
            self.poll(Some(Duration::ZERO));
            if !self.events.is_empty() {
                return true;
            }
            let waited = began.elapsed();
            if timeout.is_some_and(|timeout| waited >= timeout) {
                return true;
            }
            if waited >= patience {
                return false;
            }
            // Whoever is waited for may want to run on this very processor.
            std::thread::yield_now();
        }
    }

    /// Decides for how long to poll, and makes sure that whatever comes up meanwhile kicks.
    fn prepare_poll(&self, reactor: &Reactor, sleep: Sleep<'_>) -> Option<Duration> {
        let (now, deadline) = (self.scratch.now, sleep.deadline);
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Some(Duration::ZERO);
        }
        // The caller is about to block: nothing that was sent may wait for it.
        reactor.flush_gathered();
        if sleep
            .waiter
            .is_some_and(|waiter| !waiter.begin_poll(&reactor.kick))
        {
            return Some(Duration::ZERO);
        }
        let mut mailbox = reactor.mailbox.lock();
        if !mailbox.scheduled.is_empty() {
            return Some(Duration::ZERO);
        }
        mailbox.polling = true;
        let first = [deadline, mailbox.timers.next()].into_iter().flatten().min();
        first.map(|first| first.saturating_duration_since(now))
    }

    fn run_timers(&mut self, reactor: &Reactor) -> bool {
        let mut ran = false;
        for _ in 0..TIMERS_PER_TURN {
            let Some(key) = reactor.mailbox.lock().timers.pop_due(self.scratch.now) else {
                break;
            };
            ran = true;
            if let Some(source) = reactor.source(key) {
                source.handle_timeout(self.scratch.now, &mut self.scratch);
            }
        }
        ran
    }

    fn run_scheduled(&mut self, reactor: &Reactor) -> bool {
        std::mem::swap(&mut self.scheduled, &mut reactor.mailbox.lock().scheduled);
        let ran = !self.scheduled.is_empty();
        self.scratch.share_among(self.scheduled.len());
        for key in self.scheduled.drain(..) {
            if let Some(source) = reactor.source(key) {
                source.handle_ready(Readiness::default(), &mut self.scratch);
            }
        }
        ran
    }
}
