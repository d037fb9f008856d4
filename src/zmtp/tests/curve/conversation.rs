//! Conversations of two ends with real random bytes, frame by frame, with somebody in between who may change what passes.

use super::*;
use crate::zmtp::frame::Header;
use crate::zmtp::fuzzing::{curve_client, curve_server};

pub(super) const CLIENT: usize = 0;
pub(super) const SERVER: usize = 1;

/// Who says something: [`CLIENT`] or [`SERVER`].
pub(super) type Side = usize;

/// What each end sends after the handshake; the second message has two frames.
const SENT: [[&str; 4]; 2] = [
    ["pay Bob 10", "more follows", "pay Carol 20", "pay Dave 30"],
    ["paid 10", "more follows", "paid 20", "paid 30"],
];

fn messages(side: Side) -> [Message; 3] {
    let [first, a, b, third] = SENT[side];
    [first.into(), [a, b].into_iter().collect(), third.into()]
}

/// A client, a server, and all that each of them has said: greetings and frames.
pub(super) struct Conversation {
    ends: [End; 2],
    pub(super) said: [Vec<Vec<u8>>; 2],
    /// Why each end has closed its connection.
    pub(super) reasons: [Option<DisconnectReason>; 2],
    now: Instant,
}

impl Conversation {
    /// Two ends that have their own keys, always the same, and draw their random bytes from the system.
    pub(super) fn new() -> Self {
        Self::with(&LinkOptions::default())
    }

    /// The same, with ends that let their peer pass over nonces.
    pub(super) fn with_gaps() -> Self {
        Self::with(&LinkOptions {
            nonce_gaps: true,
            ..LinkOptions::default()
        })
    }

    fn with(options: &LinkOptions) -> Self {
        let now = Instant::now();
        let ends = [curve_client(), curve_server()].map(|mechanism| {
            let options = LinkOptions {
                mechanism,
                ..options.clone()
            };
            End::with(SocketType::Pair, &options, now)
        });
        Self {
            ends,
            said: Default::default(),
            reasons: [None, None],
            now,
        }
    }

    /// Lets both ends talk to the end: they shake hands, and then each sends three messages. What one says goes to
    /// `between`, which says what arrives, and where.
    pub(super) fn run(&mut self, mut between: impl FnMut(Side, Vec<u8>) -> Vec<(Side, Vec<u8>)>) {
        self.carry(&mut between);
        let [client, server] = [CLIENT, SERVER].map(messages);
        for pair in client.into_iter().zip(server) {
            for (side, message) in [(CLIENT, pair.0), (SERVER, pair.1)] {
                if self.ends[side].connection.is_ready() {
                    let bytes = self.ends[side].encode(message);
                    self.pass(side, &bytes, &mut between);
                }
            }
            self.carry(&mut between);
        }
    }

    /// Carries what both ends have to say until they have nothing left.
    fn carry(&mut self, between: &mut impl FnMut(Side, Vec<u8>) -> Vec<(Side, Vec<u8>)>) {
        loop {
            let mut quiet = true;
            for side in [CLIENT, SERVER] {
                let bytes = self.ends[side].transmit();
                quiet &= bytes.is_empty();
                self.pass(side, &bytes, between);
            }
            if quiet {
                return;
            }
        }
    }

    fn pass(
        &mut self,
        from: Side,
        mut bytes: &[u8],
        between: &mut impl FnMut(Side, Vec<u8>) -> Vec<(Side, Vec<u8>)>,
    ) {
        while !bytes.is_empty() {
            let len = if self.said[from].is_empty() {
                greeting::LEN
            } else {
                let (header, rest) = Header::parse(bytes).unwrap().unwrap();
                bytes.len() - rest.len() + usize::try_from(header.len).unwrap()
            };
            let (unit, rest) = bytes.split_at(len);
            bytes = rest;
            self.said[from].push(unit.to_vec());
            for (to, unit) in between(from, unit.to_vec()) {
                if self.reasons[to].is_none() {
                    self.reasons[to] = self.ends[to].feed(&unit, self.now).err();
                }
            }
        }
    }

    /// Lets nothing pass any more, and time go by until both ends have had enough.
    pub(super) fn fall_silent(&mut self) {
        for (end, reason) in self.ends.iter_mut().zip(&mut self.reasons) {
            while reason.is_none() {
                let later = end.connection.poll_timeout().expect("it would wait for ever");
                *reason = end.connection.handle_timeout(later).err();
                end.transmit();
            }
        }
    }

    /// Tells whether all messages have arrived, both ways.
    pub(super) fn is_complete(&self) -> bool {
        [CLIENT, SERVER].iter().all(|&side| self.delivered(side) == 3)
    }

    /// How many messages an end was sent and has delivered.
    ///
    /// # Panics
    ///
    /// They are not the first of those that were sent, in their order.
    pub(super) fn delivered(&self, side: Side) -> usize {
        let inbox = &self.ends[side].inbox;
        let sent = messages(1 - side);
        assert!(inbox.iter().eq(sent.iter().take(inbox.len())), "{inbox:?}");
        inbox.len()
    }

    /// Tells whether either end has explained itself with an ERROR.
    pub(super) fn has_error(&self) -> bool {
        let frames = self.said.iter().flat_map(|said| said.iter().skip(1));
        frames
            .into_iter()
            .any(|frame| frame.windows(6).any(|bytes| bytes == b"\x05ERROR"))
    }

    /// Has one end send a PING, which is a command in a box.
    pub(super) fn ping(&mut self) {
        self.now += std::time::Duration::from_secs(20);
        for end in &mut self.ends {
            end.connection.handle_timeout(self.now).unwrap();
        }
        self.carry(&mut |from, unit| vec![(1 - from, unit)]);
    }
}
