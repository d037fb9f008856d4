//! Errors: one small type per operation, each giving the message back, and why a connection ended.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::{Denial, Endpoint, Message, RoutingId, SocketType};

/// Why a message was not sent. The message is inside.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[repr(u64)] // Else its tag is as large as the alignment of messages, and each `send` would wait to read it.
pub enum SendError {
    /// No peer could take the message in time.
    #[error("no peer could take the message in time")]
    Timeout(Message),
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed(Message),
}

impl SendError {
    /// Takes the message back.
    #[must_use]
    pub fn into_message(self) -> Message {
        match self {
            Self::Timeout(message) | Self::Closed(message) => message,
        }
    }
}

/// Why a message was not sent at once. The message is inside.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[repr(u64)] // As above.
pub enum TrySendError {
    /// No peer can take a message now: there is none, or all are at their high-water mark.
    #[error("no peer can take a message now")]
    Full(Message),
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed(Message),
}

impl TrySendError {
    /// Takes the message back.
    #[must_use]
    pub fn into_message(self) -> Message {
        match self {
            Self::Full(message) | Self::Closed(message) => message,
        }
    }
}

/// Why not all of many messages were sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SendManyError {
    /// No peer could take the next message, be it now or in time.
    #[error("no peer could take the next message after {sent}")]
    Full {
        /// How many messages were sent.
        sent: usize,
        /// The messages that were taken from the iterator and not sent, in order.
        unsent: Vec<Message>,
    },
    /// The socket is closed.
    #[error("the socket is closed, after {sent} messages")]
    Closed {
        /// How many messages were sent.
        sent: usize,
        /// The messages that were taken from the iterator and not sent, in order.
        unsent: Vec<Message>,
    },
}

impl SendManyError {
    /// Returns how many messages were sent before it happened.
    #[must_use]
    pub fn sent(&self) -> usize {
        let (Self::Full { sent, .. } | Self::Closed { sent, .. }) = self;
        *sent
    }

    /// Takes the messages back that were taken from the iterator and not sent, in order.
    #[must_use]
    pub fn into_unsent(self) -> Vec<Message> {
        let (Self::Full { unsent, .. } | Self::Closed { unsent, .. }) = self;
        unsent
    }
}

// A tag of eight bytes lies where a message has the length of its body: were it shorter, a result that holds a message would
// be moved in other pieces than the message was written in, and the processor would wait for its own writes.

/// Why no message was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[repr(u64)]
pub enum RecvError {
    /// No message came in time.
    #[error("no message came in time")]
    Timeout,
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// Why no message was received at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[repr(u64)]
pub enum TryRecvError {
    /// No message is here.
    #[error("no message is here")]
    Empty,
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// Why a message was not sent to the peer that it was for. The message is inside.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RouteError {
    /// There is no peer with this routing id.
    #[error("no peer has the routing id")]
    Unroutable(Message),
    /// The peer could not take the message in time.
    #[error("the peer could not take the message in time")]
    Timeout(Message),
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed(Message),
}

/// Why a message was not sent at once to the peer that it was for. The message is inside.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TryRouteError {
    /// There is no peer with this routing id.
    #[error("no peer has the routing id")]
    Unroutable(Message),
    /// The peer is at its high-water mark.
    #[error("the peer cannot take a message now")]
    Full(Message),
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed(Message),
}

/// Why a reply was not sent. It is inside.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// The peer that asked is gone; another at the same place would not know what to make of the reply.
    #[error("the peer that asked is gone")]
    PeerGone(Message),
    /// The peer could not take the reply in time.
    #[error("the peer could not take the reply in time")]
    Timeout(Message),
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed(Message),
}

/// Why a request was not sent. The message is inside.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReqSendError {
    /// The last request has not been answered: it is the peer's turn.
    #[error("the last request has not been answered")]
    OutOfTurn(Message),
    /// No peer could take the request in time.
    #[error("no peer could take the request in time")]
    Timeout(Message),
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed(Message),
}

