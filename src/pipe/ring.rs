//! The queue of one direction of a pipe: bounded by messages and bytes, with the flags of who sleeps. Knows no lock.

use crate::message::Message;
use crate::queue::{Load, Queue};

/// How much a ring takes before it is full.
///
/// A ring is full while it holds this many messages or this many bytes, whichever comes first; so the last message
/// may go past the bytes, and a message heavier than the whole limit still passes through an empty ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Limits {
    /// Limits as options state them, where zero stands for "none".
    pub(crate) fn new(messages: usize, bytes: usize) -> Self {
        let or_none = |limit: usize| if limit == 0 { u64::MAX } else { limit as u64 };
        Self {
            messages: or_none(messages),
            bytes: or_none(bytes),
        }
    }

    pub(crate) const NONE: Self = Self {
        messages: u64::MAX,
        bytes: u64::MAX,
    };

    /// The limits of a pipe that joins two queues, as inproc does: a missing limit on either side leaves none.
    pub(crate) fn join(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_add(other.messages),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// How much a reader reads before it lets the writer know. libzmq's low-water mark: (hwm + 1) / 2 messages.
    pub(crate) fn step(self) -> Self {
        Self {
            messages: self.messages.div_ceil(2),
            bytes: self.bytes.div_ceil(2),
        }
    }

    /// Tells whether this much is as much as the limits allow.
    #[inline]
    pub(crate) fn reached_by(self, held: Load) -> bool {
        held.messages >= self.messages || held.weight() >= self.bytes
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
    AtBytes(u64),
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
    /// Whether a newer message replaces an older one, and how many were replaced.
    conflate: bool,
    conflated: u64,
    wake_reader: WakeReader,
    /// The writer found the ring full and has not been woken since.
    writer_waits: bool,
    writer_closed: bool,
    reader_closed: bool,
}

impl Ring {
    pub(crate) fn new(limits: Limits, conflate: bool) -> Self {
        Self {
            queue: Queue::new(),
            limits,
            held: Load::default(),
            accepted: Load::default(),
            released: Load::default(),
            peak: 0,
            conflate,
            conflated: 0,
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
        if self.is_full() {
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

    /// Appends all messages, for whose number and size [`room`](Self::room) was asked before. With the reader gone they
    /// stay queued, to be reclaimed.
    pub(crate) fn push_all(&mut self, messages: &mut Queue) -> bool {
        self.count_in(messages.load());
        self.queue.append(messages);
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
        Some((
            self.limits.messages.saturating_sub(self.held.messages),
            self.limits.bytes.saturating_sub(self.held.weight()),
        ))
    }

    /// Moves everything that is queued into the reader's empty batch. If there is nothing, the reader goes to sleep
    /// with `sleep` as the condition to wake it.
    pub(crate) fn take(&mut self, batch: &mut Queue, sleep: WakeReader) -> bool {
        if self.queue.is_empty() {
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

    /// Takes out what is queued, for a writer whose reader will never read it.
    pub(crate) fn reclaim(&mut self) -> Queue {
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

    /// Keeps only the newest message from now on.
    pub(crate) fn begin_conflating(&mut self) {
        self.conflate = true;
        self.replace_older();
    }

    /// Changes the limits; tells whether a waiting writer must be woken.
    pub(crate) fn set_limits(&mut self, limits: Limits) -> bool {
        self.limits = limits;
        let wake = self.writer_waits && self.is_low();
        self.writer_waits &= !wake;
        wake
    }

    /// Tells whether the reader lets a batch gather now.
    pub(crate) fn is_gathering(&self) -> bool {
        matches!(self.wake_reader, WakeReader::AtBytes(_))
    }

    pub(crate) fn is_reader_closed(&self) -> bool {
        self.reader_closed
    }

    pub(crate) fn is_writer_closed(&self) -> bool {
        self.writer_closed
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// What is in the pipe: queued, or taken and not yet released.
    pub(crate) fn held(&self) -> Load {
        self.held
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

    #[inline]
    fn count_in(&mut self, load: Load) {
        self.held.add(load);
        self.accepted.add(load);
    }

    /// A conflating ring forgets all but the newest message.
    #[inline]
    fn replace_older(&mut self) {
        if self.conflate && self.queue.load().messages > 1 {
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
            WakeReader::AtBytes(bytes) => self.queue.load().bytes >= bytes || self.is_full(),
        };
        if due {
            self.wake_reader = WakeReader::Never;
        }
        due
    }

    #[inline]
    fn is_full(&self) -> bool {
        !self.conflate && self.limits.reached_by(self.held)
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
        Ring::new(Limits::new(messages, bytes), false)
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
        let mut ring = Ring::new(Limits::new(1, 0), true);
        for body in ["1", "2", "3"] {
            push(&mut ring, Message::from(body)).unwrap();
        }
        assert_eq!(ring.conflated(), 2);
        assert_eq!(ring.held().messages, 1);
        assert_eq!(all(ring.reclaim()), [Message::from("3")]);
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
