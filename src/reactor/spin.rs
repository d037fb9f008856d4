//! Whether to poll a little before sleeping: a forecast of how long the next wait will be.

use std::num::NonZero;
use std::sync::OnceLock;
use std::time::Duration;

/// How long the wait of a thread may be to be worth polling through: long enough for the other side to deal with a window of
/// 64 requests, which then are answered while more are on their way, in place of all sleeping in turn. To sleep and to be
/// woken costs the two threads about half as much time on a processor, so that a forecast that fails costs at most triple.
const THREAD: Duration = Duration::from_micros(80);

/// The same for a task that watches the loop on an executor, which is woken through two polls and a queue of tasks.
const TASK: Duration = Duration::from_micros(100);

/// What a wait that was slept through would have been shorter by: the time that it takes to be woken.
const WAKING: Duration = Duration::from_micros(30);

/// What a longer wait counts as, or one that was polled for in vain, in times of what is worthwhile: enough for a single
/// one to end the polling, and little enough for a few short ones to begin it again.
const LONGEST: u32 = 5;

/// A wait that brought more bytes than this was for a stream, not for an answer, or for those to a whole window of requests.
/// To poll for a stream is to fetch it in small pieces, which costs more than the sleep.
const ANSWER: usize = 8 * 1024;

/// The part of the latest wait in the forecast is one in so many.
const MEMORY: u32 = 4;

/// A forecast of the next wait from those before.
#[derive(Debug)]
pub(super) struct Spin {
    forecast: Duration,
    worthwhile: Duration,
    /// There is a second processor: on a single one, whoever is waited for could not run meanwhile.
    possible: bool,
}

impl Spin {
    /// For a thread that waits.
    pub(super) fn of_thread() -> Self {
        Self::new(THREAD, processors())
    }

    /// For a task that watches the loop.
    pub(super) fn of_task() -> Self {
        Self::new(TASK, processors())
    }

    fn new(worthwhile: Duration, processors: usize) -> Self {
        Self {
            forecast: worthwhile * LONGEST,
            worthwhile,
            possible: processors > 1,
        }
    }

    /// For how long to poll before sleeping; zero if sleep is forecast to be longer than that.
    pub(super) fn patience(&self) -> Duration {
        if self.possible && self.forecast <= self.worthwhile {
            self.worthwhile
        } else {
            Duration::ZERO
        }
    }

    /// Takes note of a wait, spent as [`patience`](Self::patience) said, and of how many bytes were then read.
    pub(super) fn note(&mut self, wait: Duration, bytes: usize) {
        let longest = self.worthwhile * LONGEST;
        let slept = self.patience().is_zero();
        let wait = if bytes > ANSWER || (!slept && wait > self.worthwhile) {
            longest
        } else if slept {
            wait.saturating_sub(WAKING).min(longest)
        } else {
            wait
        };
        self.forecast = (self.forecast * (MEMORY - 1) + wait) / MEMORY;
    }
}

fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, NonZero::get))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(25);

    fn after(waits: &[Duration]) -> Spin {
        let mut spin = Spin::new(THREAD, 2);
        waits.iter().for_each(|wait| spin.note(*wait, 100));
        spin
    }

    #[test]
    fn short_waits_in_a_row_are_polled_through() {
        assert_eq!(after(&[]).patience(), Duration::ZERO);
        assert_eq!(after(&[SHORT; 3]).patience(), Duration::ZERO);
        assert_eq!(after(&[SHORT; 12]).patience(), THREAD);
    }

    #[test]
    fn a_wait_that_would_have_been_short_without_the_sleep_begins_it() {
        let begins = |wait| (1..20).any(|count| !after(&vec![wait; count]).patience().is_zero());
        assert!(begins(SHORT + WAKING));
        assert!(!begins(THREAD + WAKING + SHORT));
    }

    #[test]
    fn polling_in_vain_ends_it_for_more_waits_than_it_cost() {
        // Some 75 µs when slept through, but not a bit shorter when polled for.
        let mut spin = after(&[SHORT; 20]);
        let (mut slept, mut polled) = (0, 0);
        for _ in 0..1000 {
            let count = if spin.patience().is_zero() {
                &mut slept
            } else {
                &mut polled
            };
            *count += 1;
            spin.note(THREAD + SHORT, 100);
        }
        assert!(
            polled > 0 && slept >= 4 * polled,
            "{slept} slept, {polled} polled"
        );
    }

    #[test]
    fn one_long_wait_ends_it_for_a_few_turns() {
        let mut spin = after(&[SHORT; 20]);
        spin.note(Duration::from_secs(1), 100);
        assert_eq!(spin.patience(), Duration::ZERO);
        (0..6).for_each(|_| spin.note(SHORT, 100));
        assert_eq!(spin.patience(), THREAD);
    }

    #[test]
    fn a_stream_is_not_polled_for() {
        let mut spin = after(&[SHORT; 20]);
        spin.note(SHORT, 64 * 1024);
        assert_eq!(spin.patience(), Duration::ZERO);
    }

    #[test]
    fn a_single_processor_never_polls() {
        let mut spin = Spin::new(THREAD, 1);
        (0..20).for_each(|_| spin.note(SHORT, 100));
        assert_eq!(spin.patience(), Duration::ZERO);
    }
}
