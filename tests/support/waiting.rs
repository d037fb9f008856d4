//! Waiting for a future that is polled only when it says so, so that a wake-up that is lost shows.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use super::LONG;

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
pub(crate) fn wait_before<F: Future>(future: F, work: impl FnOnce()) -> F::Output {
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
