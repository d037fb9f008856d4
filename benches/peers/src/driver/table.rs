//! Tables of Markdown.

use std::fmt::Write;

use aqueduct_bench_shared::figures::{Spread, machine, thousands};
use aqueduct_peers::Pattern;
use aqueduct_peers::report::QUANTILES;

use super::cells::Cell;
use super::contenders::{self, Contender, OURS, RAW, Way};
use super::results::{Record, Results, Run};

/// Where a version is to be found.
const LOCK: &str = include_str!("../../Cargo.lock");

/// What is shown of what is not there.
pub(crate) const NOTHING: &str = "–";

/// The cells of the front page.
const FRONT: [&str; 9] = [
    "thr/tcp/64",
    "thr/tcp/1024",
    "thr/tcp/65536",
    "thr/ipc/64",
    "thr/inproc/64",
    "lat/tcp/64",
    "pub/tcp/64/8",
    "fanin/tcp/64/8",
    "rtr/tcp/64",
];

/// Says where among the reported quantiles this one is.
pub(crate) fn quantile(thousandths: usize) -> Option<usize> {
    QUANTILES.iter().position(|&quantile| quantile == thousandths)
}

/// Says under which conditions the figures came about.
pub(crate) fn conditions() -> String {
    let machine = machine();
    let versions: Vec<String> = [
        ("libzmq", "zeromq-src"),
        ("omq", "omq-tokio"),
        ("rzmq", "rzmq"),
        ("zeromq", "zeromq"),
    ]
    .into_iter()
    .map(|(name, package)| format!("{name} {}", version(package)))
    .collect();
    format!(
        "{machine}. aqueduct {}, {}; tokio {}, smol {}.",
        version("aqueduct"),
        versions.join(", "),
        version("tokio"),
        version("smol"),
    )
}

/// What the lock file has of a package. The version of libzmq stands after that of the crate that builds it.
fn version(package: &str) -> &'static str {
    let (_, rest) = LOCK
        .split_once(&format!("name = \"{package}\"\nversion = \""))
        .unwrap_or_default();
    let version = rest.split('"').next().unwrap_or_default();
    version.split_once('+').map_or(version, |(_, bundled)| bundled)
}

/// Who the contenders are.
pub(crate) fn who() -> String {
    let rows = contenders::ALL
        .iter()
        .map(|contender| format!("| {} | {} |\n", contender.name, contender.what));
    format!("| | |\n|---|---|\n{}", rows.collect::<String>())
}

/// One line for somebody who waits.
pub(crate) fn progress(results: &Results) -> String {
    let figures = results.records.iter().map(|record| {
        let figure = record
            .median()
            .map_or(NOTHING.to_owned(), |x| short(results.cell, x));
        format!("{} {figure}", record.contender.name)
    });
    format!("{}: {}", results.cell, figures.collect::<Vec<_>>().join(", "))
}

/// Three digits of a rate in messages per second, or microseconds.
pub(crate) fn short(cell: Cell, figure: f64) -> String {
    let (number, unit) = match figure {
        _ if cell.is_time() => (figure, " µs"),
        1e6.. => (figure / 1e6, " M"),
        1e3.. => (figure / 1e3, " k"),
        _ => (figure, ""),
    };
    let digits = if number < 10.0 {
        2
    } else {
        usize::from(number < 100.0)
    };
    format!("{number:.digits$}{unit}")
}

fn title(pattern: Pattern) -> &'static str {
    match pattern {
        Pattern::Throughput => "PUSH → PULL, messages per second",
        Pattern::Curve => "PUSH → PULL under CURVE, messages per second",
        Pattern::Shared => "PUSH → PULL of bodies by reference, messages per second",
        Pattern::Latency => "REQ and REP, the median round trip",
        Pattern::Publish => "PUB → SUBs, messages delivered per second",
        Pattern::FanIn => "PUSHes → PULL, messages per second",
        Pattern::Routed => "DEALER and ROUTER, 64 requests under way, replies per second",
    }
}

pub(crate) fn name(cell: Cell) -> String {
    let size = match cell.size {
        1_048_576 => "1 MiB".to_owned(),
        size @ 1024.. => format!("{} KiB", size / 1024),
        size => format!("{size} B"),
    };
    let peers = match (cell.pattern, cell.peers) {
        (_, 1) => String::new(),
        (Pattern::Publish, peers) => format!(", to {}", thousands(peers.into())),
        (_, peers) => format!(", from {}", thousands(peers.into())),
    };
    format!("{} {size}{peers}", cell.transport.word())
}

