//! A link: the bytes on their way in one direction, split, delayed, damaged and cut as the seed says.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;

use bytes::Bytes;

use super::rng::Rng;

/// Where a greeting has the minor number of its version.
const MINOR: usize = 11;

/// Bytes that arrive together.
struct Chunk {
    at: Duration,
    bytes: Bytes,
}

/// One direction of a connection.
pub(super) struct Link {
    chunks: VecDeque<Chunk>,
    in_flight: usize,
    /// What the buffers on the way hold.
    capacity: usize,
    /// Nothing more is written: after these bytes comes the end.
    pub(super) ended: bool,
    /// Nobody reads any more.
    pub(super) abandoned: bool,
    /// Nothing arrives before this time.
    pub(super) frozen_until: Duration,
    /// One write in so many is damaged; none if zero.
    pub(super) damage: usize,
    pub(super) damaged: bool,
    /// Who writes passes for a peer of ZMTP 3.0.
    pub(super) old: bool,
    written: usize,
}

/// What a read finds.
pub(super) enum Arrived {
    Bytes(Bytes),
    Nothing,
    End,
}

/// The other side is gone.
pub(super) struct Broken;

impl Link {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self {
            chunks: VecDeque::new(),
            in_flight: 0,
            capacity: rng.pick(&[500, 4 * 1024, 32 * 1024]),
            ended: false,
            abandoned: false,
            frozen_until: Duration::ZERO,
            damage: 0,
            damaged: false,
            old: rng.one_in(4),
            written: 0,
        }
    }

    /// Writes as much as there is room for; zero bytes stand for "not now".
    pub(super) fn write(
        &mut self,
        slices: &[IoSlice<'_>],
        now: Duration,
        rng: &mut Rng,
    ) -> Result<usize, Broken> {
        if self.abandoned || self.ended {
            return Err(Broken);
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut taken = offered.min(self.capacity - self.in_flight);
        if taken > 1 && rng.one_in(4) {
            taken = rng.between(1, taken);
        }
        let mut bytes = Vec::with_capacity(taken);
        for slice in slices {
            let room = taken - bytes.len();
            bytes.extend_from_slice(slice.get(..room).unwrap_or(slice));
        }
        if taken > 0 && self.damage > 0 && rng.one_in(self.damage) {
            let at = rng.below(taken);
            bytes[at] ^= 1 << rng.below(8);
            self.damaged = true;
        }
        if self.old
            && let Some(minor) = MINOR.checked_sub(self.written).and_then(|at| bytes.get_mut(at))
        {
            *minor = 0;
        }
        self.written += taken;
        let mut rest = Bytes::from(bytes);
        while !rest.is_empty() {
            let len = if rng.one_in(4) {
                rng.between(1, rest.len())
            } else {
                rest.len()
            };
            let bytes = rest.split_to(len);
            let soonest = self.chunks.back().map_or(Duration::ZERO, |last| last.at);
            let delay = Duration::from_micros(rng.pick(&[0, 20, 200, 3_000, 40_000]));
            self.chunks.push_back(Chunk {
                at: soonest.max(now + delay),
                bytes,
            });
        }
        self.in_flight += taken;
        Ok(taken)
    }

    /// Reads at most so many bytes.
    pub(super) fn read(&mut self, most: usize, now: Duration) -> Arrived {
        if !self.is_readable(now) {
            return Arrived::Nothing;
        }
        let Some(chunk) = self.chunks.front_mut() else {
            return Arrived::End;
        };
        let len = most.min(chunk.bytes.len());
        let bytes = chunk.bytes.split_to(len);
        if chunk.bytes.is_empty() {
            self.chunks.pop_front();
        }
        self.in_flight -= len;
        Arrived::Bytes(bytes)
    }

    /// Tells whether a read would find something now.
    pub(super) fn is_readable(&self, now: Duration) -> bool {
        !self.abandoned && self.next_arrival().is_some_and(|at| at <= now)
    }

    /// When there is something to read.
    pub(super) fn next_arrival(&self) -> Option<Duration> {
        let at = match self.chunks.front() {
            Some(chunk) => chunk.at,
            None if self.ended => Duration::ZERO,
            None => return None,
        };
        Some(at.max(self.frozen_until))
    }

    pub(super) fn is_writable(&self) -> bool {
        self.abandoned || self.ended || self.in_flight < self.capacity
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Cuts the link: some bytes still arrive, the others never will.
    pub(super) fn cut(&mut self, rng: &mut Rng) {
        let mut survivors = rng.below(self.in_flight + 1);
        self.in_flight = survivors;
        for chunk in &mut self.chunks {
            chunk.bytes.truncate(survivors);
            survivors -= chunk.bytes.len();
        }
        self.chunks.retain(|chunk| !chunk.bytes.is_empty());
        self.ended = true;
    }
}
