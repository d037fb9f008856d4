//! PUSH (RFC 30): sends to its PULL peers in turn, and never drops for want of room.
//!
//! The rules, in our words: any number of peers; round robin over those that can take a message; when there is none,
//! sending waits or fails and discards nothing; nothing is received. `tests/spec_pipeline.rs` has a test for each.

use super::load_balancer::LoadBalancer;
use super::{Offer, Pattern, Pipes};
use crate::message::Message;
use crate::peer::SocketType;

/// The state of a PUSH socket.
#[derive(Debug, Default)]
pub(crate) struct PushPattern {
    out: LoadBalancer,
}

impl Pattern for PushPattern {
    const TYPE: SocketType = SocketType::Push;
    const RECEIVES: bool = false;
    type Out = Message;
    type In = Message;

    fn attach(&mut self, pipe: usize) {
        self.out.activate(pipe);
    }

    fn detach(&mut self, pipe: usize) {
        self.out.detach(pipe);
    }

    fn activate_read(&mut self, _pipe: usize, _pipes: &mut Pipes) {}

    fn activate_write(&mut self, pipe: usize, _pipes: &mut Pipes) {
        self.out.activate(pipe);
    }

    #[inline]
    fn send(&mut self, message: &mut Option<Message>, pipes: &mut Pipes) -> Offer {
        Offer::taken_if(self.out.send(message, pipes).is_some())
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        self.out.can_send(pipes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bodies, pipes};
    use super::*;

    fn send(push: &mut PushPattern, pipes: &mut Pipes, body: usize) -> Result<(), Message> {
        let mut message = Some(Message::from(body.to_string()));
        let offer = push.send(&mut message, pipes);
        assert_eq!(offer == Offer::Taken, message.is_none());
        message.map_or(Ok(()), Err)
    }

    #[test]
    fn messages_go_round_robin() {
        let mut push = PushPattern::default();
        let (mut pipes, _, mut far) = pipes(3, 10, &mut push);
        (0..6).for_each(|body| send(&mut push, &mut pipes, body).unwrap());
        let got: Vec<_> = far.iter_mut().map(bodies).collect();
        assert_eq!(got, [["0", "3"], ["1", "4"], ["2", "5"]]);
    }

    #[test]
    fn a_full_pipe_is_passed_over_until_it_is_activated() {
        let mut push = PushPattern::default();
        let (mut pipes, keys, mut far) = pipes(2, 2, &mut push);
        (0..4).for_each(|body| send(&mut push, &mut pipes, body).unwrap());
        assert_eq!(send(&mut push, &mut pipes, 4), Err(Message::from("4")));
        assert_eq!(bodies(&mut far[1]), ["1", "3"]);
        assert!(
            send(&mut push, &mut pipes, 4).is_err(),
            "nobody told the pattern yet"
        );
        push.activate_write(keys[1], &mut pipes);
        send(&mut push, &mut pipes, 4).unwrap();
        assert_eq!(bodies(&mut far[1]), ["4"]);
    }

    #[test]
    fn without_peers_the_message_comes_back() {
        let mut push = PushPattern::default();
        assert_eq!(send(&mut push, &mut Pipes::default(), 1), Err(Message::from("1")));
    }

    #[test]
    fn a_stray_activation_does_no_harm() {
        let mut push = PushPattern::default();
        let (mut pipes, keys, mut far) = pipes(2, 10, &mut push);
        push.activate_write(keys[0], &mut pipes);
        push.activate_write(usize::MAX, &mut pipes);
        (0..4).for_each(|body| send(&mut push, &mut pipes, body).unwrap());
        assert_eq!(bodies(&mut far[0]).len(), 2);
    }
}
