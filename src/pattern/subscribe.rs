//! SUB (RFC 29): receives from its publishers, in turn, what it has subscribed to.
//!
//! The rules, in our words: any number of publishers; each is told of all subscriptions when it comes, and of each change;
//! fair queueing over those that have a message; what was not subscribed to is passed over, be it that the publisher has
//! sent it before it heard of a change; a topic subscribed to twice is cancelled twice; nothing else is sent.
//! `tests/spec_pubsub.rs` has a test for each.

use super::announcer::{Announcer, Subscribes};
use super::fair_queue::FairQueue;
use super::publisher::first_frame;
use super::{Pattern, Pipes};
use crate::message::Message;
use crate::options::Options;
use crate::peer::{PeerInfo, SocketType};

/// The state of a SUB socket.
#[derive(Debug, Default)]
pub(crate) struct SubPattern {
    announcer: Announcer,
    inbound: FairQueue,
    invert: bool,
}

impl Subscribes for SubPattern {
    fn announcer(&mut self) -> &mut Announcer {
        &mut self.announcer
    }
}

impl Pattern for SubPattern {
    const TYPE: SocketType = SocketType::Sub;
    const RECEIVES: bool = true;
    type Out = Message;
    type In = Message;

    fn configure(&mut self, options: &Options) {
        self.invert = options.topics.invert;
    }

    fn attach(&mut self, pipe: usize) {
        self.inbound.activate(pipe);
    }

    fn connected(&mut self, pipe: usize, _info: &PeerInfo, pipes: &mut Pipes) {
        self.announcer.connected(pipe, pipes);
    }

    fn disconnected(&mut self, pipe: usize, pipes: &mut Pipes) {
        self.announcer.disconnected(pipe, pipes);
    }

    fn detach(&mut self, pipe: usize) {
        self.announcer.detach(pipe);
        self.inbound.detach(pipe);
    }

    fn activate_read(&mut self, pipe: usize, _pipes: &mut Pipes) {
        self.inbound.activate(pipe);
    }

    fn activate_write(&mut self, pipe: usize, pipes: &mut Pipes) {
        self.announcer.tell(pipe, pipes);
    }

    #[inline]
    fn recv(&mut self, received: &mut Option<Message>, pipes: &mut Pipes) -> Option<usize> {
        let pipe = self.inbound.recv(received, pipes)?;
        let wanted = |message: &Message| self.announcer.topics().matches(first_frame(message)) != self.invert;
        if !received.as_ref().is_some_and(wanted)
            && let Some(message) = received.take()
        {
            pipes.discard(pipe, &message);
        }
        Some(pipe)
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.inbound.can_recv(pipes)
    }
}
