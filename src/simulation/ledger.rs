//! The ledger: what every message looks like, where each copy of it is, and that none is anywhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use bytes::Bytes;
use smallvec::SmallVec;

use super::rng::{Rng, mix};
use super::topics;
use crate::stats::{DropReason, Drops};
use crate::{Frame, Message, RoutingId, SocketType};

/// The longest body, and the number of places where one may begin.
const NOISE: usize = 64 * 1024;

/// The size of the first frame of each body, by which a message is known. No frame of an envelope has it.
const HEAD: usize = 16;

/// Where a copy of a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Accepted, and not handed to a connection yet.
    Queued,
    /// Handed to a connection, by this side of it.
    Handed(usize),
    /// In a pipe of this socket, or read from it but for saying so.
    Unread(usize),
    /// Delivered to the application of this socket.
    Received(usize),
    /// Passed over by the pattern of this socket.
    Discarded(usize),
    /// Lost with this socket, or with its pipe, before it was read.
    Forgotten(usize),
    /// Accepted, and dropped by its sender.
    Dropped(DropReason),
    /// Taken back when its sender was closed, or died.
    Returned,
}

/// A message by its sender and its number there.
pub(super) type Name = (usize, usize);

/// What is known of a message.
#[derive(Debug)]
struct Entry {
    copies: SmallVec<[Place; 1]>,
    /// What it was wrapped in when it was handed to a connection, and by which side of one.
    envelope: Vec<Frame>,
    side: Option<usize>,
    /// The message that it answers.
    answers: Option<Name>,
    /// The id that it was sent to.
    to: Option<RoutingId>,
    /// Nobody will answer it.
    unanswered: bool,
}

/// Counts of messages without a name: empty ones, subscriptions, and those that were damaged on the way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unnamed {
    pub(super) accepted: u64,
    pub(super) handed: u64,
    pub(super) dropped: Drops,
    pub(super) returned: u64,
    pub(super) received: u64,
    pub(super) discarded: u64,
}

/// How many copies of messages ended where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sights {
    received: u64,
    discarded: u64,
    forgotten: u64,
    in_doubt: u64,
    dropped: Drops,
    returned: u64,
}

#[cfg(test)]
impl Sights {
    pub(super) fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.discarded += other.discarded;
        self.forgotten += other.forgotten;
        self.in_doubt += other.in_doubt;
        self.dropped.merge(&other.dropped);
        self.returned += other.returned;
    }

    /// Many runs have seen everything that there is to see, most of it in peace.
    pub(super) fn check(&self) {
        // Nothing here disconnects from an endpoint, and a publisher that nobody listens to loses all.
        let reasons = DropReason::ALL.into_iter();
        let reasons = reasons.filter(|reason| *reason != DropReason::Disconnected);
        let dropped: Vec<_> = reasons.map(|reason| self.dropped.of(reason)).collect();
        let mut rare = vec![self.discarded, self.forgotten, self.in_doubt, self.returned];
        rare.extend(dropped);
        assert!(rare.iter().all(|count| *count > 0), "{self:?}");
        let unheard = self.dropped.of(DropReason::NoSubscriber);
        assert!(self.received > rare.iter().sum::<u64>() - unheard, "{self:?}");
    }
}

/// All messages of a run.
pub(super) struct Ledger {
    seed: u64,
    kinds: Vec<SocketType>,
    /// By sender and number.
    entries: Vec<Vec<Entry>>,
    unnamed: Vec<Unnamed>,
    /// The number that must be exceeded, by the side that writes: messages of a connection stay in order.
    last: BTreeMap<usize, usize>,
    /// Sides of connections that are over.
    over: BTreeSet<usize>,
    /// Something was damaged on the way, so that anything may come out.
    pub(super) dirty: bool,
}

/// What bodies are pieces of, none like the other.
fn noise() -> &'static Bytes {
    static NOISE_BYTES: OnceLock<Bytes> = OnceLock::new();
    NOISE_BYTES.get_or_init(|| {
        let mut rng = Rng::new(0x006e_6f69_7365);
        let bytes = (0..2 * NOISE / 8).flat_map(|_| rng.next().to_le_bytes());
        bytes.collect::<Vec<u8>>().into()
    })
}

impl Ledger {
    pub(super) fn new(seed: u64, kinds: &[SocketType]) -> Self {
        Self {
            seed,
            kinds: kinds.to_vec(),
            entries: kinds.iter().map(|_| Vec::new()).collect(),
            unnamed: vec![Unnamed::default(); kinds.len()],
            last: BTreeMap::new(),
            over: BTreeSet::new(),
            dirty: false,
        }
    }

