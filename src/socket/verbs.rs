//! The verbs, written once: blocking with and without a deadline, trying, and async; and the macros that give them to
//! the types for which they make sense.

use std::future::Future;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::{Core, State, Unsent, deadline, fire_signals};
use super::pacing::REST;
use super::waiters::Signal;
use super::waiting::{Joining, PassOn, Queue, Waiting};
use crate::error::{RecvError, SendError, TryRecvError, TrySendError, WaitError};
use crate::message::Message;
use crate::pattern::{Offer, Pattern};
use crate::peer::PeerInfo;
use crate::reactor::Waiter;
use crate::stats::CloseReport;
use crate::sync::BriefMutexGuard;

impl<P: Pattern> Core<P> {
    #[inline]
    pub(super) fn send(&self, out: &mut Option<P::Out>, timeout: Option<Duration>) -> Result<(), Unsent> {
        let mut state = self.state.lock();
        let offer = state.send(out);
        if state.has_sent_calmly(offer) {
            return Ok(());
        }
        self.send_slowly(state, offer, out, timeout)
    }

    #[inline(never)]
    fn send_slowly(
        &self,
        mut state: BriefMutexGuard<'_, State<P>>,
        offer: Option<Offer>,
        out: &mut Option<P::Out>,
        timeout: Option<Duration>,
    ) -> Result<(), Unsent> {
        // The system may let a thread sleep for a millisecond longer than it asked for.
        let ahead = state.is_ahead() && timeout.is_none_or(|timeout| timeout > 2 * REST);
        match self.finish_send(state, offer) {
            Ok(()) if ahead => {
                self.rest();
                Ok(())
            }
            Err(Unsent::Full) => self.wait_to_send(out, timeout),
            settled => settled,
        }
    }

    fn wait_to_send(&self, out: &mut Option<P::Out>, timeout: Option<Duration>) -> Result<(), Unsent> {
        let sent = self.wait_for(
            |state| &mut state.senders,
            State::next_sender,
            deadline(timeout),
            || self.try_unsent(out),
        );
        sent.unwrap_or(Err(Unsent::Full))
    }

    pub(super) fn recv(&self, timeout: Option<Duration>) -> Result<P::In, RecvError> {
        let mut received = None;
        if self.try_recv(&mut received).is_ok()
            && let Some(received) = received
        {
            return Ok(received);
        }
        self.recv_slowly(timeout)
    }

    #[inline(never)]
    fn recv_slowly(&self, timeout: Option<Duration>) -> Result<P::In, RecvError> {
        self.wait_to_recv(timeout, || self.try_received())
    }

    /// Blocks until an attempt to receive succeeds, for as long as the timeout allows.
    pub(super) fn wait_to_recv<T>(
        &self,
        timeout: Option<Duration>,
        attempt: impl FnMut() -> Option<Result<T, RecvError>>,
    ) -> Result<T, RecvError> {
        let received = self.wait_for(
            |state| &mut state.receivers,
            State::next_receiver,
            deadline(timeout),
            attempt,
        );
        received.unwrap_or(Err(RecvError::Timeout))
    }

    /// The same for a task.
    pub(super) fn wait_to_recv_async<'a, T: Send + 'a>(
        &'a self,
        attempt: impl FnMut(&mut Joining<'_>) -> Option<Result<T, RecvError>> + Unpin + Send + 'a,
    ) -> impl Future<Output = Result<T, RecvError>> + Send + 'a {
        self.wait_async(
            |state: &mut State<P>| &mut state.receivers,
            State::next_receiver,
            attempt,
        )
    }

    pub(super) fn recv_now(&self) -> Result<P::In, TryRecvError> {
        self.recv_or_join(None)
    }

    /// The same for a task, which then waits if nothing is here.
    fn recv_or_join(&self, mut joining: Option<&mut Joining<'_>>) -> Result<P::In, TryRecvError> {
        let mut received = None;
        loop {
            self.try_recv_or_join(&mut received, joining.as_deref_mut())?;
            if let Some(received) = received {
                return Ok(received);
            }
            // What was there meant nothing.
        }
    }

