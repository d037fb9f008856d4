//! Medians, spreads and ratios, as tables of Markdown, and their way into the project's documents.

use std::fmt::Write;

use aqueduct_bench_shared::figures::{Spread, machine, thousands};

use crate::cells::{Cell, Contender, Kind};

/// What one round of one contender gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// Messages per second, or the median round trip in microseconds.
    pub(crate) figure: f64,
    /// In microseconds.
    pub(crate) p99: f64,
    /// CPU time of both sides for each message, in microseconds.
    pub(crate) cpu: f64,
}

/// All rounds of one cell; a round that failed is missing.
pub(crate) struct Results {
    cell: Cell,
    raw: Vec<Option<Round>>,
    aqueduct: Vec<Option<Round>>,
}

impl Results {
    pub(crate) fn new(cell: Cell) -> Self {
        Self {
            cell,
            raw: Vec::new(),
            aqueduct: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, contender: Contender, round: Option<Round>) {
        match contender {
            Contender::Raw => self.raw.push(round),
            Contender::Aqueduct => self.aqueduct.push(round),
        }
    }

    fn figure(&self, contender: Contender, figure: impl Fn(&Round) -> f64) -> Option<Spread> {
        let rounds = match contender {
            Contender::Raw => &self.raw,
            Contender::Aqueduct => &self.aqueduct,
        };
        Spread::of(rounds.iter().flatten().map(figure))
    }

    /// Each round's own ratio, because both halves of a round had the same weather.
    fn ratio(&self) -> Option<Spread> {
        let pairs = self.aqueduct.iter().zip(&self.raw);
        Spread::of(pairs.filter_map(|(ours, raw)| Some(ours.as_ref()?.figure / raw.as_ref()?.figure)))
    }

    fn failures(&self) -> String {
        let failed = self
            .raw
            .iter()
            .chain(&self.aqueduct)
            .filter(|round| round.is_none())
            .count();
        if failed == 0 {
            String::new()
        } else {
            format!(" ({failed} rounds failed)")
        }
    }

    fn name(&self) -> String {
        format!(
            "{} {}{}",
            self.cell.transport,
            size(self.cell.size),
            self.failures()
        )
    }

    /// One line for somebody who waits.
    pub(crate) fn progress(&self) -> String {
        let show = |contender| {
            cell(self.figure(contender, |round| round.figure), |x| {
                match self.cell.kind {
                    Kind::Throughput => thousands(x),
                    Kind::RoundTrip => format!("{x:.2} µs"),
                }
            })
        };
        let ratio = cell(self.ratio(), |x| format!("{x:.2}"));
        let (raw, ours) = (show(Contender::Raw), show(Contender::Aqueduct));
        format!(
            "{}{}: raw {raw}, aqueduct {ours}, ratio {ratio}",
            self.cell,
            self.failures()
        )
    }

    fn row(&self) -> String {
        let mut row = format!("| {} |", self.name());
        let fixed = |x: f64| format!("{x:.2}");
        for contender in Contender::ALL {
            let figure = self.figure(contender, |round| round.figure);
            row += &match self.cell.kind {
                Kind::Throughput => format!(" {} |", cell(figure, thousands)),
                Kind::RoundTrip => format!(" {} |", cell(figure, fixed)),
            };
        }
        row += &format!(" {} |", cell(self.ratio(), fixed));
        for contender in Contender::ALL {
            let number = self.figure(contender, |round| match self.cell.kind {
                Kind::Throughput => round.figure * self.cell.size as f64 / 1e6,
                Kind::RoundTrip => round.p99,
            });
            row += &format!(" {} |", number.map_or("–".to_owned(), |x| thousands(x.median)));
        }
        for contender in Contender::ALL {
            let cpu = self.figure(contender, |round| round.cpu);
            row += &format!(
                " {} |",
                cpu.map_or("–".to_owned(), |x| format!("{:.3}", x.median))
            );
        }
        row
    }

    fn compact_row(&self) -> String {
        let figure = self.figure(Contender::Aqueduct, |round| round.figure);
        let shown = figure.map_or("–".to_owned(), |x| match self.cell.kind {
            Kind::Throughput => format!("{} msg/s", thousands(x.median)),
            Kind::RoundTrip => format!("{:.1} µs", x.median),
        });
        let ratio = cell(self.ratio(), |x| format!("{x:.2}"));
        let cpu = self.figure(Contender::Aqueduct, |round| round.cpu);
        let cpu = cpu.map_or("–".to_owned(), |x| format!("{:.2} µs", x.median));
        let kind = match self.cell.kind {
            Kind::Throughput => "",
            Kind::RoundTrip => ", there and back",
        };
        format!("| {}{kind} | {shown} | {ratio} | {cpu} |", self.name())
    }
}

/// Says under which conditions the figures came about.
pub(crate) fn conditions(rounds: usize, seconds: f64) -> String {
    let machine = machine();
    format!(
        "{machine}; {rounds} rounds of {seconds} s for each cell, bare sockets \
         and aqueduct turn by turn; medians, with the lowest and the highest round in brackets. Default options, \
         blocking callers, one call for each message. Bodies below 64 KiB are copied by `send`, larger ones handed \
         over by reference. CPU time is that of both sides, kernel included. The ratio is the median of the rounds' \
         own ratios."
    )
}

/// The tables with all columns.
pub(crate) fn full(all: &[Results]) -> String {
    let mut text = String::new();
    for (kind, title, columns) in [
        (
            Kind::Throughput,
            "Throughput",
            "msg/s, raw | msg/s, aqueduct | ratio | MB/s, raw | MB/s, aqueduct",
        ),
        (
            Kind::RoundTrip,
            "Round trip",
            "p50 µs, raw | p50 µs, aqueduct | ratio | p99 µs, raw | p99 µs, aqueduct",
        ),
    ] {
        let mut rows = all.iter().filter(|results| results.cell.kind == kind).peekable();
        if rows.peek().is_none() {
            continue;
        }
        let head = format!("| {title} | {columns} | CPU µs, raw | CPU µs, aqueduct |");
        // Writing to a string does not fail.
        let _ = writeln!(text, "{head}\n|---|{}", "--:|".repeat(7));
        rows.for_each(|results| text += &(results.row() + "\n"));
        text += "\n";
    }
    text.trim_end().to_owned()
}

/// A few rows and columns, for the front page.
pub(crate) fn compact(all: &[Results]) -> String {
    const SHOWN: [usize; 4] = [64, 1024, 65_536, 1_048_576];
    let rows = all
        .iter()
        .filter(|results| SHOWN.contains(&results.cell.size))
        .map(Results::compact_row);
    let head = "| PUSH → PULL | aqueduct | ratio to bare sockets | CPU per message, both sides |\n|---|--:|--:|--:|\n";
    head.to_owned() + &rows.collect::<Vec<_>>().join("\n")
}

fn cell(spread: Option<Spread>, number: impl Fn(f64) -> String) -> String {
    spread.map_or("–".to_owned(), |spread| spread.show(number))
}

fn size(bytes: usize) -> String {
    match bytes {
        1_048_576 => "1 MiB".to_owned(),
        _ => format!("{} B", thousands(bytes as f64)),
    }
}
