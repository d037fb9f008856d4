//! What the fuzzer runs on subscriptions: any sequence of operations, held against plain maps and sets.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::{Change, Held, Matched, Subscribers, Topics};

/// Few enough that they share topics.
const PIPES: usize = 16;

/// Lengths of runs of one letter, on both sides of where labels leave their node and where they are cut.
const RUNS: [usize; 8] = [1, 1, 2, 3, 9, 10, 120, 300];

/// Letters, the least and the greatest among them.
const LETTERS: [u8; 4] = [b'a', b'b', 0, 255];

/// Claim: both indexes do what a plain map would, and hold no more memory than what is in them explains.
pub(crate) fn subscriptions(data: &[u8]) {
    let mut run = Run::default();
    let mut numbers = data.iter().copied();
    while let Some(op) = numbers.next() {
        run.step(op, &mut numbers);
    }
    run.check_all();
    run.finish();
}

#[derive(Default)]
struct Run {
    subscribers: Subscribers,
    /// The pipes of each topic.
    model: BTreeMap<Vec<u8>, BTreeSet<usize>>,
    held: BTreeMap<usize, Held>,
    matched: Matched,
    topics: Topics,
    /// How often each own topic was added.
    own: BTreeMap<Vec<u8>, u32>,
    /// The last topic of a replay that is under way.
    told: Option<Vec<u8>>,
}

fn topic(numbers: &mut impl Iterator<Item = u8>) -> Vec<u8> {
    let runs = numbers.next().unwrap_or_default() % 4;
    let run = |number: u8| {
        let (letter, length) = (usize::from(number % 4), usize::from(number / 4 % 8));
        std::iter::repeat_n(LETTERS[letter], RUNS[length])
    };
    numbers.take(usize::from(runs)).flat_map(run).collect()
}

/// Keys like those that a socket gives out: a small number, and how often it was used.
fn pipe(numbers: &mut impl Iterator<Item = u8>) -> usize {
    let number = usize::from(numbers.next().unwrap_or_default()) % PIPES;
    number << (usize::BITS / 2) | number
}

impl Run {
    fn step(&mut self, op: u8, numbers: &mut impl Iterator<Item = u8>) {
        match op % 16 {
            0..=4 => self.subscribe(pipe(numbers), &topic(numbers)),
            5..=7 => self.cancel(pipe(numbers), &topic(numbers)),
            8 | 9 => self.matches(&topic(numbers)),
            10 => self.remove_pipe(pipe(numbers)),
            11 | 12 => self.add(topic(numbers)),
            13 => self.remove(&topic(numbers)),
            14 => self.tell_next(),
            _ => self.told = Some(topic(numbers)),
        }
    }

    fn subscribe(&mut self, pipe: usize, topic: &[u8]) {
        let pipes = self.model.entry(topic.to_vec()).or_default();
        let expected = match (pipes.is_empty(), pipes.insert(pipe)) {
            (true, _) => Change::First,
            (false, true) => Change::Another,
            (false, false) => Change::Duplicate,
        };
        if expected != Change::Duplicate {
            let held = self.held.entry(pipe).or_default();
            held.topics += 1;
            held.bytes += topic.len();
        }
        assert_eq!(self.subscribers.subscribe(pipe, topic), expected);
        self.check(pipe);
    }

    fn cancel(&mut self, pipe: usize, topic: &[u8]) {
        let expected = forget(&mut self.model, pipe, topic);
        if expected != Change::Unmatched {
            let held = self.held.entry(pipe).or_default();
            held.topics -= 1;
            held.bytes -= topic.len();
        }
        assert_eq!(self.subscribers.cancel(pipe, topic), expected);
        self.check(pipe);
    }

    fn matches(&mut self, frame: &[u8]) {
        let prefixes = (0..=frame.len()).filter_map(|len| self.model.get(&frame[..len]));
        let expected: BTreeSet<_> = prefixes.flatten().copied().collect();
        self.subscribers.matches(frame, &mut self.matched);
        let found: BTreeSet<_> = self.matched.pipes().iter().copied().collect();
        assert_eq!(
            found.len(),
            self.matched.pipes().len(),
            "a pipe was found more than once"
        );
        assert_eq!(found, expected);
        let own = (0..=frame.len()).any(|len| self.own.contains_key(&frame[..len]));
        assert_eq!(self.topics.matches(frame), own);
    }

    fn remove_pipe(&mut self, pipe: usize) {
        let held = |(topic, pipes): (&Vec<u8>, &BTreeSet<_>)| pipes.contains(&pipe).then(|| topic.clone());
        let held: Vec<_> = self.model.iter().filter_map(held).collect();
        let forgotten = held.into_iter().map(|topic| {
            let change = forget(&mut self.model, pipe, &topic);
            (topic, change)
        });
        let expected: BTreeMap<_, _> = forgotten.collect();
        let mut shown = BTreeMap::new();
        self.subscribers.remove_pipe(pipe, |topic, change| {
            let again = shown.insert(topic.to_vec(), change);
            assert_eq!(again, None, "a topic was shown more than once");
        });
        assert_eq!(shown, expected);
        self.held.remove(&pipe);
        self.check(pipe);
    }

