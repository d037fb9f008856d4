//! Patterns: who gets the next message, and from whom the next one comes. One page for each socket type.
//!
//! Contract. A pattern is called with its socket locked; it never blocks, never wakes anybody, and knows neither
//! threads nor connections. It hears of its pipes by key:
//!
//! ```text
//!                ┌─────────── connected ◄──────────────┐
//!                ▼                                     │ a pipe of ours that outlives connections
//!   admit ──► attach ──► activate_* ──► disconnected ──┴──► detach
//! ```
//!
//! A pipe to an endpoint connected to is attached first and connected later, and again after each loss, unless the
//! socket does without such pipes (`immediate`); any other is admitted, attached and connected in one go. What using
//! the pipes has caused, such as whom to wake, gathers in [`Pipes`].

mod announcer;
mod dealer;
mod distributor;
mod fair_queue;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod line;
mod load_balancer;
mod notices;
mod pair;
mod pipes;
mod publish;
mod publisher;
mod pull;
mod push;
mod rep;
mod req;
mod router;
mod routing_table;
mod shared_run;
mod subscribe;
pub(crate) mod subscriptions;
mod xpub;
mod xsub;

pub(crate) use announcer::{MAX_TOPIC, Subscribes};
pub(crate) use dealer::DealerPattern;
pub use notices::XPubEvent;
pub(crate) use pair::PairPattern;
#[cfg(any(test, fuzzing))]
pub(crate) use pipes::Effects;
pub(crate) use pipes::Pipes;
pub(crate) use publish::PubPattern;
pub(crate) use publisher::Publisher;
pub use publisher::SubscriberId;
#[cfg(any(test, fuzzing))]
pub(crate) use publisher::as_subscription;
pub(crate) use pull::PullPattern;
pub(crate) use push::PushPattern;
pub(crate) use rep::{RepPattern, ReplyTo};
pub(crate) use req::{Ask, Heard, ReqPattern};
pub use router::RouterEvent;
pub(crate) use router::RouterPattern;
pub(crate) use subscribe::SubPattern;
pub(crate) use xpub::XPubPattern;
pub(crate) use xsub::XSubPattern;

use crate::options::Options;
use crate::peer::{PeerInfo, RoutingId, SocketType};

/// What became of an attempt to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Offer {
    /// The message was taken out of its place.
    Taken,
    /// Nobody can take it now; it is where it was, and waiting may help.
    Full,
    /// Waiting does not help: the message has no addressee, or it is not this side's turn. It is where it was.
    Refused,
}

impl Offer {
    /// What a plain "yes, or not now" means.
    #[inline]
    pub(crate) fn taken_if(taken: bool) -> Self {
        if taken { Self::Taken } else { Self::Full }
    }
}

/// The rules of one socket type.
pub(crate) trait Pattern: Default + Send + 'static {
    /// The type that goes into READY.
    const TYPE: SocketType;

    /// Whether what peers send means anything to sockets of this type, be it only subscriptions.
    const RECEIVES: bool;

    /// Whether what is sent has one peer that can take it, so that all who wait to send wait for something else: then
    /// each of them is told whenever anything changes.
    const ADDRESSED: bool = false;

    /// Whether sending lets receive, and receiving lets send: then each concerns those who wait for the other.
    const IN_TURNS: bool = false;

    /// What is sent: a message, and to whom if the sender says so.
    type Out: Send + 'static;

    /// What is received: a message, and from whom if the receiver wants to know.
    type In: Send + 'static;

    /// Takes the options of this socket type, before anything else.
    fn configure(&mut self, options: &Options) {
        let _ = options;
    }

    /// Judges a peer that has shaken hands, for a pipe that is not in use yet or was connected before; says why not.
    /// None of its messages is in the pipe yet. (Over inproc only who binds is asked.)
    fn admit(&mut self, pipe: usize, info: &PeerInfo, pipes: &mut Pipes) -> Result<(), &'static str> {
        let _ = (pipe, info, pipes);
        Ok(())
    }

    /// Gives the peer of a new pipe, which is to be attached, a name of this side's choice, whatever the peer says; tells
    /// whether that can be done.
    fn assign(&mut self, pipe: usize, name: &RoutingId) -> bool {
        let _ = (pipe, name);
        false
    }

    /// A pipe was added; it may hold messages already, and take some.
    fn attach(&mut self, pipe: usize);

    /// A peer is at the other end of an attached pipe, perhaps another one than before.
    fn connected(&mut self, pipe: usize, info: &PeerInfo, pipes: &mut Pipes) {
        let _ = (pipe, info, pipes);
    }

    /// The peer is gone; the pipe may hold messages of it, and may be connected again.
    fn disconnected(&mut self, pipe: usize, pipes: &mut Pipes) {
        let _ = (pipe, pipes);
    }

    /// The application has disconnected from a pipe's endpoint: nothing more is sent, but what has come in can still be
    /// received.
    fn retire(&mut self, pipe: usize, pipes: &mut Pipes) {
        self.detach(pipe);
        self.activate_read(pipe, pipes);
    }

    /// A pipe was removed.
    fn detach(&mut self, pipe: usize);

    /// A pipe that was empty may have a message. A stray call does no harm.
    fn activate_read(&mut self, pipe: usize, pipes: &mut Pipes);

    /// A pipe that was full may have room. A stray call does no harm.
    fn activate_write(&mut self, pipe: usize, pipes: &mut Pipes);

    /// Sends what is in its place.
    fn send(&mut self, out: &mut Option<Self::Out>, pipes: &mut Pipes) -> Offer {
        let _ = (out, pipes);
        Offer::Refused
    }

    /// Receives to an empty place, if there is anything, and returns the pipe that it came from. A pattern that has
    /// passed over a message without meaning returns its pipe too, and leaves the place empty: it is asked again after
    /// the socket was unlocked, so that no peer can keep it locked with nonsense.
    fn recv(&mut self, received: &mut Option<Self::In>, pipes: &mut Pipes) -> Option<usize> {
        let _ = (received, pipes);
        None
    }

    /// Tells whether something could be sent now.
    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        let _ = pipes;
        false
    }

    /// Tells whether something could be received now.
    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        let _ = pipes;
        false
    }

    /// Tells whether it is worthwhile to send, for who does not wait. It is not where sending would only be refused,
    /// which whoever does wait has to learn.
    fn is_writable(&mut self, pipes: &mut Pipes) -> bool {
        self.can_send(pipes)
    }

    /// Tells whether it is worthwhile to receive, for who does not wait. It is not where receiving would only bring word
    /// that there is nothing to wait for.
    fn is_readable(&mut self, pipes: &mut Pipes) -> bool {
        self.can_recv(pipes)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Pipes with their far ends, for the tests of patterns.

    pub(crate) use super::fuzzing::pipes;
    use crate::pipe::{PipeEnd, Wakes};

    pub(crate) fn bodies(end: &mut PipeEnd) -> Vec<String> {
        std::iter::from_fn(|| end.pop(&mut Wakes::new()))
            .map(|m| m[0].as_str().unwrap().to_owned())
            .collect()
    }
}
