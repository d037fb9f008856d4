//! A run of messages that many pipes get: staged once for all of them, and given to each as soon as it is long enough.

use crate::message::Message;
use crate::pipe::{Credit, PipeEnd, Wakes};
use crate::queue::{Queue, is_packed};
use crate::slab::Slab;

/// Messages in a row for the same pipes before a run is begun for them: a sender that goes from topic to topic would begin
/// one with each message.
const IN_A_ROW: u32 = 4;

/// Messages after which it is tried again to begin a run, if few of its pipes were ready for one.
const PAUSE: u32 = 64;

/// What a run weighs at most: a batch of small messages, which stays in the cache while one peer after the other is written
/// to.
const MOST_WEIGHT: u64 = 64 * 1024;

/// A pipe that has room for fewer messages gets each by itself, for it would end the run for all.
const LEAST_MESSAGES: u64 = 16;

/// Messages that are staged for several pipes at once, all of which gather a burst.
///
/// ```text
///   CLOSED ── some messages in a row for the same pipes ──► OPEN ◄─┐
///     ▲                                                      │     │ stage
///     │                                                      ├─────┘
///     └── no credit left, other pipes, or anything else that ┘
///         concerns one of them: each is given the run
/// ```
#[derive(Debug, Default)]
pub(super) struct SharedRun {
    /// Who gets the messages.
    targets: Vec<usize>,
    /// Of these, who gets the run, and who gets each message by itself.
    members: Vec<usize>,
    apart: Vec<usize>,
    queue: Queue,
    credit: Credit,
    is_open: bool,
    /// Messages for the same pipes that are to come before a run is begun.
    wait: u32,
}

impl SharedRun {
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Tells whether a message for these pipes belongs to the run.
    #[inline]
    pub(super) fn is_for(&self, targets: &[usize], message: &Message) -> bool {
        self.targets == targets && is_packed(message)
    }

    /// A message for these pipes has come while there is no run: begins one if that is worth it.
    pub(super) fn begin(&mut self, targets: &[usize], ends: &mut Slab<PipeEnd>, wakes: &mut Wakes) {
        if self.targets != targets {
            self.targets.clear();
            self.targets.extend_from_slice(targets);
            self.wait = IN_A_ROW;
        }
        if self.wait > 0 {
            self.wait -= 1;
            return;
        }
        self.members.clear();
        self.apart.clear();
        self.credit = Credit {
            messages: u64::MAX,
            bytes: MOST_WEIGHT,
        };
        for key in targets {
            let credit = ends.get_mut(*key).and_then(|end| end.lend(wakes));
            match credit.filter(|credit| credit.messages >= LEAST_MESSAGES) {
                Some(credit) => {
                    self.credit = self.credit.least(credit);
                    self.members.push(*key);
                }
                None => self.apart.push(*key),
            }
        }
        self.is_open = self.members.len() > targets.len() / 2;
        self.wait = if self.is_open { 0 } else { PAUSE };
    }

