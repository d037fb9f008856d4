//! Timers: at most one for each source, in the order in which they go off. Knows no clock.

use std::collections::BTreeSet;
use std::time::Instant;

/// Deadlines with the key of their source.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    deadlines: BTreeSet<(Instant, usize)>,
}

impl Timers {
    /// Sets or moves the timer of a source; tells whether it is now the first to go off.
    pub(crate) fn arm(&mut self, key: usize, armed: &mut Option<Instant>, deadline: Instant) -> bool {
        self.disarm(key, armed);
        *armed = Some(deadline);
        self.deadlines.insert((deadline, key));
        self.deadlines.first() == Some(&(deadline, key))
    }

    pub(crate) fn disarm(&mut self, key: usize, armed: &mut Option<Instant>) {
        if let Some(deadline) = armed.take() {
            self.deadlines.remove(&(deadline, key));
        }
    }

    /// Takes the first timer that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<usize> {
        let first = *self.deadlines.first().filter(|(deadline, _)| *deadline <= now)?;
        self.deadlines.remove(&first);
        Some(first.1)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timers_go_off_in_order_and_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        let (mut one, mut two) = (None, None);
        assert!(timers.arm(1, &mut one, at(5)));
        assert!(timers.arm(2, &mut two, at(3)));
        assert!(!timers.arm(2, &mut two, at(9)), "moved behind the other");
        assert_eq!((timers.next(), timers.pop_due(at(4))), (Some(at(5)), None));
        assert_eq!(timers.pop_due(at(5)), Some(1));
        timers.disarm(2, &mut two);
        assert_eq!((timers.pop_due(at(99)), timers.next()), (None, None));
    }
}
