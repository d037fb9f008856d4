//! Tables of Markdown.

use std::fmt::Write;

use aqueduct_bench_shared::figures::{Spread, machine, thousands};
use aqueduct_peers::Pattern;
use aqueduct_peers::report::QUANTILES;

use super::cells::Cell;
use super::contenders::{self, Contender, OURS};
use super::results::{Record, Results};

/// Where a version is to be found.
const LOCK: &str = include_str!("../../Cargo.lock");

/// What is shown of what is not there.
const NOTHING: &str = "–";

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
pub(crate) fn conditions(rounds: usize, seconds: f64) -> String {
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
        "{machine}; {rounds} rounds of about {seconds} s for each cell and contender, turn by turn. aqueduct {}, {}; \
         tokio {}, smol {}.",
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

fn name(cell: Cell) -> String {
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
        text += &format!("### {}\n\n", title(pattern));
        text += &overview(&of_pattern);
        if let Some(note) = contenders::note(pattern) {
            text += &format!("\n{note}\n");
        }
        text.push('\n');
        for results in of_pattern {
            text += &details(results);
        }
    }
    text.trim_end().to_owned()
}

/// Cells by libraries: the best mode of each, but all modes of ours.
fn overview(cells: &[&Results]) -> String {
    let mut columns: Vec<Contender> = Vec::new();
    for contender in contenders::ALL {
        let shown =
            contender.library == OURS || columns.iter().all(|column| column.library != contender.library);
        let measured = cells.iter().any(|results| results.of(contender.name).is_some());
        if shown && measured {
            columns.push(contender);
        }
    }
    let heads: Vec<&str> = columns
        .iter()
        .map(|column| {
            if column.is_rival() {
                column.library
            } else {
                column.name
            }
        })
        .collect();
    let mut text = format!("| | {} | to raw | to the best rival |\n", heads.join(" | "));
    text += &format!("|---|{}--:|--:|\n", "--:|".repeat(columns.len()));
    for results in cells {
        let figures = columns.iter().map(|column| {
            let record = if column.is_rival() {
                results.best(|contender| contender.library == column.library)
            } else {
                results.of(column.name)
            };
            record
                .and_then(Record::median)
                .map_or(NOTHING.to_owned(), |x| short(results.cell, x))
        });
        let figures = figures.collect::<Vec<_>>().join(" | ");
        let [to_raw, to_rival] = ratios(results, results.of(OURS));
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} | {figures} | {to_raw} | {to_rival} |",
            name(results.cell)
        );
    }
    text
}

/// How a contender compares to raw and to the best rival.
fn ratios(results: &Results, record: Option<&Record>) -> [String; 2] {
    [results.raw(), results.best_rival()].map(|other| {
        let ratio = record.zip(other).and_then(|(record, other)| record.ratio(other));
        ratio.map_or(NOTHING.to_owned(), |ratio| format!("{:.2}", ratio.median))
    })
}

/// A table of one cell, folded away, and why some could not do it.
fn details(results: &Results) -> String {
    let cell = results.cell;
    let mut text = format!("<details><summary>{}</summary>\n\n", name(cell));
    let figures = if cell.is_time() {
        "p50 µs | p99 µs"
    } else {
        "per second"
    };
    let columns = if cell.is_time() { 6 } else { 5 };
    let head = format!("| | {figures} | to raw | to the best rival | CPU µs each | peak MiB |");
    let _ = writeln!(text, "{head}\n|---|{}", "--:|".repeat(columns));
    for record in &results.records {
        let _ = writeln!(text, "{}", row(results, record));
    }
    for record in &results.records {
        if let Some(reason) = &record.reason {
            let _ = writeln!(text, "\n{}: {reason}.", record.contender.name);
        }
    }
    text + "\n</details>\n\n"
}

fn row(results: &Results, record: &Record) -> String {
    let figure = record.spread(|run| run.figure);
    let digits = |x: f64| {
        if results.cell.is_time() {
            format!("{x:.1}")
        } else {
            thousands(x)
        }
    };
    let mut figures = figure.map_or(NOTHING.to_owned(), |figure| figure.show(digits));
    if results.cell.is_time() {
        let p99 =
            quantile(990).and_then(|at| record.spread(|run| run.round_trips.get(at).copied().unwrap_or(0.0)));
        figures += &format!(" | {}", p99.map_or(NOTHING.to_owned(), |p99| p99.show(digits)));
    }
    let failed = record.runs.iter().filter(|run| run.is_none()).count();
    if failed > 0 {
        figures += &format!(", {failed} failed");
    }
    let [to_raw, to_rival] = ratios(results, Some(record));
    let number = |spread: Option<Spread>, digits: usize| {
        spread.map_or(NOTHING.to_owned(), |spread| format!("{:.digits$}", spread.median))
    };
    let cpu = number(record.spread(|run| run.cpu), 3);
    let peak = number(record.spread(|run| run.peak), 1);
    format!(
        "| {} | {figures} | {to_raw} | {to_rival} | {cpu} | {peak} |",
        record.contender.name
    )
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
        let rival = results.best_rival();
        let by = rival.map_or("", |rival| rival.contender.library);
        let [to_raw, to_rival] = ratios(results, results.of(OURS));
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
    use crate::driver::contenders::RAW;

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
