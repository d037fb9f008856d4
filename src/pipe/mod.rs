//! Pipes: the FIFO pair between a socket and one peer, where all the layers meet.
//!
//! ```text
//!   socket ── PipeEnd ══ lane ══► PipeEnd ── session      (or another socket: inproc)
//!                     ◄══ lane ══
//! ```
//!
//! Contract. A [`Ring`](ring::Ring) is a plain queue and knows no lock; a lane is a ring behind the one lock that
//! decides, at once, whether the ring is full or empty and who sleeps because of it. That is why no wake-up is lost.
//! An end belongs to its owner (the socket under its lock, or the session under its own) and may be used while that
//! lock is held, for nothing here blocks or calls out. What another owner must be told comes back as a
//! [`Wake`], to be fired once the caller holds no lock of its own.
//! An end does not know what kind of owner is across from it.

mod end;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod length;
#[cfg(all(test, aqueduct_loom))]
mod loom_model;
mod overflow;
mod ring;

pub(crate) use end::{Credit, PipeEnd, PipeLimits, pair};
#[cfg(test)]
pub(crate) use length::LONG_OF_LARGE;
#[cfg(any(test, fuzzing))]
pub(crate) use ring::WhenFull;
pub(crate) use ring::{Limits, PushError, WakeReader};

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

/// The owner of a pipe end, as the other end sees it: something to be woken.
pub(crate) trait Owner: Send + Sync {
    /// There is something to read at the owner's end `pipe`, or the other end was closed.
    fn activate_read(self: Arc<Self>, pipe: usize);
    /// The owner's end `pipe` may be written to again, or the other end was closed.
    fn activate_write(self: Arc<Self>, pipe: usize);
}

/// Who owns an end of a pipe, and by which key the owner knows it.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) owner: Arc<dyn Owner>,
    pub(crate) pipe: usize,
}

/// A notice that one end owes to the owner of the other. Fire it after unlocking.
#[must_use = "the other end sleeps until this is fired"]
pub(crate) struct Wake {
    address: Address,
    to: To,
}

#[derive(Clone, Copy)]
enum To {
    Read,
    Write,
}

/// How deep owners may nest who fire because they were told of something. Two sockets of one process that give each
/// other's pipe something to do could go on for longer than the stack is deep.
const MAX_DEPTH: u32 = 4;

crate::sync::thread_local! {
    static DEPTH: Cell<u32> = Cell::default();
    /// What could not be fired for being too deep: the deepest call that could does it.
    static LINE: RefCell<VecDeque<Wake>> = RefCell::default();
}

/// One call deeper, for as long as this lives.
struct Deeper(u32);

impl Deeper {
    fn new() -> Self {
        let depth = DEPTH.with(|depth| {
            depth.set(depth.get() + 1);
            depth.get()
        });
        Self(depth)
    }
}

impl Drop for Deeper {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(self.0 - 1));
    }
}

impl Wake {
    /// Tells the owner. No lock may be held that the owner takes.
    pub(crate) fn fire(self) {
        let deeper = Deeper::new();
        if deeper.0 > MAX_DEPTH {
            return LINE.with(|line| line.borrow_mut().push_back(self));
        }
        self.tell();
        while deeper.0 == MAX_DEPTH
            && let Some(next) = LINE.with(|line| line.borrow_mut().pop_front())
        {
            next.tell();
        }
    }

    fn tell(self) {
        let Address { owner, pipe } = self.address;
        match self.to {
            To::Read => owner.activate_read(pipe),
            To::Write => owner.activate_write(pipe),
        }
    }
}

/// Wake-ups to be fired once the caller has unlocked. There is mostly none and hardly ever more than one, which is
/// why the first has a place of its own.
#[derive(Default)]
pub(crate) struct Wakes {
    first: Option<Wake>,
    more: Vec<Wake>,
}

impl Wakes {
    pub(crate) const fn new() -> Self {
        Self {
            first: None,
            more: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn push(&mut self, wake: Wake) {
        if self.first.is_none() {
            self.first = Some(wake);
        } else {
            self.more.push(wake);
        }
    }

    /// Fires all, in order.
    #[inline]
    pub(crate) fn fire(self) {
        if let Some(first) = self.first {
            first.fire();
            if !self.more.is_empty() {
                fire_all(self.more);
            }
        }
    }
}

impl Extend<Wake> for Wakes {
    fn extend<I: IntoIterator<Item = Wake>>(&mut self, wakes: I) {
        wakes.into_iter().for_each(|wake| self.push(wake));
    }
}

/// Fires what there is to fire.
pub(crate) fn fire_all(wakes: impl IntoIterator<Item = Wake>) {
    wakes.into_iter().for_each(Wake::fire);
}
