//! Measures aqueduct beside the other libraries of its kind, turn by turn, and writes tables and charts.
//!
//! ```text
//! cargo run --release -- [--quick] [--only FILTER] [--rounds 5] [--seconds 1] [--strict] [--write] [--resume]
//! ```
//!
//! Run it where its Cargo.toml is. `--only` takes the cells whose name contains one of the words of FILTER, which commas
//! separate, such as `thr/tcp,lat`; words that name contenders, such as `raw,libzmq`, leave the others out. `--strict`
//! takes a failure of any contender for one of the whole run. `--write` puts the figures into the project's documents:
//! those of this run, and what earlier runs have kept of other cells. `--resume` leaves out cells of which the same code
//! has figures already.

mod driver;

use std::process::ExitCode;

fn main() -> ExitCode {
    match driver::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
