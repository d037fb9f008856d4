//! CURVE (RFC 26): both ends prove by their keys who they are, and everything after that goes in boxes.
//!
//! ```text
//!   client                                                 server
//!   client::begin ──► HelloSent      HELLO ───────────►    AwaitHello
//!                        │           ◄─────────── WELCOME       │
//!                        ▼                                      ▼
//!                   InitiateSent     INITIATE ────────►    WelcomeSent
//!                        │                                      ▼
//!                        │           ◄───────────── READY    Vouched  (an authenticator has its say)
//!                        ▼                                      ▼
//!                     Traffic        ◄── MESSAGE … ──►       Traffic
//! ```
//!
//! # Contract
//!
//! * Each transition consumes the state it leaves, and with it all keys that are not needed any more; they are wiped.
//! * Random bytes are passed in. No state draws any, so tests can fix them.
//! * Whatever is wrong with what a peer sends, be it a length, a point, a nonce or a box, is the same: [`Forged`]. The
//!   peer is told nothing, and learns nothing from how long it took that it could not work out by itself.
//! * A server remembers 40 bytes of a client that has only said HELLO; the rest is in the cookie that the client keeps.

mod boxes;
mod client;
mod commands;
mod poly;
mod salsa;
mod server;
mod stages;
#[cfg(test)]
mod tests;
mod traffic;

use std::io;

use boxes::NONCE;
pub(super) use stages::{begin_client, begin_server};
use traffic::Traffic;

use crate::DisconnectReason;

/// Where random bytes come from: the system, but for tests.
pub(in crate::zmtp) type Entropy = fn(&mut [u8]) -> io::Result<()>;

/// What a peer sent is not what an honest one would have. There is no telling why, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Forged;

impl From<Forged> for DisconnectReason {
    fn from(Forged: Forged) -> Self {
        Self::Malformed("not what a CURVE peer with the right keys would send")
    }
}

/// Whether a peer may pass over nonces. It may never go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::zmtp) enum Gaps {
    /// Each nonce is the last one and 1.
    #[default]
    Refused,
    /// Each nonce is greater than the last one.
    Allowed,
}

impl Gaps {
    pub(in crate::zmtp) const fn allowed(yes: bool) -> Self {
        if yes { Self::Allowed } else { Self::Refused }
    }

    /// Returns the number of `nonce` if it may follow `last`.
    fn check(self, last: u64, nonce: [u8; 8]) -> Result<u64, Forged> {
        let nonce = u64::from_be_bytes(nonce);
        match (self, nonce.checked_sub(last)) {
            (_, Some(1)) => Ok(nonce),
            (Self::Allowed, Some(2..)) => Ok(nonce),
            _ => Err(Forged),
        }
    }
}

const HELLO_PREFIX: &[u8; 16] = b"CurveZMQHELLO---";
const INITIATE_PREFIX: &[u8; 16] = b"CurveZMQINITIATE";
const READY_PREFIX: &[u8; 16] = b"CurveZMQREADY---";
const CLIENT_PREFIX: &[u8; 16] = b"CurveZMQMESSAGEC";
const SERVER_PREFIX: &[u8; 16] = b"CurveZMQMESSAGES";

const WELCOME_PREFIX: &[u8; 8] = b"WELCOME-";
const COOKIE_PREFIX: &[u8; 8] = b"COOKIE--";
const VOUCH_PREFIX: &[u8; 8] = b"VOUCH---";

/// The nonce of a box that is not one of a row.
fn long_nonce(prefix: &[u8; 8], drawn: &[u8; 16]) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    let bytes = prefix.iter().chain(drawn);
    nonce.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
    nonce
}

/// Tests watch that no key is used with a nonce twice: this notes each pair that something is sealed with.
#[cfg(test)]
pub(in crate::zmtp) mod ledger {
    use std::cell::RefCell;
    use std::collections::HashSet;

    /// A key and the counting part of a nonce.
    type Used = ([u8; 32], [u8; 8]);

    thread_local! {
        static USED: RefCell<Option<HashSet<Used>>> = const { RefCell::new(None) };
    }

    pub(super) fn note(key: &[u8; 32], count: [u8; 8]) {
        USED.with_borrow_mut(|used| {
            if let Some(used) = used {
                assert!(used.insert((*key, count)), "a key and nonce were used twice");
            }
        });
    }

    /// Watches while `action` runs, and returns how many boxes were sealed.
    pub(in crate::zmtp) fn watch(action: impl FnOnce()) -> usize {
        USED.set(Some(HashSet::new()));
        action();
        USED.take().map_or(0, |used| used.len())
    }
}