    fn add(&mut self, topic: Vec<u8>) {
        let first = self.topics.add(&topic);
        let count = self.own.entry(topic).or_default();
        assert_eq!(first, *count == 0);
        *count += 1;
    }

    fn remove(&mut self, topic: &[u8]) {
        let expected = self.own.get_mut(topic).map(|count| {
            *count -= 1;
            *count == 0
        });
        if expected == Some(true) {
            self.own.remove(topic);
        }
        assert_eq!(self.topics.remove(topic), expected);
    }

    fn tell_next(&mut self) {
        let from = self.told.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let expected = self.own.range::<Vec<u8>, _>((from, Bound::Unbounded)).next();
        let mut next = Vec::new();
        let found = self.topics.next_after(self.told.as_deref(), &mut next);
        let next = found.then_some(next);
        assert_eq!(next.as_ref(), expected.map(|(topic, _)| topic));
        self.told = next;
    }

    /// What is true of a pipe after every operation.
    fn check(&self, pipe: usize) {
        assert_eq!(self.subscribers.topics(), self.model.len());
        let held = self.held.get(&pipe).copied().unwrap_or_default();
        assert_eq!(self.subscribers.held(pipe), held);
    }

    fn check_all(&self) {
        let mut expected = Vec::new();
        for (topic, pipes) in &self.model {
            expected.extend(pipes.iter().map(|pipe| (topic.clone(), *pipe)));
        }
        let mut pairs = Vec::new();
        self.subscribers
            .for_each(|topic, pipe| pairs.push((topic.to_vec(), pipe)));
        assert!(
            pairs.is_sorted_by_key(|(topic, _)| topic),
            "topics are out of order"
        );
        pairs.sort();
        assert_eq!(pairs, expected);
        let bytes: usize = self.model.keys().map(Vec::len).sum();
        assert_modest(self.subscribers.heap_bytes(), pairs.len(), bytes);

        let mut topics = Vec::new();
        self.topics.for_each(|topic| topics.push(topic.to_vec()));
        assert!(topics.iter().eq(self.own.keys()));
        assert_eq!(self.topics.len(), self.own.len());
        let bytes = topics.iter().map(Vec::len).sum();
        assert_eq!(self.topics.bytes(), bytes);
        assert_modest(self.topics.heap_bytes(), topics.len(), bytes);
    }

    /// When all is taken away, nothing is left.
    fn finish(mut self) {
        for number in 0..PIPES as u8 {
            self.remove_pipe(pipe(&mut std::iter::once(number)));
        }
        while let Some(topic) = self.own.keys().next().cloned() {
            self.remove(&topic);
        }
        self.check_all();
    }
}

/// A pipe leaves a topic of the model.
fn forget(model: &mut BTreeMap<Vec<u8>, BTreeSet<usize>>, pipe: usize, topic: &[u8]) -> Change {
    let Some(pipes) = model.get_mut(topic) else {
        return Change::Unmatched;
    };
    if !pipes.remove(&pipe) {
        return Change::Unmatched;
    }
    if pipes.is_empty() {
        model.remove(topic);
        return Change::Last;
    }
    Change::Left
}

/// Half of the memory may wait to be used again, beside what is not worth the trouble.
fn assert_modest(heap: usize, subscriptions: usize, bytes: usize) {
    let most = 32 * 1024 + 2 * (100 * subscriptions + bytes + bytes / 4);
    assert!(
        heap <= most,
        "{heap} bytes for {subscriptions} subscriptions of {bytes} bytes"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_operations_are_those_of_a_map(data in prop::collection::vec(any::<u8>(), 0..600)) {
            subscriptions(&data);
        }

        /// Short topics of two letters, so that most operations meet what others left.
        #[test]
        fn operations_on_few_topics_are_those_of_a_map(
            ops in prop::collection::vec((0..16u8, 0..3u8, prop::collection::vec(0..10u8, 0..4)), 0..300)
        ) {
            let mut data = Vec::new();
            for (op, pipe, runs) in ops {
                data.push(op);
                if op <= 7 || op == 10 {
                    data.push(pipe);
                }
                if op != 10 && op != 14 {
                    data.push(runs.len() as u8);
                    data.extend(runs.iter().map(|run| run & !2));
                }
            }
            subscriptions(&data);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// As many as there are at once, and then fewer: what is moved together is still all there.
        #[test]
        fn many_operations_are_those_of_a_map(seed: u64) {
            let mut state = seed | 1;
            let next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            };
            let noise: Vec<u8> = std::iter::repeat_with(next).take(9000).collect();
            let (grow, shrink) = noise.split_at(6000);
            let few = |op: &[u8], with: u8| [&[with], op].concat();
            let grow = grow.chunks(5).flat_map(|op| few(&[op[0], 3, op[1], op[2], op[3]], op[4] % 5));
            let shrink = shrink.chunks(5).flat_map(|op| few(&[op[0], 3, op[1], op[2], op[3]], 5 + op[4] % 6));
            subscriptions(&grow.chain(shrink).collect::<Vec<_>>());
        }
    }
}
