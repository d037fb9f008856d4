//! What the programs have in common: each has one library send and receive, and all else is here.
//!
//! ```text
//! PROGRAM MODE ROLE PATTERN ENDPOINT SIZE COUNT [PEERS]
//! ```
//!
//! MODE is one of the library's ways of being used, such as `blocking`. ROLE is `bind` or `connect`, or `both` for inproc.
//! PATTERN is one of [`Pattern`]. COUNT is how many messages are sent, and PEERS how many sockets are on the side that
//! connects.

pub mod curve;
pub mod executor;
mod gate;
pub mod library;
mod numbered;
pub mod report;
mod side;
pub mod task;

use std::process::ExitCode;
use std::time::Duration;

pub use aqueduct_bench_shared::Outcome;

pub use executor::Executor;
pub use library::{Kind, Library, Socket};
pub use numbered::Numbered;
pub use report::Report;
pub use side::run;
pub use task::{Pattern, Role, Task};

/// How many messages a queue holds, on each side, in all libraries that can be told. It is the default of most.
pub const HWM: u16 = 1000;

/// How many messages one call receives at most, in modes that have such calls.
pub const BATCH: usize = 256;

/// How long a receiver polls before it sleeps, in modes that spin: longer than any round trip that is not out of the
/// ordinary.
pub const SPIN: Duration = Duration::from_millis(1);

/// Runs a program: reads the command line, and lets the library of this mode do what it says.
pub fn program(by_mode: impl FnOnce(&str, &Task) -> Outcome<()>) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let result = match words.split_first() {
        Some((mode, rest)) => Task::parse(rest).and_then(|task| by_mode(mode, &task)),
        None => Err("usage: PROGRAM MODE bind|connect|both PATTERN ENDPOINT SIZE COUNT [PEERS]".into()),
    };
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    eprintln!("{error}");
    ExitCode::FAILURE
}

/// What a program says of a mode that it does not have.
pub fn no_such_mode(mode: &str) -> Outcome<()> {
    Err(format!("{mode}: no such mode").into())
}
