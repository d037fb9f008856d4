//! Runs of packed messages: how they are passed on, and where one ends.

use bytes::Bytes;

use super::{Load, PACKED, PACKED_CAPACITY, PACKED_LONG};
use crate::recycle;

/// Packed messages, one behind the other.
#[derive(Debug)]
pub(crate) enum Run<'a> {
    Part(&'a [u8]),
    /// In a buffer of [`recycle`], from there on.
    Whole(Vec<u8>, usize),
    /// Other queues have it, too.
    Shared(Bytes),
}

impl Run<'_> {
    /// Returns the messages.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Part(bytes) => bytes,
            Self::Whole(bytes, start) => bytes.get(*start..).unwrap_or_default(),
            Self::Shared(bytes) => bytes,
        }
    }

    /// Makes it one that several queues can have.
    pub(super) fn share(self) -> Bytes {
        match self {
            Self::Part(bytes) => Bytes::copy_from_slice(bytes),
            Self::Whole(bytes, start) => recycle::into_body(bytes).slice(start..),
            Self::Shared(bytes) => bytes,
        }
    }

    /// Gives the memory back.
    pub(crate) fn end(self) {
        if let Self::Whole(bytes, _) = self {
            recycle::give(bytes);
        }
    }
}

/// Returns the run of packed messages at the start of `bytes`, whole ones only, and its load; it goes on as long
/// as `more` allows for, which is asked before each message with the load so far.
#[inline]
pub(crate) fn measure(bytes: &[u8], mut more: impl FnMut(Load) -> bool) -> (&[u8], Load) {
    let mut rest = bytes;
    let mut load = Load::default();
    while let Some((body, next)) = split_message(rest)
        && more(load)
    {
        load.add(Load::of_singles(1, body.len() as u64));
        rest = next;
    }
    (bytes.get(..bytes.len() - rest.len()).unwrap_or_default(), load)
}

/// Splits the body of a packed message off from what follows.
#[inline]
pub(super) fn split_message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match bytes {
        [PACKED, len, rest @ ..] => rest.split_at_checked(usize::from(*len)),
        [PACKED_LONG, rest @ ..] => {
            let (len, rest) = rest.split_first_chunk()?;
            let len = usize::try_from(u64::from_be_bytes(*len)).ok()?;
            rest.split_at_checked(len).filter(|_| len < PACKED_CAPACITY)
        }
        _ => None,
    }
}
