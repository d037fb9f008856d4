//! The face of PUB, and what it shares with XPUB.

use std::sync::Arc;
use std::time::Duration;

use super::closing::Handle;
use super::core::{Core, Phase, deadline};
use super::verbs::{common_verbs, send_verbs};
use crate::error::WaitError;
use crate::pattern::{Pattern, PubPattern, Publisher};

/// Gives a type what sockets have that publish.
macro_rules! publisher_verbs {
    ($socket:ident) => {
        impl $socket {
            /// Waits until a message whose first frame is `topic` would go to at least `count` subscribers.
            ///
            /// # Errors
            ///
            /// They did not come in time, or the socket is closed.
            pub fn wait_for_subscribers(
                &self,
                topic: impl AsRef<[u8]>,
                count: usize,
                timeout: ::std::time::Duration,
            ) -> Result<(), $crate::WaitError> {
                self.0
                    .0
                    .wait_for_subscribers(topic.as_ref(), count, timeout)
            }

            /// Waits as [`wait_for_subscribers`](Self::wait_for_subscribers) does, for as long as it takes.
            ///
            /// # Errors
            ///
            /// The socket is closed.
            pub async fn wait_for_subscribers_async(
                &self,
                topic: impl AsRef<[u8]> + Send,
                count: usize,
            ) -> Result<(), $crate::WaitError> {
                self.0
                    .0
                    .wait_for_subscribers_async(topic.as_ref(), count)
                    .await
            }

            /// Returns how many subscribers a message would go to whose first frame is `topic`.
            #[must_use]
            pub fn subscribers(&self, topic: impl AsRef<[u8]>) -> usize {
                let mut state = self.0.0.state.lock();
                state.pattern.publisher().count(topic.as_ref())
            }

            /// Returns how many different topics have subscribers.
            #[must_use]
            pub fn topics(&self) -> usize {
                self.0.0.state.lock().pattern.publisher().topics()
            }
        }
    };
}

/// Gives the builder of a type the options of sockets that publish.
macro_rules! publisher_options {
    ($socket:ident) => {
        impl $crate::Builder<$socket> {
            /// What is done with a message for a subscriber whose queue is full. Default
            /// [`DropNewest`](crate::SlowPolicy::DropNewest). Without meaning if the socket
            /// [conflates](Self::conflate).
            #[must_use]
            pub fn slow_subscribers(mut self, policy: $crate::SlowPolicy) -> Self {
                self.options.topics.slow = policy;
                self
            }

            /// Whether messages go to those who have **not** subscribed to what they begin with. Default `false`.
            /// Subscribers must know of it: set it there too.
            #[must_use]
            pub fn invert_matching(mut self, yes: bool) -> Self {
                self.options.topics.invert = yes;
                self
            }

            /// A message that each subscriber is sent as soon as it is connected, whatever it will subscribe to. Default
            /// `None`. A [`Sub`](crate::Sub) receives it only if it has subscribed to what it begins with.
            #[must_use]
            pub fn welcome(mut self, message: Option<$crate::Message>) -> Self {
                self.options.topics.welcome = message;
                self
            }

            /// How many topics one subscriber may subscribe to. Default 100,000. One that goes past it is disconnected.
            #[must_use]
            pub fn max_topics(mut self, topics: usize) -> Self {
                self.options.topics.max_topics = topics;
                self
            }

            /// How many bytes the topics of one subscriber may have together. Default 16 MiB. One that goes past it is
            /// disconnected. They cost us up to a hundred bytes more for each topic.
            #[must_use]
            pub fn max_topic_bytes(mut self, bytes: usize) -> Self {
                self.options.topics.max_topic_bytes = bytes;
                self
            }
        }
    };
}

/// Sends each message to all of its subscribers that want it (RFC 29).
///
/// What a subscriber wants are topics: a message is for it if the first frame begins with one of them, byte by byte. A
/// message that nobody wants is dropped, and counted as [`NoSubscriber`](crate::DropReason::NoSubscriber).
///
/// Sending does not wait for slow subscribers: what does not fit into the queue of one is dropped for that one alone, and
/// counted as [`SlowPeer`](crate::DropReason::SlowPeer), unless
/// [`slow_subscribers`](crate::Builder::slow_subscribers) says otherwise.
///
/// A subscriber gets what is sent once its subscription is here. [`wait_for_subscribers`](Self::wait_for_subscribers)
/// tells when that is.
///
/// A handle is cheap to clone, and all clones are the same socket.
///
/// ```
/// use std::time::Duration;
///
/// use aqueduct::{Pub, Sub};
///
/// let publisher = Pub::new();
/// let endpoint = publisher.bind("tcp://127.0.0.1:0")?;
/// let subscriber = Sub::new();
/// subscriber.subscribe("weather.")?;
/// subscriber.connect(&endpoint)?;
///
/// publisher.wait_for_subscribers("weather.", 1, Duration::from_secs(10))?;
/// publisher.send("sports.tennis: 6-4")?;
/// publisher.send("weather.london: rain")?;
/// assert_eq!(subscriber.recv()?, "weather.london: rain");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Pub(pub(super) Arc<Handle<PubPattern>>);

common_verbs!(Pub, PubPattern);
send_verbs!(Pub);
publisher_verbs!(Pub);
publisher_options!(Pub);

/// A pattern that publishes.
pub(super) trait Publishes: Pattern {
    fn publisher(&mut self) -> &mut Publisher;
}

impl Publishes for PubPattern {
    fn publisher(&mut self) -> &mut Publisher {
        self.publisher()
    }
}

impl<P: Publishes> Core<P> {
    pub(super) fn wait_for_subscribers(
        &self,
        topic: &[u8],
        expected: usize,
        timeout: Duration,
    ) -> Result<(), WaitError> {
        let came = self.wait_for(
            |state| &mut state.watchers,
            |_| None,
            deadline(Some(timeout)),
            || self.has_subscribers(topic, expected),
        );
        let got = || self.state.lock().pattern.publisher().count(topic);
        came.unwrap_or_else(|| Err(WaitError::Timeout { expected, got: got() }))
    }

    pub(super) async fn wait_for_subscribers_async(
        &self,
        topic: &[u8],
        expected: usize,
    ) -> Result<(), WaitError> {
        self.wait_async(
            |state| &mut state.watchers,
            |_| None,
            |_| self.has_subscribers(topic, expected),
        )
        .await
    }

    fn has_subscribers(&self, topic: &[u8], expected: usize) -> Option<Result<(), WaitError>> {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return Some(Err(WaitError::Closed));
        }
        (state.pattern.publisher().count(topic) >= expected).then_some(Ok(()))
    }
}

pub(super) use {publisher_options, publisher_verbs};