    /// Receives what is here, with what is known of its sender.
    pub(super) fn recv_with_peer_now(&self) -> Result<(P::In, Arc<PeerInfo>), TryRecvError> {
        self.recv_with_peer_or_join(None)
    }

    fn recv_with_peer_or_join(
        &self,
        mut joining: Option<&mut Joining<'_>>,
    ) -> Result<(P::In, Arc<PeerInfo>), TryRecvError> {
        loop {
            let mut received = None;
            let info = self.try_recv_with_peer(&mut received, joining.as_deref_mut())?;
            if let Some(received) = received {
                return Ok((received, info));
            }
        }
    }

    pub(super) fn recv_with_peer(
        &self,
        timeout: Option<Duration>,
    ) -> Result<(P::In, Arc<PeerInfo>), RecvError> {
        self.wait_to_recv(timeout, || settled(self.recv_with_peer_now()))
    }

    pub(super) fn recv_with_peer_async(
        &self,
    ) -> impl Future<Output = Result<(P::In, Arc<PeerInfo>), RecvError>> + Send {
        self.wait_to_recv_async(|joining| settled(self.recv_with_peer_or_join(Some(joining))))
    }

    /// Waits in one of the socket's sets until `attempt` succeeds.
    pub(super) fn wait_async<'a, T: Send + 'a>(
        &'a self,
        queue: impl Queue<P> + Unpin + Send + 'a,
        pass_on: PassOn<P>,
        attempt: impl FnMut(&mut Joining<'_>) -> Option<T> + Unpin + Send + 'a,
    ) -> impl Future<Output = T> + Send + 'a {
        Waiting::new(self, queue, pass_on, attempt)
    }

    pub(super) fn wait_for_peers(&self, expected: usize, timeout: Duration) -> Result<(), WaitError> {
        let came = self.wait_for(
            |state| &mut state.watchers,
            |_| None,
            deadline(Some(timeout)),
            || self.has_peers(expected),
        );
        let got = || self.state.lock().connected_peers();
        came.unwrap_or_else(|| Err(WaitError::Timeout { expected, got: got() }))
    }

    /// Blocks until `attempt` succeeds or the deadline is there. `queue` is where to wait.
    pub(super) fn wait_for<T>(
        &self,
        queue: impl Queue<P>,
        pass_on: PassOn<P>,
        deadline: Option<Instant>,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let waiter = Waiter::current();
        loop {
            let id = queue(&mut self.state.lock()).add(Signal::Thread(waiter.clone()));
            // What happened before we joined would not be told to us.
            let early = attempt();
            if early.is_none() && deadline.is_none_or(|deadline| deadline > Instant::now()) {
                self.block(&waiter, deadline);
            }
            self.stop_waiting(queue, pass_on, id);
            if let Some(done) = early.or_else(&mut attempt) {
                return Some(done);
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return None;
            }
        }
    }

    /// Leaves a set of waiters, and passes on the word if it was told and somebody else can use it.
    pub(super) fn stop_waiting(&self, queue: impl Queue<P>, pass_on: PassOn<P>, id: u64) {
        let mut state = self.state.lock();
        let next = if queue(&mut state).remove(id) {
            pass_on(&mut state)
        } else {
            None
        };
        drop(state);
        fire_signals(next);
    }

    /// An attempt of somebody who waits; `None` if there is a reason to wait on.
    pub(super) fn try_unsent(&self, out: &mut Option<P::Out>) -> Option<Result<(), Unsent>> {
        unless_full(self.try_send(out))
    }

    fn try_received(&self) -> Option<Result<P::In, RecvError>> {
        settled(self.recv_now())
    }

    fn has_peers(&self, expected: usize) -> Option<Result<(), WaitError>> {
        let state = self.state.lock();
        if state.phase != super::core::Phase::Open {
            return Some(Err(WaitError::Closed));
        }
        (state.connected_peers() >= expected).then_some(Ok(()))
    }

