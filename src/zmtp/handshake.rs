//! The handshake: one type per state, and each transition consumes the state it leaves.
//!
//! ```text
//!                64 good bytes            the mechanism is content
//! AwaitGreeting ───────────────► Exchange ────────────────────────► Admitted ──► traffic
//!       │                        ▲  │  ▲ │                              ▲
//!       │                command └──┘  │ │ the application is to decide │
//!       │                              │ ▼                              │
//!       │                        allow Undecided ───────────────────────┘ allow
//!       │ a wrong byte                 │ deny, or no answer in time
//!       ▼                              ▼
//!     Denied ◄─────────────────────────┴── (Exchange) a wrong command, ERROR, over a limit
//! ```
//!
//! The only way to traffic leads through an [`Admitted`], the only way to that through the mechanism's [`Next::Admit`], and
//! a mechanism's state is consumed when it is asked: a peer that was denied has no state left from which to get on.

use super::connection::Config;
use super::decoder::{Decoder, Step};
use super::greeting;
use super::limits::{Room, SHOWN_TEXT, printable};
use super::mechanism::{self, Next, Pending, Seal, Stage, Turn};
use crate::queue::Queue;
use crate::security::{Denial, Inquiry, Verdict};
use crate::{DisconnectReason, PeerInfo};

/// What a state becomes after it has seen some input.
#[derive(Debug)]
pub(super) enum Progress<S> {
    /// All input is used up and more is needed.
    Stay(S),
    /// The next state; the rest of the input is for it.
    Next(Moved),
}

/// The next state, and what is said first.
#[derive(Debug)]
pub(super) struct Moved {
    /// The body of a command; none if it is empty.
    pub(super) say: Vec<u8>,
    pub(super) to: Place,
}

/// The states that a mechanism leads to.
#[derive(Debug)]
pub(super) enum Place {
    Exchange(Exchange),
    Undecided(Undecided, Box<Inquiry>),
    Admitted(Admitted),
}

impl Moved {
    fn by(turn: Turn, version: (u8, u8)) -> Self {
        let to = match turn.next {
            Next::Listen(stage) => Place::Exchange(Exchange {
                version,
                decoder: Decoder::default(),
                stage,
            }),
            Next::Ask(inquiry, pending) => Place::Undecided(Undecided { version, pending }, inquiry),
            Next::Admit(peer, seal) => Place::Admitted(Admitted {
                peer: PeerInfo { version, ..peer },
                seal,
            }),
        };
        Self { say: turn.say, to }
    }
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

    /// The application will not have the peer, which is told so with a status code of RFC 27, as libzmq's peers expect.
    /// One that may come back is told nothing: a peer of libzmq's never comes back after an ERROR, so a moment in which
    /// nobody had time to decide would lock it out for good.
    pub(super) fn by_application(denial: Denial) -> Self {
        let status = match denial {
            Denial::Refused => Some("400"),
            Denial::Failed(_) => Some("500"),
            Denial::NotNow | Denial::Unavailable(_) | Denial::Unanswered | Denial::TimedOut => None,
        };
        Self {
            reason: DisconnectReason::Denied(denial),
            error: status.map(Into::into),
        }
    }

    /// The peer has refused us with an ERROR.
    pub(super) fn refused(text: &[u8]) -> Self {
        DisconnectReason::Refused(printable(text)).into()
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

    pub(super) fn read(mut self, input: &mut &[u8], config: &Config) -> Result<Progress<Self>, Denied> {
        Ok(match self.0.read(input, &config.mechanism)? {
            Some(version) => Progress::Next(Moved::by(mechanism::begin(config)?, version)),
            None => Progress::Stay(self),
        })
    }
}

/// The greetings go together; the mechanism waits for a command of the peer.
#[derive(Debug)]
pub(super) struct Exchange {
    version: (u8, u8),
    decoder: Decoder,
    stage: Box<dyn Stage>,
}

impl Exchange {
    pub(super) fn read(mut self, input: &mut &[u8], config: &Config) -> Result<Progress<Self>, Denied> {
        // No message passes these rules, so neither the room nor the inbox is ever used.
        let (mut room, mut inbox) = (Room::UNBOUNDED, Queue::new());
        match self
            .decoder
            .run(input, &config.handshake_rules, &mut room, &mut inbox)?
        {
            Step::Command(body) => {
                let turn = self.stage.handle_command(&body, config)?;
                Ok(Progress::Next(Moved::by(turn, self.version)))
            }
            Step::Hungry | Step::Full | Step::OldSubscription(_) => Ok(Progress::Stay(self)),
        }
    }
}

/// The application has been asked whether to let the peer in, and has not answered.
#[derive(Debug)]
pub(super) struct Undecided {
    version: (u8, u8),
    pending: Box<dyn Pending>,
}

impl Undecided {
    pub(super) fn decide(self, verdict: Verdict, config: &Config) -> Result<Moved, Denied> {
        match verdict {
            Ok(user) => Ok(Moved::by(self.pending.allow(user, config)?, self.version)),
            Err(denial) => Err(self.pending.deny(denial)),
        }
    }

    /// Nobody has decided in time.
    pub(super) fn give_up(self) -> Denied {
        self.pending.deny(Denial::TimedOut)
    }
}

/// The proof that the mechanism has let the peer in.
#[derive(Debug)]
pub(super) struct Admitted {
    peer: PeerInfo,
    seal: Option<Box<dyn Seal>>,
}

impl Admitted {
    /// Returns who was let in, and what the frames that follow have to go through.
    pub(super) fn into_parts(self) -> (PeerInfo, Option<Box<dyn Seal>>) {
        (self.peer, self.seal)
    }
}
