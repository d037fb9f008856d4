//! What the publishers of a SUB or XSUB were told of its subscriptions, and what they are still to hear.

use std::collections::{BTreeSet, HashMap};

use super::Pipes;
use super::notices::subscription;
use super::subscriptions::Topics;
use crate::stats::DropReason;

/// The longest topic, in bytes. As a command it is ten bytes longer, and 64 KiB are what a publisher takes.
pub(crate) const MAX_TOPIC: usize = 64 * 1024 - 10;

/// Own subscriptions, and how far each publisher that is connected knows of them.
///
/// A publisher that comes is told of all topics, one after the other, as its queue has room. What changes meanwhile, or
/// while the queue is full, it is owed: a topic that is owed is one that it takes for the contrary of what it is, so a
/// second change of the same topic settles the first. That way nothing is ever lost for want of room, and what is owed is
/// never more than the topics of then and now.
#[derive(Debug, Default)]
pub(super) struct Announcer {
    topics: Topics,
    told: HashMap<usize, Told>,
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
            pipes.withdraw(pipe, DropReason::PeerGone);
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
