//! Limits: every number that bounds what a peer can make us hold, the room a reader has left, and peer text made safe.

use std::time::Duration;

use crate::DisconnectReason;
use crate::message::FRAME_OVERHEAD;
use crate::queue::Load;

/// The most that is read at once before READY: what the peer has no right to send yet waits in the system's buffers.
pub(super) const HANDSHAKE_READ: usize = 2 * 1024;

/// How long the application may take to decide on a peer; RFC 27 leaves it open, and a peer waits no longer than this.
pub(crate) const DECISION_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a peer that was denied waits for the news, so that passwords are not tried at the speed of the network.
pub(super) const DENIAL_PAUSE: Duration = Duration::from_millis(100);

/// What a seal may add to a frame, above that of CURVE: a command's name, a nonce, flags and an authenticator.
pub(super) const SEAL: usize = 64;

/// The most properties in a READY; libzmq sends two, and one for each `X-` property of the application.
pub(super) const PROPERTIES: usize = 64;

/// The most bytes of names and values in a READY: they stay in memory as long as the connection.
pub(super) const PROPERTY_BYTES: usize = 8 * 1024;

/// The most properties that an application can add to our READY: as many as a peer like us takes beside the type of the
/// socket and its routing id.
pub(super) const OWN_PROPERTIES: usize = PROPERTIES - 2;

/// The most bytes of names and values in them. The socket's own two take less than the difference.
pub(super) const OWN_PROPERTY_BYTES: usize = PROPERTY_BYTES - 512;

/// The most bytes of escaped peer text in an error: the longest reason of an ERROR command, if it was printable.
pub(super) const SHOWN_TEXT: usize = 255;

/// The most bytes of a PING's context that a PONG brings back; RFC 37 allows no more.
pub(super) const PING_CONTEXT: usize = 16;

/// What is reserved for a body on the peer's word alone; half of the 64 KiB that one connection may hold unearned, so
/// that everything else it holds fits in the other half.
pub(super) const FIRST_RESERVATION: usize = 32 * 1024;

/// The same before READY, where a thousand strangers may be half-open at once; an honest READY fits.
pub(super) const HANDSHAKE_RESERVATION: usize = 1024;

/// A body's buffer is never larger than this many times the bytes that have arrived in it, once past the first
/// reservation.
pub(super) const GROWTH: usize = 4;

/// A body up to the largest one that the peer has delivered in full is reserved at once, but never more than this.
pub(super) const TRUSTED_RESERVATION: usize = 1024 * 1024;

/// A body from this size on is read straight into its place, all but what comes with its header.
pub(super) const STREAMED: usize = 256 * 1024;

/// What is read of a header that may be that of such a body, be it behind another body or for itself: little to copy, and
/// enough for a few short messages if none of size follows.
pub(super) const HEADER_READ: usize = 1024;

/// From this size on, to read straight into a body saves more in copies than it costs; a buffer with less space left grows.
pub(super) const DIRECT: usize = 8 * 1024;

/// So many parts of a message cost nothing but their bodies; each one beyond costs [`FRAME_OVERHEAD`] as well.
///
/// Envelopes and small records are free, and a million empty parts are not.
pub(super) const FREE_PARTS: usize = 64;

/// What one more part with a body of `len` bytes adds to the cost of a message that already has `parts` parts.
///
/// The cost of a message is bounded by `max_message_size`, the number of its parts by `max_message_parts`.
pub(super) fn part_cost(parts: usize, len: u64) -> u64 {
    let overhead = if parts < FREE_PARTS { 0 } else { FRAME_OVERHEAD };
    len.saturating_add(wide(overhead))
}

/// Widens a length; `usize` has no more than 64 bits anywhere.
pub(super) fn wide(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Makes the error for a number above its limit.
pub(super) fn over(what: &'static str, got: u64, limit: usize) -> DisconnectReason {
    DisconnectReason::OverLimit {
        what,
        got,
        limit: wide(limit),
    }
}

/// How much the reader of the messages can still take.
///
/// A message is taken while there is room for any at all, so that one above the byte limit passes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// How many more messages.
    pub(crate) messages: usize,
    /// How many more bytes, in weights of messages.
    pub(crate) bytes: usize,
}

impl Room {
    /// No room.
    pub(crate) const NONE: Self = Self {
        messages: 0,
        bytes: 0,
    };

    /// Room without a bound.
    pub(crate) const UNBOUNDED: Self = Self {
        messages: usize::MAX,
        bytes: usize::MAX,
    };

    /// Tells whether one more message may be taken.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.messages > 0 && self.bytes > 0
    }

    /// Accounts for a message of this weight.
    #[inline]
    pub(super) fn take(&mut self, weight: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(weight);
    }

    /// Accounts for many messages.
    pub(super) fn take_all(&mut self, load: Load) {
        let narrow = |count| usize::try_from(count).unwrap_or(usize::MAX);
        self.messages = self.messages.saturating_sub(narrow(load.messages));
        self.bytes = self.bytes.saturating_sub(narrow(load.weight()));
    }
}

/// Escapes bytes that a peer chose and cuts the result, so that they can stand in a log line. Quotes stay as they are.
pub(super) fn printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        let escaped = byte.escape_ascii();
        if matches!(byte, b'"' | b'\'') {
            text.push(char::from(byte));
        } else if text.len().saturating_add(escaped.len()) <= SHOWN_TEXT {
            text.extend(escaped.map(char::from));
        } else {
            break;
        }
    }
    text.truncate(SHOWN_TEXT);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_text_is_escaped_and_cut() {
        assert_eq!(printable(b"Not \"here\"\n\x1b[2J"), "Not \"here\"\\n\\x1b[2J");
        assert_eq!(printable(&[b'a'; 255]).len(), 255);
        assert!(printable(&[0; 255]).len() <= SHOWN_TEXT);
        assert_eq!(printable(&[b'"'; 999]).len(), SHOWN_TEXT);
    }

    #[test]
    fn parts_cost_their_slot_beyond_the_free_ones() {
        assert_eq!(part_cost(0, 10), 10);
        assert_eq!(part_cost(FREE_PARTS, 10), 74);
        assert_eq!(part_cost(FREE_PARTS, u64::MAX), u64::MAX);
    }
}
