//! The load balancer: round robin over the pipes that can take a message.

use super::Pipes;
use super::line::Line;
use crate::message::Message;

/// Pipes that are not known to be full, the next one in front.
///
/// A pipe that is found full leaves the line and comes back to its end when it is activated, so that a message never
/// waits for one peer while another could take it.
#[derive(Debug, Default)]
pub(crate) struct LoadBalancer {
    line: Line,
}

impl LoadBalancer {
    pub(crate) fn activate(&mut self, pipe: usize) {
        self.line.join(pipe);
    }

    pub(crate) fn detach(&mut self, pipe: usize) {
        self.line.remove(pipe);
    }

    /// Sends to the first pipe in line that takes the message, and returns which it was; each pipe is asked at most
    /// once. If none does, the message stays where it is.
    #[inline]
    pub(crate) fn send(&mut self, message: &mut Option<Message>, pipes: &mut Pipes) -> Option<usize> {
        while let Some(key) = self.next() {
            if self.send_to_next(message, pipes) {
                return Some(key);
            }
        }
        None
    }

    /// Returns the pipe that is offered the next message, if there is one.
    #[inline]
    pub(crate) fn next(&self) -> Option<usize> {
        self.line.front()
    }

    /// Sends to the next pipe; returns false, and leaves the message where it is, if that would not take it, or if there is
    /// none.
    #[inline]
    pub(crate) fn send_to_next(&mut self, message: &mut Option<Message>, pipes: &mut Pipes) -> bool {
        let sent = self.next().is_some_and(|key| pipes.send(key, message));
        if sent {
            self.line.rotate();
        } else {
            self.line.leave();
        }
        sent
    }

    /// Tells whether some pipe would take a message; pipes found full leave the line.
    pub(crate) fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        while let Some(key) = self.line.front() {
            if pipes.is_writable(key) {
                return true;
            }
            self.line.leave();
        }
        false
    }
}
