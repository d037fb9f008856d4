//! The peers of a PUB or XPUB socket, by what they subscribed to.

use super::arena::{reserve, wide};
use super::holders::{Holders, Sets};
use super::tree::Tree;
use crate::slab::KeyMap;

/// No node.
const NONE: u32 = u32::MAX;

/// What a subscription or a cancellation changed. A pipe holds a topic or does not; it does not count.
///
/// libzmq's XPUB tells the application of `First`, `Last` and `Unmatched`; of `Another` and `Duplicate` too if it is
/// verbose, and of `Left` if it is verboser. A proxy that passes on an `Unmatched` cancels what others still want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The topic has its first subscriber.
    First,
    /// The topic has one more subscriber.
    Another,
    /// The pipe had subscribed to the topic before; nothing changed.
    Duplicate,
    /// The topic has lost its last subscriber.
    Last,
    /// The topic has lost one of several subscribers.
    Left,
    /// The pipe had not subscribed to the topic; nothing changed.
    Unmatched,
}

/// What a pipe is subscribed to: how many topics, and how long they are together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) topics: usize,
    pub(crate) bytes: usize,
}

/// Which pipes subscribed to what.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    tree: Tree<Holders>,
    sets: Sets,
    /// The number of each pipe that ever subscribed: sets are smaller, and marks quicker, with small numbers.
    numbers: KeyMap<u32>,
    /// The key of each pipe, by number; those of free numbers are stale.
    keys: Vec<usize>,
    pipes: Vec<Subscriber>,
    free: Vec<u32>,
    /// How many topics all pipes hold, each counted for itself.
    held: usize,
}

#[derive(Debug, Default)]
struct Subscriber {
    held: Held,
    /// Nodes of the tree: all whose topics the pipe holds; besides, until there are too many, some that it held once,
    /// and some twice. So a cancellation need not search it.
    log: Vec<u32>,
}

impl Subscribers {
    /// A pipe subscribes to a topic.
    pub(crate) fn subscribe(&mut self, pipe: usize, topic: &[u8]) -> Change {
        self.try_subscribe(pipe, topic).unwrap_or(Change::Duplicate)
    }

    /// A pipe cancels its subscription to a topic.
    pub(crate) fn cancel(&mut self, pipe: usize, topic: &[u8]) -> Change {
        self.try_cancel(pipe, topic).unwrap_or(Change::Unmatched)
    }

    /// Removes a pipe with all that it subscribed to. Shows each of its topics, in no order, with `Last` if nobody is
    /// subscribed to it any more, else with `Left`.
    pub(crate) fn remove_pipe(&mut self, pipe: usize, mut show: impl FnMut(&[u8], Change)) {
        let Some(number) = self.numbers.remove(&pipe) else {
            return;
        };
        self.free.push(number);
        let subscriber = self.pipes.get_mut(wide(number)).map(std::mem::take);
        let subscriber = subscriber.unwrap_or_default();
        self.held = self.held.saturating_sub(subscriber.held.topics);
        let mut topic = Vec::new();
        for at in subscriber.log {
            if let Some(left) = self.sets.remove(self.tree.value(at), number) {
                self.tree.topic(at, &mut topic);
                show(&topic, self.leave(at, left));
            }
        }
        self.tidy();
    }

    /// Finds the pipes that want a message whose first frame this is.
    #[inline]
    pub(crate) fn matches(&self, frame: &[u8], matched: &mut Matched) {
        matched.pipes.clear();
        // Marks are for pipes that may come twice, which takes two topics.
        let (mut only, mut several) = (Holders::NONE, false);
        self.tree.along(frame, |holders| {
            if only == Holders::NONE {
                only = holders;
                return true;
            }
            if !several {
                several = true;
                matched.begin_marking(self.keys.len());
                self.mark(only, matched);
            }
            self.mark(holders, matched);
            true
        });
        if !several {
            let keys = self.sets.iter(only).filter_map(|number| self.key(number));
            matched.pipes.extend(keys);
        }
    }

