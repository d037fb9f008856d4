//! XPUB (RFC 29): a PUB that shows its application what subscribers ask for and say.
//!
//! The rules, in our words: those of PUB for what is sent; subscriptions are events, of which each topic's first and last
//! are told unless the application wants all; a subscriber that leaves takes back what it had asked for; other messages of
//! subscribers are delivered. No subscriber can keep another from being heard for longer than its share of notices takes;
//! one whose share is used up is not read from. `tests/spec_pubsub.rs` has a test for each.

use super::notices::{Notices, XPubEvent};
use super::publisher::{Publisher, SubscriberId, as_subscription};
use super::subscriptions::Change;
use super::{Offer, Pattern, Pipes};
use crate::message::{Frame, Message};
use crate::options::{Options, Verbosity};
use crate::peer::{PeerInfo, SocketType};
use crate::slab::KeySet;

/// Bytes of topics and messages in the notices of one subscriber that wait to be received, before it is not read from any
/// more.
const MAX_NOTICE_BYTES: usize = 1024 * 1024;

/// Notices that wait to be received beside changes, of which there are never more than topics. When there are so many, no
/// subscriber is read from, and what those that leave take back is told of no more, but counted. It takes an application
/// that has asked for such notices and does not receive them.
const MAX_OTHERS: usize = 65_536;

/// Bytes of topics and messages in them: each that comes anew has a share of its own.
const MAX_OTHER_BYTES: usize = 64 * 1024 * 1024;

