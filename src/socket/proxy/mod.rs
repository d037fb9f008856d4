//! The proxy: passes messages on between two sockets, under the eyes of whoever holds its control.

mod end;
mod lane;
mod steering;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use end::End;
pub use end::{ProxyCapture, ProxySocket};
use lane::Lane;
use steering::{Mode, Steering};

use crate::message::Message;
use crate::stats::Count;

/// Passes messages on between two sockets, each way in which one receives and the other sends.
///
/// | frontend | backend | |
/// |---|---|---|
/// | [`Router`](crate::Router) | [`Dealer`](crate::Dealer) | a queue: requests of many clients to many services, replies back |
/// | [`XSub`](crate::XSub) | [`XPub`](crate::XPub) | a forwarder: many publishers for many subscribers, whose subscriptions go back |
/// | [`Pull`](crate::Pull) | [`Push`](crate::Push) | a streamer: a pipeline through one known place |
/// | [`Dealer`](crate::Dealer), [`Pair`](crate::Pair) | likewise | a bridge between networks or transports |
///
/// Bind or connect the sockets as you like; the proxy keeps them open. [`run`](Self::run) does its work in the calling
/// thread, [`spawn`](Self::spawn) in one of its own; a [`ProxyControl`] pauses, resumes and stops it from anywhere.
///
/// Messages are moved, not copied, and stay in order. A message is taken from one socket only when the other has room, so
/// back-pressure passes through: the queues of the sockets fill, and senders wait. Up to 1,000 messages go one way before
/// it is the other's turn.
///
/// A `Router` puts the id of the sender before what it receives, as a frame, and sends by the first frame. A message that
/// names no peer, or one that is gone, is counted as [`undeliverable`](ProxyEnd::undeliverable). One for a peer whose
/// queue is full waits for that peer, and all others behind it; [`patience`](Self::patience) limits that.
///
/// An `XPub` or a `Pub` always has room: what its subscribers cannot take is subject to its policy.
///
/// The proxy ends when it is stopped or one of its sockets is closed. What it has not taken stays in the sockets.
///
/// ```
/// use aqueduct::{Dealer, Proxy, Rep, Req, Router};
///
/// let (frontend, backend) = (Router::new(), Dealer::new());
/// let (clients, services) = (frontend.bind("tcp://127.0.0.1:0")?, backend.bind("tcp://127.0.0.1:0")?);
/// let proxy = Proxy::new(&frontend, &backend).spawn()?;
///
/// let rep = Rep::new();
/// rep.connect(&services)?;
/// let _service = rep.on_message(|request, reply| {
///     let _ = reply.send(request);
/// })?;
/// let req = Req::new();
/// req.connect(&clients)?;
/// assert_eq!(req.request("hello")?, "hello");
///
/// let report = proxy.stop();
/// assert_eq!(report.stats.frontend.received.messages, 1);
/// assert_eq!(report.stats.frontend.sent.messages, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Two sockets between which nothing can be passed on do not compile:
///
/// ```compile_fail
/// let (one, other) = (aqueduct::Pull::new(), aqueduct::Pull::new());
/// aqueduct::Proxy::new(&one, &other);
/// ```
#[must_use = "a proxy does nothing before it is run"]
pub struct Proxy {
    frontend: Arc<dyn End>,
    backend: Arc<dyn End>,
    capture: Option<Arc<dyn End>>,
    patience: Option<Duration>,
    /// Whether messages go to the backend, and whether they go to the frontend.
    ways: [bool; 2],
    steering: Arc<Steering>,
}

/// Pauses, resumes and stops a [`Proxy`], and tells what it has done. Cheap to clone, and usable from any thread.
#[derive(Clone)]
pub struct ProxyControl(Arc<Steering>);

/// A [`Proxy`] that runs in a thread of its own, named `aqueduct-proxy`. Dropping it stops the proxy and waits until it
/// has ended, which also closes sockets of which it had the last handle.
#[must_use = "dropping it stops the proxy"]
pub struct RunningProxy {
    control: ProxyControl,
    thread: Option<JoinHandle<ProxyReport>>,
}

/// What a [`Proxy`] has done: a snapshot, taken after each turn of up to 1,000 messages each way, and exact while it is
/// paused or stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyStats {
    /// What came and went at the frontend.
    pub frontend: ProxyEnd,
    /// What came and went at the backend.
    pub backend: ProxyEnd,
    /// Copies that the capture socket took.
    pub captured: u64,
    /// Copies that it could not take at once.
    pub capture_dropped: u64,
}

/// What came and went at one socket of a [`Proxy`].
///
/// What was received at one end is the sum of what was sent and of what was undeliverable at the other, but for one message
/// that may be on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyEnd {
    /// Messages taken from the socket.
    pub received: Count,
    /// Messages given to the socket.
    pub sent: Count,
    /// Messages dropped because they named no peer that is there, or because their peer had no room for longer than the
    /// [`patience`](Proxy::patience) lasts.
    pub undeliverable: Count,
}

/// The end of a [`Proxy`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyReport {
    /// What it has done.
    pub stats: ProxyStats,
    /// Messages that were taken from one socket and that the other could not take any more: at most one each way, and only
    /// if something else sends through the same socket, its last peer left in between, or it waited for a peer of a
    /// `Router`. Then its first frame is the id of that peer.
    pub returned: Vec<Message>,
}

