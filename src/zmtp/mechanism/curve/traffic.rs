//! Messages in boxes: each frame, with its flags, goes in the box of a MESSAGE with the next nonce.

use super::boxes::{Lane, SharedKey, TAG};
use super::{CLIENT_PREFIX, Forged, Gaps, SERVER_PREFIX};
use crate::zmtp::frame::{COMMAND, MAX_HEADER, MORE, put_header};

const NAME: &[u8; 8] = b"\x07MESSAGE";

/// What a MESSAGE has before the body of the frame in it: its name, a nonce, a tag, and the flags in their box.
pub(super) const LEAD: usize = 8 + 8 + TAG + 1;

/// Inside a box a command is marked by this bit, as libzmq has it; RFC 26 does not know any.
const BOXED_COMMAND: u8 = 0b10;

/// What the flags in a box say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) more: bool,
    pub(super) command: bool,
}

/// Both directions of a connection after its handshake.
#[derive(Debug)]
pub(super) struct Traffic {
    ours: Lane,
    /// The nonce of what we sealed last.
    sealed: u64,
    theirs: Lane,
    /// The nonce of what we opened last.
    opened: u64,
    gaps: Gaps,
}

impl Traffic {
    pub(super) fn of_client(session: &SharedKey, sealed: u64, opened: u64, gaps: Gaps) -> Self {
        Self {
            ours: session.lane(CLIENT_PREFIX),
            sealed,
            theirs: session.lane(SERVER_PREFIX),
            opened,
            gaps,
        }
    }

    pub(super) fn of_server(session: &SharedKey, sealed: u64, opened: u64, gaps: Gaps) -> Self {
        Self {
            ours: session.lane(SERVER_PREFIX),
            sealed,
            theirs: session.lane(CLIENT_PREFIX),
            opened,
            gaps,
        }
    }

    /// Appends the frame that carries one with this body and these flags, which are [`MORE`], [`COMMAND`] or none. What
    /// carries it is no command, though the RFC calls it one: libzmq would take what is inside for a command, too.
    pub(super) fn seal(&mut self, flags: u8, body: &[u8], out: &mut Vec<u8>) {
        let Some(nonce) = self.sealed.checked_add(1) else {
            // After 2^64 frames, which takes centuries, nothing more can be said without a nonce that was used.
            return;
        };
        self.sealed = nonce;
        let boxed = (flags & MORE) | if flags & COMMAND == 0 { 0 } else { BOXED_COMMAND };
        out.reserve(body.len().saturating_add(MAX_HEADER + LEAD));
        put_header(0, body.len().saturating_add(LEAD), out);
        out.extend_from_slice(NAME);
        out.extend_from_slice(&nonce.to_be_bytes());
        let tag_at = out.len();
        out.extend_from_slice(&[0; TAG]);
        out.push(boxed);
        out.extend_from_slice(body);
        let sealed = out.get_mut(tag_at..).unwrap_or_default();
        if let Some((slot, text)) = sealed.split_first_chunk_mut::<TAG>() {
            *slot = self.ours.seal(nonce.to_be_bytes(), text);
        }
    }

    /// Opens what came: `lead` is the beginning of a MESSAGE, `body` the rest of it, and then the body of the frame that
    /// was in it.
    pub(super) fn open(&mut self, lead: &[u8; LEAD], body: &mut [u8]) -> Result<Flags, Forged> {
        let (name, rest) = lead.split_first_chunk().ok_or(Forged)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(Forged)?;
        let (tag, rest) = rest.split_first_chunk().ok_or(Forged)?;
        let mut flags = *rest.first_chunk::<1>().ok_or(Forged)?;
        if name != NAME {
            return Err(Forged);
        }
        let number = self.gaps.check(self.opened, *nonce)?;
        self.theirs.open(*nonce, tag, &mut flags, body)?;
        self.opened = number;
        let [flags] = flags;
        if flags & !(MORE | BOXED_COMMAND) != 0 || flags == MORE | BOXED_COMMAND {
            return Err(Forged);
        }
        Ok(Flags {
            more: flags & MORE != 0,
            command: flags & BOXED_COMMAND != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles only as long as this is all that there is.
    #[test]
    fn nothing_of_the_handshake_is_left_after_it_but_a_key_for_each_way() {
        let session = SharedKey::from_bytes([7; 32]);
        let Traffic {
            ours: Lane { .. },
            sealed: 1,
            theirs: Lane { .. },
            opened: 2,
            gaps: Gaps::Refused,
        } = Traffic::of_client(&session, 1, 2, Gaps::Refused)
        else {
            panic!("something else is left");
        };
    }
}
