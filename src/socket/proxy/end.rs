//! What a proxy asks of the sockets at its ends, and what each pattern's messages are between the two.
//!
//! A socket type takes part once its pattern is [`Relayed`] and its face is listed at `proxy_ends!`.

use std::sync::Arc;

use crate::error::TryRecvError;
use crate::message::Message;
use crate::pattern::{
    DealerPattern, PairPattern, Pattern, PubPattern, PullPattern, PushPattern, RouterEvent, RouterPattern,
    SubPattern, XPubEvent, XPubPattern, XSubPattern,
};
use crate::peer::RoutingId;
use crate::reactor::Reactor;
use crate::socket::closing::Handle;
use crate::socket::core::{Phase, State, Unsent};
use crate::socket::waiters::{Signal, Waiters};
use crate::socket::waiting::PassOn;
use crate::socket::{Dealer, Pair, Pub, Pull, Push, Router, Sub, XPub, XSub};

/// A socket that a [`Proxy`](crate::Proxy) can pass messages on from, or to, or both: a type of this crate whose messages
/// need no turns.
pub trait ProxySocket: Sealed {}

/// A socket that can take a copy of each message that a [`Proxy`](crate::Proxy) passes on: one that sends without an
/// address.
pub trait ProxyCapture: SealedCapture {}

/// Keeps [`ProxySocket`] to the types of this crate.
pub trait Sealed {
    /// Whether messages come out of the socket.
    const RECEIVES: bool;
    /// Whether messages go into the socket.
    const SENDS: bool;
    #[doc(hidden)]
    fn end(&self) -> AnyEnd;
}

/// Keeps [`ProxyCapture`] to the types of this crate.
pub trait SealedCapture {
    #[doc(hidden)]
    fn capture_end(&self) -> AnyEnd;
}

/// A socket at one end of a proxy, whatever its type. It is kept open as long as this lives.
#[derive(Clone)]
pub struct AnyEnd(pub(super) Arc<dyn End>);

impl std::fmt::Debug for AnyEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnyEnd").finish_non_exhaustive()
    }
}

/// Whether a socket could be given a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Some,
    None,
    Closed,
}

/// What became of a message that was offered to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    Taken,
    /// It is where it was, and waiting may help.
    Full,
    /// It is where it was, and there is nobody whom it is for.
    Undeliverable,
    /// It is where it was.
    Closed,
}

/// Where to wait on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    Receivers,
    Senders,
    /// Told of peers that come or go, and of the end of the socket.
    Watchers,
}

/// What the proxy does with a socket. Nothing here blocks.
pub(super) trait End: Send + Sync {
    /// Takes the next message, if there is one.
    fn take(&self) -> Result<Message, TryRecvError>;

    /// Tells whether there is room for a message; of a socket that sends by address, whether there is any at all.
    fn room(&self) -> Room;

    /// Sends what is in its place, if that can be done now.
    fn give(&self, message: &mut Option<Message>) -> Given;

    fn is_closed(&self) -> bool;

    /// Tells whether each message names the one peer that can take it.
    fn is_addressed(&self) -> bool;

    /// Joins those who wait.
    fn join(&self, set: Set, signal: Signal) -> u64;

    /// Leaves those who wait, and passes the word on if there was one.
    fn leave(&self, set: Set, id: u64);

    /// The reactor, if the socket has needed one.
    fn reactor(&self) -> Option<Arc<Reactor>>;
}

/// A pattern whose messages a proxy can pass on.
pub(super) trait Relayed: Pattern {
    /// Whether the first frame of a message names the one peer that can take it.
    const BY_ID: bool = false;

    /// Makes a message of what was received; nothing if it is none.
    fn message_of(received: Self::In) -> Option<Message>;

    /// Makes what is sent of a message; gives it back if that cannot be.
    fn outgoing(message: Message) -> Result<Self::Out, Message>;

    /// Undoes [`outgoing`](Self::outgoing).
    fn back(unsent: Self::Out) -> Message;
}

/// Patterns whose messages pass unchanged.
macro_rules! relayed_unchanged {
    ($($pattern:ty),*) => {$(
        impl Relayed for $pattern {
            fn message_of(received: Message) -> Option<Message> {
                Some(received)
            }

            fn outgoing(message: Message) -> Result<Message, Message> {
                Ok(message)
            }

            fn back(unsent: Message) -> Message {
                unsent
            }
        }
    )*};
}

relayed_unchanged!(PullPattern, PushPattern, DealerPattern, PairPattern);
relayed_unchanged!(SubPattern, PubPattern, XSubPattern);

/// What subscribers ask for passes as the messages in which it travels.
impl Relayed for XPubPattern {
    fn message_of(received: XPubEvent) -> Option<Message> {
        Some(received.into_message())
    }

    fn outgoing(message: Message) -> Result<Message, Message> {
        Ok(message)
    }

    fn back(unsent: Message) -> Message {
        unsent
    }
}

/// The sender's id is the first frame of what comes, and the addressee's is that of what goes.
impl Relayed for RouterPattern {
    const BY_ID: bool = true;

    fn message_of(received: RouterEvent) -> Option<Message> {
        let RouterEvent::Message(id, mut message) = received else {
            return None;
        };
        message.push_front(id.as_bytes());
        Some(message)
    }

