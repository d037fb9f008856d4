//! The reactor: connections, their timers, and the threads that take turns to run them.
//!
//! Contract. A *source* (session, listener, dialer) is known to the event loop by its key, and has a lock of its own
//! around its state. [`Source`] calls come from whoever drives the loop and hold no lock. Locks are taken in this
//! order and only in this order: dialer or session, then the socket (through [`Hooks`]), then a pipe's lane; the
//! reactor's own tables are leaves. Nothing calls out into a source while it holds a socket's lock. What must be woken
//! is collected and fired after unlocking.
//!
//! The reactor knows sockets only as [`Hooks`], which the socket layer supplies.

mod alarm;
#[cfg(unix)]
mod attendant;
#[cfg(unix)]
mod descriptor;
mod dialer;
mod driver;
mod event_loop;
mod gathering;
mod half_open;
mod listener;
mod session;
mod spin;
mod timers;
mod waiter;
mod workers;

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Poll, Registry, Token};

use crate::allowance::Allowance;
use crate::error::DisconnectReason;
use crate::monitor::Event;
use crate::options::LinkOptions;
use crate::peer::PeerInfo;
use crate::pipe::PipeEnd;
use crate::slab::Slab;
use crate::sync::Mutex;
use crate::{Endpoint, zmtp};

pub(crate) use alarm::Alarm;
#[cfg(unix)]
pub(crate) use attendant::Attendant;
#[cfg(unix)]
pub(crate) use descriptor::Descriptor;
pub(crate) use dialer::Dialer;
pub(crate) use listener::Listener;
pub(crate) use session::Session;
pub(crate) use timers::Timers;
pub(crate) use waiter::Waiter;

use driver::{Driver, Shift};
use event_loop::{EventLoop, Scratch, Sleep};
use gathering::Gathering;
use waiter::Kick;
use workers::Workers;

/// How often the I/O thread turns the loop while bursts make it tick: as often as it would look at it otherwise.
const TURN: Duration = Duration::from_millis(1);

/// Names resolved at once, by the system's resolver, which blocks for seconds if it must.
const MAX_RESOLVERS: usize = 4;

/// Peers that authenticators are asked about at once. One that takes long should take the request away, and answer later.
const MAX_AUTHENTICATIONS: usize = 4;

/// Peers that may wait for an authenticator to be free; more are denied for now. As many as may shake hands at an endpoint.
const MAX_UNDECIDED: usize = 1024;

/// The event loop's own token, for kicks; no slab key is like it.
const KICK: Token = Token(usize::MAX);

thread_local! {
    /// The address of the reactor that this thread will drive when the future that it polls has to wait; zero for none.
    static DRIVEN: Cell<usize> = const { Cell::new(0) };
}

/// What a connection tells its socket, and asks of it. The socket layer implements this.
pub(crate) trait Hooks: Send + Sync {
    /// The handshake on a connection without a pipe is done: the socket makes a pipe, or will not have the peer, which
    /// may have come by itself (`accepted`). Called with the session locked.
    fn attach(
        &self,
        endpoint: &Arc<Endpoint>,
        info: &Arc<PeerInfo>,
        accepted: bool,
    ) -> Result<Link, DisconnectReason>;

    /// The handshake on a connection whose pipe is there already is done: the socket may not want this peer. Called with
    /// the session locked.
    fn readmit(&self, pipe: usize, info: &Arc<PeerInfo>) -> Result<(), DisconnectReason>;

    /// Messages may now flow between a pipe and its peer, through this session. Called without a lock.
    fn connected(&self, pipe: usize, session: Arc<Session>, info: Arc<PeerInfo>);

    /// The sessions of these pipes stop to gather, or write what there is: what the socket has staged goes into the pipes.
    fn publish(&self, pipes: &[usize]);

    /// The connection of a pipe ended, and the peer may not have got the last `in_doubt` messages; `gone` if the pipe
    /// ended with it. The event is to be told once all this shows.
    fn disconnected(&self, pipe: usize, in_doubt: u64, gone: bool, event: Option<Event>);

    /// Something happened.
    fn emit(&self, event: Event);
}

/// A session's end of a pipe, with the key under which the socket knows its own end.
pub(crate) struct Link {
    pub(crate) pipe: usize,
    pub(crate) end: PipeEnd,
}

/// What all connections of a socket have in common.
pub(crate) struct LinkConfig {
    pub(crate) hooks: Arc<dyn Hooks>,
    pub(crate) zmtp: Arc<zmtp::Config>,
    pub(crate) options: LinkOptions,
    /// What all of them may hold of what came in.
    pub(crate) allowance: Arc<Allowance>,
    /// How long a closing socket flushes, and at most waits for peers to end their side.
    pub(crate) linger: Option<Duration>,
    /// Whether the socket type receives messages at all; what others send to it is discarded.
    pub(crate) receives: bool,
}

