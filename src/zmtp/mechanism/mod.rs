//! Security mechanisms: what comes between the greetings and the first message, one module each.

#[cfg(feature = "curve")]
#[cfg_attr(
    not(test),
    allow(dead_code, unused_imports, reason = "no socket can be set to it yet")
)]
mod curve;
mod null;

use super::connection::Config;
use super::handshake::Denied;
use crate::PeerInfo;

/// The property that names the type of a socket, in every mechanism.
pub(super) const SOCKET_TYPE: &str = "Socket-Type";
/// The property with the routing id of a socket, in every mechanism.
pub(super) const IDENTITY: &str = "Identity";

/// The mechanisms that a socket can be set to; both ends of a connection must name the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// No authentication and no encryption.
    Null,
}

impl Mechanism {
    /// Returns the name that travels in the greeting.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Null => "NULL",
        }
    }

    /// Appends the body of the command that opens the mechanism's part of the handshake.
    pub(super) fn emit_hello(self, config: &Config, out: &mut Vec<u8>) {
        match self {
            Self::Null => null::emit_ready(config, out),
        }
    }

    /// Judges a command of the peer in the handshake: it describes the peer that is admitted, or denies it.
    pub(super) fn judge(
        self,
        command: &[u8],
        version: (u8, u8),
        config: &Config,
    ) -> Result<PeerInfo, Denied> {
        match self {
            Self::Null => null::judge(command, version, config),
        }
    }
}
