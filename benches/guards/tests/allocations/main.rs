//! A message of up to a kilobyte costs no allocation, on any path, once queues and buffers have grown.
//!
//! A test without the usual harness, whose threads would be counted too.

mod heap;
mod paths;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use paths::{Exchange, PATTERNS, SIZE, SIZES, Verbs};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// Exchanges before those that count: more than a queue holds.
const WARM_UP: u64 = 1100;

/// Exchanges that count.
const COUNTED: u64 = 1000;

/// How far one side may send ahead of the other: on a stream it would else have sent all before any is counted.
const AHEAD: u64 = 300;

/// Of so many exchanges, one may find that a queue has to grow once more: how full they get is up to the scheduler.
const GROWTH: u64 = 4;

/// A message of several frames has them in memory of its own. So a REQ allocates the envelope of each request, which the
/// REP takes over for its reply; and over a wire whoever receives either makes that memory anew.
const ENVELOPES: (u64, u64) = (1, 3);

/// The same where a body does not fit into its frame, and so is received in memory of its own.
const LONGER_ENVELOPES: (u64, u64) = (2, 6);

fn main() -> ExitCode {
    let mut failed = 0;
    for size in SIZES {
        SIZE.store(size, Ordering::Relaxed);
        println!("allocations in {COUNTED} exchanges, {size} bytes in a message, and how many are allowed");
        for (pattern, connect) in PATTERNS {
            for endpoint in ["inproc://allocations", "tcp://127.0.0.1:0", "ipc://*"] {
                failed += Verbs::ALL
                    .iter()
                    .map(|verbs| check(pattern, || connect(endpoint), endpoint, *verbs))
                    .sum::<usize>();
            }
        }
    }
    if failed == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!("{failed} paths allocate for each message");
    ExitCode::FAILURE
}

/// Counts the allocations of one path both ways, and returns in how many there are too many.
fn check(pattern: &str, connect: impl Fn() -> Exchange, endpoint: &str, verbs: Verbs) -> usize {
    let (transport, _) = endpoint.split_once(':').unwrap_or_default();
    let allowed = allowed(pattern, transport);
    let mut failed = 0;
    let mut counts = vec![("in turn", in_turn(connect(), verbs))];
    // How large the queues of longer messages grow is up to the scheduler, again and again.
    if SIZE.load(Ordering::Relaxed) == SIZES[0] {
        counts.push(("in threads", in_threads(connect(), verbs)));
    }
    for (how, count) in counts {
        let verdict = if count > allowed { "TOO MANY" } else { "" };
        failed += usize::from(count > allowed);
        let verbs = format!("{verbs:?}");
        println!("{pattern:13} {transport:6} {verbs:8} {how:10} {count:>6} of {allowed:>6} {verdict}");
    }
    failed
}

/// How many allocations the exchanges that count may need.
fn allowed(pattern: &str, transport: &str) -> u64 {
    let (within, across) = if SIZE.load(Ordering::Relaxed) == SIZES[0] {
        ENVELOPES
    } else {
        LONGER_ENVELOPES
    };
    let known = match (pattern, transport) {
        ("req/rep", "inproc") => COUNTED * within,
        ("req/rep", _) => COUNTED * across,
        _ => 0,
    };
    known + COUNTED / GROWTH
}

/// Returns how many allocations some exchanges took.
fn observe(mut exchange: impl FnMut(), count: u64) -> u64 {
    let before = heap::allocations();
    (0..count).for_each(|_| exchange());
    heap::allocations() - before
}

/// One thread has both sides.
fn in_turn(mut exchange: Exchange, verbs: Verbs) -> u64 {
    let mut turn = || {
        (exchange.ask)(verbs);
        (exchange.answer)(verbs);
        (exchange.hear)(verbs);
    };
    observe(&mut turn, WARM_UP);
    observe(&mut turn, COUNTED)
}

/// Each side has a thread; one that hears nothing sends ahead.
fn in_threads(exchange: Exchange, verbs: Verbs) -> u64 {
    let Exchange {
        mut ask,
        mut answer,
        mut hear,
    } = exchange;
    let answered = AtomicU64::new(0);
    thread::scope(|scope| {
        let answered = &answered;
        scope.spawn(move || {
            for asked in 0..2 * WARM_UP + COUNTED {
                while asked > answered.load(Ordering::Relaxed) + AHEAD {
                    thread::yield_now();
                }
                ask(verbs);
                hear(verbs);
            }
        });
        let mut turn = || {
            answer(verbs);
            answered.fetch_add(1, Ordering::Relaxed);
        };
        observe(&mut turn, WARM_UP);
        let counted = observe(&mut turn, COUNTED);
        // The end of the other thread is not counted.
        observe(&mut turn, WARM_UP);
        counted
    })
}
