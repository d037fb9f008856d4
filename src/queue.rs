//! A queue of messages in which short ones lie packed, one behind the other, with no slot or allocation of their own.

mod load;
mod run;

use std::collections::VecDeque;

use bytes::Bytes;

pub(crate) use load::Load;
use run::split_message;
pub(crate) use run::{Run, measure};

use crate::message::{INLINE_CAPACITY, Message};
use crate::pool::{Pooled, SHORT};
use crate::recycle;

/// A message of one frame with a body below this length is packed; others are kept as they are.
///
/// To copy a body of this size costs less than to leave it where it was allocated: taken here and freed there, a batch
/// later, when it has fallen out of the cache. From this length on bodies are not copied on their way out, either.
pub(crate) const PACKED_CAPACITY: usize = 4 * 1024;

/// What a short packed message takes beyond its body.
const HEADER: usize = 2;

/// What a longer one takes beyond its body.
const LONG_HEADER: usize = 9;

/// The first byte of a packed message: the flags of a ZMTP frame that is a whole message, of up to 255 bytes.
const PACKED: u8 = 0;

/// The same for longer ones.
const PACKED_LONG: u8 = 2;

/// Stands for the next message that is not packed, or the next run that is shared. No ZMTP frame begins so.
const LOOSE: u8 = u8::MAX;

/// What an empty queue keeps of its memory, so that a burst long ago does not keep more on every one of ten thousand idle
/// pipes. What is beyond goes round between the queues that are busy.
const KEPT_BYTES: usize = 4 * 1024;

/// How much a queue grows at once beyond that, so that little is copied on the way.
const GROWTH: usize = 4;

/// A run of all that a queue holds is not copied from this length on, but leaves with its memory. A shorter one is: the
/// queue would want memory again for the next message.
const WHOLE_RUN: usize = 16 * 1024;

/// A run for several queues is shared from this length on; a shorter one is copied, which takes no longer than to count
/// those that share it.
const SHARED_RUN: usize = 2 * 1024;

/// A first-in, first-out queue of messages.
///
/// ```text
///   packed   00 len body  02 length body  FF  00 len body  FF  FF
///                                         │                │   │
///   loose                                 └► message       │   └► message
///                                                          └► a run that other queues have, too
/// ```
///
/// The packed form is that of ZMTP frames, so that a run of messages enters and leaves a stream in one copy. Whoever
/// puts in a run answers for its form; a bad one would read as the end of the queue, and harm nothing else.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    packed: Vec<u8>,
    /// Where the first message begins; what is before it has been read.
    start: usize,
    /// Few queues ever have such.
    #[allow(
        clippy::box_collection,
        reason = "it is the three words that an idle connection has six of"
    )]
    loose: Option<Box<VecDeque<Loose>>>,
    load: Load,
    /// How large the memory was that was given away: the next burst will want as much.
    given: usize,
}

/// What a queue does not hold packed itself.
#[derive(Clone, Debug)]
enum Loose {
    Message(Message),
    Run(Bytes, Load),
}

