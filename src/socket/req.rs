//! The face of REQ: sending and receiving in turn, and whole round trips.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::builder::Builder;
use super::closing::Handle;
use super::core::{Core, Phase, State, Unsent, deadline};
use super::verbs::common_verbs;
use crate::error::{RecvError, ReqRecvError, ReqSendError, RequestError, TryRecvError};
use crate::message::Message;
use crate::pattern::{Ask, Heard, ReqPattern};

/// Asks one of its [`Rep`](crate::Rep) or [`Router`](crate::Router) peers, in turn, and receives its reply: the client of a
/// service (RFC 28).
///
/// [`request`](Self::request) does the round trip, asks again if you like, and cannot mistake a late reply for a current
/// one. [`send`](Self::send) and [`recv`](Self::recv) do the two halves of it, and must alternate. If the peer that was
/// asked is gone, waiting for its reply ends with an error.
///
/// A handle is cheap to clone, and all clones are the same socket, which has one request under way at a time: further calls
/// of `request` wait for their turn. To ask many things at once, use a socket for each, or a [`Dealer`](crate::Dealer).
///
/// ```
/// use std::time::Duration;
/// use aqueduct::{Rep, Req};
///
/// let rep = Rep::new();
/// let endpoint = rep.bind("tcp://127.0.0.1:0")?;
/// let server = std::thread::spawn(move || {
///     let (request, reply) = rep.recv().unwrap();
///     reply.send(request).unwrap();
/// });
/// let req = Req::builder().reply_timeout(Some(Duration::from_secs(10))).resends(2).build();
/// req.connect(&endpoint)?;
/// assert_eq!(req.request("hello")?, "hello");
/// # server.join().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Req(pub(super) Arc<Handle<ReqPattern>>);

common_verbs!(Req, ReqPattern);

impl Builder<Req> {
    /// How long each attempt of [`request`](Req::request) may take, from waiting for a peer that can be asked to its reply.
    /// Default `None`: for ever, or until the peer is lost.
    #[must_use]
    pub fn reply_timeout(mut self, time: Option<Duration>) -> Self {
        self.options.dialogue.reply_timeout = time;
        self
    }

    /// How often [`request`](Req::request) asks again, the next peer in turn, if no reply comes in time or the peer is lost.
    /// Default 0. A peer may then act on the same request more than once.
    #[must_use]
    pub fn resends(mut self, times: usize) -> Self {
        self.options.dialogue.resends = times;
        self
    }

    /// Whether [`send`](Req::send) may be called while a reply is awaited, which gives up that reply. Default `false`.
    /// Unless [`correlate`](Self::correlate) is set too, a reply that comes late can be taken for the current one.
    #[must_use]
    pub fn relaxed(mut self, yes: bool) -> Self {
        self.options.dialogue.relaxed = yes;
        self
    }

    /// Whether requests that are [sent](Req::send) have an id, which their replies must bring back, as those of `Rep` do.
    /// Default `false`. Those of [`request`](Req::request) always have one.
    #[must_use]
    pub fn correlate(mut self, yes: bool) -> Self {
        self.options.dialogue.correlate = yes;
        self
    }

    /// Whether an empty message is sent to each peer as soon as it is connected, so that a ROUTER learns of this socket
    /// before it has anything to ask. Default `false`. `Rep` passes such messages over.
    #[must_use]
    pub fn probe(mut self, yes: bool) -> Self {
        self.options.dialogue.probe = yes;
        self
    }
}

