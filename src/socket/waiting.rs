//! How tasks wait on a socket: the place that a task has among those who wait, and the future that consists of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::core::{Core, State, fire_signals};
use super::waiters::{Signal, Waiters};
use crate::pattern::Pattern;
use crate::reactor::Alarm;

/// Chooses one of the socket's sets of waiters.
pub(super) trait Queue<P>: Fn(&mut State<P>) -> &mut Waiters + Copy {}
impl<P, F: Fn(&mut State<P>) -> &mut Waiters + Copy> Queue<P> for F {}

/// Chooses who is to be told in place of somebody who was told and leaves.
pub(super) type PassOn<P> = fn(&mut State<P>) -> Option<Signal>;

/// A task that makes an attempt, and would wait if there is nothing to have.
pub(super) struct Joining<'a> {
    waker: &'a Waker,
    id: Option<u64>,
    /// The id is of this attempt, not of one before.
    joined: bool,
}

impl<'a> Joining<'a> {
    fn new(waker: &'a Waker, id: Option<u64>) -> Self {
        let joined = false;
        Self { waker, id, joined }
    }

    /// Leaves the place of an attempt before. Under the lock of this one nobody can have been told meanwhile, so that there
    /// is no word to pass on.
    #[inline]
    pub(super) fn leave(&mut self, waiters: &mut Waiters) {
        if !self.joined
            && let Some(id) = self.id.take()
        {
            waiters.remove(id);
        }
    }

    /// Joins those who wait. Under the lock under which the attempt was in vain, that saves another attempt.
    pub(super) fn join(&mut self, waiters: &mut Waiters) {
        self.leave(waiters);
        if !self.joined {
            self.id = Some(waiters.add(Signal::Task(self.waker.clone())));
            self.joined = true;
        }
    }
}

/// A task's place in one of a socket's sets of waiters. Whoever has it must [leave](Self::leave) before it goes.
#[derive(Debug, Default)]
pub(super) struct Place {
    id: Option<u64>,
    /// The reactor was told that a task waits.
    errand: bool,
}

impl Place {
    /// Attempts something, and joins those who wait if it fails, unless the attempt has done so itself. Once it has
    /// succeeded the place can be used again.
    pub(super) fn poll<P: Pattern, T>(
        &mut self,
        core: &Core<P>,
        queue: impl Queue<P>,
        pass_on: PassOn<P>,
        context: &Context<'_>,
        mut attempt: impl FnMut(&mut Joining<'_>) -> Option<T>,
    ) -> Poll<T> {
        let mut joining = Joining::new(context.waker(), self.id.take());
        let mut done = attempt(&mut joining);
        if done.is_none() && !joining.joined {
            joining.join(queue(&mut core.state.lock()));
            // What happened before we joined would not be told to us.
            done = attempt(&mut joining);
        }
        self.id = joining.id;
        if let Some(done) = done {
            self.leave(core, queue, pass_on);
            return Poll::Ready(done);
        }
        if let Some(reactor) = core.reactor.get() {
            reactor.flush_gathered();
            if !self.errand {
                self.errand = reactor.add_task();
            }
        }
        Poll::Pending
    }

    /// Gives up the place.
    pub(super) fn leave<P: Pattern>(&mut self, core: &Core<P>, queue: impl Queue<P>, pass_on: PassOn<P>) {
        if let Some(id) = self.id.take() {
            core.stop_waiting(queue, pass_on, id);
        }
        if std::mem::take(&mut self.errand)
            && let Some(reactor) = core.reactor.get()
        {
            reactor.remove_errand();
        }
    }
}

/// A future that waits in one of a socket's sets. It takes nothing before it is ready, so dropping it loses nothing.
pub(super) struct Waiting<'a, P: Pattern, Q: Queue<P>, A> {
    core: &'a Core<P>,
    queue: Q,
    pass_on: PassOn<P>,
    attempt: A,
    place: Place,
}

impl<'a, P: Pattern, T, Q: Queue<P>, A: FnMut(&mut Joining<'_>) -> Option<T>> Waiting<'a, P, Q, A> {
    pub(super) fn new(core: &'a Core<P>, queue: Q, pass_on: PassOn<P>, attempt: A) -> Self {
        Self {
            core,
            queue,
            pass_on,
            attempt,
            place: Place::default(),
        }
    }
}

impl<P, T, Q, A> Future for Waiting<'_, P, Q, A>
where
    P: Pattern,
    Q: Queue<P> + Unpin,
    A: FnMut(&mut Joining<'_>) -> Option<T> + Unpin,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        this.place
            .poll(this.core, this.queue, this.pass_on, context, &mut this.attempt)
    }
}

impl<P: Pattern, Q: Queue<P>, A> Drop for Waiting<'_, P, Q, A> {
    fn drop(&mut self) {
        self.place.leave(self.core, self.queue, self.pass_on);
    }
}

impl<P: Pattern> Core<P> {
    /// Has everybody who waits look again at a time, when `late` will be set. Without threads there is nobody to do so.
    pub(super) fn wake_at(&self, at: Instant, late: &Arc<AtomicBool>) -> Option<Alarm> {
        let reactor = self.reactor().ok()?;
        let (core, late) = (self.myself.clone(), Arc::clone(late));
        Some(Alarm::set(reactor, at, move || {
            late.store(true, Ordering::Release);
            if let Some(core) = core.upgrade() {
                let signals = core.state.lock().everybody();
                fire_signals(signals);
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::pattern::PullPattern;

    /// Polls a place of a socket to which nothing comes twice, with an attempt that may leave and join by itself; returns how
    /// often that was made, and how many waited at last.
    fn attempts(joins: bool) -> (u32, usize) {
        let core: Arc<Core<PullPattern>> = Core::new(&crate::Context::default(), Options::default());
        let (mut place, mut count) = (Place::default(), 0);
        for _ in 0..2 {
            let polled = place.poll(
                &core,
                |state| &mut state.receivers,
                State::next_receiver,
                &Context::from_waker(Waker::noop()),
                |joining| {
                    count += 1;
                    if joins {
                        let receivers = &mut core.state.lock().receivers;
                        joining.leave(receivers);
                        joining.join(receivers);
                    }
                    None::<()>
                },
            );
            assert!(polled.is_pending());
        }
        let told = core.state.lock().receivers.tell_all().len();
        place.leave(&core, |state| &mut state.receivers, State::next_receiver);
        assert!(core.state.lock().receivers.is_empty());
        (count, told)
    }

    #[test]
    fn who_joins_under_the_lock_of_an_attempt_need_not_make_another() {
        assert_eq!(attempts(true), (2, 1));
        assert_eq!(attempts(false), (4, 1));
    }
}
