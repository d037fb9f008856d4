//! A socket of the simulation: a pattern and its pipes, whose wake-ups wait until they are heard.

use std::collections::VecDeque;
use std::sync::Arc;

use super::rng::Rng;
use super::session::Hold;
use crate::options::LinkOptions;
use crate::pattern::{Pattern, Pipes};
use crate::pipe::{Address, Limits, Owner, PipeEnd, PipeLimits, fire_all, pair};
use crate::queue::Queue;
use crate::stats::Traffic;
use crate::sync::Mutex;
use crate::zmtp::Config;

/// Who is told by a wake-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Push(usize),
    Pull(usize),
    Session(usize),
}

/// A wake-up that was fired and not heard yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) who: Who,
    pub(super) pipe: usize,
    pub(super) read: bool,
}

/// An owner whose wake-ups wait until it is their turn.
pub(super) struct Bell {
    pub(super) who: Who,
    calls: Arc<Mutex<VecDeque<Call>>>,
}

impl Bell {
    fn ring(&self, pipe: usize, read: bool) {
        let who = self.who;
        self.calls.lock().push_back(Call { who, pipe, read });
    }
}

impl Owner for Bell {
    fn activate_read(self: Arc<Self>, pipe: usize) {
        self.ring(pipe, true);
    }

    fn activate_write(self: Arc<Self>, pipe: usize) {
        self.ring(pipe, false);
    }
}

/// A socket: a pattern, its pipes, and an application that sends or receives all the time.
pub(super) struct Socket<P> {
    pub(super) pattern: P,
    pub(super) pipes: Pipes,
    /// Pipes whose far end is gone, to be removed once they are read.
    pub(super) gone: Vec<usize>,
    /// The application waits until it is told.
    pub(super) asleep: bool,
    pub(super) limits: PipeLimits,
    pub(super) config: Arc<Config>,
    /// The traffic of pipes that were removed, and what was taken back from them.
    pub(super) past: Traffic,
    pub(super) reclaimed: u64,
}

impl<P: Pattern> Socket<P> {
    pub(super) fn new(rng: &mut Rng, options: &LinkOptions) -> Self {
        let limits = Limits::new(rng.pick(&[1, 2, 3, 10, 1000, 0]), rng.pick(&[0, 0, 500, 20_000]));
        Self {
            pattern: P::default(),
            pipes: Pipes::default(),
            gone: Vec::new(),
            asleep: false,
            limits: PipeLimits {
                send: limits,
                recv: limits,
            },
            config: Arc::new(Config::new(P::TYPE, options)),
            past: Traffic::default(),
            reclaimed: 0,
        }
    }

    /// Makes a pipe and returns its far end.
    pub(super) fn attach(&mut self, who: Who, calls: &Arc<Mutex<VecDeque<Call>>>) -> Hold {
        let (mut near, end) = pair(self.limits);
        let pipe = self.pipes.vacant_key();
        near.set_owner(Some(address(who, pipe, calls)));
        self.pipes.insert(near);
        self.pattern.attach(pipe);
        self.asleep = false;
        Hold { pipe, end }
    }

    pub(super) fn hear(&mut self, call: Call) {
        if call.read {
            self.pattern.activate_read(call.pipe, &mut self.pipes);
        } else {
            self.pattern.activate_write(call.pipe, &mut self.pipes);
        }
        self.asleep = false;
    }

    pub(super) fn publish(&mut self, pipe: usize) {
        fire_all(self.pipes.get_mut(pipe).and_then(PipeEnd::publish));
    }

    /// The far end of a pipe is gone; returns what it has not read.
    pub(super) fn lose(&mut self, pipe: usize) -> Queue {
        let Some(near) = self.pipes.get_mut(pipe) else {
            return Queue::new();
        };
        let rest = near.reclaim();
        self.reclaimed += rest.load().messages;
        if near.is_finished() {
            self.remove(pipe);
        } else {
            self.gone.push(pipe);
            self.pattern.activate_read(pipe, &mut self.pipes);
            self.asleep = false;
        }
        rest
    }

    pub(super) fn remove(&mut self, pipe: usize) {
        self.pattern.detach(pipe);
        if let Some(near) = self.pipes.remove(pipe) {
            self.past.merge(&near.traffic());
        }
    }

    pub(super) fn traffic(&self) -> Traffic {
        let mut all = self.past.clone();
        for (_, near) in self.pipes.iter() {
            all.merge(&near.traffic());
        }
        all
    }

    /// No pipe ever holds more messages than its high-water mark.
    pub(super) fn check_limits(&self) {
        for (_, near) in self.pipes.iter() {
            let traffic = near.traffic();
            assert!(traffic.queued <= self.limits.send.messages);
            assert!(traffic.unread <= self.limits.recv.messages);
        }
    }
}

pub(super) fn address(who: Who, pipe: usize, calls: &Arc<Mutex<VecDeque<Call>>>) -> Address {
    let calls = Arc::clone(calls);
    Address {
        owner: Arc::new(Bell { who, calls }),
        pipe,
    }
}
