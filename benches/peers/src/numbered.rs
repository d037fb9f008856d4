//! Bodies that hold their number, and the check of those received.

use crate::Outcome;

/// What is sent before anything is measured, to know that a connection is there.
pub(crate) const HELLO: &[u8] = b"h";

/// The bits of a number that say which of many senders it is from.
const SENDER_SHIFT: u32 = 48;

/// A body that is written again for each message.
pub struct Numbered(Vec<u8>);

impl Numbered {
    pub(crate) fn new(size: usize) -> Self {
        Self(vec![b'.'; size])
    }

    /// The body with this number: at its start, and the low bits again at its end.
    #[inline]
    pub fn body(&mut self, number: u64) -> &[u8] {
        let bytes = number.to_le_bytes();
        if let Some(start) = self.0.first_chunk_mut() {
            *start = bytes;
        }
        if let Some(end) = self.0.last_mut() {
            *end = bytes[0];
        }
        &self.0
    }
}

/// The number of a message among those of its sender.
#[inline]
pub(crate) fn number(sender: u16, nth: u64) -> u64 {
    u64::from(sender) << SENDER_SHIFT | nth
}

/// Says which sender a body is from.
#[inline]
pub(crate) fn sender(body: &[u8]) -> Option<u16> {
    let number = u64::from_le_bytes(*body.first_chunk()?);
    u16::try_from(number >> SENDER_SHIFT).ok()
}

/// Checks that a body is the one with this number, whole.
#[inline]
pub(crate) fn check(body: &[u8], size: usize, number: u64) -> Outcome<()> {
    let bytes = number.to_le_bytes();
    if body.len() == size && body.first_chunk() == Some(&bytes) && body.last() == bytes.first() {
        return Ok(());
    }
    refuse(body, size, number)
}

#[cold]
fn refuse(body: &[u8], size: usize, number: u64) -> Outcome<()> {
    let start = &body[..body.len().min(8)];
    let got = body.len();
    Err(format!("message {number:#x} of {size} bytes is {got} bytes that begin with {start:x?}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_itself_and_no_other() {
        let mut bodies = Numbered::new(16);
        let number = number(7, 1234);
        let body = bodies.body(number).to_owned();
        assert!(check(&body, 16, number).is_ok());
        assert_eq!(sender(&body), Some(7));
        assert!(check(&body, 17, number).is_err());
        assert!(check(&body, 16, number + 1).is_err());
        assert!(check(HELLO, 16, number).is_err());
    }
}
