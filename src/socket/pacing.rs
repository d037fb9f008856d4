//! Pacing: a sender that is far ahead of its only peer lets it catch up for a moment.
//!
//! What waits in a queue that has outgrown the caches is fetched from memory to be written, and a queue that grows to
//! its limit makes all that passes through it a third slower, or half; over inproc, bodies are not in the cache when their
//! buffers serve again. A limit that is so low would stop a sender whose
//! peer is not there yet. So the limit stays, and a sender that blocks anyway takes a rest before it makes a long queue
//! longer: as long as the queue moves, and never longer than [`REST`] for each time that it did. A thread that sends to
//! itself, or to one that receives only later, rests in vain; so each such rest puts the next one off for twice as long.
//! A task rests before it sends the next message instead, for a future that is dropped must have sent nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::core::{Core, State};
use crate::pattern::Pattern;
use crate::peer::SocketType;

/// One part in so many of a long queue is left when the sender goes on: enough for the writer not to run dry.
const LEFT: u64 = 2;

/// How long a sender lets a queue get shorter: as long as the I/O thread leaves callers alone. A connection of gigabytes a
/// second needs less, and a slow one will not be faster for it.
pub(super) const REST: Duration = Duration::from_millis(1);

/// What is remembered between rests.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// What the peer had taken, in messages, when a rest was of no use.
    stuck_at: u64,
    /// How many more it has to take before there is another.
    patience: u64,
}

impl Pace {
    /// Takes note of a rest in which a peer that had taken so many messages took nothing.
    fn note_stuck(&mut self, taken: u64) {
        self.stuck_at = taken;
        self.patience = self.patience.saturating_mul(2).max(1);
    }

    /// Takes note of a rest that was of use.
    fn note_rested(&mut self) {
        self.patience = 0;
    }

    /// Tells whether a rest may be of use again. A new peer begins to count anew, so that the difference is then vast.
    fn may_rest(&self, taken: u64) -> bool {
        taken.wrapping_sub(self.stuck_at) >= self.patience
    }
}

impl<P: Pattern> Core<P> {
    /// Lets the only peer catch up.
    pub(super) fn rest(&self) {
        let backlog = || self.state.lock().backlog(LEFT);
        let before = backlog();
        let until = Instant::now().checked_add(REST);
        let short = || backlog().is_none().then_some(());
        let rested = self.wait_for(|state| &mut state.resters, |_| None, until, short);
        self.note_rest(before, rested.is_some());
    }