    /// Those who get each message by itself; they are kept with [`keep_apart`](Self::keep_apart).
    pub(super) fn take_apart(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.apart)
    }

    pub(super) fn keep_apart(&mut self, apart: Vec<usize>) {
        self.apart = apart;
    }

    /// Stages a message, and tells whether there is credit for another.
    #[inline]
    pub(super) fn stage(&mut self, message: &Message) -> bool {
        self.queue.push_copy(message);
        self.credit.spend(message.weight() as u64)
    }

    /// Gives the run to its pipes.
    pub(super) fn end(&mut self, ends: &mut Slab<PipeEnd>, wakes: &mut Wakes) {
        self.is_open = false;
        let (run, load) = self.queue.pop_shared();
        if load.messages == 0 {
            return;
        }
        for key in &self.members {
            wakes.extend(ends.get_mut(*key).and_then(|end| end.push_shared(&run, load)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::options::{Options, SlowPolicy};
    use crate::pattern::fuzzing::pipes;
    use crate::pattern::{Offer, Pattern, Pipes, PubPattern};
    use crate::peer::{PeerInfo, SocketType};
    use crate::pipe::WakeReader;
    use proptest::prelude::*;

    /// A publisher, the far ends of its pipes, and what is still to come out of each.
    struct World {
        publisher: PubPattern,
        pipes: Pipes,
        keys: Vec<usize>,
        far: Vec<PipeEnd>,
        expected: Vec<VecDeque<Message>>,
        sent: u32,
    }

    /// Subscribers of `policy` to everything, who let a batch gather.
    fn world(peers: usize, hwm: usize, policy: SlowPolicy) -> World {
        let mut publisher = PubPattern::default();
        let mut options = Options::default();
        options.topics.slow = policy;
        publisher.configure(&options);
        let (mut pipes, keys, mut far) = pipes(peers, hwm, &mut publisher);
        for (key, far) in keys.iter().zip(&mut far) {
            publisher.connected(*key, &PeerInfo::new(SocketType::Sub), &mut pipes);
            publisher.publisher().change(*key, true, b"", &mut pipes);
            far.set_sleep(WakeReader::AtBytes(4096));
            assert!(far.pop(&mut Wakes::new()).is_none());
        }
        World {
            publisher,
            pipes,
            keys,
            far,
            expected: vec![VecDeque::new(); peers],
            sent: 0,
        }
    }

    impl World {
        fn message(&mut self, len: usize, parts: usize) -> Message {
            self.sent += 1;
            let mut body = vec![b'x'; len];
            body.extend(self.sent.to_be_bytes());
            (0..parts).map(|_| body.clone()).collect()
        }

        fn send(&mut self, len: usize) -> Offer {
            let mut place = Some(self.message(len, 1));
            let offer = self.publisher.send(&mut place, &mut self.pipes);
            assert_eq!(place.is_none(), offer == Offer::Taken);
            offer
        }

        fn is_open(&self) -> bool {
            self.pipes.run.as_ref().is_some_and(|run| run.is_open())
        }

        /// Reads what is there, as a session does or one by one, and goes to sleep.
        fn read(&mut self, peer: usize, by_run: bool) {
            let (far, mut wakes) = (&mut self.far[peer], Wakes::new());
            loop {
                let mut taken = Queue::new();
                let count = if by_run {
                    far.pop_run(
                        1000,
                        |run| {
                            let (whole, load) = crate::queue::measure(run.bytes(), |_| true);
                            assert_eq!(whole, run.bytes());
                            taken.push_run(whole, load);
                        },
                        &mut wakes,
                    )
                } else {
                    0
                };
                assert_eq!(taken.load().messages, count);
                for message in taken {
                    assert_eq!(Some(message), self.expected[peer].pop_front());
                }
                if count == 0 {
                    let Some(message) = far.pop(&mut wakes) else {
                        return;
                    };
                    assert_eq!(Some(message), self.expected[peer].pop_front());
                }
            }
        }
    }

    #[test]
    fn a_message_for_many_is_staged_once() {
        let mut world = world(3, 1000, SlowPolicy::DropNewest);
        (0..20).for_each(|_| assert_eq!(world.send(60), Offer::Taken));
        assert!(world.is_open());
        world.pipes.end_run();
        for far in &mut world.far {
            assert_eq!(std::iter::from_fn(|| far.pop(&mut Wakes::new())).count(), 20);
        }
    }

    #[test]
    fn a_run_takes_no_more_than_each_queue_has_room_for() {
        for policy in [SlowPolicy::DropNewest, SlowPolicy::Block] {
            let mut world = world(3, 40, policy);
            let taken = (0..60).take_while(|_| world.send(60) == Offer::Taken).count();
            assert_eq!(taken, if policy == SlowPolicy::Block { 40 } else { 60 });
            for (key, far) in world.keys.iter().zip(&mut world.far) {
                let traffic = world.pipes.get_mut(*key).unwrap().traffic();
                assert_eq!(traffic.queued, 40);
                assert!(traffic.adds_up(), "{traffic:?}");
                assert_eq!(std::iter::from_fn(|| far.pop(&mut Wakes::new())).count(), 40);
            }
        }
    }

    #[test]
    fn a_subscriber_that_does_not_read_costs_the_others_nothing() {
        let mut world = world(4, 100, SlowPolicy::DropNewest);
        let mut opened = false;
        let mut came = [0; 4];
        for at in 0..1000 {
            assert_eq!(world.send(60), Offer::Taken);
            opened |= at > 500 && world.is_open();
            if at % 20 == 19 {
                world.pipes.end_run();
                for (came, far) in came.iter_mut().zip(&mut world.far).skip(1) {
                    *came += std::iter::from_fn(|| far.pop(&mut Wakes::new())).count();
                }
            }
        }
        assert!(opened);
        assert_eq!(came, [0, 1000, 1000, 1000]);
        let slow = world.pipes.get_mut(world.keys[0]).unwrap().traffic();
        assert_eq!(
            (slow.queued, slow.dropped.of(crate::DropReason::SlowPeer)),
            (100, 900)
        );
    }

    #[test]
    fn a_queue_that_is_almost_full_does_not_end_the_run() {
        let mut world = world(3, 100, SlowPolicy::DropNewest);
        (0..90).for_each(|_| assert_eq!(world.send(20), Offer::Taken));
        world.pipes.end_run();
        for far in &mut world.far[1..] {
            while far.pop(&mut Wakes::new()).is_some() {}
        }
        (0..5).for_each(|_| assert_eq!(world.send(20), Offer::Taken));
        assert!(world.is_open());
        assert_eq!(world.pipes.run.as_ref().unwrap().apart, [world.keys[0]]);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Send(usize, usize),
        Burst(u8),
        Change(usize, bool),
        Read(usize, bool),
        Gather(usize, bool),
        Publish(usize),
        SendTo(usize),
        Leave(usize),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let peer = || 0..4_usize;
        let op = prop_oneof![
            4 => (prop_oneof![4 => 0..100_usize, 1 => 4080..4100_usize], 1..3_usize)
                .prop_map(|(len, parts)| Op::Send(len, parts)),
            6 => (0..120_u8).prop_map(Op::Burst),
            1 => (peer(), any::<bool>()).prop_map(|(peer, yes)| Op::Change(peer, yes)),
            6 => (peer(), any::<bool>()).prop_map(|(peer, by_run)| Op::Read(peer, by_run)),
            1 => (peer(), any::<bool>()).prop_map(|(peer, yes)| Op::Gather(peer, yes)),
            2 => peer().prop_map(Op::Publish),
            1 => peer().prop_map(Op::SendTo),
            1 => peer().prop_map(Op::Leave),
        ];
        prop::collection::vec(op, 0..80)
    }

    proptest! {
        /// Whoever is subscribed gets everything, once and in order, however it is staged.
        #[test]
        fn each_gets_what_it_has_subscribed_to(ops in ops()) {
            let mut world = world(4, 0, SlowPolicy::DropNewest);
            let (mut wants, mut here) = ([true; 4], [true; 4]);
            for op in ops {
                let mut messages = Vec::new();
                match op {
                    Op::Send(len, parts) => messages.push(world.message(len, parts)),
                    Op::Burst(count) => messages.extend((0..count).map(|_| world.message(60, 1))),
                    Op::Change(peer, yes) if here[peer] => {
                        world.publisher.publisher().change(world.keys[peer], yes, b"", &mut world.pipes);
                        wants[peer] = yes;
                    }
                    Op::Read(peer, by_run) => world.read(peer, by_run),
                    Op::Gather(peer, yes) => {
                        world.far[peer].set_sleep(if yes { WakeReader::AtBytes(64) } else { WakeReader::OnPush });
                    }
                    Op::Publish(peer) if here[peer] => {
                        drop(world.pipes.get_mut(world.keys[peer]).and_then(PipeEnd::publish));
                    }
                    Op::SendTo(peer) if here[peer] => {
                        let message = world.message(9, 1);
                        let id = world.publisher.publisher().any_subscriber(world.keys[peer]).unwrap();
                        let publisher = world.publisher.publisher();
                        let offer = publisher.send_to(id, &mut Some(message.clone()), &mut world.pipes);
                        assert_eq!(offer, Offer::Taken);
                        world.expected[peer].push_back(message);
                    }
                    Op::Leave(peer) if here[peer] => {
                        world.publisher.disconnected(world.keys[peer], &mut world.pipes);
                        let mut end = world.pipes.remove(world.keys[peer]).unwrap();
                        end.close();
                        here[peer] = false;
                    }
                    _ => {}
                }
                for message in messages {
                    for peer in (0..4).filter(|peer| wants[*peer] && here[*peer]) {
                        world.expected[peer].push_back(message.clone());
                    }
                    let offer = world.publisher.send(&mut Some(message), &mut world.pipes);
                    assert_eq!(offer, Offer::Taken);
                }
            }
            world.pipes.end_run();
            for (peer, here) in here.into_iter().enumerate() {
                if here {
                    drop(world.pipes.get_mut(world.keys[peer]).and_then(PipeEnd::publish));
                }
                world.read(peer, true);
                prop_assert!(world.expected[peer].is_empty());
            }
        }
    }
}
