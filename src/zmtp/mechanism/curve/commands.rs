//! The commands of the handshake, byte by byte (RFC 26): parsed by exact lengths, emitted from the same fields.

use super::Forged;
use super::boxes::TAG;

/// The text of the box in a HELLO: zeros, which prove that its sender has the key it names.
pub(super) const PROOF: usize = 64;
/// The text of the box in a cookie: C' and s'.
pub(super) const COOKIE_TEXT: usize = 64;
/// A cookie: its nonce, its tag and its text.
pub(super) const COOKIE: usize = LONG + TAG + COOKIE_TEXT;
/// The text of the box in a WELCOME: S' and the cookie.
pub(super) const WELCOME_TEXT: usize = 32 + COOKIE;
/// The text of the box in a vouch: C' and S.
pub(super) const VOUCH_TEXT: usize = 64;
/// A vouch: its nonce, its tag and its text.
pub(super) const VOUCH: usize = LONG + TAG + VOUCH_TEXT;

/// The part of a nonce that is sent if it was drawn at random.
pub(super) const LONG: usize = 16;
/// The part that is sent if it counts.
const SHORT: usize = 8;

const HELLO_NAME: &[u8; 6] = b"\x05HELLO";
const WELCOME_NAME: &[u8; 8] = b"\x07WELCOME";
const INITIATE_NAME: &[u8; 9] = b"\x08INITIATE";
const READY_NAME: &[u8; 6] = b"\x05READY";

const VERSION: [u8; 2] = [1, 0];
/// Makes a HELLO longer than the WELCOME, so that nobody gains by having a server answer to somebody else.
const PADDING: [u8; 72] = [0; 72];

/// The length of an INITIATE without properties.
pub(super) const INITIATE_LEN: usize = 257;

/// Takes fields off the front of a command.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next<const N: usize>(&mut self) -> Result<&'a [u8; N], Forged> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Forged)?;
        self.0 = rest;
        Ok(field)
    }

    fn require<const N: usize>(&mut self, expected: &[u8; N]) -> Result<(), Forged> {
        if self.next()? == expected {
            Ok(())
        } else {
            Err(Forged)
        }
    }

    fn end(self) -> Result<(), Forged> {
        if self.0.is_empty() { Ok(()) } else { Err(Forged) }
    }
}

fn joined(fields: &[&[u8]]) -> Vec<u8> {
    fields.concat()
}

/// The first command, from the client.
pub(super) struct Hello {
    /// C'.
    pub(super) client: [u8; 32],
    pub(super) nonce: [u8; SHORT],
    pub(super) tag: [u8; TAG],
    pub(super) text: [u8; PROOF],
}

impl Hello {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Forged> {
        let mut fields = Fields(body);
        fields.require(HELLO_NAME)?;
        fields.require(&VERSION)?;
        fields.require(&PADDING)?;
        let hello = Self {
            client: *fields.next()?,
            nonce: *fields.next()?,
            tag: *fields.next()?,
            text: *fields.next()?,
        };
        fields.end()?;
        Ok(hello)
    }

    pub(super) fn emit(&self) -> Vec<u8> {
        joined(&[
            HELLO_NAME,
            &VERSION,
            &PADDING,
            &self.client,
            &self.nonce,
            &self.tag,
            &self.text,
        ])
    }
}

/// The server's answer to it.
pub(super) struct Welcome {
    pub(super) nonce: [u8; LONG],
    pub(super) tag: [u8; TAG],
    pub(super) text: [u8; WELCOME_TEXT],
}

impl Welcome {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Forged> {
        let mut fields = Fields(body);
        fields.require(WELCOME_NAME)?;
        let welcome = Self {
            nonce: *fields.next()?,
            tag: *fields.next()?,
            text: *fields.next()?,
        };
        fields.end()?;
        Ok(welcome)
    }

    pub(super) fn emit(&self) -> Vec<u8> {
        joined(&[WELCOME_NAME, &self.nonce, &self.tag, &self.text])
    }
}

/// A secret of the server that the client keeps for it, or the client's proof of who it is: both are a long nonce and a
/// box of two keys.
pub(super) struct SealedPair {
    pub(super) nonce: [u8; LONG],
    pub(super) tag: [u8; TAG],
    pub(super) text: [u8; COOKIE_TEXT],
}

impl SealedPair {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Forged> {
        let mut fields = Fields(bytes);
        let pair = Self {
            nonce: *fields.next()?,
            tag: *fields.next()?,
            text: *fields.next()?,
        };
        fields.end()?;
        Ok(pair)
    }

    pub(super) fn emit(&self) -> Vec<u8> {
        joined(&[&self.nonce, &self.tag, &self.text])
    }
}

/// Two keys, one after the other.
pub(super) fn pair_of(first: &[u8; 32], second: &[u8; 32]) -> [u8; 64] {
    let mut pair = [0; 64];
    let bytes = first.iter().chain(second);
    pair.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
    pair
}

/// The client's second command.
pub(super) struct Initiate<'a> {
    pub(super) cookie: [u8; COOKIE],
    pub(super) nonce: [u8; SHORT],
    pub(super) tag: [u8; TAG],
    /// C, the vouch, and the properties.
    pub(super) text: &'a [u8],
}

impl<'a> Initiate<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Forged> {
        if body.len() < INITIATE_LEN {
            return Err(Forged);
        }
        let mut fields = Fields(body);
        fields.require(INITIATE_NAME)?;
        Ok(Self {
            cookie: *fields.next()?,
            nonce: *fields.next()?,
            tag: *fields.next()?,
            text: fields.0,
        })
    }

    pub(super) fn emit(&self) -> Vec<u8> {
        joined(&[INITIATE_NAME, &self.cookie, &self.nonce, &self.tag, self.text])
    }
}

/// The server's second command, which ends the handshake.
pub(super) struct Ready<'a> {
    pub(super) nonce: [u8; SHORT],
    pub(super) tag: [u8; TAG],
    /// The properties.
    pub(super) text: &'a [u8],
}

impl<'a> Ready<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Forged> {
        let mut fields = Fields(body);
        fields.require(READY_NAME)?;
        Ok(Self {
            nonce: *fields.next()?,
            tag: *fields.next()?,
            text: fields.0,
        })
    }

    pub(super) fn emit(&self) -> Vec<u8> {
        joined(&[READY_NAME, &self.nonce, &self.tag, self.text])
    }
}
