//! PUB (RFC 29): sends each message to all who have subscribed to what it begins with, and waits for none of them.
//!
//! The rules, in our words: any number of subscribers, each with a queue of its own; a topic is compared with the start of
//! the first frame, byte by byte; sending never waits, and what a full queue does not take is dropped for that subscriber
//! alone, and counted (other policies are options); subscriptions are not shown to the application, and other messages of
//! subscribers are passed over; nothing is received. `tests/spec_pubsub.rs` has a test for each.

use super::publisher::{Publisher, as_subscription};
use super::{Offer, Pattern, Pipes};
use crate::message::Message;
use crate::options::Options;
use crate::peer::{PeerInfo, SocketType};

/// The state of a PUB socket.
#[derive(Debug, Default)]
pub(crate) struct PubPattern {
    publisher: Publisher,
}

impl PubPattern {
    pub(crate) fn publisher(&mut self) -> &mut Publisher {
        &mut self.publisher
    }

    /// Takes in what a subscriber has to say. It says no more meanwhile than its queue holds, for the thread that would
    /// read it from the network is the one that told us of this.
    fn hear(&mut self, pipe: usize, pipes: &mut Pipes) {
        let mut place = None;
        while pipes.recv(pipe, &mut place) {
            let Some(message) = place.take() else { return };
            match as_subscription(&message) {
                Some((subscribe, topic)) if self.publisher.subscriber(pipe).is_some() => {
                    self.publisher.change(pipe, subscribe, topic, pipes);
                }
                _ => pipes.discard(pipe, &message),
            }
        }
    }
}

impl Pattern for PubPattern {
    const TYPE: SocketType = SocketType::Pub;
    const RECEIVES: bool = true;
    const ADDRESSED: bool = true;
    type Out = Message;
    type In = Message;

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
        self.publisher.disconnected(pipe, |_, _| {});
    }

    fn detach(&mut self, pipe: usize) {
        self.publisher.disconnected(pipe, |_, _| {});
    }

    fn activate_read(&mut self, pipe: usize, pipes: &mut Pipes) {
        // An inproc peer may subscribe before we know of it; it is heard when it is connected.
        if self.publisher.subscriber(pipe).is_some() {
            self.hear(pipe, pipes);
        }
    }

    fn activate_write(&mut self, _pipe: usize, _pipes: &mut Pipes) {}

    #[inline]
    fn send(&mut self, message: &mut Option<Message>, pipes: &mut Pipes) -> Offer {
        self.publisher.publish(message, pipes)
    }

    fn can_send(&mut self, _pipes: &mut Pipes) -> bool {
        true
    }
}
