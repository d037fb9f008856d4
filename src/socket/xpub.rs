//! The face of XPUB.

use std::sync::Arc;

use super::builder::Builder;
use super::closing::Handle;
use super::publish::{Publishes, publisher_options, publisher_verbs};
use super::verbs::{common_verbs, halves, recv_verbs, send_verbs};
use crate::error::TryRouteError;
use crate::message::Message;
use crate::options::Verbosity;
use crate::pattern::{Offer, Publisher, SubscriberId, XPubEvent, XPubPattern};
use crate::peer::PeerInfo;

/// A [`Pub`](crate::Pub) that receives what its subscribers ask for: the front of a proxy, a cache of last values, or a
/// publisher that works only while somebody listens (RFC 29).
///
/// Subscriptions count whether or not their events are received. Of those, a subscriber may have 1,000 waiting
/// ([`max_notices`](crate::Builder::max_notices), and 1 MiB); then it is not read from until some are received. So receive
/// them, or use a `Pub`.
///
/// A handle is cheap to clone, and all clones are the same socket; [`split`](Self::split) makes one that only sends and
/// one that only receives.
///
/// ```
/// use aqueduct::{Sub, XPub, XPubEvent};
///
/// let publisher = XPub::new();
/// publisher.bind("inproc://prices")?;
/// let subscriber = Sub::new();
/// subscriber.connect("inproc://prices")?;
/// subscriber.subscribe("oil")?;
///
/// let XPubEvent::Subscribe { subscriber: who, topic } = publisher.recv()? else { panic!() };
/// assert_eq!(topic, "oil");
/// publisher.send_to(who, ["oil", "71.20"].into_iter().collect::<aqueduct::Message>())?;
/// assert_eq!(subscriber.recv()?[1], "71.20");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct XPub(pub(super) Arc<Handle<XPubPattern>>);

common_verbs!(XPub, XPubPattern);
send_verbs!(XPub);
recv_verbs!(XPub => XPubEvent, "event");
publisher_verbs!(XPub);
publisher_options!(XPub);

halves!(XPub(XPubPattern) => XPubSender, XPubReceiver);
send_verbs!(XPubSender);
publisher_verbs!(XPubSender);
recv_verbs!(XPubReceiver => XPubEvent, "event");

impl Publishes for XPubPattern {
    fn publisher(&mut self) -> &mut Publisher {
        self.publisher()
    }
}

impl Builder<XPub> {
    /// Which subscriptions are told of. Default [`Changes`](Verbosity::Changes): those that change what is subscribed to at
    /// all. libzmq calls the others verbose and verboser.
    #[must_use]
    pub fn verbose(mut self, verbosity: Verbosity) -> Self {
        self.options.topics.verbosity = verbosity;
        self
    }

    /// How many events of one subscriber may wait to be received; then it is not read from until fewer than half of them
    /// are left. Default 1,000; at least 1. Whatever the number, their topics and messages take at most 1 MiB.
    #[must_use]
    pub fn max_notices(mut self, events: usize) -> Self {
        self.options.topics.max_notices = events.max(1);
        self
    }

    /// Whether subscriptions are only told of, and the application subscribes for its subscribers
    /// ([`subscribe`](XPub::subscribe)), to what it likes. Default `false`. All are told of then; what is lost with a
    /// connection, only as far as the application had subscribed to it.
    #[must_use]
    pub fn manual(mut self, yes: bool) -> Self {
        self.options.topics.manual = yes;
        self
    }
}

/// Gives a type what there is to do for one subscriber.
macro_rules! per_subscriber_verbs {
    ($socket:ident) => {
        impl $socket {
            /// Subscribes for a subscriber: messages that begin with `topic` go to it from now on. Meant for a
            /// [manual](crate::Builder::manual) socket. Returns false if it had been subscribed, or is gone.
            pub fn subscribe(&self, subscriber: SubscriberId, topic: impl AsRef<[u8]>) -> bool {
                let decide = |pattern: &mut XPubPattern, pipes: &mut _| {
                    pattern.decide(subscriber, true, topic.as_ref(), pipes)
                };
                self.0.0.act_if_open(decide).unwrap_or_default()
            }

            /// Cancels a subscription for a subscriber. Returns false if there was none.
            pub fn cancel(&self, subscriber: SubscriberId, topic: impl AsRef<[u8]>) -> bool {
                let decide = |pattern: &mut XPubPattern, pipes: &mut _| {
                    pattern.decide(subscriber, false, topic.as_ref(), pipes)
                };
                self.0.0.act_if_open(decide).unwrap_or_default()
            }

            /// Sends a message to one subscriber, such as the last value of what it has just subscribed to. It need not
            /// be subscribed to it here, but a [`Sub`](crate::Sub) passes over what it has not asked for.
            ///
            /// # Errors
            ///
            /// The subscriber is gone, the socket is closed, or the queue is full and the policy is
            /// [`Block`](crate::SlowPolicy::Block). The message is in the error.
            pub fn send_to(
                &self,
                subscriber: SubscriberId,
                message: impl Into<Message>,
            ) -> Result<(), TryRouteError> {
                let mut out = Some(message.into());
                let offer = self
                    .0
                    .0
                    .act_if_open(|pattern, pipes| pattern.publisher().send_to(subscriber, &mut out, pipes));
                let message = out.unwrap_or_default();
                match offer {
                    Some(Offer::Taken) => Ok(()),
                    Some(Offer::Full) => Err(TryRouteError::Full(message)),
                    Some(Offer::Refused) => Err(TryRouteError::Unroutable(message)),
                    None => Err(TryRouteError::Closed(message)),
                }
            }
        }
    };
}

/// Gives a type the means to learn more of who it hears of.
macro_rules! who_verbs {
    ($socket:ident) => {
        impl $socket {
            /// Returns what a subscriber said of itself and where it is; `None` if it is gone.
            #[must_use]
            pub fn peer(&self, subscriber: SubscriberId) -> Option<Arc<PeerInfo>> {
                let mut state = self.0.0.state.lock();
                let pipe = state.pattern.publisher().pipe(subscriber)?;
                state.peers.get(&pipe)?.info.clone()
            }
        }
    };
}

per_subscriber_verbs!(XPub);
per_subscriber_verbs!(XPubSender);
who_verbs!(XPub);
who_verbs!(XPubSender);
who_verbs!(XPubReceiver);
