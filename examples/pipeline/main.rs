//! Counts words with a pipeline of processes: a ventilator sends lines, workers count, a sink merges.
//!
//! ```text
//!                    lines            counts
//!   ventilator PUSH ═══════► worker ─────────► PULL sink
//!     │  PULL          ╚═══► worker ──────────►  │ ▲ PUSH
//!     │   ▲            ╚═══► worker ──────────►  │ │
//!     │   └───────── "counted", result ──────────┘ │
//!     └────────────────────── "end" ───────────────┘
//! ```
//!
//! Each line is a message of its own: the point is to see many small messages pass. The ventilator runs the other
//! processes, and in the end checks their result against a plain count.

#![allow(clippy::print_stdout, reason = "this is a program for a terminal")]

mod counts;
mod report;
mod sink;
mod text;
mod ventilator;
mod worker;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long a process waits for another to come up before it gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long nothing comes before a process takes stock.
const IDLE: Duration = Duration::from_millis(20);

/// The property by which workers tell others their name in the handshake.
const NAME: &str = "X-Worker";

const USAGE: &str = "\
usage: pipeline [--lines N] [--workers N] [FILES…]   count the words of these files, or of aqueduct's own documents
       pipeline worker LINES RESULTS                 add a worker to a running pipeline, by its endpoints

It ends with 0 if the result matches a plain count, 1 if it does not or something failed, and 3 if workers that went
away took lines with them, so that it cannot match.";

/// What the ventilator is asked to do.
struct Job {
    files: Vec<PathBuf>,
    lines: u64,
    workers: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["-h" | "--help", ..] => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        ["worker", lines, results] => worker::run(lines, results).map(|()| ExitCode::SUCCESS),
        ["sink", reports] => sink::run(reports).map(|()| ExitCode::SUCCESS),
        _ => parse(&words).and_then(|job| ventilator::run(&job)),
    };
    done.unwrap_or_else(|error| {
        eprintln!("pipeline: {error}");
        ExitCode::FAILURE
    })
}

fn parse(words: &[&str]) -> Outcome<Job> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let mut job = Job {
        files: Vec::new(),
        lines: 1_000_000,
        workers: cores.clamp(2, 4),
    };
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        let mut value = || {
            words
                .next()
                .ok_or_else(|| format!("{word} needs a number\n{USAGE}"))
        };
        match word {
            "--lines" => job.lines = value()?.parse()?,
            "--workers" => job.workers = value()?.parse()?,
            option if option.starts_with('-') => return Err(format!("{option}?\n{USAGE}").into()),
            file => job.files.push(file.into()),
        }
    }
    Ok(job)
}