    /// Sends what is in its place; the future may be dropped as long as it is there.
    pub(super) async fn send_async(&self, out: &mut Option<P::Out>) -> Result<(), Unsent> {
        if self.owes_rest() {
            Box::pin(self.rest_async(REST)).await;
        }
        self.wait_async(
            |state| &mut state.senders,
            State::next_sender,
            |_| self.try_unsent_or_owe(out),
        )
        .await
    }

    /// The same as [`try_unsent`](Self::try_unsent), of a task, which rests before it sends the next.
    fn try_unsent_or_owe(&self, out: &mut Option<P::Out>) -> Option<Result<(), Unsent>> {
        let mut state = self.state.lock();
        let offer = state.send(out);
        if state.has_sent_calmly(offer) {
            return Some(Ok(()));
        }
        if state.is_ahead() {
            self.owe_rest();
        }
        unless_full(self.finish_send(state, offer))
    }

    pub(super) fn recv_async(&self) -> impl Future<Output = Result<P::In, RecvError>> + Send {
        self.wait_to_recv_async(|joining| settled(self.recv_or_join(Some(joining))))
    }

    pub(super) fn wait_for_peers_async(
        &self,
        expected: usize,
    ) -> impl Future<Output = Result<(), WaitError>> + Send {
        Waiting::new(
            self,
            |state| &mut state.watchers,
            |_| None,
            move |_| self.has_peers(expected),
        )
    }

    pub(super) fn wait_closed_async(&self) -> impl Future<Output = CloseReport> + Send {
        Waiting::new(self, |state| &mut state.watchers, |_| None, |_| self.report())
    }
}

/// What an attempt to receive means to somebody who waits; `None` if there is a reason to wait on.
pub(super) fn settled<T>(attempt: Result<T, TryRecvError>) -> Option<Result<T, RecvError>> {
    match attempt {
        Ok(received) => Some(Ok(received)),
        Err(TryRecvError::Closed) => Some(Err(RecvError::Closed)),
        Err(TryRecvError::Empty) => None,
    }
}

/// The same of an attempt to send.
fn unless_full(attempt: Result<(), Unsent>) -> Option<Result<(), Unsent>> {
    match attempt {
        Err(Unsent::Full) => None,
        settled => Some(settled),
    }
}

impl Unsent {
    /// What to tell of a plain message that was not sent. A socket for those has no reason to refuse one.
    #[cold]
    pub(super) fn into_send_error(self, message: Option<Message>) -> SendError {
        let message = message.unwrap_or_default();
        match self {
            Self::Full | Self::Refused => SendError::Timeout(message),
            Self::Closed => SendError::Closed(message),
        }
    }

    /// The same for a verb that does not wait.
    #[cold]
    pub(super) fn into_try_send_error(self, message: Option<Message>) -> TrySendError {
        let message = message.unwrap_or_default();
        match self {
            Self::Full | Self::Refused => TrySendError::Full(message),
            Self::Closed => TrySendError::Closed(message),
        }
    }
}

/// Puts a message in the place that it is sent from.
///
/// It is gone from there when it was sent, which the compiler does not know: it would look, and call for the message to be
/// dropped, each time. [`take_back`] sees to what was not sent.
#[inline]
pub(super) fn outgoing(message: impl Into<Message>) -> ManuallyDrop<Option<Message>> {
    ManuallyDrop::new(Some(message.into()))
}

/// Says what became of a message, which is in the error if it was not sent.
#[inline]
pub(super) fn take_back<E>(
    sent: Result<(), Unsent>,
    place: &mut Option<Message>,
    explain: impl FnOnce(Unsent, Option<Message>) -> E,
) -> Result<(), E> {
    match sent {
        Ok(()) => Ok(()),
        Err(why) => Err(explain(why, place.take())),
    }
}

