//! The poller: one thread waits for many sockets, descriptors and timers at once.

#[cfg(unix)]
mod descriptor;
mod queue;
mod ready;
#[cfg(all(test, unix))]
mod tests;

#[cfg(unix)]
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::queue::Queue;
pub use self::ready::{Ready, ReadyList};
use super::core::deadline;
use super::watch::{Interest, Pollable, Watched};
use crate::error::PollError;
use crate::reactor::Waiter;
#[cfg(unix)]
use crate::{context::Context, reactor::Descriptor};

/// Waits for many sockets, file descriptors and timers at once.
///
/// Each is registered under a key of your choice, which [`wait`](Self::wait) reports. Readiness is a level, not an edge:
/// what you leave undone is reported again by the next `wait`, so there is nothing that has to be drained, and nothing
/// to be missed. A wait costs what is ready, not what is registered.
///
/// A socket is *readable* if `try_recv` has an answer other than "nothing is here", and *writable* if `try_send` has one
/// other than "nobody can take it now". For those whose peers or turns differ that means:
///
/// | | readable | writable |
/// |---|---|---|
/// | [`Req`](crate::Req) | the reply is here, or its peer is lost | it is the turn to ask, and a peer can take the question |
/// | [`Rep`](crate::Rep) | a request is here | never: each [`Reply`](crate::Reply) knows its own peer |
/// | [`Router`](crate::Router) | a message is here, or a notice | some peer can take a message, not necessarily yours |
/// | [`Pub`](crate::Pub), [`XPub`](crate::XPub) | for an `XPub`: an event is here | always, even if a policy makes some topic wait |
/// | any other | a message is here, if it receives at all | a peer can take a message, if it sends at all |
/// | a closed one | always | always |
///
/// A report may be spurious: another thread may have been faster, or what came in meant nothing. So use the verbs that do
/// not wait, and descriptors that do not block. And what is ready most of the time, as many a socket is for writing, ends
/// every wait at once: [`modify`](Self::modify) it to watch for that only while you have something to send.
///
/// The thread that waits runs the connections meanwhile, as one does that waits in `recv`. The poller holds no socket
/// open: one whose last handle is dropped is closed, and reported as such until it is removed.
///
/// Several threads may wait, and others add and remove meanwhile. What is ready is reported to each thread that waits.
///
/// To wait in a loop of somebody else's, see [`Notifier`](crate::Notifier).
///
/// ```
/// use std::time::Duration;
/// use aqueduct::{Interest, Poller, Pull, Push, ReadyList};
///
/// let (tasks, control) = (Pull::new(), Pull::new());
/// let endpoint = tasks.bind("tcp://127.0.0.1:0")?;
/// control.bind("inproc://control")?;
/// let push = Push::new();
/// push.connect(&endpoint)?;
/// push.send("task")?;
///
/// const TASKS: usize = 0;
/// const CONTROL: usize = 1;
/// const TICK: usize = 2;
/// let poller = Poller::new();
/// poller.add(&tasks, TASKS, Interest::READABLE)?;
/// poller.add(&control, CONTROL, Interest::READABLE)?;
/// poller.add_interval(TICK, Duration::from_secs(1))?;
///
/// let mut ready = ReadyList::default();
/// poller.wait(&mut ready, None);
/// for ready in &ready {
///     match ready.key() {
///         TASKS => assert_eq!(tasks.try_recv()?, "task"),
///         CONTROL => println!("told {:?}", control.try_recv()?),
///         _ => println!("a second has passed"),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Poller {
    queue: Arc<Queue>,
}

impl Poller {
    /// Makes a poller with nothing registered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a socket, or a half of one. The same socket may be registered under several keys.
    ///
    /// # Errors
    ///
    /// The key is in use, or the system has no descriptors left for an event loop.
    pub fn add(&self, socket: &impl Pollable, key: usize, interest: Interest) -> Result<(), PollError> {
        let Watched(source) = socket.watched();
        self.queue.add(source, key, interest)
    }

