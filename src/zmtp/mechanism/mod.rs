//! Security mechanisms: what comes between the greetings and the first message, and around each frame after it; one module
//! each.
//!
//! # Contract
//!
//! A mechanism is a chain of states, each a type of its own. The handshake owns the present one and consumes it: with the
//! peer's next command ([`Stage`]), or with what the application has decided ([`Pending`]). The state answers with a
//! [`Turn`], or with `Denied`, and then there is none left from which to get on. Only [`Next::Admit`] leads to messages.

#[cfg(feature = "curve")]
pub(super) mod curve;
pub(super) mod metadata;
mod null;
mod plain;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::connection::Config;
use super::handshake::Denied;
use crate::security::{Denial, Inquiry, Mechanism, User};
use crate::{DisconnectReason, Frame, PeerInfo};

/// Begins the mechanism that the socket is set to, when the greetings go together.
pub(super) fn begin(config: &Config) -> Result<Turn, Denied> {
    match &config.mechanism {
        Mechanism::Null => Ok(null::begin(config)),
        Mechanism::NullServer(_) => Ok(null::begin_server()),
        Mechanism::PlainClient(login) => Ok(plain::begin_client(login)),
        Mechanism::PlainServer(_) => Ok(plain::begin_server()),
        #[cfg(feature = "curve")]
        Mechanism::CurveClient { server, keys } => curve::begin_client(*server, keys, config),
        #[cfg(feature = "curve")]
        Mechanism::CurveServer { keys, .. } => Ok(curve::begin_server(keys, config)),
    }
}

/// A state in which the peer has the word.
pub(super) trait Stage: fmt::Debug + Send {
    /// Takes the body of the peer's next command.
    fn handle_command(self: Box<Self>, body: &[u8], config: &Config) -> Result<Turn, Denied>;
}

/// A state in which the application has the word, and the peer is not listened to.
pub(super) trait Pending: fmt::Debug + Send {
    /// The peer is this user, and welcome.
    fn allow(self: Box<Self>, user: Arc<User>, config: &Config) -> Result<Turn, Denied>;

    /// The peer is not let in: says why, and what the peer is told of it.
    fn deny(self: Box<Self>, denial: Denial) -> Denied;
}

/// What comes of a state.
#[derive(Debug)]
pub(super) struct Turn {
    /// The body of a command to be sent first; none if it is empty.
    pub(super) say: Vec<u8>,
    pub(super) next: Next,
}

impl Turn {
    /// The peer is let in, nothing need be said, and frames stay what they are.
    fn admit(peer: PeerInfo) -> Self {
        Self {
            say: Vec::new(),
            next: Next::Admit(peer, None),
        }
    }
}

/// The state after a turn.
#[derive(Debug)]
pub(super) enum Next {
    /// The peer's next command decides.
    Listen(Box<dyn Stage>),
    /// The application decides.
    Ask(Box<Inquiry>, Box<dyn Pending>),
    /// The peer is let in. The frames that follow go through the seal, if there is one.
    Admit(PeerInfo, Option<Box<dyn Seal>>),
}

/// What a mechanism does to each frame, once the peer is let in.
///
/// With a seal, each frame that leaves (commands, too) is one made by [`seal`](Self::seal), and each that comes must be one
/// that [`open`](Self::open) takes; what is inside decides whether it is a command or a part of a message. The frame outside
/// has no flags: it is a command by the letter of RFC 26, but libzmq would take what is inside for a command, too.
pub(super) trait Seal: fmt::Debug + Send {
    /// Appends a whole frame, its header included, that carries a frame with this body; `flags` are those of
    /// the frame inside, [`MORE`](super::frame::MORE) or [`COMMAND`](super::frame::COMMAND) or none.
    fn seal(&mut self, flags: u8, body: &[u8], out: &mut Vec<u8>);

    /// Takes the frame out of the body of the one that carries it.
    fn open(&mut self, body: Cow<'_, [u8]>) -> Result<Opened, DisconnectReason>;
}

/// A frame that was inside another one.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) more: bool,
    pub(super) command: bool,
    pub(super) body: Frame,
}