/// Gives a type what every socket has.
macro_rules! common_verbs {
    ($socket:ident, $pattern:ty) => {
        impl $socket {
            /// Makes a socket with default options in the default context.
            #[must_use]
            pub fn new() -> Self {
                Self::builder().build()
            }

            /// Returns a builder, to set options.
            #[must_use]
            pub fn builder() -> $crate::Builder<Self> {
                $crate::Builder::new()
            }

            /// Listens at an endpoint, and returns it with wildcards resolved.
            ///
            /// # Errors
            ///
            /// The text is no endpoint, or the system refuses: `AddrInUse` if somebody else is there.
            pub fn bind(
                &self,
                endpoint: impl $crate::IntoEndpoint,
            ) -> Result<$crate::Endpoint, $crate::BindError> {
                self.0.0.bind(endpoint.into_endpoint())
            }

            /// Connects to an endpoint, and keeps it connected. Returns at once: the peer may come later, and
            /// whatever keeps it away is a [monitor](Self::monitor) event, not an error.
            ///
            /// # Errors
            ///
            /// The text is no endpoint, or a wildcard; or, for inproc, the types of the sockets do not go together.
            pub fn connect(&self, endpoint: impl $crate::IntoEndpoint) -> Result<(), $crate::ConnectError> {
                self.0.0.connect(endpoint.into_endpoint())
            }

            /// Stops listening at an endpoint, named as [`bind`](Self::bind) returned it. Connections that came
            /// through it stay.
            ///
            /// # Errors
            ///
            /// The socket is not bound there.
            pub fn unbind(&self, endpoint: impl $crate::IntoEndpoint) -> Result<(), $crate::DetachError> {
                self.0.0.unbind(endpoint.into_endpoint())
            }

            /// Ends the connection to an endpoint, named as it was connected to. What is queued for a connection that
            /// is up still goes out; if none is up, it is dropped and counted as
            /// [`Disconnected`](crate::DropReason::Disconnected). What has come in can still be received.
            ///
            /// # Errors
            ///
            /// The socket is not connected there.
            pub fn disconnect(&self, endpoint: impl $crate::IntoEndpoint) -> Result<(), $crate::DetachError> {
                self.0.0.disconnect(endpoint.into_endpoint())
            }

            /// Waits until at least `count` peers are connected, their handshakes done.
            ///
            /// # Errors
            ///
            /// They did not come in time, or the socket is closed.
            pub fn wait_for_peers(
                &self,
                count: usize,
                timeout: ::std::time::Duration,
            ) -> Result<(), $crate::WaitError> {
                self.0.0.wait_for_peers(count, timeout)
            }

            /// Waits until at least `count` peers are connected.
            ///
            /// # Errors
            ///
            /// The socket is closed.
            pub async fn wait_for_peers_async(&self, count: usize) -> Result<(), $crate::WaitError> {
                self.0.0.wait_for_peers_async(count).await
            }

            /// Returns a snapshot of the counters.
            #[must_use]
            pub fn stats(&self) -> $crate::SocketStats {
                self.0.0.stats()
            }

            /// Returns the stream of what happens to this socket's connections from now on.
            #[must_use]
            pub fn monitor(&self) -> $crate::Monitor {
                self.0.0.monitor()
            }

            /// Closes the socket for all its handles, and returns what could not be handed to a transport within the
            /// linger time. Calls on other handles return `Closed`.
            ///
            /// Dropping the last handle does the same, but cannot return anything.
            pub fn close(self) -> $crate::CloseReport {
                self.0.close(self.0.0.options.linger)
            }

            /// Closes the socket as [`close`](Self::close) does, without blocking the thread.
            pub async fn close_async(self) -> $crate::CloseReport {
                self.0.0.begin_close(self.0.0.options.linger);
                self.0.0.wait_closed_async().await
            }
        }

        impl Default for $socket {
            fn default() -> Self {
                Self::new()
            }
        }

        impl ::std::fmt::Debug for $socket {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($socket)).finish_non_exhaustive()
            }
        }

        impl $crate::socket::builder::Sealed for $socket {
            fn build(context: &$crate::Context, options: $crate::options::Options) -> Self {
                let core = $crate::socket::core::Core::new(context, options);
                Self(::std::sync::Arc::new($crate::socket::closing::Handle(core)))
            }
        }

        impl $crate::Buildable for $socket {}

        $crate::socket::watch::pollable!($socket);
    };
}

