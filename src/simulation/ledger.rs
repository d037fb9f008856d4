//! The ledger: what every message looks like, where each one is, and that none is anywhere else.

use bytes::Bytes;

use super::rng::{Rng, mix};
use crate::{Frame, Message};

/// The longest body, and the number of places where one may begin.
const NOISE: usize = 64 * 1024;

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Accepted, and not handed to a connection yet.
    Queued,
    /// Handed to a connection.
    Handed(usize),
    Received,
    /// Taken back when its peer was gone.
    PeerGone,
}

/// A message by its sender and its number there.
pub(super) type Name = (usize, usize);

/// All messages of a run.
pub(super) struct Ledger {
    seed: u64,
    /// What bodies are pieces of, none like the other.
    noise: Bytes,
    /// By sender and number.
    places: Vec<Vec<Place>>,
    /// The number that must be exceeded, by connection: messages of one connection stay in order.
    last: Vec<Option<usize>>,
    pub(super) garbage: usize,
}

impl Ledger {
    pub(super) fn new(seed: u64, senders: usize) -> Self {
        let mut rng = Rng::new(!seed);
        let noise = (0..2 * NOISE / 8).flat_map(|_| rng.next().to_le_bytes());
        let noise = noise.collect::<Vec<u8>>().into();
        Self {
            seed,
            noise,
            places: vec![Vec::new(); senders],
            last: Vec::new(),
            garbage: 0,
        }
    }

    /// The message of a name: the same every time, and told from all others.
    pub(super) fn message(&self, (sender, number): Name) -> Message {
        let check = mix(self.seed ^ mix(((sender as u64) << 32) | number as u64));
        let mut rng = Rng::new(check);
        let mut head = [0; 16];
        head[..4].copy_from_slice(&(sender as u32).to_le_bytes());
        head[4..8].copy_from_slice(&(number as u32).to_le_bytes());
        head[8..].copy_from_slice(&check.to_le_bytes());
        let mut message = Message::from(Frame::copy_from_slice(&head));
        let parts = rng.pick(&[0, 0, 0, 0, 1, 1, 2, 9]);
        for _ in 0..parts {
            let most = rng.pick(&[0, 10, 60, 70, 70, 300, 300, 300]);
            let mut len = rng.between(0, most);
            if rng.one_in(40) {
                len = rng.between(3_000, 20_000);
            }
            let at = rng.below(NOISE);
            message.push_back(Frame::from(self.noise.slice(at..at + len)));
        }
        message
    }

    /// The name of a message, if that is what it is in every byte.
    pub(super) fn name(&self, message: &Message) -> Option<Name> {
        let head = message.frames().first()?.as_slice();
        let number = |at: usize| {
            let bytes = head.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_le_bytes(bytes) as usize)
        };
        let name = (number(0)?, number(4)?);
        let known = self.places.get(name.0)?.len() > name.1;
        (known && self.message(name) == *message).then_some(name)
    }

    /// The name that the sender's next message gets.
    pub(super) fn next(&self, sender: usize) -> Name {
        (sender, self.places[sender].len())
    }

    pub(super) fn accepted(&mut self, name: Name) {
        assert_eq!(self.next(name.0), name);
        self.places[name.0].push(Place::Queued);
    }

    pub(super) fn handed(&mut self, message: &Message, connection: usize) {
        let name = self.name(message).unwrap();
        self.change(name, Place::Queued, Place::Handed(connection));
    }

    pub(super) fn peer_gone(&mut self, message: &Message) {
        let name = self.name(message).unwrap();
        self.change(name, Place::Queued, Place::PeerGone);
    }

    /// Takes note of a message that came out; of one that was never sent, if something was damaged on the way.
    pub(super) fn received(&mut self, message: &Message, may_be_garbage: bool) -> Option<Name> {
        let Some(name) = self.name(message) else {
            assert!(
                may_be_garbage,
                "a message came out that was never sent: {message:?}"
            );
            self.garbage += 1;
            return None;
        };
        let Place::Handed(connection) = self.places[name.0][name.1] else {
            panic!("{name:?} came out, but it was {:?}", self.places[name.0][name.1]);
        };
        self.change(name, Place::Handed(connection), Place::Received);
        if self.last.len() <= connection {
            self.last.resize(connection + 1, None);
        }
        let last = self.last[connection].replace(name.1);
        assert!(last < Some(name.1), "{name:?} came out after {last:?}");
        Some(name)
    }

    /// Counts the messages of a sender in a kind of place.
    pub(super) fn count(&self, sender: usize, kind: impl Fn(Place) -> bool) -> usize {
        self.places[sender].iter().filter(|place| kind(**place)).count()
    }

    fn change(&mut self, (sender, number): Name, from: Place, to: Place) {
        let place = &mut self.places[sender][number];
        assert_eq!(*place, from, "{:?} on its way to {to:?}", (sender, number));
        *place = to;
    }
}
