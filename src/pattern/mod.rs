//! Patterns: who gets the next message, and from whom the next one comes. One page for each socket type.
//!
//! Contract. A pattern is called with its socket locked; it never blocks, never wakes anybody, and knows neither
//! threads nor connections. It hears of its pipes by key: `attach` once, `activate_*` whenever a pipe that it found
//! empty or full may be tried again (a stray call does no harm), `detach` once. What must be woken goes into `Wakes`.

mod fair_queue;
mod line;
mod load_balancer;
mod pull;
mod push;

pub(crate) use pull::PullPattern;
pub(crate) use push::PushPattern;

use crate::message::Message;
use crate::peer::SocketType;
use crate::pipe::{PipeEnd, Wakes};
use crate::slab::Slab;

/// The socket's ends of its pipes.
pub(crate) type Pipes = Slab<PipeEnd>;

/// The rules of one socket type.
pub(crate) trait Pattern: Default + Send + 'static {
    /// The type that goes into READY.
    const TYPE: SocketType;

    /// Whether sockets of this type receive messages at all.
    const RECEIVES: bool;

    /// A pipe was added; it may hold messages already, and take some.
    fn attach(&mut self, pipe: usize);

    /// A pipe was removed.
    fn detach(&mut self, pipe: usize);

    /// A pipe that was empty may have a message.
    fn activate_read(&mut self, pipe: usize);

    /// A pipe that was full may have room.
    fn activate_write(&mut self, pipe: usize);

    /// Sends a message and returns true, or leaves it where it is if no pipe can take it now.
    fn send(&mut self, pipes: &mut Pipes, message: &mut Option<Message>, wakes: &mut Wakes) -> bool {
        let _ = (pipes, message, wakes);
        false
    }

    /// Receives the next message to an empty place, and tells whether there was one. A pipe found closed and empty is
    /// put in `finished`.
    fn recv(
        &mut self,
        pipes: &mut Pipes,
        message: &mut Option<Message>,
        wakes: &mut Wakes,
        finished: &mut Vec<usize>,
    ) -> bool {
        let _ = (pipes, message, wakes, finished);
        false
    }

    /// Tells whether a message could be sent now.
    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        let _ = pipes;
        false
    }

    /// Tells whether a message could be received now.
    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        let _ = pipes;
        false
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Pipes with their far ends, for the tests of patterns.

    use super::*;
    use crate::pipe::{Limits, PipeLimits, pair};

    /// Adds pipes of the given capacity and returns their keys and far ends.
    pub(crate) fn pipes(
        count: usize,
        hwm: usize,
        pattern: &mut impl Pattern,
    ) -> (Pipes, Vec<usize>, Vec<PipeEnd>) {
        let mut pipes = Pipes::default();
        let (mut keys, mut far) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let limits = Limits::new(hwm, 0);
            let (near, other) = pair(PipeLimits {
                send: limits,
                recv: limits,
                conflate: false,
            });
            let key = pipes.insert(near);
            pattern.attach(key);
            keys.push(key);
            far.push(other);
        }
        (pipes, keys, far)
    }

    pub(crate) fn bodies(end: &mut PipeEnd) -> Vec<String> {
        std::iter::from_fn(|| end.pop(&mut Wakes::new()))
            .map(|m| m[0].as_str().unwrap().to_owned())
            .collect()
    }
}
