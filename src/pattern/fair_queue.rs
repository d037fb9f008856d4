//! The fair queue: one message from each pipe that has one, in turn.

use super::Pipes;
use super::line::Line;
use crate::message::Message;

/// Pipes that are not known to be empty, the next one in front.
///
/// A pipe that is found empty leaves the line and comes back to its end when it is activated.
#[derive(Debug, Default)]
pub(crate) struct FairQueue {
    line: Line,
}

impl FairQueue {
    pub(crate) fn activate(&mut self, pipe: usize) {
        self.line.join(pipe);
    }

    pub(crate) fn detach(&mut self, pipe: usize) {
        self.line.remove(pipe);
    }

    /// Receives from the first pipe in line that has a message, and returns which it was; each pipe is asked at most
    /// once.
    #[inline]
    pub(crate) fn recv(&mut self, message: &mut Option<Message>, pipes: &mut Pipes) -> Option<usize> {
        while let Some(key) = self.line.front() {
            if pipes.recv(key, message) {
                self.line.rotate();
                return Some(key);
            }
            self.line.leave();
        }
        None
    }

    /// Tells whether some pipe has a message; pipes found empty leave the line.
    pub(crate) fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        while let Some(key) = self.line.front() {
            if pipes.is_readable(key) {
                return true;
            }
            self.line.leave();
        }
        false
    }
}
