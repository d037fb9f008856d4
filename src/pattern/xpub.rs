//! XPUB (RFC 29): a PUB that shows its application what subscribers ask for and say.
//!
//! The rules, in our words: those of PUB for what is sent; subscriptions are events, of which each topic's first and last
//! are told unless the application wants all; a subscriber that leaves takes back what it had asked for; other messages of
//! subscribers are delivered. No subscriber can keep another from being heard for longer than its share of notices takes;
//! one whose share is used up is not read from. `tests/spec_pubsub.rs` has a test for each.

use std::collections::HashSet;

use super::notices::{Notices, XPubEvent};
use super::publisher::{Publisher, SubscriberId, as_subscription};
use super::subscriptions::Change;
use super::{Offer, Pattern, Pipes};
use crate::message::{Frame, Message};
use crate::options::{Options, Verbosity};
use crate::peer::{PeerInfo, SocketType};

/// Notices of one subscriber that wait to be received, before it is not read from any more.
const MAX_NOTICES: usize = 1_000;

/// Bytes of topics and messages in them.
const MAX_NOTICE_BYTES: usize = 1024 * 1024;

/// Notices of subscribers that are gone, beside changes, that wait to be received: these nobody can be made to wait for.
/// More are dropped and counted; it takes an application that asked for them and does not take them.
const MAX_FAREWELLS: usize = 65_536;

/// The state of an XPUB socket.
#[derive(Debug, Default)]
pub(crate) struct XPubPattern {
    publisher: Publisher,
    notices: Notices,
    /// Pipes that are not read from until their notices are received.
    clogged: HashSet<usize>,
}

impl XPubPattern {
    pub(crate) fn publisher(&mut self) -> &mut Publisher {
        &mut self.publisher
    }

    /// Subscribes for a subscriber, or cancels, by the application's choice; tells whether that changed anything.
    pub(crate) fn decide(
        &mut self,
        id: SubscriberId,
        subscribe: bool,
        topic: &[u8],
        pipes: &mut Pipes,
    ) -> bool {
        let Some(pipe) = self.publisher.pipe(id) else {
            return false;
        };
        let change = self.publisher.change(pipe, subscribe, topic, pipes);
        !matches!(change, Change::Duplicate | Change::Unmatched)
    }

    /// Takes in what a subscriber has to say, as far as there is room for notices.
    fn hear(&mut self, pipe: usize, pipes: &mut Pipes) {
        let mut place = None;
        while let Some(id) = self.publisher.subscriber(pipe) {
            if self.notices.is_full(id, MAX_NOTICES, MAX_NOTICE_BYTES) {
                self.clogged.insert(pipe);
                return;
            }
            if !pipes.recv(pipe, &mut place) {
                return;
            }
            let Some(message) = place.take() else { return };
            let Some((subscribe, topic)) = as_subscription(&message) else {
                let subscriber = id;
                self.notices.put(pipe, XPubEvent::Message { subscriber, message });
                continue;
            };
            if self.publisher.options().manual {
                self.notices.put(pipe, event(id, subscribe, topic));
            } else {
                let change = self.publisher.change(pipe, subscribe, topic, pipes);
                self.note(pipe, id, topic, change);
            }
        }
    }

    /// Puts in a notice of a change, if the application is to hear of it.
    fn note(&mut self, pipe: usize, id: SubscriberId, topic: &[u8], change: Change) {
        let verbosity = self.publisher.options().verbosity;
        let (subscribe, least) = match change {
            Change::First => {
                let put = self.notices.put_change(pipe, true, event(id, true, topic));
                if put {
                    return;
                }
                // The topic was there when the application last heard of it; the subscriber is new.
                (true, Verbosity::Subscriptions)
            }
            Change::Last => {
                let put = self.notices.put_change(pipe, false, event(id, false, topic));
                if put {
                    return;
                }
                (false, Verbosity::All)
            }
            Change::Another | Change::Duplicate => (true, Verbosity::Subscriptions),
            Change::Left | Change::Unmatched => (false, Verbosity::All),
        };
        if verbosity >= least {
            self.notices.put(pipe, event(id, subscribe, topic));
        }
    }

    /// A subscriber is gone: what it has not been heard on means nothing any more, and all it had is taken back.
    fn forget(&mut self, pipe: usize, pipes: &mut Pipes) {
        let mut place = None;
        while pipes.recv(pipe, &mut place) {
            if let Some(message) = place.take() {
                pipes.discard(pipe, &message);
            }
        }
        self.part(pipe, Some(pipes));
    }

    fn part(&mut self, pipe: usize, mut pipes: Option<&mut Pipes>) {
        self.clogged.remove(&pipe);
        let Some(id) = self.publisher.any_subscriber(pipe) else {
            return;
        };
        let mut changes = Vec::new();
        self.publisher.disconnected(pipe, |topic, change| {
            changes.push((Frame::copy_from_slice(topic), change));
        });
        for (topic, change) in changes {
            if change == Change::Last || self.notices.len() < MAX_FAREWELLS {
                self.note(pipe, id, &topic, change);
            } else if let Some(pipes) = &mut pipes {
                pipes.tally().notices_dropped += 1;
            }
        }
    }
}

fn event(subscriber: SubscriberId, subscribe: bool, topic: &[u8]) -> XPubEvent {
    let topic = Frame::copy_from_slice(topic);
    if subscribe {
        XPubEvent::Subscribe { subscriber, topic }
    } else {
        XPubEvent::Cancel { subscriber, topic }
    }
}

impl Pattern for XPubPattern {
    const TYPE: SocketType = SocketType::XPub;
    const RECEIVES: bool = true;
    const ADDRESSED: bool = true;
    type Out = Message;
    type In = XPubEvent;

    fn configure(&mut self, options: &Options) {
        self.publisher.configure(&options.topics);
    }

    fn attach(&mut self, _pipe: usize) {}

    fn connected(&mut self, pipe: usize, _info: &PeerInfo, pipes: &mut Pipes) {
        self.publisher.connected(pipe, pipes);
        self.hear(pipe, pipes);
    }

    fn disconnected(&mut self, pipe: usize, pipes: &mut Pipes) {
        self.hear(pipe, pipes);
        self.forget(pipe, pipes);
    }

    fn detach(&mut self, pipe: usize) {
        self.part(pipe, None);
    }

    fn activate_read(&mut self, pipe: usize, pipes: &mut Pipes) {
        if !self.clogged.contains(&pipe) {
            self.hear(pipe, pipes);
        }
    }

    fn activate_write(&mut self, _pipe: usize, _pipes: &mut Pipes) {}

    #[inline]
    fn send(&mut self, message: &mut Option<Message>, pipes: &mut Pipes) -> Offer {
        self.publisher.publish(message, pipes)
    }

    fn recv(&mut self, received: &mut Option<XPubEvent>, pipes: &mut Pipes) -> Option<usize> {
        let (pipe, event) = self.notices.pop()?;
        let low = !self
            .notices
            .is_full(event.subscriber(), MAX_NOTICES / 2, MAX_NOTICE_BYTES / 2);
        *received = Some(event);
        if low && self.clogged.remove(&pipe) {
            self.hear(pipe, pipes);
        }
        Some(pipe)
    }

    fn can_send(&mut self, _pipes: &mut Pipes) -> bool {
        true
    }

    fn can_recv(&mut self, _pipes: &mut Pipes) -> bool {
        !self.notices.is_empty()
    }
}
