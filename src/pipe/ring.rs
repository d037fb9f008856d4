//! The queue of one direction of a pipe: bounded by messages and bytes, with the flags of who sleeps. Knows no lock.

use bytes::Bytes;

use super::length::is_long;
use super::overflow::{Overflow, Taken};
use crate::message::Message;
use crate::options::SlowPolicy;
use crate::queue::{Load, Queue};

/// How much a ring takes before it is full.
///
/// A ring is full while it holds this many messages or this many bytes, whichever comes first; so the last message
/// may go past the bytes, and a message heavier than the whole limit still passes through an empty ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) when_full: WhenFull,
}

/// What a ring does with a message for which there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// It is not taken, and its writer waits.
    #[default]
    Refuse,
    /// It takes the place of the oldest that is queued. What the reader has taken is not counted for this, for it cannot
    /// be dropped any more; so the ring holds up to twice its limits.
    DropOldest,
    /// It waits beside the queue until the reader has taken that, and takes the place of an older one there that has the
    /// same topic, which is the first frame. As many may wait there as in the queue; the rest is dropped.
    NewestOfTopic,
    /// The ring is never full: it keeps only its newest message, whatever the limits.
    KeepNewest,
}

impl Limits {
    /// Limits as options state them, where zero stands for "none".
    pub(crate) fn new(messages: usize, bytes: usize) -> Self {
        let or_none = |limit: usize| if limit == 0 { u64::MAX } else { limit as u64 };
        Self {
            messages: or_none(messages),
            bytes: or_none(bytes),
            when_full: WhenFull::Refuse,
        }
    }

    /// The limits of a ring that keeps its newest message.
    pub(crate) const NEWEST: Self = Self {
        messages: u64::MAX,
        bytes: u64::MAX,
        when_full: WhenFull::KeepNewest,
    };

    /// The limits of a pipe that joins two queues, as inproc does: a missing limit on either side leaves none. To keep the
    /// newest message says more than to drop the oldest.
    pub(crate) fn join(self, other: Self) -> Self {
        let when_full = match (self.when_full, other.when_full) {
            (WhenFull::KeepNewest, _) | (_, WhenFull::KeepNewest) => WhenFull::KeepNewest,
            (WhenFull::Refuse, theirs) => theirs,
            (ours, _) => ours,
        };
        Self {
            messages: self.messages.saturating_add(other.messages),
            bytes: self.bytes.saturating_add(other.bytes),
            when_full,
        }
    }

    /// How much a reader reads before it lets the writer know. libzmq's low-water mark: (hwm + 1) / 2 messages.
    pub(crate) fn step(self) -> Self {
        Self {
            messages: self.messages.div_ceil(2),
            bytes: self.bytes.div_ceil(2),
            when_full: self.when_full,
        }
    }

    /// Tells whether this much is as much as the limits allow.
    #[inline]
    pub(crate) fn reached_by(self, held: Load) -> bool {
        held.messages >= self.messages || held.weight() >= self.bytes
    }
}

/// What of the policy is the queue's own affair.
impl From<SlowPolicy> for WhenFull {
    fn from(policy: SlowPolicy) -> Self {
        match policy {
            SlowPolicy::DropNewest | SlowPolicy::Block | SlowPolicy::Disconnect => Self::Refuse,
            SlowPolicy::DropOldest => Self::DropOldest,
            SlowPolicy::NewestOfTopic => Self::NewestOfTopic,
        }
    }
}

/// When a push wakes the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WakeReader {
    /// The reader is at work, or waits for something else, and will look at the ring by itself.
    Never,
    /// The reader sleeps until there is anything.
    OnPush,
    /// The reader lets a batch of this many bytes gather, or a full ring; somebody else will look after a rest.
    AtBytes(u32),
}

/// Why a message was not pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushError {
    /// The ring is full; the writer is marked as waiting.
    Full,
    /// The reader is gone.
    Closed,
}

/// One direction of a pipe.
///
/// Messages pass through three places, and count as *held* until the reader releases them:
///
/// ```text
///   push ──► queue ──take──► the reader's batch ──release──► gone
///            └──────────────── held ────────────┘
/// ```
#[derive(Debug)]
pub(crate) struct Ring {
    queue: Queue,
    limits: Limits,
    held: Load,
    accepted: Load,
    released: Load,
    peak: u64,
    /// What waits beside the queue; only a ring that keeps the newest of each topic has such.
    overflow: Option<Box<Overflow>>,
    /// Messages that newer ones have taken the place of.
    conflated: u64,
    /// Both ends belong to sockets; else one to a session, which counts nothing.
    is_joined: bool,
    /// Messages that were dropped for want of room.
    displaced: u64,
    wake_reader: WakeReader,
    /// The writer found the ring full and has not been woken since.
    writer_waits: bool,
    writer_closed: bool,
    reader_closed: bool,
}

