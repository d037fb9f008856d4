//! What is measured.

use std::fmt;

use aqueduct_peers::Pattern;

/// The sizes of bodies.
const SIZES: [usize; 7] = [16, 64, 256, 1024, 8192, 65_536, 1_048_576];

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
    let mut add = |pattern, transport, size, peers| {
        cells.push(Cell {
            pattern,
            transport,
            size,
            peers,
        })
    };
    for pattern in Pattern::ALL {
        for transport in Transport::ALL {
            let over_tcp = transport == Transport::Tcp;
            match pattern {
                Pattern::Throughput if transport == Transport::Inproc => {
                    add(pattern, transport, SIZE, 1);
                    add(pattern, transport, 8192, 1);
                }
                Pattern::Throughput => SIZES
                    .into_iter()
                    .for_each(|size| add(pattern, transport, size, 1)),
                Pattern::Shared if transport == Transport::Inproc => {}
                Pattern::Shared => SHARED_SIZES
                    .into_iter()
                    .for_each(|size| add(pattern, transport, size, 1)),
                Pattern::Latency | Pattern::Routed => add(pattern, transport, SIZE, 1),
                Pattern::Publish if over_tcp => [8, 64, 1000]
                    .into_iter()
                    .for_each(|n| add(pattern, transport, SIZE, n)),
                Pattern::FanIn if over_tcp => {
                    [8, 64].into_iter().for_each(|n| add(pattern, transport, SIZE, n))
                }
                Pattern::Publish | Pattern::FanIn => add(pattern, transport, SIZE, 8),
            }
        }
    }
    cells
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
