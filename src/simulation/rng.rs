//! Numbers that choose what happens: random ones that depend on a seed alone (splitmix64), or those of a fuzzer.

/// A source of numbers; a copy goes on with the same ones.
#[derive(Clone, Debug)]
pub(super) struct Rng {
    state: u64,
    /// What a fuzzer chose, the next byte last; random numbers follow.
    chosen: Vec<u8>,
}

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        let chosen = Vec::new();
        Self { state: seed, chosen }
    }

    /// Takes numbers from these bytes as long as there are any.
    pub(super) fn steered(bytes: &[u8]) -> Self {
        let chosen = bytes.iter().rev().copied().collect();
        Self { state: 0, chosen }
    }

    /// Tells whether what the fuzzer chose is used up.
    pub(super) fn is_exhausted(&self) -> bool {
        self.chosen.is_empty()
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let Some(byte) = self.chosen.pop() else {
            return (self.next() % bound as u64) as usize;
        };
        let mut number = usize::from(byte);
        if bound > 256 {
            number = number << 8 | usize::from(self.chosen.pop().unwrap_or_default());
        }
        number % bound
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True once in `odds` times.
    pub(super) fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Scatters the bits of a number.
pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
