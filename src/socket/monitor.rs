//! The monitor: a socket's events as a stream, which never holds the socket up.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::core::{Core, deadline, fire_signals};
use super::waiters::{Signal, Waiters};
use crate::error::{DisconnectReason, RecvError, TryRecvError};
use crate::monitor::{Event, EventQueue};
use crate::pattern::Pattern;
use crate::rate::TokenBucket;
use crate::reactor::{Reactor, Waiter};
use crate::stats::Endings;
use crate::sync::Mutex;

/// Where a socket writes down its events, if anybody has asked for them.
#[derive(Clone, Default)]
pub(super) struct Journal(Arc<Mutex<State>>);

/// Events that strangers cause: so many a second, and so many at once, are told. The others are counted. So are those for
/// which the queue has no place beside a few of other kinds: they push nothing out that matters more.
const CHEAP_EVENTS: u32 = 100;
const CHEAP_BURST: u32 = 900;

struct State {
    watched: bool,
    /// Peers that the authenticator did not let in, watched or not.
    denied: u64,
    ended: bool,
    events: EventQueue,
    /// Whether there may be another event of which strangers can cause many.
    cheap: TokenBucket,
    endings: Endings,
    waiters: Waiters,
}

impl Default for State {
    fn default() -> Self {
        Self {
            watched: false,
            denied: 0,
            ended: false,
            events: EventQueue::default(),
            cheap: TokenBucket::new(CHEAP_EVENTS, CHEAP_BURST),
            endings: Endings::default(),
            waiters: Waiters::default(),
        }
    }
}

impl Journal {
    pub(super) fn record(&self, event: Event) {
        let mut state = self.0.lock();
        if let Event::HandshakeFailed {
            reason: DisconnectReason::Denied(_),
            ..
        } = &event
        {
            state.denied += 1;
        }
        if let Some(kind) = event.ending() {
            state.endings.add(kind);
        }
        if !state.watched {
            return;
        }
        if event.is_cheap() && (state.events.is_crowded() || !state.cheap.take(Instant::now())) {
            state.events.drop_one();
            return;
        }
        state.events.push(event);
        let signal = state.waiters.tell_one();
        drop(state);
        fire_signals(signal);
    }

    /// No more events will come.
    pub(super) fn end(&self) {
        let mut state = self.0.lock();
        state.ended = true;
        let signals = state.waiters.tell_all();
        drop(state);
        fire_signals(signals);
    }

    /// Returns how many peers the authenticator did not let in.
    pub(super) fn denied(&self) -> u64 {
        self.0.lock().denied
    }

    pub(super) fn dropped(&self) -> u64 {
        self.0.lock().events.dropped()
    }

    /// Why connections have ended so far.
    pub(super) fn endings(&self) -> Endings {
        self.0.lock().endings.clone()
    }

    fn try_recv(&self) -> Result<Event, TryRecvError> {
        let mut state = self.0.lock();
        match state.events.pop() {
            Some(event) => Ok(event),
            None if state.ended => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    fn attempt(&self) -> Option<Result<Event, RecvError>> {
        match self.try_recv() {
            Ok(event) => Some(Ok(event)),
            Err(TryRecvError::Closed) => Some(Err(RecvError::Closed)),
            Err(TryRecvError::Empty) => None,
        }
    }

    fn join(&self, signal: Signal) -> u64 {
        self.0.lock().waiters.add(signal)
    }

    /// Leaves, and passes on the word to another reader if there is something for it.
    fn leave(&self, id: u64) {
        let mut state = self.0.lock();
        let told = state.waiters.remove(id);
        let next = if told || !state.events.is_empty() {
            state.waiters.tell_one()
        } else {
            None
        };
        drop(state);
        fire_signals(next);
    }
}

impl<P: Pattern> Core<P> {
    pub(super) fn monitor(&self) -> Monitor {
        self.journal.0.lock().watched = true;
        // Without a reactor there is nothing that a waiting reader could run.
        Monitor {
            journal: self.journal.clone(),
            reactor: self.reactor().ok().map(Arc::clone),
        }
    }
}

/// The stream of a socket's [`Event`]s, from [`monitor`](crate::Push::monitor).
///
/// Up to 1,024 events are kept for a reader that is slow; then the oldest are dropped and counted in
/// [`monitor_dropped`](crate::SocketStats::monitor_dropped). So are those of connections that come and fail, if they are
/// more than 900 in a burst and 100 a second: strangers could cause any number of them. How many of which kind there
/// were is in [`endings`](crate::SocketStats::endings). All monitors of a socket read from the same stream. It
/// ends when the socket is closed; iterating over a monitor blocks for each event, and ends with the stream.
///
/// ```
/// use aqueduct::{Event, Pull};
///
/// let pull = Pull::new();
/// let monitor = pull.monitor();
/// pull.bind("tcp://127.0.0.1:0")?;
/// assert!(matches!(monitor.recv()?, Event::Listening { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Monitor {
    journal: Journal,
    reactor: Option<Arc<Reactor>>,
}

impl Monitor {
    /// Returns the next event if one is here.
    ///
    /// # Errors
    ///
    /// None is here, or the socket is closed and all its events were read.
    pub fn try_recv(&self) -> Result<Event, TryRecvError> {
        self.journal.try_recv()
    }

    /// Waits for the next event.
    ///
    /// # Errors
    ///
    /// The socket is closed and all its events were read.
    pub fn recv(&self) -> Result<Event, RecvError> {
        self.wait(None)
    }

    /// Waits for the next event, at most this long.
    ///
    /// # Errors
    ///
    /// None came in time, or the socket is closed and all its events were read.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Event, RecvError> {
        self.wait(deadline(Some(timeout)))
    }

    /// Waits for the next event without blocking the thread.
    ///
    /// # Errors
    ///
    /// The socket is closed and all its events were read.
    pub async fn recv_async(&self) -> Result<Event, RecvError> {
        NextEvent {
            journal: &self.journal,
            id: None,
        }
        .await
    }

    fn wait(&self, deadline: Option<Instant>) -> Result<Event, RecvError> {
        let waiter = Waiter::current();
        loop {
            let id = self.journal.join(Signal::Thread(Arc::clone(&waiter)));
            let early = self.journal.attempt();
            let late = deadline.is_some_and(|deadline| deadline <= Instant::now());
            if early.is_none() && !late {
                match &self.reactor {
                    Some(reactor) => reactor.wait(&waiter, deadline),
                    None => {
                        waiter.park(deadline);
                    }
                }
            }
            self.journal.leave(id);
            if let Some(result) = early.or_else(|| self.journal.attempt()) {
                return result;
            }
            if late {
                return Err(RecvError::Timeout);
            }
        }
    }
}

impl Iterator for &Monitor {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.recv().ok()
    }
}

impl Iterator for Monitor {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.recv().ok()
    }
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

struct NextEvent<'a> {
    journal: &'a Journal,
    id: Option<u64>,
}

impl Future for NextEvent<'_> {
    type Output = Result<Event, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(id) = self.id.take() {
            self.journal.0.lock().waiters.remove(id);
        }
        if let Some(result) = self.journal.attempt() {
            return Poll::Ready(result);
        }
        self.id = Some(self.journal.join(Signal::Task(context.waker().clone())));
        // What was recorded before we joined would not be told to us.
        match self.journal.attempt() {
            Some(result) => Poll::Ready(result),
            None => Poll::Pending,
        }
    }
}

impl Drop for NextEvent<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.journal.leave(id);
        }
    }
}
