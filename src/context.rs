//! The context: the reactors that sockets share, their inproc names, and the end of them all.

mod block_on;
#[cfg(unix)]
mod driver;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use crate::reactor::Reactor;
use crate::slab::Slab;
use crate::sync::Mutex;
use crate::transport::inproc::Names;

/// I/O threads beyond these gain nothing on any machine we know of; each costs a buffer and a poll.
const MAX_IO_THREADS: usize = 64;

/// What sockets share: I/O threads and inproc names.
///
/// There is a default context, which sockets use unless told otherwise; make another to have more I/O threads or
/// separate inproc names. A context lives as long as a handle to it or a socket in it. Its threads start with the
/// first endpoint that needs them.
///
/// ```
/// use aqueduct::{Context, Pull};
///
/// let context = Context::new(2);
/// let pull = Pull::builder().context(&context).build();
/// # drop(pull);
/// ```
#[derive(Clone)]
pub struct Context(Arc<Shared>);

pub(crate) struct Shared {
    reactors: Mutex<Vec<Option<Arc<Reactor>>>>,
    next: AtomicUsize,
    pub(crate) names: Names,
    sockets: Mutex<Slab<Weak<dyn Shutdown>>>,
}

/// A socket that can be closed from outside.
pub(crate) trait Shutdown: Send + Sync {
    /// Begins to close the socket.
    fn shut_down(&self);
}

pub use block_on::block_on;
#[cfg(unix)]
pub use driver::Driver;

impl Context {
    /// Makes a context with a number of I/O threads, from 1 to 64; values outside are moved to the nearest.
    ///
    /// One is enough unless connections keep more than one core busy: callers that wait run connections themselves.
    /// Each socket belongs to one I/O thread.
    #[must_use]
    pub fn new(io_threads: usize) -> Self {
        let threads = io_threads.clamp(1, MAX_IO_THREADS);
        Self(Arc::new(Shared {
            reactors: Mutex::new(vec![None; threads]),
            next: AtomicUsize::new(0),
            names: Names::default(),
            sockets: Mutex::new(Slab::default()),
        }))
    }

    /// Begins to close every socket of the context, as if each had been closed with its own linger time. Calls that
    /// wait on them return `Closed`.
    pub fn shutdown(&self) {
        let sockets: Vec<_> = self
            .0
            .sockets
            .lock()
            .iter()
            .map(|(_, socket)| Weak::clone(socket))
            .collect();
        for socket in sockets.iter().filter_map(Weak::upgrade) {
            socket.shut_down();
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Default for Context {
    /// Returns a handle to the default context, which has one I/O thread.
    fn default() -> Self {
        static DEFAULT: OnceLock<Context> = OnceLock::new();
        DEFAULT.get_or_init(|| Self::new(1)).clone()
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("sockets", &self.0.sockets.lock().len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Returns the reactor for the next socket, in turn.
    pub(crate) fn reactor(&self) -> io::Result<Arc<Reactor>> {
        let count = self.reactors.lock().len().max(1);
        self.reactor_at(self.next.fetch_add(1, Ordering::Relaxed) % count)
    }

    /// Returns a reactor, made at its first use.
    fn reactor_at(&self, index: usize) -> io::Result<Arc<Reactor>> {
        let mut reactors = self.reactors.lock();
        let Some(place) = reactors.get_mut(index) else {
            return Reactor::new();
        };
        if let Some(reactor) = place {
            return Ok(Arc::clone(reactor));
        }
        let reactor = Reactor::new()?;
        *place = Some(Arc::clone(&reactor));
        Ok(reactor)
    }

    pub(crate) fn add_socket(&self, socket: Weak<dyn Shutdown>) -> usize {
        self.sockets.lock().insert(socket)
    }

    pub(crate) fn remove_socket(&self, key: usize) {
        self.sockets.lock().remove(key);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for reactor in self.reactors.lock().iter().flatten() {
            reactor.stop();
        }
    }
}
