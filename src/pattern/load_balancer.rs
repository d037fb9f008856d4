//! The load balancer: round robin over the pipes that can take a message.

use super::Pipes;
use super::line::Line;
use crate::message::Message;
use crate::pipe::{PipeEnd, Wakes};

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

    /// Sends to the first pipe in line that takes the message; each pipe is asked at most once. Returns whether one
    /// did; otherwise the message stays where it is.
    #[inline]
    pub(crate) fn send(
        &mut self,
        pipes: &mut Pipes,
        message: &mut Option<Message>,
        wakes: &mut Wakes,
    ) -> bool {
        while let Some(key) = self.line.front() {
            if let Some(pipe) = pipes.get_mut(key)
                && let Ok(wake) = pipe.send(message)
            {
                if let Some(wake) = wake {
                    wakes.push(wake);
                }
                self.line.rotate();
                return true;
            }
            self.line.leave();
        }
        false
    }

    /// Tells whether some pipe would take a message; pipes found full leave the line.
    pub(crate) fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        while let Some(key) = self.line.front() {
            if pipes.get_mut(key).is_some_and(PipeEnd::is_writable) {
                return true;
            }
            self.line.leave();
        }
        false
    }
}
