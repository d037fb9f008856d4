//! How much there is of messages: their number, their frames, their bytes.

use super::LONG_HEADER;
use crate::message::{FRAME_OVERHEAD, Message};
use crate::stats::Count;

/// A number of messages, their frames and the bytes in their bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) messages: u64,
    frames: u64,
    pub(crate) bytes: u64,
}

impl Load {
    pub(super) const NOTHING: Self = Self {
        messages: 0,
        frames: 0,
        bytes: 0,
    };

    #[inline]
    pub(crate) fn of(message: &Message) -> Self {
        Self {
            messages: 1,
            frames: message.len() as u64,
            bytes: message.byte_len() as u64,
        }
    }

    /// The load of messages of one frame each.
    #[inline]
    pub(crate) fn of_singles(messages: u64, bytes: u64) -> Self {
        Self {
            messages,
            frames: messages,
            bytes,
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, more: Self) {
        self.messages += more.messages;
        self.frames += more.frames;
        self.bytes += more.bytes;
    }

    #[inline]
    pub(crate) fn subtract(&mut self, less: Self) {
        self.messages -= less.messages;
        self.frames -= less.frames;
        self.bytes -= less.bytes;
    }

    /// What counts against a limit in bytes.
    #[inline]
    pub(crate) fn weight(self) -> u64 {
        self.bytes + self.frames * FRAME_OVERHEAD as u64
    }

    /// How many bytes messages of one frame each take at most in their packed form.
    #[inline]
    pub(super) fn packed(self) -> u64 {
        self.bytes + self.messages * LONG_HEADER as u64
    }

    pub(crate) fn count(self) -> Count {
        Count {
            messages: self.messages,
            bytes: self.bytes,
        }
    }
}
