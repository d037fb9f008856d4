//! Whether to poll a little before sleeping: a forecast of how long the next wait will be.

use std::time::Duration;

/// How long a wait may be to be worth polling through. To sleep and to be woken costs the two threads about as much
/// time on a processor, so that a forecast that fails costs at most double.
const WORTHWHILE: Duration = Duration::from_micros(40);

/// What a longer wait counts as: enough for a single one to end the polling, and little enough for a few short ones to
/// begin it again.
const LONGEST: Duration = Duration::from_micros(200);

/// A wait that brought more bytes than this was for a stream, not for an answer. To poll for a stream is to fetch it in
/// small pieces, which costs more than the sleep.
const ANSWER: usize = 4 * 1024;

/// The part of the latest wait in the forecast is one in so many.
const MEMORY: u32 = 4;

/// A forecast of the next wait from those before.
#[derive(Debug)]
pub(super) struct Spin {
    forecast: Duration,
    /// There is a second processor: on a single one, whoever is waited for could not run meanwhile.
    possible: bool,
}

impl Spin {
    pub(super) fn new(processors: usize) -> Self {
        Self {
            forecast: LONGEST,
            possible: processors > 1,
        }
    }

    /// For how long to poll before sleeping; zero if sleep is forecast to be longer than that.
    pub(super) fn patience(&self) -> Duration {
        if self.possible && self.forecast <= WORTHWHILE {
            WORTHWHILE
        } else {
            Duration::ZERO
        }
    }

    /// Takes note of a wait, however it was spent, and of how many bytes were then read.
    pub(super) fn note(&mut self, wait: Duration, bytes: usize) {
        let wait = if bytes > ANSWER {
            LONGEST
        } else {
            wait.min(LONGEST)
        };
        self.forecast = (self.forecast * (MEMORY - 1) + wait) / MEMORY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(25);

    fn after(waits: &[Duration]) -> Spin {
        let mut spin = Spin::new(2);
        waits.iter().for_each(|wait| spin.note(*wait, 100));
        spin
    }

    #[test]
    fn short_waits_in_a_row_are_polled_through() {
        assert_eq!(after(&[]).patience(), Duration::ZERO);
        assert_eq!(after(&[SHORT; 3]).patience(), Duration::ZERO);
        assert_eq!(after(&[SHORT; 12]).patience(), WORTHWHILE);
    }

    #[test]
    fn one_long_wait_ends_it_for_a_few_turns() {
        let mut spin = after(&[SHORT; 20]);
        spin.note(Duration::from_secs(1), 100);
        assert_eq!(spin.patience(), Duration::ZERO);
        (0..6).for_each(|_| spin.note(SHORT, 100));
        assert_eq!(spin.patience(), WORTHWHILE);
    }

    #[test]
    fn a_stream_is_not_polled_for() {
        let mut spin = after(&[SHORT; 20]);
        spin.note(SHORT, 64 * 1024);
        assert_eq!(spin.patience(), Duration::ZERO);
    }

    #[test]
    fn a_single_processor_never_polls() {
        let mut spin = Spin::new(1);
        (0..20).for_each(|_| spin.note(SHORT, 100));
        assert_eq!(spin.patience(), Duration::ZERO);
    }
}
