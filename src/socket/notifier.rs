//! The notifier: a socket of ours as a file descriptor, for an event loop that is somebody else's.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::{Wake, Waker};

use super::waiters::next_observer;
use super::watch::{Interest, Pollable, Watch, Watched};
use crate::reactor::Reactor;

/// Rings are one byte each, and there is hardly ever more than one at a time.
const RINGS: usize = 64;

/// A file descriptor that is readable when a socket can be used: to wait for the socket in an event loop of your own,
/// be it `epoll`, `mio`, or that of a toolkit.
///
/// There is nothing to be read from the descriptor. When the loop reports it as readable,
///
/// 1. use the socket by verbs that do not wait, such as `try_recv`, as often as you like;
/// 2. call [`rearm`](Self::rearm), every time, as the last thing. If the socket can still be used, the descriptor stays
///    readable, or becomes so anew, which an edge-triggered loop needs.
///
/// Before the first report there is nothing to do. Without `rearm` the descriptor stays as it is: a level-triggered loop
/// reports it again and again, and an edge-triggered one never again.
///
/// A report may be spurious: somebody else was faster, or what came meant nothing. The socket can also be closed, which
/// `try_recv` tells. As long as there is a notifier, the I/O thread runs the connections, as it does for futures; drop it
/// when you do not need it. It does not keep the socket open. It uses two descriptors of the system's.
///
/// There are notifiers on Unix only. Elsewhere, a thread of your own that waits with a [`Poller`](crate::Poller), or the
/// async verbs with a waker of your own, can wake a loop.
///
/// ```
/// use aqueduct::{Interest, Notifier, Pull, Push};
/// use mio::unix::SourceFd;
/// use std::os::fd::AsRawFd;
///
/// let (pull, push) = (Pull::new(), Push::new());
/// push.connect(pull.bind("tcp://127.0.0.1:0")?)?;
/// push.send("hello")?;
///
/// const PULL: mio::Token = mio::Token(0);
/// let notifier = Notifier::new(&pull, Interest::READABLE)?;
/// let mut poll = mio::Poll::new()?;
/// poll.registry()
///     .register(&mut SourceFd(&notifier.as_raw_fd()), PULL, mio::Interest::READABLE)?;
///
/// let (mut events, mut received) = (mio::Events::with_capacity(16), Vec::new());
/// while received.is_empty() {
///     poll.poll(&mut events, None)?;
///     for event in &events {
///         if event.token() == PULL {
///             received.extend(pull.try_recv());
///             notifier.rearm();
///         }
///     }
/// }
/// assert_eq!(received, ["hello"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Notifier {
    source: Arc<dyn Watch>,
    observer: u64,
    interest: Interest,
    bell: Arc<Bell>,
    reactor: Arc<Reactor>,
}

/// What is written to one end makes the other readable. Neither is closed before the last ring.
struct Bell {
    mouth: UnixStream,
    ear: UnixStream,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // If there is no room, the other end is readable as it is.
        let _ = (&self.mouth).write(&[1]);
    }
}

impl Notifier {
    /// Makes a descriptor that tells when a socket can be used in the way of `interest`, or is closed; it is readable at
    /// once if that is so already. What that means for each type of socket, [`Poller`](crate::Poller) says.
    ///
    /// # Errors
    ///
    /// The system has no descriptors left.
    pub fn new(socket: &impl Pollable, interest: Interest) -> io::Result<Self> {
        let Watched(source) = socket.watched();
        let reactor = source.reactor()?;
        let (ear, mouth) = UnixStream::pair()?;
        ear.set_nonblocking(true)?;
        mouth.set_nonblocking(true)?;
        reactor.add_errand();
        let notifier = Self {
            source,
            observer: next_observer(),
            interest,
            bell: Arc::new(Bell { mouth, ear }),
            reactor,
        };
        notifier.rearm();
        Ok(notifier)
    }

    /// Has the descriptor tell anew: makes it unreadable, and readable again if the socket can still be used, now or
    /// later. Returns whether it can be used now.
    ///
    /// Bursts that were sent and are still gathering are written, so call this before the loop blocks.
    pub fn rearm(&self) -> bool {
        self.reactor.flush_gathered();
        // First the silence, then the look: what comes in between rings again.
        let mut rings = [0; RINGS];
        while let Ok(RINGS) = (&self.bell.ear).read(&mut rings) {}
        let waker = Waker::from(Arc::clone(&self.bell));
        let ready = self.source.look(self.observer, self.interest, &waker).is_any();
        if ready {
            waker.wake();
        }
        ready
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.ear.as_fd()
    }
}

impl AsRawFd for Notifier {
    fn as_raw_fd(&self) -> RawFd {
        self.bell.ear.as_raw_fd()
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.source.forget(self.observer);
        self.reactor.remove_errand();
    }
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifier").finish_non_exhaustive()
    }
}
