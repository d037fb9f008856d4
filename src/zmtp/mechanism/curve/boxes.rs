//! NaCl's boxes: XSalsa20 and Poly1305 under a key that two parties share, sealed and opened where the text lies.

use std::fmt;

use salsa20::cipher::consts::U10;
use salsa20::hsalsa;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::Forged;
use super::poly::Authenticator;
use super::salsa::Stream;
use crate::{PublicKey, SecretKey};

/// How much longer a box is than what is in it.
pub(super) const TAG: usize = 16;

/// How long a nonce is: 16 bytes that say what kind of box it is, and 8 that count; or 8 and 16 at random.
pub(super) const NONCE: usize = 24;

/// A key that is wiped when it is dropped. It has memory of its own: what is moved leaves a copy where it was, which nobody
/// wipes.
type Key = Box<Zeroizing<[u8; 32]>>;

/// The key that two parties share.
pub(super) struct SharedKey(Key);

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKey")
    }
}

impl SharedKey {
    /// What `secret` and `public` have in common, which others cannot know: keys for which they could are refused.
    pub(super) fn agree(secret: &SecretKey, public: &PublicKey) -> Result<Self, Forged> {
        let point = secret.agree(public).ok_or(Forged)?;
        Ok(Self(derive(&point, &[0; 16])))
    }

    /// A key that is shared with oneself only.
    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Box::new(Zeroizing::new(bytes)))
    }

    /// The key for all boxes whose nonces begin with `prefix`: that part of the work is done once.
    pub(super) fn lane(&self, prefix: &[u8; 16]) -> Lane {
        Lane(derive(&self.0, prefix))
    }

    /// Encrypts `text`, and returns the tag that proves who did.
    pub(super) fn seal(&self, nonce: &[u8; NONCE], text: &mut [u8]) -> [u8; TAG] {
        let (prefix, count) = halves(nonce);
        self.lane(&prefix).seal(count, text)
    }

    /// Decrypts `text` if the tag proves that it is what the other party has sealed.
    pub(super) fn open(&self, nonce: &[u8; NONCE], tag: &[u8; TAG], text: &mut [u8]) -> Result<(), Forged> {
        let (prefix, count) = halves(nonce);
        self.lane(&prefix).open(count, tag, &mut [], text)
    }
}

/// The key for boxes whose nonces differ in their last eight bytes only.
pub(super) struct Lane(Key);

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lane")
    }
}

impl Lane {
    /// Encrypts `text`, and returns its tag. No `count` may come twice.
    pub(super) fn seal(&self, count: [u8; 8], text: &mut [u8]) -> [u8; TAG] {
        #[cfg(test)]
        super::ledger::note(&self.0, count);
        let (mut stream, authenticator) = self.start(count);
        stream.apply(text);
        tag(authenticator, &[], text)
    }

    /// Decrypts `head` and `text`, which were sealed as one, if the tag is right. The head is shorter than a block.
    pub(super) fn open(
        &self,
        count: [u8; 8],
        expected: &[u8; TAG],
        head: &mut [u8],
        text: &mut [u8],
    ) -> Result<(), Forged> {
        let (mut stream, authenticator) = self.start(count);
        if !bool::from(tag(authenticator, head, text).ct_eq(expected)) {
            return Err(Forged);
        }
        stream.apply(head);
        stream.apply(text);
        Ok(())
    }

    /// The key stream for the text, and the authenticator, whose key is the beginning of the stream.
    fn start(&self, count: [u8; 8]) -> (Stream, Authenticator) {
        let mut stream = Stream::new(&self.0, count);
        let mut key = [0; 32];
        stream.apply(&mut key);
        let authenticator = Authenticator::new(&key);
        key.zeroize();
        (stream, authenticator)
    }
}

fn derive(key: &[u8; 32], prefix: &[u8; 16]) -> Key {
    Box::new(Zeroizing::new(
        hsalsa::<U10>(&(*key).into(), &(*prefix).into()).into(),
    ))
}

/// The tag of `head` and `text` as one; the head is shorter than a block.
fn tag(mut authenticator: Authenticator, head: &[u8], text: &[u8]) -> [u8; TAG] {
    if head.is_empty() {
        return authenticator.finish(text);
    }
    let mut block = [0; TAG];
    let wanted = TAG.saturating_sub(head.len());
    let (first, rest) = text.split_at_checked(wanted).unwrap_or((text, &[]));
    let joined = head.iter().chain(first);
    block
        .iter_mut()
        .zip(joined)
        .for_each(|(slot, byte)| *slot = *byte);
    if first.len() < wanted {
        let len = head.len().saturating_add(first.len());
        return authenticator.finish(block.get(..len).unwrap_or_default());
    }
    authenticator.update(&[block]);
    authenticator.finish(rest)
}

fn halves(nonce: &[u8; NONCE]) -> ([u8; 16], [u8; 8]) {
    let (mut prefix, mut count) = ([0; 16], [0; 8]);
    let slots = prefix.iter_mut().chain(&mut count);
    slots.zip(nonce).for_each(|(slot, byte)| *slot = *byte);
    (prefix, count)
}

#[cfg(test)]
mod tests {
    use zeroize::ZeroizeOnDrop;

    use super::*;

    /// Compiles for what is wiped only.
    fn wiped<T: ZeroizeOnDrop>(_: &T) {}

    #[test]
    fn keys_are_wiped_where_they_lie_and_so_are_streams_made_of_them() {
        let (shared, lane) = (SharedKey::from_bytes([7; 32]), Lane(Key::default()));
        let (stream, authenticator) = lane.start([0; 8]);
        wiped::<Zeroizing<[u8; 32]>>(&shared.0);
        wiped::<Zeroizing<[u8; 32]>>(&lane.0);
        wiped(&stream);
        wiped(&authenticator);
        for size in [size_of::<SharedKey>(), size_of::<Lane>()] {
            assert_eq!(size, size_of::<usize>(), "or a move would copy it");
        }
    }
}
