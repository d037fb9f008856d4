//! What the worker processes do: one side of a cell, or both sides of an inproc one.

use std::time::Duration;

use aqueduct_bench_shared::arguments::Arguments;
use aqueduct_bench_shared::wire::{Wait, Wire};
use aqueduct_bench_shared::{channel, clock};

use crate::cells::{Cell, Contender, Kind};
use crate::child::{Report, wait_for_parent};
use crate::traffic::{Sink, Source, Tally, answer, ask, recv_all, send_for};
use crate::{Outcome, aqueduct_side, beside, crowd, fair, floods, idle, raw_side, syscalls, topics};

/// What a worker is told.
struct Task {
    contender: Contender,
    cell: Cell,
    time: Duration,
}

pub(crate) fn run(mut arguments: Arguments) -> Outcome<()> {
    let role = arguments.word().unwrap_or_default();
    match role.as_str() {
        "idle" => return idle::clients(arguments),
        "silent" => return floods::silent(arguments),
        "dripping" => return floods::dripping(arguments),
        "churn" => return floods::churn(arguments),
        "elsewhere" => return floods::elsewhere(),
        "play" => return beside::play(arguments),
        "hellos" => return floods::hellos(arguments),
        "many-topics" => return floods::topics(arguments),
        "fair" => return fair::clients(arguments),
        "publisher" => return crowd::publisher(arguments),
        "router" => return crowd::router(arguments),
        "topics" => return topics::worker(arguments),
        "subscribers" => return crowd::subscribers(arguments),
        "dealers" => return crowd::dealers(arguments),
        "publish" => return syscalls::publish(arguments),
        "subscribe" => return syscalls::subscribe(arguments),
        _ => {}
    }
    let task = Task {
        contender: arguments.parse()?,
        cell: arguments.parse()?,
        time: Duration::from_millis(arguments.parse()?),
    };
    match role.as_str() {
        "listen" => listen(&task)?.print(),
        "dial" => dial(&task, &arguments.word().unwrap_or_default())?.print(),
        "both" => both(&task)?.into_iter().for_each(|report| report.print()),
        _ => return Err("no such worker".into()),
    }
    Ok(())
}

/// The side that receives, or answers.
fn listen(task: &Task) -> Outcome<Report> {
    let Cell {
        kind,
        transport,
        size,
    } = task.cell;
    let announce = |address: &str| println!("{address}");
    match (task.contender, kind) {
        (Contender::Raw, _) => {
            let mut wire = raw_side::accept(transport, size, announce)?;
            receive(kind, &mut wire.sink, &mut wire.source, size)
        }
        (Contender::Aqueduct, Kind::Throughput) => {
            let mut pull = aqueduct_side::bind_pull(transport, announce)?;
            timed(|| recv_all(&mut pull, size))
        }
        (Contender::Aqueduct, Kind::RoundTrip) => {
            let mut sockets = aqueduct_side::Sockets::bind(transport, announce)?;
            timed(|| answer(&mut sockets.push, &mut sockets.pull, size))
        }
    }
}

/// The side that sends, or asks.
fn dial(task: &Task, address: &str) -> Outcome<Report> {
    let Cell { kind, size, .. } = task.cell;
    match (task.contender, kind) {
        (Contender::Raw, _) => {
            let mut wire = Wire::connect(address, size, Wait::Sleep)?;
            send(task, &mut wire.sink, &mut wire.source, wait_for_parent)
        }
        (Contender::Aqueduct, Kind::Throughput) => {
            let mut push = aqueduct_side::connect_push(address)?;
            // What `send` left to be written goes out while this thread waits: it is part of the time.
            send(task, &mut push, &mut Nothing, wait_for_parent)
        }
        (Contender::Aqueduct, Kind::RoundTrip) => {
            let mut sockets = aqueduct_side::Sockets::connect(address)?;
            send(task, &mut sockets.push, &mut sockets.pull, wait_for_parent)
        }
    }
}

/// Both sides, each in a thread. Their CPU time cannot be told apart: the first report has it all.
fn both(task: &Task) -> Outcome<[Report; 2]> {
    match task.contender {
        Contender::Raw => {
            let (to_there, there) = channel::channel();
            let (to_here, here) = channel::channel();
            threads(task, (to_there, here), (to_here, there))
        }
        Contender::Aqueduct if task.cell.kind == Kind::RoundTrip => {
            let (near, far) = aqueduct_side::Sockets::inproc()?;
            threads(task, (near.push, near.pull), (far.push, far.pull))
        }
        Contender::Aqueduct => {
            let endpoint = aqueduct_side::wildcard(task.cell.transport);
            let pull = aqueduct::Pull::new();
            pull.bind(endpoint)?;
            threads(
                task,
                (aqueduct_side::connect_push(endpoint)?, Nothing),
                (Nothing, pull),
            )
        }
    }
}

fn threads(
    task: &Task,
    mut near: (impl Sink, impl Source),
    mut far: (impl Sink + Send, impl Source + Send),
) -> Outcome<[Report; 2]> {
    let Cell { kind, size, .. } = task.cell;
    std::thread::scope(|scope| {
        let other = scope.spawn(move || receive(kind, &mut far.0, &mut far.1, size));
        let mut received = Err("not received".into());
        let sent = send(task, &mut near.0, &mut near.1, || {
            received = other.join().map_err(|_| "the receiving thread panicked")?;
            Ok(())
        })?;
        Ok([sent, Report { cpu: 0, ..received? }])
    })
}

fn receive(kind: Kind, sink: &mut impl Sink, source: &mut impl Source, size: usize) -> Outcome<Report> {
    timed(|| match kind {
        Kind::Throughput => recv_all(source, size),
        Kind::RoundTrip => answer(sink, source, size),
    })
}

/// Sends or asks. The CPU time includes what comes between the last `send` and the end of the far side.
fn send(
    task: &Task,
    sink: &mut impl Sink,
    source: &mut impl Source,
    wait: impl FnOnce() -> Outcome<()>,
) -> Outcome<Report> {
    let (size, time) = (task.cell.size, task.time);
    let before = clock::cpu();
    let mut report = match task.cell.kind {
        Kind::Throughput => {
            let Tally { messages, moment } = send_for(sink, size, time)?;
            Report {
                messages,
                moment,
                ..Report::default()
            }
        }
        Kind::RoundTrip => {
            let moment = clock::now();
            summary(ask(sink, source, size, time)?, moment)
        }
    };
    wait()?;
    report.cpu = clock::cpu() - before;
    Ok(report)
}

fn summary(mut times: Vec<u64>, moment: u64) -> Report {
    times.sort_unstable();
    let at = |percent: usize| {
        times
            .get(times.len() * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    Report {
        messages: times.len() as u64,
        moment,
        cpu: 0,
        p50: at(50),
        p99: at(99),
    }
}

fn timed(work: impl FnOnce() -> Outcome<Tally>) -> Outcome<Report> {
    let before = clock::cpu();
    let Tally { messages, moment } = work()?;
    Ok(Report {
        messages,
        moment,
        cpu: clock::cpu() - before,
        ..Report::default()
    })
}

/// The direction that a cell does not use.
struct Nothing;

impl Sink for Nothing {
    fn send(&mut self, _: &aqueduct_bench_shared::payload::Body<'_>) -> Outcome<()> {
        Err("there is nobody to send to".into())
    }
}

impl Source for Nothing {
    fn recv<T>(&mut self, _: impl FnOnce(&[u8]) -> T) -> Outcome<T> {
        Err("there is nobody to receive from".into())
    }
}