/// Why no reply was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReqRecvError {
    /// No request is waiting for a reply: it is this side's turn.
    #[error("no request is waiting for a reply")]
    OutOfTurn,
    /// The peer that was asked is gone, and the reply with it. Another request can be sent.
    #[error("the peer that was asked is gone")]
    PeerLost,
    /// No reply came in time. It may still come.
    #[error("no reply came in time")]
    Timeout,
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// Why a request brought no reply. The request is inside.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// A request that was [sent](crate::Req::send) has not been answered.
    #[error("another request has not been answered")]
    OutOfTurn(Message),
    /// Each peer that was asked is gone, and the reply with it.
    #[error("the peer that was asked is gone")]
    PeerLost(Message),
    /// No reply came in time to any of the attempts.
    #[error("no reply came in time")]
    Timeout(Message),
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed(Message),
}

/// Why a topic was not subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// No publisher takes a topic of this length.
    #[error("the topic has {len} bytes, the limit is {limit}")]
    TooLong {
        /// The length of the topic, in bytes.
        len: usize,
        /// The most that it may have.
        limit: usize,
    },
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// Takes the message back out of an error.
macro_rules! give_back {
    ($($error:ident { $($variant:ident)|+ })*) => {$(
        impl $error {
            /// Takes the message back.
            #[must_use]
            pub fn into_message(self) -> Message {
                match self {
                    $(Self::$variant(message))|+ => message,
                }
            }
        }
    )*};
}

give_back! {
    RouteError { Unroutable | Timeout | Closed }
    TryRouteError { Unroutable | Full | Closed }
    ReplyError { PeerGone | Timeout | Closed }
    ReqSendError { OutOfTurn | Timeout | Closed }
    RequestError { OutOfTurn | PeerLost | Timeout | Closed }
}

/// Why an endpoint could not be bound.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// The text is no endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The operating system, or the inproc name table, refused; `AddrInUse` if there is a live owner.
    #[error("cannot bind {endpoint}: {source}")]
    Io {
        /// What was to be bound.
        endpoint: Endpoint,
        /// What was said.
        source: io::Error,
    },
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// Why an endpoint could not be connected to. That the peer is absent is no error: the socket keeps trying.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The text is no endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A wildcard names no peer.
    #[error("{0} is a wildcard: it can be bound, not connected to")]
    Wildcard(Endpoint),
    /// The types of the two sockets do not go together (inproc, where it shows at once).
    #[error("{ours} does not talk to {theirs}")]
    Incompatible {
        /// The type of this socket.
        ours: SocketType,
        /// The type of the socket bound there.
        theirs: SocketType,
    },
    /// The routing id is empty, begins with a zero byte, or belongs to another peer.
    #[error("the routing id {0:?} is taken, or cannot be given")]
    RoutingId(RoutingId),
    /// The operating system refused at once, for a reason that no retry mends.
    #[error("cannot connect to {endpoint}: {source}")]
    Io {
        /// What was to be connected to.
        endpoint: Endpoint,
        /// What was said.
        source: io::Error,
    },
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// Why `unbind` or `disconnect` did nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DetachError {
    /// The text is no endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The socket is not bound, or not connected, there; a wildcard is left by the endpoint that `bind` returned.
    #[error("the socket is not attached to {0}")]
    NotAttached(Endpoint),
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// Why peers did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WaitError {
    /// Fewer peers than asked for were there when the time was up.
    #[error("expected {expected} peers, got {got} in time")]
    Timeout {
        /// The number that was asked for.
        expected: usize,
        /// The number that was there.
        got: usize,
    },
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// Why a poller did not take something, or did not change it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PollError {
    /// Something else is registered under this key.
    #[error("the key {0} is in use")]
    KeyInUse(usize),
    /// Nothing is registered under this key, or a timer, which has no interest.
    #[error("no socket or descriptor is registered under the key {0}")]
    NotRegistered(usize),
    /// The operating system cannot watch it, or has no descriptors left.
    #[error("cannot be polled: {0}")]
    Io(#[from] io::Error),
}

/// Why a text is not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason} in endpoint {input:?}")]
pub struct EndpointError {
    /// The text, cut to a printable length.
    pub(crate) input: String,
    /// What is wrong with it.
    pub(crate) reason: &'static str,
}

