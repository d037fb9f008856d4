//! XSUB (RFC 29): a SUB whose subscriptions are messages that it sends, beside other messages to its publishers.
//!
//! The rules, in our words: those of SUB, but for the filter: all that comes is received; a message of one frame that
//! begins with 1 subscribes to the rest of it, and with 0 cancels; any other goes to each publisher that is connected;
//! sending never waits, and what a full queue does not take is dropped for that publisher alone, and counted.
//! `tests/spec_pubsub.rs` has a test for each.

use super::announcer::{Announcer, MAX_TOPIC, Subscribes};
use super::distributor::distribute;
use super::fair_queue::FairQueue;
use super::publisher::as_subscription;
use super::{Offer, Pattern, Pipes};
use crate::message::Message;
use crate::options::SlowPolicy;
use crate::peer::{PeerInfo, SocketType};
use crate::stats::DropReason;

/// The state of an XSUB socket.
#[derive(Debug, Default)]
pub(crate) struct XSubPattern {
    announcer: Announcer,
    inbound: FairQueue,
    connected: Vec<usize>,
}

impl Subscribes for XSubPattern {
    fn announcer(&mut self) -> &mut Announcer {
        &mut self.announcer
    }
}

impl Pattern for XSubPattern {
    const TYPE: SocketType = SocketType::XSub;
    const RECEIVES: bool = true;
    type Out = Message;
    type In = Message;

    fn attach(&mut self, pipe: usize) {
        self.inbound.activate(pipe);
    }

    fn connected(&mut self, pipe: usize, _info: &PeerInfo, pipes: &mut Pipes) {
        self.connected.push(pipe);
        self.announcer.connected(pipe, pipes);
    }

    fn disconnected(&mut self, pipe: usize, pipes: &mut Pipes) {
        self.connected.retain(|other| *other != pipe);
        self.announcer.disconnected(pipe, pipes);
    }

    fn detach(&mut self, pipe: usize) {
        self.connected.retain(|other| *other != pipe);
        self.announcer.detach(pipe);
        self.inbound.detach(pipe);
    }

    fn activate_read(&mut self, pipe: usize, _pipes: &mut Pipes) {
        self.inbound.activate(pipe);
    }

    fn activate_write(&mut self, pipe: usize, pipes: &mut Pipes) {
        self.announcer.tell(pipe, pipes);
    }

    fn send(&mut self, out: &mut Option<Message>, pipes: &mut Pipes) -> Offer {
        let Some(message) = out.as_ref() else {
            return Offer::Taken;
        };
        match as_subscription(message) {
            Some((_, topic)) if topic.len() > MAX_TOPIC => pipes.drop_stray(message, DropReason::Unroutable),
            Some((true, topic)) => self.announcer.subscribe(topic, true, pipes),
            Some((false, topic)) => drop(self.announcer.unsubscribe(topic, pipes)),
            None if self.connected.is_empty() => pipes.drop_stray(message, DropReason::Unroutable),
            None => return distribute(&self.connected, out, SlowPolicy::DropNewest, pipes),
        }
        *out = None;
        Offer::Taken
    }

    #[inline]
    fn recv(&mut self, received: &mut Option<Message>, pipes: &mut Pipes) -> Option<usize> {
        self.inbound.recv(received, pipes)
    }

    fn can_send(&mut self, _pipes: &mut Pipes) -> bool {
        true
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.inbound.can_recv(pipes)
    }
}
