//! The parts that `benches/micro` measures one by one; not part of the library.

use std::sync::Arc;
use std::time::Instant;

use crate::options::Options;
use crate::pattern::subscriptions::{Matched, Subscribers};
use crate::pipe::{Limits, PipeEnd, PipeLimits, Wakes, pair};
use crate::queue::Queue;
use crate::zmtp::{Batch, Config, Connection, Room};
use crate::{Message, SocketType};

/// Both protocol cores of a connection from a PUSH to a PULL, wired together without a stream.
#[derive(Debug)]
pub struct Codec {
    push: Connection,
    pull: Connection,
    batch: Batch,
    inbox: Queue,
    now: Instant,
}

impl Codec {
    /// Makes both and lets them shake hands.
    #[must_use]
    pub fn connected() -> Self {
        let now = Instant::now();
        let start = |socket_type| {
            let config = Config::new(socket_type, &Options::default().link);
            Connection::new(Arc::new(config), now)
        };
        let mut codec = Self {
            push: start(SocketType::Push),
            pull: start(SocketType::Pull),
            batch: Batch::new(),
            inbox: Queue::new(),
            now,
        };
        while !(codec.push.is_ready() && codec.pull.is_ready()) {
            transfer(&mut codec.push, &mut codec.pull, now);
            transfer(&mut codec.pull, &mut codec.push, now);
        }
        codec
    }

    /// Encodes a message behind those before it; returns how many bytes there are now.
    #[inline]
    pub fn encode(&mut self, message: Message) -> usize {
        self.push.encode(message, &mut self.batch);
        self.batch.len()
    }

    /// Forgets what was encoded, as if it had been sent.
    pub fn clear(&mut self) {
        self.batch.clear();
    }

    /// Returns what was encoded, and forgets it.
    pub fn take_encoded(&mut self) -> Vec<u8> {
        take_bytes(&mut self.batch)
    }

    /// Decodes bytes; returns how many messages came out of them.
    pub fn decode(&mut self, bytes: &[u8]) -> usize {
        let mut room = Room::UNBOUNDED;
        let result = self
            .pull
            .handle_input(bytes, &mut room, &mut self.inbox, self.now);
        debug_assert!(result.is_ok(), "{result:?}");
        let count = usize::try_from(self.inbox.load().messages).unwrap_or(usize::MAX);
        self.inbox.clear();
        count
    }
}

fn transfer(from: &mut Connection, to: &mut Connection, now: Instant) {
    let mut batch = Batch::new();
    from.poll_transmit(&mut batch);
    let mut room = Room::UNBOUNDED;
    let result = to.handle_input(&take_bytes(&mut batch), &mut room, &mut Queue::new(), now);
    debug_assert!(result.is_ok(), "{result:?}");
}

fn take_bytes(batch: &mut Batch) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(batch.len());
    while !batch.is_empty() {
        let mut slices = smallvec::SmallVec::new();
        batch.slices(&mut slices);
        let before = bytes.len();
        slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
        drop(slices);
        batch.advance(bytes.len() - before);
    }
    bytes
}

/// Both ends of a pipe in one hand: what a message costs on its way through, locks included and nobody asleep.
pub struct Pipe {
    writer: PipeEnd,
    reader: PipeEnd,
}

impl std::fmt::Debug for Pipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipe").finish_non_exhaustive()
    }
}

impl Pipe {
    /// Makes a pipe with limits in messages.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limits = PipeLimits {
            send: Limits::new(limit, 0),
            recv: Limits::new(limit, 0),
        };
        let (writer, reader) = pair(limits);
        Self { writer, reader }
    }

    /// Pushes one message; tells whether there was room.
    #[inline]
    pub fn push(&mut self, message: Message) -> bool {
        self.writer.send(&mut Some(message)).is_ok()
    }

    /// Pushes messages together, as a session does.
    pub fn push_all(&mut self, messages: impl IntoIterator<Item = Message>) {
        // Nobody owns the ends, so nobody is to be woken.
        drop(self.writer.push_all(&mut messages.into_iter().collect()));
    }

    /// Pops one message.
    #[inline]
    pub fn pop(&mut self) -> Option<Message> {
        // Nobody owns the ends, so nobody is to be woken.
        self.reader.pop(&mut Wakes::new())
    }
}

/// The subscriptions of a publisher's peers.
#[derive(Debug, Default)]
pub struct Subscriptions {
    subscribers: Subscribers,
    matched: Matched,
}

impl Subscriptions {
    /// A peer subscribes to a topic.
    pub fn subscribe(&mut self, peer: usize, topic: &[u8]) {
        self.subscribers.subscribe(peer, topic);
    }

    /// A peer cancels its subscription to a topic.
    pub fn cancel(&mut self, peer: usize, topic: &[u8]) {
        self.subscribers.cancel(peer, topic);
    }

    /// A peer leaves; returns how many topics lose their last subscriber by that.
    pub fn remove(&mut self, peer: usize) -> usize {
        let before = self.subscribers.topics();
        self.subscribers.remove_pipe(peer, |_, _| {});
        before - self.subscribers.topics()
    }

    /// Finds the peers that want a message whose first frame this is.
    #[inline]
    pub fn matches(&mut self, frame: &[u8]) -> &[usize] {
        self.subscribers.matches(frame, &mut self.matched);
        self.matched.pipes()
    }

    /// Returns how much memory they take.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.subscribers.heap_bytes()
    }
}
