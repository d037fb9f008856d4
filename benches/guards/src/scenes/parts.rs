//! Parts of the library alone, as its bench internals show them.

use std::hint::black_box;

use aqueduct::bench_internals::{Burst, Codec, Pipe, Subscriptions, Timers, Waiter};

use super::{BATCH, INLINE, Side, message, one_side};
use crate::meter::Round;

/// Sources that have a timer.
const SOURCES: usize = 1000;

/// What a burst lets gather; more than a turn sends.
const GATHERED: u32 = 64 * 1024;

pub(super) fn encode(size: usize) -> Round {
    let mut codec = Codec::connected();
    let message = message(size);
    Box::new(move |meter| {
        meter.count(BATCH as u64, || {
            for _ in 0..BATCH {
                codec.encode(message.clone());
            }
        });
        codec.clear();
    })
}

pub(super) fn decode(size: usize) -> Round {
    let mut codec = Codec::connected();
    for _ in 0..BATCH {
        codec.encode(message(size));
    }
    let stream = codec.take_encoded();
    Box::new(move |meter| {
        let count = meter.count(BATCH as u64, || codec.decode(&stream));
        assert_eq!(count, BATCH);
    })
}

pub(super) fn pipe(side: Side) -> Round {
    let mut pipe = Pipe::new(10 * BATCH);
    let send = |pipe: &mut Pipe| (0..BATCH).for_each(|_| assert!(pipe.push([7; INLINE].into())));
    let receive = |pipe: &mut Pipe| (0..BATCH).for_each(|_| assert!(pipe.pop().is_some()));
    Box::new(move |meter| one_side(meter, side, &mut pipe, send, receive))
}

pub(super) fn burst(side: Side) -> Round {
    let mut burst = Burst::new(GATHERED);
    let send = |burst: &mut Burst| (0..BATCH).for_each(|_| assert!(burst.send([7; INLINE].into())));
    let receive = |burst: &mut Burst| assert_eq!(burst.take(), BATCH as u64);
    Box::new(move |meter| one_side(meter, side, &mut burst, send, receive))
}

pub(super) fn matching(peers: usize, topics: &[&str]) -> Round {
    let mut subscriptions = Subscriptions::default();
    for peer in 0..peers {
        for topic in topics {
            subscriptions.subscribe(peer, topic.as_bytes());
        }
    }
    find(subscriptions, peers)
}

pub(super) fn matching_none() -> Round {
    let mut subscriptions = Subscriptions::default();
    for number in 0..1000 {
        subscriptions.subscribe(0, format!("market.XETR.symbol.{number:06}.depth").as_bytes());
    }
    find(subscriptions, 0)
}

fn find(mut subscriptions: Subscriptions, peers: usize) -> Round {
    Box::new(move |meter| {
        meter.count(BATCH as u64, || {
            for _ in 0..BATCH {
                let found = subscriptions.matches(black_box(b"market.XETR.symbol.000471"));
                assert_eq!(found.len(), peers);
            }
        });
    })
}

pub(super) fn timer_moved() -> Round {
    let mut timers = Timers::armed(SOURCES);
    let mut now = SOURCES as u64;
    let mut sources = (0..SOURCES).cycle();
    Box::new(move |meter| {
        meter.count(BATCH as u64, || {
            for source in sources.by_ref().take(BATCH) {
                now += 1;
                timers.arm(source, now);
            }
        });
    })
}

pub(super) fn timer_due() -> Round {
    let mut timers = Timers::armed(SOURCES);
    let mut now = 0;
    Box::new(move |meter| {
        meter.count(BATCH as u64, || {
            for _ in 0..BATCH {
                now += 1;
                let source = timers.pop_due(now).expect("the next is due");
                timers.arm(source, now + SOURCES as u64);
            }
        });
    })
}

pub(super) fn waiter() -> Round {
    let waiter = Waiter::current();
    Box::new(move |meter| {
        meter.count(BATCH as u64, || {
            for _ in 0..BATCH {
                waiter.notify();
                waiter.park();
            }
        });
    })
}