/// All tables: each pattern at a glance, then each cell with all its figures.
pub(crate) fn full(all: &[Results]) -> String {
    let mut text = String::new();
    for pattern in Pattern::ALL {
        let of_pattern: Vec<&Results> = all
            .iter()
            .filter(|results| results.cell.pattern == pattern)
            .collect();
        if of_pattern.is_empty() {
            continue;
        }
        text += &section(title(pattern), contenders::note(pattern), &of_pattern, None);
        for way in [Way::Batch, Way::Spin] {
            let has = |results: &&Results| results.records.iter().any(|record| record.contender.way == way);
            let cells: Vec<&Results> = of_pattern.iter().copied().filter(has).collect();
            if !cells.is_empty() {
                text += &section(
                    &format!("{}, {}", title(pattern), way.words()),
                    None,
                    &cells,
                    Some(way),
                );
            }
        }
    }
    text.trim_end().to_owned()
}

/// Tables of cells: of the modes with one call for each message as they are by default, or of those used in a special way.
fn section(title: &str, note: Option<&str>, cells: &[&Results], way: Option<Way>) -> String {
    let mut text = format!("### {title}\n\n{}", overview(cells, way));
    if let Some(note) = note {
        text += &format!("\n{note}\n");
    }
    let mut origins: Vec<String> = cells.iter().map(|results| results.origin.to_string()).collect();
    origins.dedup();
    text += &format!("\nMeasured: {}.\n\n", origins.join("; "));
    for results in cells {
        text += &details(results, way);
    }
    text
}

/// Whose figures stand below each other.
#[derive(Clone, Copy)]
enum Column {
    One(Contender),
    /// The best mode of a library.
    Best(&'static str),
}

impl Column {
    fn head(self) -> &'static str {
        match self {
            Self::One(contender) => contender.name,
            Self::Best(library) => library,
        }
    }

    fn record(self, results: &Results) -> Option<&Record> {
        match self {
            Self::One(contender) => results.of(contender.name),
            Self::Best(library) => {
                results.best(|contender| contender.library == library && contender.is_single())
            }
        }
    }
}

/// The best mode of each rival, and modes by themselves: all of ours, or in a special way those that are used so.
fn columns(cells: &[&Results], way: Option<Way>) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for contender in contenders::ALL {
        let column = match way {
            _ if contender.name == RAW || contender.name == OURS => Column::One(contender),
            Some(way) if contender.way == way => Column::One(contender),
            None if contender.library == OURS && contender.is_single() => Column::One(contender),
            _ if contender.is_rival() && contender.is_single() => Column::Best(contender.library),
            _ => continue,
        };
        let is_new = columns.iter().all(|other| other.head() != column.head());
        if is_new && cells.iter().any(|results| column.record(results).is_some()) {
            columns.push(column);
        }
    }
    columns
}

/// The name of a figure, where a cell has several, and where it is in a run.
type Figure = (&'static str, fn(&Run) -> f64);

/// The figures of a cell.
fn figures(cell: Cell) -> &'static [Figure] {
    if cell.is_time() {
        &[(", p50", Run::figure), (", p99", Run::p99)]
    } else {
        &[("", Run::figure)]
    }
}

/// Cells by libraries, with the ratios of ours: of the calls that block, or of those in a special way.
fn overview(cells: &[&Results], way: Option<Way>) -> String {
    let columns = columns(cells, way);
    let heads: Vec<&str> = columns.iter().map(|column| column.head()).collect();
    let mut text = format!("| | {} | to raw | to the best rival |\n", heads.join(" | "));
    text += &format!("|---|{}--:|--:|\n", "--:|".repeat(columns.len()));
    for results in cells {
        let ours = results.records.iter().find(|record| {
            record.contender.library == OURS && record.contender.way == way.unwrap_or(Way::Blocking)
        });
        for &(suffix, of) in figures(results.cell) {
            let figures = columns.iter().map(|column| {
                let spread = column.record(results).and_then(|record| record.spread(of));
                spread.map_or(NOTHING.to_owned(), |x| short(results.cell, x.median))
            });
            let figures = figures.collect::<Vec<_>>().join(" | ");
            let [to_raw, to_rival] = ratios(results, ours, of);
            let name = name(results.cell);
            // Writing to a string does not fail.
            let _ = writeln!(text, "| {name}{suffix} | {figures} | {to_raw} | {to_rival} |");
        }
    }
    text
}

