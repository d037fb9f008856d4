//! An executor of one future, which runs connections while the future waits.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::Context;
use crate::reactor::Waiter;

/// Runs a future on this thread until it is ready, and connections while it waits: [`Context::block_on`] for the default
/// context.
///
/// ```
/// use aqueduct::{Pull, Push, block_on};
///
/// let pull = Pull::new();
/// let push = Push::new();
/// push.connect(&pull.bind("tcp://127.0.0.1:0")?)?;
/// let received = block_on(async {
///     push.send_async("hello").await?;
///     Ok::<_, Box<dyn std::error::Error>>(pull.recv_async().await?)
/// });
/// assert_eq!(received?, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    Context::default().block_on(future)
}

impl Context {
    /// Runs a future on this thread until it is ready. While the future waits, the thread runs the connections of the
    /// context's first I/O thread itself, as a blocking verb does, so that no message has to be handed from one thread to
    /// another.
    ///
    /// The future may be of any kind, one of many that are joined or selected from as well; but timers and I/O that need
    /// a runtime need theirs.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        // Without a descriptor for an event loop, there are no connections to run.
        let reactor = self.0.reactor_at(0).ok();
        // Not that of the thread: a blocking verb in the future would take its notices for its own.
        let waiter = Waiter::new();
        let waker = Waker::from(Arc::clone(&waiter));
        let mut task = std::task::Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            let polled = match &reactor {
                Some(reactor) => reactor.driven_here(|| future.as_mut().poll(&mut task)),
                None => future.as_mut().poll(&mut task),
            };
            if let Poll::Ready(output) = polled {
                return output;
            }
            match &reactor {
                Some(reactor) => reactor.wait(&waiter, None),
                None => waiter.wait(None, Duration::ZERO),
            }
        }
    }
}
