//! The comparison: bare sockets and aqueduct, turn by turn, several rounds for each cell.

use std::time::Duration;

use aqueduct_bench_shared::arguments::Arguments;
use aqueduct_bench_shared::figures;

use crate::Outcome;
use crate::cells::{self, Cell, Contender, Kind, Transport};
use crate::child::{Child, Report};
use crate::report::{self, Results, Round};

/// How long beyond its time a worker may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn run(mut arguments: Arguments) -> Outcome<()> {
    let quick = arguments.flag("--quick");
    let write = arguments.flag("--write");
    let rounds = arguments.option("--rounds", if quick { 1 } else { 5 })?;
    let seconds = arguments.option("--seconds", if quick { 0.2 } else { 1.0 })?;
    let pattern = arguments.option("--only", String::new())?;
    arguments.finish(crate::USAGE)?;
    if write && (rounds < 5 || seconds < 1.0 || !pattern.is_empty()) {
        return Err("figures to keep come from all cells, 5 rounds or more, of a second or more".into());
    }
    let time = Duration::try_from_secs_f64(seconds)?;
    let conditions = report::conditions(rounds, seconds);
    let mut all = Vec::new();
    for cell in cells::all().filter(|cell| cell.to_string().contains(&pattern)) {
        let results = measure(cell, rounds, time);
        eprintln!("{}", results.progress());
        all.push(results);
    }
    let tables = report::full(&all);
    println!("{conditions}\n\n{tables}");
    if write {
        let compact = report::compact(&all);
        figures::write("README.md", "figures", &compact)?;
        figures::write("docs/BENCHMARKS.md", "run", &format!("{conditions}\n\n{tables}"))?;
    }
    Ok(())
}

fn measure(cell: Cell, rounds: usize, time: Duration) -> Results {
    let mut results = Results::new(cell);
    for round in 0..rounds {
        for contender in Contender::ALL {
            match one_round(cell, contender, time) {
                Ok(measured) => results.add(contender, Some(measured)),
                Err(error) => {
                    eprintln!("{cell}, {contender}, round {}: {error}", round + 1);
                    results.add(contender, None);
                }
            }
        }
    }
    results
}

fn one_round(cell: Cell, contender: Contender, time: Duration) -> Outcome<Round> {
    let (who, what, long) = (
        contender.to_string(),
        cell.to_string(),
        time.as_millis().to_string(),
    );
    let patience = time + PATIENCE;
    let (sent, received) = if cell.transport == Transport::Inproc {
        let both = Child::start(&["both", &who, &what, &long])?;
        (both.report(patience)?, both.report(patience)?)
    } else {
        let listener = Child::start(&["listen", &who, &what, &long])?;
        let address = listener.line(PATIENCE)?;
        let mut dialer = Child::start(&["dial", &who, &what, &long, &address])?;
        let received = listener.report(patience)?;
        dialer.go_on()?;
        (dialer.report(patience)?, received)
    };
    evaluate(cell, sent, received)
}

fn evaluate(cell: Cell, sent: Report, received: Report) -> Outcome<Round> {
    if sent.messages != received.messages {
        return Err(format!("{} were sent, {} received", sent.messages, received.messages).into());
    }
    let messages = sent.messages as f64;
    let seconds = received.moment.saturating_sub(sent.moment) as f64 / 1e9;
    let micros = |nanos: u64| nanos as f64 / 1e3;
    Ok(Round {
        // Of round trips, less is better; the ratio says so.
        figure: match cell.kind {
            Kind::Throughput => messages / seconds,
            Kind::RoundTrip => micros(sent.p50),
        },
        p99: micros(sent.p99),
        cpu: micros(sent.cpu + received.cpu) / messages,
    })
}
