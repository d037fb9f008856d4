//! Counts the instructions that a message costs on its paths, and holds them against a budget.
//!
//! ```text
//! RUSTFLAGS="--cfg aqueduct_bench" cargo run --profile guards -p aqueduct-guards             # check
//! RUSTFLAGS="--cfg aqueduct_bench" cargo run --profile guards -p aqueduct-guards -- --update # set the budget anew
//! ```
//!
//! Each scene (see `scenes`) runs in a process of its own under valgrind's callgrind, which counts the instructions of
//! this program and not those of the system. A count does not depend on the load of the machine, so a few percent are a
//! finding. The budget is in `instructions.txt` beside `src`.

#![cfg_attr(not(aqueduct_bench), allow(dead_code, reason = "there are no scenes to play"))]

mod budget;
mod callgrind;
mod meter;
#[cfg(aqueduct_bench)]
mod scenes;
#[cfg(not(aqueduct_bench))]
mod scenes {
    //! What is measured is not public, so that there is nothing to measure without the flag.
    pub(crate) type Scene = (&'static str, fn() -> crate::meter::Round);
    pub(crate) const ALL: &[Scene] = &[];
}

use std::error::Error;
use std::process::ExitCode;

use budget::{Budget, Verdict};

/// What can fail here is reported to a person, who wants the words and not the type.
type Outcome<T> = Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: aqueduct-guards [--update]";

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let result = match words[..] {
        [] => check(),
        ["--update"] => update(),
        ["scene", name] => play(name),
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

/// Counts all scenes and fails if one is out of its budget.
fn check() -> Outcome<()> {
    let budget = Budget::read()?;
    let counted = count_all()?;
    let compiler = budget::compiler()?;
    let found = budget.compare(&counted, &compiler);
    println!("{}", budget::table(&found));
    if compiler != budget.compiler {
        eprintln!(
            "The budget is of {}, this is {compiler}: within 25 %.",
            budget.compiler
        );
    }
    let failed = found
        .iter()
        .filter(|found| found.verdict != Verdict::Good)
        .count();
    if failed == 0 {
        return Ok(());
    }
    let advice = "If that is intended, set the budget anew with --update, and say why in the commit";
    Err(format!("{failed} of {} are out of the budget. {advice}.", found.len()).into())
}

fn update() -> Outcome<()> {
    let counted = count_all()?;
    let compiler = budget::compiler()?;
    let before = Budget::read().unwrap_or_default();
    println!("{}", budget::table(&before.compare(&counted, &compiler)));
    Budget { compiler, counted }.write()
}

fn count_all() -> Outcome<Vec<(String, u64)>> {
    if scenes::ALL.is_empty() {
        return Err("set RUSTFLAGS=\"--cfg aqueduct_bench\": what is measured here is not public".into());
    }
    let count = |(name, _): &scenes::Scene| Ok((String::from(*name), callgrind::count(name)?));
    scenes::ALL.iter().map(count).collect()
}

/// The other process: plays a scene for callgrind to watch.
fn play(name: &str) -> Outcome<()> {
    let (_, prepare) = scenes::ALL
        .iter()
        .find(|(other, _)| *other == name)
        .ok_or("no such scene")?;
    meter::play(prepare());
    Ok(())
}