impl Req {
    /// Sends a request; waits while no peer can take it, for as long as the send timeout allows.
    ///
    /// # Errors
    ///
    /// The last request has not been answered, nobody could take this one in time, or the socket is closed. The message is
    /// in the error.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), ReqSendError> {
        let (core, mut ask) = (&self.0.0, Some(in_turn(message.into())));
        core.send(&mut ask, core.options.send_timeout)
            .map_err(|why| why.into_req_error(ask))
    }

    /// Sends a request if a peer can take it now.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), with [`Timeout`](ReqSendError::Timeout) if nobody can take it now.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), ReqSendError> {
        let mut ask = Some(in_turn(message.into()));
        let sent = self.0.0.try_send(&mut ask);
        sent.map_err(|why| why.into_req_error(ask))
    }

    /// Sends a request; waits at most this long while no peer can take it.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn send_timeout(&self, message: impl Into<Message>, timeout: Duration) -> Result<(), ReqSendError> {
        let mut ask = Some(in_turn(message.into()));
        let sent = self.0.0.send(&mut ask, Some(timeout));
        sent.map_err(|why| why.into_req_error(ask))
    }

    /// Sends a request without blocking the thread: on any executor. If the future is dropped before it is ready, the
    /// request was not sent.
    ///
    /// # Errors
    ///
    /// The last request has not been answered, or the socket is closed. The message is in the error.
    pub async fn send_async(&self, message: impl Into<Message>) -> Result<(), ReqSendError> {
        let mut ask = Some(in_turn(message.into()));
        let sent = self.0.0.send_async(&mut ask).await;
        sent.map_err(|why| why.into_req_error(ask))
    }

    /// Receives the reply to the request that was sent; waits for it, for as long as the receive timeout allows.
    ///
    /// # Errors
    ///
    /// No request was sent, its peer is lost, the reply did not come in time, or the socket is closed.
    pub fn recv(&self) -> Result<Message, ReqRecvError> {
        heard(self.0.0.recv(self.0.0.options.recv_timeout))
    }

    /// Receives the reply to the request that was sent, if it is here.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv), with [`Timeout`](ReqRecvError::Timeout) if the reply is not here.
    pub fn try_recv(&self) -> Result<Message, ReqRecvError> {
        heard(self.0.0.recv_now().map_err(|why| match why {
            TryRecvError::Empty => RecvError::Timeout,
            TryRecvError::Closed => RecvError::Closed,
        }))
    }

    /// Receives the reply to the request that was sent; waits for it at most this long.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, ReqRecvError> {
        heard(self.0.0.recv(Some(timeout)))
    }

    /// Receives the reply to the request that was sent without blocking the thread: on any executor. Dropping the future
    /// before it is ready loses nothing.
    ///
    /// # Errors
    ///
    /// No request was sent, its peer is lost, or the socket is closed.
    pub async fn recv_async(&self) -> Result<Message, ReqRecvError> {
        heard(self.0.0.recv_async().await)
    }

    /// Sends a request and receives its reply. Waits its turn if a request of another caller is under way. The options
    /// [`reply_timeout`](Builder::reply_timeout) and [`resends`](Builder::resends) say for how long it waits and how often it
    /// asks.
    ///
    /// Each attempt has a fresh id, which goes before the envelope and comes back with the reply, so that no other reply is
    /// taken for this one. A ROUTER that serves such requests has to return all frames up to the first empty one.
    ///
    /// # Errors
    ///
    /// In none of the attempts a reply came: in time, or before the peer was lost; a request that was
    /// [sent](Self::send) has not been answered; or the socket is closed. The request is in the error.
    pub fn request(&self, message: impl Into<Message>) -> Result<Message, RequestError> {
        let (core, message) = (&self.0.0, message.into());
        let mut attempts = core.options.dialogue.resends;
        loop {
            let deadline = deadline(core.options.dialogue.reply_timeout);
            let round = Round::new(core);
            let outcome = round.run(message.clone(), deadline);
            match outcome {
                Err(Failure::TimedOut | Failure::Lost) if attempts > 0 => attempts -= 1,
                outcome => return outcome.map_err(|failure| failure.with(message)),
            }
        }
    }

    /// Does what [`request`](Self::request) does without blocking the thread: on any executor. If the future is dropped
    /// before it is ready, the reply is given up, and the next request can be sent.
    ///
    /// # Errors
    ///
    /// As for [`request`](Self::request).
    pub async fn request_async(&self, message: impl Into<Message>) -> Result<Message, RequestError> {
        let (core, message) = (&self.0.0, message.into());
        let mut attempts = core.options.dialogue.resends;
        loop {
            let deadline = deadline(core.options.dialogue.reply_timeout);
            let round = Round::new(core);
            let outcome = round.run_async(message.clone(), deadline).await;
            match outcome {
                Err(Failure::TimedOut | Failure::Lost) if attempts > 0 => attempts -= 1,
                outcome => return outcome.map_err(|failure| failure.with(message)),
            }
        }
    }
}

fn in_turn(body: Message) -> Ask {
    Ask { body, ticket: None }
}

