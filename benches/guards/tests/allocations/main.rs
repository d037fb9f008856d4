//! A message whose body is stored in it costs no allocation, on any path, once queues and buffers have grown.
//!
//! A test without the usual harness, whose threads would be counted too.

mod heap;
mod paths;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use aqueduct::INLINE_CAPACITY;
use paths::{Exchange, PATTERNS, Verbs};

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

/// The I/O thread looks after bursts this often, and whoever is about to wait does so too: each look makes a list of them.
const TICK: Duration = Duration::from_micros(100);

fn main() -> ExitCode {
    let mut failed = 0;
    println!(
        "allocations in {COUNTED} exchanges, {INLINE_CAPACITY} bytes in a message, and how many are allowed"
    );
    for (pattern, connect) in PATTERNS {
        for endpoint in ["inproc://allocations", "tcp://127.0.0.1:0", "ipc://*"] {
            let (transport, _) = endpoint.split_once(':').unwrap_or_default();
            for verbs in Verbs::ALL {
                for (how, found, waits) in [
                    ("in turn", in_turn(connect(endpoint), verbs), COUNTED),
                    ("in threads", in_threads(connect(endpoint), verbs), COUNTED / 4),
                ] {
                    let (count, allowed) =
                        (found.allocations, allowed(pattern, transport, waits, found.time));
                    let verdict = if count > allowed { "TOO MANY" } else { "" };
                    failed += usize::from(count > allowed);
                    let verbs = format!("{verbs:?}");
                    println!(
                        "{pattern:13} {transport:6} {verbs:8} {how:10} {count:>6} of {allowed:>6} {verdict}"
                    );
                }
            }
        }
    }
    if failed == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!("{failed} paths allocate for each message");
    ExitCode::FAILURE
}

/// How many allocations the exchanges that count may need, in so many of which somebody waits during a burst.
fn allowed(pattern: &str, transport: &str, waits: u64, time: Duration) -> u64 {
    let wired = transport != "inproc";
    let (within, across) = ENVELOPES;
    let known = match pattern {
        "req/rep" => COUNTED * if wired { across } else { within },
        // Where a side waits for answers there are no bursts.
        "dealer/router" | "pair" => 0,
        _ if wired => waits + u64::try_from(time.as_micros() / TICK.as_micros()).unwrap_or(0),
        _ => 0,
    };
    known + COUNTED / GROWTH
}

/// What some exchanges took.
struct Found {
    allocations: u64,
    time: Duration,
}

fn observe(mut exchange: impl FnMut(), count: u64) -> Found {
    let (before, start) = (heap::allocations(), Instant::now());
    (0..count).for_each(|_| exchange());
    Found {
        allocations: heap::allocations() - before,
        time: start.elapsed(),
    }
}

/// One thread has both sides.
fn in_turn(mut exchange: Exchange, verbs: Verbs) -> Found {
    let mut turn = || {
        (exchange.ask)(verbs);
        (exchange.answer)(verbs);
        (exchange.hear)(verbs);
    };
    observe(&mut turn, WARM_UP);
    observe(&mut turn, COUNTED)
}

/// Each side has a thread; one that hears nothing sends ahead.
fn in_threads(exchange: Exchange, verbs: Verbs) -> Found {
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
