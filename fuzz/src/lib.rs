//! What the fuzz targets share: an allocator that counts, and the bound that all of them keep.
//!
//! A claim is run twice on each input, so that what is allocated once and for all (by the standard library, or by the
//! fuzzer) is not blamed on the input; and buffers that are kept for later are dropped before each look.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};

/// What one connection may hold unearned.
const UNEARNED: usize = 64 * 1024;

/// What it may hold for each byte that its peer really sent.
const PER_BYTE: usize = 4;

static IN_USE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(change: isize) {
    let now = IN_USE.fetch_add(change, Relaxed) + change;
    PEAK.fetch_max(now, Relaxed);
}

fn size(layout: Layout) -> isize {
    // No layout is larger than `isize::MAX`.
    layout.size() as isize
}

// SAFETY: everything is passed on to the system's allocator as it came; counting touches no memory but two atomics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size(layout));
        // SAFETY: the caller keeps to the contract of `alloc`, which is the system allocator's too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(size(layout));
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-size(layout));
        // SAFETY: the pointer came from the system's allocator with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size as isize - size(layout));
        // SAFETY: as for `dealloc`.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// What sockets with their peers may hold, whatever happens to them: their queues are short, their messages small.
const WORLD: usize = 8 * 1024 * 1024;

/// Runs a claim about one connection on an input, and holds it to the memory that the input has earned.
pub fn bounded(data: &[u8], claim: fn(&[u8])) {
    within(UNEARNED + PER_BYTE * data.len(), data, claim);
}

/// What a pipe may hold for a byte of input: two bytes make a message of up to 255, or seven of 31, and a queue that has
/// grown has room for four times as much.
const PIPE_PER_BYTE: usize = 4 * 8 * (31 + 9) / 2;

/// Runs a claim about a pipe, which an application fills: its messages are longer than the input that asks for them.
pub fn bounded_pipe(data: &[u8], claim: fn(&[u8])) {
    within(UNEARNED + PIPE_PER_BYTE * data.len(), data, claim);
}

/// Runs a claim about sockets with all their peers on an input.
pub fn bounded_world(data: &[u8], claim: fn(&[u8])) {
    within(WORLD, data, claim);
}

fn within(limit: usize, data: &[u8], claim: fn(&[u8])) {
    claim(data);
    aqueduct::fuzzing::forget_buffers();
    let before = IN_USE.load(Relaxed);
    PEAK.store(before, Relaxed);
    claim(data);
    let used = PEAK.load(Relaxed) - before;
    assert!(
        used <= limit as isize,
        "{used} bytes were in use for an input of {}",
        data.len()
    );
    aqueduct::fuzzing::forget_buffers();
    assert_eq!(IN_USE.load(Relaxed), before, "something was not given back");
}