    /// The body of a name: the same every time, and told from all others.
    pub(super) fn body(&self, (sender, number): Name) -> Message {
        let check = self.check((sender, number));
        let mut rng = Rng::new(check);
        let mut head = [0; HEAD];
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
            // A part of the head's size would pass for the head of another message.
            len += usize::from(len == HEAD);
            let at = rng.below(NOISE);
            message.push_back(Frame::from(noise().slice(at..at + len)));
        }
        message
    }

    /// A name's message as it is published: its topic, and its body; or a body that begins with its topic.
    pub(super) fn issue(&self, name: Name) -> Message {
        let mut message = self.body(name);
        let mut rng = Rng::new(mix(self.check(name)));
        // What a subscriber says and begins with 0 or 1 would be a subscription.
        let ambiguous = self.kinds[name.0].subscribes() && name.0 < 2;
        if ambiguous || !rng.one_in(4) {
            message.push_front(topics::choose_first_frame(&mut rng));
        }
        message
    }

    fn check(&self, (sender, number): Name) -> u64 {
        mix(self.seed ^ mix(((sender as u64) << 32) | number as u64))
    }

    /// Finds the name of a message, and where its body begins, if it is one in every byte.
    pub(super) fn find(&self, frames: &[Frame]) -> Option<(Name, usize)> {
        let heads = frames.iter().enumerate().filter(|(_, frame)| frame.len() == HEAD);
        heads.into_iter().find_map(|(at, frame)| {
            let head = frame.as_slice();
            let number =
                |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?) as usize);
            let name = (number(0)?, number(4)?);
            let known = self.entries.get(name.0)?.len() > name.1;
            (known && self.body(name).frames() == &frames[at..]).then_some((name, at))
        })
    }

    pub(super) fn name(&self, message: &Message) -> Option<Name> {
        self.find(message.frames()).map(|(name, _)| name)
    }

    /// The name that the sender's next message gets.
    pub(super) fn next(&self, sender: usize) -> Name {
        (sender, self.entries[sender].len())
    }

    /// A socket has accepted its next message, for so many peers.
    pub(super) fn accepted(&mut self, name: Name, copies: u64, answers: Option<Name>) {
        assert_eq!(self.next(name.0), name);
        self.entries[name.0].push(Entry {
            copies: (0..copies).map(|_| Place::Queued).collect(),
            envelope: Vec::new(),
            side: None,
            answers,
            to: None,
            unanswered: false,
        });
    }

    /// A sender has dropped a message.
    pub(super) fn dropped(&mut self, sender: usize, name: Option<Name>, reason: DropReason) {
        match name {
            Some(name) => self.change(name, Place::Queued, Place::Dropped(reason)),
            None => self.unnamed[sender].dropped.add(reason, 1),
        }
    }

    /// A socket has accepted messages without a name.
    pub(super) fn unnamed(&mut self, slot: usize) -> &mut Unnamed {
        &mut self.unnamed[slot]
    }

    /// A message of this sender goes out through a side of a connection.
    pub(super) fn handed(&mut self, message: &Message, sender: usize, side: usize) -> Option<Name> {
        let Some((name, at)) = self.find(message.frames()) else {
            self.unnamed[sender].handed += 1;
            self.check_unnamed(message);
            return None;
        };
        assert_eq!(name.0, sender, "{name:?} went out through another socket");
        self.change(name, Place::Queued, Place::Handed(side));
        let entry = &mut self.entries[name.0][name.1];
        entry.envelope = message.frames()[..at].to_vec();
        entry.side = Some(side);
        Some(name)
    }

    /// A message came in to a socket from the side of a connection that wrote it.
    pub(super) fn arrived(&mut self, message: &Message, slot: usize, writer: usize) -> Option<Name> {
        let Some((name, at)) = self.find(message.frames()) else {
            self.check_unnamed(message);
            return None;
        };
        self.change(name, Place::Handed(writer), Place::Unread(slot));
        let last = self.last.insert(writer, name.1);
        assert!(last < Some(name.1), "{name:?} came in after {last:?}");
        let envelope = &self.entry(name).envelope;
        assert!(
            self.dirty || *envelope == message.frames()[..at],
            "{name:?} in another envelope"
        );
        Some(name)
    }

    fn check_unnamed(&self, message: &Message) {
        let empty = message.frames().last().is_some_and(Frame::is_empty);
        let known = self.dirty || empty || topics::is_known(message);
        assert!(known, "a message that was never sent: {message:?}");
    }

    /// A socket has read a message: its application has it, or its pattern passed over it.
    pub(super) fn read(&mut self, slot: usize, name: Option<Name>, received: bool) {
        match name {
            Some(name) if received => self.change(name, Place::Unread(slot), Place::Received(slot)),
            Some(name) => self.change(name, Place::Unread(slot), Place::Discarded(slot)),
            None if received => self.unnamed[slot].received += 1,
            None => self.unnamed[slot].discarded += 1,
        }
    }

    /// A message that had come in is gone with its pipe.
    pub(super) fn forgotten(&mut self, slot: usize, name: Option<Name>) {
        if let Some(name) = name {
            self.change(name, Place::Unread(slot), Place::Forgotten(slot));
        }
    }

    /// A sender has taken a message back because it is itself at its end.
    pub(super) fn returned(&mut self, sender: usize, name: Option<Name>) {
        match name {
            Some(name) => self.change(name, Place::Queued, Place::Returned),
            None => self.unnamed[sender].returned += 1,
        }
    }

    /// Counts the copies of a sender's messages in a kind of place.
    pub(super) fn sent(&self, sender: usize, kind: impl Fn(Place) -> bool) -> u64 {
        let copies = self.entries[sender].iter().flat_map(|entry| &entry.copies);
        copies.filter(|place| kind(**place)).count() as u64
    }

    /// Counts the copies of a sender's messages that it has dropped for a reason.
    pub(super) fn dropped_by(&self, sender: usize, reason: DropReason) -> u64 {
        self.sent(sender, |place| place == Place::Dropped(reason))
    }

    /// Counts the copies of all messages in a place.
    pub(super) fn at(&self, place: Place) -> u64 {
        let senders = 0..self.entries.len();
        senders.map(|sender| self.sent(sender, |at| at == place)).sum()
    }

    /// Where all messages ended.
    pub(super) fn sights(&self) -> Sights {
        let mut sights = Sights::default();
        for place in self.entries.iter().flatten().flat_map(|entry| &entry.copies) {
            let count = match place {
                Place::Received(_) => &mut sights.received,
                Place::Discarded(_) => &mut sights.discarded,
                Place::Forgotten(_) => &mut sights.forgotten,
                Place::Handed(_) => &mut sights.in_doubt,
                Place::Dropped(reason) => {
                    sights.dropped.add(*reason, 1);
                    continue;
                }
                Place::Returned => &mut sights.returned,
                Place::Queued | Place::Unread(_) => panic!("a message is still {place:?}"),
            };
            *count += 1;
        }
        sights
    }

    /// The sockets whose applications have got a message.
    pub(super) fn receivers(&self, name: Name) -> BTreeSet<usize> {
        let places = self.entry(name).copies.iter();
        let received = places.filter_map(|place| match place {
            Place::Received(slot) => Some(*slot),
            _ => None,
        });
        received.collect()
    }

    /// What a message was wrapped in when it was handed to a connection.
    pub(super) fn envelope(&self, name: Name) -> &[Frame] {
        &self.entry(name).envelope
    }

    /// By which side of a connection a message went out last.
    pub(super) fn side(&self, name: Name) -> Option<usize> {
        self.entry(name).side
    }

    pub(super) fn is_queued(&self, name: Name) -> bool {
        self.entry(name).copies.contains(&Place::Queued)
    }

    pub(super) fn answers(&self, name: Name) -> Option<Name> {
        self.entry(name).answers
    }

    /// The sender of a message has said whom it is for.
    pub(super) fn address(&mut self, name: Name, to: RoutingId) {
        self.entries[name.0][name.1].to = Some(to);
    }

    pub(super) fn addressee(&self, name: Name) -> Option<&RoutingId> {
        self.entry(name).to.as_ref()
    }

    /// The receiver of a message will not answer it.
    pub(super) fn leave_unanswered(&mut self, name: Name) {
        self.entries[name.0][name.1].unanswered = true;
    }

    pub(super) fn is_unanswered(&self, name: Name) -> bool {
        self.entry(name).unanswered
    }

    /// A side of a connection is over.
    pub(super) fn ended(&mut self, side: usize) {
        self.over.insert(side);
    }

    pub(super) fn is_over(&self, side: usize) -> bool {
        self.over.contains(&side)
    }

    fn entry(&self, (sender, number): Name) -> &Entry {
        &self.entries[sender][number]
    }

    fn change(&mut self, name: Name, from: Place, to: Place) {
        let copies = &mut self.entries[name.0][name.1].copies;
        match copies.iter_mut().find(|place| **place == from) {
            Some(place) => *place = to,
            None => panic!("{name:?} on its way from {from:?} to {to:?} was {copies:?}"),
        }
    }
}
