//! PAIR (RFC 31): one peer at a time, and messages both ways.
//!
//! The rules, in our words: no more than one peer; a second is turned away, and here it is told why; a message that
//! cannot be queued waits or fails, and is never discarded; messages come in the order in which they were sent.
//! `tests/spec_pair.rs` has a test for each.

use std::collections::VecDeque;

use super::{Offer, Pattern, Pipes};
use crate::message::Message;
use crate::peer::{PeerInfo, SocketType};

/// The state of a PAIR socket.
///
/// Of the pipes to endpoints connected to, all but one wait. A peer that has left may have left messages; they are read
/// before those of the next. The one after that has to wait until they are, so that peers that come and go cannot fill
/// the memory.
#[derive(Debug, Default)]
pub(crate) struct PairPattern {
    /// The pipe in use, or to be used when its peer is there.
    current: Option<usize>,
    /// The peer of `current` has left for good.
    deserted: bool,
    /// A pipe that is only read to its end.
    last: Option<usize>,
    /// Pipes that come into use when the others are gone.
    waiting: VecDeque<usize>,
}

impl PairPattern {
    /// Lets go of what was read to its end without anybody having looked again, and makes room for another peer.
    fn tidy(&mut self, pipes: &mut Pipes) {
        if self.last.is_some_and(|pipe| pipes.is_finished(pipe)) {
            self.last = None;
        }
        self.advance();
    }

    /// Makes room for another peer if the one of now has left, and nothing is in the way.
    fn advance(&mut self) {
        if self.deserted && self.last.is_none() {
            self.last = self.current.take();
            self.deserted = false;
        }
        if self.current.is_none() {
            self.current = self.waiting.pop_front();
        }
    }
}

impl Pattern for PairPattern {
    const TYPE: SocketType = SocketType::Pair;
    const RECEIVES: bool = true;
    type Out = Message;
    type In = Message;

    fn admit(&mut self, pipe: usize, _info: &PeerInfo, pipes: &mut Pipes) -> Result<(), &'static str> {
        self.tidy(pipes);
        if *self.current.get_or_insert(pipe) == pipe {
            return Ok(());
        }
        Err("a PAIR has one peer at a time")
    }

    fn attach(&mut self, pipe: usize) {
        if *self.current.get_or_insert(pipe) != pipe {
            self.waiting.push_back(pipe);
        }
    }

    fn disconnected(&mut self, pipe: usize, pipes: &mut Pipes) {
        if self.current == Some(pipe) && pipes.is_abandoned(pipe) {
            self.deserted = true;
            self.tidy(pipes);
        }
    }

    fn retire(&mut self, pipe: usize, _pipes: &mut Pipes) {
        self.waiting.retain(|other| *other != pipe);
        if self.current == Some(pipe) {
            self.deserted = true;
            self.advance();
        }
    }

    fn detach(&mut self, pipe: usize) {
        self.waiting.retain(|other| *other != pipe);
        if self.last == Some(pipe) {
            self.last = None;
        }
        if self.current == Some(pipe) {
            self.current = None;
            self.deserted = false;
        }
        self.advance();
    }

    fn activate_read(&mut self, _pipe: usize, _pipes: &mut Pipes) {}

    fn activate_write(&mut self, _pipe: usize, _pipes: &mut Pipes) {}

    #[inline]
    fn send(&mut self, message: &mut Option<Message>, pipes: &mut Pipes) -> Offer {
        let current = self.current.filter(|_| !self.deserted);
        Offer::taken_if(current.is_some_and(|pipe| pipes.send(pipe, message)))
    }

    #[inline]
    fn recv(&mut self, message: &mut Option<Message>, pipes: &mut Pipes) -> Option<usize> {
        let mut both = [self.last, self.current].into_iter().flatten();
        both.find(|pipe| pipes.recv(*pipe, message))
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        let current = self.current.filter(|_| !self.deserted);
        current.is_some_and(|pipe| pipes.is_writable(pipe))
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        let mut both = [self.last, self.current].into_iter().flatten();
        both.any(|pipe| pipes.is_readable(pipe))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bodies, pipes};
    use super::*;

    fn admit(pair: &mut PairPattern, pipe: usize, pipes: &mut Pipes) -> Result<(), &'static str> {
        pair.admit(pipe, &PeerInfo::new(SocketType::Pair), pipes)
    }

    fn recv(pair: &mut PairPattern, pipes: &mut Pipes) -> Option<Message> {
        let mut message = None;
        pair.recv(&mut message, pipes);
        message
    }

    #[test]
    fn a_second_peer_is_not_admitted_until_the_first_is_gone() {
        let mut pair = PairPattern::default();
        let (mut pipes, keys, mut far) = pipes(1, 10, &mut pair);
        let second = pipes.vacant_key();
        assert_eq!(admit(&mut pair, keys[0], &mut pipes), Ok(()));
        assert!(admit(&mut pair, second, &mut pipes).is_err());
        let _ = far[0].close();
        pair.disconnected(keys[0], &mut pipes);
        assert_eq!(admit(&mut pair, second, &mut pipes), Ok(()));
        assert_eq!(pipes.effects().finished, keys, "nobody need look at it again");
    }

    #[test]
    fn what_a_peer_left_is_read_before_the_next_one_speaks() {
        let mut pair = PairPattern::default();
        let (mut all, keys, mut far) = pipes(2, 10, &mut pair);
        assert!(far[0].push(Message::from("old")).is_ok());
        assert!(far[1].push(Message::from("new")).is_ok());
        let _ = far[0].close();
        pair.disconnected(keys[0], &mut all);
        assert_eq!(recv(&mut pair, &mut all), Some(Message::from("old")));
        assert_eq!(recv(&mut pair, &mut all), Some(Message::from("new")));
        assert_eq!(
            pair.send(&mut Some(Message::from("to the new")), &mut all),
            Offer::Taken
        );
        assert_eq!(bodies(&mut far[1]), ["to the new"]);
    }

    #[test]
    fn peers_that_come_and_go_leave_only_so_much() {
        let mut pair = PairPattern::default();
        let (mut all, keys, mut far) = pipes(3, 10, &mut pair);
        for (key, end) in keys.iter().zip(&mut far).take(2) {
            assert!(end.push(Message::from("unread")).is_ok());
            let _ = end.close();
            pair.disconnected(*key, &mut all);
        }
        assert!(admit(&mut pair, keys[2], &mut all).is_err(), "two are unread");
        assert!(recv(&mut pair, &mut all).is_some());
        pair.detach(keys[0]);
        assert_eq!(admit(&mut pair, keys[2], &mut all), Ok(()));
    }

    #[test]
    fn messages_wait_for_a_peer_that_is_connected_to() {
        let mut pair = PairPattern::default();
        assert_eq!(
            pair.send(&mut Some(Message::from("nobody")), &mut Pipes::default()),
            Offer::Full
        );
        let (mut all, _, mut far) = pipes(1, 1, &mut pair);
        assert_eq!(
            pair.send(&mut Some(Message::from("early")), &mut all),
            Offer::Taken
        );
        assert_eq!(pair.send(&mut Some(Message::from("full")), &mut all), Offer::Full);
        assert_eq!(bodies(&mut far[0]), ["early"]);
    }
}
