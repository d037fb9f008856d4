//! The driver: how a task of an executor runs the connections of a context, where the I/O thread would.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use super::Context;
use crate::reactor::Attendant;

/// When a task on async-io comes again that need not sleep: too soon to be slept for, and not so soon that it is over at once.
#[cfg(feature = "async-io")]
const SOON: std::time::Duration = std::time::Duration::from_nanos(500);

/// Runs connections when it is called, in place of an I/O thread of its context.
///
/// Whoever waits in `recv_async` on an executor otherwise waits for the I/O thread, which reads the message and wakes the
/// task in another thread. With a driver among the tasks of the executor all that happens in one thread, the one where
/// the tasks are, and a round trip takes about half as long. One line does it; with the feature `tokio`:
///
/// ```
/// # #[cfg(feature = "tokio")] {
/// # use aqueduct::{Context, Pull, Push};
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
/// # runtime.block_on(async {
/// tokio::spawn(Context::default().driver()?.on_tokio());
/// # let pull = Pull::new();
/// # let push = Push::new();
/// # push.connect(&pull.bind("tcp://127.0.0.1:0")?)?;
/// # push.send_async("here").await?;
/// # assert_eq!(pull.recv_async().await?, "here");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// or with the feature `async-io`, for smol and others:
///
/// ```
/// # #[cfg(feature = "async-io")] {
/// # use aqueduct::{Context, Pull, Push};
/// # let executor = async_executor::LocalExecutor::new();
/// # let context = Context::new(1);
/// executor.spawn(context.driver()?.on_async_io()).detach();
/// # async_io::block_on(executor.run(async {
/// # let pull = Pull::builder().context(&context).build();
/// # let push = Push::builder().context(&context).build();
/// # push.connect(&pull.bind("tcp://127.0.0.1:0")?)?;
/// # push.send_async("here").await?;
/// # assert_eq!(pull.recv_async().await?, "here");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }))?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// In any other event loop: [`turn`](Self::turn) it whenever its descriptor is readable, be the loop one of edges or of
/// levels.
///
/// While there is a driver, the I/O thread only writes what bursts leave behind, and sees to timers. So the executor must
/// not be blocked for long, or connections are not read from. A blocking verb in another thread runs connections itself, as
/// ever. When the driver is dropped, be it with the task or the executor that it is on, the I/O thread takes over again.
pub struct Driver(Attendant);

impl Context {
    /// Returns the driver of one of the context's I/O threads. Each has only one at a time: call this again to get that of
    /// the next.
    ///
    /// # Errors
    ///
    /// All I/O threads have their drivers (`AlreadyExists`), or the system has no descriptors left for an event loop.
    pub fn driver(&self) -> io::Result<Driver> {
        let count = self.0.reactors.lock().len();
        for index in 0..count {
            if let Some(attendant) = Attendant::new(&self.0.reactor_at(index)?) {
                return Ok(Driver(attendant));
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Driver {
    /// Runs the connections for which the system has something, without blocking; a bounded amount, after which the
    /// descriptor becomes readable anew if there is more.
    ///
    /// Tells whether the next message is expected within some 100 µs, as the latest ones were. Then it is worthwhile to let
    /// other tasks run and to come again, rather than to sleep until the descriptor is readable.
    pub fn turn(&self) -> bool {
        self.0.turn()
    }

    /// Turns whenever there is something to do, as a task on tokio; ends only with an error.
    ///
    /// # Errors
    ///
    /// The system does not let tokio watch the descriptor.
    ///
    /// # Panics
    ///
    /// As all of tokio's I/O does: the runtime was built without `enable_io`, or the task is on none.
    #[cfg(feature = "tokio")]
    #[allow(
        deprecated,
        reason = "its successor wants a promise outside the language: that the descriptor lives as long as the driver"
    )]
    pub async fn on_tokio(self) -> io::Result<std::convert::Infallible> {
        use tokio::io::Interest;
        use tokio::io::unix::AsyncFd;
        use tokio::task::yield_now;

        let driver = AsyncFd::with_interest(self, Interest::READABLE)?;
        loop {
            let mut ready = driver.readable().await?;
            let mut soon = driver.get_ref().turn();
            // Only what was there before the turn; what came since makes it ready again.
            ready.clear_ready();
            while soon {
                // All tasks that are ready come first, and tokio's own poll.
                yield_now().await;
                soon = driver.get_ref().turn();
            }
        }
    }

    /// Turns whenever there is something to do, as a task on any executor, with the crate `async-io` to watch the
    /// descriptor; ends only with an error.
    ///
    /// # Errors
    ///
    /// The system does not let `async-io` watch the descriptor.
    #[cfg(feature = "async-io")]
    pub async fn on_async_io(self) -> io::Result<std::convert::Infallible> {
        let driver = async_io::Async::new_nonblocking(self)?;
        loop {
            driver.readable().await?;
            while driver.get_ref().turn() {
                // Not ready again at once, which would keep the future from running that the executor itself runs in:
                // async-io looks at its timers when neither that nor any task has anything to do.
                async_io::Timer::after(SOON).await;
            }
        }
    }
}

impl AsFd for Driver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Driver {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}
