//! Runs a scene under callgrind and reads what it has counted.

use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::meter::{COUNTED, WATCHED};

/// The C library chooses how to copy and compare by what the processor can do. Without these, it chooses the same
/// everywhere.
const PLAIN_PROCESSOR: &str =
    "glibc.cpu.hwcaps=-AVX_Usable,-AVX2_Usable,-AVX512F_Usable,-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM";

/// Returns how many instructions a message costs in a scene.
pub(crate) fn count(scene: &str) -> Outcome<u64> {
    let directory = std::env::temp_dir().join(format!("aqueduct-guards-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let result = count_in(&directory, scene).map_err(|error| format!("{scene}: {error}").into());
    std::fs::remove_dir_all(&directory)?;
    result
}

fn count_in(directory: &Path, scene: &str) -> Outcome<u64> {
    let [collect, dump] = WATCHED;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}/out", directory.display()))
        .arg(format!("--toggle-collect={collect}"))
        .arg(format!("--dump-after={dump}"))
        .arg(std::env::current_exe()?)
        .args(["scene", scene])
        .env("GLIBC_TUNABLES", PLAIN_PROCESSOR)
        .output()
        .map_err(|error| format!("valgrind is needed (Debian: apt-get install valgrind): {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let messages: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
    let mut totals = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        totals.extend(total(&std::fs::read_to_string(entry?.path())?)?);
    }
    if totals.len() != COUNTED {
        return Err(format!("{} of {COUNTED} turns were counted", totals.len()).into());
    }
    totals.sort_unstable();
    Ok((totals[COUNTED / 2] + messages / 2) / messages)
}

/// Reads the instructions of a turn; the dump at the end of the program has none.
fn total(dump: &str) -> Outcome<Option<u64>> {
    let line = dump.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = line.ok_or("callgrind has written no total")?.trim().parse()?;
    Ok(Some(total).filter(|total| *total > 0))
}
