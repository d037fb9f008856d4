//! What PUB and XPUB have in common: who is subscribed to what, and how a message goes out to them.

use std::collections::{BTreeMap, HashMap};

use super::distributor::{distribute, send_to};
use super::subscriptions::{Change, Matched, Subscribers};
use super::{Offer, Pipes};
use crate::error::DisconnectReason;
use crate::message::{Frame, Message};
use crate::options::{SlowPolicy, TopicOptions};
use crate::stats::DropReason;

/// Names a subscriber of an [`XPub`](crate::XPub) for as long as it is connected; a subscriber that comes back has another
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(test, derive(Default))]
pub struct SubscriberId(u64);

/// The subscribers, and what they want.
#[derive(Debug, Default)]
pub(crate) struct Publisher {
    options: TopicOptions,
    index: Subscribers,
    /// In order, so that those whom inverted matching finds are served in the same one each time.
    peers: BTreeMap<usize, Peer>,
    pipes_by_id: HashMap<SubscriberId, usize>,
    next_id: u64,
    /// Kept from one message to the next for their room.
    matched: Matched,
    unmatched: Vec<usize>,
}

/// A subscriber that is connected.
#[derive(Debug)]
struct Peer {
    id: SubscriberId,
    /// It went past a limit, and its connection is about to end: nothing it says counts any more.
    expelled: bool,
}

/// Reads a message as a subscription: true, or false if it takes one back, and the topic.
pub(crate) fn as_subscription(message: &Message) -> Option<(bool, &[u8])> {
    match message.as_single()? {
        [1, topic @ ..] => Some((true, topic)),
        [0, topic @ ..] => Some((false, topic)),
        _ => None,
    }
}

impl Publisher {
    pub(super) fn configure(&mut self, options: &TopicOptions) {
        self.options = options.clone();
    }

    pub(super) fn options(&self) -> &TopicOptions {
        &self.options
    }

    /// A subscriber has come.
    pub(super) fn connected(&mut self, pipe: usize, pipes: &mut Pipes) {
        let id = SubscriberId(self.next_id);
        self.next_id += 1;
        self.peers.insert(pipe, Peer { id, expelled: false });
        self.pipes_by_id.insert(id, pipe);
        let mut welcome = self.options.welcome.clone();
        if welcome.is_some() {
            pipes.end_run();
            send_to(pipe, &mut welcome, SlowPolicy::DropNewest, pipes);
        }
    }

    /// A subscriber is gone, with all that it was subscribed to; shows what that changes.
    pub(super) fn disconnected(&mut self, pipe: usize, show: impl FnMut(&[u8], Change)) {
        if let Some(peer) = self.peers.remove(&pipe) {
            self.pipes_by_id.remove(&peer.id);
        }
        self.index.remove_pipe(pipe, show);
    }

    /// The subscriber at a pipe, if one is connected and still heard.
    pub(super) fn subscriber(&self, pipe: usize) -> Option<SubscriberId> {
        self.peers
            .get(&pipe)
            .filter(|peer| !peer.expelled)
            .map(|peer| peer.id)
    }

    /// The subscriber at a pipe, if one is connected.
    pub(super) fn any_subscriber(&self, pipe: usize) -> Option<SubscriberId> {
        self.peers.get(&pipe).map(|peer| peer.id)
    }

    /// The pipe of a subscriber, if it is still connected.
    pub(crate) fn pipe(&self, id: SubscriberId) -> Option<usize> {
        self.pipes_by_id.get(&id).copied()
    }

    /// A subscriber subscribes to a topic, or cancels that. One that goes past its limit is expelled.
    pub(super) fn change(&mut self, pipe: usize, subscribe: bool, topic: &[u8], pipes: &mut Pipes) -> Change {
        // Be it one more to send to or one less to wait for: somebody may wait for that.
        pipes.announce();
        if !subscribe {
            // Whoever waits for room in this pipe may have no message for it any more.
            pipes.announce();
            return self.index.cancel(pipe, topic);
        }
        let change = self.index.subscribe(pipe, topic);
        let held = self.index.held(pipe);
        let (topics, bytes) = (self.options.max_topics, self.options.max_topic_bytes);
        let excess = if held.topics > topics {
            Some(("the number of topics", held.topics, topics))
        } else if held.bytes > bytes {
            Some(("the size of all topics", held.bytes, bytes))
        } else {
            None
        };
        let Some((what, got, limit)) = excess else {
            return change;
        };
        let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let (got, limit) = (wide(got), wide(limit));
        self.index.cancel(pipe, topic);
        if let Some(peer) = self.peers.get_mut(&pipe) {
            peer.expelled = true;
        }
        pipes.expel(pipe, DisconnectReason::OverLimit { what, got, limit });
        Change::Duplicate
    }

    /// Sends a message to each who wants it; one that nobody wants is dropped.
    #[inline]
    pub(super) fn publish(&mut self, out: &mut Option<Message>, pipes: &mut Pipes) -> Offer {
        let Some(message) = out.as_ref() else {
            return Offer::Taken;
        };
        self.index.matches(first_frame(message), &mut self.matched);
        if self.options.invert {
            self.find_unmatched();
        }
        let targets = if self.options.invert {
            self.unmatched.as_slice()
        } else {
            self.matched.pipes()
        };
        if targets.is_empty() {
            pipes.drop_stray(message, DropReason::NoSubscriber);
            *out = None;
        }
        distribute(targets, out, self.options.slow, pipes)
    }

    /// Sends a message to one subscriber, whatever it is subscribed to.
    pub(crate) fn send_to(
        &mut self,
        id: SubscriberId,
        out: &mut Option<Message>,
        pipes: &mut Pipes,
    ) -> Offer {
        match self.pipe(id) {
            Some(pipe) => distribute(&[pipe], out, self.options.slow, pipes),
            None => Offer::Refused,
        }
    }

    /// Counts the subscribers that a message would go to whose first frame this is.
    pub(crate) fn count(&mut self, frame: &[u8]) -> usize {
        self.index.matches(frame, &mut self.matched);
        let matched = self.matched.pipes().len();
        if self.options.invert {
            self.peers.len().saturating_sub(matched)
        } else {
            matched
        }
    }

    /// Counts the topics that have subscribers.
    pub(crate) fn topics(&self) -> usize {
        self.index.topics()
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn index(&self) -> &Subscribers {
        &self.index
    }

    fn find_unmatched(&mut self) {
        self.unmatched.clear();
        let matched: std::collections::HashSet<_> = self.matched.pipes().iter().collect();
        let others = self.peers.keys().filter(|key| !matched.contains(key));
        self.unmatched.extend(others);
    }
}

/// The part of a message that topics are compared with.
pub(super) fn first_frame(message: &Message) -> &[u8] {
    message.frames().first().map(Frame::as_slice).unwrap_or_default()
}
