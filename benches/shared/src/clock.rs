//! Two clocks: one that all processes of the machine share, and the CPU time of this process.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds since some moment that is the same for every process, so that a time may begin in one and end in another.
pub fn now() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// Nanoseconds of CPU time that all threads of this process have used, in the kernel and outside.
pub fn cpu() -> u64 {
    nanoseconds(clock_gettime(ClockId::ProcessCPUTime))
}

fn nanoseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}
