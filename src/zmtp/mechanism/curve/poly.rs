//! Poly1305: the authenticator of a box, in limbs of 44 bits, four blocks at once where the text is long.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "the types say how much room is left in each limb, and a cast keeps the half that is meant"
)]

use fearless_simd::{Level, dispatch};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// How many bytes count as one number.
const BLOCK: usize = 16;

/// How many of them are taken at once.
const STRIDE: usize = 4 * BLOCK;

/// From so many bytes on it pays to know the powers of the key that this takes.
const LONG: usize = 4 * STRIDE;

const LOW_44: u64 = (1 << 44) - 1;
const LOW_42: u64 = (1 << 42) - 1;

/// What is set above the bytes of a whole block, in its highest limb.
const WHOLE: u64 = 1 << 40;

/// A number modulo 2^130 - 5, as limbs of 44, 44 and 42 bits, the lowest first. Between two steps a limb may have a bit more.
type Limbs = [u64; 3];

/// Products of limbs, with nothing carried yet: each is a sum of at most 12 that are below 2^96.
type Wide = [u128; 3];

/// The sum over the bytes so far.
pub(super) struct Authenticator {
    sum: Zeroizing<Limbs>,
    /// By which the sum is multiplied for each block.
    factor: Zeroizing<Limbs>,
    /// What is added at the end.
    mask: Zeroizing<u128>,
}

impl Authenticator {
    /// Begins with a key that is used only once.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let mut halves = [[0; BLOCK]; 2];
        let (chunks, _) = key.as_chunks();
        halves
            .iter_mut()
            .zip(chunks)
            .for_each(|(half, chunk)| *half = *chunk);
        let [factor, mask] = halves;
        let [low, middle, high] = limbs(&factor);
        // Some bits are 0 by definition.
        let factor = [
            low & 0xffc_0fff_ffff,
            middle & 0xfff_ffc0_ffff,
            high & 0x0f_ffff_fc0f,
        ];
        Self {
            sum: Zeroizing::new([0; 3]),
            factor: Zeroizing::new(factor),
            mask: Zeroizing::new(u128::from_le_bytes(mask)),
        }
    }

    /// Adds whole blocks.
    pub(super) fn update(&mut self, blocks: &[[u8; BLOCK]]) {
        for block in blocks {
            self.add(whole(block));
        }
    }

    /// Adds the rest of the text, and returns the tag.
    pub(super) fn finish(mut self, text: &[u8]) -> [u8; BLOCK] {
        let (strides, rest) = if text.len() < LONG {
            (&[][..], text)
        } else {
            text.as_chunks()
        };
        if !strides.is_empty() {
            // Not for its vectors: a processor that has them multiplies in fewer steps, too.
            dispatch!(Level::new(), _ => self.update_strides(strides));
        }
        let (blocks, rest) = rest.as_chunks();
        self.update(blocks);
        if !rest.is_empty() {
            let mut last = [0; BLOCK];
            let bytes = rest.iter().chain(&[1]);
            last.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
            self.add(limbs(&last));
        }
        number(*self.sum).wrapping_add(*self.mask).to_le_bytes()
    }

    #[inline(always)]
    fn add(&mut self, block: Limbs) {
        *self.sum = carry(multiply(plus(*self.sum, block), *self.factor));
    }

    /// Four steps as one: the carries are what takes the time.
    #[inline(always)]
    fn update_strides(&mut self, strides: &[[u8; STRIDE]]) {
        let factor = *self.factor;
        let square = carry(multiply(factor, factor));
        let cube = carry(multiply(square, factor));
        let fourth = carry(multiply(square, square));
        let mut sum = *self.sum;
        for stride in strides {
            let (blocks, _) = stride.as_chunks();
            let [a, b, c, d] = blocks else { return };
            let products = [
                multiply(plus(sum, whole(a)), fourth),
                multiply(whole(b), cube),
                multiply(whole(c), square),
                multiply(whole(d), factor),
            ];
            let [p, q, r, s] = products;
            sum = carry(plus_wide(plus_wide(p, q), plus_wide(r, s)));
        }
        *self.sum = sum;
    }
}

/// Each part wipes itself.
impl ZeroizeOnDrop for Authenticator {}

/// Cuts a number into limbs.
#[inline(always)]
fn limbs(bytes: &[u8; BLOCK]) -> Limbs {
    let number = u128::from_le_bytes(*bytes);
    [
        number as u64 & LOW_44,
        (number >> 44) as u64 & LOW_44,
        (number >> 88) as u64,
    ]
}

/// Cuts a whole block into limbs.
#[inline(always)]
fn whole(block: &[u8; BLOCK]) -> Limbs {
    let [low, middle, high] = limbs(block);
    [low, middle, high | WHOLE]
}

