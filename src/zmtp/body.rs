//! The buffer of a body that is under way: what has come, and memory behind it that may be read into.

use crate::recycle;

/// A body that comes in pieces.
///
/// Its buffer has most often been one before. What is in it still then needs no zeros before it is read over, and is never
/// shown: a body ends with what has come.
#[derive(Debug, Default)]
pub(super) struct Body {
    buffer: Vec<u8>,
    /// How much has come.
    len: usize,
}

impl Body {
    /// How many bytes have come.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many bytes there is space for, those that have come included.
    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Makes space for so many bytes, those that have come included.
    pub(super) fn reserve(&mut self, capacity: usize) {
        if self.buffer.capacity() == 0 {
            self.buffer = recycle::take_used(capacity);
        } else {
            // Exact, so that the finished body becomes the frame's without being moved to a smaller home.
            let more = capacity.saturating_sub(self.buffer.len());
            self.buffer.reserve_exact(more);
        }
    }

    /// Appends bytes that have come.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let used = self.buffer.get_mut(self.len..).unwrap_or_default();
        let (over, behind) = bytes.split_at_checked(used.len()).unwrap_or((bytes, &[]));
        if let Some(place) = used.get_mut(..over.len()) {
            place.copy_from_slice(over);
        }
        self.buffer.extend_from_slice(behind);
        self.len = self.len.saturating_add(bytes.len());
    }

    /// The space behind what has come, within the capacity and up to so many bytes.
    pub(super) fn space(&mut self, most: usize) -> &mut [u8] {
        let end = self.len.saturating_add(most).min(self.buffer.capacity());
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        self.buffer.get_mut(self.len..end).unwrap_or_default()
    }

    /// Takes note of bytes that have come into the [`space`](Self::space).
    pub(super) fn advance(&mut self, count: usize) {
        self.len = self.len.saturating_add(count).min(self.buffer.len());
    }

    /// Ends the body with what has come.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.buffer.truncate(self.len);
        self.buffer
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever was in the buffer before, and whichever way the pieces come.
        #[test]
        fn a_body_is_what_has_come(
            before in 0_usize..20_000,
            pieces in prop::collection::vec((any::<bool>(), 0_usize..3000, any::<u8>()), 0..10),
        ) {
            recycle::give(vec![0xEE; before]);
            let mut body = Body::default();
            body.reserve(before);
            let mut expected = Vec::new();
            for (straight, len, byte) in pieces {
                let piece = vec![byte; len];
                body.reserve(expected.len() + len);
                if straight {
                    let space = body.space(len);
                    prop_assert_eq!(space.len(), len);
                    space.copy_from_slice(&piece);
                    body.advance(len);
                } else {
                    body.append(&piece);
                }
                expected.extend(piece);
                prop_assert_eq!(body.len(), expected.len());
            }
            prop_assert_eq!(body.finish(), expected);
        }

        /// Space that was not read into belongs to nobody.
        #[test]
        fn a_short_read_leaves_the_rest_of_the_space(space in 1_usize..10_000, count in 0_usize..10_000) {
            let mut body = Body::default();
            body.reserve(space);
            let most = body.space(space).len();
            prop_assert_eq!(most, space);
            let count = count.min(space);
            body.advance(count);
            body.append(b"end");
            let finished = body.finish();
            prop_assert_eq!(finished.len(), count + 3);
            prop_assert!(finished.ends_with(b"end"));
        }
    }
}
