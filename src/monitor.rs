//! What happens to a socket's connections, as values, and the bounded queue that keeps them for whoever looks.

use std::collections::VecDeque;
use std::time::Duration;

use crate::error::DisconnectReason;
use crate::{Endpoint, PeerInfo};

/// Events kept for a monitor that does not look; the oldest go first. At some 200 bytes each, under 256 KiB.
pub(crate) const MAX_EVENTS: usize = 1024;

/// Something that happened to a socket.
///
/// `endpoint` is the endpoint of this socket that is concerned, as it was bound or connected to; `address` is the
/// peer's own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The socket listens.
    Listening {
        /// Where, with wildcards resolved.
        endpoint: Endpoint,
    },
    /// A connection came in. The handshake follows.
    Accepted {
        /// Where it came in.
        endpoint: Endpoint,
        /// From where.
        address: String,
    },
    /// A connection could not be taken in; the listener tries again after a pause if it must.
    AcceptFailed {
        /// Where it would have come in.
        endpoint: Endpoint,
        /// What the system said.
        error: std::io::ErrorKind,
    },
    /// Connections come faster than [`handshake_rate`](crate::Builder::handshake_rate) allows: from now on the next ones
    /// wait with the system until it is their turn. Told once for each such time.
    AcceptPaused {
        /// Where they come in.
        endpoint: Endpoint,
    },
    /// A connection to an endpoint was made. The handshake follows.
    Connected {
        /// The endpoint.
        endpoint: Endpoint,
        /// The address that answered.
        address: String,
    },
    /// A connection to an endpoint could not be made.
    ConnectFailed {
        /// The endpoint.
        endpoint: Endpoint,
        /// Why.
        reason: DisconnectReason,
    },
    /// Both ends agree: messages flow.
    HandshakeDone {
        /// The endpoint.
        endpoint: Endpoint,
        /// The peer's address.
        address: String,
        /// What the peer said of itself.
        info: PeerInfo,
    },
    /// A connection ended before messages could flow.
    HandshakeFailed {
        /// The endpoint.
        endpoint: Endpoint,
        /// The peer's address.
        address: String,
        /// Why.
        reason: DisconnectReason,
    },
    /// A connection over which messages flowed has ended.
    Disconnected {
        /// The endpoint.
        endpoint: Endpoint,
        /// The peer's address.
        address: String,
        /// Why.
        reason: DisconnectReason,
        /// Messages handed to the connection: the peer may not have received them all.
        in_doubt: u64,
    },
    /// The next attempt to connect comes after a pause.
    Retried {
        /// The endpoint.
        endpoint: Endpoint,
        /// The pause.
        delay: Duration,
    },
    /// The socket no longer listens at, or no longer connects to, an endpoint.
    Closed {
        /// The endpoint.
        endpoint: Endpoint,
    },
    /// A function that was called with a message has panicked, and is not called any more.
    CallbackPanicked {
        /// What the panic said, as far as it was text.
        message: String,
    },
    /// The socket was closed, by `close` or by dropping its last handle.
    SocketClosed {
        /// Messages that could not be handed to a transport in the linger time.
        returned: u64,
    },
}

impl Event {
    /// Tells whether strangers can cause as many of these as they like.
    pub(crate) fn is_cheap(&self) -> bool {
        matches!(
            self,
            Self::Accepted { .. } | Self::AcceptFailed { .. } | Self::HandshakeFailed { .. }
        )
    }

    /// By what it is counted that a connection has ended, or was not let in.
    pub(crate) fn ending(&self) -> Option<&'static str> {
        match self {
            Self::HandshakeFailed { reason, .. }
            | Self::Disconnected { reason, .. }
            | Self::ConnectFailed { reason, .. } => Some(reason.kind()),
            Self::AcceptFailed { .. } => Some("a connection could not be accepted"),
            Self::AcceptPaused { .. } => Some("handshakes a second"),
            _ => None,
        }
    }
}

/// Events in order, of which only the newest are kept.
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    events: VecDeque<Event>,
    dropped: u64,
}

impl EventQueue {
    pub(crate) fn push(&mut self, event: Event) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
            self.dropped += 1;
        }
        self.events.push_back(event);
    }

    /// Tells whether one more could push out an older one, but for a few.
    pub(crate) fn is_crowded(&self) -> bool {
        self.events.len() >= MAX_EVENTS - MAX_EVENTS / 8
    }

    /// An event is not even taken in.
    pub(crate) fn drop_one(&mut self) {
        self.dropped += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_events_are_dropped_and_counted() {
        let mut queue = EventQueue::default();
        for returned in 0..MAX_EVENTS as u64 + 3 {
            queue.push(Event::SocketClosed { returned });
        }
        assert_eq!(queue.dropped(), 3);
        assert_eq!(queue.pop(), Some(Event::SocketClosed { returned: 3 }));
    }
}
