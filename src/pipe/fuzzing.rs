//! What the fuzzer runs on pipes: any sequence of operations, held against a plain model.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ring::PushError;
use super::{Address, Limits, Owner, PipeEnd, PipeLimits, WakeReader, Wakes, fire_all, pair};
use crate::Message;
use crate::queue::Queue;

/// An owner that remembers that it was woken.
#[derive(Default)]
struct Bell {
    read: AtomicBool,
    write: AtomicBool,
}

impl Owner for Bell {
    fn activate_read(self: Arc<Self>, _pipe: usize) {
        self.read.store(true, Ordering::Relaxed);
    }

    fn activate_write(self: Arc<Self>, _pipe: usize) {
        self.write.store(true, Ordering::Relaxed);
    }
}

/// A pipe from the near end to the far end, and what has to be true of it.
struct Run {
    near: PipeEnd,
    far: PipeEnd,
    writer: Arc<Bell>,
    reader: Arc<Bell>,
    hwm: u64,
    conflate: bool,
    /// Numbers and sizes of what was accepted and not read; of a conflating pipe, all since the last one read.
    outstanding: VecDeque<(u32, usize)>,
    sent: u32,
    received: u64,
    sleep: WakeReader,
    /// How the reader sleeps, if it does.
    sleeping: Option<WakeReader>,
    /// The writer found the pipe full and has not been woken since.
    waiting: bool,
    /// Messages may be staged at the near end.
    may_stage: bool,
    finished: bool,
    closed: bool,
}

/// Claim: a pipe is a bounded FIFO, or keeps the newest message if it conflates; whoever sleeps is woken in time; and
/// the counters add up.
pub(crate) fn ring(data: &[u8]) {
    let mut numbers = data.iter().copied();
    let mut run = Run::new(&mut numbers);
    while let Some(op) = numbers.next() {
        run.step(op, numbers.next().unwrap_or_default());
        run.check();
    }
    run.finish();
}

impl Run {
    fn new(numbers: &mut impl Iterator<Item = u8>) -> Self {
        let mut number = || usize::from(numbers.next().unwrap_or_default());
        let (hwm, bytes, conflate) = (1 + number() % 64, number() * 32, number() % 8 == 1);
        let limits = PipeLimits {
            send: if conflate {
                Limits::NEWEST
            } else {
                Limits::new(hwm, bytes)
            },
            recv: Limits::new(0, 0),
        };
        let (near, far) = pair(limits);
        let mut run = Self {
            near,
            far,
            writer: Arc::default(),
            reader: Arc::default(),
            hwm: hwm as u64,
            conflate,
            outstanding: VecDeque::new(),
            sent: 0,
            received: 0,
            sleep: WakeReader::OnPush,
            sleeping: None,
            waiting: false,
            may_stage: false,
            finished: false,
            closed: false,
        };
        let owner = Arc::clone(&run.writer) as Arc<dyn Owner>;
        run.near.set_owner(Some(Address { owner, pipe: 0 }));
        run.own_far_end();
        run
    }

    fn own_far_end(&mut self) {
        let owner = Arc::clone(&self.reader) as Arc<dyn Owner>;
        self.far.set_owner(Some(Address { owner, pipe: 0 }));
    }

    fn step(&mut self, op: u8, number: u8) {
        match op % 16 {
            0..=4 => self.push(usize::from(number)),
            5 => self.push_some(usize::from(number)),
            // A closed end is not used any more.
            6..=12 | 14 if self.closed => {}
            6..=8 => (0..=number % 4).for_each(|_| self.pop()),
            9 => fire_all(self.far.release()),
            10 => self.sleeping = (!self.far.is_readable()).then_some(self.sleep),
            11 => self.set_sleep(number),
            12 => {
                self.far.doze();
                self.sleeping = None;
            }
            13 => self.publish(),
            14 => {
                fire_all(self.far.rest());
                self.sleeping = None;
                self.own_far_end();
            }
            _ if number == 7 => self.finish_writing(),
            _ if number == 9 => self.close(),
            _ => {}
        }
        if self.reader.read.swap(false, Ordering::Relaxed) {
            self.sleeping = None;
        }
        self.waiting &= !self.writer.write.swap(false, Ordering::Relaxed);
    }

    fn message(&self, size: usize) -> Message {
        let mut body = vec![0; size.max(4)];
        body.iter_mut()
            .zip(self.sent.to_le_bytes())
            .for_each(|(slot, byte)| *slot = byte);
        Message::from(body)
    }

    fn note_sent(&mut self, size: usize) {
        self.outstanding.push_back((self.sent, size.max(4)));
        self.sent += 1;
    }

    fn push(&mut self, size: usize) {
        if self.finished {
            return;
        }
        let held = self.near.traffic().queued;
        self.may_stage |= matches!(self.sleeping, Some(WakeReader::AtBytes(_)));
        match self.near.push(self.message(size)) {
            Ok(wake) => {
                assert!(held < self.hwm || self.conflate);
                self.note_sent(size);
                fire_all(wake);
            }
            Err(PushError::Full) => {
                assert!(held > 0 && !self.conflate && !self.closed);
                // What was staged went before it, and with it the credit.
                self.may_stage = false;
                self.waiting = true;
            }
            Err(PushError::Closed) => assert!(self.closed),
        }
    }

