//! What an XPUB has to tell of its subscribers and has not told yet.

use std::collections::{BTreeMap, HashMap};

use super::publisher::SubscriberId;
use crate::message::{Frame, Message};

/// What an [`XPub`](crate::XPub) receives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum XPubEvent {
    /// A subscription.
    Subscribe {
        /// Who wants it.
        subscriber: SubscriberId,
        /// What the messages that are wanted begin with.
        topic: Frame,
    },
    /// A subscription taken back, or lost with the connection of who had it.
    Cancel {
        /// Who does not want it any more.
        subscriber: SubscriberId,
        /// What it was that was wanted.
        topic: Frame,
    },
    /// A message that an [`XSub`](crate::XSub) has sent to its publishers.
    Message {
        /// Who has sent it.
        subscriber: SubscriberId,
        /// What was sent.
        message: Message,
    },
}

impl XPubEvent {
    /// Returns whom it is of.
    #[must_use]
    pub fn subscriber(&self) -> SubscriberId {
        match self {
            Self::Subscribe { subscriber, .. }
            | Self::Cancel { subscriber, .. }
            | Self::Message { subscriber, .. } => *subscriber,
        }
    }

    /// Returns the subscription as the message in which it travels, or the message: what an [`XSub`](crate::XSub) passes
    /// on for a proxy.
    #[must_use]
    pub fn into_message(self) -> Message {
        match self {
            Self::Subscribe { topic, .. } => subscription(true, &topic),
            Self::Cancel { topic, .. } => subscription(false, &topic),
            Self::Message { message, .. } => message,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Subscribe { topic, .. } | Self::Cancel { topic, .. } => topic.len(),
            Self::Message { message, .. } => message.weight(),
        }
    }
}

/// The message in which a subscription travels in a pipe, and to peers of ZMTP 3.0.
pub(super) fn subscription(subscribe: bool, topic: &[u8]) -> Message {
    let mut body = Vec::with_capacity(topic.len().saturating_add(1));
    body.push(u8::from(subscribe));
    body.extend_from_slice(topic);
    Message::from(Frame::copy_from_slice(&body))
}

/// Events in the order in which they came.
///
/// A topic that gets its first subscriber and loses its last one before anybody has heard of either is not told of at all,
/// and the other way round: so there are never more of these than topics that were told of and topics of now.
#[derive(Debug, Default)]
pub(super) struct Notices {
    events: BTreeMap<u64, (usize, XPubEvent)>,
    next: u64,
    /// The events that change what there is: by topic, the one that is still to be told, and what it says.
    changes: HashMap<Frame, (u64, bool)>,
    /// What each subscriber has to its account.
    pending: HashMap<SubscriberId, Pending>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Pending {
    events: usize,
    bytes: usize,
}

impl Notices {
    /// Puts in that a topic has its first subscriber or has lost its last one; it may cancel out what was to be told.
    /// Tells whether it was put in.
    pub(super) fn put_change(&mut self, pipe: usize, subscribe: bool, event: XPubEvent) -> bool {
        let (XPubEvent::Subscribe { topic, .. } | XPubEvent::Cancel { topic, .. }) = &event else {
            return false;
        };
        if let Some((at, before)) = self.changes.get(topic).copied()
            && before != subscribe
        {
            self.remove(at);
            return false;
        }
        self.changes.insert(topic.clone(), (self.next, subscribe));
        self.put(pipe, event);
        true
    }

    /// Puts in anything else.
    pub(super) fn put(&mut self, pipe: usize, event: XPubEvent) {
        let pending = self.pending.entry(event.subscriber()).or_default();
        pending.events += 1;
        pending.bytes += event.weight();
        self.events.insert(self.next, (pipe, event));
        self.next += 1;
    }

    /// Takes out the oldest.
    pub(super) fn pop(&mut self) -> Option<(usize, XPubEvent)> {
        let at = *self.events.first_key_value()?.0;
        self.remove(at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Tells whether a subscriber has as much to its account as it may have.
    pub(super) fn is_full(&self, subscriber: SubscriberId, events: usize, bytes: usize) -> bool {
        let pending = self.pending.get(&subscriber).copied().unwrap_or_default();
        pending.events >= events || pending.bytes >= bytes
    }

    fn remove(&mut self, at: u64) -> Option<(usize, XPubEvent)> {
        let (pipe, event) = self.events.remove(&at)?;
        if let XPubEvent::Subscribe { topic, .. } | XPubEvent::Cancel { topic, .. } = &event
            && self.changes.get(topic).is_some_and(|(change, _)| *change == at)
        {
            self.changes.remove(topic);
        }
        if let Some(pending) = self.pending.get_mut(&event.subscriber()) {
            pending.events = pending.events.saturating_sub(1);
            pending.bytes = pending.bytes.saturating_sub(event.weight());
            if pending.events == 0 {
                self.pending.remove(&event.subscriber());
            }
        }
        Some((pipe, event))
    }
}
