//! How tasks wait on a socket: the place that a task has among those who wait, and the future that consists of it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::core::{Core, State};
use super::waiters::{Signal, Waiters};
use crate::pattern::Pattern;

/// Chooses one of the socket's sets of waiters.
pub(super) trait Queue<P>: Fn(&mut State<P>) -> &mut Waiters + Copy {}
impl<P, F: Fn(&mut State<P>) -> &mut Waiters + Copy> Queue<P> for F {}

/// Chooses who is to be told in place of somebody who was told and leaves.
pub(super) type PassOn<P> = fn(&mut State<P>) -> Option<Signal>;

/// A task's place in one of a socket's sets of waiters. Whoever has it must [leave](Self::leave) before it goes.
#[derive(Debug, Default)]
pub(super) struct Place {
    id: Option<u64>,
    /// The reactor was told that a task waits.
    errand: bool,
}

impl Place {
    /// Attempts something, and joins those who wait if it fails. Once it has succeeded the place can be used again.
    pub(super) fn poll<P: Pattern, T>(
        &mut self,
        core: &Core<P>,
        queue: impl Queue<P>,
        pass_on: PassOn<P>,
        context: &Context<'_>,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Poll<T> {
        if let Some(id) = self.id.take() {
            core.stop_waiting(queue, |_| None, id);
        }
        if let Some(done) = attempt() {
            self.leave(core, queue, pass_on);
            return Poll::Ready(done);
        }
        let signal = Signal::Task(context.waker().clone());
        self.id = Some(queue(&mut core.state.lock()).add(signal));
        // What happened before we joined would not be told to us.
        if let Some(done) = attempt() {
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

impl<'a, P: Pattern, T, Q: Queue<P>, A: FnMut() -> Option<T>> Waiting<'a, P, Q, A> {
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

impl<P: Pattern, T, Q: Queue<P> + Unpin, A: FnMut() -> Option<T> + Unpin> Future for Waiting<'_, P, Q, A> {
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
