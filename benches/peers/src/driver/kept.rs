//! Figures that are kept from run to run, cell by cell, so that a run may stop at any time and go on later.

use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;

use aqueduct_peers::Outcome;

use super::cells::{self, Cell};
use super::contenders;
use super::results::{Origin, Record, Results, Run};

/// Where they are: beside what is built, because they are of this machine.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/figures.tsv");

/// What was measured last in each cell.
pub(crate) struct Kept(Vec<Results>);

impl Kept {
    /// Reads what earlier runs have left.
    pub(crate) fn load() -> Outcome<Self> {
        match fs::read_to_string(FILE) {
            Ok(text) => Ok(Self(parse(&text))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self(Vec::new())),
            Err(error) => Err(format!("{FILE}: {error}").into()),
        }
    }

    /// Says whether a cell has been measured like this.
    pub(crate) fn has(&self, cell: Cell, origin: &Origin) -> bool {
        self.0
            .iter()
            .any(|results| results.cell == cell && results.origin.is_like(origin))
    }

    /// Keeps a cell, instead of what was there of it. Nothing is lost if this is interrupted.
    pub(crate) fn put(&mut self, results: Results) -> Outcome<()> {
        self.0.retain(|kept| kept.cell != results.cell);
        self.0.push(results);
        let new = format!("{FILE}.new");
        if let Some(directory) = std::path::Path::new(FILE).parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(&new, print(&self.0))?;
        Ok(fs::rename(new, FILE)?)
    }

    /// All cells, in the order of the tables.
    pub(crate) fn into_all(mut self) -> Vec<Results> {
        let order = cells::all();
        self.0
            .sort_by_key(|results| order.iter().position(|cell| *cell == results.cell));
        self.0
    }
}

/// A line for each cell, below it one for each contender, and below that one for each run.
fn print(all: &[Results]) -> String {
    let mut text = String::new();
    for Results {
        cell,
        records,
        origin,
    } in all
    {
        let Origin {
            commit,
            date,
            rounds,
            seconds,
        } = origin;
        // Writing to a string does not fail.
        let _ = writeln!(text, "cell\t{cell}\t{commit}\t{date}\t{rounds}\t{seconds}");
        for record in records {
            let reason = record.reason.as_deref().unwrap_or_default();
            let reason: Vec<&str> = reason.split_whitespace().collect();
            let _ = writeln!(text, "record\t{}\t{}", record.contender.name, reason.join(" "));
            for run in &record.runs {
                text += &run.as_ref().map_or("failed\n".to_owned(), line);
            }
        }
    }
    text
}

fn line(run: &Run) -> String {
    let Run {
        figure,
        cpu,
        peak,
        round_trips,
    } = run;
    let round_trips: Vec<String> = round_trips.iter().map(f64::to_string).collect();
    format!("run\t{figure}\t{cpu}\t{peak}\t{}\n", round_trips.join(","))
}

/// Reads what `print` wrote. Cells and contenders that there are no more are left out.
fn parse(text: &str) -> Vec<Results> {
    let mut all: Vec<Results> = Vec::new();
    let mut skipping = false;
    for line in text.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        match words[..] {
            ["cell", name, commit, date, rounds, seconds] => {
                let cell = cells::all().into_iter().find(|cell| cell.to_string() == name);
                skipping = cell.is_none();
                all.extend(cell.map(|cell| Results {
                    cell,
                    records: Vec::new(),
                    origin: Origin {
                        commit: commit.to_owned(),
                        date: date.to_owned(),
                        rounds: rounds.parse().unwrap_or(0),
                        seconds: seconds.parse().unwrap_or(0.0),
                    },
                }));
            }
            _ if skipping => {}
            _ => {
                if let Some(results) = all.last_mut() {
                    parse_record(&words, &mut results.records);
                }
            }
        }
    }
    for results in &mut all {
        let cell = results.cell;
        results.records.retain(|record| record.contender.takes_part(cell));
    }
    all
}

fn parse_record(words: &[&str], records: &mut Vec<Record>) {
    match (words, records.last_mut()) {
        (["record", name, reason], _) => {
            let contender = contenders::ALL
                .into_iter()
                .find(|contender| contender.name == *name);
            records.extend(contender.map(|contender| Record {
                contender,
                runs: Vec::new(),
                reason: (!reason.is_empty()).then(|| (*reason).to_owned()),
            }));
        }
        (["failed"], Some(record)) => record.runs.push(None),
        (["run", figure, cpu, peak, round_trips], Some(record)) => {
            let number = |word: &str| word.parse().unwrap_or(f64::NAN);
            record.runs.push(Some(Run {
                figure: number(figure),
                cpu: number(cpu),
                peak: number(peak),
                round_trips: round_trips
                    .split(',')
                    .filter_map(|word| word.parse().ok())
                    .collect(),
            }));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_as_written() {
        let text = "cell\tlat/tcp/64\tabc1234\t2026-01-02\t5\t1\n\
                    record\traw\t\nrun\t10.5\t0.25\t3\t1,2.5\nfailed\n\
                    record\tlibzmq\tended: no luck\n";
        let all = parse(text);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].of("raw").unwrap().runs.len(), 2);
        assert_eq!(print(&all), text);
    }

    #[test]
    fn cells_that_are_gone_are_left_out_with_their_records() {
        let text = "cell\tthr/tcp/64\ta\tb\t5\t1\nrecord\traw\t\n\
                    cell\tgone/tcp/64\ta\tb\t5\t1\nrecord\tlibzmq\t\n";
        let all = parse(text);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].records.len(), 1);
    }
}
