//! The topics of the simulation: prefixes of each other, and some that bodies of messages begin with.

use std::collections::{BTreeMap, BTreeSet};

use super::rng::Rng;
use crate::pattern::as_subscription;
use crate::{Frame, Message};

pub(super) type Topic = &'static [u8];

/// What may be subscribed to. A body begins with the number of its sender, and is a message of one frame as often as not.
const TOPICS: [Topic; 10] = [
    b"",
    b"a",
    b"ab",
    b"abc",
    b"abd",
    b"b",
    b"b/one-of-a-long-common-beginning-that-does-not-fit-into-a-node-of-the-tree",
    b"b/one-of-a-long-common-beginning-that-does-not-fit-into-a-node-of-the-wood",
    b"\x00",
    b"\x01\x00",
];

/// What XPUBs say to one subscriber, and all publishers in the beginning if they say anything.
pub(super) const WELCOME: &[u8] = b"a welcome";

pub(super) fn choose(rng: &mut Rng) -> Topic {
    rng.pick(&TOPICS)
}

/// A first frame as publishers send it: a topic, or something that begins with one.
pub(super) fn choose_first_frame(rng: &mut Rng) -> Frame {
    let end: &[u8] = rng.pick(&[b"", b"", b"c", b"x"]);
    Frame::from([choose(rng), end].concat())
}

/// Tells whether a message is one of those without a name that sockets send here.
pub(super) fn is_known(message: &Message) -> bool {
    let topic = as_subscription(message).map(|(_, topic)| topic);
    topic.is_some_and(|topic| TOPICS.contains(&topic)) || message.as_single() == Some(WELCOME)
}

/// Topics that are wanted, each as often as it was subscribed to.
#[derive(Clone, Debug, Default)]
pub(super) struct Wants(BTreeMap<Vec<u8>, usize>);

impl Wants {
    pub(super) fn add(&mut self, topic: &[u8]) {
        *self.0.entry(topic.to_vec()).or_default() += 1;
    }

    /// Tells whether the topic was there.
    pub(super) fn remove(&mut self, topic: &[u8]) -> bool {
        let Some(count) = self.0.get_mut(topic) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.0.remove(topic);
        }
        true
    }

    pub(super) fn topics(&self) -> BTreeSet<Vec<u8>> {
        self.0.keys().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Tells whether one of these topics is what a first frame begins with.
pub(super) fn matches(topics: &BTreeSet<Vec<u8>>, message: &Message) -> bool {
    let first = message.frames().first().map(Frame::as_slice).unwrap_or_default();
    topics.iter().any(|topic| first.starts_with(topic))
}