fn heard(received: Result<Heard, RecvError>) -> Result<Message, ReqRecvError> {
    match received {
        Ok(Heard::Reply(message)) => Ok(message),
        Ok(Heard::Lost) => Err(ReqRecvError::PeerLost),
        Ok(Heard::OutOfTurn) => Err(ReqRecvError::OutOfTurn),
        Err(RecvError::Timeout) => Err(ReqRecvError::Timeout),
        Err(RecvError::Closed) => Err(ReqRecvError::Closed),
    }
}

impl Unsent {
    fn into_req_error(self, unsent: Option<Ask>) -> ReqSendError {
        let message = unsent.map(|ask| ask.body).unwrap_or_default();
        match self {
            Self::Full => ReqSendError::Timeout(message),
            Self::Refused => ReqSendError::OutOfTurn(message),
            Self::Closed => ReqSendError::Closed(message),
        }
    }
}

/// Why an attempt brought no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    OutOfTurn,
    TimedOut,
    Lost,
    Closed,
}

impl Failure {
    fn with(self, message: Message) -> RequestError {
        match self {
            Self::OutOfTurn => RequestError::OutOfTurn(message),
            Self::TimedOut => RequestError::Timeout(message),
            Self::Lost => RequestError::PeerLost(message),
            Self::Closed => RequestError::Closed(message),
        }
    }
}

impl From<Unsent> for Failure {
    fn from(why: Unsent) -> Self {
        match why {
            Unsent::Full => Self::TimedOut,
            Unsent::Refused => Self::OutOfTurn,
            Unsent::Closed => Self::Closed,
        }
    }
}

/// One attempt to get a reply. When it goes, the socket is free for the next.
struct Round<'a> {
    core: &'a Core<ReqPattern>,
    ticket: u64,
}

impl<'a> Round<'a> {
    fn new(core: &'a Core<ReqPattern>) -> Self {
        let ticket = core.state.lock().pattern.draw_ticket();
        Self { core, ticket }
    }

    fn ask(&self, body: Message) -> Ask {
        Ask {
            body,
            ticket: Some(self.ticket),
        }
    }

    fn run(&self, message: Message, deadline: Option<Instant>) -> Result<Message, Failure> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        self.core.send(&mut Some(self.ask(message)), left)?;
        let outcome = self.core.wait_for(
            |state| &mut state.receivers,
            State::next_receiver,
            deadline,
            || self.try_hear(),
        );
        outcome.unwrap_or(Err(Failure::TimedOut))
    }

    async fn run_async(&self, message: Message, deadline: Option<Instant>) -> Result<Message, Failure> {
        let late = Arc::new(AtomicBool::new(false));
        let _alarm = deadline.and_then(|at| self.core.wake_at(at, &late));
        let is_late = || late.load(Ordering::Acquire).then_some(Err(Failure::TimedOut));
        let mut ask = Some(self.ask(message));
        let sent = self.core.wait_async(
            |state| &mut state.senders,
            State::next_sender,
            |_| match self.core.try_send(&mut ask) {
                Err(Unsent::Full) => is_late(),
                settled => Some(settled.map_err(Failure::from)),
            },
        );
        sent.await?;
        let outcome = self.core.wait_async(
            |state| &mut state.receivers,
            State::next_receiver,
            |_| {
                self.try_hear()
                    .or_else(|| late.load(Ordering::Acquire).then_some(Err(Failure::TimedOut)))
            },
        );
        outcome.await
    }

    /// Returns what came of the request, if anything.
    fn try_hear(&self) -> Option<Result<Message, Failure>> {
        loop {
            let mut place = None;
            let came = self
                .core
                .act(|pattern, pipes| pattern.recv_for(self.ticket, &mut place, pipes));
            match place {
                Some(Heard::Reply(message)) => return Some(Ok(message)),
                Some(Heard::Lost) => return Some(Err(Failure::Lost)),
                Some(Heard::OutOfTurn) => return Some(Err(Failure::OutOfTurn)),
                // What was there meant nothing.
                None if came.is_some() => {}
                None if self.core.state.lock().phase != Phase::Open => return Some(Err(Failure::Closed)),
                None => return None,
            }
        }
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        self.core.act(|pattern, _| pattern.abandon(self.ticket));
    }
}