    /// Pushes as a session does, which asks for room first.
    fn push_some(&mut self, number: usize) {
        self.publish();
        let Some((messages, bytes)) = self.near.room().filter(|_| !self.finished) else {
            self.waiting |= !self.finished;
            return;
        };
        let (size, mut inbox) = (number / 8, Queue::new());
        for at in 0..(number as u64 % 8).min(messages) {
            if at * (size as u64 + 100) < bytes {
                inbox.push(self.message(size));
                self.note_sent(size);
            }
        }
        let count = inbox.load().messages as usize;
        fire_all(self.near.push_all(&mut inbox));
        assert!(inbox.is_empty());
        if self.closed {
            // There is nobody to read them, and they were never counted.
            self.sent -= count as u32;
            self.outstanding.truncate(self.outstanding.len() - count);
        }
    }

    fn pop(&mut self) {
        let mut wakes = Wakes::new();
        let message = self.far.pop(&mut wakes);
        wakes.fire();
        let Some(message) = message else {
            assert!(self.outstanding.is_empty() || self.may_stage);
            self.sleeping = Some(self.sleep);
            return;
        };
        self.sleeping = None;
        self.received += 1;
        let body = message.as_single().unwrap_or_default();
        loop {
            let front = self.outstanding.pop_front();
            assert!(front.is_some(), "a message came out that was not sent");
            let Some((number, size)) = front else { return };
            if body.get(..4) == Some(&number.to_le_bytes()[..]) {
                assert_eq!(body.len(), size);
                return;
            }
            assert!(self.conflate, "a message is missing");
        }
    }

    fn set_sleep(&mut self, number: u8) {
        self.sleep = match number % 4 {
            0 => WakeReader::Never,
            1 => WakeReader::OnPush,
            _ => WakeReader::AtBytes(u32::from(number) * 8),
        };
        self.far.set_sleep(self.sleep);
    }

    fn publish(&mut self) {
        fire_all(self.near.publish());
        self.may_stage = false;
    }

    fn finish_writing(&mut self) {
        fire_all(self.near.finish());
        self.may_stage = false;
        self.finished = true;
    }

    fn close(&mut self) {
        fire_all(self.far.close().into_iter().flatten());
        self.closed = true;
        self.sleeping = None;
        self.waiting = false;
    }

    /// What is true after every operation.
    fn check(&mut self) {
        let traffic = self.near.traffic();
        assert!(traffic.adds_up(), "{traffic:?}");
        assert_eq!(traffic.accepted.messages, u64::from(self.sent));
        assert!(traffic.queued <= self.hwm || self.conflate);
        assert_eq!(self.far.traffic().received.messages, self.received);
        if self.outstanding.is_empty() {
            assert_eq!(self.far.traffic().unread, 0);
            assert!(
                !self.waiting || traffic.queued > 0,
                "the writer waits for nothing"
            );
        }
        let queued: usize = self.outstanding.iter().map(|(_, size)| size).sum();
        let woken = match self.sleeping {
            Some(WakeReader::OnPush) => self.outstanding.is_empty(),
            Some(WakeReader::AtBytes(bytes)) => {
                self.conflate || queued < bytes.max(1) as usize && traffic.queued < self.hwm
            }
            Some(WakeReader::Never) | None => true,
        };
        assert!(
            woken || self.may_stage,
            "the reader sleeps {:?} on {traffic:?}",
            self.sleeping
        );
    }

    /// Everything comes out at last: at the far end, or back at the near one.
    fn finish(mut self) {
        if self.closed {
            let rest = self.near.reclaim().load().messages as usize;
            let all = self.outstanding.len();
            assert!(rest == all || self.conflate && rest < all);
            return;
        }
        self.publish();
        let newest = self.outstanding.back().copied();
        while !self.outstanding.is_empty() {
            let before = self.outstanding.len();
            self.pop();
            assert!(self.outstanding.len() < before, "{newest:?} does not come out");
        }
        self.pop();
        self.waiting &= !self.writer.write.swap(false, Ordering::Relaxed);
        assert!(!self.waiting, "the writer waits although everything was read");
        assert_eq!(self.far.is_finished(), self.finished);
        let traffic = self.near.traffic();
        assert!(traffic.adds_up() && traffic.queued == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_pipe_keeps_its_promises(data in prop::collection::vec(any::<u8>(), 0..300)) {
            ring(&data);
        }

        #[test]
        fn a_gathering_pipe_keeps_its_promises(
            limits: [u8; 3], ops in prop::collection::vec((0..16u8, any::<u8>()), 0..200)
        ) {
            let ops = ops.into_iter().flat_map(|(op, number)| [op, number]);
            ring(&limits.into_iter().chain([11, 2, 6, 0]).chain(ops).collect::<Vec<_>>());
        }
    }
}
