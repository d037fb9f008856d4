//! An allowance: memory that many holders share, each with what it holds of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What all of a socket's connections may hold of what came in and was not received.
///
/// What is held is known a little later than it is, and by no more than each holder takes at once.
#[derive(Debug)]
pub(crate) struct Allowance {
    limit: u64,
    held: AtomicU64,
}

impl Allowance {
    /// An allowance of so many bytes; zero stands for no limit.
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: if bytes == 0 { u64::MAX } else { bytes as u64 },
            held: AtomicU64::new(0),
        })
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Tells whether half of it is held: the other half is for what cannot wait.
    pub(crate) fn is_short(&self) -> bool {
        self.held() >= self.limit / 2
    }

    /// Tells whether more is held than there is.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.held() > self.limit
    }
}

/// What one holder has of an allowance, which it gives back when it goes.
#[derive(Debug)]
pub(crate) struct Share {
    allowance: Arc<Allowance>,
    held: u64,
}

impl Share {
    pub(crate) fn of(allowance: &Arc<Allowance>) -> Self {
        Self {
            allowance: Arc::clone(allowance),
            held: 0,
        }
    }

    pub(crate) fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// Says how much this holder has now.
    #[inline]
    pub(crate) fn set(&mut self, held: u64) {
        if held != self.held {
            // Wraps where less is held than before, and the sum of all is right again.
            let more = held.wrapping_sub(self.held);
            self.allowance.held.fetch_add(more, Ordering::Relaxed);
            self.held = held;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holders_have_adds_up_and_comes_back() {
        let allowance = Allowance::new(100);
        let mut first = Share::of(&allowance);
        let mut second = Share::of(&allowance);
        first.set(30);
        assert!(!allowance.is_short());
        second.set(20);
        assert!(allowance.is_short() && !allowance.is_exceeded());
        first.set(80);
        assert!(!allowance.is_exceeded(), "all of it is not more than it");
        first.set(81);
        assert!(allowance.is_exceeded());
        first.set(1);
        assert_eq!((allowance.held(), allowance.limit()), (21, 100));
        drop((first, second));
        assert_eq!(allowance.held(), 0);
    }

    #[test]
    fn zero_is_no_limit() {
        let allowance = Allowance::new(0);
        Share::of(&allowance).set(u64::from(u32::MAX));
        assert!(!allowance.is_short() && !allowance.is_exceeded());
    }
}
