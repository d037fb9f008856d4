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

/// A thread's own values; a model has threads of its own.
#[cfg(aqueduct_loom)]
pub(crate) use loom::thread_local;
#[cfg(not(aqueduct_loom))]
pub(crate) use std::thread_local;

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

/// A lock for what is only ever held for a moment: never across a system call, a wait, or a call into other code.
///
/// Every message passes two of these, and their unlocking is a plain store where that of [`Mutex`] is a second atomic
/// exchange, for it must look for sleepers. Nobody sleeps here: whoever finds it locked spins, then yields, then rests
/// for longer than any holder that is not itself kept from running needs.
#[cfg(not(aqueduct_loom))]
#[derive(Debug, Default)]
pub(crate) struct BriefMutex<T>(spin::mutex::SpinMutex<T>);

#[cfg(not(aqueduct_loom))]
pub(crate) type BriefMutexGuard<'a, T> = spin::mutex::SpinMutexGuard<'a, T>;

/// In a model all locks are alike.
#[cfg(aqueduct_loom)]
pub(crate) use {Mutex as BriefMutex, MutexGuard as BriefMutexGuard};

#[cfg(not(aqueduct_loom))]
impl<T> BriefMutex<T> {
    /// Attempts before the holder is taken to be off its processor: a few times what a verb holds the lock for.
    const SPINS: u32 = 128;
    /// Attempts with a yield between them before the holder is taken to be one that a yield does not let run.
    const YIELDS: u32 = 16;
    /// The rest between later attempts.
    const REST: Duration = Duration::from_micros(50);

    pub(crate) fn new(value: T) -> Self {
        Self(spin::mutex::SpinMutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> BriefMutexGuard<'_, T> {
        match self.0.try_lock() {
            Some(guard) => guard,
            None => self.lock_slowly(),
        }
    }

    #[cold]
    #[inline(never)]
    fn lock_slowly(&self) -> BriefMutexGuard<'_, T> {
        let mut attempts = 0_u32;
        loop {
            if !self.0.is_locked()
                && let Some(guard) = self.0.try_lock()
            {
                return guard;
            }
            attempts = attempts.saturating_add(1);
            if attempts < Self::SPINS {
                std::hint::spin_loop();
            } else if attempts < Self::SPINS + Self::YIELDS {
                std::thread::yield_now();
            } else {
                std::thread::sleep(Self::REST);
            }
        }
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
