//! When a pipe is long: how much waits in it when its writer should rest.

use crate::queue::Load;

/// The weight from which on a pipe is long: it leaves the second cache of most processors, and has messages enough for the
/// reader to be busy for some tenths of a millisecond.
const LONG: u64 = 1024 * 1024;

/// The same for bodies that have each a buffer of their own: what is in fewer buffers is still in the cache when they serve
/// again, whereas the reader of many small messages would only be busy for too short a time.
pub(crate) const LONG_OF_LARGE: u64 = LONG / 2;

/// Bodies that are as large as this on average are large: those that are not copied among others on their way out.
const LARGE: u64 = 4 * 1024;

/// The most that a reader keeps of what it has read before it says so: a writer that rests shall not wait for one that has
/// nothing else to read.
pub(super) const STEP: u64 = LONG / 4;

/// Returns the weight from which on a pipe with these messages is long.
pub(super) fn long(held: Load) -> u64 {
    if held.bytes >= held.messages.saturating_mul(LARGE) {
        LONG_OF_LARGE
    } else {
        LONG
    }
}

/// Tells whether a pipe with these messages is long.
#[inline]
pub(super) fn is_long(held: Load) -> bool {
    let weight = held.weight();
    // Most pipes are shorter than either; to ask which it is costs each message 3 % more.
    weight > LONG_OF_LARGE && weight > long(held)
}
