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
    /// Puts in that a topic has its first subscriber or has lost its last one; or takes out the contrary, if that was still
    /// to be told.
    pub(super) fn put_change(&mut self, pipe: usize, subscribe: bool, event: XPubEvent) {
        let (XPubEvent::Subscribe { topic, .. } | XPubEvent::Cancel { topic, .. }) = &event else {
            return;
        };
        if let Some((at, before)) = self.changes.get(topic).copied()
            && before != subscribe
        {
            self.remove(at);
            return;
        }
        self.changes.insert(topic.clone(), (self.next, subscribe));
        self.put(pipe, event);
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

    /// Counts what waits beside changes.
    pub(super) fn others(&self) -> usize {
        self.events.len().saturating_sub(self.changes.len())
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn change(subscribe: bool, topic: u8) -> XPubEvent {
        let (subscriber, topic) = (SubscriberId::default(), Frame::from([topic]));
        if subscribe {
            XPubEvent::Subscribe { subscriber, topic }
        } else {
            XPubEvent::Cancel { subscriber, topic }
        }
    }

    proptest! {
        /// Whoever hears all knows what there is; whoever hears late hears of no more than has changed since.
        #[test]
        fn changes_that_undo_each_other_are_not_told(
            ops in prop::collection::vec(prop::option::of(0..6u8), 0..100)
        ) {
            let mut notices = Notices::default();
            let (mut there, mut known) = (BTreeSet::new(), BTreeSet::new());
            for op in ops {
                match op {
                    Some(topic) => {
                        let subscribe = there.insert(topic) || { there.remove(&topic); false };
                        notices.put_change(0, subscribe, change(subscribe, topic));
                    }
                    None => match notices.pop() {
                        Some((_, XPubEvent::Subscribe { topic, .. })) => prop_assert!(known.insert(topic[0])),
                        Some((_, XPubEvent::Cancel { topic, .. })) => prop_assert!(known.remove(&topic[0])),
                        other => prop_assert!(other.is_none()),
                    },
                }
                let differ = there.symmetric_difference(&known).count();
                prop_assert_eq!((notices.events.len(), notices.others()), (differ, 0));
                prop_assert_eq!(notices.is_full(SubscriberId::default(), differ + 1, usize::MAX), false);
            }
            prop_assert_eq!(notices.pending.is_empty(), notices.is_empty());
        }
    }

    #[test]
    fn an_event_shows_itself_as_what_travels() {
        assert_eq!(change(true, b'a').into_message(), "\u{1}a");
        assert_eq!(change(false, b'a').into_message(), "\u{0}a");
    }
}
