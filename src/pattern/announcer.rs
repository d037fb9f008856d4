//! What the publishers of a SUB or XSUB were told of its subscriptions, and what they are still to hear.

use std::collections::{BTreeMap, BTreeSet};

use super::notices::subscription;
use super::subscriptions::Topics;
use super::{Pattern, Pipes};
use crate::message::Message;

/// The longest topic, in bytes. As a command it is ten bytes longer, and 64 KiB are what a publisher takes.
pub(crate) const MAX_TOPIC: usize = 64 * 1024 - 10;

/// Own subscriptions, and how far each publisher that is connected knows of them.
///
/// A publisher that comes is told of all topics, one after the other, as its queue has room. What changes meanwhile, or
/// while the queue is full, it is owed: a topic that is owed is one that it takes for the contrary of what it is, so a
/// second change of the same topic settles the first. That way nothing is ever lost for want of room, and what is owed is
/// never more than the topics of then and now.
#[derive(Debug, Default)]
pub(crate) struct Announcer {
    topics: Topics,
    /// In order, so that publishers are told in the same one each time.
    told: BTreeMap<usize, Told>,
}

#[derive(Debug, Default)]
struct Told {
    progress: Progress,
    owed: BTreeSet<Vec<u8>>,
}

/// How many of the topics a publisher was told, in the order of their bytes.
#[derive(Debug, Default)]
enum Progress {
    #[default]
    None,
    UpTo(Vec<u8>),
    All,
}

impl Told {
    /// Tells whether a topic will be told with the others that follow.
    fn is_to_come(&self, topic: &[u8]) -> bool {
        match &self.progress {
            Progress::None => true,
            Progress::UpTo(last) => topic > last.as_slice(),
            Progress::All => false,
        }
    }

    /// Finds what to tell next.
    fn next(&mut self, topics: &Topics) -> Option<(bool, Vec<u8>)> {
        if let Some(topic) = self.owed.pop_first() {
            return Some((topics.contains(&topic), topic));
        }
        let after = match &self.progress {
            Progress::None => None,
            Progress::UpTo(last) => Some(last.as_slice()),
            Progress::All => return None,
        };
        let mut next = Vec::new();
        if !topics.next_after(after, &mut next) {
            self.progress = Progress::All;
            return None;
        }
        self.progress = Progress::UpTo(next.clone());
        Some((true, next))
    }
}

/// What the patterns have in common that subscribe.
pub(crate) trait Subscribes: Pattern<In = Message, Out = Message> {
    fn announcer(&mut self) -> &mut Announcer;

    /// Subscribes once more. Publishers hear of each time.
    fn subscribe(&mut self, topic: &[u8], pipes: &mut Pipes) {
        self.announcer().subscribe(topic, true, pipes);
    }

    /// Takes one subscription back; tells whether there was one.
    fn unsubscribe(&mut self, topic: &[u8], pipes: &mut Pipes) -> bool {
        self.announcer().unsubscribe(topic, pipes)
    }

    /// Returns how many different topics are subscribed to.
    fn topics(&mut self) -> usize {
        self.announcer().topics().len()
    }
}

impl Announcer {
    pub(super) fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Subscribes once more. If `again`, publishers hear of it although they were told before.
    pub(super) fn subscribe(&mut self, topic: &[u8], again: bool, pipes: &mut Pipes) {
        if self.topics.add(topic) {
            self.change(topic, pipes);
        } else if again {
            self.repeat(topic, pipes);
        }
    }

    /// Takes one subscription back; tells whether there was one.
    pub(super) fn unsubscribe(&mut self, topic: &[u8], pipes: &mut Pipes) -> bool {
        match self.topics.remove(topic) {
            None => false,
            Some(last) => {
                if last {
                    self.change(topic, pipes);
                }
                true
            }
        }
    }

    /// A publisher has come, and knows nothing.
    pub(super) fn connected(&mut self, pipe: usize, pipes: &mut Pipes) {
        self.told.insert(pipe, Told::default());
        self.tell(pipe, pipes);
    }

    /// A publisher is gone. What it has not taken means nothing to the next one, who is told from the start.
    pub(super) fn disconnected(&mut self, pipe: usize, pipes: &mut Pipes) {
        if self.told.remove(&pipe).is_some() {
            pipes.withdraw(pipe);
        }
    }

    /// A pipe was removed, or nothing more is to be said to its peer.
    pub(super) fn detach(&mut self, pipe: usize) {
        self.told.remove(&pipe);
    }

