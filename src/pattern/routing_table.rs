//! The routing table: which id leads to which pipe, and the ids that are made up for peers without one.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::peer::RoutingId;
use crate::slab::KeyMap;

/// How often another id is drawn if one is taken. With 100,000 peers that happens once in 40,000 draws; to run out of
/// draws takes a table that no memory could hold.
const MAX_DRAWS: usize = 64;

/// Ids and pipes, each of one belonging to at most one of the other.
#[derive(Debug, Default)]
pub(crate) struct RoutingTable {
    pipes: HashMap<RoutingId, usize>,
    ids: KeyMap<RoutingId>,
    /// The pipe that was heard last. Most messages are replies, and go there: then its id need not be hashed, which takes
    /// long, for peers choose their ids.
    heard: usize,
    /// The key under which numbers are scrambled to ids: who knows some ids can tell no others. The standard library
    /// takes it from the system's source of randomness.
    secret: RandomState,
    drawn: u64,
}

impl RoutingTable {
    /// Returns the pipe that an id leads to.
    pub(crate) fn pipe(&self, id: &RoutingId) -> Option<usize> {
        if self.ids.get(&self.heard) == Some(id) {
            return Some(self.heard);
        }
        self.pipes.get(id).copied()
    }

    /// The next message will probably go to this pipe.
    pub(crate) fn note_heard(&mut self, pipe: usize) {
        self.heard = pipe;
    }

    /// Returns the id that leads to a pipe.
    pub(crate) fn id(&self, pipe: usize) -> Option<&RoutingId> {
        self.ids.get(&pipe)
    }

    /// Has an id lead to a pipe, in place of the id that did so before. Returns false if it leads to another one.
    pub(crate) fn insert(&mut self, pipe: usize, id: RoutingId) -> bool {
        if self.pipes.get(&id).is_some_and(|other| *other != pipe) {
            return false;
        }
        self.remove(pipe);
        self.pipes.insert(id.clone(), pipe);
        self.ids.insert(pipe, id);
        true
    }

    /// Makes up an id for a pipe: a zero byte, with which no peer's own id begins, and four that cannot be guessed.
    pub(crate) fn insert_generated(&mut self, pipe: usize) -> Option<RoutingId> {
        for _ in 0..MAX_DRAWS {
            self.drawn += 1;
            let [a, b, c, d, ..] = self.secret.hash_one(self.drawn).to_be_bytes();
            let id = RoutingId::new(vec![0, a, b, c, d])?;
            if self.insert(pipe, id.clone()) {
                return Some(id);
            }
        }
        None
    }

    /// Has no id lead to a pipe any more; returns the one that did.
    pub(crate) fn remove(&mut self, pipe: usize) -> Option<RoutingId> {
        let id = self.ids.remove(&pipe)?;
        self.pipes.remove(&id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn id(name: u8) -> RoutingId {
        RoutingId::new(vec![name]).unwrap()
    }

    #[test]
    fn made_up_ids_look_like_no_others_and_follow_from_nothing() {
        let mut tables = [RoutingTable::default(), RoutingTable::default()];
        let ids: Vec<_> = (0..1000)
            .map(|pipe| tables[pipe % 2].insert_generated(pipe).unwrap())
            .collect();
        for id in &ids {
            assert_eq!((id.as_bytes().len(), id.as_bytes()[0]), (5, 0));
        }
        let number = |id: &RoutingId| u32::from_be_bytes(id.as_bytes()[1..].try_into().unwrap());
        let near = |pair: &&[RoutingId]| number(&pair[0]).abs_diff(number(&pair[1])) < 1000;
        assert!(ids.windows(2).filter(near).count() < 5, "{ids:?}");
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert(usize, u8),
        Generate(usize),
        Remove(usize),
        Hear(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0..6usize, 1..5u8).prop_map(|(pipe, name)| Op::Insert(pipe, name)),
            (0..6usize).prop_map(Op::Generate),
            (0..6usize).prop_map(Op::Remove),
            (0..6usize).prop_map(Op::Hear),
        ]
    }

    proptest! {
        /// The model is a plain map from pipes to ids.
        #[test]
        fn it_is_a_map_in_both_directions(ops in prop::collection::vec(op(), 0..60)) {
            let mut table = RoutingTable::default();
            let mut model = BTreeMap::<usize, RoutingId>::new();
            for op in ops {
                match op {
                    Op::Insert(pipe, name) => {
                        let taken = model.iter().any(|(other, own)| *other != pipe && *own == id(name));
                        prop_assert_eq!(table.insert(pipe, id(name)), !taken);
                        if !taken {
                            model.insert(pipe, id(name));
                        }
                    }
                    Op::Generate(pipe) => {
                        let made = table.insert_generated(pipe).unwrap();
                        prop_assert!(model.values().all(|own| *own != made));
                        model.insert(pipe, made);
                    }
                    Op::Hear(pipe) => table.note_heard(pipe),
                    Op::Remove(pipe) => prop_assert_eq!(table.remove(pipe), model.remove(&pipe)),
                }
                prop_assert_eq!(table.ids.len(), model.len());
                prop_assert_eq!(table.pipes.len(), model.len());
                for name in 1..5 {
                    let leads = model.iter().find(|(_, own)| **own == id(name)).map(|(pipe, _)| *pipe);
                    prop_assert_eq!(table.pipe(&id(name)), leads);
                }
                for (pipe, own) in &model {
                    prop_assert_eq!(table.id(*pipe), Some(own));
                    prop_assert_eq!(table.pipe(own), Some(*pipe));
                }
            }
        }
    }
}
