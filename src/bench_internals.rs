//! The parts that `benches/micro` and `benches/guards` measure one by one; not part of the library.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::pattern::subscriptions::{Matched, Subscribers};
use crate::pipe::{Limits, PipeEnd, PipeLimits, WakeReader, Wakes, pair};
use crate::queue::Queue;
use crate::reactor;
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

/// A pipe during a burst, from the socket that stages messages to the bytes that its session writes.
pub struct Burst {
    writer: PipeEnd,
    reader: PipeEnd,
    batch: Batch,
}

impl std::fmt::Debug for Burst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Burst").finish_non_exhaustive()
    }
}

impl Burst {
    /// Makes a pipe with default limits whose reader lets `bytes` gather.
    #[must_use]
    pub fn new(bytes: u32) -> Self {
        let options = Options::default();
        let (writer, mut reader) = pair(PipeLimits {
            send: Limits::new(options.send_hwm, options.send_hwm_bytes),
            recv: Limits::new(options.recv_hwm, options.recv_hwm_bytes),
        });
        reader.set_sleep(WakeReader::AtBytes(bytes));
        let mut burst = Self {
            writer,
            reader,
            batch: Batch::new(),
        };
        burst.take();
        burst
    }

    /// Sends one message; tells whether there was room.
    #[inline]
    pub fn send(&mut self, message: Message) -> bool {
        self.writer.send(&mut Some(message)).is_ok()
    }

    /// Takes all that has gathered, as bytes to be written; returns how many messages that are.
    pub fn take(&mut self) -> u64 {
        // Nobody owns the ends, so nobody is to be woken.
        drop(self.writer.publish());
        let (mut wakes, mut messages) = (Wakes::new(), 0);
        loop {
            let batch = &mut self.batch;
            let count = self
                .reader
                .pop_run(usize::MAX, |run| batch.put_run(run), &mut wakes);
            if count == 0 {
                break;
            }
            messages += count;
        }
        drop(self.reader.release());
        self.batch.clear();
        messages
    }
}

/// The timers of a reactor.
#[derive(Debug)]
pub struct Timers {
    timers: reactor::Timers,
    armed: Vec<Option<Instant>>,
    start: Instant,
}

impl Timers {
    /// Makes timers for some sources, each a millisecond after the other.
    #[must_use]
    pub fn armed(sources: usize) -> Self {
        let mut timers = Self {
            timers: reactor::Timers::default(),
            armed: vec![None; sources],
            start: Instant::now(),
        };
        for (source, after) in (0..sources).zip(1..) {
            timers.arm(source, after);
        }
        timers
    }

    /// Sets or moves the timer of a source, to so many milliseconds after the start.
    #[inline]
    pub fn arm(&mut self, source: usize, after: u64) {
        let deadline = self.start + Duration::from_millis(after);
        if let Some(armed) = self.armed.get_mut(source) {
            self.timers.arm(source, armed, deadline);
        }
    }

    /// Takes a timer that is due by then.
    #[inline]
    pub fn pop_due(&mut self, after: u64) -> Option<usize> {
        let source = self.timers.pop_due(self.start + Duration::from_millis(after))?;
        if let Some(armed) = self.armed.get_mut(source) {
            *armed = None;
        }
        Some(source)
    }
}

/// A thread that waits, and is told before it sleeps.
pub struct Waiter(Arc<reactor::Waiter>);

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiter").finish_non_exhaustive()
    }
}

impl Waiter {
    /// The waiter of the calling thread.
    #[must_use]
    pub fn current() -> Self {
        Self(reactor::Waiter::current())
    }

    /// Tells the thread to look again.
    #[inline]
    pub fn notify(&self) {
        self.0.notify();
    }

    /// Waits until told.
    #[inline]
    pub fn park(&self) {
        self.0.park(None);
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
