//! The stream of Salsa20, many blocks at once: each is one lane of the vectors that the steps are done with.

#![allow(clippy::arithmetic_side_effects, reason = "the words of vectors wrap around")]

use fearless_simd::{Level, Simd, SimdBase, SimdInt, SimdSplit, dispatch, u32x4, u32x8};
use zeroize::{DefaultIsZeroes, Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::zmtp::limits;

/// How many bytes a state yields.
const BLOCK: usize = 64;

/// How many blocks are made at once: one for each word in a vector of AVX2. Shorter vectors take turns.
const LANES: usize = 8;

/// What a block is made of: the key, the nonce, its number, and constants.
type State = [u32; 16];

/// The words of all lanes: first the first word of each.
type Lanes = [[u32; LANES]; 16];

/// The same, as they are worked on.
type Vectors<S> = [u32x8<S>; 16];

#[derive(Clone, Copy)]
struct Block([u8; BLOCK]);

impl Default for Block {
    fn default() -> Self {
        Self([0; BLOCK])
    }
}

/// So that a block is wiped in a few strokes, not byte by byte.
impl DefaultIsZeroes for Block {}

/// The stream of one key and nonce.
pub(super) struct Stream {
    start: Zeroizing<State>,
    /// The number of the next block.
    next: u64,
    blocks: Zeroizing<[Block; LANES]>,
    /// How many bytes of the blocks are used up.
    at: usize,
}

impl Stream {
    pub(super) fn new(key: &[u8; 32], nonce: [u8; 8]) -> Self {
        let [c0, c1, c2, c3] = words(b"expand 32-byte k");
        let [k0, k1, k2, k3, k4, k5, k6, k7] = words(key);
        let [n0, n1] = words(&nonce);
        Self {
            start: Zeroizing::new([c0, k0, k1, k2, k3, c1, n0, n1, 0, 0, c2, k4, k5, k6, k7, c3]),
            next: 0,
            blocks: Zeroizing::default(),
            at: LANES * BLOCK,
        }
    }

    /// Combines the bytes of `text` with the next ones of the stream.
    pub(super) fn apply(&mut self, text: &mut [u8]) {
        let mut rest = text;
        while !rest.is_empty() {
            if self.at >= LANES * BLOCK {
                self.refill();
            }
            let block = self.blocks.get(self.at / BLOCK);
            let fresh = block.and_then(|Block(bytes)| bytes.get(self.at % BLOCK..));
            let fresh = fresh.unwrap_or_default();
            let (now, after) = rest.split_at_mut(fresh.len().min(rest.len()));
            now.iter_mut().zip(fresh).for_each(|(byte, fresh)| *byte ^= fresh);
            self.at = self.at.saturating_add(now.len());
            rest = after;
        }
    }

    fn refill(&mut self) {
        let mut lanes: Lanes = self.start.map(|word| [word; LANES]);
        let [.., lows, highs, _, _, _, _, _, _] = &mut lanes;
        for ((low, high), number) in lows.iter_mut().zip(highs).zip(self.next..) {
            [*low, *high] = words(&number.to_le_bytes());
        }
        let mut blocks = [[0; 16]; LANES];
        dispatch!(Level::new(), simd => mix(simd, &lanes, &mut blocks));
        self.next = self.next.wrapping_add(limits::wide(LANES));
        self.at = 0;
        for (Block(bytes), words) in self.blocks.iter_mut().zip(blocks) {
            let (chunks, _) = bytes.as_chunks_mut();
            for (chunk, word) in chunks.iter_mut().zip(words) {
                *chunk = word.to_le_bytes();
            }
        }
        // The key is in there.
        lanes.zeroize();
    }
}

/// The key and what is made of it wipe themselves.
impl ZeroizeOnDrop for Stream {}

/// Reads numbers, the lowest byte first.
fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    let (chunks, _) = bytes.as_chunks();
    words
        .iter_mut()
        .zip(chunks)
        .for_each(|(word, chunk)| *word = u32::from_le_bytes(*chunk));
    words
}

