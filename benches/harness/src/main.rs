//! Measures aqueduct against bare sockets: throughput, round trips, the cost of idle peers, fairness, crowds, and floods.
//!
//! ```text
//! cargo run --release -p aqueduct-harness -- run  [--quick] [--rounds 5] [--seconds 1] [--only PATTERN] [--write]
//! cargo run --release -p aqueduct-harness -- idle [--count 10000] [--write]
//! cargo run --release -p aqueduct-harness -- fair [--peers 1000] [--each 10000] [--write]
//! cargo run --release -p aqueduct-harness -- crowd [--subscribers 1000] [--dealers 5000] [--rounds 5] [--write]
//! cargo run --release -p aqueduct-harness -- floods [--silent 10000] [--dripping 1000] [--topics 1000000] [--seconds 20]
//! ```
//!
//! Both sides of a connection are processes of their own: this program starts itself again for each of them.
//! `--write` puts the figures into the project's documents; `--only` takes the cells whose name contains the pattern,
//! such as `tcp/64` or `round`.

mod aqueduct_side;
mod arguments;
mod cells;
mod child;
mod clock;
mod crowd;
mod fair;
mod floods;
mod heap;
mod idle;
mod payload;
mod raw_side;
mod report;
mod run;
mod traffic;
mod worker;
mod zmtp;

use std::error::Error;
use std::process::ExitCode;

use arguments::Arguments;

/// What can fail here is reported to a person, who wants the words and not the type.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

const USAGE: &str =
    "usage: aqueduct-harness run  [--quick] [--rounds N] [--seconds S] [--only PATTERN] [--write]
       aqueduct-harness idle [--count N] [--write]
       aqueduct-harness fair [--peers N] [--each N] [--write]
       aqueduct-harness crowd [--subscribers N] [--dealers N] [--rounds N] [--write]
       aqueduct-harness floods [--silent N] [--dripping N] [--topics N] [--seconds S]";

fn main() -> ExitCode {
    let mut arguments = Arguments::new(std::env::args().skip(1));
    let result = match arguments.word().as_deref() {
        Some("run") => run::run(arguments),
        Some("idle") => idle::run(arguments),
        Some("fair") => fair::run(arguments),
        Some("crowd") => crowd::run(arguments),
        Some("floods") => floods::run(arguments),
        Some("worker") => worker::run(arguments),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
