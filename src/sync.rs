//! The locks and condition variables of the crate: std's, or loom's when the crate is model-checked.
//!
//! A lock here is never poisoned: nothing panics while it holds one except by a bug of ours, and then an
//! application is better served by the other connections than by a second panic in every one of them.

#[cfg(aqueduct_loom)]
use loom::sync as imp;
#[cfg(not(aqueduct_loom))]
use std::sync as imp;

use std::sync::PoisonError;
use std::time::Duration;

pub(crate) use imp::MutexGuard;

/// A mutual exclusion lock.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A condition variable.
#[derive(Debug, Default)]
pub(crate) struct Condvar(imp::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(imp::Condvar::new())
    }

    /// Waits for a notification, at most for `timeout` if there is one. Wakes for no reason now and then.
    #[cfg(not(aqueduct_loom))]
    pub(crate) fn wait<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Option<Duration>,
    ) -> MutexGuard<'a, T> {
        match timeout {
            None => self.0.wait(guard).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                self.0
                    .wait_timeout(guard, timeout)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        }
    }

    /// The model has no clock: a wait with a timeout may end at any time, which a yield stands for.
    #[cfg(aqueduct_loom)]
    pub(crate) fn wait<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        _timeout: Option<Duration>,
    ) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }
}
