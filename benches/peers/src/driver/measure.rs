//! Rounds of one cell: every contender in its turn, again and again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use aqueduct_peers::report::{BOUND, DONE, READY, after};
use aqueduct_peers::{Outcome, Pattern, Report, Role};

use super::cells::{self, Cell, Transport};
use super::contenders::Contender;
use super::process::Process;
use super::results::{Origin, Record, Results, Run};

/// How long a run may take beyond its time before it counts as hung. Generous: a thousand peers have to connect.
const PATIENCE: Duration = Duration::from_secs(20);

/// A run that was this many times too long has hung.
const OVERTIME: u32 = 10;

/// How many bytes the first, short run delivers at most, and how many messages.
const TRIAL_BYTES: u64 = 4 << 20;
const TRIAL_COUNT: u64 = 2000;

/// How much more the next trial may send.
const GROWTH: f64 = 20.0;

/// Of the time of a round, the part that the longest trial should take, and the part that is enough to tell. With a thousand
/// peers the first messages take a tenth of a second: judged by a shorter trial, a round would be a third as long as asked for.
const TRIAL_PART: f64 = 0.5;
const TRIAL_ENOUGH: f64 = 0.35;

/// A round is meant to be longer than asked for by this, so that most are not shorter.
const MARGIN: f64 = 1.08;

/// How long a start takes, with what comes after the last message, as a rule; and for each peer in addition.
const START: Duration = Duration::from_millis(60);
const START_OF_PEER: Duration = Duration::from_millis(1);

/// How many trials are needed, as a rule.
const USUAL_TRIALS: u32 = 3;

/// How often a contender may fail in a cell. A run that hangs takes long.
const MAX_FAILURES: usize = 2;

/// How often a contender is tried before it counts as unable.
const TRIALS: usize = 8;

/// Measures a cell: first, how many messages each contender needs for its time; then the rounds.
pub(crate) fn measure(cell: Cell, contenders: &[Contender], origin: &Origin, time: Duration) -> Results {
    let mut entries: Vec<(Record, Option<u64>)> = contenders
        .iter()
        .filter(|contender| contender.takes_part(cell))
        .map(|&contender| match calibrate(cell, contender, time) {
            Ok(count) => (contender, Some(count), None),
            Err(reason) => (contender, None, Some(reason)),
        })
        .map(|(contender, count, reason)| {
            (
                Record {
                    contender,
                    runs: Vec::new(),
                    reason,
                },
                count,
            )
        })
        .collect();
    for _ in 0..origin.rounds {
        for (record, count) in &mut entries {
            let Some(count) = *count else { continue };
            if record.failures() >= MAX_FAILURES {
                record.runs.push(None);
                continue;
            }
            match once(cell, record.contender, count, time) {
                Ok((run, _)) => record.runs.push(Some(run)),
                Err(error) => {
                    record.reason = Some(error.to_string());
                    record.runs.push(None);
                }
            }
        }
    }
    Results {
        cell,
        records: entries.into_iter().map(|(record, _)| record).collect(),
        origin: origin.clone(),
    }
}

/// About how long that takes, starts and trials included.
pub(crate) fn estimate(cells: &[Cell], contenders: &[Contender], rounds: usize, time: Duration) -> Duration {
    let runs = cells.iter().flat_map(|&cell| {
        let able =
            move |contender: &&Contender| contender.takes_part(cell) && contender.inability(cell).is_none();
        contenders.iter().filter(able).map(move |_| cell)
    });
    runs.map(|cell| {
        let start = START + START_OF_PEER * u32::from(cell.peers);
        (time.mul_f64(MARGIN) + start) * u32::try_from(rounds).unwrap_or(u32::MAX)
            + start * USUAL_TRIALS
            + time.mul_f64(TRIAL_PART)
    })
    .sum()
}

/// Finds out how many messages take so long, or says why there is no such number.
fn calibrate(cell: Cell, contender: Contender, time: Duration) -> Result<u64, String> {
    if let Some(reason) = contender.inability(cell) {
        return Err(reason.to_owned());
    }
    let trial = (TRIAL_BYTES / cell.size as u64).min(TRIAL_COUNT);
    let mut count = whole(cell, trial / cell.delivered(1));
    for _ in 0..TRIALS {
        let (_, took) = once(cell, contender, count, time).map_err(|error| error.to_string())?;
        let part = took.as_secs_f64().max(1e-6) / time.as_secs_f64();
        let scaled = |factor: f64| whole(cell, (count as f64 * factor) as u64);
        if part > TRIAL_ENOUGH {
            return Ok(scaled(MARGIN / part));
        }
        count = scaled((TRIAL_PART / part).min(GROWTH));
    }
    Ok(count)
}

