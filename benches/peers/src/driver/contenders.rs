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
}

/// Bare sockets, to which all are compared.
pub(crate) const RAW: &str = "raw";

/// The library that this project is.
pub(crate) const OURS: &str = "aqueduct";

macro_rules! contenders {
    ($($name:literal $library:literal $program:literal $mode:literal $what:literal;)*) => {
        /// All, in the order of their turns and of the tables.
        pub(crate) const ALL: [Contender; [$($name),*].len()] = [$(Contender {
            name: $name, library: $library, what: $what, program: $program, mode: $mode,
        }),*];
    };
}

contenders! {
    "raw"             "raw"      "raw"      "blocking" "bare sockets, or channels for inproc";
    "aqueduct"        "aqueduct" "aqueduct" "blocking" "blocking calls";
    "aqueduct-tokio"  "aqueduct" "aqueduct" "tokio"    "futures, on a current-thread runtime of tokio";
    "aqueduct-smol"   "aqueduct" "aqueduct" "smol"     "futures, on an executor of smol";
    "aqueduct-own"    "aqueduct" "aqueduct" "own"      "futures, in its own `block_on`";
    "libzmq"          "libzmq"   "libzmq"   "blocking" "blocking calls";
    "libzmq-64k"      "libzmq"   "libzmq"   "batches"  "the same, with batches of 64 KiB (a draft option)";
    "omq"             "omq"      "omq"      "blocking" "blocking calls; its own I/O thread";
    "omq-async"       "omq"      "omq"      "async"    "futures, on a current-thread runtime of tokio; its own I/O thread";
    "omq-current"     "omq"      "omq"      "current"  "futures and I/O in one current-thread runtime of tokio";
    "rzmq"            "rzmq"     "rzmq"     "multi"    "futures, on a runtime of tokio with one worker thread";
    "rzmq-current"    "rzmq"     "rzmq"     "current"  "futures, on a current-thread runtime of tokio";
    "zeromq"          "zeromq"   "zeromq"   "multi"    "futures, on a runtime of tokio with one worker thread";
    "zeromq-current"  "zeromq"   "zeromq"   "current"  "futures, on a current-thread runtime of tokio";
}

impl Contender {
    /// Says whether it is one to be ahead of.
    pub(crate) fn is_rival(&self) -> bool {
        self.library != RAW && self.library != OURS
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
