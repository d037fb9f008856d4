//! Bodies of a kilobyte at most, in buffers that each thread keeps for the next one.

use std::cell::RefCell;

/// The longest body in a short buffer: what the short form of a ZMTP frame can hold.
pub(crate) const SHORT: usize = u8::MAX as usize;

/// The longest body that is kept so. A buffer twice as large would often be mostly empty.
pub(crate) const MEDIUM: usize = 1024;

/// Bodies up to this length are copied with so many bytes.
const HALF: usize = 128;

/// Buffers of each size that a thread keeps: as many as the verbs for many messages send under one lock, and some 80 KiB at
/// most. To allocate all but a few of a batch, and free them again, takes twice as long as to send it.
const KEPT: usize = 64;

/// What a thread keeps.
#[allow(clippy::vec_box, reason = "it is the boxes that are kept")]
pub(crate) struct Kept {
    short: Vec<Box<Buffer<SHORT>>>,
    medium: Vec<Box<Buffer<MEDIUM>>>,
}

impl Kept {
    const NOTHING: Self = Self {
        short: Vec::new(),
        medium: Vec::new(),
    };
}

thread_local! {
    static BUFFERS: RefCell<Kept> = const { RefCell::new(Kept::NOTHING) };
}

/// All of a size are alike, so that one is as good as any other.
#[derive(Clone, Debug)]
pub(crate) struct Buffer<const N: usize> {
    len: u16,
    bytes: [u8; N],
}

/// A size of which a thread keeps buffers.
pub(crate) trait Size: Sized {
    /// Returns those that are kept.
    fn among(kept: &mut Kept) -> &mut Vec<Box<Self>>;
}

impl Size for Buffer<SHORT> {
    #[inline]
    fn among(kept: &mut Kept) -> &mut Vec<Box<Self>> {
        &mut kept.short
    }
}

impl Size for Buffer<MEDIUM> {
    #[inline]
    fn among(kept: &mut Kept) -> &mut Vec<Box<Self>> {
        &mut kept.medium
    }
}

/// A body outside of its frame. To take its buffer and to give it back costs less than an allocation; and it is one word,
/// for messages are moved more often than they are looked at.
#[derive(Clone, Debug)]
pub(crate) struct Pooled<const N: usize>(Option<Box<Buffer<N>>>)
where
    Buffer<N>: Size;

impl<const N: usize> Pooled<N>
where
    Buffer<N>: Size,
{
    /// Copies a body that is not too long.
    #[inline]
    pub(crate) fn copy_from_slice(source: &[u8]) -> Option<Self> {
        let len = u16::try_from(source.len())
            .ok()
            .filter(|len| usize::from(*len) <= N)?;
        let mut buffer = take_buffer();
        buffer.len = len;
        if let Some(body) = buffer.bytes.get_mut(..source.len()) {
            body.copy_from_slice(source);
        }
        Some(Self(Some(buffer)))
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |buffer| usize::from(buffer.len))
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        let Some(buffer) = &self.0 else { return &[] };
        buffer.bytes.get(..usize::from(buffer.len)).unwrap_or_default()
    }
}

impl Pooled<SHORT> {
    /// Copies the first `len` bytes of `padded`, and some of the rest that is never seen again: to copy a number of
    /// bytes that the compiler knows takes no call.
    #[inline]
    pub(crate) fn from_padded(padded: &[u8; SHORT], len: u8) -> Self {
        let mut buffer = take_buffer();
        buffer.len = len.into();
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
}

#[inline]
fn take_buffer<const N: usize>() -> Box<Buffer<N>>
where
    Buffer<N>: Size,
{
    let kept = BUFFERS.try_with(|kept| Size::among(&mut *kept.try_borrow_mut().ok()?).pop());
    kept.ok().flatten().unwrap_or_else(new_buffer)
}

#[inline(never)]
fn new_buffer<const N: usize>() -> Box<Buffer<N>> {
    Box::new(Buffer {
        len: 0,
        bytes: [0; N],
    })
}

/// Drops the buffers that this thread keeps.
#[cfg(fuzzing)]
pub(crate) fn forget() {
    let _ = BUFFERS.try_with(|kept| kept.replace(Kept::NOTHING));
}

impl<const N: usize> Drop for Pooled<N>
where
    Buffer<N>: Size,
{
    #[inline]
    fn drop(&mut self) {
        let Some(buffer) = self.0.take() else { return };
        // A thread that ends has no more use for it.
        let _ = BUFFERS.try_with(|kept| {
            if let Ok(mut kept) = kept.try_borrow_mut() {
                let buffers = Size::among(&mut kept);
                if buffers.len() < KEPT {
                    buffers.push(buffer);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What holds for buffers of each size.
    fn check<const N: usize>()
    where
        Buffer<N>: Size,
    {
        a_buffer_serves_again_and_shows_nothing_of_its_past::<N>();
        a_thread_keeps_only_so_many::<N>();
        the_limit_is_exact::<N>();
    }

    #[test]
    fn short_buffers_go_round() {
        check::<SHORT>();
    }

    #[test]
    fn medium_buffers_go_round() {
        check::<MEDIUM>();
    }

    fn a_buffer_serves_again_and_shows_nothing_of_its_past<const N: usize>()
    where
        Buffer<N>: Size,
    {
        let first = Pooled::<N>::copy_from_slice(&[1; 200]).unwrap();
        let address = first.as_slice().as_ptr();
        drop(first);
        let second = Pooled::<N>::copy_from_slice(&[2; 70]).unwrap();
        assert_eq!(second.as_slice(), [2; 70]);
        assert_eq!(second.as_slice().as_ptr(), address);
        assert_eq!(second.clone().as_slice(), [2; 70]);
    }

    fn a_thread_keeps_only_so_many<const N: usize>()
    where
        Buffer<N>: Size,
    {
        let bodies: Vec<_> = (0..100)
            .map(|_| Pooled::<N>::copy_from_slice(&[7; 100]))
            .collect();
        assert!(bodies.iter().all(Option::is_some));
        drop(bodies);
        BUFFERS.with(|kept| {
            let mut kept = kept.borrow_mut();
            assert_eq!(Buffer::<N>::among(&mut kept).len(), KEPT);
        });
    }

    fn the_limit_is_exact<const N: usize>()
    where
        Buffer<N>: Size,
    {
        assert!(Pooled::<N>::copy_from_slice(&vec![0; N]).is_some());
        assert!(Pooled::<N>::copy_from_slice(&vec![0; N + 1]).is_none());
    }
}