/// Why a property cannot be part of what a socket says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PropertyError {
    /// The name is none that ZMTP can carry.
    #[error("{0:?} is no name of a property: it takes 1 to 255 letters, digits, and -_.+")]
    Name(String),
    /// The socket says this by itself.
    #[error("the property {0} is the socket's own")]
    Reserved(String),
    /// With this property, the socket would have more to say than peers take.
    #[error("too much for a handshake: {what} is {got}, the limit is {limit}")]
    OverLimit {
        /// What is limited.
        what: &'static str,
        /// What it would be.
        got: usize,
        /// The limit.
        limit: usize,
    },
}

/// Why a connection ended, or never came to be.
///
/// The variants are split by who is to blame: the other end's bytes ([`Malformed`](Self::Malformed),
/// [`OverLimit`](Self::OverLimit)), a peer that is honest but not for us ([`Incompatible`](Self::Incompatible)), a peer
/// that will not have us ([`Refused`](Self::Refused)), the network, or this end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The peer ended the connection in good order.
    ///
    /// If that was before a handshake was done, it may want another security mechanism: libzmq hangs up when it has read
    /// ours, and before it has named its own.
    #[error("closed by the peer")]
    PeerClosed,
    /// The transport failed.
    #[error("transport failed: {0}")]
    Io(io::ErrorKind),
    /// The peer sent bytes that ZMTP does not allow.
    #[error("malformed input: {0}")]
    Malformed(&'static str),
    /// The peer went past one of our limits.
    #[error("over the limit: {what} is {got}, the limit is {limit}")]
    OverLimit {
        /// What is limited.
        what: &'static str,
        /// What the peer sent, as far as it is known.
        got: u64,
        /// The limit.
        limit: u64,
    },
    /// The peer speaks ZMTP, but not so that we could talk.
    #[error("incompatible {what}: ours is {ours}, the peer's is {theirs}")]
    Incompatible {
        /// What does not go together: the version, the mechanism or the socket type.
        what: &'static str,
        /// Ours.
        ours: String,
        /// The peer's, escaped.
        theirs: String,
    },
    /// The peer refused us with an ERROR command.
    #[error("refused by the peer: {0:?}")]
    Refused(String),
    /// This socket's [`Authenticator`](crate::Authenticator) has not let the peer in.
    #[error("not let in: {0}")]
    Denied(Denial),
    /// The peer is a process of a user that may not connect
    /// ([`ipc_allowed_uids`](crate::Builder::ipc_allowed_uids)), or whom the system does not name.
    #[error("a process of a user that is not allowed: {}", uid.map_or("unknown".into(), |uid| uid.to_string()))]
    ForbiddenUser {
        /// The user's number, if it is known.
        uid: Option<u32>,
    },
    /// Nothing, or too little, came in time.
    #[error("{what} took longer than {limit:?}")]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// How long it may take.
        limit: Duration,
    },
    /// The host name could not be resolved.
    #[error("name not resolved: {0}")]
    NotResolved(String),
    /// This socket does not take the peer: for example, a second one on a socket for one.
    #[error("refused by this socket: {0}")]
    Rejected(&'static str),
    /// This end closed the connection: `disconnect`, `close`, or the end of the context.
    #[error("closed by this end")]
    Local,
}

impl DisconnectReason {
    /// Names the reason without its particulars: of a limit, what is limited. It is what
    /// [`SocketStats::endings`](crate::SocketStats::endings) counts by.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PeerClosed => "closed by the peer",
            Self::Io(_) => "transport failed",
            Self::Refused(_) => "refused by the peer",
            Self::NotResolved(_) => "name not resolved",
            Self::Denied(_) => "denied",
            Self::ForbiddenUser { .. } => "a process of a user that is not allowed",
            Self::Local => "closed by this end",
            Self::Malformed(what)
            | Self::Rejected(what)
            | Self::OverLimit { what, .. }
            | Self::Incompatible { what, .. }
            | Self::TimedOut { what, .. } => what,
        }
    }
}