    /// Registers a file descriptor: a socket of the system, a pipe, a terminal, but not a file on a disk.
    ///
    /// The poller watches a duplicate, so the original may be closed; but as long as it is registered, the peer of a
    /// pipe or socket does not see it close.
    ///
    /// ```
    /// use std::io::Write;
    /// use std::os::unix::net::UnixStream;
    /// use aqueduct::{Interest, Poller, ReadyList};
    ///
    /// let (near, mut far) = UnixStream::pair()?;
    /// let poller = Poller::new();
    /// poller.add_fd(&near, 7, Interest::READABLE)?;
    /// far.write_all(b"x")?;
    /// let mut ready = ReadyList::default();
    /// poller.wait(&mut ready, None);
    /// assert!(ready.iter().all(|ready| ready.key() == 7 && ready.is_readable()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The key is in use, or the system cannot watch the descriptor.
    #[cfg(unix)]
    pub fn add_fd(&self, fd: impl AsFd, key: usize, interest: Interest) -> Result<(), PollError> {
        let fd = fd.as_fd().try_clone_to_owned()?;
        let reactor = match self.queue.home() {
            Some(home) => home,
            None => Context::default().shared().reactor()?,
        };
        let source = Descriptor::watch(&reactor, fd, descriptor::to_mio(interest))?;
        let added = self.queue.add(Arc::clone(&source) as _, key, interest);
        if added.is_err() {
            source.forget();
        }
        added
    }

    /// Registers a timer that goes off once, after so much time, and is then removed. A time too long to be told never
    /// comes.
    ///
    /// # Errors
    ///
    /// The key is in use.
    pub fn add_timer(&self, key: usize, after: Duration) -> Result<(), PollError> {
        self.queue.add_timer(key, deadline(Some(after)), None)
    }

    /// Registers a timer that goes off each time that so much has passed, until it is removed. Times that pass while
    /// nobody waits are reported as one. The shortest period is 1 ms.
    ///
    /// # Errors
    ///
    /// The key is in use.
    pub fn add_interval(&self, key: usize, period: Duration) -> Result<(), PollError> {
        let period = period.max(SHORTEST_PERIOD);
        self.queue.add_timer(key, deadline(Some(period)), Some(period))
    }

    /// Changes what a socket or descriptor is watched for.
    ///
    /// # Errors
    ///
    /// Neither is registered under this key.
    pub fn modify(&self, key: usize, interest: Interest) -> Result<(), PollError> {
        self.queue.modify(key, interest)
    }

    /// Removes whatever is registered under a key, and tells whether there was something. A thread that waits at this
    /// moment may still report it.
    pub fn remove(&self, key: usize) -> bool {
        self.queue.remove(key)
    }

    /// Waits until something is ready, for as long as the timeout allows (`None`: for ever), and puts what is ready in
    /// the place of what the list had. Returns how much that is: zero if the time is up, or if somebody called
    /// [`wake`](Self::wake).
    ///
    /// With a zero timeout it only looks.
    pub fn wait(&self, ready: &mut ReadyList, timeout: Option<Duration>) -> usize {
        ready.clear();
        let deadline = deadline(timeout);
        let waiter = Waiter::current();
        let timers_first = self.queue.take_turn();
        let (mut kept, mut told) = (Vec::new(), false);
        loop {
            if timers_first {
                self.queue.take_due(ready, Instant::now());
            }
            self.queue.look(ready, &mut kept);
            self.queue.take_due(ready, Instant::now());
            let late = || deadline.is_some_and(|deadline| deadline <= Instant::now());
            if self.queue.take_woken() || !ready.is_empty() || late() {
                break;
            }
            told |= self.queue.block(&waiter, deadline);
        }
        self.queue.end(&kept, told);
        ready.len()
    }

    /// Has one thread that waits, or else the next that does, return with what is ready, be it nothing.
    pub fn wake(&self) {
        self.queue.wake_one();
    }
}

/// A shorter period would be a busy loop by another name.
const SHORTEST_PERIOD: Duration = Duration::from_millis(1);

impl Drop for Poller {
    fn drop(&mut self) {
        self.queue.clear();
    }
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poller").finish_non_exhaustive()
    }
}
