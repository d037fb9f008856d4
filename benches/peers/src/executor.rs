//! Where the futures run.

use std::future::Future;
use std::sync::Arc;

use crate::Outcome;

/// Runs futures: one that is waited for, and others beside it.
pub trait Executor: Send + Sync + 'static {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T;

    /// Runs a future beside the one that is waited for, and returns what it gave.
    fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Outcome<T>>;
}

/// A thread for each future, for libraries that block.
pub struct Threads;

impl Executor for Threads {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        futures_lite::future::block_on(future)
    }

    fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Outcome<T>> {
        let thread = std::thread::spawn(|| futures_lite::future::block_on(future));
        async { Ok(thread.join().map_err(|_| "a thread panicked")?) }
    }
}

/// A runtime of tokio.
pub struct Tokio(tokio::runtime::Runtime);

impl Tokio {
    /// Everything in the thread that waits.
    pub fn current_thread() -> Outcome<Self> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        Ok(Self(builder.enable_all().build()?))
    }

    /// One thread besides the one that waits, as the other libraries have one I/O thread.
    pub fn multi_thread() -> Outcome<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        Ok(Self(builder.worker_threads(1).enable_all().build()?))
    }
}

impl Executor for Tokio {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.block_on(future)
    }

    fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Outcome<T>> {
        let task = self.0.spawn(future);
        async { Ok(task.await?) }
    }
}

/// An executor of smol, in the thread that waits.
#[derive(Default)]
pub struct Smol(Arc<smol::Executor<'static>>);

impl Smol {
    /// Returns the executor, to spawn tasks on.
    #[must_use]
    pub fn tasks(&self) -> Arc<smol::Executor<'static>> {
        Arc::clone(&self.0)
    }
}

impl Executor for Smol {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        smol::block_on(self.0.run(future))
    }

    fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Outcome<T>> {
        let task = self.0.spawn(future);
        async { Ok(task.await) }
    }
}
