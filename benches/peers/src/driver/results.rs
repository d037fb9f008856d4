//! What came out, and how the contenders compare.

use std::fmt;
use std::process::Command;

use aqueduct_bench_shared::figures::Spread;
use aqueduct_peers::report::QUANTILES;

use super::cells::Cell;
use super::contenders::{Contender, RAW, Way};

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

impl Run {
    pub(crate) fn figure(&self) -> f64 {
        self.figure
    }

    pub(crate) fn cpu(&self) -> f64 {
        self.cpu
    }

    /// What 99 % of the round trips took at most.
    pub(crate) fn p99(&self) -> f64 {
        let at = QUANTILES.iter().position(|&quantile| quantile == 990);
        at.and_then(|at| self.round_trips.get(at).copied())
            .unwrap_or(f64::NAN)
    }
}

/// All runs of one contender, in rounds.
#[derive(Clone)]
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

    pub(crate) fn failures(&self) -> usize {
        self.runs.iter().filter(|run| run.is_none()).count()
    }

    pub(crate) fn spread(&self, figure: impl Fn(&Run) -> f64) -> Option<Spread> {
        Spread::of(self.runs.iter().flatten().map(figure))
    }

    pub(crate) fn median(&self) -> Option<f64> {
        Some(self.spread(|run| run.figure)?.median)
    }

    /// The median of the rounds' own ratios to another, because both halves of a round had the same weather.
    pub(crate) fn ratio(&self, other: &Self, of: impl Fn(&Run) -> f64) -> Option<Spread> {
        let pairs = self.runs.iter().zip(&other.runs);
        Spread::of(pairs.filter_map(|(this, other)| Some(of(this.as_ref()?) / of(other.as_ref()?))))
    }
}

/// Of which code figures are, and how they came about.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) commit: String,
    pub(crate) date: String,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
}

impl Origin {
    /// Of what is being built here, today.
    pub(crate) fn here(rounds: usize, seconds: f64) -> Self {
        // Of the last commit that changed what is measured: one of documents does not make figures old.
        let code = ["--", "src", "benches", "Cargo.toml"];
        let commit = said("git", &[&["log", "-1", "--format=%h"], &code[..]].concat());
        let changes = said("git", &[&["status", "--porcelain"], &code[..]].concat());
        let suffix = if changes.is_empty() { "" } else { " with changes" };
        Self {
            commit: format!("{commit}{suffix}"),
            date: said("date", &["-u", "+%F"]),
            rounds,
            seconds,
        }
    }

    /// Says whether the same code was measured as long.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.commit == other.commit && self.rounds >= other.rounds && self.seconds >= other.seconds
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            commit,
            date,
            rounds,
            seconds,
        } = self;
        write!(
            f,
            "commit {commit}, {date}, {rounds} rounds of {seconds} s or a little more"
        )
    }
}

/// What a program of the system says, run in the project's directory; nothing if it cannot.
fn said(program: &str, words: &[&str]) -> String {
    let project = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let output = Command::new(program).args(words).current_dir(project).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// All records of one cell.
#[derive(Clone)]
pub(crate) struct Results {
    pub(crate) cell: Cell,
    pub(crate) records: Vec<Record>,
    pub(crate) origin: Origin,
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

    pub(crate) fn best_rival(&self, of: Way) -> Option<&Record> {
        self.best(|contender| contender.is_rival_of(of))
    }
}