/// Something that the event loop runs.
trait Source: Send + Sync {
    /// The system reported readiness, or the source was scheduled (and nothing is set).
    fn handle_ready(self: Arc<Self>, readiness: Readiness, scratch: &mut Scratch);

    /// The timer went off.
    fn handle_timeout(self: Arc<Self>, now: Instant, scratch: &mut Scratch);
}

/// What the system says of a source.
#[derive(Clone, Copy, Debug, Default)]
struct Readiness {
    readable: bool,
    writable: bool,
    /// The peer has closed its side: reads must go on to the end.
    hangup: bool,
}

/// An event loop with its tables and its I/O thread.
pub(crate) struct Reactor {
    registry: Registry,
    driver: Driver<Box<EventLoop>>,
    kick: Arc<dyn Kick>,
    sources: Mutex<Slab<Arc<dyn Source>>>,
    mailbox: Mutex<Mailbox>,
    gathering: Gathering,
    /// Resolves names. A slow name server delays other names too; each dialer has one job at most.
    resolver: Arc<Workers>,
    /// Asks authenticators.
    authentication: Arc<Workers>,
    thread_started: Mutex<bool>,
    #[cfg(unix)]
    probe: descriptor::Probe,
    /// A session has stopped reading because its pipe is full: a caller is at work on it and will soon need more.
    ///
    /// Were the I/O thread to go on and refill the pipe for that caller, the caller would never find it empty, would
    /// never drive, and every message would pay for the hand-over between the two.
    stalled: AtomicBool,
}

/// What other threads leave for the driver.
#[derive(Default)]
struct Mailbox {
    /// Sources to run in the next turn.
    scheduled: Vec<usize>,
    timers: Timers,
    /// The driver is in a blocking poll, or about to be.
    polling: bool,
}

struct PollKick(mio::Waker);

impl Kick for PollKick {
    fn kick(&self) {
        // A failure to write to an event counter that is not full has no cause that we could mend; the poll then
        // still ends at its next event or timer.
        let _ = self.0.wake();
    }
}