/// Tells whether a queue packs this message.
pub(crate) fn is_packed(message: &Message) -> bool {
    message
        .as_single()
        .is_some_and(|body| body.len() < PACKED_CAPACITY)
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self {
            packed: Vec::new(),
            start: 0,
            loose: None,
            load: Load::NOTHING,
            given: 0,
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.load.messages == 0
    }

    /// What is in the queue.
    #[inline]
    pub(crate) fn load(&self) -> Load {
        self.load
    }

    pub(crate) fn push(&mut self, message: Message) {
        self.push_from(&mut Some(message));
    }

    /// Takes the message out of its place and appends it. A short one is copied from where it is, not moved.
    #[inline]
    pub(crate) fn push_from(&mut self, slot: &mut Option<Message>) {
        let Some(message) = slot else { return };
        if self.pack(message) {
            *slot = None;
        } else if let Some(message) = slot.take() {
            self.push_slowly(message);
        }
    }

    /// Appends a message that others get as well. A short one is copied from where it is.
    #[inline]
    pub(crate) fn push_copy(&mut self, message: &Message) {
        if !self.pack(message) {
            self.push_slowly(message.clone());
        }
    }

    /// Appends a copy of a message, if it is one of those that are short; tells whether it is.
    #[inline]
    fn pack(&mut self, message: &Message) -> bool {
        if let Some((padded, len)) = message.as_padded() {
            // A copy of a size that the compiler knows takes no call; what was too much is cut off again.
            self.reserve(HEADER + INLINE_CAPACITY);
            self.packed.extend_from_slice(&[PACKED, len]);
            self.packed.extend_from_slice(padded);
            let too_much = INLINE_CAPACITY - usize::from(len).min(INLINE_CAPACITY);
            self.packed.truncate(self.packed.len() - too_much);
            self.load.add(Load::of_singles(1, u64::from(len)));
            return true;
        }
        if let Some(pooled) = message.as_pooled() {
            let len = pooled.len();
            self.reserve(HEADER + SHORT);
            self.packed
                .extend_from_slice(&[PACKED, u8::try_from(len).unwrap_or(0)]);
            pooled.append_to(&mut self.packed);
            self.load.add(Load::of_singles(1, len as u64));
            return true;
        }
        false
    }

    #[inline(never)]
    fn push_slowly(&mut self, message: Message) {
        self.load.add(Load::of(&message));
        let Some(body) = message.as_single().filter(|body| body.len() < PACKED_CAPACITY) else {
            return self.push_loose(Loose::Message(message));
        };
        self.reserve(LONG_HEADER + body.len());
        if let Ok(len) = u8::try_from(body.len()) {
            self.packed.extend_from_slice(&[PACKED, len]);
        } else {
            self.packed.push(PACKED_LONG);
            self.packed.extend_from_slice(&(body.len() as u64).to_be_bytes());
        }
        self.packed.extend_from_slice(body);
    }

    fn push_loose(&mut self, loose: Loose) {
        self.reserve(1);
        self.packed.push(LOOSE);
        self.loose.get_or_insert_default().push_back(loose);
    }

    /// Appends a run of packed messages that other queues get, too.
    pub(crate) fn push_shared(&mut self, run: &Bytes, load: Load) {
        if run.len() < SHARED_RUN {
            return self.push_run(run, load);
        }
        self.push_loose(Loose::Run(run.clone(), load));
        self.load.add(load);
    }

    /// Takes all messages, if they are packed, to be put into several queues.
    pub(crate) fn pop_shared(&mut self) -> (Bytes, Load) {
        let mut shared = Bytes::new();
        let load = self.pop_run(usize::MAX, |run| shared = run.share());
        (shared, load)
    }

    /// Appends a run of packed messages, as [`measure`] finds them, of this load.
    pub(crate) fn push_run(&mut self, run: &[u8], load: Load) {
        self.reserve(run.len());
        self.packed.extend_from_slice(run);
        self.load.add(load);
    }

    /// Takes the first message.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Message> {
        let mut slot = None;
        self.pop_into(&mut slot);
        slot
    }

    /// Takes the first message to an empty place, where it is made: one that is moved as soon as it is written has the
    /// processor wait for its own writes. Tells whether there was one.
    #[inline]
    pub(crate) fn pop_into(&mut self, slot: &mut Option<Message>) -> bool {
        let Some([PACKED, len, rest @ ..]) = self.packed.get(self.start..) else {
            return self.pop_slowly(slot);
        };
        let body_len = usize::from(*len);
        // What follows a short body serves as its padding, except near the end.
        if let Some(padded) = rest.first_chunk()
            && body_len <= INLINE_CAPACITY
        {
            *slot = Some(Message::from_padded(padded, *len));
        } else if let Some(padded) = rest.first_chunk() {
            *slot = Some(Message::from_pooled(Pooled::from_padded(padded, *len)));
        } else {
            *slot = rest.get(..body_len).map(Message::from);
        }
        self.start += HEADER + body_len;
        self.load.subtract(Load::of_singles(1, u64::from(*len)));
        if self.start == self.packed.len() {
            self.clear();
        }
        true
    }

    #[inline(never)]
    fn pop_slowly(&mut self, slot: &mut Option<Message>) -> bool {
        self.unfold();
        let rest = self.packed.get(self.start..).unwrap_or_default();
        if rest.first() == Some(&LOOSE) {
            if let Some(Loose::Message(message)) = self.pop_loose() {
                *slot = Some(message);
            }
        } else if let Some((body, after)) = split_message(rest) {
            *slot = Some(Message::from(body));
            self.start += rest.len() - after.len();
        } else {
            return false;
        }
        if let Some(message) = slot {
            self.load.subtract(Load::of(message));
        }
        if self.start == self.packed.len() {
            self.clear();
        }
        slot.is_some()
    }

    fn pop_loose(&mut self) -> Option<Loose> {
        self.start += 1;
        self.loose.as_mut()?.pop_front()
    }

    /// Tells whether a run comes next that is shared.
    fn has_shared(&self) -> bool {
        let first = || self.loose.as_ref().and_then(|loose| loose.front());
        self.packed.get(self.start) == Some(&LOOSE) && matches!(first(), Some(Loose::Run(..)))
    }

    /// Copies the run that comes next, if it is shared, to be read one message after the other.
    fn unfold(&mut self) {
        if self.has_shared()
            && let Some(Loose::Run(run, _)) = self.pop_loose()
        {
            let rest = self.packed.get(self.start..).unwrap_or_default();
            let mut packed = recycle::take(run.len().saturating_add(rest.len()));
            packed.extend_from_slice(&run);
            packed.extend_from_slice(rest);
            recycle::give(std::mem::replace(&mut self.packed, packed));
            self.start = 0;
        }
    }

    /// Takes the packed messages at the front, up to about `limit` bytes and one at least, and returns their load. There is
    /// nothing to take if the queue begins with a message that is not packed.
    pub(crate) fn pop_run(&mut self, limit: usize, sink: impl FnOnce(Run<'_>)) -> Load {
        if self.has_shared() {
            return self.pop_shared_run(sink);
        }
        let rest = self.packed.get(self.start..).unwrap_or_default();
        let all = rest.len() <= limit && self.loose.as_ref().is_none_or(|loose| loose.is_empty());
        if all && rest.len() >= WHOLE_RUN {
            let load = self.load;
            self.given = self.packed.capacity();
            sink(Run::Whole(std::mem::take(&mut self.packed), self.start));
            self.clear();
            return load;
        }
        let (run, load) = if all {
            (rest, self.load)
        } else {
            let room = limit as u64;
            measure(rest, |load| load.packed() < room)
        };
        sink(Run::Part(run));
        self.start += run.len();
        self.load.subtract(load);
        if self.start == self.packed.len() {
            self.clear();
        }
        load
    }

    #[inline(never)]
    fn pop_shared_run(&mut self, sink: impl FnOnce(Run<'_>)) -> Load {
        let Some(Loose::Run(run, load)) = self.pop_loose() else {
            return Load::default();
        };
        sink(Run::Shared(run));
        self.load.subtract(load);
        if self.start == self.packed.len() {
            self.clear();
        }
        load
    }

    /// Appends everything from another queue.
    pub(crate) fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, other);
            return;
        }
        let others = other.packed.get(other.start..).unwrap_or_default();
        self.reserve(others.len());
        self.packed.extend_from_slice(others);
        if let Some(others) = &mut other.loose {
            self.loose.get_or_insert_default().append(others);
        }
        self.load.add(other.load);
        other.clear();
    }

    /// Takes the last message, in time proportional to the length of the queue.
    pub(crate) fn pop_newest(&mut self) -> Option<Message> {
        let mut newest = None;
        while let Some(message) = self.pop() {
            newest = Some(message);
        }
        newest
    }

    /// Drops all messages, and keeps some of the memory.
    pub(crate) fn clear(&mut self) {
        self.packed.clear();
        self.start = 0;
        self.load = Load::default();
        if self.packed.capacity() > KEPT_BYTES {
            self.given = self.packed.capacity();
            recycle::give(std::mem::take(&mut self.packed));
        }
        if let Some(loose) = &mut self.loose {
            loose.clear();
            if loose.capacity() > KEPT_BYTES / size_of::<Loose>() {
                self.loose = None;
            }
        }
    }

    /// Makes sure that so many bytes can be appended without another look.
    #[inline]
    fn reserve(&mut self, additional: usize) {
        if self.packed.capacity() - self.packed.len() < additional {
            self.grow(additional);
        }
    }

    #[inline(never)]
    fn grow(&mut self, additional: usize) {
        let unread = self.packed.get(self.start..).unwrap_or_default();
        let needed = unread.len().saturating_add(additional);
        if needed <= KEPT_BYTES {
            // What has been read is in the way at most once.
            self.packed.drain(..self.start);
            self.packed.reserve(additional);
        } else {
            let mut size = KEPT_BYTES.max(self.given);
            while size < needed {
                size = size.saturating_mul(GROWTH);
            }
            let mut packed = recycle::take(size);
            packed.extend_from_slice(unread);
            recycle::give(std::mem::replace(&mut self.packed, packed));
        }
        self.start = 0;
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        let loose = self.loose.as_ref().map_or(0, |loose| loose.capacity());
        self.packed.capacity() + loose * size_of::<Loose>()
    }
}