    /// Has the next task that sends rest first: a future may still be dropped while it rests, and must then have sent nothing.
    pub(super) fn owe_rest(&self) {
        self.owes_rest.store(true, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn owes_rest(&self) -> bool {
        self.owes_rest.load(Ordering::Relaxed)
    }

    /// The same as [`rest`](Self::rest) for a task, once for each time that it is owed.
    pub(super) async fn rest_async(&self, longest: Duration) {
        // Over inproc alone there are no threads to end a rest in vain.
        if !self.owes_rest.swap(false, Ordering::Relaxed) || self.reactor.get().is_none() {
            return;
        }
        let late = Arc::new(AtomicBool::new(false));
        let until = Instant::now().checked_add(longest);
        let alarm = until.and_then(|until| self.wake_at(until, &late));
        if alarm.is_none() {
            return;
        }
        let backlog = || self.state.lock().backlog(LEFT);
        let before = backlog();
        let rested = self.wait_async(
            |state| &mut state.resters,
            |_| None,
            |_| match backlog() {
                None => Some(true),
                Some(_) => late.load(Ordering::Acquire).then_some(false),
            },
        );
        self.note_rest(before, rested.await);
    }

    /// Takes note of what a rest was good for.
    fn note_rest(&self, before: Option<u64>, rested: bool) {
        let mut state = self.state.lock();
        match state.backlog(LEFT) {
            Some(taken) if before == Some(taken) => state.pace.note_stuck(taken),
            _ if rested => state.pace.note_rested(),
            _ => {}
        }
    }
}

impl<P: Pattern> State<P> {
    /// Tells whether the sender is so far ahead of its only peer that it should rest.
    #[inline]
    pub(super) fn is_ahead(&mut self) -> bool {
        self.pipes.effects().ahead && self.should_rest()
    }

    #[inline(never)]
    fn should_rest(&mut self) -> bool {
        self.backlog(1).is_some_and(|taken| self.pace.may_rest(taken))
    }

    /// Returns how many messages the only peer has taken, if more than one part in so many of a long queue waits for it, and
    /// a sender can do nothing but wait, too. Whoever waits is told when it takes more.
    fn backlog(&mut self, part: u64) -> Option<u64> {
        let waits = matches!(P::TYPE, SocketType::Push | SocketType::Dealer | SocketType::Pair);
        self.pipes.only().filter(|_| waits)?.backlog(part)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;
    use crate::message::Message;
    use crate::options::Options;
    use crate::pattern::PushPattern;
    use crate::pipe::{LONG_OF_LARGE, PipeEnd, Wakes};

    const QUARTER: usize = LONG_OF_LARGE as usize / 4;

    fn push() -> Arc<Core<PushPattern>> {
        Core::new(&crate::Context::default(), Options::default())
    }

    /// Gives a socket one more peer, and returns the far end of its pipe.
    fn peer(core: &Core<PushPattern>) -> PipeEnd {
        let (near, far) = core.wired_pipe();
        let mut state = core.state.lock();
        let key = state.pipes.insert(near);
        state.pattern.attach(key);
        far
    }

    /// Sends that many quarters of a long queue, and tells whether the sender should then rest.
    fn is_ahead_after(core: &Core<PushPattern>, quarters: usize) -> bool {
        let mut state = core.state.lock();
        for _ in 0..quarters {
            let _ = state.send(&mut Some(Message::from(vec![0; QUARTER])));
        }
        let ahead = state.is_ahead();
        drop(state.take_aftermath());
        ahead
    }

    fn take(far: &mut PipeEnd, messages: usize) {
        for _ in 0..messages {
            assert!(far.pop(&mut Wakes::new()).is_some());
        }
        drop(far.release());
    }

    #[test]
    fn a_sender_rests_when_much_waits_for_its_only_peer() {
        let core = push();
        let mut far = peer(&core);
        assert!(!is_ahead_after(&core, 3));
        assert!(is_ahead_after(&core, 1));
        take(&mut far, 4);
        assert!(!is_ahead_after(&core, 3));
    }

    #[test]
    fn small_messages_may_wait_in_a_longer_queue() {
        let rests_after = |size: usize| {
            let core = push();
            let _far = peer(&core);
            let mut sent = 0;
            loop {
                let mut state = core.state.lock();
                let _ = state.send(&mut Some(Message::from(vec![0; size])));
                sent += size;
                if state.is_ahead() {
                    return sent as u64;
                }
                drop(state.take_aftermath());
            }
        };
        assert_eq!(rests_after(8192), LONG_OF_LARGE);
        assert!(rests_after(2048) > LONG_OF_LARGE * 3 / 2);
    }

    #[test]
    fn a_sender_rests_for_a_peer_of_its_own_process_too() {
        let core = push();
        let mut far = peer(&core);
        let _ = far.join_limits(core.pipe_limits());
        let _ = core
            .state
            .lock()
            .pipes
            .only()
            .unwrap()
            .join_limits(core.pipe_limits());
        assert!(is_ahead_after(&core, 4));
    }

    #[test]
    fn a_sender_with_other_peers_does_not_rest_for_one() {
        let core = push();
        let _far = [peer(&core), peer(&core)];
        assert!(!is_ahead_after(&core, 16));
    }

    #[test]
    fn a_sender_does_not_rest_again_for_a_peer_that_takes_nothing() {
        let core = push();
        let mut far = peer(&core);
        assert!(is_ahead_after(&core, 8));
        core.rest();
        assert!(!is_ahead_after(&core, 1));
        take(&mut far, 1);
        assert!(is_ahead_after(&core, 1));
    }

    /// Polls the sending of a quarter of a long queue once; tells whether it went, and whether it has to.
    fn poll_send(core: &Core<PushPattern>) -> (bool, bool) {
        let mut out = Some(Message::from(vec![0; QUARTER]));
        let polled = pin!(core.send_async(&mut out)).poll(&mut Context::from_waker(Waker::noop()));
        (out.is_none(), polled.is_pending())
    }

    #[test]
    fn a_task_rests_before_it_sends_so_that_it_can_be_dropped() {
        let core = push();
        assert!(core.reactor().is_ok());
        let _far = peer(&core);
        let polls: Vec<_> = (0..40).map(|_| poll_send(&core)).collect();
        assert!(polls.iter().all(|(sent, pending)| sent != pending), "{polls:?}");
        // Nearly every second one, unless this thread loses its processor for the length of a rest.
        assert!(polls.iter().any(|(_, pending)| *pending));
    }

    #[test]
    fn a_task_rests_until_the_queue_is_shorter() {
        let core = push();
        assert!(core.reactor().is_ok());
        let mut far = peer(&core);
        (0..4).for_each(|_| assert!(poll_send(&core).0));
        let mut rest = pin!(core.rest_async(Duration::from_secs(3600)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(rest.as_mut().poll(&mut context).is_pending());
        take(&mut far, 1);
        assert!(rest.as_mut().poll(&mut context).is_pending());
        take(&mut far, 3);
        assert!(rest.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn a_task_goes_on_when_its_peer_takes_nothing() {
        let core = push();
        assert!(core.reactor().is_ok());
        let _far = peer(&core);
        (0..4).for_each(|_| assert!(poll_send(&core).0));
        for _ in 0..4 {
            let mut out = Some(Message::from(vec![0; QUARTER]));
            assert!(crate::block_on(core.send_async(&mut out)).is_ok());
        }
        assert_eq!(core.state.lock().pace.patience, 1, "the first rest was in vain");
    }

    #[test]
    fn each_rest_in_vain_puts_the_next_one_off_for_longer() {
        let mut pace = Pace::default();
        assert!(pace.may_rest(0));
        pace.note_stuck(0);
        assert!(!pace.may_rest(0) && pace.may_rest(1));
        pace.note_stuck(10);
        assert!(!pace.may_rest(11) && pace.may_rest(12));
        pace.note_stuck(20);
        assert!(!pace.may_rest(23) && pace.may_rest(24));
        assert!(pace.may_rest(0), "another peer has taken less");
        pace.note_rested();
        assert!(pace.may_rest(20));
    }
}