/// The number itself, without what is above 128 bits.
fn number(limbs: Limbs) -> u128 {
    let settled = settle(settle(limbs));
    // If 5 more reach 2^130, the modulus has to go. Which of the two it is nobody shall learn from the time it takes.
    let [low, middle, high] = settle_up(plus(settled, [5, 0, 0]));
    let chosen = (high >> 42).wrapping_neg();
    let choose = |without: u64, with: u64| (without & !chosen) | (with & chosen);
    let [a, b, c] = settled;
    let [a, b, c] = [choose(a, low), choose(b, middle), choose(c, high & LOW_42)];
    u128::from(a) | u128::from(b) << 44 | u128::from(c) << 88
}

/// Carries from each limb to the next, and leaves in the last what is too much for it.
fn settle_up([low, middle, high]: Limbs) -> Limbs {
    let middle = middle + (low >> 44);
    [low & LOW_44, middle & LOW_44, high + (middle >> 44)]
}

/// Carries from each limb to the next, and from the last to the first, where it is worth 5.
fn settle(limbs: Limbs) -> Limbs {
    let [low, middle, high] = settle_up(limbs);
    settle_up([low + (high >> 42) * 5, middle, high & LOW_42])
}

#[inline(always)]
fn plus([a, b, c]: Limbs, [x, y, z]: Limbs) -> Limbs {
    [a + x, b + y, c + z]
}

#[inline(always)]
fn plus_wide([a, b, c]: Wide, [x, y, z]: Wide) -> Wide {
    [a + x, b + y, c + z]
}

#[inline(always)]
fn multiply([a, b, c]: Limbs, [x, y, z]: Limbs) -> Wide {
    let times = |one: u64, other: u64| u128::from(one) * u128::from(other);
    // What would be above 130 bits comes back at the bottom, five times; two bits lower, since limbs begin at 44 and 88.
    let (y_above, z_above) = (y * 20, z * 20);
    [
        times(a, x) + times(b, z_above) + times(c, y_above),
        times(a, y) + times(b, x) + times(c, z_above),
        times(a, z) + times(b, y) + times(c, x),
    ]
}

#[inline(always)]
fn carry([low, middle, high]: Wide) -> Limbs {
    let middle = middle + (low >> 44);
    let high = high + (middle >> 44);
    let low = (low as u64 & LOW_44) + (high >> 42) as u64 * 5;
    [
        low & LOW_44,
        (middle as u64 & LOW_44) + (low >> 44),
        high as u64 & LOW_42,
    ]
}

#[cfg(test)]
mod tests {
    use poly1305::Poly1305;
    use poly1305::universal_hash::KeyInit;
    use proptest::prelude::*;

    use super::*;

    fn by_the_crate(key: &[u8; 32], text: &[u8]) -> [u8; BLOCK] {
        Poly1305::new(key.into()).compute_unpadded(text).into()
    }

    proptest! {
        #[test]
        fn the_tag_is_that_of_the_crate(
            key in any::<[u8; 32]>(),
            text in prop::collection::vec(any::<u8>(), 0..2 * LONG),
            first in 0usize..4,
        ) {
            let expected = by_the_crate(&key, &text);
            let mut ours = Authenticator::new(&key);
            let (head, rest) = text.split_at(text.len().min(first * BLOCK) / BLOCK * BLOCK);
            ours.update(head.as_chunks().0);
            prop_assert_eq!(ours.finish(rest), expected);
        }
    }

    #[test]
    fn limbs_that_are_as_full_as_can_be_are_carried() {
        for byte in [0, 1, 0x7f, 0xfb, 0xfc, 0xff] {
            for len in 0..2 * LONG + 1 {
                let text = vec![byte; len];
                for key in [[0xff; 32], [byte; 32], [1; 32], [0; 32]] {
                    let ours = Authenticator::new(&key).finish(&text);
                    assert_eq!(ours, by_the_crate(&key, &text), "{len} of {byte}, key {key:?}");
                }
            }
        }
    }

    /// The tag of `text` with a key of a small factor and no mask: sums at the modulus can be written down.
    fn times(factor: u8, text: &[u8]) -> u128 {
        let mut key = [0; 32];
        key[0] = factor;
        u128::from_le_bytes(Authenticator::new(&key).finish(text))
    }

    /// With the factor 2 the tag is twice the sum, modulo 2^130 - 5.
    #[test]
    fn a_sum_at_the_modulus_is_reduced() {
        assert_eq!(times(2, &[0xff; 16]), 3, "2 * (2^129 - 1) is 2^130 - 2");
        let mut below = [0xff; 16];
        below[0] = 0xfd;
        let reduced = u128::MAX - 5;
        assert_eq!(
            times(2, &below),
            reduced,
            "one less than the modulus, without its upper bits"
        );
    }

    /// With the factor 4 the first carry out of the highest limb comes back to limbs that are full, and makes another one.
    #[test]
    fn what_is_carried_out_of_the_highest_limb_at_the_end_comes_back_five_times() {
        assert_eq!(times(4, &[0xff; 16]), 6, "4 * (2^129 - 1) is 2^131 - 4");
    }
}
