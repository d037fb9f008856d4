//! The face of ROUTER.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::builder::Builder;
use super::callback::Registration;
use super::closing::Handle;
use super::core::{Core, Unsent, deadline};
use super::verbs::{common_verbs, halves};
use crate::IntoEndpoint;
use crate::error::{ConnectError, RecvError, RouteError, TryRecvError, TryRouteError};
use crate::message::Message;
use crate::options::Handover;
use crate::pattern::{RouterEvent, RouterPattern};
use crate::peer::{PeerInfo, RoutingId};
use crate::stats::PeerStats;

/// Sends each message to the peer that it names, and receives from all of them, in turn, each message with the id of its
/// sender: a server of many clients, or the front of a broker (RFC 28).
///
/// A peer is known by the routing id that it announces ([`routing_id`](crate::Builder::routing_id)), by one that is made up
/// for it, or by one that you give it ([`connect_with_id`](Self::connect_with_id)). No two peers have the same: a second
/// one is refused, and its end told so by the end of its connection, unless [`handover`](crate::Builder::handover) is set.
///
/// A message for an id that nobody has comes back as [`Unroutable`](RouteError::Unroutable). One for a peer whose queue is
/// full waits, or fails.
///
/// A handle is cheap to clone, and all clones are the same socket; [`split`](Self::split) makes one that only sends and
/// one that only receives.
///
/// ```
/// use aqueduct::{Dealer, RouteError, Router, RoutingId};
///
/// let router = Router::new();
/// let endpoint = router.bind("tcp://127.0.0.1:0")?;
/// let worker = RoutingId::new("worker-1").unwrap();
/// let dealer = Dealer::builder().routing_id(worker.clone()).build();
/// dealer.connect(&endpoint)?;
///
/// dealer.send("ready")?;
/// let (id, message) = router.recv()?;
/// assert_eq!((&id, message), (&worker, "ready".into()));
/// router.send(&id, "a task")?;
/// assert_eq!(dealer.recv()?, "a task");
///
/// let nobody = RoutingId::new("worker-2").unwrap();
/// assert!(matches!(router.send(&nobody, "a task"), Err(RouteError::Unroutable(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Router(pub(super) Arc<Handle<RouterPattern>>);

common_verbs!(Router, RouterPattern);
halves!(Router(RouterPattern) => RouterSender, RouterReceiver);

impl Builder<Router> {
    /// Whether a message for a routing id that nobody has is dropped, and counted as
    /// [`Unroutable`](crate::DropReason::Unroutable), as classic ROUTERs do. Default `false`: it comes back as an error.
    #[must_use]
    pub fn drop_unroutable(mut self, yes: bool) -> Self {
        self.options.dialogue.drop_unroutable = yes;
        self
    }

    /// Whether a peer that announces a routing id that is in use takes it over; the connection of the peer that had it is
    /// then ended. Default `false`: the newcomer is refused. Set it where clients come back before their old connection is
    /// known to be lost, and where you trust all who can connect.
    #[must_use]
    pub fn handover(mut self, yes: bool) -> Self {
        self.options.dialogue.handover = if yes { Handover::Anybody } else { Handover::Nobody };
        self
    }

    /// The same as [`handover`](Self::handover), but only to a peer of the same user: the socket has authenticated both, and
    /// found the same [`User::id`](crate::User::id), which is not empty. Of the two options, the one set last counts.
    #[must_use]
    pub fn handover_to_same_user(mut self, yes: bool) -> Self {
        self.options.dialogue.handover = if yes { Handover::SameUser } else { Handover::Nobody };
        self
    }

    /// Whether [`recv_event`](Router::recv_event) tells of peers that come and go. Default `false`. Up to 16,384 notices
    /// are kept; then the oldest are dropped and counted in [`notices_dropped`](crate::SocketStats::notices_dropped).
    #[must_use]
    pub fn notices(mut self, yes: bool) -> Self {
        self.options.dialogue.notices = yes;
        self
    }

    /// Whether an empty message is sent to each peer as soon as it is connected, so that a ROUTER at the other end learns
    /// of this socket before it has anything to say. Default `false`. A REQ gets none: it would take it for a broken
    /// reply.
    #[must_use]
    pub fn probe(mut self, yes: bool) -> Self {
        self.options.dialogue.probe = yes;
        self
    }
}

impl Router {
    /// Connects to an endpoint as [`connect`](Self::connect) does, and knows its peer by this id, whatever the peer says of
    /// itself. Messages can be sent to it from now on, and wait for the connection.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect); or [`RoutingId`](ConnectError::RoutingId) if the id is empty, begins with a zero
    /// byte, or is in use.
    pub fn connect_with_id(&self, endpoint: impl IntoEndpoint, id: RoutingId) -> Result<(), ConnectError> {
        self.0.0.connect_as(endpoint.into_endpoint()?, Some(id))
    }
}