/// Gives a type what sockets have that send.
macro_rules! send_verbs {
    ($socket:ident) => {
        impl $socket {
            /// Sends a message; waits while no peer can take it, for as long as the send timeout allows.
            ///
            /// # Errors
            ///
            /// Nobody could take it in time, or the socket is closed. The message is in the error.
            pub fn send(&self, message: impl Into<$crate::Message>) -> Result<(), $crate::SendError> {
                let (core, mut message) = (&self.0.0, $crate::socket::verbs::outgoing(message));
                let sent = core.send(&mut message, core.options.send_timeout);
                $crate::socket::verbs::take_back(
                    sent,
                    &mut message,
                    $crate::socket::core::Unsent::into_send_error,
                )
            }

            /// Sends a message if a peer can take it now.
            ///
            /// # Errors
            ///
            /// No peer can take it, or the socket is closed. The message is in the error.
            pub fn try_send(&self, message: impl Into<$crate::Message>) -> Result<(), $crate::TrySendError> {
                let mut message = $crate::socket::verbs::outgoing(message);
                let sent = self.0.0.try_send(&mut message);
                $crate::socket::verbs::take_back(
                    sent,
                    &mut message,
                    $crate::socket::core::Unsent::into_try_send_error,
                )
            }

            /// Sends a message; waits at most this long while no peer can take it.
            ///
            /// # Errors
            ///
            /// Nobody could take it in time, or the socket is closed. The message is in the error.
            pub fn send_timeout(
                &self,
                message: impl Into<$crate::Message>,
                timeout: ::std::time::Duration,
            ) -> Result<(), $crate::SendError> {
                let mut message = $crate::socket::verbs::outgoing(message);
                let sent = self.0.0.send(&mut message, Some(timeout));
                $crate::socket::verbs::take_back(
                    sent,
                    &mut message,
                    $crate::socket::core::Unsent::into_send_error,
                )
            }

            /// Sends a message without blocking the thread: on any executor. If the future is dropped before it is
            /// ready, the message was not sent.
            ///
            /// # Errors
            ///
            /// The socket is closed. The message is in the error.
            pub async fn send_async(
                &self,
                message: impl Into<$crate::Message>,
            ) -> Result<(), $crate::SendError> {
                let mut message = Some(message.into());
                let sent = self.0.0.send_async(&mut message).await;
                sent.map_err(|why| why.into_send_error(message))
            }
        }

        $crate::socket::batch::send_many_verbs!($socket);
        #[cfg(feature = "futures")]
        $crate::socket::streams::message_sink!($socket);
    };
}

/// Gives a type what sockets have that receive from more than one kind of peer, and want to know from whom.
macro_rules! recv_with_peer_verbs {
    ($socket:ident) => {
        impl $socket {
            /// Receives as [`recv`](Self::recv) does, with what the sender said of itself and where it is.
            ///
            /// # Errors
            ///
            /// None came in time, or the socket is closed.
            pub fn recv_with_peer(
                &self,
            ) -> Result<($crate::Message, ::std::sync::Arc<$crate::PeerInfo>), $crate::RecvError> {
                self.0.0.recv_with_peer(self.0.0.options.recv_timeout)
            }

            /// Receives as [`try_recv`](Self::try_recv) does, with what the sender said of itself and where it is.
            ///
            /// # Errors
            ///
            /// None is here, or the socket is closed.
            pub fn try_recv_with_peer(
                &self,
            ) -> Result<($crate::Message, ::std::sync::Arc<$crate::PeerInfo>), $crate::TryRecvError> {
                self.0.0.recv_with_peer_now()
            }

            /// Receives as [`recv_timeout`](Self::recv_timeout) does, with what the sender said of itself and where it
            /// is.
            ///
            /// # Errors
            ///
            /// None came in time, or the socket is closed.
            pub fn recv_with_peer_timeout(
                &self,
                timeout: ::std::time::Duration,
            ) -> Result<($crate::Message, ::std::sync::Arc<$crate::PeerInfo>), $crate::RecvError> {
                self.0.0.recv_with_peer(Some(timeout))
            }

            /// Receives as [`recv_async`](Self::recv_async) does, with what the sender said of itself and where it is.
            ///
            /// # Errors
            ///
            /// The socket is closed.
            pub async fn recv_with_peer_async(
                &self,
            ) -> Result<($crate::Message, ::std::sync::Arc<$crate::PeerInfo>), $crate::RecvError> {
                self.0.0.recv_with_peer_async().await
            }
        }
    };
}

