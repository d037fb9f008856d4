//! The two ends of a pipe, each with its lane to write to, its lane to read from, and the batch it reads.

use std::sync::Arc;

use bytes::Bytes;

use super::length::{STEP, long};
use super::ring::Ring;
use super::{Address, Limits, PushError, To, Wake, WakeReader, Wakes};
use crate::allowance::{Allowance, Share};
use crate::message::Message;
use crate::queue::{Load, Queue, Run};
use crate::stats::{DropReason, Drops, Traffic};
use crate::sync::BriefMutex;

/// What is staged at most, in weight: a batch of small messages.
const STAGED_WEIGHT: u64 = 128 * 1024;

/// A ring behind its lock, with whom to wake.
struct Lane(BriefMutex<LaneState>);

struct LaneState {
    ring: Ring,
    /// Who reads from the lane; nobody between two connections.
    reader: Option<Address>,
    /// Who writes to the lane; nobody between two connections.
    writer: Option<Address>,
    /// What the lane holds of an allowance that it shares with others.
    share: Option<Share>,
}

impl LaneState {
    /// What is in the lane has changed.
    #[inline]
    fn account(&mut self) {
        if let Some(share) = &mut self.share {
            share.set(self.ring.held().weight());
        }
    }

    /// Returns how many messages and bytes may be sent; if none, the writer is marked as waiting. While the lanes together
    /// hold too much, a lane that has something to be read takes no more.
    fn room(&mut self) -> Option<(u64, u64)> {
        let short = self
            .share
            .as_ref()
            .is_some_and(|share| share.allowance().is_short());
        if short && self.ring.hold_back() {
            return None;
        }
        self.ring.room()
    }

    /// How much may be staged beside a message of this weight: nothing unless the reader gathers, and there is room.
    fn grant(&mut self, weight: u64) -> Option<Credit> {
        if !self.ring.is_gathering() {
            return None;
        }
        let (messages, bytes) = self.ring.room()?;
        let credit = Credit {
            messages: messages - 1,
            bytes: bytes.min(STAGED_WEIGHT).saturating_sub(weight),
        };
        (credit.messages > 0 && credit.bytes > 0).then_some(credit)
    }

    fn wake_reader_if(&self, due: bool) -> Option<Wake> {
        let address = self.reader.as_ref().filter(|_| due)?;
        Some(Wake {
            address: address.clone(),
            to: To::Read,
        })
    }

    fn wake_writer_if(&self, due: bool) -> Option<Wake> {
        let address = self.writer.as_ref().filter(|_| due)?;
        Some(Wake {
            address: address.clone(),
            to: To::Write,
        })
    }
}

/// One end of a pipe.
pub(crate) struct PipeEnd {
    tx: Arc<Lane>,
    rx: Arc<Lane>,
    /// Messages taken from the receiving lane and not read yet.
    batch: Queue,
    /// What was taken from the lane and not released: the batch, and what was read of it.
    taken: Load,
    /// What the batch comes down to before what was read is released.
    floor: Limits,
    /// Only an end that has sent in a burst has such.
    staging: Option<Box<Staging>>,
    /// A long queue waited for the other end when this one sent last.
    is_ahead: bool,
    /// How this end sleeps when the lane that it reads from is empty.
    sleep: WakeReader,
    /// What the owner dropped itself; few ends ever have such.
    lost: Option<Box<Lost>>,
}

/// Messages sent while the reader lets a batch gather: they save the lane's lock.
#[derive(Default)]
struct Staging {
    queue: Queue,
    /// What may still be staged before it must be published.
    credit: Credit,
}

/// Messages that the owner of an end has dropped, and why.
#[derive(Default)]
struct Lost {
    /// Those that were never in the pipe.
    refused: Load,
    drops: Drops,
    /// Those that were read, and meant nothing.
    discarded: Load,
}