/// Gives a type the means to learn more of a peer by its id.
macro_rules! peer_verbs {
    ($socket:ident) => {
        impl $socket {
            /// Returns what the peer with this id said of itself; `None` if there is no such peer, or it was never
            /// connected.
            #[must_use]
            pub fn peer(&self, id: &RoutingId) -> Option<Arc<PeerInfo>> {
                let state = self.0.0.state.lock();
                let peer = state.peers.get(&state.pattern.pipe(id)?)?;
                peer.info.clone()
            }

            /// Returns the counters of the peer with this id, those of its former connections to the same endpoint
            /// included; `None` if there is none.
            #[must_use]
            pub fn peer_stats(&self, id: &RoutingId) -> Option<PeerStats> {
                let pipe = self.0.0.state.lock().pattern.pipe(id)?;
                self.0.0.peer_stats(pipe)
            }

            /// Ends the connection of the peer with this id, and drops what is queued for it, counted as
            /// [`PeerGone`](crate::DropReason::PeerGone); what it has sent can still be received. Returns false if it is
            /// not connected.
            ///
            /// A peer may connect again. An endpoint that this socket has connected to is connected to again, and keeps
            /// its queue: for that one, use [`disconnect`](crate::Router::disconnect).
            pub fn disconnect_peer(&self, id: &RoutingId) -> bool {
                self.0.0.act(|pattern, pipes| pattern.expel(id, pipes))
            }
        }
    };
}

impl Unsent {
    fn into_route_error(self, unsent: Option<(RoutingId, Message)>) -> RouteError {
        let message = unsent.map(|(_, message)| message).unwrap_or_default();
        match self {
            Self::Full => RouteError::Timeout(message),
            Self::Refused => RouteError::Unroutable(message),
            Self::Closed => RouteError::Closed(message),
        }
    }
}

