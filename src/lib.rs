//! Brokerless messaging sockets that speak ZeroMQ's protocol.

// Nothing that a peer or an application does may panic; tests may.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::dbg_macro,
        clippy::print_stdout,
        clippy::indexing_slicing
    )
)]

mod context;
mod endpoint;
mod error;
mod message;
mod monitor;
mod options;
mod pattern;
mod peer;
mod pipe;
mod reactor;
#[cfg(test)]
mod simulation;
mod slab;
mod socket;
mod stats;
mod sync;
mod transport;
mod zmtp;

pub use context::Context;
pub use endpoint::{Endpoint, Host, IntoEndpoint, IpcEndpoint, TcpEndpoint};
pub use error::{
    BindError, ConnectError, DetachError, DisconnectReason, EndpointError, RecvError, SendError,
    TryRecvError, TrySendError, WaitError,
};
pub use message::{Frame, INLINE_CAPACITY, Message};
pub use monitor::Event;
pub use options::Keepalive;
pub use peer::{PeerInfo, RoutingId, SocketType};
pub use socket::{Buildable, Builder, Monitor, Pull, Push};
pub use stats::{CloseReport, Count, DropReason, Drops, PeerStats, SocketStats, Traffic};

/// The claims that the fuzzers check; not part of the library.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    /// How a greeting is cut does not matter.
    pub fn greeting(data: &[u8]) {
        crate::zmtp::fuzzing::greeting(data);
    }

    /// How a stream of frames is cut does not matter.
    pub fn decoder(data: &[u8]) {
        crate::zmtp::fuzzing::decoder(data);
    }

    /// Commands parse to what they are emitted from.
    pub fn command(data: &[u8]) {
        crate::zmtp::fuzzing::command(data);
    }

    /// Nothing that a peer does breaks a connection.
    pub fn connection(data: &[u8]) {
        crate::zmtp::fuzzing::connection(data);
    }

    /// Whatever is done with a pipe, it stays a bounded queue and wakes whoever sleeps.
    pub fn ring(data: &[u8]) {
        crate::pipe::fuzzing::ring(data);
    }
}
