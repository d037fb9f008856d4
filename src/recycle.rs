//! Large buffers, of bodies and of busy queues, which go round: one that is dropped becomes the next one asked for.
//!
//! An allocator gives memory of this size back to the system as soon as it can, and takes it again page by page for the
//! next message; that doubles what a large message costs. A buffer that has just been in use is in the cache, too.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use smallvec::SmallVec;

/// Smaller buffers come and go within what an allocator keeps.
pub(crate) const SMALLEST: usize = 4 * 1024;

/// Larger buffers are not kept: few of them would fill what may be.
const LARGEST: usize = 4 * 1024 * 1024;

/// Bytes that the process keeps for bodies to come: enough for what is read from a few busy connections before it is
/// dropped, and nothing that a process which uses bodies of this size would notice.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// Buffers that are kept, so that a search is short: as many of the smallest as a long queue holds.
const KEPT: usize = 256;

/// Bytes that a thread keeps at hand at most: little beside its core's cache, and a handful of each size that is kept so.
const AT_HAND: usize = 128 * 1024;

/// Larger buffers are not kept at hand: to find one costs little beside filling it.
const HANDY: usize = 16 * 1024;

/// A buffer serves for a body that leaves one part in so many of it unused.
const WASTE: usize = 4;

static BUFFERS: Mutex<Store> = Mutex::new(Store {
    buffers: VecDeque::new(),
    bytes: 0,
});

/// The buffers at rest, the latest at the end.
struct Store {
    buffers: VecDeque<Vec<u8>>,
    bytes: usize,
}

/// Buffers that are one too many; mostly none, and hardly ever more than one.
type TooMany = SmallVec<[Vec<u8>; 1]>;

impl Store {
    fn take(&mut self, capacity: usize) -> Option<Vec<u8>> {
        let at = self.buffers.iter().rposition(|buffer| fits(buffer, capacity))?;
        let buffer = self.buffers.remove(at)?;
        self.bytes = self.bytes.saturating_sub(buffer.capacity());
        Some(buffer)
    }

    /// Stores a buffer, and returns the oldest if that is one too many.
    fn give(&mut self, buffer: Vec<u8>) -> TooMany {
        self.bytes = self.bytes.saturating_add(buffer.capacity());
        self.buffers.push_back(buffer);
        let mut too_many = TooMany::new();
        while (self.bytes > KEPT_BYTES || self.buffers.len() > KEPT)
            && let Some(oldest) = self.buffers.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(oldest.capacity());
            too_many.push(oldest);
        }
        too_many
    }
}

/// Buffers at hand of a thread, the latest at the end, of [`AT_HAND`] bytes at most. One thread takes what another gives
/// back, so they pass through the lock by the handful.
#[derive(Default)]
struct Hand {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Hand {
    fn take(&mut self, capacity: usize) -> Option<Vec<u8>> {
        let at = self.buffers.iter().rposition(|buffer| fits(buffer, capacity))?;
        let buffer = self.buffers.remove(at);
        self.bytes = self.bytes.saturating_sub(buffer.capacity());
        Some(buffer)
    }

    fn put(&mut self, buffer: Vec<u8>) {
        self.bytes = self.bytes.saturating_add(buffer.capacity());
        self.buffers.push(buffer);
    }

    /// Takes a handful of such buffers from the store, beside the one that is returned.
    fn fill(&mut self, capacity: usize, store: &mut Store) -> Option<Vec<u8>> {
        let first = store.take(capacity)?;
        while self.bytes.saturating_add(capacity) <= AT_HAND / 2
            && let Some(buffer) = store.take(capacity)
        {
            self.put(buffer);
        }
        Some(first)
    }