    /// Shows each topic with each of its pipes, in the order of the topics' bytes.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn for_each(&self, mut show: impl FnMut(&[u8], usize)) {
        self.tree.for_each(|topic, holders| {
            let keys = self.sets.iter(holders).filter_map(|number| self.key(number));
            keys.for_each(|key| show(topic, key));
        });
    }

    /// How much a pipe is subscribed to.
    pub(crate) fn held(&self, pipe: usize) -> Held {
        let number = self.numbers.get(&pipe);
        let subscriber = number.and_then(|number| self.pipes.get(wide(*number)));
        subscriber.map(|subscriber| subscriber.held).unwrap_or_default()
    }

    /// How many topics have subscribers.
    pub(crate) fn topics(&self) -> usize {
        self.tree.len()
    }

    #[cfg(any(test, fuzzing, aqueduct_bench))]
    pub(crate) fn heap_bytes(&self) -> usize {
        // A bucket of the map holds a key, a number, and a byte of control; it is at most seven eighths full.
        let numbers = self.numbers.capacity() * 8 / 7 * (size_of::<(usize, u32)>() + 1);
        let logs = self.pipes.iter().map(|pipe| pipe.log.capacity());
        let words = logs.sum::<usize>() + self.free.capacity();
        let pipes = self.pipes.capacity() * size_of::<Subscriber>();
        let keys = self.keys.capacity() * size_of::<usize>();
        self.tree.heap_bytes() + self.sets.heap_bytes() + numbers + keys + pipes + words * size_of::<u32>()
    }

    /// Changes nothing if the pipe has subscribed before, or if there are billions of topics.
    fn try_subscribe(&mut self, pipe: usize, topic: &[u8]) -> Option<Change> {
        let number = self.number(pipe)?;
        let at = self.tree.insert(topic)?;
        let before = self.tree.value(at);
        let Some(after) = self.sets.insert(before, number) else {
            if before == Holders::NONE {
                self.tree.remove(at);
            }
            return None;
        };
        self.tree.set_value(at, after);
        let subscriber = self.pipes.get_mut(wide(number))?;
        subscriber.held.topics = subscriber.held.topics.saturating_add(1);
        subscriber.held.bytes = subscriber.held.bytes.saturating_add(topic.len());
        self.held = self.held.saturating_add(1);
        reserve(&mut subscriber.log, 1);
        subscriber.log.push(at);
        self.shorten_log(number);
        Some(if before == Holders::NONE {
            Change::First
        } else {
            Change::Another
        })
    }

    fn try_cancel(&mut self, pipe: usize, topic: &[u8]) -> Option<Change> {
        let number = *self.numbers.get(&pipe)?;
        let at = self.tree.find(topic)?;
        let left = self.sets.remove(self.tree.value(at), number)?;
        let change = self.leave(at, left);
        let subscriber = self.pipes.get_mut(wide(number))?;
        subscriber.held.topics = subscriber.held.topics.saturating_sub(1);
        subscriber.held.bytes = subscriber.held.bytes.saturating_sub(topic.len());
        self.held = self.held.saturating_sub(1);
        self.shorten_log(number);
        self.tidy();
        Some(change)
    }

    /// A topic is left to those that still hold it.
    fn leave(&mut self, at: u32, left: Holders) -> Change {
        if left == Holders::NONE {
            self.tree.remove(at);
            return Change::Last;
        }
        self.tree.set_value(at, left);
        Change::Left
    }

    /// Forgets what a log has too much, once that is as much as what it needs.
    fn shorten_log(&mut self, number: u32) {
        let Some(subscriber) = self.pipes.get_mut(wide(number)) else {
            return;
        };
        let (log, topics) = (&mut subscriber.log, subscriber.held.topics);
        if log.len() > topics.saturating_mul(2).saturating_add(32) {
            log.sort_unstable();
            log.dedup();
            log.retain(|at| self.sets.contains(self.tree.value(*at), number));
            log.shrink_to(log.len().saturating_add(32));
        }
    }

    /// Gives space back, if there is enough to be had. The logs count as use, so that it pays to rewrite them.
    fn tidy(&mut self) {
        if let Some(numbers) = self.tree.tidy(self.held.saturating_mul(size_of::<u32>())) {
            for subscriber in &mut self.pipes {
                subscriber.log.retain_mut(|at| {
                    *at = numbers.get(wide(*at)).copied().unwrap_or(NONE);
                    *at != NONE
                });
            }
        }
        self.sets.tidy(&mut self.tree);
    }

    /// The number of a pipe, which gets one if it has none.
    fn number(&mut self, pipe: usize) -> Option<u32> {
        if let Some(&number) = self.numbers.get(&pipe) {
            return Some(number);
        }
        let number = if let Some(number) = self.free.pop() {
            *self.keys.get_mut(wide(number))? = pipe;
            number
        } else {
            let number = u32::try_from(self.keys.len()).ok()?;
            self.keys.push(pipe);
            self.pipes.push(Subscriber::default());
            number
        };
        self.numbers.insert(pipe, number);
        Some(number)
    }

    #[inline]
    fn key(&self, number: u32) -> Option<usize> {
        self.keys.get(wide(number)).copied()
    }

    fn mark(&self, holders: Holders, matched: &mut Matched) {
        for number in self.sets.iter(holders) {
            if let Some(key) = self.key(number) {
                matched.add(number, key);
            }
        }
    }
}

/// The pipes that want a message, each once. To be kept from one message to the next: it keeps its room.
#[derive(Debug, Default)]
pub(crate) struct Matched {
    pipes: Vec<usize>,
    /// For each number of a pipe, the last round in which it was found.
    marks: Vec<u32>,
    round: u32,
}

impl Matched {
    /// The pipes' keys, in no order.
    #[inline]
    pub(crate) fn pipes(&self) -> &[usize] {
        &self.pipes
    }

    /// Uses up all rounds but the last.
    #[cfg(test)]
    pub(super) fn wear_out(&mut self) {
        self.round = u32::MAX;
        self.marks.fill(1);
    }

    fn begin_marking(&mut self, pipes: usize) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.marks.fill(0);
            self.round = 1;
        }
        if self.marks.len() < pipes {
            self.marks.resize(pipes, 0);
        }
    }

    #[inline]
    fn add(&mut self, number: u32, key: usize) {
        if let Some(mark) = self.marks.get_mut(wide(number))
            && *mark != self.round
        {
            *mark = self.round;
            self.pipes.push(key);
        }
    }
}
