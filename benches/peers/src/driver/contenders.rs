//! Who is measured.

use aqueduct_peers::Pattern;

use super::cells::{Cell, Transport};

/// A library in one of its modes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// What is shown of it in one line with others: the library.
    pub(crate) library: &'static str,
    /// What the mode is, in a few words.
    pub(crate) what: &'static str,
    pub(crate) program: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) way: Way,
}

/// How a library is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// One call for each message, which blocks.
    Blocking,
    /// One future for each message.
    Async,
    /// Calls for many messages, which block.
    Batch,
    /// One call for each message, which polls before it blocks, longer than by default.
    Spin,
}

/// Bare sockets, to which all are compared.
pub(crate) const RAW: &str = "raw";

/// Modes that are measured only where it is about modes. The page says so.
const LEFT_OUT: [&str; 2] = ["rzmq-current", "zeromq-current"];

/// The library that this project is.
pub(crate) const OURS: &str = "aqueduct";

impl Way {
    /// What it is, in a few words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Blocking => "calls that block",
            Self::Async => "futures",
            Self::Batch => "with calls for many messages",
            Self::Spin => "spinning",
        }
    }
}

macro_rules! contenders {
    ($($name:literal $library:literal $program:literal $mode:literal $way:ident $what:literal;)*) => {
        /// All, in the order of their turns and of the tables.
        pub(crate) const ALL: [Contender; [$($name),*].len()] = [$(Contender {
            name: $name, library: $library, what: $what, program: $program, mode: $mode, way: Way::$way,
        }),*];
    };
}

contenders! {
    "raw"             "raw"      "raw"      "blocking" Blocking "bare sockets, or channels for inproc";
    "raw-spin"        "raw"      "raw"      "spin"     Spin     "the same, asking again and again instead of sleeping";
    "aqueduct"        "aqueduct" "aqueduct" "blocking" Blocking "blocking calls";
    "aqueduct-tokio"  "aqueduct" "aqueduct" "tokio"    Async    "futures, on a current-thread runtime of tokio";
    "aqueduct-smol"   "aqueduct" "aqueduct" "smol"     Async    "futures, on an executor of smol";
    "aqueduct-own"    "aqueduct" "aqueduct" "own"      Async    "futures, in its own `block_on`";
    "aqueduct-batch"  "aqueduct" "aqueduct" "batch"    Batch    "`send_many` and `recv_many`";
    "aqueduct-spin"   "aqueduct" "aqueduct" "spin"     Spin     "blocking calls, with `busy_poll`";
    "libzmq"          "libzmq"   "libzmq"   "blocking" Blocking "blocking calls";
    "libzmq-64k"      "libzmq"   "libzmq"   "batches"  Blocking "the same, with batches of 64 KiB (a draft option)";
    "omq"             "omq"      "omq"      "blocking" Blocking "blocking calls; its own I/O thread";
    "omq-async"       "omq"      "omq"      "async"    Async    "futures, on a current-thread runtime of tokio; its own I/O thread";
    "omq-current"     "omq"      "omq"      "current"  Async    "futures and I/O in one current-thread runtime of tokio";
    "omq-batch"       "omq"      "omq"      "batch"    Batch    "`try_send_many` and, when the queue is full, `send`; `recv_many_into`";
    "omq-spin"        "omq"      "omq"      "spin"     Spin     "blocking calls, with `recv_spin`";
    "rzmq"            "rzmq"     "rzmq"     "multi"    Async    "futures, on a runtime of tokio with one worker thread";
    "rzmq-current"    "rzmq"     "rzmq"     "current"  Async    "futures, on a current-thread runtime of tokio";
    "zeromq"          "zeromq"   "zeromq"   "multi"    Async    "futures, on a runtime of tokio with one worker thread";
    "zeromq-current"  "zeromq"   "zeromq"   "current"  Async    "futures, on a current-thread runtime of tokio";
}

impl Contender {
    /// Says whether it is of another library.
    pub(crate) fn is_rival(&self) -> bool {
        self.library != RAW && self.library != OURS
    }

    /// Says whether it is one to be ahead of when used like this: those with one call for each message as they are by
    /// default, and those that are used like this.
    pub(crate) fn is_rival_of(&self, way: Way) -> bool {
        self.is_rival() && (self.is_single() || self.way == way)
    }

    /// Says whether it has one call for each message, as it is by default.
    pub(crate) fn is_single(&self) -> bool {
        matches!(self.way, Way::Blocking | Way::Async)
    }

    /// Says whether a cell is measured with it. Calls for many messages are for small ones, and polling is for round
    /// trips between processes. Modes that have never been the best of their library, nor near to it, are left out where
    /// the mode is not the point.
    pub(crate) fn takes_part(&self, cell: Cell) -> bool {
        match self.way {
            Way::Batch => cell.is_for_batches(),
            Way::Spin => cell.pattern == Pattern::Latency && cell.transport != Transport::Inproc,
            Way::Async if LEFT_OUT.contains(&self.name) => cell.is_of_modes(),
            Way::Async | Way::Blocking => true,
        }
    }

    /// Says why it cannot do this at all.
    pub(crate) fn inability(&self, cell: Cell) -> Option<&'static str> {
        match (self.library, cell.pattern, cell.transport) {
            ("zeromq", _, Transport::Inproc) => Some("it has no inproc"),
            (RAW, Pattern::Curve, _) => Some("it does not encrypt"),
            ("omq" | "rzmq" | "zeromq", Pattern::Curve, _) => Some("it is measured without CURVE only"),
            ("libzmq", Pattern::Curve, _) if self.mode == "batches" => Some("the wheel has no drafts"),
            _ => None,
        }
    }
}

/// What is peculiar to contenders in a pattern, for the page that shows the figures.
pub(crate) fn note(pattern: Pattern) -> Option<&'static str> {
    match pattern {
        Pattern::Publish => Some(
            "zeromq publishes through an XPUB, which waits for slow subscribers; its PUB drops messages and cannot be told not to.",
        ),
        Pattern::Curve => {
            Some("libzmq is that of the pyzmq wheel, with libsodium: the crate that builds it has no CURVE.")
        }
        Pattern::Shared => Some(
            "Bodies are windows into one long buffer, handed over as `Bytes` (libzmq: `zmq_msg_init_data`). raw copies them, as \
             every write of a socket does.",
        ),
        _ => None,
    }
}
