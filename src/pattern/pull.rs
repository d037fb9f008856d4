//! PULL (RFC 30): receives from its PUSH peers in turn, so that none of them is starved.
//!
//! The rules, in our words: any number of peers; fair queueing over those that have a message; messages of one peer
//! stay in order; nothing is sent. `tests/spec_pipeline.rs` has a test for each.

use super::fair_queue::FairQueue;
use super::{Pattern, Pipes};
use crate::message::Message;
use crate::peer::SocketType;

/// The state of a PULL socket.
#[derive(Debug, Default)]
pub(crate) struct PullPattern {
    inbound: FairQueue,
}

impl Pattern for PullPattern {
    const TYPE: SocketType = SocketType::Pull;
    const RECEIVES: bool = true;
    type Out = Message;
    type In = Message;

    fn attach(&mut self, pipe: usize) {
        self.inbound.activate(pipe);
    }

    fn detach(&mut self, pipe: usize) {
        self.inbound.detach(pipe);
    }

    fn activate_read(&mut self, pipe: usize, _pipes: &mut Pipes) {
        self.inbound.activate(pipe);
    }

    fn activate_write(&mut self, _pipe: usize, _pipes: &mut Pipes) {}

    #[inline]
    fn recv(&mut self, message: &mut Option<Message>, pipes: &mut Pipes) -> Option<usize> {
        self.inbound.recv(message, pipes)
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.inbound.can_recv(pipes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::pipes;
    use super::*;

    fn drain(pull: &mut PullPattern, pipes: &mut Pipes) -> Vec<String> {
        std::iter::from_fn(|| recv(pull, pipes))
            .map(|message| message[0].as_str().unwrap().to_owned())
            .collect()
    }

    fn recv(pull: &mut PullPattern, pipes: &mut Pipes) -> Option<Message> {
        let mut message = None;
        let from = pull.recv(&mut message, pipes);
        assert_eq!(from.is_some(), message.is_some());
        message
    }

    #[test]
    fn messages_come_one_from_each_in_turn() {
        let mut pull = PullPattern::default();
        let (mut pipes, _, mut far) = pipes(3, 10, &mut pull);
        for (name, end) in ["a", "b", "c"].iter().zip(&mut far) {
            (0..3).for_each(|at| assert!(end.push(Message::from(format!("{name}{at}"))).is_ok()));
        }
        assert_eq!(
            drain(&mut pull, &mut pipes),
            ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]
        );
    }

    #[test]
    fn an_empty_pipe_is_passed_over_until_it_is_activated() {
        let mut pull = PullPattern::default();
        let (mut pipes, keys, mut far) = pipes(2, 10, &mut pull);
        assert!(drain(&mut pull, &mut pipes).is_empty());
        assert!(far[1].push(Message::from("late")).is_ok());
        pull.activate_read(keys[1], &mut pipes);
        assert_eq!(drain(&mut pull, &mut pipes), ["late"]);
    }

    #[test]
    fn a_closed_pipe_is_read_to_its_end_and_then_reported() {
        let mut pull = PullPattern::default();
        let (mut pipes, keys, mut far) = pipes(1, 10, &mut pull);
        assert!(far[0].push(Message::from("last")).is_ok());
        let _ = far[0].close();
        assert!(recv(&mut pull, &mut pipes).is_some());
        assert!(pipes.effects().finished.is_empty());
        assert!(recv(&mut pull, &mut pipes).is_none());
        assert_eq!(pipes.effects().finished, keys);
    }
}