impl Reactor {
    /// Makes a reactor. Its thread starts with the first source.
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let kick: Arc<dyn Kick> = Arc::new(PollKick(mio::Waker::new(&registry, KICK)?));
        Ok(Arc::new(Self {
            registry,
            driver: Driver::new(Box::new(EventLoop::new(poll)), Arc::clone(&kick)),
            kick,
            sources: Mutex::new(Slab::default()),
            mailbox: Mutex::new(Mailbox::default()),
            gathering: Gathering::default(),
            resolver: Workers::new("aqueduct-dns", MAX_RESOLVERS, usize::MAX),
            authentication: Workers::new("aqueduct-auth", MAX_AUTHENTICATIONS, MAX_UNDECIDED),
            thread_started: Mutex::new(false),
            #[cfg(unix)]
            probe: descriptor::Probe::default(),
            stalled: AtomicBool::new(false),
        }))
    }

    /// Waits until the waiter is notified or the deadline is there, and runs connections meanwhile if nobody does.
    pub(crate) fn wait(&self, waiter: &Arc<Waiter>, deadline: Option<Instant>) {
        self.wait_busily(waiter, deadline, Duration::ZERO);
    }

    /// The same; before it sleeps it polls for so long, or longer if that is worthwhile.
    pub(crate) fn wait_busily(&self, waiter: &Arc<Waiter>, deadline: Option<Instant>, busy_poll: Duration) {
        let attended = self.driver.wait(waiter, deadline, |event_loop, deadline| {
            let sleep = Sleep {
                deadline,
                waiter: Some(waiter),
                busy_poll,
            };
            event_loop.turn(self, Some(sleep));
        });
        if attended {
            self.rest();
        }
    }

    /// Somebody has left the loop, and an attendant is to be called for whatever comes from now on.
    fn rest(&self) {
        let mut mailbox = self.mailbox.lock();
        mailbox.polling = true;
        let due = !mailbox.scheduled.is_empty();
        let next_timer = mailbox.timers.next();
        drop(mailbox);
        if self.driver.rest(next_timer) || due {
            self.kick.kick();
        }
    }

    /// Turns the loop once without waiting, and gives it back.
    fn turn_once(&self, mut event_loop: Box<EventLoop>) {
        event_loop.turn(self, None);
        self.give_back(event_loop);
    }

    fn give_back(&self, event_loop: Box<EventLoop>) {
        if self.driver.leave(event_loop) {
            self.rest();
        }
    }

    /// Writes what bursts have gathered: to be called by whoever stops sending for now.
    pub(crate) fn flush_gathered(&self) {
        self.gathering.flush();
    }

    /// Polls a future of which this thread will drive the loop while it waits.
    pub(crate) fn driven_here<T>(&self, poll: impl FnOnce() -> T) -> T {
        /// Restores what was before, after a panic too.
        struct Outer(usize);
        impl Drop for Outer {
            fn drop(&mut self) {
                DRIVEN.set(self.0);
            }
        }
        let _outer = Outer(DRIVEN.replace(self.address()));
        poll()
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// A task waits: the I/O thread must drive, unless the task's own thread is about to. Tells whether that was not so,
    /// and the errand has to be removed again.
    #[must_use]
    pub(crate) fn add_task(&self) -> bool {
        let needed = DRIVEN.get() != self.address();
        if needed {
            self.add_errand();
        }
        needed
    }

    /// Something waits that no thread waits for: the I/O thread must drive.
    pub(crate) fn add_errand(&self) {
        self.driver.add_errand();
    }

    pub(crate) fn remove_errand(&self) {
        self.driver.remove_errand();
    }

    /// Ends the I/O thread. Connections that remain are run no more.
    pub(crate) fn stop(&self) {
        self.driver.stop();
    }

    /// Adds a source, made when its key is known.
    fn insert<S: Source + 'static>(&self, make: impl FnOnce(usize) -> Arc<S>) -> Arc<S> {
        let mut sources = self.sources.lock();
        let key = sources.vacant_key();
        let source = make(key);
        sources.insert(Arc::clone(&source) as Arc<dyn Source>);
        source
    }

    /// Removes a source and its timer.
    fn remove(&self, key: usize, armed: &mut Option<Instant>) {
        self.mailbox.lock().timers.disarm(key, armed);
        self.sources.lock().remove(key);
    }

    /// A session waits for its pipe's reader.
    fn note_stalled(&self) {
        self.stalled.store(true, Ordering::Relaxed);
    }

    fn source(&self, key: usize) -> Option<Arc<dyn Source>> {
        self.sources.lock().get(key).cloned()
    }

    /// Has the driver run a source in its next turn.
    fn schedule(&self, key: usize) {
        let mut mailbox = self.mailbox.lock();
        mailbox.scheduled.push(key);
        let polling = mailbox.polling;
        drop(mailbox);
        if polling {
            self.kick.kick();
        }
    }

    /// Sets the timer of a source. It may go off earlier than wanted, never later; `armed` is the source's own note
    /// of when it will.
    fn arm(&self, key: usize, armed: &mut Option<Instant>, wanted: Option<Instant>) {
        let Some(wanted) = wanted else { return };
        if armed.is_some_and(|armed| armed <= wanted) {
            return;
        }
        let mut mailbox = self.mailbox.lock();
        let first = mailbox.timers.arm(key, armed, wanted);
        let kick = first && mailbox.polling;
        drop(mailbox);
        if kick {
            self.kick.kick();
        }
    }

    /// Starts the I/O thread, before the first source comes.
    fn start_thread(self: &Arc<Self>) -> io::Result<()> {
        let mut started = self.thread_started.lock();
        if !*started {
            let reactor = Arc::clone(self);
            thread::Builder::new()
                .name("aqueduct-io".into())
                .spawn(move || reactor.run())?;
            *started = true;
        }
        Ok(())
    }

    /// The I/O thread.
    fn run(&self) {
        let (mut seen, mut turned) = (0, Instant::now());
        loop {
            match self.driver.next_shift(&mut seen) {
                Shift::Drive(mut event_loop) => {
                    self.stalled.store(false, Ordering::Relaxed);
                    while !self.driver.is_recalled() && !self.stalled.load(Ordering::Relaxed) {
                        event_loop.turn(self, Some(Sleep::UNTIL_KICKED));
                    }
                    if self.stalled.load(Ordering::Relaxed) {
                        // Stand back for a while, as if a caller had driven.
                        seen = u64::MAX;
                    }
                    self.give_back(event_loop);
                }
                Shift::Turn(event_loop) => self.turn_once(event_loop),
                Shift::Tick => {
                    let ticked = self.gathering.tick();
                    self.driver.set_steady(ticked.steady);
                    if !ticked.any {
                        self.driver.set_bursting(false);
                        // A burst that began in between has said so before, and would now be forgotten.
                        if self.gathering.any() {
                            self.driver.set_bursting(true);
                        }
                    }
                    // Other connections need the loop too, though not at every tick.
                    if turned.elapsed() >= TURN
                        && let Some(event_loop) = self.driver.borrow()
                    {
                        turned = Instant::now();
                        self.turn_once(event_loop);
                    }
                }
                Shift::Idle => {}
                Shift::Stop => return,
            }
        }
    }
}