/// Passes messages on between two sockets, in the calling thread, until one of them is closed: [`Proxy`] in one call.
///
/// ```no_run
/// use aqueduct::{Pull, Push, proxy};
///
/// let (frontend, backend, log) = (Pull::new(), Push::new(), Push::new());
/// frontend.bind("tcp://*:5555")?;
/// backend.bind("tcp://*:5556")?;
/// log.connect("tcp://127.0.0.1:5557")?;
/// proxy(&frontend, &backend, Some(&log));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn proxy<F: ProxySocket, B: ProxySocket>(
    frontend: &F,
    backend: &B,
    capture: Option<&dyn ProxyCapture>,
) -> ProxyReport {
    let mut proxy = Proxy::new(frontend, backend);
    proxy.capture = capture.map(|socket| socket.capture_end().0);
    proxy.run()
}

impl Proxy {
    /// Makes a proxy between two sockets. It is to be [run](Self::run).
    pub fn new<F: ProxySocket, B: ProxySocket>(frontend: &F, backend: &B) -> Self {
        const {
            assert!(
                (F::RECEIVES && B::SENDS) || (B::RECEIVES && F::SENDS),
                "one of the sockets has to receive, and the other to send"
            );
        }
        Self {
            frontend: frontend.end().0,
            backend: backend.end().0,
            capture: None,
            patience: None,
            ways: [F::RECEIVES && B::SENDS, B::RECEIVES && F::SENDS],
            steering: Arc::new(Steering::default()),
        }
    }

    /// Gives a copy of each message that is passed on, either way, to a socket. The copy shares the bodies. The proxy does
    /// not wait for the socket: copies that it cannot take at once are dropped, and counted.
    pub fn capture<C: ProxyCapture>(mut self, socket: &C) -> Self {
        self.capture = Some(socket.capture_end().0);
        self
    }

    /// How long a message waits for the one peer of a `Router` that it is for while that peer's queue is full; then it is
    /// dropped and counted as [`undeliverable`](ProxyEnd::undeliverable), and so are further ones at once until the peer
    /// takes messages again. Default `None`: for ever, so that a client that does not read its replies holds up the replies
    /// for all others. Set it where you do not trust the clients; zero drops at once, as classic proxies do.
    pub fn patience(mut self, time: Option<Duration>) -> Self {
        self.patience = time;
        self
    }

    /// Returns a control of the proxy, now or before it runs.
    pub fn control(&self) -> ProxyControl {
        ProxyControl(Arc::clone(&self.steering))
    }

    /// Passes messages on, in the calling thread, until the proxy is stopped or one of its sockets is closed.
    pub fn run(self) -> ProxyReport {
        let lane = |from: &Arc<dyn End>, to: &Arc<dyn End>| {
            Lane::new(
                Arc::clone(from),
                Arc::clone(to),
                self.capture.clone(),
                self.patience,
            )
        };
        let (frontend, backend) = (&self.frontend, &self.backend);
        let lanes = [lane(frontend, backend), lane(backend, frontend)];
        let returned = self.steering.run(lanes, self.ways);
        ProxyReport {
            stats: self.steering.stats(),
            returned,
        }
    }

    /// Passes messages on, in a thread of its own.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn spawn(self) -> io::Result<RunningProxy> {
        let control = self.control();
        let thread = thread::Builder::new()
            .name("aqueduct-proxy".into())
            .spawn(move || self.run())?;
        Ok(RunningProxy {
            control,
            thread: Some(thread),
        })
    }
}

impl ProxyControl {
    /// Stops passing messages on until [`resume`](Self::resume) is called; they stay in the sockets. When this returns,
    /// none is on its way.
    pub fn pause(&self) {
        self.0.set(Mode::Paused);
    }

    /// Goes on after a [`pause`](Self::pause).
    pub fn resume(&self) {
        self.0.set(Mode::Running);
    }

    /// Ends the proxy. When this returns, nothing is passed on any more; what was not stays in the sockets.
    pub fn stop(&self) {
        self.0.set(Mode::Stopped);
    }

    /// Tells what the proxy has done so far.
    #[must_use]
    pub fn stats(&self) -> ProxyStats {
        self.0.stats()
    }
}

impl RunningProxy {
    /// Returns a control of the proxy.
    #[must_use]
    pub fn control(&self) -> ProxyControl {
        self.control.clone()
    }

    /// Pauses the proxy: see [`ProxyControl::pause`].
    pub fn pause(&self) {
        self.control.pause();
    }

    /// Resumes the proxy: see [`ProxyControl::resume`].
    pub fn resume(&self) {
        self.control.resume();
    }

    /// Tells what the proxy has done so far.
    #[must_use]
    pub fn stats(&self) -> ProxyStats {
        self.control.stats()
    }

    /// Stops the proxy, and waits until it has ended.
    pub fn stop(self) -> ProxyReport {
        self.control.stop();
        self.join()
    }

    /// Waits until the proxy has ended: stopped by a control, or because one of its sockets is closed.
    pub fn join(mut self) -> ProxyReport {
        let thread = self.thread.take();
        let report = thread.and_then(|thread| thread.join().ok());
        report.unwrap_or_default()
    }
}

impl Drop for RunningProxy {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.control.stop();
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ProxyControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyControl").finish_non_exhaustive()
    }
}

impl fmt::Debug for RunningProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningProxy").finish_non_exhaustive()
    }
}
