//! Frame headers: the flags and the length before every body, parsed and emitted.

use super::limits::wide;
use crate::DisconnectReason;

/// More frames of the same message follow.
pub(super) const MORE: u8 = 0b001;
/// The length has eight bytes instead of one.
pub(super) const LONG: u8 = 0b010;
/// The body is a command, not a part of a message.
pub(super) const COMMAND: u8 = 0b100;

/// The longest header: flags and eight bytes of length.
pub(super) const MAX_HEADER: usize = 9;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) more: bool,
    pub(super) command: bool,
    /// The peer's word; to be compared with a limit before anything is done with it.
    pub(super) len: u64,
}

impl Header {
    /// Parses a header at the start of `input` and returns it with what follows, or `None` if `input` ends within it.
    ///
    /// Bad flags are seen in the first byte, whether or not the length is there.
    pub(super) fn parse(input: &[u8]) -> Result<Option<(Self, &[u8])>, DisconnectReason> {
        let Some((&flags, rest)) = input.split_first() else {
            return Ok(None);
        };
        if flags & !(MORE | LONG | COMMAND) != 0 {
            return Err(DisconnectReason::Malformed("reserved flags in a frame"));
        }
        if flags & (MORE | COMMAND) == MORE | COMMAND {
            return Err(DisconnectReason::Malformed("a command with the MORE flag"));
        }
        let length = if flags & LONG == 0 {
            rest.split_first().map(|(&len, rest)| (u64::from(len), rest))
        } else {
            rest.split_first_chunk()
                .map(|(len, rest)| (u64::from_be_bytes(*len), rest))
        };
        Ok(length.map(|(len, rest)| {
            let header = Self {
                more: flags & MORE != 0,
                command: flags & COMMAND != 0,
                len,
            };
            (header, rest)
        }))
    }
}

/// Appends the header of a frame with a body of `len` bytes; `flags` may be [`MORE`] or [`COMMAND`].
#[inline]
pub(super) fn put_header(flags: u8, len: usize, out: &mut Vec<u8>) {
    if let Ok(short) = u8::try_from(len) {
        out.extend_from_slice(&[flags, short]);
    } else {
        let mut header = [flags | LONG; MAX_HEADER];
        if let Some(length) = header.last_chunk_mut() {
            *length = wide(len).to_be_bytes();
        }
        out.extend_from_slice(&header);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_short_form_ends_at_255_bytes() {
        let mut out = Vec::new();
        put_header(MORE, 255, &mut out);
        put_header(COMMAND, 256, &mut out);
        assert_eq!(out, [1, 255, 6, 0, 0, 0, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn the_long_form_may_carry_a_small_length() {
        let (header, rest) = Header::parse(&[2, 0, 0, 0, 0, 0, 0, 0, 5, 9]).unwrap().unwrap();
        assert_eq!((header.len, rest), (5, &[9][..]));
    }

    #[test]
    fn bad_flags_show_in_the_first_byte() {
        for flags in 0..=u8::MAX {
            let good = flags < 8 && flags & 5 != 5;
            assert_eq!(Header::parse(&[flags]).is_ok(), good, "{flags:#010b}");
        }
    }

    proptest! {
        #[test]
        fn headers_lead_back(more: bool, command: bool, len: usize) {
            prop_assume!(!(more && command));
            let mut out = Vec::new();
            put_header((u8::from(more) * MORE) | (u8::from(command) * COMMAND), len, &mut out);
            let header = Header { more, command, len: len as u64 };
            prop_assert_eq!(Header::parse(&out).unwrap(), Some((header, &[][..])));
            prop_assert_eq!(Header::parse(&out[..out.len() - 1]).unwrap(), None);
        }
    }
}
