//! Bodies of a few hundred bytes at most, in buffers that each thread keeps for the next one.

use std::cell::RefCell;

/// The longest body that is kept so: what the short form of a ZMTP frame can hold.
pub(crate) const POOLED_CAPACITY: usize = u8::MAX as usize;

/// Bodies up to this length are copied with so many bytes.
const HALF: usize = 128;

/// Buffers that a thread keeps: enough for those that receive a handful of messages before they drop them, and 16 KiB
/// at most.
const KEPT: usize = 64;

thread_local! {
    #[allow(clippy::vec_box, reason = "it is the boxes that are kept")]
    static BUFFERS: RefCell<Vec<Box<Buffer>>> = const { RefCell::new(Vec::new()) };
}

/// All are of one size, so that one is as good as any other.
#[derive(Clone, Debug)]
struct Buffer {
    len: u8,
    bytes: [u8; POOLED_CAPACITY],
}

/// A short body outside of its frame. To take its buffer and to give it back costs less than an allocation; and it is
/// one word, for messages are moved more often than they are looked at.
#[derive(Clone, Debug)]
pub(crate) struct Pooled(Option<Box<Buffer>>);

impl Pooled {
    /// Copies a body that is not too long.
    #[inline]
    pub(crate) fn copy_from_slice(source: &[u8]) -> Option<Self> {
        let len = u8::try_from(source.len()).ok()?;
        let mut buffer = take_buffer();
        buffer.len = len;
        if let Some(body) = buffer.bytes.get_mut(..source.len()) {
            body.copy_from_slice(source);
        }
        Some(Self(Some(buffer)))
    }

    /// Copies the first `len` bytes of `padded`, and some of the rest that is never seen again: to copy a number of
    /// bytes that the compiler knows takes no call.
    #[inline]
    pub(crate) fn from_padded(padded: &[u8; POOLED_CAPACITY], len: u8) -> Self {
        let mut buffer = take_buffer();
        buffer.len = len;
        if usize::from(len) > HALF {
            buffer.bytes = *padded;
        } else if let (Some(to), Some(from)) = (buffer.bytes.first_chunk_mut::<HALF>(), padded.first_chunk())
        {
            *to = *from;
        }
        Self(Some(buffer))
    }

    /// Appends the body.
    #[inline]
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        let Some(buffer) = &self.0 else { return };
        match buffer.bytes.first_chunk::<HALF>() {
            Some(half) if usize::from(buffer.len) <= HALF => {
                out.extend_from_slice(half);
                out.truncate(out.len().saturating_sub(HALF - usize::from(buffer.len)));
            }
            _ => out.extend_from_slice(self.as_slice()),
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        let Some(buffer) = &self.0 else { return &[] };
        buffer.bytes.get(..usize::from(buffer.len)).unwrap_or_default()
    }
}

#[inline]
fn take_buffer() -> Box<Buffer> {
    let kept = BUFFERS.try_with(|buffers| buffers.try_borrow_mut().ok()?.pop());
    kept.ok().flatten().unwrap_or_else(new_buffer)
}

#[inline(never)]
fn new_buffer() -> Box<Buffer> {
    Box::new(Buffer {
        len: 0,
        bytes: [0; POOLED_CAPACITY],
    })
}

/// Drops the buffers that this thread keeps.
#[cfg(fuzzing)]
pub(crate) fn forget() {
    let _ = BUFFERS.try_with(|buffers| buffers.take());
}

impl Drop for Pooled {
    #[inline]
    fn drop(&mut self) {
        let Some(buffer) = self.0.take() else { return };
        // A thread that ends has no more use for it.
        let _ = BUFFERS.try_with(|buffers| {
            if let Ok(mut buffers) = buffers.try_borrow_mut()
                && buffers.len() < KEPT
            {
                buffers.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_serves_again_and_shows_nothing_of_its_past() {
        let first = Pooled::copy_from_slice(&[1; 200]).unwrap();
        let address = first.as_slice().as_ptr();
        drop(first);
        let second = Pooled::copy_from_slice(&[2; 70]).unwrap();
        assert_eq!(second.as_slice(), [2; 70]);
        assert_eq!(second.as_slice().as_ptr(), address);
        assert_eq!(second.clone().as_slice(), [2; 70]);
    }

    #[test]
    fn a_thread_keeps_only_so_many() {
        let bodies: Vec<_> = (0..2 * KEPT)
            .map(|_| Pooled::copy_from_slice(&[7; 100]))
            .collect();
        assert!(bodies.iter().all(Option::is_some));
        drop(bodies);
        assert_eq!(BUFFERS.with(|buffers| buffers.borrow().len()), KEPT);
    }

    #[test]
    fn the_limit_is_exact() {
        assert!(Pooled::copy_from_slice(&[0; POOLED_CAPACITY]).is_some());
        assert!(Pooled::copy_from_slice(&[0; POOLED_CAPACITY + 1]).is_none());
    }
}