/// The state of an XPUB socket.
#[derive(Debug, Default)]
pub(crate) struct XPubPattern {
    publisher: Publisher,
    notices: Notices,
    /// Pipes that are not read from until notices are received.
    clogged: KeySet,
    /// There are too many notices of all together.
    crowded: bool,
    /// Pipes and their subscribers of whose notices one was undone by another subscriber's, and which may be read from
    /// again.
    relieved: Vec<(usize, SubscriberId)>,
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
            self.look_for_crowd();
            let most = self.publisher.options().max_notices;
            if self.crowded || self.notices.is_full(id, most, MAX_NOTICE_BYTES) {
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

    /// Judges anew whether there are too many notices; once there were, half of them have to go first.
    fn look_for_crowd(&mut self) {
        let share = if self.crowded { 2 } else { 1 };
        self.crowded = self
            .notices
            .is_crowded(MAX_OTHERS / share, MAX_OTHER_BYTES / share);
    }

    /// Reads on where others have made room.
    fn relieve(&mut self, pipes: &mut Pipes) {
        while let Some((pipe, id)) = self.relieved.pop() {
            self.unclog(pipe, id, pipes);
        }
    }

    /// A notice of a subscriber was received, or undone: reads on where there is room for more again.
    fn unclog(&mut self, pipe: usize, id: SubscriberId, pipes: &mut Pipes) {
        let half = self.publisher.options().max_notices.div_ceil(2);
        if self.crowded {
            self.look_for_crowd();
            if !self.crowded {
                let all = std::mem::take(&mut self.clogged);
                all.into_iter().for_each(|pipe| self.hear(pipe, pipes));
            }
        } else if !self.notices.is_full(id, half, MAX_NOTICE_BYTES / 2) && self.clogged.remove(&pipe) {
            self.hear(pipe, pipes);
        }
    }

    /// Puts in a notice of a change, if the application is to hear of it. Only where changes are all that it hears may two
    /// of them cancel each other out: else another notice would be told of a topic that is gone. A manual application hears
    /// everything, for it keeps account of each subscriber.
    fn note(&mut self, pipe: usize, id: SubscriberId, topic: &[u8], change: Change) {
        let options = self.publisher.options();
        let (verbosity, manual) = (options.verbosity, options.manual);
        let (subscribe, least) = match change {
            Change::First => (true, Verbosity::Changes),
            Change::Another | Change::Duplicate => (true, Verbosity::Subscriptions),
            Change::Last => (false, Verbosity::Changes),
            Change::Left | Change::Unmatched => (false, Verbosity::All),
        };
        if verbosity < least && !manual {
            return;
        }
        let event = event(id, subscribe, topic);
        if verbosity > Verbosity::Changes || manual {
            self.notices.put(pipe, event);
        } else if let Some((other, undone)) = self.notices.put_change(pipe, subscribe, event)
            && self.clogged.contains(&other)
        {
            self.relieved.push((other, undone.subscriber()));
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
            if change == Change::Last || !self.notices.is_crowded(MAX_OTHERS, MAX_OTHER_BYTES) {
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
        self.relieve(pipes);
    }

    fn disconnected(&mut self, pipe: usize, pipes: &mut Pipes) {
        self.hear(pipe, pipes);
        self.forget(pipe, pipes);
        self.relieve(pipes);
    }

    fn detach(&mut self, pipe: usize) {
        self.part(pipe, None);
    }

    fn activate_read(&mut self, pipe: usize, pipes: &mut Pipes) {
        if !self.clogged.contains(&pipe) {
            self.hear(pipe, pipes);
            self.relieve(pipes);
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
            self.relieve(pipes);
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

    /// The default of the option.
    const MAX_NOTICES: usize = 1_000;

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
    fn a_subscriber_has_as_many_notices_as_the_option_says() {
        for (most, after_one) in [(1, 2), (3, 3), (4, 4)] {
            let (mut xpub, mut pipes, keys, mut far) = xpub(1, Verbosity::Changes);
            let mut options = Options::default();
            options.topics.max_notices = most;
            xpub.configure(&options);
            (0..10).for_each(|at| say(&mut far[0], true, &at.to_string()));
            xpub.activate_read(keys[0], &mut pipes);
            assert_eq!(xpub.publisher.topics(), most);
            xpub.recv(&mut None, &mut pipes);
            assert_eq!(xpub.publisher.topics(), after_one, "of {most}");
            assert_eq!(count(&mut xpub, &mut pipes), 9);
            assert_eq!(xpub.publisher.topics(), 10);
        }
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

    /// One of two subscribers stays, so that what the other wants and leaves, again and again, are no changes.
    fn crowd(xpub: &mut XPubPattern, pipes: &mut Pipes, keys: &[usize], far: &mut [PipeEnd]) {
        (0..900).for_each(|at| say(&mut far[1], true, &at.to_string()));
        xpub.activate_read(keys[1], pipes);
        for _ in 0..200 {
            (0..900).for_each(|at| say(&mut far[0], true, &at.to_string()));
            xpub.activate_read(keys[0], pipes);
            xpub.disconnected(keys[0], pipes);
            xpub.connected(keys[0], &PeerInfo::new(SocketType::Sub), pipes);
        }
    }

    #[test]
    fn an_application_that_takes_nothing_has_all_subscribers_wait() {
        let (mut xpub, mut pipes, keys, mut far) = xpub(2, Verbosity::All);
        crowd(&mut xpub, &mut pipes, &keys, &mut far);
        assert!(xpub.crowded && xpub.notices.others() <= MAX_OTHERS);
        assert!(pipes.tally().notices_dropped > 0);
        say(&mut far[0], true, "at last");
        xpub.activate_read(keys[0], &mut pipes);
        assert_eq!(xpub.publisher.count(b"at last"), 0);
        count(&mut xpub, &mut pipes);
        assert_eq!(xpub.publisher.count(b"at last"), 1);
    }

    #[test]
    fn a_subscriber_whose_notices_were_undone_by_another_is_read_from_again() {
        let (mut xpub, mut pipes, keys, mut far) = xpub(2, Verbosity::Changes);
        let topics = || (0..MAX_NOTICES).map(|at| at.to_string());
        topics().for_each(|topic| say(&mut far[0], true, &topic));
        xpub.activate_read(keys[0], &mut pipes);
        assert_eq!(count(&mut xpub, &mut pipes), MAX_NOTICES);
        topics().for_each(|topic| say(&mut far[0], false, &topic));
        say(&mut far[0], true, "more");
        xpub.activate_read(keys[0], &mut pipes);
        assert_eq!(xpub.publisher.count(b"more"), 0, "its share is used up");
        topics().for_each(|topic| say(&mut far[1], true, &topic));
        xpub.activate_read(keys[1], &mut pipes);
        assert_eq!(xpub.publisher.count(b"more"), 1);
        assert_eq!(count(&mut xpub, &mut pipes), 1);
    }

    #[test]
    fn subscribers_are_read_from_again_although_those_that_crowded_out_all_others_have_left() {
        let (mut xpub, mut pipes, keys, mut far) = xpub(2, Verbosity::All);
        crowd(&mut xpub, &mut pipes, &keys, &mut far);
        xpub.disconnected(keys[0], &mut pipes);
        xpub.disconnected(keys[1], &mut pipes);
        count(&mut xpub, &mut pipes);
        xpub.connected(keys[0], &PeerInfo::new(SocketType::Sub), &mut pipes);
        say(&mut far[0], true, "news");
        xpub.activate_read(keys[0], &mut pipes);
        assert_eq!(xpub.publisher.count(b"news"), 1);
    }

    #[test]
    fn large_messages_that_nobody_takes_do_not_fill_the_memory() {
        let (mut xpub, mut pipes, keys, mut far) = xpub(1, Verbosity::Changes);
        for _ in 0..300 {
            assert!(far[0].push(Message::from(vec![b'x'; MAX_NOTICE_BYTES])).is_ok());
            xpub.activate_read(keys[0], &mut pipes);
            xpub.disconnected(keys[0], &mut pipes);
            xpub.connected(keys[0], &PeerInfo::new(SocketType::Sub), &mut pipes);
        }
        assert!(count(&mut xpub, &mut pipes) * MAX_NOTICE_BYTES <= MAX_OTHER_BYTES + MAX_NOTICE_BYTES);
        assert!(pipes.get_mut(keys[0]).unwrap().traffic().discarded > 0);
        say(&mut far[0], true, "news");
        xpub.activate_read(keys[0], &mut pipes);
        assert_eq!(xpub.publisher.count(b"news"), 1);
    }

    #[test]
    fn a_manual_application_hears_of_all_that_a_subscriber_has_lost() {
        let (mut xpub, mut pipes, keys, _far) = xpub(2, Verbosity::Changes);
        let mut options = Options::default();
        options.topics.manual = true;
        xpub.configure(&options);
        for key in &keys {
            let id = xpub.publisher.subscriber(*key).unwrap();
            assert!(xpub.decide(id, true, b"shared", &mut pipes));
        }
        for key in keys {
            let id = xpub.publisher.subscriber(key).unwrap();
            xpub.disconnected(key, &mut pipes);
            let mut place = None;
            assert!(xpub.recv(&mut place, &mut pipes).is_some());
            assert_eq!(place, Some(event(id, false, b"shared")));
        }
        assert_eq!(count(&mut xpub, &mut pipes), 0);
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
