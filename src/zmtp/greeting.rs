//! The greeting: the 64 bytes that open a connection in each direction, checked as they trickle in.

use super::limits::printable;
use crate::DisconnectReason;
use crate::security::Mechanism;

/// How long a greeting is.
pub(super) const LEN: usize = 64;

/// How long a mechanism's name is, padded with zero bytes.
const MECHANISM_LEN: usize = 20;

const SIGNATURE_END: usize = 9;
const REVISION: usize = 10;
const MINOR: usize = 11;
const MECHANISM: usize = 12;
const LAST_OF_MECHANISM: usize = MECHANISM + MECHANISM_LEN - 1;

/// The revision that both ends must speak, or a later one.
const OUR_REVISION: u8 = 3;
/// The highest minor version that we speak.
const OUR_MINOR: u8 = 1;

/// Returns our greeting. It leaves in one piece: peers older than ZMTP 3 are refused, so there is nothing to wait for.
pub(super) fn emit(mechanism: &Mechanism) -> [u8; LEN] {
    let mut greeting = [0; LEN];
    let start = [0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, OUR_REVISION, OUR_MINOR];
    let text = start.iter().chain(mechanism.name().as_bytes());
    greeting
        .iter_mut()
        .zip(text)
        .for_each(|(slot, byte)| *slot = *byte);
    greeting
}

/// A greeting of which some bytes have come, all of them good.
#[derive(Debug)]
pub(super) struct Partial {
    mechanism: [u8; MECHANISM_LEN],
    minor: u8,
    seen: usize,
}

impl Partial {
    pub(super) fn new() -> Self {
        Self {
            mechanism: [0; MECHANISM_LEN],
            minor: 0,
            seen: 0,
        }
    }

    /// Takes bytes from the front of `input`; the first bad one ends it.
    ///
    /// Returns the version that both ends speak once the greeting is complete.
    pub(super) fn read(
        &mut self,
        input: &mut &[u8],
        ours: &Mechanism,
    ) -> Result<Option<(u8, u8)>, DisconnectReason> {
        while self.seen < LEN {
            let Some((&byte, rest)) = input.split_first() else {
                return Ok(None);
            };
            *input = rest;
            self.take(byte, ours)?;
            self.seen = self.seen.saturating_add(1);
        }
        Ok(Some((OUR_REVISION, self.minor)))
    }

    fn take(&mut self, byte: u8, ours: &Mechanism) -> Result<(), DisconnectReason> {
        match self.seen {
            0 if byte != 0xff => Err(DisconnectReason::Malformed("no ZMTP signature")),
            SIGNATURE_END if byte != 0x7f => Err(DisconnectReason::Malformed("no ZMTP signature")),
            REVISION if byte < OUR_REVISION => Err(too_old(byte)),
            REVISION => {
                // A later revision speaks at least all that we do, whatever its minor number says.
                self.minor = if byte > OUR_REVISION { OUR_MINOR } else { 0 };
                Ok(())
            }
            MINOR => {
                self.minor = self.minor.max(byte.min(OUR_MINOR));
                Ok(())
            }
            at @ MECHANISM..=LAST_OF_MECHANISM => {
                if let Some(slot) = self.mechanism.get_mut(at.saturating_sub(MECHANISM)) {
                    *slot = byte;
                }
                if at == LAST_OF_MECHANISM {
                    self.check_mechanism(ours)
                } else {
                    Ok(())
                }
            }
            // The padding in the signature, the as-server flag (libzmq always sends 0) and the filler mean nothing.
            _ => Ok(()),
        }
    }

    fn check_mechanism(&self, ours: &Mechanism) -> Result<(), DisconnectReason> {
        let name = ours.name().as_bytes();
        let padded = name.iter().chain(std::iter::repeat(&0)).take(MECHANISM_LEN);
        if self.mechanism.iter().eq(padded) {
            return Ok(());
        }
        let end = self
            .mechanism
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |at| at.saturating_add(1));
        Err(DisconnectReason::Incompatible {
            what: "mechanism",
            ours: ours.name().to_owned(),
            theirs: printable(self.mechanism.get(..end).unwrap_or_default()),
        })
    }
}

/// Names the protocol of an older peer: revision 0 is ZMTP 1.0, and 1 is ZMTP 2.0.
fn too_old(revision: u8) -> DisconnectReason {
    let theirs = match revision {
        0 => "ZMTP 1.0".to_owned(),
        1 => "ZMTP 2.0".to_owned(),
        other => format!("ZMTP revision {other}"),
    };
    DisconnectReason::Incompatible {
        what: "version",
        ours: "ZMTP 3.1".to_owned(),
        theirs,
    }
}
