//! The driver: which programs are run, how often, and what becomes of their figures.

mod asked;
mod cells;
mod chart;
mod contenders;
mod kept;
mod measure;
mod process;
mod results;
mod table;

use std::time::Duration;

use aqueduct_bench_shared::arguments::Arguments;
use aqueduct_bench_shared::figures;
use aqueduct_peers::Outcome;

use contenders::Contender;
use kept::Kept;
use results::{Origin, Results};

const USAGE: &str = "usage: aqueduct-peers [--quick] [--only FILTER] [--rounds N] [--seconds S] [--strict] [--write] [--resume]";

/// What figures to keep need at least: rounds, and seconds of each.
const ROUNDS: usize = 5;
const SECONDS: f64 = 1.0;

/// The document that gets the tables.
const DOCUMENT: &str = "docs/PEERS.md";

pub(crate) fn run() -> Outcome<()> {
    let mut arguments = Arguments::new(std::env::args().skip(1));
    let quick = arguments.flag("--quick");
    let write = arguments.flag("--write");
    let resume = arguments.flag("--resume");
    let strict = arguments.flag("--strict");
    let rounds: usize = arguments.option("--rounds", if quick { 1 } else { ROUNDS })?;
    let seconds: f64 = arguments.option("--seconds", if quick { 0.1 } else { SECONDS })?;
    let filter: String = arguments.option("--only", String::new())?;
    arguments.finish(USAGE)?;
    let (contenders, mut cells) = select(&filter)?;
    let keep = rounds >= ROUNDS && seconds >= SECONDS && contenders.len() == contenders::ALL.len();
    if write && !keep {
        return Err(
            "figures to keep are of all contenders, and of 5 rounds or more, of a second or more".into(),
        );
    }
    let origin = Origin::here(rounds, seconds);
    let mut kept = Kept::load()?;
    if resume {
        cells.retain(|&cell| !kept.has(cell, &origin));
    }
    process::raise_file_limit();
    let mut all = Vec::new();
    announce(&cells, &contenders, rounds, Duration::try_from_secs_f64(seconds)?);
    for cell in cells {
        let results = measure::measure(cell, &contenders, &origin, Duration::try_from_secs_f64(seconds)?);
        eprintln!("{}", table::progress(&results));
        if keep {
            kept.put(results.clone())?;
        }
        all.push(results);
    }
    println!("{}\n\n{}", table::conditions(), table::full(&all));
    if write {
        self::write(&kept.into_all())?;
    }
    // A cell that fails is shown as failed; but if no contender could do anything, something else is wrong.
    if !all.is_empty() && all.iter().all(Results::is_empty) {
        return Err("nothing could be measured".into());
    }
    if strict && all.iter().any(Results::has_failures) {
        return Err("a contender has failed".into());
    }
    Ok(())
}

/// Says how long it will take.
fn announce(cells: &[cells::Cell], contenders: &[Contender], rounds: usize, time: Duration) {
    let estimate = measure::estimate(cells, contenders, rounds, time).as_secs_f64();
    let minutes = estimate / 60.0;
    eprintln!(
        "{} cells; this will take about {minutes:.0} minutes, if nobody hangs",
        cells.len()
    );
}

/// Those whose names are words of the filter: contenders as a whole, cells in part. No word of a sort means all.
fn select(filter: &str) -> Outcome<(Vec<Contender>, Vec<cells::Cell>)> {
    let words: Vec<&str> = filter.split(',').filter(|word| !word.is_empty()).collect();
    let is_contender = |word: &&str| contenders::ALL.iter().any(|contender| contender.name == *word);
    let (names, parts): (Vec<&str>, Vec<&str>) = words.into_iter().partition(is_contender);
    let contenders = contenders::ALL.into_iter();
    let contenders = contenders.filter(|contender| names.is_empty() || names.contains(&contender.name));
    let cells = cells::all().into_iter().filter(|cell| {
        let name = cell.to_string();
        parts.is_empty() || parts.iter().any(|part| name.contains(part))
    });
    let selected = (contenders.collect(), cells.collect::<Vec<_>>());
    if selected.1.is_empty() {
        return Err(format!("{filter}: no cell has such a name").into());
    }
    Ok(selected)
}

/// Writes tables and charts into the documents; the front page gets a small table and the first chart.
fn write(all: &[Results]) -> Outcome<()> {
    let mut images = Vec::new();
    for chart in chart::all(all) {
        let path = format!("charts/{}", chart.file);
        figures::write_file(&format!("docs/{path}"), &chart.svg)?;
        images.push(format!("![{}]({path})", chart.title));
    }
    figures::write(DOCUMENT, "contenders", table::who().trim_end())?;
    figures::write(DOCUMENT, "charts", &images.join("\n\n"))?;
    figures::write(DOCUMENT, "asked", &asked::table(all))?;
    let conditions = table::conditions();
    figures::write(DOCUMENT, "run", &format!("{conditions}\n\n{}", table::full(all)))?;
    let first = images.first().map(|image| image.replace("](", "](docs/"));
    let front = format!("{}\n\n{}", table::compact(all), first.unwrap_or_default());
    figures::write("README.md", "peers", front.trim_end())
}
