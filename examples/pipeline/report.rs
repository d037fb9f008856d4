//! The report: what was counted, how fast, by whom, what became of every line, and whether it is right.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use aqueduct::Traffic;

use crate::counts::Counts;

/// Ends the program if workers that went away took lines with them.
const INCOMPLETE: u8 = 3;

/// What became of the lines.
pub(crate) struct Ledger {
    sent: u64,
    counted: u64,
    /// Dropped from the queues of workers that went away.
    dropped: u64,
    /// Given to connections of workers that went away.
    in_doubt: u64,
}

pub(crate) struct Report {
    pub(crate) ledger: Ledger,
    /// Files, and lines in them.
    pub(crate) text: (usize, u64),
    pub(crate) time: Duration,
    pub(crate) counted: BTreeMap<String, u64>,
    /// Messages from the workers to the sink.
    pub(crate) tables: u64,
    pub(crate) counts: Counts,
    pub(crate) plain: Counts,
    pub(crate) plain_time: Duration,
}

impl Ledger {
    pub(crate) fn new(traffic: &Traffic, sent: u64, counted: u64) -> Self {
        Self {
            sent,
            counted,
            dropped: traffic.dropped.total(),
            in_doubt: traffic.in_doubt,
        }
    }

    /// Lines that were given to a worker and not counted.
    fn gone(&self) -> u64 {
        self.sent.saturating_sub(self.dropped + self.counted)
    }
}

impl Report {
    /// Everything was counted, and every word as often as it should be.
    fn is_right(&self) -> bool {
        self.ledger.counted == self.ledger.sent && self.counts == self.plain
    }

    /// What is missing can all have gone with workers that went away.
    fn is_explained(&self) -> bool {
        let Ledger { sent, counted, .. } = self.ledger;
        counted < sent && self.ledger.gone() <= self.ledger.in_doubt && self.counts.is_within(&self.plain)
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match (self.is_right(), self.is_explained()) {
            (true, _) => ExitCode::SUCCESS,
            (false, true) => ExitCode::from(INCOMPLETE),
            (false, false) => ExitCode::FAILURE,
        }
    }

    pub(crate) fn print(&self) {
        let Ledger {
            sent,
            counted,
            dropped,
            in_doubt,
        } = self.ledger;
        let (files, lines) = self.text;
        let row = |name: &str, what: String| println!("{name:<14} {what}");
        println!();
        row(
            "text",
            format!("{} lines from {files} file(s), over and over", grouped(lines)),
        );
        row(
            "words",
            format!(
                "{} ({} different)",
                grouped(self.counts.total()),
                grouped(self.counts.different() as u64)
            ),
        );
        row(
            "messages",
            format!(
                "{}, one for each line, and {} with counts",
                grouped(sent),
                grouped(self.tables)
            ),
        );
        row(
            "time",
            format!(
                "{:.3} s from the first line sent to the last one counted",
                self.time.as_secs_f64()
            ),
        );
        let rate = sent as f64 / self.time.as_secs_f64().max(f64::EPSILON);
        row("rate", format!("{} messages per second", grouped(rate as u64)));
        for (worker, lines) in &self.counted {
            let share = 100.0 * *lines as f64 / counted.max(1) as f64;
            row(
                &format!("worker {worker}"),
                format!("{} lines, {share:.1} %", grouped(*lines)),
            );
        }
        row("drops", grouped(dropped));
        row("in doubt", grouped(in_doubt));
        let top = self
            .counts
            .top(6)
            .into_iter()
            .map(|(word, count)| format!("{word} {}", grouped(count)));
        row("most frequent", top.collect::<Vec<_>>().join(", "));
        println!("\n{}", self.verdict());
    }

    fn verdict(&self) -> String {
        let Ledger {
            sent,
            counted,
            dropped,
            in_doubt,
        } = self.ledger;
        if self.is_right() {
            let time = self.plain_time.as_secs_f64();
            return format!("The result matches a plain count in one process, which took {time:.3} s.");
        }
        let numbers = format!("Of {} lines, {} were counted.", grouped(sent), grouped(counted));
        if !self.is_explained() {
            return format!("WRONG: the result does not match a plain count. {numbers}");
        }
        let gone = self.ledger.gone();
        format!(
            "INCOMPLETE: {numbers} Workers went away before their time, and a PUSH socket does not send twice.\n\
             {} lines were still queued for such a worker and were dropped.\n\
             {} lines had been handed to its connection. Of these, {} were counted all the same, \
             and {} went with the worker.\n\
             No word was counted more often than a plain count has it.",
            grouped(dropped),
            grouped(in_doubt),
            grouped(in_doubt.saturating_sub(gone)),
            grouped(gone),
        )
    }
}

/// A number with a comma after each thousand.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
