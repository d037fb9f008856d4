//! What the simulation has found wrong, as scripts between real sockets. Each test is named after what once happened.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use aqueduct::{Dealer, Router};
use support::*;

/// A waker that tells whether it was used.
struct Bell {
    rung: AtomicBool,
    thread: Thread,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Begins to wait for a future, does something, and then polls it only when it has been woken.
fn wait_before<F: Future>(future: F, work: impl FnOnce()) -> F::Output {
    let bell = Arc::new(Bell {
        rung: AtomicBool::new(false),
        thread: thread::current(),
    });
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = pin!(future);
    let began = Instant::now();
    let mut poll = || future.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(poll().is_pending());
    work();
    loop {
        while !bell.rung.swap(false, Ordering::Acquire) {
            assert!(began.elapsed() < LONG, "nobody was woken");
            thread::park_timeout(LONG);
        }
        if let Poll::Ready(output) = poll() {
            return output;
        }
    }
}

#[test]
fn a_router_that_waited_before_it_connected_did_not_hear_its_peer() {
    for transport in Transport::ALL {
        let dealer = Dealer::new();
        let endpoint = dealer.bind(transport.anywhere()).unwrap();
        let router = Router::new();
        let received = wait_before(router.recv_async(), || {
            router.connect(&endpoint).unwrap();
            router.wait_for_peers(1, LONG).unwrap();
            dealer.send("hello").unwrap();
        });
        assert_eq!(received.unwrap().1, "hello", "{transport:?}");
    }
}
