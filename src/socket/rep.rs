//! The face of REP, and the token with which a request is answered.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::builder::Builder;
use super::callback::Registration;
use super::closing::Handle;
use super::core::{Core, Unsent};
use super::verbs::common_verbs;
use crate::error::{RecvError, ReplyError, TryRecvError};
use crate::message::Message;
use crate::pattern::{RepPattern, ReplyTo};
use crate::peer::PeerInfo;

/// Receives requests of its [`Req`](crate::Req) and [`Dealer`](crate::Dealer) peers, from each in turn, each with a
/// [`Reply`] to answer it with: a service (RFC 28).
///
/// Any number of requests can be open at once, and be answered in any order, from any thread. The reply goes the way the
/// request came, however many brokers that leads through.
///
/// A handle is cheap to clone, and all clones are the same socket: each request goes to one of them.
///
/// ```
/// use aqueduct::{Rep, Req};
///
/// let rep = Rep::new();
/// let endpoint = rep.bind("tcp://127.0.0.1:0")?;
/// let client = std::thread::spawn(move || {
///     let req = Req::new();
///     req.connect(&endpoint).unwrap();
///     req.request("2 + 2?").unwrap()
/// });
/// let (request, reply) = rep.recv()?;
/// assert_eq!(request, "2 + 2?");
/// reply.send("4")?;
/// assert_eq!(client.join().unwrap(), "4");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Rep(pub(super) Arc<Handle<RepPattern>>);

common_verbs!(Rep, RepPattern);

/// The right to answer one request, once.
///
/// Dropping it leaves the request unanswered, which [`stats`](Rep::stats) counts. It does not keep the socket open.
#[must_use = "a request whose `Reply` is dropped is not answered"]
pub struct Reply {
    core: Arc<Core<RepPattern>>,
    to: Option<ReplyTo>,
    peer: Arc<PeerInfo>,
}

/// Why a reply was not sent at once. It is inside.
#[derive(Debug, Error)]
pub enum TryReplyError {
    /// The peer that asked is gone; another at the same place would not know what to make of the reply.
    #[error("the peer that asked is gone")]
    PeerGone(Message),
    /// The peer is at its high-water mark. The request can still be answered.
    #[error("the peer cannot take a message now")]
    Full(Message, Reply),
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed(Message),
}

impl Builder<Rep> {
    /// Whether the peer gets an empty message if its [`Reply`] is dropped unsent, so that one that has to wait for its
    /// answer can go on. Default `false`: it gets none.
    #[must_use]
    pub fn answer_dropped(mut self, yes: bool) -> Self {
        self.options.dialogue.answer_dropped = yes;
        self
    }
}

impl Rep {
    /// Receives the next request; waits for one, for as long as the receive timeout allows.
    ///
    /// # Errors
    ///
    /// None came in time, or the socket is closed.
    pub fn recv(&self) -> Result<(Message, Reply), RecvError> {
        let core = &self.0.0;
        let received = core.recv_with_peer(core.options.recv_timeout);
        received.map(|received| self.open(received))
    }

    /// Receives a request if one is here.
    ///
    /// # Errors
    ///
    /// None is here, or the socket is closed.
    pub fn try_recv(&self) -> Result<(Message, Reply), TryRecvError> {
        take_request(&self.0.0)
    }

    /// Receives the next request; waits for one at most this long.
    ///
    /// # Errors
    ///
    /// None came in time, or the socket is closed.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<(Message, Reply), RecvError> {
        let received = self.0.0.recv_with_peer(Some(timeout));
        received.map(|received| self.open(received))
    }

    /// Receives the next request without blocking the thread: on any executor. Dropping the future before it is ready
    /// loses nothing.
    ///
    /// # Errors
    ///
    /// The socket is closed.
    pub async fn recv_async(&self) -> Result<(Message, Reply), RecvError> {
        let received = self.0.0.recv_with_peer_async().await;
        received.map(|received| self.open(received))
    }

    /// Has a function called with each request that comes and the right to answer it, by a thread of its own, as long as
    /// the [`Registration`] lives.
    ///
    /// ```
    /// # use aqueduct::{Rep, Req};
    /// # let (rep, req) = (Rep::new(), Req::new());
    /// # rep.bind("inproc://upper")?;
    /// # req.connect("inproc://upper")?;
    /// let service = rep.on_message(|request, reply| {
    ///     let _ = reply.send(request[0].as_str().unwrap_or("?").to_uppercase());
    /// })?;
    /// assert_eq!(req.request("hello")?, "HELLO");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn on_message(
        &self,
        mut callback: impl FnMut(Message, Reply) + Send + 'static,
    ) -> io::Result<Registration> {
        self.0.register(take_request, move |(request, reply)| {
            callback(request, reply);
        })
    }

    /// Returns a stream of the requests that come, each with the right to answer it. With the feature `futures`.
    #[cfg(feature = "futures")]
    pub fn stream(&self) -> crate::RecvStream<(Message, Reply)> {
        self.0.stream(take_request)
    }

    fn open(&self, received: ((Message, ReplyTo), Arc<PeerInfo>)) -> (Message, Reply) {
        open(&self.0.0, received)
    }
}