    fn outgoing(mut message: Message) -> Result<(RoutingId, Message), Message> {
        let Some(first) = message.pop_front() else {
            return Err(message);
        };
        match RoutingId::new(first.clone().into_bytes()) {
            Some(id) => Ok((id, message)),
            None => {
                message.push_front(first);
                Err(message)
            }
        }
    }

    fn back((id, mut message): (RoutingId, Message)) -> Message {
        message.push_front(id.as_bytes());
        message
    }
}

/// Chooses where to wait.
fn waiters<P: Pattern>(set: Set) -> fn(&mut State<P>) -> &mut Waiters {
    match set {
        Set::Receivers => |state| &mut state.receivers,
        Set::Senders => |state| &mut state.senders,
        Set::Watchers => |state| &mut state.watchers,
    }
}

impl<P: Relayed> End for Handle<P> {
    fn take(&self) -> Result<Message, TryRecvError> {
        loop {
            if let Some(message) = P::message_of(self.0.recv_now()?) {
                return Ok(message);
            }
        }
    }

    fn room(&self) -> Room {
        let mut state = self.0.state.lock();
        let State {
            pattern,
            pipes,
            phase,
            ..
        } = &mut *state;
        match phase {
            Phase::Open if pattern.can_send(pipes) => Room::Some,
            Phase::Open => Room::None,
            Phase::Closing | Phase::Closed => Room::Closed,
        }
    }

    fn give(&self, place: &mut Option<Message>) -> Given {
        let Some(message) = place.take() else {
            return Given::Taken;
        };
        let mut out = match P::outgoing(message) {
            Ok(out) => Some(out),
            Err(message) => {
                *place = Some(message);
                return Given::Undeliverable;
            }
        };
        let sent = self.0.try_send(&mut out);
        *place = out.map(P::back);
        match sent {
            Ok(()) => Given::Taken,
            Err(Unsent::Full) => Given::Full,
            Err(Unsent::Refused) => Given::Undeliverable,
            Err(Unsent::Closed) => Given::Closed,
        }
    }

    fn is_closed(&self) -> bool {
        self.0.state.lock().phase != Phase::Open
    }

    fn is_addressed(&self) -> bool {
        P::BY_ID
    }

    fn join(&self, set: Set, signal: Signal) -> u64 {
        waiters(set)(&mut self.0.state.lock()).add(signal)
    }

    fn leave(&self, set: Set, id: u64) {
        let pass_on: PassOn<P> = match set {
            Set::Receivers => State::next_receiver,
            Set::Senders => State::next_sender,
            Set::Watchers => |_| None,
        };
        self.0.stop_waiting(waiters(set), pass_on, id);
    }

    fn reactor(&self) -> Option<Arc<Reactor>> {
        self.0.reactor.get().map(Arc::clone)
    }
}

/// Lists the types that can be at an end of a proxy, and which way messages go there.
macro_rules! proxy_ends {
    ($($socket:ident { receives: $receives:literal, sends: $sends:literal })*) => {$(
        impl Sealed for $socket {
            const RECEIVES: bool = $receives;
            const SENDS: bool = $sends;

            fn end(&self) -> AnyEnd {
                AnyEnd(Arc::clone(&self.0) as _)
            }
        }

        impl ProxySocket for $socket {}
    )*};
}

proxy_ends! {
    Pull { receives: true, sends: false }
    Push { receives: false, sends: true }
    Dealer { receives: true, sends: true }
    Router { receives: true, sends: true }
    Pair { receives: true, sends: true }
    Pub { receives: false, sends: true }
    Sub { receives: true, sends: false }
    XPub { receives: true, sends: true }
    XSub { receives: true, sends: true }
}

/// Lists the types that can take copies.
macro_rules! proxy_captures {
    ($($socket:ident)*) => {$(
        impl SealedCapture for $socket {
            fn capture_end(&self) -> AnyEnd {
                AnyEnd(Arc::clone(&self.0) as _)
            }
        }

        impl ProxyCapture for $socket {}
    )*};
}

proxy_captures! { Push Dealer Pair Pub XPub }

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(parts: &[&str]) -> Message {
        parts.iter().copied().collect()
    }

    #[test]
    fn a_router_turns_ids_into_envelopes_and_back() {
        let id = RoutingId::new("client").unwrap();
        let received = RouterEvent::Message(id.clone(), parts(&["", "body"]));
        let message = RouterPattern::message_of(received).unwrap();
        assert_eq!(message, parts(&["client", "", "body"]));
        let out = RouterPattern::outgoing(message.clone()).unwrap();
        assert_eq!(out, (id, parts(&["", "body"])));
        assert_eq!(RouterPattern::back(out), message);
    }

    #[test]
    fn what_names_no_peer_comes_back_whole() {
        for message in [parts(&["alone"]), parts(&[&"x".repeat(256), "too long an id"])] {
            assert_eq!(RouterPattern::outgoing(message.clone()).unwrap_err(), message);
        }
    }

    #[test]
    fn notices_are_no_messages() {
        let gone = RouterEvent::Disconnected(RoutingId::new("client").unwrap());
        assert_eq!(RouterPattern::message_of(gone), None);
    }
}