/// How a contender compares to raw and to the best rival.
fn ratios(results: &Results, record: Option<&Record>, of: fn(&Run) -> f64) -> [String; 2] {
    let way = record.map_or(Way::Blocking, |record| record.contender.way);
    [results.raw(), results.best_rival(way)].map(|other| {
        let ratio = record
            .zip(other)
            .and_then(|(record, other)| record.ratio(other, of));
        ratio.map_or(NOTHING.to_owned(), |ratio| format!("{:.2}", ratio.median))
    })
}

/// A table of one cell, folded away, and why some could not do it.
fn details(results: &Results, way: Option<Way>) -> String {
    let cell = results.cell;
    let mut text = format!("<details><summary>{}</summary>\n\n", name(cell));
    let (heads, columns) = if cell.is_time() {
        (
            "p50 µs | to raw | to the best rival | p99 µs | to raw | to the best rival",
            8,
        )
    } else {
        ("per second | to raw | to the best rival", 5)
    };
    let _ = writeln!(
        text,
        "| | {heads} | CPU µs each | peak MiB |\n|---|{}",
        "--:|".repeat(columns)
    );
    let shown = |record: &&Record| match way {
        None => record.contender.is_single(),
        Some(way) => record.contender.name == RAW || record.contender.way == way,
    };
    for record in results.records.iter().filter(shown) {
        let _ = writeln!(text, "{}", row(results, record));
    }
    for record in results.records.iter().filter(shown) {
        if let Some(reason) = &record.reason {
            let _ = writeln!(text, "\n{}: {reason}.", record.contender.name);
        }
    }
    text + "\n</details>\n\n"
}

fn row(results: &Results, record: &Record) -> String {
    let digits = |x: f64| {
        if results.cell.is_time() {
            format!("{x:.1}")
        } else {
            thousands(x)
        }
    };
    let mut name = record.contender.name.to_owned();
    if record.failures() > 0 {
        name += &format!(", {} failed", record.failures());
    }
    let figures = figures(results.cell).iter().map(|&(_, of)| {
        let figure = record.spread(of);
        let figure = figure.map_or(NOTHING.to_owned(), |figure| figure.show(digits));
        let [to_raw, to_rival] = ratios(results, Some(record), of);
        format!("{figure} | {to_raw} | {to_rival}")
    });
    let figures = figures.collect::<Vec<_>>().join(" | ");
    let number = |spread: Option<Spread>, digits: usize| {
        spread.map_or(NOTHING.to_owned(), |spread| format!("{:.digits$}", spread.median))
    };
    let cpu = number(record.spread(Run::cpu), 3);
    let peak = number(record.spread(|run| run.peak), 1);
    format!("| {name} | {figures} | {cpu} | {peak} |")
}

/// A few cells, for the front page.
pub(crate) fn compact(all: &[Results]) -> String {
    let mut text = String::from(
        "| | aqueduct | to bare sockets | best of the others | to that |\n|---|--:|--:|--:|--:|\n",
    );
    for results in all
        .iter()
        .filter(|results| FRONT.contains(&results.cell.to_string().as_str()))
    {
        let cell = results.cell;
        let show = |record: Option<&Record>| {
            record
                .and_then(Record::median)
                .map_or(NOTHING.to_owned(), |x| short(cell, x))
        };
        let ours = show(results.of(OURS));
        let rival = results.best_rival(Way::Blocking);
        let by = rival.map_or("", |rival| rival.contender.library);
        let [to_raw, to_rival] = ratios(results, results.of(OURS), Run::figure);
        let (what, rival) = (title(cell.pattern), show(rival));
        let _ = writeln!(
            text,
            "| {what}, {} | {ours} | {to_raw} | {rival} ({by}) | {to_rival} |",
            name(cell)
        );
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::cells;

    #[test]
    fn every_version_is_known() {
        for package in [
            "aqueduct",
            "zeromq-src",
            "omq-tokio",
            "rzmq",
            "zeromq",
            "tokio",
            "smol",
        ] {
            assert!(
                version(package).starts_with(|first: char| first.is_ascii_digit()),
                "{package}"
            );
        }
    }

    #[test]
    fn the_front_page_shows_cells_that_there_are() {
        let names: Vec<String> = cells::all().iter().map(Cell::to_string).collect();
        assert!(FRONT.iter().all(|front| names.iter().any(|name| name == front)));
        assert!(contenders::ALL.iter().any(|contender| contender.name == RAW));
    }
}
