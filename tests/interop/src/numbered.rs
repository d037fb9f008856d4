//! Messages that are known by their number, and a running checksum over what came in which order.

/// The body with this number: the number, and up to some 300 bytes that follow from it, so that short and long frames,
/// and inline and shared bodies, take turns.
#[must_use]
pub fn body(number: u32) -> Vec<u8> {
    let length = number.wrapping_mul(2_654_435_761) >> 16;
    let mut body = number.to_be_bytes().to_vec();
    body.resize(4 + (length % 300) as usize, number.to_le_bytes()[0]);
    body
}

/// A running checksum: of the bytes, of where one body ends and the next begins, and of the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum {
    sum: u64,
    bodies: u64,
}

impl Checksum {
    /// Takes in one body.
    pub fn add(&mut self, body: &[u8]) {
        self.bodies += 1;
        self.mix(body.len() as u64);
        for chunk in body.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn mix(&mut self, word: u64) {
        self.sum = (self.sum ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(bodies: &[&[u8]]) -> Checksum {
        let mut checksum = Checksum::default();
        bodies.iter().for_each(|body| checksum.add(body));
        checksum
    }

    #[test]
    fn a_checksum_knows_bytes_borders_and_order() {
        let all = checksum(&[b"abc", b"", b"d"]);
        assert_eq!(all, checksum(&[b"abc", b"", b"d"]));
        for other in [
            &[b"abc", &b""[..], b"e"][..],
            &[b"ab", b"", b"cd"],
            &[b"", b"abc", b"d"],
            &[b"abc", b"d"],
        ] {
            assert_ne!(all, checksum(other), "{other:?}");
        }
    }
}