/// Makes the right to answer a request.
fn open(
    core: &Arc<Core<RepPattern>>,
    ((request, to), peer): ((Message, ReplyTo), Arc<PeerInfo>),
) -> (Message, Reply) {
    let reply = Reply {
        core: Arc::clone(core),
        to: Some(to),
        peer,
    };
    (request, reply)
}

/// Receives a request if one is here.
fn take_request(core: &Arc<Core<RepPattern>>) -> Result<(Message, Reply), TryRecvError> {
    core.recv_with_peer_now().map(|received| open(core, received))
}

impl Reply {
    /// Returns what the peer that asked said of itself. Between it and who asked at first there may be brokers.
    #[must_use]
    pub fn peer(&self) -> &PeerInfo {
        &self.peer
    }

    /// Answers the request; waits while the peer's queue is full, for as long as the send timeout allows.
    ///
    /// # Errors
    ///
    /// The peer is gone, it could not take the reply in time, or the socket is closed. The message is in the error.
    pub fn send(self, message: impl Into<Message>) -> Result<(), ReplyError> {
        let timeout = self.core.options.send_timeout;
        self.answer(message.into(), timeout)
    }

    /// Answers the request if the peer's queue has room.
    ///
    /// # Errors
    ///
    /// The peer is gone, it cannot take the reply, or the socket is closed. The message is in the error, and in
    /// [`Full`](TryReplyError::Full) the right to answer too.
    pub fn try_send(mut self, message: impl Into<Message>) -> Result<(), TryReplyError> {
        let mut out = self.to.take().map(|to| (to, message.into()));
        let Err(why) = self.core.try_send(&mut out) else {
            return Ok(());
        };
        let (to, message) = out.map_or_else(Default::default, |(to, message)| (Some(to), message));
        Err(match why {
            Unsent::Refused => TryReplyError::PeerGone(message),
            Unsent::Closed => TryReplyError::Closed(message),
            Unsent::Full => {
                self.to = to;
                TryReplyError::Full(message, self)
            }
        })
    }

    /// Answers the request; waits at most this long while the peer's queue is full.
    ///
    /// # Errors
    ///
    /// The peer is gone, it could not take the reply in time, or the socket is closed. The message is in the error.
    pub fn send_timeout(self, message: impl Into<Message>, timeout: Duration) -> Result<(), ReplyError> {
        self.answer(message.into(), Some(timeout))
    }

    /// Answers the request without blocking the thread: on any executor. If the future is dropped before it is ready,
    /// the request stays unanswered.
    ///
    /// # Errors
    ///
    /// The peer is gone, or the socket is closed. The message is in the error.
    pub async fn send_async(mut self, message: impl Into<Message>) -> Result<(), ReplyError> {
        let mut out = self.to.take().map(|to| (to, message.into()));
        let mut guard = Unfinished {
            core: &self.core,
            out: &mut out,
        };
        let sent = self.core.send_async(guard.out).await;
        sent.map_err(|why| guard.fail(why))
    }

    fn answer(mut self, message: Message, timeout: Option<Duration>) -> Result<(), ReplyError> {
        let mut out = self.to.take().map(|to| (to, message));
        let sent = self.core.send(&mut out, timeout);
        let mut guard = Unfinished {
            core: &self.core,
            out: &mut out,
        };
        sent.map_err(|why| guard.fail(why))
    }
}

/// A reply that is being sent: if it is still in its place in the end, the request is unanswered.
struct Unfinished<'a> {
    core: &'a Core<RepPattern>,
    out: &'a mut Option<(ReplyTo, Message)>,
}

impl Unfinished<'_> {
    /// Takes the message back.
    fn fail(&mut self, why: Unsent) -> ReplyError {
        let (to, message) = match self.out.take() {
            Some((to, message)) => (Some(to), message),
            None => (None, Message::new()),
        };
        match why {
            Unsent::Refused => ReplyError::PeerGone(message),
            Unsent::Closed => ReplyError::Closed(message),
            Unsent::Full => {
                leave_unanswered(self.core, to);
                ReplyError::Timeout(message)
            }
        }
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        leave_unanswered(self.core, self.out.take().map(|(to, _)| to));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        leave_unanswered(&self.core, self.to.take());
    }
}

fn leave_unanswered(core: &Core<RepPattern>, to: Option<ReplyTo>) {
    if let Some(to) = to {
        core.act(|pattern, pipes| pattern.leave_unanswered(to, pipes));
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}