/// Does the rounds, adds what was there before them, and puts the words of each block together.
#[inline(always)]
fn mix<S: Simd>(simd: S, lanes: &Lanes, blocks: &mut [State; LANES]) {
    let mut before: Vectors<S> = [u32x8::splat(simd, 0); 16];
    for (vector, words) in before.iter_mut().zip(lanes) {
        *vector = u32x8::from_slice(simd, words);
    }
    let mut mixed = before;
    for _ in 0..10 {
        mixed = double_round(mixed);
    }
    for (vector, before) in mixed.iter_mut().zip(before) {
        *vector += before;
    }
    let (quads, _) = mixed.as_chunks();
    let (halves, _) = blocks.as_chunks_mut();
    for (quad, &[a, b, c, d]) in quads.iter().enumerate() {
        let [(a, e), (b, f), (c, g), (d, h)] = [a.split(), b.split(), c.split(), d.split()];
        for (half, words) in halves.iter_mut().zip([[a, b, c, d], [e, f, g, h]]) {
            put(transpose(words), half, quad);
        }
    }
}

/// Puts the words of four blocks into their places, which are the same in each.
#[inline(always)]
fn put<S: Simd>(words: [u32x4<S>; 4], blocks: &mut [State; 4], quad: usize) {
    for (words, block) in words.into_iter().zip(blocks) {
        let (quads, _) = block.as_chunks_mut::<4>();
        if let Some(slots) = quads.get_mut(quad) {
            words.store_slice(slots);
        }
    }
}

/// Makes rows of columns.
#[inline(always)]
fn transpose<S: Simd>([a, b, c, d]: [u32x4<S>; 4]) -> [u32x4<S>; 4] {
    let [low_ac, high_ac] = [a.zip_low(c), a.zip_high(c)];
    let [low_bd, high_bd] = [b.zip_low(d), b.zip_high(d)];
    [
        low_ac.zip_low(low_bd),
        low_ac.zip_high(low_bd),
        high_ac.zip_low(high_bd),
        high_ac.zip_high(high_bd),
    ]
}

#[inline(always)]
fn double_round<S: Simd>(states: Vectors<S>) -> Vectors<S> {
    let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3] = states;
    // First the columns of the square that the words form, each from the diagonal on; then the rows.
    let [a0, b0, c0, d0] = quarter_round([a0, b0, c0, d0]);
    let [b1, c1, d1, a1] = quarter_round([b1, c1, d1, a1]);
    let [c2, d2, a2, b2] = quarter_round([c2, d2, a2, b2]);
    let [d3, a3, b3, c3] = quarter_round([d3, a3, b3, c3]);
    let [a0, a1, a2, a3] = quarter_round([a0, a1, a2, a3]);
    let [b1, b2, b3, b0] = quarter_round([b1, b2, b3, b0]);
    let [c2, c3, c0, c1] = quarter_round([c2, c3, c0, c1]);
    let [d3, d0, d1, d2] = quarter_round([d3, d0, d1, d2]);
    [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3]
}

#[inline(always)]
fn quarter_round<S: Simd>([a, b, c, d]: [u32x8<S>; 4]) -> [u32x8<S>; 4] {
    let b = b ^ rotate::<S, 7>(a + d);
    let c = c ^ rotate::<S, 9>(b + a);
    let d = d ^ rotate::<S, 13>(c + b);
    let a = a ^ rotate::<S, 18>(d + c);
    [a, b, c, d]
}

#[inline(always)]
fn rotate<S: Simd, const BITS: u32>(words: u32x8<S>) -> u32x8<S> {
    (words << BITS) | (words >> (u32::BITS - BITS))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use salsa20::Salsa20;
    use salsa20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};

    use super::*;

    proptest! {
        #[test]
        fn the_stream_is_that_of_the_crate_however_it_is_cut(
            key in any::<[u8; 32]>(),
            nonce in any::<[u8; 8]>(),
            pieces in prop::collection::vec(0usize..1500, 1..6),
        ) {
            let (mut ours, mut theirs) = (Stream::new(&key, nonce), Salsa20::new(&key.into(), &nonce.into()));
            for len in pieces {
                let (mut text, mut expected) = (vec![0xa5; len], vec![0xa5; len]);
                ours.apply(&mut text);
                theirs.apply_keystream(&mut expected);
                prop_assert_eq!(text, expected);
            }
        }
    }

    #[test]
    fn blocks_are_counted_beyond_a_word() {
        let mut ours = Stream::new(&[7; 32], [9; 8]);
        ours.next = (1 << 32) - 2;
        let mut theirs = Salsa20::new(&[7; 32].into(), &[9; 8].into());
        theirs.seek(ours.next * 64);
        let (mut text, mut expected) = (vec![0; 1000], vec![0; 1000]);
        ours.apply(&mut text);
        theirs.apply_keystream(&mut expected);
        assert_eq!(text, expected);
    }
}