/// A number of messages that can be shared out.
fn whole(cell: Cell, count: u64) -> u64 {
    match cell.pattern {
        Pattern::FanIn => count
            .next_multiple_of(u64::from(cell.peers))
            .max(u64::from(cell.peers)),
        _ => count.max(10),
    }
}

/// One run: the figures, and how long it took.
fn once(cell: Cell, contender: Contender, count: u64, time: Duration) -> Outcome<(Run, Duration)> {
    let deadline = Instant::now() + PATIENCE + time * OVERTIME;
    let report = match cell.transport {
        Transport::Inproc => one_process(cell, contender, count, deadline)?,
        _ => two_processes(cell, contender, count, deadline)?,
    };
    evaluate(cell, count, &report)
}

fn one_process(cell: Cell, contender: Contender, count: u64, deadline: Instant) -> Outcome<Report> {
    let mut process = start(cell, contender, "both", "inproc://peers", count)?;
    report(&mut process, deadline)
}

fn two_processes(cell: Cell, contender: Contender, count: u64, deadline: Instant) -> Outcome<Report> {
    let path = Path::new(cell.transport);
    let mut bound = start(cell, contender, "bind", &path.endpoint(), count)?;
    let line = bound.line(deadline)?;
    let connected = start(cell, contender, "connect", after(BOUND, &line)?, count)?;
    let pattern = cell.pattern;
    let [starter, witness] = [pattern.starter(), pattern.witness()]
        .map(|role| role != Role::Bind)
        .map(usize::from);
    let mut sides = [bound, connected];
    after(READY, &sides[witness].line(deadline)?)?;
    sides[starter].go_on()?;
    after(DONE, &sides[witness].line(deadline)?)?;
    for side in &mut sides {
        side.go_on()?;
    }
    let [mut bound, mut connected] = sides;
    Ok(report(&mut bound, deadline)?.merge(report(&mut connected, deadline)?))
}

fn start(cell: Cell, contender: Contender, role: &str, endpoint: &str, count: u64) -> Outcome<Process> {
    let mut words = vec![contender.mode.to_owned(), role.to_owned()];
    words.extend(cells::words(cell, endpoint, count));
    Process::start(contender.program, &words)
}

fn report(process: &mut Process, deadline: Instant) -> Outcome<Report> {
    let line = process.line(deadline)?;
    Report::parse(&line).ok_or_else(|| format!("not a report: {line}").into())
}

fn evaluate(cell: Cell, count: u64, report: &Report) -> Outcome<(Run, Duration)> {
    let delivered = cell.delivered(count);
    if report.messages != delivered {
        return Err(format!("{} messages of {delivered} came", report.messages).into());
    }
    let took = Duration::from_nanos(report.last.saturating_sub(report.first));
    let micros = |nanos: u64| nanos as f64 / 1e3;
    let round_trips: Vec<f64> = report.round_trips.iter().copied().map(micros).collect();
    let figure = if cell.is_time() {
        median(&round_trips).ok_or("no round trips")?
    } else {
        delivered as f64 / took.as_secs_f64()
    };
    let run = Run {
        figure,
        cpu: micros(report.cpu) / delivered as f64,
        peak: report.peak as f64 / 1024.0,
        round_trips,
    };
    Ok((run, took))
}

/// The median among the reported quantiles.
fn median(round_trips: &[f64]) -> Option<f64> {
    round_trips.get(super::table::quantile(500)?).copied()
}

/// A path for an ipc endpoint, and nothing for tcp.
struct Path(Option<PathBuf>);

impl Path {
    fn new(transport: Transport) -> Self {
        let path = || std::env::temp_dir().join(format!("aqueduct-peers-{}.sock", std::process::id()));
        Self((transport == Transport::Ipc).then(path))
    }

    fn endpoint(&self) -> String {
        match &self.0 {
            Some(path) => format!("ipc://{}", path.display()),
            None => "tcp://127.0.0.1:0".to_owned(),
        }
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Most programs have removed it.
            let _ = std::fs::remove_file(path);
        }
    }
}
