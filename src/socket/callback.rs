//! Callbacks: a thread that receives from a socket and calls a function with each message, until it is told to stop.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use thiserror::Error;

use super::closing::Handle;
use super::core::{Core, State};
use super::verbs::settled;
use crate::error::TryRecvError;
use crate::monitor::Event;
use crate::pattern::Pattern;
use crate::reactor::Waiter;
use crate::sync::Mutex;

/// Has a function called with what a socket receives, until it is dropped: from [`on_message`](crate::Pull::on_message)
/// and its like.
///
/// A thread of its own, named `aqueduct-call`, receives from the socket and calls the function: with one message at a
/// time, in the order in which `recv` would have returned them. It takes the next message when the function has returned,
/// so a slow one lets messages queue up to the socket's high-water mark, and their senders feel it. If a socket has several
/// registrations, or is received from beside them, each message goes to one of them.
///
/// Dropping the registration, or [`stop`](Self::stop), waits until the function has returned if it is running, and drops
/// it. It is not called any more then, and whatever it was not called with can still be received from the socket. The
/// function may drop its own registration: then nobody waits, and it is not called again once it has returned. Two
/// functions that drop each other's registrations while both run would wait for each other.
///
/// If the function panics, the panic ends there: so does the registration, with the message that it was called with. What
/// the panic said is in an [`Event`] of the socket's monitor, and [`stop`](Self::stop) and [`join`](Self::join) return it.
///
/// A registration is a handle of its socket: it keeps it open.
///
/// ```
/// use std::sync::mpsc;
/// use aqueduct::{Pull, Push};
///
/// let pull = Pull::new();
/// let endpoint = pull.bind("tcp://127.0.0.1:0")?;
/// let push = Push::new();
/// push.connect(&endpoint)?;
///
/// let (seen, log) = mpsc::channel();
/// let registration = pull.on_message(move |message| {
///     let _ = seen.send(message);
/// })?;
/// push.send("hello")?;
/// assert_eq!(log.recv()?, "hello");
/// registration.stop()?;
///
/// push.send("again")?; // nobody is called with it
/// assert_eq!(pull.recv()?, "again");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a registration ends it"]
pub struct Registration {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Keeps the socket open until the thread is done with it.
    _socket: Arc<dyn Any + Send + Sync>,
}

/// A function that was called with a message has panicked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the callback panicked: {message}")]
pub struct CallbackPanic {
    message: String,
}

/// What the registration and its thread both know.
#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    /// How to wake the thread, once it runs.
    waiter: Mutex<Option<Arc<Waiter>>>,
    panic: Mutex<Option<CallbackPanic>>,
}

impl Shared {
    /// Makes the thread end soon: at once if it waits.
    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        // A thread that puts its waiter here later will see what was stored before.
        let waiter = self.waiter.lock().clone();
        if let Some(waiter) = waiter {
            waiter.notify();
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

impl Registration {
    /// Tells whether the function can still be called: it has not panicked, and the socket is not closed.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Ends the registration as dropping it does, and tells whether the function has panicked.
    ///
    /// # Errors
    ///
    /// The function has panicked.
    pub fn stop(mut self) -> Result<(), CallbackPanic> {
        self.end(true)
    }

    /// Waits until the registration ends by itself: because the socket is closed, or the function has panicked. Called from
    /// within the function, it ends the registration as [`stop`](Self::stop) does.
    ///
    /// # Errors
    ///
    /// The function has panicked.
    pub fn join(mut self) -> Result<(), CallbackPanic> {
        let own = self.is_current();
        self.end(own)
    }

    /// Waits for the thread, unless that is the one that asks, and reports.
    fn end(&mut self, stop: bool) -> Result<(), CallbackPanic> {
        if stop {
            self.shared.stop();
        }
        let own = self.is_current();
        if let Some(thread) = self.thread.take().filter(|_| !own) {
            // Its own end is the only one that matters; how the function has ended is noted.
            let _ = thread.join();
        }
        let panic = self.shared.panic.lock().take();
        panic.map_or(Ok(()), Err)
    }

    /// Tells whether the caller is the function.
    fn is_current(&self) -> bool {
        let thread = self.thread.as_ref();
        thread.is_some_and(|thread| thread.thread().id() == thread::current().id())
    }
}

impl Drop for Registration {
    /// Waits until the function has returned, unless it is the function that drops it.
    fn drop(&mut self) {
        let _ = self.end(true);
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("active", &self.is_active())
            .finish_non_exhaustive()
    }
}

impl CallbackPanic {
    /// Returns what the panic said, as far as it was text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    fn new(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self {
            message: text.unwrap_or("no text").to_owned(),
        }
    }
}

impl<P: Pattern> Handle<P> {
    /// Starts a thread that calls a function with each thing that `take` takes from the socket.
    pub(super) fn register<T: 'static>(
        self: &Arc<Self>,
        take: impl Fn(&Arc<Core<P>>) -> Result<T, TryRecvError> + Send + 'static,
        callback: impl FnMut(T) + Send + 'static,
    ) -> io::Result<Registration> {
        let shared = Arc::new(Shared::default());
        let (core, ours) = (Arc::clone(&self.0), Arc::clone(&shared));
        let thread = thread::Builder::new()
            .name("aqueduct-call".into())
            .spawn(move || deliver(&core, &ours, take, callback))?;
        Ok(Registration {
            shared,
            thread: Some(thread),
            _socket: Arc::clone(self) as _,
        })
    }
}

/// Calls the function until it is to stop, it panics, or the socket is closed.
fn deliver<P: Pattern, T>(
    core: &Arc<Core<P>>,
    shared: &Shared,
    take: impl Fn(&Arc<Core<P>>) -> Result<T, TryRecvError>,
    mut callback: impl FnMut(T),
) {
    *shared.waiter.lock() = Some(Waiter::current());
    while let Some(received) = next(core, shared, &take) {
        // The function is not called again, so nobody sees what a panic has left half done in it.
        let Err(payload) = catch_unwind(AssertUnwindSafe(|| callback(received))) else {
            continue;
        };
        let panic = CallbackPanic::new(&*payload);
        core.journal.record(Event::CallbackPanicked {
            message: panic.message.clone(),
        });
        *shared.panic.lock() = Some(panic);
        return;
    }
}

/// Waits for the next thing to call the function with; `None` if there will be none. Nothing is taken after the
/// registration was told to stop.
fn next<P: Pattern, T>(
    core: &Arc<Core<P>>,
    shared: &Shared,
    take: impl Fn(&Arc<Core<P>>) -> Result<T, TryRecvError>,
) -> Option<T> {
    let attempt = || {
        if shared.is_stopped() {
            return Some(None);
        }
        settled(take(core)).map(Result::ok)
    };
    if let Some(settled) = attempt() {
        return settled;
    }
    let received = core.wait_for(|state| &mut state.receivers, State::next_receiver, None, attempt);
    received.flatten()
}

/// Gives a type `on_message`, for what its pattern receives.
macro_rules! message_callback {
    ($socket:ident => $received:ty, $name:literal) => {
        impl $socket {
            #[doc = concat!("Has a function called with each ", $name, " that comes, by a thread of its own, as long as")]
            /// the [`Registration`](crate::Registration) lives.
            ///
            /// # Errors
            ///
            /// The system gives no thread.
            pub fn on_message(
                &self,
                callback: impl FnMut($received) + Send + 'static,
            ) -> ::std::io::Result<$crate::Registration> {
                self.0.register(|core| core.recv_now(), callback)
            }
        }
    };
}

pub(super) use message_callback;