/// Returns what is left of a time.
fn left(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

impl Core<RouterPattern> {
    fn recv_message(&self, timeout: Option<Duration>) -> Result<(RoutingId, Message), RecvError> {
        let deadline = deadline(timeout);
        loop {
            if let RouterEvent::Message(id, message) = self.recv(left(deadline))? {
                return Ok((id, message));
            }
        }
    }

    fn try_recv_message(&self) -> Result<(RoutingId, Message), TryRecvError> {
        loop {
            if let RouterEvent::Message(id, message) = self.recv_now()? {
                return Ok((id, message));
            }
        }
    }
}

/// Gives a type the verbs that send by address.
macro_rules! route_verbs {
    ($socket:ident) => {
        impl $socket {
            /// Sends a message to the peer with this id; waits while its queue is full, for as long as the send timeout
            /// allows.
            ///
            /// # Errors
            ///
            /// Nobody has the id, its peer could not take the message in time, or the socket is closed. The message is
            /// in the error.
            pub fn send(&self, to: &RoutingId, message: impl Into<Message>) -> Result<(), RouteError> {
                let (core, mut out) = (&self.0.0, Some((to.clone(), message.into())));
                core.send(&mut out, core.options.send_timeout)
                    .map_err(|why| why.into_route_error(out))
            }

            /// Sends a message to the peer with this id if its queue has room.
            ///
            /// # Errors
            ///
            /// Nobody has the id, its peer cannot take the message, or the socket is closed. The message is in the error.
            pub fn try_send(&self, to: &RoutingId, message: impl Into<Message>) -> Result<(), TryRouteError> {
                let mut out = Some((to.clone(), message.into()));
                let sent = self.0.0.try_send(&mut out);
                sent.map_err(|why| match why.into_route_error(out) {
                    RouteError::Unroutable(message) => TryRouteError::Unroutable(message),
                    RouteError::Timeout(message) => TryRouteError::Full(message),
                    RouteError::Closed(message) => TryRouteError::Closed(message),
                })
            }

            /// Sends a message to the peer with this id; waits at most this long while its queue is full.
            ///
            /// # Errors
            ///
            /// Nobody has the id, its peer could not take the message in time, or the socket is closed. The message is
            /// in the error.
            pub fn send_timeout(
                &self,
                to: &RoutingId,
                message: impl Into<Message>,
                timeout: Duration,
            ) -> Result<(), RouteError> {
                let mut out = Some((to.clone(), message.into()));
                let sent = self.0.0.send(&mut out, Some(timeout));
                sent.map_err(|why| why.into_route_error(out))
            }

            /// Sends a message to the peer with this id without blocking the thread: on any executor. If the future is
            /// dropped before it is ready, the message was not sent.
            ///
            /// # Errors
            ///
            /// Nobody has the id, or the socket is closed. The message is in the error.
            pub async fn send_async(
                &self,
                to: &RoutingId,
                message: impl Into<Message>,
            ) -> Result<(), RouteError> {
                let mut out = Some((to.clone(), message.into()));
                let sent = self.0.0.send_async(&mut out).await;
                sent.map_err(|why| why.into_route_error(out))
            }

            /// Returns a sink that sends each message that it is fed to the peer with the id beside it. While a peer's
            /// queue is full, no other gets a message through this sink. With the feature `futures`.
            #[cfg(feature = "futures")]
            pub fn sink(&self) -> crate::SendSink<(RoutingId, Message), RouteError> {
                self.0.sink(Unsent::into_route_error)
            }
        }
    };
}

/// Gives a type the verbs that receive with the sender's id.
macro_rules! recv_routed_verbs {
    ($socket:ident) => {
        impl $socket {
            /// Receives the next message, and the id of its sender; waits for one, for as long as the receive timeout
            /// allows. Notices are passed over.
            ///
            /// # Errors
            ///
            /// None came in time, or the socket is closed.
            pub fn recv(&self) -> Result<(RoutingId, Message), RecvError> {
                self.0.0.recv_message(self.0.0.options.recv_timeout)
            }

            /// Receives a message, and the id of its sender, if one is here. Notices are passed over.
            ///
            /// # Errors
            ///
            /// None is here, or the socket is closed.
            pub fn try_recv(&self) -> Result<(RoutingId, Message), TryRecvError> {
                self.0.0.try_recv_message()
            }

            /// Receives the next message, and the id of its sender; waits for one at most this long. Notices are passed
            /// over.
            ///
            /// # Errors
            ///
            /// None came in time, or the socket is closed.
            pub fn recv_timeout(&self, timeout: Duration) -> Result<(RoutingId, Message), RecvError> {
                self.0.0.recv_message(Some(timeout))
            }

            /// Receives the next message, and the id of its sender, without blocking the thread: on any executor.
            /// Notices are passed over. Dropping the future before it is ready loses no message.
            ///
            /// # Errors
            ///
            /// The socket is closed.
            pub async fn recv_async(&self) -> Result<(RoutingId, Message), RecvError> {
                loop {
                    if let RouterEvent::Message(id, message) = self.0.0.recv_async().await? {
                        return Ok((id, message));
                    }
                }
            }

            /// Has a function called with each message that comes and the id of its sender, by a thread of its own, as
            /// long as the [`Registration`] lives. Notices are passed over.
            ///
            /// # Errors
            ///
            /// The system gives no thread.
            pub fn on_message(
                &self,
                mut callback: impl FnMut(RoutingId, Message) + Send + 'static,
            ) -> io::Result<Registration> {
                self.0.register(
                    |core| core.try_recv_message(),
                    move |(id, message)| callback(id, message),
                )
            }

            /// Has a function called with each message or notice that comes, by a thread of its own, as long as the
            /// [`Registration`] lives.
            ///
            /// # Errors
            ///
            /// The system gives no thread.
            pub fn on_event(
                &self,
                callback: impl FnMut(RouterEvent) + Send + 'static,
            ) -> io::Result<Registration> {
                self.0.register(|core| core.recv_now(), callback)
            }

            /// Returns a stream of the messages that come, each with the id of its sender; notices are passed over. With
            /// the feature `futures`.
            #[cfg(feature = "futures")]
            pub fn stream(&self) -> crate::RecvStream<(RoutingId, Message)> {
                self.0.stream(|core| core.try_recv_message())
            }

            /// Returns a stream of the messages and notices that come. With the feature `futures`.
            #[cfg(feature = "futures")]
            pub fn event_stream(&self) -> crate::RecvStream<RouterEvent> {
                self.0.stream(|core| core.recv_now())
            }

            /// Receives the next message or, if the option [`notices`](crate::Builder::notices) is set, the next notice
            /// of a peer that has come or gone; waits as [`recv`](Self::recv) does.
            ///
            /// # Errors
            ///
            /// Nothing came in time, or the socket is closed.
            pub fn recv_event(&self) -> Result<RouterEvent, RecvError> {
                self.0.0.recv(self.0.0.options.recv_timeout)
            }

            /// Receives a message or a notice if one is here.
            ///
            /// # Errors
            ///
            /// Nothing is here, or the socket is closed.
            pub fn try_recv_event(&self) -> Result<RouterEvent, TryRecvError> {
                self.0.0.recv_now()
            }

            /// Receives the next message or notice; waits for it at most this long.
            ///
            /// # Errors
            ///
            /// Nothing came in time, or the socket is closed.
            pub fn recv_event_timeout(&self, timeout: Duration) -> Result<RouterEvent, RecvError> {
                self.0.0.recv(Some(timeout))
            }

            /// Receives the next message or notice without blocking the thread: on any executor. Dropping the future
            /// before it is ready loses nothing.
            ///
            /// # Errors
            ///
            /// The socket is closed.
            pub async fn recv_event_async(&self) -> Result<RouterEvent, RecvError> {
                self.0.0.recv_async().await
            }
        }
    };
}

peer_verbs!(Router);
peer_verbs!(RouterSender);
peer_verbs!(RouterReceiver);
route_verbs!(Router);
route_verbs!(RouterSender);
recv_routed_verbs!(Router);
recv_routed_verbs!(RouterReceiver);
