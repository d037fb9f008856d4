//! A rate: so many a second, with bursts, told of the time by whoever asks.

use std::time::{Duration, Instant};

/// A token bucket, kept as the time at which it would be full again: it needs no tick and no division.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    /// The time in which a token comes.
    interval: Duration,
    /// How far ahead of the time the tokens taken may be.
    tolerance: Duration,
    /// When the bucket is full again; `None` before the first token is taken.
    full_at: Option<Instant>,
}

impl TokenBucket {
    /// A full bucket of `burst` tokens, into which come `per_second`; of either at least one.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self {
            interval,
            tolerance: interval.saturating_mul(burst.saturating_sub(1)),
            full_at: None,
        }
    }

    /// Returns when there will be a token; `None` if there is one now.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        self.full_at?
            .checked_sub(self.tolerance)
            .filter(|next| *next > now)
    }

    /// Takes a token, and tells whether there was one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        if self.next(now).is_some() {
            return false;
        }
        let begin = self.full_at.map_or(now, |full| full.max(now));
        self.full_at = begin.checked_add(self.interval);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_passes_and_then_one_token_at_a_time() {
        let now = Instant::now() + Duration::from_secs(60);
        let mut bucket = TokenBucket::new(100, 3);
        assert_eq!([(); 4].map(|()| bucket.take(now)), [true, true, true, false]);
        assert_eq!(bucket.next(now), Some(now + 10 * MS));
        assert!(!bucket.take(now + 9 * MS));
        assert!(bucket.take(now + 10 * MS) && !bucket.take(now + 10 * MS));
    }

    #[test]
    fn no_more_than_a_burst_is_saved_up() {
        let now = Instant::now() + Duration::from_secs(60);
        let mut bucket = TokenBucket::new(1000, 2);
        assert!(bucket.take(now));
        let later = now + Duration::from_secs(3600);
        assert_eq!([(); 3].map(|()| bucket.take(later)), [true, true, false]);
    }
}