impl Iterator for Queue {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        self.pop()
    }
}

impl FromIterator<Message> for Queue {
    fn from_iter<I: IntoIterator<Item = Message>>(messages: I) -> Self {
        let mut queue = Self::new();
        messages.into_iter().for_each(|message| queue.push(message));
        queue
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_run_leaves_with_its_memory() {
        let mut queue = Queue::new();
        for at in 0..20_u8 {
            queue.push(Message::from(vec![at; 1000]));
        }
        queue.pop();
        let load = queue.load();
        let taken = queue.pop_run(usize::MAX, |run| {
            let Run::Whole(bytes, start) = run else {
                panic!("it was copied");
            };
            assert_eq!((bytes.len() - start, start), (19 * 1009, 1009));
        });
        assert_eq!((taken, queue.load()), (load, Load::default()));
        assert!(queue.is_empty() && queue.pop().is_none());
        queue.push(Message::from("next"));
        assert_eq!(queue.pop().unwrap(), "next");
    }

    #[test]
    fn messages_lie_as_frames_do() {
        let mut queue = Queue::new();
        queue.push(Message::from("ab"));
        queue.push(Message::from(vec![7; 255]));
        queue.push(Message::from(vec![8; 256]));
        let mut bytes = Vec::new();
        let load = queue.pop_run(usize::MAX, |run| bytes.extend_from_slice(run.bytes()));
        let expected = [
            &[0, 2, b'a', b'b', 0, 255][..],
            &[7; 255],
            &[2, 0, 0, 0, 0, 0, 0, 1, 0],
            &[8; 256],
        ];
        assert_eq!(bytes, expected.concat());
        assert_eq!(load, Load::of_singles(3, 513));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_run_ends_before_what_is_not_packed() {
        let mut queue: Queue = [vec![1], vec![2; PACKED_CAPACITY], vec![3]]
            .into_iter()
            .map(Message::from)
            .collect();
        queue.push(["a", "b"].into_iter().collect());
        let mut runs = Vec::new();
        assert_eq!(
            queue.pop_run(100, |run| runs.push(run.bytes().to_vec())).messages,
            1
        );
        assert_eq!(
            queue.pop_run(100, |run| runs.push(run.bytes().to_vec())).messages,
            0
        );
        assert_eq!(queue.pop().unwrap().byte_len(), PACKED_CAPACITY);
        assert_eq!(
            queue.pop_run(100, |run| runs.push(run.bytes().to_vec())).messages,
            1
        );
        assert_eq!(runs, [&[0, 1, 1][..], &[], &[0, 1, 3]]);
        assert_eq!(queue.pop().unwrap().len(), 2);
        assert!(queue.is_empty() && queue.pop().is_none());
    }

    #[test]
    fn a_measured_run_has_whole_messages_only() {
        assert_eq!(
            measure(&[0, 1, 7, 0, 2, 7], |_| true),
            (&[0, 1, 7][..], Load::of_singles(1, 1))
        );
        assert_eq!(measure(&[0, 0, 1, 0], |_| true).0, [0, 0], "a part of a message");
        assert_eq!(measure(&[0, 0, 4, 0], |_| true).0, [0, 0], "a command");
        assert_eq!(
            measure(&[0, 0, 2, 0, 0, 0, 0, 0, 0, 16, 0], |_| true).0,
            [0, 0],
            "too long"
        );
        assert!(measure(&[0], |_| true).0.is_empty());
    }

    #[test]
    fn the_memory_of_a_burst_is_given_away() {
        let mut queue = Queue::new();
        (0..1000).for_each(|_| queue.push(Message::from([0; 64])));
        (0..1000).for_each(|_| queue.push(["two", "parts"].into_iter().collect()));
        assert!(queue.capacity() > 100_000);
        assert_eq!(queue.by_ref().count(), 2000);
        assert_eq!(queue.capacity(), 0);
    }

    #[test]
    fn what_has_been_read_does_not_grow_the_queue() {
        let mut queue = Queue::new();
        queue.push(Message::from("one is always there"));
        for _ in 0..10_000 {
            queue.push(Message::from([0; 64]));
            queue.pop();
        }
        assert!(queue.capacity() <= KEPT_BYTES, "{} bytes", queue.capacity());
    }

    #[derive(Clone, Debug)]
    enum Op {
        Push(Vec<usize>),
        Pop,
        PopRun(usize),
        Run(Vec<u8>),
        Append(Vec<usize>),
        Newest,
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let size = || prop_oneof![4 => 0..70usize, 1 => 250..260usize, 1 => 4090..4100usize];
        let parts =
            || prop_oneof![8 => prop::collection::vec(size(), 1), 1 => prop::collection::vec(size(), 2..4)];
        let op = prop_oneof![
            8 => parts().prop_map(Op::Push),
            6 => Just(Op::Pop),
            2 => (1..500usize).prop_map(Op::PopRun),
            2 => prop::collection::vec(any::<u8>(), 0..5).prop_map(Op::Run),
            1 => prop::collection::vec(size(), 0..4).prop_map(Op::Append),
            1 => Just(Op::Newest),
        ];
        prop::collection::vec(op, 0..100)
    }

    proptest! {
        /// Whatever enters in whatever way, a queue is a plain queue, and its load is that of its messages.
        #[test]
        fn a_queue_is_a_queue(ops in ops()) {
            let (mut queue, mut model) = (Queue::new(), VecDeque::new());
            let mut number = 0_u8;
            let mut body = |size: usize| {
                number = number.wrapping_add(1);
                vec![number; size]
            };
            for op in ops {
                match op {
                    Op::Push(parts) => {
                        let message: Message = parts.into_iter().map(&mut body).collect();
                        model.push_back(message.clone());
                        queue.push(message);
                    }
                    Op::Pop => prop_assert_eq!(queue.pop(), model.pop_front()),
                    Op::PopRun(limit) => {
                        let mut popped = Queue::new();
                        let load = queue.pop_run(limit, |run| {
                            let (whole, load) = measure(run.bytes(), |_| true);
                            assert_eq!(whole, run.bytes());
                            popped.push_run(whole, load);
                        });
                        prop_assert_eq!(load, popped.load());
                        prop_assert!(popped.packed.len() < limit + PACKED_CAPACITY + LONG_HEADER);
                        let short = |m: &Message| m.as_single().is_some_and(|body| body.len() < PACKED_CAPACITY);
                        prop_assert!(load.messages > 0 || !model.front().is_some_and(short));
                        for message in popped {
                            prop_assert_eq!(Some(message), model.pop_front());
                        }
                    }
                    Op::Run(sizes) => {
                        let (mut run, mut load) = (Vec::new(), Load::default());
                        for size in sizes {
                            let body = body(size.into());
                            run.extend_from_slice(&[0, size]);
                            run.extend_from_slice(&body);
                            load.add(Load::of_singles(1, size.into()));
                            model.push_back(Message::from(body));
                        }
                        queue.push_run(&run, load);
                    }
                    Op::Append(sizes) => {
                        let more: Vec<_> = sizes.into_iter().map(|size| Message::from(body(size))).collect();
                        model.extend(more.iter().cloned());
                        let mut other: Queue = more.into_iter().collect();
                        queue.append(&mut other);
                        prop_assert!(other.is_empty() && other.pop().is_none());
                    }
                    Op::Newest => {
                        prop_assert_eq!(queue.pop_newest(), model.pop_back());
                        model.clear();
                    }
                }
                let mut load = Load::default();
                model.iter().for_each(|message| load.add(Load::of(message)));
                prop_assert_eq!(queue.load(), load);
                prop_assert_eq!(queue.is_empty(), model.is_empty());
            }
        }
    }
}
