//! The handshake: one type per state, and each transition consumes the state it leaves.
//!
//! ```text
//!                64 good bytes              a READY that we like
//! AwaitGreeting ───────────────► AwaitReady ─────────────────────► Admitted ──► traffic
//!       │                             │
//!       │ a wrong byte                │ a wrong command, ERROR, over a limit
//!       ▼                             ▼
//!     Denied                        Denied
//! ```
//!
//! The only way to traffic leads through an [`Admitted`], the only way to that through the mechanism's judgement, and
//! a judgement consumes the state it was made in: a peer that was denied has no state left from which to get on.

use super::connection::Config;
use super::decoder::{Decoder, Rules, Step};
use super::greeting;
use super::limits::{Room, SHOWN_TEXT};
use crate::queue::Queue;
use crate::{DisconnectReason, PeerInfo};

/// What a state becomes after it has seen some input.
#[derive(Debug)]
pub(super) enum Progress<S, N> {
    /// All input is used up and more is needed.
    Stay(S),
    /// The next state; the rest of the input is for it.
    Next(N),
}

/// Why a peer is not let in, and whether it is told.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) reason: DisconnectReason,
    /// The text of the ERROR command, for refusals that no retry mends.
    pub(super) error: Option<Box<str>>,
}

impl Denied {
    /// A refusal of which the peer is told.
    pub(super) fn with_error(reason: DisconnectReason) -> Self {
        let mut text = reason.to_string();
        // The text is ASCII: all that came from the peer is escaped.
        text.truncate(SHOWN_TEXT);
        Self {
            reason,
            error: Some(text.into_boxed_str()),
        }
    }
}

impl From<DisconnectReason> for Denied {
    fn from(reason: DisconnectReason) -> Self {
        Self { reason, error: None }
    }
}

/// Nothing but a part of the greeting has come.
#[derive(Debug)]
pub(super) struct AwaitGreeting(greeting::Partial);

impl AwaitGreeting {
    pub(super) fn new() -> Self {
        Self(greeting::Partial::new())
    }

    pub(super) fn read(
        mut self,
        input: &mut &[u8],
        config: &Config,
    ) -> Result<Progress<Self, AwaitReady>, Denied> {
        Ok(match self.0.read(input, config.mechanism)? {
            Some(version) => Progress::Next(AwaitReady {
                version,
                decoder: Decoder::default(),
            }),
            None => Progress::Stay(self),
        })
    }
}

/// The greetings go together; the mechanism has not yet decided.
#[derive(Debug)]
pub(super) struct AwaitReady {
    version: (u8, u8),
    decoder: Decoder,
}

impl AwaitReady {
    pub(super) fn read(
        mut self,
        input: &mut &[u8],
        config: &Config,
    ) -> Result<Progress<Self, Admitted>, Denied> {
        // No message passes these rules, so neither the room nor the inbox is ever used.
        let (mut room, mut inbox) = (Room::UNBOUNDED, Queue::new());
        match self
            .decoder
            .run(input, &Rules::HANDSHAKE, &mut room, &mut inbox)?
        {
            Step::Command(body) => {
                let peer = config.mechanism.judge(&body, self.version, config)?;
                Ok(Progress::Next(Admitted(peer)))
            }
            Step::Hungry | Step::Full | Step::OldSubscription(_) => Ok(Progress::Stay(self)),
        }
    }
}

/// The proof that the mechanism has let the peer in.
#[derive(Debug)]
pub(super) struct Admitted(PeerInfo);

impl Admitted {
    pub(super) fn into_peer(self) -> PeerInfo {
        self.0
    }
}
