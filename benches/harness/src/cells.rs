//! What is measured: each cell is one transport with one size, or with round trips.

use std::fmt;
use std::str::FromStr;

/// The sizes of bodies. Those around 64 are there to show that no cliff is.
const SIZES: [usize; 11] = [16, 48, 56, 64, 72, 128, 256, 1024, 8192, 65_536, 1_048_576];

/// The size of the body that goes there and back.
const ROUND_TRIP_SIZE: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Ipc,
    Inproc,
}

impl Transport {
    const ALL: [Self; 3] = [Self::Tcp, Self::Ipc, Self::Inproc];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Throughput,
    RoundTrip,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    Raw,
    Aqueduct,
}

impl Contender {
    pub(crate) const ALL: [Self; 2] = [Self::Raw, Self::Aqueduct];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) kind: Kind,
    pub(crate) transport: Transport,
    pub(crate) size: usize,
}

/// All cells, in the order of the tables.
pub(crate) fn all() -> impl Iterator<Item = Cell> {
    let throughput = Transport::ALL.into_iter().flat_map(|transport| {
        SIZES.into_iter().map(move |size| Cell {
            kind: Kind::Throughput,
            transport,
            size,
        })
    });
    let round_trips = Transport::ALL.into_iter().map(|transport| Cell {
        kind: Kind::RoundTrip,
        transport,
        size: ROUND_TRIP_SIZE,
    });
    throughput.chain(round_trips)
}

/// Gives a plain enum its names, both ways.
macro_rules! names {
    ($($type:ident { $($variant:ident = $name:literal),* $(,)? })*) => {$(
        impl ::std::fmt::Display for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(match self { $(Self::$variant => $name),* })
            }
        }
        impl ::std::str::FromStr for $type {
            type Err = ();
            fn from_str(name: &str) -> Result<Self, ()> {
                match name { $($name => Ok(Self::$variant),)* _ => Err(()) }
            }
        }
    )*};
}

names! {
    Transport { Tcp = "tcp", Ipc = "ipc", Inproc = "inproc" }
    Kind { Throughput = "throughput", RoundTrip = "round-trip" }
    Contender { Raw = "raw", Aqueduct = "aqueduct" }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.transport, self.size)
    }
}

impl FromStr for Cell {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let mut words = name.split('/');
        let mut next = || words.next().ok_or(());
        Ok(Self {
            kind: next()?.parse()?,
            transport: next()?.parse()?,
            size: next()?.parse().map_err(|_| ())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        assert!(all().all(|cell| cell.to_string().parse() == Ok(cell)));
    }
}
