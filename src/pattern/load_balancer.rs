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
        while let Some(key) = self.line.front() {
            if pipes.send(key, message) {
                self.line.rotate();
                return Some(key);
            }
            self.line.leave();
        }
        None
    }

    /// Returns the pipe that the next message goes to, if there is one.
    pub(crate) fn next(&mut self, pipes: &mut Pipes) -> Option<usize> {
        if self.can_send(pipes) {
            self.line.front()
        } else {
            None
        }
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
