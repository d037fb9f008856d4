//! What a program is told to do.

use std::str::FromStr;

use crate::Outcome;
use crate::report::BOUND;

/// The traffic that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// PUSH → PULL.
    Throughput,
    /// PUSH → PULL, encrypted with CURVE.
    Curve,
    /// PUSH → PULL, of bodies that are handed over, not copied, where the library can.
    Shared,
    /// REQ and REP, one round trip after the other.
    Latency,
    /// One PUB to many SUB, all of which get everything.
    Publish,
    /// Many PUSH to one PULL.
    FanIn,
    /// DEALER and ROUTER, with so many requests under way.
    Routed,
}

impl Pattern {
    /// In the order of the tables.
    pub const ALL: [Self; 7] = [
        Self::Throughput,
        Self::Curve,
        Self::Shared,
        Self::Latency,
        Self::Publish,
        Self::FanIn,
        Self::Routed,
    ];

    /// The word for it on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Throughput => "thr",
            Self::Curve => "curve",
            Self::Shared => "ref",
            Self::Latency => "lat",
            Self::Publish => "pub",
            Self::FanIn => "fanin",
            Self::Routed => "rtr",
        }
    }

    /// Which side sends first, on a word from the driver; in `Publish`, the one that binds.
    #[must_use]
    pub fn starter(self) -> Role {
        match self {
            Self::Publish => Role::Bind,
            _ => Role::Connect,
        }
    }

    /// Which side knows that all are connected, and when the last message has come.
    #[must_use]
    pub fn witness(self) -> Role {
        match self {
            Self::Throughput | Self::Curve | Self::Shared | Self::FanIn => Role::Bind,
            Self::Latency | Self::Publish | Self::Routed => Role::Connect,
        }
    }
}

/// Which side a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Bind,
    Connect,
    Both,
}

/// What is on the command line.
#[derive(Clone, Debug)]
pub struct Task {
    pub role: Role,
    pub pattern: Pattern,
    pub endpoint: String,
    /// The size of a body, in bytes.
    pub size: usize,
    /// How many messages are sent, round trips are made, or messages published.
    pub count: u64,
    /// How many sockets connect.
    pub peers: u16,
}

/// Bodies hold their number.
const MIN_SIZE: usize = 16;

impl Task {
    /// Reads the command line, from ROLE on.
    pub fn parse(words: &[String]) -> Outcome<Self> {
        let [role, pattern, endpoint, size, count, rest @ ..] = words else {
            return Err("not enough words".into());
        };
        let peers = match rest {
            [] => 1,
            [peers] => peers.parse()?,
            _ => return Err("too many words".into()),
        };
        let task = Self {
            role: role.parse()?,
            pattern: pattern.parse()?,
            endpoint: endpoint.clone(),
            size: size.parse()?,
            count: count.parse()?,
            peers,
        };
        if task.size < MIN_SIZE || task.peers == 0 || task.count == 0 {
            return Err(format!("at least {MIN_SIZE} bytes, one message and one peer are needed").into());
        }
        Ok(task)
    }

    /// Says which transport it is.
    #[must_use]
    pub fn transport(&self) -> &str {
        self.endpoint.split("://").next().unwrap_or_default()
    }

    /// Tells the driver where a socket has been bound.
    pub fn announce(&self, endpoint: &str) {
        if self.role != Role::Both {
            println!("{BOUND}{endpoint}");
        }
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|pattern| pattern.word() == word)
            .ok_or_else(|| format!("{word}: no such pattern"))
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "bind" => Ok(Self::Bind),
            "connect" => Ok(Self::Connect),
            "both" => Ok(Self::Both),
            _ => Err(format!("{word}: no such role")),
        }
    }
}
