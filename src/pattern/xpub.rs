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

/// Notices that wait to be received beside changes, of which there are never more than topics. When there are so many, no
/// subscriber is read from, and what those that leave take back is told of no more, but counted. It takes an application
/// that has asked for such notices and does not receive them.
const MAX_OTHERS: usize = 65_536;

/// The state of an XPUB socket.
#[derive(Debug, Default)]
pub(crate) struct XPubPattern {
    publisher: Publisher,
    notices: Notices,
    /// Pipes that are not read from until notices are received.
    clogged: HashSet<usize>,
    /// There are too many notices of all together.
    crowded: bool,
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
            self.crowded |= self.notices.others() >= MAX_OTHERS;
            if self.crowded || self.notices.is_full(id, MAX_NOTICES, MAX_NOTICE_BYTES) {
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

    /// A notice of a subscriber was received: reads on where there is room for more again.
    fn unclog(&mut self, pipe: usize, id: SubscriberId, pipes: &mut Pipes) {
        if self.crowded {
            if self.notices.others() <= MAX_OTHERS / 2 {
                self.crowded = false;
                let all = std::mem::take(&mut self.clogged);
                all.into_iter().for_each(|pipe| self.hear(pipe, pipes));
            }
        } else if !self.notices.is_full(id, MAX_NOTICES / 2, MAX_NOTICE_BYTES / 2)
            && self.clogged.remove(&pipe)
        {
            self.hear(pipe, pipes);
        }
    }

    /// Puts in a notice of a change, if the application is to hear of it. Only where changes are all that it hears may two
    /// of them cancel each other out: else another notice would be told of a topic that is gone.
    fn note(&mut self, pipe: usize, id: SubscriberId, topic: &[u8], change: Change) {
        let verbosity = self.publisher.options().verbosity;
        let (subscribe, least) = match change {
            Change::First => (true, Verbosity::Changes),
            Change::Another | Change::Duplicate => (true, Verbosity::Subscriptions),
            Change::Last => (false, Verbosity::Changes),
            Change::Left | Change::Unmatched => (false, Verbosity::All),
        };
        if verbosity < least {
            return;
        }
        let event = event(id, subscribe, topic);
        if verbosity == Verbosity::Changes {
            self.notices.put_change(pipe, subscribe, event);
        } else {
            self.notices.put(pipe, event);
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
            if change == Change::Last || self.notices.others() < MAX_OTHERS {
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
        if !self.clogged.is_empty() {
            self.unclog(pipe, event.subscriber(), pipes);
        }
        *received = Some(event);
        Some(pipe)
    }

    fn can_send(&mut self, _pipes: &mut Pipes) -> bool {
        true
    }

    fn can_recv(&mut self, _pipes: &mut Pipes) -> bool {
        !self.notices.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::notices::subscription;
    use super::super::testing::pipes;
    use super::*;
    use crate::pipe::PipeEnd;

    fn xpub(peers: usize, verbosity: Verbosity) -> (XPubPattern, Pipes, Vec<usize>, Vec<PipeEnd>) {
        let mut xpub = XPubPattern::default();
        let mut options = Options::default();
        options.topics.verbosity = verbosity;
        xpub.configure(&options);
        let (mut all, keys, far) = pipes(peers, 0, &mut xpub);
        for key in &keys {
            xpub.connected(*key, &PeerInfo::new(SocketType::Sub), &mut all);
        }
        (xpub, all, keys, far)
    }

    fn say(far: &mut PipeEnd, subscribe: bool, topic: &str) {
        assert!(far.push(subscription(subscribe, topic.as_bytes())).is_ok());
    }

    fn count(xpub: &mut XPubPattern, pipes: &mut Pipes) -> usize {
        let mut place = None;
        std::iter::from_fn(|| xpub.recv(&mut place, pipes)).count()
    }

    #[test]
    fn a_subscriber_is_read_from_again_when_half_of_its_notices_are_received() {
        let (mut xpub, mut pipes, keys, mut far) = xpub(1, Verbosity::Changes);
        (0..1_500).for_each(|at| say(&mut far[0], true, &at.to_string()));
        xpub.activate_read(keys[0], &mut pipes);
        assert_eq!(xpub.publisher.topics(), MAX_NOTICES);
        let mut place = None;
        for _ in 0..MAX_NOTICES / 2 {
            xpub.recv(&mut place, &mut pipes);
        }
        assert_eq!(xpub.publisher.topics(), MAX_NOTICES);
        xpub.recv(&mut place, &mut pipes);
        assert_eq!(xpub.publisher.topics(), 1_500);
        assert_eq!(count(&mut xpub, &mut pipes), 999);
    }

    #[test]
    fn subscribers_that_come_and_go_unheard_leave_nothing() {
        let (mut xpub, mut pipes, keys, mut far) = xpub(1, Verbosity::Changes);
        for round in 0..50 {
            (0..100).for_each(|at| say(&mut far[0], true, &format!("{round} {at}")));
            xpub.activate_read(keys[0], &mut pipes);
            xpub.disconnected(keys[0], &mut pipes);
            xpub.connected(keys[0], &PeerInfo::new(SocketType::Sub), &mut pipes);
        }
        assert_eq!((xpub.publisher.topics(), count(&mut xpub, &mut pipes)), (0, 0));
    }

    #[test]
    fn an_application_that_takes_nothing_has_all_subscribers_wait() {
        let (mut xpub, mut pipes, keys, mut far) = xpub(2, Verbosity::All);
        // Somebody stays, so that what the other wants and leaves are no changes.
        (0..900).for_each(|at| say(&mut far[1], true, &at.to_string()));
        xpub.activate_read(keys[1], &mut pipes);
        for _ in 0..200 {
            (0..900).for_each(|at| say(&mut far[0], true, &at.to_string()));
            xpub.activate_read(keys[0], &mut pipes);
            xpub.disconnected(keys[0], &mut pipes);
            xpub.connected(keys[0], &PeerInfo::new(SocketType::Sub), &mut pipes);
        }
        assert!(xpub.crowded && xpub.notices.others() <= MAX_OTHERS);
        assert!(pipes.tally().notices_dropped > 0);
        say(&mut far[0], true, "at last");
        xpub.activate_read(keys[0], &mut pipes);
        assert_eq!(xpub.publisher.count(b"at last"), 0);
        count(&mut xpub, &mut pipes);
        assert_eq!(xpub.publisher.count(b"at last"), 1);
    }

    #[test]
    fn what_a_departed_subscriber_had_left_unheard_is_passed_over() {
        let (mut xpub, mut pipes, keys, mut far) = xpub(1, Verbosity::Changes);
        (0..1_200).for_each(|at| say(&mut far[0], true, &at.to_string()));
        xpub.activate_read(keys[0], &mut pipes);
        xpub.disconnected(keys[0], &mut pipes);
        assert_eq!(xpub.publisher.topics(), 0);
        assert_eq!(pipes.get_mut(keys[0]).unwrap().traffic().discarded, 200);
        assert_eq!(count(&mut xpub, &mut pipes), 0);
    }
}
