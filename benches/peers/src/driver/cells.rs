//! What is measured.

use std::fmt;

use aqueduct_peers::Pattern;

/// The sizes of bodies.
const SIZES: [usize; 7] = [16, 64, 256, 1024, 8192, 65_536, 1_048_576];

/// The sizes of bodies that are encrypted: where a message, a copy, and the cipher is what costs.
const CURVE_SIZES: [usize; 3] = [64, 1024, 65_536];

/// The sizes of bodies that are worth not being copied.
const SHARED_SIZES: [usize; 2] = [65_536, 1_048_576];

/// The size where it is not the point.
const SIZE: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Ipc,
    Inproc,
}

impl Transport {
    const ALL: [Self; 3] = [Self::Tcp, Self::Ipc, Self::Inproc];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Ipc => "ipc",
            Self::Inproc => "inproc",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) pattern: Pattern,
    pub(crate) transport: Transport,
    pub(crate) size: usize,
    pub(crate) peers: u16,
}

impl Cell {
    /// Says whether less is better: times, not rates.
    pub(crate) fn is_time(self) -> bool {
        self.pattern == Pattern::Latency
    }

    /// Says whether calls for many messages are worth a figure here.
    pub(crate) fn is_for_batches(self) -> bool {
        self.pattern == Pattern::Throughput && self.transport == Transport::Tcp && self.size <= 1024
    }

    /// Says whether all modes of all libraries are compared here.
    pub(crate) fn is_of_modes(self) -> bool {
        match self.pattern {
            Pattern::Throughput => self.size == SIZE,
            pattern => pattern == Pattern::Latency,
        }
    }

    /// How many messages are received when so many are sent.
    pub(crate) fn delivered(self, count: u64) -> u64 {
        match self.pattern {
            Pattern::Publish => count * u64::from(self.peers),
            _ => count,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pattern,
            transport,
            size,
            peers,
        } = self;
        write!(f, "{}/{}/{size}", pattern.word(), transport.word())?;
        if *peers > 1 { write!(f, "/{peers}") } else { Ok(()) }
    }
}

/// All cells, in the order of the tables.
pub(crate) fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for pattern in Pattern::ALL {
        for transport in Transport::ALL {
            let cell = |size, peers| Cell {
                pattern,
                transport,
                size,
                peers,
            };
            cells.extend(sizes(pattern, transport).iter().map(|&size| cell(size, 1)));
            cells.extend(peers(pattern, transport).iter().map(|&peers| cell(SIZE, peers)));
        }
    }
    cells
}

/// What sizes are measured with one peer.
fn sizes(pattern: Pattern, transport: Transport) -> &'static [usize] {
    match (pattern, transport) {
        (Pattern::Throughput, Transport::Inproc) => &[SIZE, 8192],
        (Pattern::Throughput, _) => &SIZES,
        (Pattern::Curve, Transport::Tcp) => &CURVE_SIZES,
        (Pattern::Shared, Transport::Tcp | Transport::Ipc) => &SHARED_SIZES,
        (Pattern::Latency | Pattern::Routed, _) => &[SIZE],
        (Pattern::Curve | Pattern::Shared | Pattern::Publish | Pattern::FanIn, _) => &[],
    }
}

/// What numbers of peers are measured, where there are many.
fn peers(pattern: Pattern, transport: Transport) -> &'static [u16] {
    match (pattern, transport) {
        (Pattern::Publish, Transport::Tcp) => &[8, 64, 1000],
        (Pattern::FanIn, Transport::Tcp) => &[8, 64],
        (Pattern::Publish | Pattern::FanIn, _) => &[8],
        _ => &[],
    }
}

/// The words after the role on a program's command line.
pub(crate) fn words(cell: Cell, endpoint: &str, count: u64) -> Vec<String> {
    vec![
        cell.pattern.word().to_owned(),
        endpoint.to_owned(),
        cell.size.to_string(),
        count.to_string(),
        cell.peers.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use aqueduct_peers::Task;

    use super::*;

    #[test]
    fn programs_understand_every_cell() {
        for cell in all() {
            let mut line = words(cell, "tcp://127.0.0.1:0", 1000);
            line.insert(0, "bind".to_owned());
            let task = Task::parse(&line).unwrap();
            assert_eq!(
                (task.pattern, task.size, task.peers),
                (cell.pattern, cell.size, cell.peers)
            );
        }
    }
}
