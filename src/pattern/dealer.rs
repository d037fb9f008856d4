//! DEALER (RFC 28): sends to its peers in turn and receives from them in turn, without any order between the two.
//!
//! The rules, in our words: any number of peers; round robin over those that can take a message; when there is none,
//! sending waits or fails and discards nothing; fair queueing over those that have a message; messages pass unchanged in
//! both directions. `tests/spec_reqrep.rs` has a test for each.

use super::fair_queue::FairQueue;
use super::load_balancer::LoadBalancer;
use super::{Offer, Pattern, Pipes};
use crate::message::Message;
use crate::options::Options;
use crate::peer::{PeerInfo, SocketType};

/// The state of a DEALER socket.
#[derive(Debug, Default)]
pub(crate) struct DealerPattern {
    out: LoadBalancer,
    inbound: FairQueue,
    probe: bool,
}

/// Makes oneself known to a ROUTER. If the pipe is full, what is in it does so.
pub(super) fn send_probe(pipe: usize, pipes: &mut Pipes) {
    pipes.send(pipe, &mut Some(Message::new()));
}

impl Pattern for DealerPattern {
    const TYPE: SocketType = SocketType::Dealer;
    const RECEIVES: bool = true;
    type Out = Message;
    type In = Message;

    fn configure(&mut self, options: &Options) {
        self.probe = options.dialogue.probe;
    }

    fn attach(&mut self, pipe: usize) {
        self.out.activate(pipe);
        self.inbound.activate(pipe);
    }

    fn connected(&mut self, pipe: usize, _info: &PeerInfo, pipes: &mut Pipes) {
        if self.probe {
            send_probe(pipe, pipes);
        }
    }

    fn detach(&mut self, pipe: usize) {
        self.out.detach(pipe);
        self.inbound.detach(pipe);
    }

    fn activate_read(&mut self, pipe: usize, _pipes: &mut Pipes) {
        self.inbound.activate(pipe);
    }

    fn activate_write(&mut self, pipe: usize, _pipes: &mut Pipes) {
        self.out.activate(pipe);
    }

    #[inline]
    fn send(&mut self, message: &mut Option<Message>, pipes: &mut Pipes) -> Offer {
        Offer::taken_if(self.out.send(message, pipes).is_some())
    }

    #[inline]
    fn recv(&mut self, message: &mut Option<Message>, pipes: &mut Pipes) -> Option<usize> {
        self.inbound.recv(message, pipes)
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        self.out.can_send(pipes)
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.inbound.can_recv(pipes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bodies, pipes};
    use super::*;

    #[test]
    fn sending_goes_round_robin_and_receiving_takes_turns() {
        let mut dealer = DealerPattern::default();
        let (mut pipes, _, mut far) = pipes(2, 10, &mut dealer);
        for body in ["0", "1", "2", "3"] {
            let mut message = Some(Message::from(body));
            assert_eq!(dealer.send(&mut message, &mut pipes), Offer::Taken);
        }
        assert_eq!(bodies(&mut far[0]), ["0", "2"]);
        assert_eq!(bodies(&mut far[1]), ["1", "3"]);
        for (name, end) in ["a", "b"].iter().zip(&mut far) {
            (0..2).for_each(|at| assert!(end.push(Message::from(format!("{name}{at}"))).is_ok()));
        }
        let mut got = Vec::new();
        let mut place = None;
        while dealer.recv(&mut place, &mut pipes).is_some() {
            got.extend(
                place
                    .take()
                    .map(|message| message[0].as_str().unwrap().to_owned()),
            );
        }
        assert_eq!(got, ["a0", "b0", "a1", "b1"]);
    }

    #[test]
    fn a_probe_is_an_empty_message_ahead_of_all_others() {
        let mut dealer = DealerPattern {
            probe: true,
            ..DealerPattern::default()
        };
        let (mut pipes, keys, mut far) = pipes(1, 10, &mut dealer);
        dealer.connected(keys[0], &PeerInfo::new(SocketType::Router), &mut pipes);
        assert_eq!(bodies(&mut far[0]), [""]);
    }
}
