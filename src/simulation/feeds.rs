//! What publishers and subscribers of a world must agree on when it is at rest.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::Name;
use super::topics::matches;
use super::world::World;

/// How many messages each publisher sends to see who gets them.
const PROBES: usize = 3;

type Topics = BTreeSet<Vec<u8>>;

impl World {
    /// Every publisher knows what its subscribers want, and a new message comes to those who want it.
    pub(super) fn check_feeds(&mut self) {
        for publisher in 0..self.slots.len() {
            let wanted = self.wanted_of(publisher);
            let by_pipe = wanted.iter().map(|(pipe, _, topics)| (*pipe, topics.clone()));
            let by_pipe: BTreeMap<_, _> = by_pipe.collect();
            self.slots[publisher].node.check_subscribers(&by_pipe);
        }
        for _ in 0..PROBES {
            let ledger = &self.ledger;
            let slots = self.slots.iter_mut();
            let probes: Vec<Name> = slots
                .filter_map(|slot| slot.node.publish_once_more(ledger))
                .collect();
            self.come_to("rest after a new message", Self::step);
            for name in probes {
                let message = self.ledger.issue(name);
                let wanted = self.wanted_of(name.0).into_iter();
                let wants = |topics: &Topics| matches(topics, &message) != self.plan.invert;
                let wanting = wanted
                    .filter(|(_, _, topics)| wants(topics))
                    .map(|(_, slot, _)| slot);
                let wanting: BTreeSet<usize> = wanting.collect();
                assert_eq!(self.ledger.receivers(name), wanting, "{name:?}: {message:?}");
            }
        }
        self.check_missing();
    }

    /// The subscribers that are connected to a socket, by its pipe and by their place, and what they want.
    fn wanted_of(&self, publisher: usize) -> Vec<(usize, usize, Topics)> {
        let sides = (0..self.sessions.len()).filter(|side| self.slot_of(*side) == publisher);
        let wanted = sides.filter_map(|side| {
            let session = &self.sessions[side];
            let pipe = session.hold.as_ref().filter(|_| session.alive)?.pipe;
            let subscriber = self.slot_of(side ^ 1);
            Some((pipe, subscriber, self.slots[subscriber].node.wants()?))
        });
        wanted.collect()
    }
}