/// How much a writer may stage: nothing unless the reader gathers, never more than there is room, and no more than a
/// batch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Credit {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Credit {
    /// As much as both allow.
    pub(crate) fn least(self, other: Self) -> Self {
        Self {
            messages: self.messages.min(other.messages),
            bytes: self.bytes.min(other.bytes),
        }
    }

    /// Takes a message of this weight off, if there is enough to stage one and leave a place for another.
    #[inline]
    pub(crate) fn spend(&mut self, weight: u64) -> bool {
        let suffices = self.messages > 1 && weight < self.bytes;
        if suffices {
            self.messages -= 1;
            self.bytes -= weight;
        }
        suffices
    }
}

/// The limits of the two directions of a pipe, as seen from its first end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PipeLimits {
    pub(crate) send: Limits,
    pub(crate) recv: Limits,
}

/// Makes a pipe; the limits are seen from the first end.
pub(crate) fn pair(limits: PipeLimits) -> (PipeEnd, PipeEnd) {
    let lane = |limits| {
        Arc::new(Lane(BriefMutex::new(LaneState {
            ring: Ring::new(limits),
            reader: None,
            writer: None,
            share: None,
        })))
    };
    let (there, back) = (lane(limits.send), lane(limits.recv));
    let end = |tx: &Arc<Lane>, rx: &Arc<Lane>| PipeEnd {
        tx: Arc::clone(tx),
        rx: Arc::clone(rx),
        batch: Queue::new(),
        staging: None,
        is_ahead: false,
        taken: Load::default(),
        floor: floor(Load::default(), Limits::NEWEST),
        sleep: WakeReader::OnPush,
        lost: None,
    };
    (end(&there, &back), end(&back, &there))
}

impl PipeEnd {
    /// Says who owns this end from now on, and must be woken; nobody sleeps yet.
    pub(crate) fn set_owner(&mut self, address: Option<Address>) {
        self.tx.0.lock().writer.clone_from(&address);
        self.rx.0.lock().reader = address;
    }

    /// What comes in at this end counts against an allowance from now on.
    pub(crate) fn charge(&mut self, allowance: &Arc<Allowance>) {
        self.rx.0.lock().share = Some(Share::of(allowance));
    }

    /// Says how this end sleeps from now on when it finds nothing to read.
    pub(crate) fn set_sleep(&mut self, sleep: WakeReader) {
        self.sleep = sleep;
    }

