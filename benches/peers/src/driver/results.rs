//! What came out, and how the contenders compare.

use aqueduct_bench_shared::figures::Spread;

use super::cells::Cell;
use super::contenders::{Contender, RAW};

/// What one run gave.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// Messages received per second, or the median round trip in microseconds.
    pub(crate) figure: f64,
    /// CPU time of both sides for each message received, in microseconds.
    pub(crate) cpu: f64,
    /// The most memory that both sides ever had, in MiB.
    pub(crate) peak: f64,
    /// Round trips in microseconds, at each of `QUANTILES`.
    pub(crate) round_trips: Vec<f64>,
}

/// All runs of one contender, in rounds.
pub(crate) struct Record {
    pub(crate) contender: Contender,
    /// A run that failed is missing.
    pub(crate) runs: Vec<Option<Run>>,
    /// Why it cannot do this, or why it failed last.
    pub(crate) reason: Option<String>,
}

impl Record {
    /// Says whether something went wrong, other than what it cannot do.
    pub(crate) fn has_failed(&self, cell: Cell) -> bool {
        self.reason.is_some() && self.contender.inability(cell).is_none()
    }

    pub(crate) fn spread(&self, figure: impl Fn(&Run) -> f64) -> Option<Spread> {
        Spread::of(self.runs.iter().flatten().map(figure))
    }

    pub(crate) fn median(&self) -> Option<f64> {
        Some(self.spread(|run| run.figure)?.median)
    }

    /// The median of the rounds' own ratios to another, because both halves of a round had the same weather.
    pub(crate) fn ratio(&self, other: &Self) -> Option<Spread> {
        let pairs = self.runs.iter().zip(&other.runs);
        Spread::of(pairs.filter_map(|(this, other)| Some(this.as_ref()?.figure / other.as_ref()?.figure)))
    }
}

/// All records of one cell.
pub(crate) struct Results {
    pub(crate) cell: Cell,
    pub(crate) records: Vec<Record>,
}

impl Results {
    pub(crate) fn is_empty(&self) -> bool {
        self.records.iter().all(|record| record.median().is_none())
    }

    pub(crate) fn has_failures(&self) -> bool {
        self.records.iter().any(|record| record.has_failed(self.cell))
    }

    pub(crate) fn of(&self, name: &str) -> Option<&Record> {
        self.records.iter().find(|record| record.contender.name == name)
    }

    pub(crate) fn raw(&self) -> Option<&Record> {
        self.of(RAW)
    }

    /// The best of some contenders.
    pub(crate) fn best(&self, of: impl Fn(&Contender) -> bool) -> Option<&Record> {
        let able = self.records.iter().filter(|record| of(&record.contender));
        let able = able.filter_map(|record| Some((record, record.median()?)));
        let sign = if self.cell.is_time() { -1.0 } else { 1.0 };
        let best = able.max_by(|a, b| (sign * a.1).total_cmp(&(sign * b.1)));
        best.map(|(record, _)| record)
    }

    pub(crate) fn best_rival(&self) -> Option<&Record> {
        self.best(Contender::is_rival)
    }
}