    /// Gives all but so many bytes to the store, the oldest first.
    fn empty(&mut self, left: usize, store: &mut Store) -> TooMany {
        let mut too_many = TooMany::new();
        let mut bytes = self.bytes;
        let oldest = self.buffers.iter().take_while(|buffer| {
            let more = bytes > left;
            bytes = bytes.saturating_sub(buffer.capacity());
            more
        });
        let count = oldest.count();
        for buffer in self.buffers.drain(..count) {
            self.bytes = self.bytes.saturating_sub(buffer.capacity());
            too_many.extend(store.give(buffer));
        }
        too_many
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let too_many = self.empty(0, &mut store());
        drop(too_many);
    }
}

thread_local! {
    static HAND: RefCell<Hand> = RefCell::default();
}

/// Does something with what the calling thread has at hand; not while it ends.
fn at_hand<T>(action: impl FnOnce(&mut Hand) -> T) -> Option<T> {
    HAND.try_with(|hand| hand.try_borrow_mut().ok().map(|mut hand| action(&mut hand)))
        .ok()?
}

fn store() -> MutexGuard<'static, Store> {
    BUFFERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells whether a buffer serves for a body of this length.
fn fits(buffer: &Vec<u8>, capacity: usize) -> bool {
    let most = capacity.saturating_add(capacity / WASTE);
    (capacity..=most).contains(&buffer.capacity())
}

/// Returns an empty buffer with at least this capacity, and hardly more.
pub(crate) fn take(capacity: usize) -> Vec<u8> {
    let mut buffer = take_used(capacity);
    buffer.clear();
    buffer
}

/// The same with what is still in it, to be written over.
pub(crate) fn take_used(capacity: usize) -> Vec<u8> {
    let kept = if (SMALLEST..=HANDY).contains(&capacity) {
        at_hand(|hand| hand.take(capacity).or_else(|| hand.fill(capacity, &mut store()))).flatten()
    } else if (SMALLEST..=LARGEST).contains(&capacity) {
        store().take(capacity)
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
pub(crate) fn give(buffer: Vec<u8>) {
    if !(SMALLEST..=LARGEST).contains(&buffer.capacity()) {
        return;
    }
    let too_many = if buffer.capacity() <= HANDY {
        let given = at_hand(|hand| {
            hand.put(buffer);
            (hand.bytes > AT_HAND).then(|| hand.empty(AT_HAND / 2, &mut store()))
        });
        given.flatten().unwrap_or_default()
    } else {
        store().give(buffer)
    };
    // Memory goes back to the system outside of the lock.
    drop(too_many);
}

/// Drops the buffers that are kept.
#[cfg(fuzzing)]
pub(crate) fn forget() {
    drop(at_hand(|hand| hand.empty(0, &mut store())));
    *store() = Store {
        buffers: VecDeque::new(),
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
            buffers: VecDeque::new(),
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
        let too_many = (0..KEPT + 36).flat_map(|_| store.give(Vec::with_capacity(SMALLEST)));
        assert_eq!(too_many.count(), 36);
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
    fn what_one_thread_gives_back_another_takes_by_the_handful() {
        let (mut giver, mut taker, mut store) = (Hand::default(), Hand::default(), store());
        for _ in 0..=AT_HAND / HANDY {
            giver.put(Vec::with_capacity(HANDY));
        }
        assert!(giver.empty(AT_HAND / 2, &mut store).is_empty());
        assert!((1..=AT_HAND / 2).contains(&giver.bytes));
        let passed = store.bytes;
        assert!(taker.take(HANDY).is_none(), "nothing is at hand yet");
        assert!(taker.fill(HANDY, &mut store).is_some());
        assert_eq!(taker.bytes, AT_HAND / 2);
        assert_eq!(store.bytes + taker.bytes + HANDY, passed);
        assert!(taker.take(SMALLEST).is_none(), "too much would be wasted");
        assert!(taker.take(HANDY).is_some());
        assert_eq!(taker.bytes, AT_HAND / 2 - HANDY);
        // A thread that ends leaves nothing behind.
        assert!(giver.empty(0, &mut store).is_empty() && taker.empty(0, &mut store).is_empty());
        assert_eq!(
            (giver.bytes, taker.bytes, store.bytes),
            (0, 0, (AT_HAND / HANDY - 1) * HANDY)
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