    /// Goes on where a full queue has stopped us.
    pub(super) fn tell(&mut self, pipe: usize, pipes: &mut Pipes) {
        let Some(told) = self.told.get_mut(&pipe) else {
            return;
        };
        while pipes.is_writable(pipe)
            && let Some((subscribe, topic)) = told.next(&self.topics)
        {
            pipes.send(pipe, &mut Some(subscription(subscribe, &topic)));
        }
    }

    fn change(&mut self, topic: &[u8], pipes: &mut Pipes) {
        let concerned = self.told.iter_mut().filter(|(_, told)| !told.is_to_come(topic));
        let mut keys = Vec::new();
        for (key, told) in concerned {
            if !told.owed.remove(topic) {
                told.owed.insert(topic.to_vec());
            }
            keys.push(*key);
        }
        for key in keys {
            self.tell(key, pipes);
        }
    }

    /// Tells a topic once more to those who know of it, if that can be done at once.
    fn repeat(&self, topic: &[u8], pipes: &mut Pipes) {
        for (key, told) in &self.told {
            if !told.is_to_come(topic) && told.owed.is_empty() {
                pipes.send(*key, &mut Some(subscription(true, topic)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::publisher::as_subscription;
    use super::super::subscribe::SubPattern;
    use super::super::testing::pipes;
    use super::*;
    use crate::pipe::{PipeEnd, Wakes};

    #[derive(Clone, Debug)]
    enum Op {
        Subscribe(u8),
        Unsubscribe(u8),
        /// The publisher reads so many messages.
        Read(usize),
        Reconnect,
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            4 => (0..12u8).prop_map(Op::Subscribe),
            3 => (0..12u8).prop_map(Op::Unsubscribe),
            3 => (1..6usize).prop_map(Op::Read),
            1 => Just(Op::Reconnect),
        ];
        prop::collection::vec(op, 0..120)
    }

    /// A publisher that believes what it is told, and that must never be told what it knows.
    #[derive(Default)]
    struct Believer(BTreeSet<Vec<u8>>);

    impl Believer {
        fn read(&mut self, far: &mut PipeEnd, count: usize) -> usize {
            let heard = std::iter::from_fn(|| far.pop(&mut Wakes::new())).take(count);
            let heard = heard.inspect(|message| {
                let (subscribe, topic) = as_subscription(message).unwrap();
                let news = if subscribe {
                    self.0.insert(topic.to_vec())
                } else {
                    self.0.remove(topic)
                };
                assert!(news, "{subscribe} {topic:?} was known");
            });
            let count = heard.count();
            drop(far.release());
            count
        }
    }

    proptest! {
        /// However little room there is and whatever happens, a publisher ends up with the topics of now, and what is
        /// owed to it on the way is never more than there were and are.
        #[test]
        fn a_publisher_comes_to_know_what_is_wanted(hwm in 1..4usize, ops in ops()) {
            let mut sub = SubPattern::default();
            let (mut pipes, keys, mut far) = pipes(1, hwm, &mut sub);
            let (key, far) = (keys[0], &mut far[0]);
            let mut announcer = Announcer::default();
            let mut model = BTreeMap::<Vec<u8>, usize>::new();
            let mut believer = Believer::default();
            announcer.connected(key, &mut pipes);
            for op in ops {
                match op {
                    Op::Subscribe(topic) => {
                        announcer.subscribe(&[topic], false, &mut pipes);
                        *model.entry(vec![topic]).or_default() += 1;
                    }
                    Op::Unsubscribe(topic) => {
                        let had = model.get(&[topic][..]).copied().unwrap_or_default();
                        prop_assert_eq!(announcer.unsubscribe(&[topic], &mut pipes), had > 0);
                        match had {
                            0 => {}
                            1 => drop(model.remove(&[topic][..])),
                            more => drop(model.insert(vec![topic], more - 1)),
                        }
                    }
                    Op::Read(count) => {
                        believer.read(far, count);
                        announcer.tell(key, &mut pipes);
                    }
                    Op::Reconnect => {
                        drop(far.rest());
                        announcer.disconnected(key, &mut pipes);
                        prop_assert_eq!(believer.read(far, usize::MAX), 0, "nothing is left for the next");
                        believer = Believer::default();
                        announcer.connected(key, &mut pipes);
                    }
                }
                prop_assert!(announcer.told[&key].owed.len() <= believer.0.len() + model.len() + hwm);
            }
            loop {
                let read = believer.read(far, usize::MAX);
                announcer.tell(key, &mut pipes);
                if read == 0 && far.unread() == 0 {
                    break;
                }
            }
            prop_assert_eq!(believer.0, model.into_keys().collect::<BTreeSet<_>>());
            prop_assert!(announcer.told[&key].owed.is_empty());
        }
    }
}
