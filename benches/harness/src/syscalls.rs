//! System calls: how many a message costs, counted by `strace -c` in the processes of both sides.
//!
//! A worker's start and end are not to count, so each is run twice, and the difference is divided by the messages that
//! the longer run had more. To be watched makes system calls slow: nothing here says how long anything takes, and a sender
//! that is slowed down may not count as one in a burst.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use aqueduct::{Pub, SlowPolicy, Sub};

use crate::cells::{Cell, Kind, Transport};
use crate::child::{Child, Report};
use crate::{Outcome, aqueduct_side};
use aqueduct_bench_shared::arguments::Arguments;

const SIZE: usize = 64;

const SUBSCRIBERS: usize = 8;

/// Milliseconds of the shorter run and of the longer.
const RUNS: [u64; 2] = [200, 1200];

/// Messages of a publisher for each of those milliseconds.
const PUBLISHED: u64 = 50;

/// Calls that move bytes. How often a thread looks or waits in between depends on the machine; how often one reads and
/// writes does not.
const TRANSFERS: [&str; 8] = [
    "read", "readv", "recvfrom", "recvmsg", "write", "writev", "sendto", "sendmsg",
];

/// Transfers that a thousand round trips may need on both sides together: two writes and two reads each, and a few kicks
/// of the event loop besides.
const ROUND_TRIP_BUDGET: u64 = 4200;

const PATIENCE: Duration = Duration::from_secs(60);

/// Calls by their names.
type Calls = BTreeMap<String, u64>;

pub(crate) fn run(mut arguments: Arguments) -> Outcome<()> {
    let check = arguments.flag("--check");
    arguments.finish(crate::USAGE)?;
    let directory = std::env::temp_dir().join(format!("aqueduct-syscalls-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let result = all(&directory, check);
    std::fs::remove_dir_all(&directory)?;
    result
}

fn all(directory: &Path, check: bool) -> Outcome<()> {
    for kind in [Kind::Throughput, Kind::RoundTrip] {
        let cell = Cell {
            kind,
            transport: Transport::Tcp,
            size: SIZE,
        };
        let name = cell.to_string();
        let transfers = difference(&name, |run| {
            let words = ["aqueduct", &name, &run.to_string()].map(str::to_owned);
            pair(directory, "listen", "dial", &words)
        })?;
        if check && kind == Kind::RoundTrip && transfers > ROUND_TRIP_BUDGET {
            let budget = ROUND_TRIP_BUDGET;
            return Err(
                format!("a thousand round trips need {transfers} reads and writes, not {budget}").into(),
            );
        }
    }
    difference(&format!("publish/tcp/{SIZE} to {SUBSCRIBERS}"), |run| {
        pair(
            directory,
            "publish",
            "subscribe",
            &[(PUBLISHED * run).to_string()],
        )
    })?;
    Ok(())
}

/// Runs a short and a long one, and prints what a thousand messages cost; returns how many of the calls are transfers.
fn difference(name: &str, mut run: impl FnMut(u64) -> Outcome<(Calls, u64)>) -> Outcome<u64> {
    let [short, long] = RUNS;
    let (before, few) = run(short)?;
    let (after, many) = run(long)?;
    let messages = many.saturating_sub(few).max(1);
    let (mut total, mut transfers) = (0, 0);
    let mut rows = String::new();
    for (call, count) in after {
        let more = count.saturating_sub(before.get(&call).copied().unwrap_or(0));
        let thousandth = (1000 * more + messages / 2) / messages;
        total += thousandth;
        if TRANSFERS.contains(&call.as_str()) {
            transfers += thousandth;
        }
        if thousandth > 0 {
            let _ = write!(rows, " {call} {thousandth}");
        }
    }
    println!("{name}: {total} system calls for 1000 messages ({messages} counted):{rows}");
    Ok(transfers)
}

/// Runs two workers, each watched, and returns what both called and how many messages there were.
fn pair(directory: &Path, first: &str, second: &str, words: &[String]) -> Outcome<(Calls, u64)> {
    let files = [first, second].map(|role| directory.join(role));
    let listener = watched(&files[0], first, words)?;
    let address = listener.line(PATIENCE).map_err(|error| {
        format!("{error} (strace needs the right to trace: CAP_SYS_PTRACE in containers)")
    })?;
    let mut dialer = watched(&files[1], second, &[words, &[address]].concat())?;
    let report: Report = listener.report(PATIENCE)?;
    dialer.go_on()?;
    dialer.report(PATIENCE)?;
    listener.finish()?;
    dialer.finish()?;
    let mut calls = Calls::new();
    for file in files {
        add(&mut calls, &std::fs::read_to_string(file)?)?;
    }
    Ok((calls, report.messages))
}

fn watched(file: &Path, role: &str, words: &[String]) -> Outcome<Child> {
    let file = file
        .to_str()
        .ok_or("the directory for temporary files has no plain name")?;
    let words: Vec<_> = std::iter::once(role)
        .chain(words.iter().map(String::as_str))
        .collect();
    Child::start_under(&["strace", "-f", "-c", "-o", file], &words)
        .map_err(|error| format!("strace is needed (Debian: apt-get install strace): {error}").into())
}

/// Adds the calls of a table as strace writes it: `% time, seconds, usecs/call, calls, errors if any, name`.
fn add(calls: &mut Calls, table: &str) -> Outcome<()> {
    for line in table.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let [share, _, _, count, .., name] = words[..] else {
            continue;
        };
        if share.parse::<f64>().is_ok() && name != "total" {
            *calls.entry(name.to_owned()).or_default() += count.parse::<u64>()?;
        }
    }
    Ok(())
}

/// A worker that publishes: says where, waits for all subscribers, and drops nothing.
pub(crate) fn publish(mut arguments: Arguments) -> Outcome<()> {
    let messages: u64 = arguments.parse()?;
    let publisher = Pub::builder().slow_subscribers(SlowPolicy::Block).build();
    println!("{}", publisher.bind(aqueduct_side::wildcard(Transport::Tcp))?);
    publisher.wait_for_subscribers("", SUBSCRIBERS, PATIENCE)?;
    for _ in 0..messages {
        publisher.send([7; SIZE])?;
    }
    drop(publisher);
    report(messages);
    Ok(())
}

/// A worker that has all subscribers, each in a thread.
pub(crate) fn subscribe(mut arguments: Arguments) -> Outcome<()> {
    let messages: u64 = arguments.parse()?;
    let address = arguments.word().unwrap_or_default();
    let subscribe = || -> Outcome<()> {
        let subscriber = Sub::new();
        subscriber.subscribe("")?;
        subscriber.connect(address.as_str())?;
        for _ in 0..messages {
            subscriber.recv()?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads = [(); SUBSCRIBERS].map(|()| scope.spawn(subscribe));
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a subscriber panicked")?)
    })?;
    report(messages);
    Ok(())
}

fn report(messages: u64) {
    let report = Report {
        messages,
        ..Report::default()
    };
    report.print();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_strace_is_read() {
        let table = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 51.30    0.001230           1      1230           writev
 48.70    0.001168           9       128         3 futex
------ ----------- ----------- --------- --------- ----------------
100.00    0.002398           1      1358         3 total
";
        let mut calls = Calls::new();
        assert!(add(&mut calls, table).is_ok());
        let expected = [("futex".to_owned(), 128), ("writev".to_owned(), 1230)];
        assert_eq!(calls, Calls::from(expected));
    }
}
