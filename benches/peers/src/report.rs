//! What a process tells the driver at the end, as one line.

use crate::Outcome;

/// Which parts of the round trips are at most as long as those reported, in thousandths.
pub const QUANTILES: [usize; 9] = [10, 50, 100, 250, 500, 750, 900, 990, 999];

/// How the line begins.
const OPENING: &str = "report ";

/// What one side did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many messages it sent or received, or how many round trips it made or answered.
    pub messages: u64,
    /// When it began to send, in nanoseconds on a clock that all processes share; 0 if it did not.
    pub first: u64,
    /// When it had received the last message; 0 if it did not receive.
    pub last: u64,
    /// CPU time from the start to the end, of all threads, in nanoseconds.
    pub cpu: u64,
    /// The most memory that the process ever had, in KiB.
    pub peak: u64,
    /// How long round trips took, in nanoseconds, at each of [`QUANTILES`].
    pub round_trips: Vec<u64>,
}

impl Report {
    pub(crate) fn print(&self) {
        let Self {
            messages,
            first,
            last,
            cpu,
            peak,
            round_trips,
        } = self;
        let round_trips: Vec<String> = round_trips.iter().map(u64::to_string).collect();
        println!(
            "{OPENING}{messages} {first} {last} {cpu} {peak} {}",
            round_trips.join(",")
        );
    }

    /// Reads the line back; `None` if it is another.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix(OPENING)?.split(' ');
        let mut number = || words.next()?.parse().ok();
        Some(Self {
            messages: number()?,
            first: number()?,
            last: number()?,
            cpu: number()?,
            peak: number()?,
            round_trips: words
                .next()?
                .split(',')
                .filter_map(|word| word.parse().ok())
                .collect(),
        })
    }

    /// One process that was both sides.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            messages: self.messages.max(other.messages),
            first: self.first.max(other.first),
            last: self.last.max(other.last),
            cpu: self.cpu + other.cpu,
            peak: self.peak + other.peak,
            round_trips: if self.round_trips.is_empty() {
                other.round_trips
            } else {
                self.round_trips
            },
        }
    }
}

/// Picks the reported ones out of all round trips.
pub(crate) fn quantiles(mut times: Vec<u32>) -> Vec<u64> {
    times.sort_unstable();
    let at = |thousandths: usize| {
        times
            .get(times.len() * thousandths / 1000)
            .copied()
            .map(u64::from)
    };
    QUANTILES.into_iter().filter_map(at).collect()
}

/// The most memory that this process ever had, in KiB; 0 where the system does not tell.
pub(crate) fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// What a bound socket announces its endpoint with.
pub const BOUND: &str = "bound ";

/// What the witness says when all are connected.
pub const READY: &str = "ready";

/// What the witness says when the last message has come.
pub const DONE: &str = "done";

/// Reads a line that must begin so.
pub fn after<'a>(opening: &str, line: &'a str) -> Outcome<&'a str> {
    line.strip_prefix(opening)
        .ok_or_else(|| format!("{opening:?} expected, not {line:?}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read_as_printed() {
        let line = "report 1 2 3 4 5 6,7";
        let report = Report {
            messages: 1,
            first: 2,
            last: 3,
            cpu: 4,
            peak: 5,
            round_trips: vec![6, 7],
        };
        assert_eq!(Report::parse(line), Some(report));
        assert_eq!(
            Report::parse("report 1 2 3 4 5 ").map(|report| report.round_trips),
            Some(vec![])
        );
        assert_eq!(Report::parse("ready"), None);
    }

    #[test]
    fn the_middle_is_in_the_middle() {
        let middle = QUANTILES
            .iter()
            .position(|&thousandths| thousandths == 500)
            .unwrap();
        assert_eq!(quantiles((0..=1000).rev().collect())[middle], 500);
    }
}