    /// Sends a message, which stays where it is if it cannot be sent.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn push(&mut self, message: Message) -> Result<Option<Wake>, PushError> {
        self.send(&mut Some(message))
    }

    /// Takes the message out of its place and sends it; leaves it there if this end cannot send now.
    ///
    /// It is taken by reference because it is moved only once that way, after the socket's lock was taken; moves
    /// before that would have the processor wait for its own writes.
    #[inline]
    pub(crate) fn send(&mut self, message: &mut Option<Message>) -> Result<Option<Wake>, PushError> {
        if let Some(staging) = &mut self.staging
            && let Some(weight) = message.as_ref().map(Message::weight)
            && staging.credit.spend(weight as u64)
        {
            staging.queue.push_from(message);
            return Ok(None);
        }
        self.send_through(message)
    }

    /// Sends a message that others get as well. It is copied from where it is, if it can be staged.
    #[inline]
    pub(crate) fn send_copy(&mut self, message: &Message) -> Result<Option<Wake>, PushError> {
        if let Some(staging) = &mut self.staging
            && staging.credit.spend(message.weight() as u64)
        {
            staging.queue.push_copy(message);
            return Ok(None);
        }
        self.send_through(&mut Some(message.clone()))
    }

    /// Sends a message through the lane, behind what is staged; or stages it, if the reader has begun to gather. There
    /// is room for it if anything was staged: the credit leaves one place.
    fn send_through(&mut self, slot: &mut Option<Message>) -> Result<Option<Wake>, PushError> {
        let weight = slot.as_ref().map_or(0, Message::weight) as u64;
        let mut lane = self.tx.0.lock();
        let staged_due = match &mut self.staging {
            Some(staging) if !staging.queue.is_empty() => {
                staging.credit = Credit::default();
                lane.ring.push_all(&mut staging.queue)
            }
            staging => {
                if let Some(credit) = lane.grant(weight) {
                    let staging = staging.get_or_insert_default();
                    staging.credit = credit;
                    staging.queue.push_from(slot);
                    self.is_ahead = false;
                    return Ok(None);
                }
                false
            }
        };
        let due = lane.ring.push(slot)?;
        self.is_ahead = lane.ring.is_long();
        Ok(lane.wake_reader_if(due || staged_due))
    }

    /// Publishes what is staged, and stages nothing more before the lane has been asked again.
    pub(crate) fn publish(&mut self) -> Option<Wake> {
        let staging = self.staging.as_mut()?;
        staging.credit = Credit::default();
        if staging.queue.is_empty() {
            return None;
        }
        let mut lane = self.tx.0.lock();
        let due = lane.ring.push_all(&mut staging.queue);
        lane.wake_reader_if(due)
    }

    /// Returns how much may be staged elsewhere for this end, if anything, to come by [`push_shared`](Self::push_shared)
    /// before all else. What this end has staged itself is published.
    pub(crate) fn lend(&mut self, wakes: &mut Wakes) -> Option<Credit> {
        wakes.extend(self.publish());
        self.tx.0.lock().grant(0)
    }

    /// Sends a run of messages that others get as well, for which there was credit.
    pub(crate) fn push_shared(&mut self, run: &Bytes, load: Load) -> Option<Wake> {
        let mut lane = self.tx.0.lock();
        let due = lane.ring.push_shared(run, load);
        lane.wake_reader_if(due)
    }

    /// Sends messages for which [`room`](Self::room) was asked before; to nobody, if the reader is gone.
    pub(crate) fn push_all(&mut self, messages: &mut Queue) -> Option<Wake> {
        let mut lane = self.tx.0.lock();
        if lane.ring.is_reader_closed() {
            messages.clear();
            return None;
        }
        let due = lane.ring.push_all(messages);
        lane.account();
        lane.wake_reader_if(due)
    }

    /// Returns how many messages and bytes may be sent, or marks this end as waiting if there is no room.
    pub(crate) fn room(&mut self) -> Option<(u64, u64)> {
        self.tx.0.lock().room()
    }

    /// Marks this end as waiting until the other one has read what it has; tells whether it has anything to read.
    pub(crate) fn hold_back(&mut self) -> bool {
        self.tx.0.lock().ring.hold_back()
    }

    /// Tells whether a message could be sent now, and marks this end as waiting if not.
    pub(crate) fn is_writable(&mut self) -> bool {
        self.staged().messages > 0 || self.room().is_some()
    }

    /// Tells whether this end, when it sent last, was so far ahead of the other one that it should rest.
    #[inline]
    pub(crate) fn is_ahead(&self) -> bool {
        self.is_ahead
    }

    /// Returns how many messages the other end has let go of, if the pipe is long, or longer than one part in so many of
    /// that. This end is then told when it lets go of more.
    pub(crate) fn backlog(&mut self, part: u64) -> Option<u64> {
        let mut lane = self.tx.0.lock();
        let ring = &mut lane.ring;
        let held = ring.held();
        let long = held.weight() > long(held) / part && ring.hold_back();
        long.then(|| ring.released().messages)
    }

    /// Reads a message; the other end may have to be woken either way. Without a message, this end now sleeps.
    #[inline]
    pub(crate) fn pop(&mut self, wakes: &mut Wakes) -> Option<Message> {
        let mut slot = None;
        self.recv(&mut slot, wakes);
        slot
    }

    /// Reads a message to an empty place, and tells whether there was one; like [`pop`](Self::pop).
    #[inline]
    pub(crate) fn recv(&mut self, slot: &mut Option<Message>, wakes: &mut Wakes) -> bool {
        self.fetch(wakes);
        let came = self.batch.pop_into(slot);
        if came {
            self.note_read(wakes);
        }
        came
    }

    /// Reads messages that lie packed, up to `limit` bytes of them, and returns how many. There are none if the next
    /// message is not of that kind, or there is no next message; in that case this end now sleeps.
    pub(crate) fn pop_run(&mut self, limit: usize, sink: impl FnOnce(Run<'_>), wakes: &mut Wakes) -> u64 {
        self.fetch(wakes);
        let load = self.batch.pop_run(limit, sink);
        if load.messages > 0 {
            self.note_read(wakes);
        }
        load.messages
    }

    /// Takes what the lane has, if there is nothing left from before.
    #[inline]
    fn fetch(&mut self, wakes: &mut Wakes) {
        if self.batch.is_empty() {
            self.refill(wakes);
        }
    }

    #[inline]
    fn note_read(&mut self, wakes: &mut Wakes) {
        let left = self.batch.load();
        // At the low-water mark for the writer's sake, and with the last message so that the counters are true.
        if left.messages <= self.floor.messages || left.weight() <= self.floor.bytes {
            self.release_to(wakes);
        }
    }

    #[inline(never)]
    fn release_to(&mut self, wakes: &mut Wakes) {
        wakes.extend(self.release());
    }

    /// Tells whether there is a message to read, and goes to sleep if not. What was read before is released later.
    pub(crate) fn is_readable(&mut self) -> bool {
        if self.batch.is_empty() {
            self.take();
        }
        !self.batch.is_empty()
    }

    /// The reader waits for something else, after which it will look by itself.
    pub(crate) fn doze(&mut self) {
        self.rx.0.lock().ring.forget_reader();
    }

    /// Lets go of what was read, ahead of the low-water mark.
    pub(crate) fn release(&mut self) -> Option<Wake> {
        let read = self.read();
        if read.messages == 0 {
            return None;
        }
        let mut lane = self.rx.0.lock();
        let due = lane.ring.release(read);
        lane.account();
        self.taken = self.batch.load();
        self.floor = floor(self.taken, lane.ring.limits());
        lane.wake_writer_if(due)
    }

    /// Returns how many messages have come in and were not read yet.
    pub(crate) fn unread(&self) -> u64 {
        let held = self.rx.0.lock().ring.held().messages;
        held.saturating_sub(self.read().messages)
    }

    /// Returns how many messages were sent and not taken by the other end yet.
    pub(crate) fn queued(&self) -> u64 {
        self.load().messages
    }

    /// How much was sent and not taken by the other end yet.
    pub(crate) fn load(&self) -> Load {
        let mut load = self.tx.0.lock().ring.held();
        load.add(self.staged());
        load
    }

    fn staged(&self) -> Load {
        let staging = self.staging.as_ref();
        staging.map_or(Load::default(), |staging| staging.queue.load())
    }

    /// A message that was read means nothing to the reader: it counts as discarded, not as received.
    pub(crate) fn discard(&mut self, message: &Message) {
        let lost = self.lost.get_or_insert_default();
        lost.discarded.add(Load::of(message));
    }

    /// A message that was accepted for this pipe is dropped instead of being sent.
    pub(crate) fn refuse(&mut self, message: &Message, reason: DropReason) {
        let lost = self.lost.get_or_insert_default();
        lost.refused.add(Load::of(message));
        lost.drops.add(reason, 1);
    }

    /// Takes back and drops what the other end has not taken: it was for a peer that is gone.
    pub(crate) fn withdraw(&mut self) {
        let count = self.reclaim().load().messages;
        if count > 0 {
            self.lost
                .get_or_insert_default()
                .drops
                .add(DropReason::PeerGone, count);
        }
    }

    /// Tells whether the other end will never read again.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.tx.0.lock().ring.is_reader_closed()
    }

    /// Tells whether the other end will send nothing more.
    pub(crate) fn is_closed(&self) -> bool {
        self.rx.0.lock().ring.is_writer_closed()
    }

    /// Tells whether the other end was closed and everything from it read.
    pub(crate) fn is_finished(&mut self) -> bool {
        let lane = self.rx.0.lock();
        self.batch.is_empty() && lane.ring.is_empty() && lane.ring.is_writer_closed()
    }

    /// Says that nothing more will be sent from this end; the other end reads what is there.
    pub(crate) fn finish(&mut self) -> Option<Wake> {
        let published = self.publish();
        let mut lane = self.tx.0.lock();
        let due = lane.ring.close_writer();
        lane.wake_reader_if(due).or(published)
    }

    /// Puts back what was taken and not read, as if this end had never seen it, and forgets its owner.
    pub(crate) fn rest(&mut self) -> Option<Wake> {
        let wake = self.release();
        let mut lane = self.rx.0.lock();
        lane.ring.put_back(&mut self.batch);
        self.taken = Load::default();
        lane.ring.forget_reader();
        drop(lane);
        self.set_owner(None);
        wake
    }

    /// Closes both directions. What was not read stays in the lane for the other end to reclaim.
    pub(crate) fn close(&mut self) -> [Option<Wake>; 3] {
        let released = self.release();
        let finished = self.finish();
        let mut lane = self.rx.0.lock();
        lane.ring.put_back(&mut self.batch);
        self.taken = Load::default();
        let due = lane.ring.close_reader();
        let closed = lane.wake_writer_if(due);
        [released, finished, closed]
    }

    /// Takes back what the other end has not read; meant for when it never will.
    pub(crate) fn reclaim(&mut self) -> Queue {
        // Nobody is left to be woken.
        drop(self.publish());
        self.tx.0.lock().ring.reclaim()
    }

    /// Joins the limits of a pipe whose second end was taken over by another socket.
    pub(crate) fn join_limits(&mut self, other: PipeLimits) -> [Option<Wake>; 2] {
        let mut tx = self.tx.0.lock();
        let due = tx.ring.join(other.send);
        let first = tx.wake_writer_if(due);
        drop(tx);
        let mut rx = self.rx.0.lock();
        let due = rx.ring.join(other.recv);
        self.floor = floor(self.taken, rx.ring.limits());
        [first, rx.wake_writer_if(due)]
    }

    /// Where the messages of this pipe went, as its socket counts them.
    pub(crate) fn traffic(&self) -> Traffic {
        let mut traffic = Traffic::default();
        let tx = self.tx.0.lock();
        let (mut accepted, staged) = (tx.ring.accepted(), self.staged());
        accepted.add(staged);
        traffic.accepted = accepted.count();
        traffic.handed = tx.ring.released().count();
        traffic.queued = tx.ring.held().messages + staged.messages;
        traffic.queued_peak = tx.ring.peak();
        traffic.dropped.add(DropReason::Conflated, tx.ring.conflated());
        traffic.dropped.add(DropReason::SlowPeer, tx.ring.displaced());
        drop(tx);
        let rx = self.rx.0.lock();
        let mut received = rx.ring.released();
        received.add(self.read());
        traffic.discarded = rx.ring.conflated_for_reader();
        if let Some(lost) = &self.lost {
            traffic.accepted.merge(lost.refused.count());
            traffic.dropped.merge(&lost.drops);
            received.subtract(lost.discarded);
            traffic.discarded += lost.discarded.messages;
        }
        traffic.received = received.count();
        traffic.unread = rx.ring.held().messages - self.read().messages;
        traffic.unread_peak = rx.ring.peak();
        traffic
    }

    /// What was read and not released yet.
    fn read(&self) -> Load {
        let mut read = self.taken;
        read.subtract(self.batch.load());
        read
    }

    #[inline(never)]
    fn refill(&mut self, wakes: &mut Wakes) {
        wakes.extend(self.release());
        self.take();
    }

    /// Takes what the lane has to the empty batch.
    fn take(&mut self) {
        let mut lane = self.rx.0.lock();
        lane.ring.take(&mut self.batch, self.sleep);
        let batch = self.batch.load();
        self.taken.add(batch);
        self.floor = floor(batch, lane.ring.limits());
    }
}

/// What a batch comes down to before what was read is released: a step below what there was.
fn floor(taken: Load, limits: Limits) -> Limits {
    let step = limits.step();
    Limits {
        messages: taken.messages.saturating_sub(step.messages),
        bytes: taken.weight().saturating_sub(step.bytes.min(STEP)),
        when_full: limits.when_full,
    }
}
