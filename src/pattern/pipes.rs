//! The socket's ends of its pipes, and what using them has caused: to be dealt with when the socket is unlocked.

use crate::error::DisconnectReason;
use crate::message::Message;
use crate::pipe::{PipeEnd, Wakes};
use crate::slab::Slab;

/// The ends, by key, and what a pattern leaves for its socket to do.
#[derive(Default)]
pub(crate) struct Pipes {
    ends: Slab<PipeEnd>,
    effects: Effects,
}

/// What is to be done once the pattern is through.
#[derive(Default)]
pub(crate) struct Effects {
    /// To be fired after unlocking.
    pub(crate) wakes: Wakes,
    /// Pipes found closed and empty.
    pub(crate) finished: Vec<usize>,
    /// Pipes whose peers this socket will not have any more, and why.
    pub(crate) expelled: Vec<(usize, DisconnectReason)>,
}

impl Effects {
    /// Tells whether there is nothing to do, as nearly always.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.wakes.is_empty() && self.finished.is_empty() && self.expelled.is_empty()
    }
}

impl Pipes {
    /// Sends a message through a pipe. Returns false, and leaves it where it is, if the pipe is full or gone.
    #[inline]
    pub(crate) fn send(&mut self, key: usize, message: &mut Option<Message>) -> bool {
        let Some(end) = self.ends.get_mut(key) else {
            return false;
        };
        match end.send(message) {
            Ok(None) => true,
            Ok(Some(wake)) => {
                self.effects.wakes.push(wake);
                true
            }
            Err(_) => false,
        }
    }

    /// Receives a message from a pipe to an empty place, and tells whether there was one. A pipe that is closed and
    /// empty is noted as finished.
    #[inline]
    pub(crate) fn recv(&mut self, key: usize, message: &mut Option<Message>) -> bool {
        let Some(end) = self.ends.get_mut(key) else {
            return false;
        };
        if end.recv(message, &mut self.effects.wakes) {
            return true;
        }
        if end.is_finished() {
            self.effects.finished.push(key);
        }
        false
    }

    /// Tells whether a pipe could take a message now. One that could not will be activated.
    pub(crate) fn is_writable(&mut self, key: usize) -> bool {
        self.ends.get_mut(key).is_some_and(PipeEnd::is_writable)
    }

    /// Tells whether a pipe has a message now. One that has none will be activated.
    pub(crate) fn is_readable(&mut self, key: usize) -> bool {
        self.ends.get_mut(key).is_some_and(PipeEnd::is_readable)
    }

    /// Has the socket end the connection of a pipe.
    #[allow(dead_code, reason = "for patterns that choose their peers")]
    pub(crate) fn expel(&mut self, key: usize, reason: DisconnectReason) {
        self.effects.expelled.push((key, reason));
    }

    /// What was caused and not dealt with yet.
    #[inline]
    pub(crate) fn effects(&mut self) -> &mut Effects {
        &mut self.effects
    }

    pub(crate) fn insert(&mut self, end: PipeEnd) -> usize {
        self.ends.insert(end)
    }

    pub(crate) fn remove(&mut self, key: usize) -> Option<PipeEnd> {
        self.ends.remove(key)
    }

    /// Returns the key that the next pipe will have.
    pub(crate) fn vacant_key(&self) -> usize {
        self.ends.vacant_key()
    }

    pub(crate) fn get_mut(&mut self, key: usize) -> Option<&mut PipeEnd> {
        self.ends.get_mut(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &PipeEnd)> {
        self.ends.iter()
    }

    pub(crate) fn keys(&self) -> Vec<usize> {
        self.ends.keys()
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}
