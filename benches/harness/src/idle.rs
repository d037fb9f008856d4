//! What idle connections cost: thousands of them to one PULL, with everything that this process allocates counted.

use std::time::{Duration, Instant};

use aqueduct::Pull;
use aqueduct_bench_shared::arguments::Arguments;
use aqueduct_bench_shared::figures::{self, thousands};
use aqueduct_bench_shared::zmtp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::child::{Child, wait_for_parent};
use crate::{Outcome, heap};

/// Files that a process needs beside its connections.
const OTHER_FILES: u64 = 64;

const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn run(mut arguments: Arguments) -> Outcome<()> {
    let count: u32 = arguments.option("--count", 10_000)?;
    let write = arguments.flag("--write");
    arguments.finish(crate::USAGE)?;
    allow_files(u64::from(count))?;
    heap::start_counting();
    let pull = Pull::builder().handshake_rate(None).build();
    let endpoint = pull.bind("tcp://127.0.0.1:0")?.to_string();
    let clients = Child::start(&["idle", &count.to_string(), &endpoint])?;
    let (heap_before, memory_before) = (heap::live(), resident()?);
    let start = Instant::now();
    pull.wait_for_peers(usize::try_from(count)?, PATIENCE)?;
    let time = start.elapsed();
    clients.line(PATIENCE)?;
    let (heap_after, memory_after) = (heap::live(), resident()?);
    let each = |before: i64, after: i64| thousands((after - before) as f64 / f64::from(count));
    let text = format!(
        "{} idle tcp connections to one PULL: {} bytes of heap each, {} bytes of resident memory each (heap {} → {} \
         bytes); all handshakes took {:.1} s.",
        thousands(f64::from(count)),
        each(heap_before, heap_after),
        each(memory_before, memory_after),
        thousands(heap_before as f64),
        thousands(heap_after as f64),
        time.as_secs_f64()
    );
    println!("{text}");
    if write {
        figures::write("docs/BENCHMARKS.md", "idle", &text)?;
    }
    Ok(())
}

/// The other process: connects, shakes hands, and keeps still.
pub(crate) fn clients(mut arguments: Arguments) -> Outcome<()> {
    let count: u32 = arguments.parse()?;
    let address = zmtp::tcp_address(&arguments.word().unwrap_or_default())?;
    allow_files(u64::from(count))?;
    let streams = (0..count)
        .map(|_| zmtp::connect_push(address))
        .collect::<Outcome<Vec<_>>>()?;
    println!("connected");
    wait_for_parent()?;
    drop(streams);
    Ok(())
}

/// Raises the limit of open files as far as needed, or says what to do.
pub(crate) fn allow_files(connections: u64) -> Outcome<()> {
    let needed = connections + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(needed),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)
        .map_err(|error| format!("{needed} open files are needed (see `ulimit -n`): {error}").into())
}

/// Bytes of memory that this process has from the system.
pub(crate) fn resident() -> Outcome<i64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .ok_or("the system does not tell the resident memory")?;
    Ok(kilobytes.trim().parse::<i64>()? * 1024)
}
