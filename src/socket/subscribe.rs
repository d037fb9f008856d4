//! The face of SUB, and what it shares with XSUB.

use std::sync::Arc;

use super::builder::Builder;
use super::closing::Handle;
use super::verbs::{common_verbs, recv_verbs, recv_with_peer_verbs};
use crate::pattern::{SubPattern, Subscribes};

/// Gives a type what sockets have that subscribe.
macro_rules! subscriber_verbs {
    ($socket:ident) => {
        impl $socket {
            /// The longest topic, in bytes.
            pub const MAX_TOPIC_LEN: usize = $crate::pattern::MAX_TOPIC;

            /// Asks for all messages whose first frame begins with `topic`; an empty one asks for everything. All
            /// publishers are told, those of now and those that come or come back later.
            ///
            /// Subscriptions count: what is subscribed to twice must be cancelled twice.
            ///
            /// # Errors
            ///
            /// The topic is longer than [`MAX_TOPIC_LEN`](Self::MAX_TOPIC_LEN), or the socket is closed.
            pub fn subscribe(&self, topic: impl AsRef<[u8]>) -> Result<(), $crate::SubscribeError> {
                let topic = topic.as_ref();
                if topic.len() > Self::MAX_TOPIC_LEN {
                    return Err($crate::SubscribeError::TooLong {
                        len: topic.len(),
                        limit: Self::MAX_TOPIC_LEN,
                    });
                }
                let done = self
                    .0
                    .0
                    .act_if_open(|pattern, pipes| pattern.subscribe(topic, pipes));
                done.ok_or($crate::SubscribeError::Closed)
            }

            /// Takes a subscription back; returns false if there was none. What publishers had sent before they heard of
            /// it is passed over by a [`Sub`](crate::Sub), and received by an [`XSub`](crate::XSub).
            pub fn unsubscribe(&self, topic: impl AsRef<[u8]>) -> bool {
                let topic = topic.as_ref();
                let done = self
                    .0
                    .0
                    .act_if_open(|pattern, pipes| pattern.unsubscribe(topic, pipes));
                done.unwrap_or_default()
            }

            /// Returns how many different topics are subscribed to.
            #[must_use]
            pub fn topics(&self) -> usize {
                self.0.0.state.lock().pattern.topics()
            }
        }
    };
}

/// Receives from its publishers, in turn, the messages that it has subscribed to (RFC 29).
///
/// Without a subscription it receives nothing. A message is wanted if its first frame begins with a topic subscribed to,
/// byte by byte.
///
/// A publisher whose queue here is full is not read from, so that what it sends waits there, and is dropped there if it is
/// too much: the publisher counts it, and has the choice of [what to drop](crate::SlowPolicy).
///
/// Subscriptions are sent over a connection as messages are, and count as such in [`stats`](Self::stats). They are not
/// waited for when the socket is closed.
///
/// A handle is cheap to clone, and all clones are the same socket: each message goes to one of them.
///
/// ```
/// use std::time::Duration;
///
/// use aqueduct::{Pub, Sub};
///
/// let subscriber = Sub::new();
/// subscriber.bind("inproc://news")?;
/// subscriber.subscribe("local")?;
/// subscriber.subscribe("world")?;
/// let publisher = Pub::new();
/// publisher.connect("inproc://news")?;
/// publisher.wait_for_subscribers("world", 1, Duration::from_secs(10))?;
///
/// publisher.send(["world", "all is well"].into_iter().collect::<aqueduct::Message>())?;
/// assert_eq!(subscriber.recv()?[1], "all is well");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Sub(pub(super) Arc<Handle<SubPattern>>);

common_verbs!(Sub, SubPattern);
recv_verbs!(Sub);
recv_with_peer_verbs!(Sub);
subscriber_verbs!(Sub);

impl Builder<Sub> {
    /// Whether messages are received that do **not** begin with a topic subscribed to. Default `false`. Publishers must know
    /// of it: set it there too.
    #[must_use]
    pub fn invert_matching(mut self, yes: bool) -> Self {
        self.options.topics.invert = yes;
        self
    }
}

pub(super) use subscriber_verbs;
