//! What waits beside a full queue: the newest message of each topic, in the order in which they were sent.

use std::collections::{BTreeMap, HashMap};

use super::Limits;
use crate::message::{Frame, Message};
use crate::queue::Load;

/// Messages of different topics. Knows no lock.
#[derive(Debug, Default)]
pub(super) struct Overflow {
    /// By age: the number of a message grows with each that comes.
    messages: BTreeMap<u64, Message>,
    numbers: HashMap<Frame, u64>,
    next: u64,
    load: Load,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Added,
    /// An older one of its topic is gone for it.
    Replaced,
    /// There was no room for one more topic.
    Dropped,
}

impl Overflow {
    /// Puts a message behind all others, and an older one of its topic away.
    pub(super) fn put(&mut self, message: Message, limits: Limits) -> Taken {
        let topic = message.frames().first().cloned().unwrap_or_default();
        let older = self.numbers.get(&topic).and_then(|at| self.messages.remove(at));
        if let Some(older) = &older {
            self.load.subtract(Load::of(older));
        } else if limits.reached_by(self.load) {
            return Taken::Dropped;
        }
        self.load.add(Load::of(&message));
        self.messages.insert(self.next, message);
        self.numbers.insert(topic, self.next);
        self.next += 1;
        if older.is_some() {
            Taken::Replaced
        } else {
            Taken::Added
        }
    }

    pub(super) fn load(&self) -> Load {
        self.load
    }

    /// Takes all messages out, oldest first.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Message> {
        self.numbers.clear();
        self.load = Load::default();
        std::mem::take(&mut self.messages).into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_of_each_topic_stays_and_none_overtakes_another() {
        let mut overflow = Overflow::default();
        let limits = Limits::new(2, 0);
        let mut put = |parts: &[&str]| {
            let message: Message = parts.iter().copied().collect();
            overflow.put(message, limits)
        };
        assert_eq!(put(&["a", "1"]), Taken::Added);
        assert_eq!(put(&["b", "1"]), Taken::Added);
        assert_eq!(put(&["c", "1"]), Taken::Dropped);
        assert_eq!(put(&["a", "2"]), Taken::Replaced);
        assert_eq!(overflow.load().messages, 2);
        let left: Vec<_> = overflow
            .drain()
            .map(|m| format!("{:?}{:?}", m[0].as_str(), m[1].as_str()))
            .collect();
        assert_eq!(left, [r#"Ok("b")Ok("1")"#, r#"Ok("a")Ok("2")"#]);
        assert_eq!(overflow.load(), Load::default());
    }
}