/// Makes the two halves of a socket that both sends and receives.
macro_rules! halves {
    ($socket:ident($pattern:ty) => $sender:ident, $receiver:ident) => {
        impl $socket {
            /// Splits this handle into one that only sends and one that only receives, to be given to different owners.
            /// Both are handles of the same socket, which is closed with the last of all its handles.
            #[must_use]
            pub fn split(self) -> ($sender, $receiver) {
                ($sender(::std::sync::Arc::clone(&self.0)), $receiver(self.0))
            }
        }

        #[doc = concat!("The sending half of a [`", stringify!($socket), "`].")]
        pub struct $sender(pub(super) ::std::sync::Arc<$crate::socket::closing::Handle<$pattern>>);

        #[doc = concat!("The receiving half of a [`", stringify!($socket), "`].")]
        pub struct $receiver(pub(super) ::std::sync::Arc<$crate::socket::closing::Handle<$pattern>>);

        impl ::std::fmt::Debug for $sender {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($sender)).finish_non_exhaustive()
            }
        }

        impl ::std::fmt::Debug for $receiver {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($receiver))
                    .finish_non_exhaustive()
            }
        }

        $crate::socket::watch::pollable!($sender);
        $crate::socket::watch::pollable!($receiver);
    };
}

/// Gives a type what sockets have that receive.
macro_rules! recv_verbs {
    ($socket:ident) => {
        $crate::socket::verbs::recv_verbs!($socket => $crate::Message, "message");
    };
    ($socket:ident => $received:ty, $name:literal) => {
        impl $socket {
            #[doc = concat!("Receives the next ", $name, "; waits for one, for as long as the receive timeout allows.")]
            ///
            /// # Errors
            ///
            /// None came in time, or the socket is closed.
            pub fn recv(&self) -> Result<$received, $crate::RecvError> {
                self.0.0.recv(self.0.0.options.recv_timeout)
            }

            #[doc = concat!("Receives the next ", $name, " if one is here.")]
            ///
            /// # Errors
            ///
            /// None is here, or the socket is closed.
            pub fn try_recv(&self) -> Result<$received, $crate::TryRecvError> {
                self.0.0.recv_now()
            }

            #[doc = concat!("Receives the next ", $name, "; waits for one at most this long.")]
            ///
            /// # Errors
            ///
            /// None came in time, or the socket is closed.
            pub fn recv_timeout(
                &self,
                timeout: ::std::time::Duration,
            ) -> Result<$received, $crate::RecvError> {
                self.0.0.recv(Some(timeout))
            }

            #[doc = concat!("Receives the next ", $name, " without blocking the thread: on any executor.")]
            /// Dropping the future before it is ready loses nothing.
            ///
            /// # Errors
            ///
            /// The socket is closed.
            pub async fn recv_async(&self) -> Result<$received, $crate::RecvError> {
                self.0.0.recv_async().await
            }
        }

        $crate::socket::batch::recv_many_verbs!($socket => $received, $name);
        $crate::socket::callback::message_callback!($socket => $received, $name);
        #[cfg(feature = "futures")]
        $crate::socket::streams::message_stream!($socket => $received, $name);
    };
}

pub(super) use {common_verbs, halves, recv_verbs, recv_with_peer_verbs, send_verbs};
