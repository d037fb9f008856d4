//! Measures aqueduct against bare sockets: throughput, round trips, the cost of idle peers, fairness, crowds, topics,
//! system calls, floods, and hostile peers.
//!
//! ```text
//! cargo run --release -p aqueduct-harness -- run  [--quick] [--rounds 5] [--seconds 1] [--only PATTERN] [--write]
//! cargo run --release -p aqueduct-harness -- idle [--count 10000] [--write]
//! cargo run --release -p aqueduct-harness -- fair [--peers 1000] [--each 10000] [--write]
//! cargo run --release -p aqueduct-harness -- crowd [--subscribers 1000] [--dealers 5000] [--rounds 5] [--write]
//! cargo run --release -p aqueduct-harness --features libzmq -- topics [--count 1000000] [--rounds 5] [--write]
//! cargo run --release -p aqueduct-harness -- syscalls [--check]
//! cargo run --release -p aqueduct-harness -- floods [--silent 10000] [--dripping 1000] [--hellos 500] [--topics 1000000]
//!                                                      [--seconds 20] [--only FLOOD]
//! cargo run --release -p aqueduct-harness -- beside [--rounds 5] [--spell 250] [--plays 10] [--only ROW]
//! ```
//!
//! Both sides of a connection are processes of their own: this program starts itself again for each of them.
//! `--write` puts the figures into the project's documents; `--only` takes the cells whose name contains the pattern,
//! such as `tcp/64` or `round`.

#[macro_use]
mod cells;

mod aqueduct_side;
mod beside;
mod child;
mod crowd;
mod fair;
mod floods;
mod heap;
mod honest;
mod idle;
mod raw_side;
mod report;
mod run;
mod syscalls;
mod topics;
mod traffic;
mod worker;

use std::process::ExitCode;

use aqueduct_bench_shared::Outcome;
use aqueduct_bench_shared::arguments::Arguments;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

const USAGE: &str =
    "usage: aqueduct-harness run  [--quick] [--rounds N] [--seconds S] [--only PATTERN] [--write]
       aqueduct-harness idle [--count N] [--write]
       aqueduct-harness fair [--peers N] [--each N] [--write]
       aqueduct-harness crowd [--subscribers N] [--dealers N] [--rounds N] [--write]
       aqueduct-harness topics [--count N] [--rounds N] [--write]
       aqueduct-harness syscalls [--check]
       aqueduct-harness floods [--silent N] [--dripping N] [--hellos N] [--topics N] [--seconds S] [--only FLOOD]
       aqueduct-harness beside [--rounds N] [--spell MS] [--plays N] [--only ROW]";

fn main() -> ExitCode {
    let mut arguments = Arguments::new(std::env::args().skip(1));
    let result = match arguments.word().as_deref() {
        Some("run") => run::run(arguments),
        Some("idle") => idle::run(arguments),
        Some("fair") => fair::run(arguments),
        Some("crowd") => crowd::run(arguments),
        Some("topics") => topics::run(arguments),
        Some("syscalls") => syscalls::run(arguments),
        Some("floods") => floods::run(arguments),
        Some("beside") => beside::run(arguments),
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
