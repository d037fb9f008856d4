//! Large buffers, of bodies and of busy queues, which go round: one that is dropped becomes the next one asked for.
//!
//! An allocator gives memory of this size back to the system as soon as it can, and takes it again page by page for the
//! next message; that doubles what a large message costs. A buffer that has just been in use is in the cache, too.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Smaller buffers come and go within what an allocator keeps.
pub(crate) const SMALLEST: usize = 4 * 1024;

/// Larger buffers are not kept: few of them would fill what may be.
const LARGEST: usize = 4 * 1024 * 1024;

/// Bytes that the process keeps for bodies to come: enough for what is read from a few busy connections before it is
/// dropped, and nothing that a process which uses bodies of this size would notice.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// Buffers that are kept, so that a search is short.
const KEPT: usize = 64;

/// A buffer serves for a body that leaves one part in so many of it unused.
const WASTE: usize = 4;

static BUFFERS: Mutex<Store> = Mutex::new(Store {
    buffers: Vec::new(),
    bytes: 0,
});

/// The buffers at rest, the latest at the end.
struct Store {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Store {
    fn take(&mut self, capacity: usize) -> Option<Vec<u8>> {
        let most = capacity.saturating_add(capacity / WASTE);
        let fits = |buffer: &Vec<u8>| (capacity..=most).contains(&buffer.capacity());
        let at = self.buffers.iter().rposition(fits)?;
        let buffer = self.buffers.remove(at);
        self.bytes = self.bytes.saturating_sub(buffer.capacity());
        Some(buffer)
    }

    /// Stores a buffer, and returns the oldest if that is one too many.
    fn give(&mut self, buffer: Vec<u8>) -> Vec<Vec<u8>> {
        self.bytes = self.bytes.saturating_add(buffer.capacity());
        self.buffers.push(buffer);
        let mut too_many = Vec::new();
        while self.bytes > KEPT_BYTES || self.buffers.len() > KEPT {
            let oldest = self.buffers.remove(0);
            self.bytes = self.bytes.saturating_sub(oldest.capacity());
            too_many.push(oldest);
        }
        too_many
    }
}

/// Returns an empty buffer with at least this capacity, and hardly more.
pub(crate) fn take(capacity: usize) -> Vec<u8> {
    let kept = if (SMALLEST..=LARGEST).contains(&capacity) {
        BUFFERS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(capacity)
    } else {
        None
    };
    kept.unwrap_or_else(|| Vec::with_capacity(capacity))
}

/// Makes a body of a buffer, which goes back when the last that shares the body is dropped.
pub(crate) fn into_body(buffer: Vec<u8>) -> Bytes {
    if (SMALLEST..=LARGEST).contains(&buffer.capacity()) {
        Bytes::from_owner(Recycled(buffer))
    } else {
        Bytes::from(buffer)
    }
}

/// Takes back a buffer that nobody uses any more.
pub(crate) fn give(mut buffer: Vec<u8>) {
    if !(SMALLEST..=LARGEST).contains(&buffer.capacity()) {
        return;
    }
    buffer.clear();
    let too_many = BUFFERS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .give(buffer);
    // Memory goes back to the system outside of the lock.
    drop(too_many);
}

/// Drops the buffers that are kept.
#[cfg(fuzzing)]
pub(crate) fn forget() {
    let mut store = BUFFERS.lock().unwrap_or_else(PoisonError::into_inner);
    *store = Store {
        buffers: Vec::new(),
        bytes: 0,
    };
}

struct Recycled(Vec<u8>);

impl AsRef<[u8]> for Recycled {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Recycled {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        Store {
            buffers: Vec::new(),
            bytes: 0,
        }
    }

    #[test]
    fn the_latest_that_fits_serves_again() {
        let mut store = store();
        for capacity in [10_000, 50_000, 11_000] {
            assert!(store.give(Vec::with_capacity(capacity)).is_empty());
        }
        assert_eq!(store.take(9_000).unwrap().capacity(), 11_000);
        assert_eq!(store.take(9_000).unwrap().capacity(), 10_000);
        assert!(store.take(9_000).is_none(), "too much would be wasted");
        assert_eq!(store.bytes, 50_000);
    }

    #[test]
    fn only_so_much_is_kept() {
        let mut store = store();
        let too_many = (0..100).flat_map(|_| store.give(Vec::with_capacity(SMALLEST)));
        assert_eq!(too_many.count(), 100 - KEPT);
        for _ in 0..10 {
            store.give(Vec::with_capacity(LARGEST));
        }
        assert!(store.bytes <= KEPT_BYTES && !store.buffers.is_empty());
        assert_eq!(
            store.bytes,
            store.buffers.iter().map(Vec::capacity).sum::<usize>()
        );
    }

    #[test]
    fn a_body_shows_what_was_read_into_its_buffer() {
        let mut buffer = take(100_000);
        assert!(buffer.is_empty());
        buffer.extend_from_slice(&[7; 90_000]);
        let address = buffer.as_ptr();
        let body = into_body(buffer);
        assert_eq!((body.len(), body.as_ptr()), (90_000, address));
    }
}