impl Ring {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            queue: Queue::new(),
            limits,
            held: Load::default(),
            accepted: Load::default(),
            released: Load::default(),
            peak: 0,
            overflow: None,
            conflated: 0,
            is_joined: false,
            displaced: 0,
            wake_reader: WakeReader::Never,
            writer_waits: false,
            writer_closed: false,
            reader_closed: false,
        }
    }

    /// Takes a message out of its place and appends it, and tells whether the reader must be woken.
    #[inline]
    pub(crate) fn push(&mut self, slot: &mut Option<Message>) -> Result<bool, PushError> {
        if self.reader_closed {
            return Err(PushError::Closed);
        }
        if self.is_full() && !self.make_way(slot) {
            self.writer_waits = true;
            return Err(PushError::Full);
        }
        if let Some(message) = slot {
            self.count_in(Load::of(message));
            self.queue.push_from(slot);
            self.replace_older();
            self.peak = self.peak.max(self.held.messages);
        }
        Ok(self.reader_is_due())
    }

    /// Finds a place for a message although the ring is full, if that is how the ring deals with it: in the queue, or
    /// beside, to where it is taken at once.
    #[inline(never)]
    fn make_way(&mut self, slot: &mut Option<Message>) -> bool {
        match self.limits.when_full {
            WhenFull::Refuse => false,
            WhenFull::KeepNewest => true,
            WhenFull::DropOldest => {
                while self.limits.reached_by(self.queue.load())
                    && let Some(oldest) = self.queue.pop()
                {
                    self.held.subtract(Load::of(&oldest));
                    self.displaced += 1;
                }
                true
            }
            WhenFull::NewestOfTopic => {
                if let Some(message) = slot.take() {
                    self.accepted.add(Load::of(&message));
                    match self.overflow.get_or_insert_default().put(message, self.limits) {
                        Taken::Added => {}
                        Taken::Replaced => self.conflated += 1,
                        Taken::Dropped => self.displaced += 1,
                    }
                }
                true
            }
        }
    }

    /// Appends all messages, for whose number and size [`room`](Self::room) was asked before. With the reader gone they
    /// stay queued, to be reclaimed.
    pub(crate) fn push_all(&mut self, messages: &mut Queue) -> bool {
        self.count_in(messages.load());
        self.queue.append(messages);
        self.has_grown()
    }

    /// Appends a run of packed messages that other rings get, too; the same holds for it.
    pub(crate) fn push_shared(&mut self, run: &Bytes, load: Load) -> bool {
        self.count_in(load);
        self.queue.push_shared(run, load);
        self.has_grown()
    }

    /// Several messages may have come; tells whether the reader must be woken.
    fn has_grown(&mut self) -> bool {
        self.replace_older();
        self.peak = self.peak.max(self.held.messages);
        !self.queue.is_empty() && self.reader_is_due()
    }

    /// Returns how many messages and bytes may be pushed; if none, the writer is marked as waiting.
    pub(crate) fn room(&mut self) -> Option<(u64, u64)> {
        if self.reader_closed {
            return Some((u64::MAX, u64::MAX));
        }
        if self.is_full() {
            self.writer_waits = true;
            return None;
        }
        let load = self.load();
        Some((
            self.limits.messages.saturating_sub(load.messages),
            self.limits.bytes.saturating_sub(load.weight()),
        ))
    }

    /// Marks the writer as waiting until the reader has read, although there may be room; tells whether it has to read
    /// anything. A ring that keeps its newest message is not made to wait: it holds one.
    pub(crate) fn hold_back(&mut self) -> bool {
        let waits =
            self.held.messages > 0 && !self.reader_closed && self.limits.when_full != WhenFull::KeepNewest;
        self.writer_waits |= waits;
        waits
    }

    /// Moves everything that is queued into the reader's empty batch. If there is nothing, the reader goes to sleep
    /// with `sleep` as the condition to wake it.
    pub(crate) fn take(&mut self, batch: &mut Queue, sleep: WakeReader) -> bool {
        if self.queue.is_empty() && !self.take_overflow() {
            self.wake_reader = sleep;
            return false;
        }
        self.wake_reader = WakeReader::Never;
        std::mem::swap(&mut self.queue, batch);
        true
    }

    /// Puts back what a reader took and did not read, in front of what came since.
    pub(crate) fn put_back(&mut self, batch: &mut Queue) {
        if batch.is_empty() {
            return;
        }
        batch.append(&mut self.queue);
        std::mem::swap(&mut self.queue, batch);
        self.replace_older();
    }

    /// Lets go of what the reader has read, and tells whether the writer must be woken.
    pub(crate) fn release(&mut self, read: Load) -> bool {
        self.held.subtract(read);
        self.released.add(read);
        if !self.writer_waits || !self.is_low() {
            return false;
        }
        self.writer_waits = false;
        true
    }

    /// Moves what waits beside the queue into it, and tells whether there was anything.
    fn take_overflow(&mut self) -> bool {
        let Some(mut overflow) = self.overflow.take() else {
            return false;
        };
        self.held.add(overflow.load());
        self.peak = self.peak.max(self.held.messages);
        overflow.drain().for_each(|message| self.queue.push(message));
        true
    }

    /// Takes out what is queued, for a writer whose reader will never read it.
    pub(crate) fn reclaim(&mut self) -> Queue {
        self.take_overflow();
        let rest = std::mem::take(&mut self.queue);
        self.held.subtract(rest.load());
        rest
    }

    /// The writer is gone: the reader gets what is there and then the end. Tells whether to wake the reader.
    pub(crate) fn close_writer(&mut self) -> bool {
        !std::mem::replace(&mut self.writer_closed, true)
    }

    /// The reader is gone: pushes fail from now on. Tells whether to wake the writer.
    pub(crate) fn close_reader(&mut self) -> bool {
        self.writer_waits = false;
        self.wake_reader = WakeReader::Never;
        !std::mem::replace(&mut self.reader_closed, true)
    }

    /// Nobody reads for now; whoever comes will look by itself.
    pub(crate) fn forget_reader(&mut self) {
        self.wake_reader = WakeReader::Never;
    }

    /// The other end is another socket's from now on, which has its own limits; tells whether a waiting writer must be
    /// woken.
    pub(crate) fn join(&mut self, other: Limits) -> bool {
        self.is_joined = true;
        self.limits = self.limits.join(other);
        self.replace_older();
        let wake = self.writer_waits && self.is_low();
        self.writer_waits &= !wake;
        wake
    }

    /// Tells whether the reader lets a batch gather now.
    pub(crate) fn is_gathering(&self) -> bool {
        matches!(self.wake_reader, WakeReader::AtBytes(_))
    }

    /// Tells whether so much is in the pipe that its writer should rest.
    #[inline]
    pub(crate) fn is_long(&self) -> bool {
        is_long(self.held)
    }

    pub(crate) fn is_reader_closed(&self) -> bool {
        self.reader_closed
    }

    pub(crate) fn is_writer_closed(&self) -> bool {
        self.writer_closed
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.overflow.is_none()
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// What is in the pipe: queued, or taken and not yet released.
    pub(crate) fn held(&self) -> Load {
        let mut held = self.held;
        if let Some(overflow) = &self.overflow {
            held.add(overflow.load());
        }
        held
    }

    pub(crate) fn accepted(&self) -> Load {
        self.accepted
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }

    /// What the reader has read and let go of.
    pub(crate) fn released(&self) -> Load {
        self.released
    }

    pub(crate) fn conflated(&self) -> u64 {
        self.conflated
    }

    /// Of those, what the reader has to count: no other socket does.
    pub(crate) fn conflated_for_reader(&self) -> u64 {
        if self.is_joined { 0 } else { self.conflated }
    }

    pub(crate) fn displaced(&self) -> u64 {
        self.displaced
    }

    #[inline]
    fn count_in(&mut self, load: Load) {
        self.held.add(load);
        self.accepted.add(load);
    }

    /// A ring that keeps its newest message forgets all others.
    #[inline]
    fn replace_older(&mut self) {
        if self.limits.when_full == WhenFull::KeepNewest && self.queue.load().messages > 1 {
            let mut all = self.reclaim();
            self.conflated += all.load().messages - 1;
            if let Some(newest) = all.pop_newest() {
                self.held.add(Load::of(&newest));
                self.queue.push(newest);
            }
        }
    }

    #[inline]
    fn reader_is_due(&mut self) -> bool {
        let due = match self.wake_reader {
            WakeReader::Never => false,
            WakeReader::OnPush => true,
            WakeReader::AtBytes(bytes) => self.queue.load().bytes >= u64::from(bytes) || self.is_full(),
        };
        if due {
            self.wake_reader = WakeReader::Never;
        }
        due
    }

    /// What counts against the limits.
    #[inline]
    fn load(&self) -> Load {
        match self.limits.when_full {
            WhenFull::DropOldest => self.queue.load(),
            _ => self.held,
        }
    }

    #[inline]
    fn is_full(&self) -> bool {
        // What waits beside the queue must not be overtaken.
        self.limits.reached_by(self.load()) || self.overflow.is_some()
    }

    fn is_low(&self) -> bool {
        let step = self.limits.step();
        self.held.messages <= self.limits.messages - step.messages
            && self.held.weight() <= self.limits.bytes - step.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::FRAME_OVERHEAD;
    use proptest::prelude::*;

    fn ring(messages: usize, bytes: usize) -> Ring {
        Ring::new(Limits::new(messages, bytes))
    }

    fn push(ring: &mut Ring, message: impl Into<Message>) -> Result<bool, PushError> {
        ring.push(&mut Some(message.into()))
    }

    fn all(queue: Queue) -> Vec<Message> {
        queue.collect()
    }

    fn fill(ring: &mut Ring) -> usize {
        (0..).take_while(|_| push(ring, "m").is_ok()).count()
    }

    /// Takes and releases one message after the other, and tells after how many the writer was woken.
    fn drain_until_woken(ring: &mut Ring) -> Option<usize> {
        let mut batch = Queue::new();
        ring.take(&mut batch, WakeReader::OnPush);
        batch
            .position(|message| ring.release(Load::of(&message)))
            .map(|at| at + 1)
    }

    #[test]
    fn the_high_water_mark_is_exact() {
        for hwm in [1, 2, 3, 7, 1000] {
            assert_eq!(fill(&mut ring(hwm, 0)), hwm);
        }
    }

    #[test]
    fn bytes_limit_as_messages_do() {
        let mut ring = ring(0, 3 * (FRAME_OVERHEAD + 1));
        assert_eq!(fill(&mut ring), 3);
    }

    #[test]
    fn a_message_above_the_byte_limit_passes_an_empty_ring() {
        let mut ring = ring(10, 100);
        assert!(push(&mut ring, Message::from(vec![0; 5000])).is_ok());
        assert!(matches!(push(&mut ring, Message::new()), Err(PushError::Full)));
        assert_eq!(drain_until_woken(&mut ring), Some(1));
    }

    #[test]
    fn the_writer_wakes_exactly_at_the_low_water_mark() {
        for (hwm, low) in [(1, 1), (2, 1), (3, 2), (4, 2), (1000, 500), (1001, 501)] {
            let mut ring = ring(hwm, 0);
            fill(&mut ring);
            assert_eq!(drain_until_woken(&mut ring), Some(low), "hwm {hwm}");
        }
    }

    #[test]
    fn a_writer_that_never_met_a_full_ring_is_not_woken() {
        let mut ring = ring(4, 0);
        push(&mut ring, Message::new()).unwrap();
        assert_eq!(drain_until_woken(&mut ring), None);
    }

    #[test]
    fn a_gathering_reader_wakes_for_a_batch_or_a_full_ring() {
        let mut ring = ring(3, 0);
        ring.take(&mut Queue::new(), WakeReader::AtBytes(100));
        assert_eq!(push(&mut ring, Message::from("small")), Ok(false));
        assert_eq!(push(&mut ring, Message::from(vec![0; 100])), Ok(true), "a batch");
        ring.reclaim();
        ring.take(&mut Queue::new(), WakeReader::AtBytes(100));
        assert_eq!(push(&mut ring, Message::new()), Ok(false));
        assert_eq!(push(&mut ring, Message::new()), Ok(false));
        assert_eq!(push(&mut ring, Message::new()), Ok(true), "a full ring");
    }

    #[test]
    fn a_conflating_ring_keeps_the_newest_and_counts_the_rest() {
        let mut ring = Ring::new(Limits::NEWEST);
        for body in ["1", "2", "3"] {
            push(&mut ring, Message::from(body)).unwrap();
        }
        assert_eq!(ring.conflated(), 2);
        assert_eq!(ring.held().messages, 1);
        assert_eq!(all(ring.reclaim()), [Message::from("3")]);
    }

    fn ring_that(when_full: WhenFull, messages: usize) -> Ring {
        Ring::new(Limits {
            when_full,
            ..Limits::new(messages, 0)
        })
    }

    #[test]
    fn a_full_ring_may_drop_its_oldest_message_but_none_that_was_taken() {
        let mut ring = ring_that(WhenFull::DropOldest, 2);
        let mut batch = Queue::new();
        (1..=3).for_each(|at| assert!(push(&mut ring, at.to_string()).is_ok()));
        ring.take(&mut batch, WakeReader::OnPush);
        (4..=6).for_each(|at| assert!(push(&mut ring, at.to_string()).is_ok()));
        assert_eq!((ring.held().messages, ring.displaced()), (4, 2));
        assert_eq!(all(batch), ["2", "3"].map(Message::from));
        assert_eq!(all(ring.reclaim()), ["5", "6"].map(Message::from));
        assert_eq!(ring.accepted().messages, 6);
    }

    #[test]
    fn a_full_ring_may_keep_the_newest_message_of_each_topic() {
        let mut ring = ring_that(WhenFull::NewestOfTopic, 2);
        let mut batch = Queue::new();
        let quote = |topic: &str, price: &str| [topic, price].into_iter().collect::<Message>();
        for (topic, price) in [
            ("a", "1"),
            ("a", "2"),
            ("a", "3"),
            ("b", "1"),
            ("a", "4"),
            ("c", "1"),
        ] {
            assert!(push(&mut ring, quote(topic, price)).is_ok());
        }
        assert_eq!(
            (ring.conflated(), ring.displaced(), ring.held().messages),
            (1, 1, 4)
        );
        ring.take(&mut batch, WakeReader::OnPush);
        assert_eq!(
            all(std::mem::take(&mut batch)),
            [quote("a", "1"), quote("a", "2")]
        );
        assert!(!ring.is_empty());
        assert!(push(&mut ring, quote("b", "2")).is_ok(), "must not overtake");
        assert!(ring.take(&mut batch, WakeReader::OnPush));
        assert_eq!(
            all(batch),
            [quote("a", "4"), quote("b", "2")],
            "in the order of sending"
        );
        assert!(ring.is_empty());
        assert_eq!(ring.accepted().messages, 7);
    }

    #[test]
    fn what_was_taken_can_be_put_back_in_order() {
        let mut ring = ring(10, 0);
        let mut batch = Queue::new();
        push(&mut ring, Message::from("1")).unwrap();
        push(&mut ring, Message::from("2")).unwrap();
        ring.take(&mut batch, WakeReader::OnPush);
        push(&mut ring, Message::from("3")).unwrap();
        ring.put_back(&mut batch);
        assert_eq!(all(ring.reclaim()), ["1", "2", "3"].map(Message::from));
        assert_eq!(ring.held(), Load::default());
    }

    #[test]
    fn a_burst_does_not_keep_its_memory() {
        let mut ring = ring(0, 0);
        let mut batch = Queue::new();
        for size in [5000, 1, 1, 1] {
            (0..size).for_each(|_| assert!(push(&mut ring, Message::new()).is_ok()));
            ring.take(&mut batch, WakeReader::OnPush);
            batch.clear();
        }
        assert!(ring.queue.capacity() + batch.capacity() < 20_000);
    }

    #[derive(Debug, Clone)]
    enum Op {
        Push(usize),
        Take,
        Read(usize),
        Release,
        PutBack,
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            (0..300usize).prop_map(Op::Push),
            Just(Op::Take),
            (1..5usize).prop_map(Op::Read),
            Just(Op::Release),
            Just(Op::PutBack),
        ];
        prop::collection::vec(op, 0..200)
    }

    proptest! {
        /// Whatever happens, the ring is a FIFO that holds what a plain model holds, and never more than its limits.
        #[test]
        fn a_ring_is_a_bounded_fifo(hwm in 1..8usize, bytes in 100..2000usize, ops in ops()) {
            let mut ring = ring(hwm, bytes);
            let (mut sent, mut received) = (0u32, 0u32);
            let mut batch = Queue::new();
            let mut read = Load::default();
            for op in ops {
                match op {
                    Op::Push(size) => {
                        let held = ring.held();
                        let full = held.messages >= hwm as u64 || held.weight() >= bytes as u64;
                        let mut body = vec![0; size.max(4)];
                        body[..4].copy_from_slice(&sent.to_le_bytes());
                        prop_assert_eq!(push(&mut ring, Message::from(body)).is_err(), full);
                        sent += u32::from(!full);
                    }
                    Op::Take if batch.is_empty() => { ring.take(&mut batch, WakeReader::OnPush); }
                    Op::Take => {}
                    Op::Read(count) => for message in batch.by_ref().take(count) {
                        prop_assert_eq!(&message[0][..4], &received.to_le_bytes()[..]);
                        received += 1;
                        read.add(Load::of(&message));
                    },
                    Op::Release => { ring.release(std::mem::take(&mut read)); }
                    Op::PutBack => ring.put_back(&mut batch),
                }
                prop_assert!(ring.held().messages <= hwm as u64);
                prop_assert_eq!(ring.held().messages, u64::from(sent - received) + read.messages);
            }
        }
    }
}
