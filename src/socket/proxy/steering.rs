//! How a proxy runs and is steered: turns of both directions, and the wait when neither can go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use super::end::{End, Set};
use super::lane::{Lane, LaneStats, Step};
use super::{ProxyEnd, ProxyStats};
use crate::message::Message;
use crate::reactor::Waiter;
use crate::socket::drivers::Drivers;
use crate::socket::waiters::Signal;
use crate::sync::Mutex;

/// Messages that go one way before it is the other's turn. Enough that turning costs nothing, and so few that a message
/// the other way waits for a millisecond at most.
const BURST: usize = 1000;

/// What a proxy is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mode {
    Running,
    Paused,
    Stopped,
}

/// What a proxy and its controls share.
#[derive(Default)]
pub(super) struct Steering {
    /// A [`Mode`]; zero is running.
    mode: AtomicU8,
    /// How to wake the proxy, once it runs.
    waiter: Mutex<Option<Arc<Waiter>>>,
    /// Locked while messages are passed on. The figures are those of the ways to the backend and to the frontend.
    turn: Mutex<()>,
    stats: Mutex<[LaneStats; 2]>,
}

/// A place among those who wait on a socket.
struct Seat {
    end: Arc<dyn End>,
    set: Set,
    id: u64,
}

impl Seat {
    fn take(end: &Arc<dyn End>, set: Set, waiter: &Arc<Waiter>) -> Self {
        let id = end.join(set, Signal::Thread(Arc::clone(waiter)));
        let end = Arc::clone(end);
        Self { end, set, id }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.end.leave(self.set, self.id);
    }
}

impl Steering {
    fn mode(&self) -> Mode {
        match self.mode.load(Ordering::Acquire) {
            0 => Mode::Running,
            1 => Mode::Paused,
            _ => Mode::Stopped,
        }
    }

    /// Changes what the proxy is to do, unless it was stopped, and waits until it does so.
    pub(super) fn set(&self, mode: Mode) {
        let update = |now: u8| (now != Mode::Stopped as u8).then_some(mode as u8);
        let _ = self
            .mode
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
        // A proxy that puts its waiter here later will see the new mode.
        let waiter = self.waiter.lock().clone();
        if let Some(waiter) = waiter {
            waiter.notify();
        }
        if mode != Mode::Running {
            // The turn of now ends with the message of now, and the next one does not begin.
            drop(self.turn.lock());
        }
    }

    pub(super) fn stats(&self) -> ProxyStats {
        let [forth, back] = self.stats.lock().clone();
        ProxyStats {
            captured: forth.captured + back.captured,
            capture_dropped: forth.capture_dropped + back.capture_dropped,
            frontend: ProxyEnd {
                received: forth.received,
                sent: back.sent,
                undeliverable: back.undeliverable,
            },
            backend: ProxyEnd {
                received: back.received,
                sent: forth.sent,
                undeliverable: forth.undeliverable,
            },
        }
    }

    /// Passes messages on until it is stopped or a socket is closed. Returns those that were taken and cannot be given.
    pub(super) fn run(&self, mut lanes: [Lane; 2], ways: [bool; 2]) -> Vec<Message> {
        let waiter = Waiter::current();
        *self.waiter.lock() = Some(Arc::clone(&waiter));
        loop {
            match self.mode() {
                Mode::Stopped => break,
                Mode::Paused => {
                    if !rest(&lanes, &waiter, || self.mode() == Mode::Paused) {
                        break;
                    }
                    continue;
                }
                Mode::Running => {}
            }
            let steps = self.turn(&mut lanes, ways);
            if steps.contains(&Some(Step::Closed)) {
                break;
            }
            if !steps.contains(&Some(Step::Moved)) {
                self.wait(&mut lanes, ways, steps, &waiter);
            }
        }
        // No control may hold up the end: whatever happens to the proxy now, it is over.
        self.mode.store(Mode::Stopped as u8, Ordering::Release);
        *self.waiter.lock() = None;
        let _turn = self.turn.lock();
        let returned = lanes.iter_mut().filter_map(Lane::give_up).collect();
        self.publish(&lanes);
        returned
    }

    /// Gives each way its turn, and returns what the last step of each came to.
    fn turn(&self, lanes: &mut [Lane; 2], ways: [bool; 2]) -> [Option<Step>; 2] {
        let _turn = self.turn.lock();
        let go_on = || self.mode() == Mode::Running;
        let [forth, back] = &mut *lanes;
        let steps = [
            ways[0].then(|| forth.turn(BURST, go_on)),
            ways[1].then(|| back.turn(BURST, go_on)),
        ];
        self.publish(lanes);
        steps
    }

    fn publish(&self, lanes: &[Lane; 2]) {
        *self.stats.lock() = lanes.each_ref().map(|lane| lane.stats().clone());
    }

    /// Waits until one of the ways may have what it lacked.
    fn wait(&self, lanes: &mut [Lane; 2], ways: [bool; 2], lacks: [Option<Step>; 2], waiter: &Arc<Waiter>) {
        let lacking = lanes.iter().zip(lacks);
        let places = lacking.filter_map(|(lane, lack)| lane.place_to_wait(lack?));
        let mut seats: Vec<_> = places.map(|(end, set)| Seat::take(end, set, waiter)).collect();
        // A socket that we want nothing of now may be closed.
        for end in lanes.iter().flat_map(Lane::ends) {
            if !seats.iter().any(|seat| Arc::ptr_eq(&seat.end, end)) {
                seats.push(Seat::take(end, Set::Watchers, waiter));
            }
        }
        // What happened before we joined would not be told to us.
        if self.turn(lanes, ways) == lacks && self.mode() == Mode::Running {
            let deadline = lanes.iter().filter_map(Lane::deadline).min();
            block(lanes, waiter, deadline);
        }
        drop(seats);
    }
}

/// Waits until the proxy is not to pause any more. Returns false if a socket is closed meanwhile.
fn rest(lanes: &[Lane; 2], waiter: &Arc<Waiter>, paused: impl Fn() -> bool) -> bool {
    while paused() {
        let ends = lanes.iter().flat_map(Lane::ends);
        let seats: Vec<_> = ends.map(|end| Seat::take(end, Set::Watchers, waiter)).collect();
        if lanes.iter().any(Lane::is_closed) {
            return false;
        }
        if paused() {
            waiter.park(None);
        }
        drop(seats);
    }
    true
}

/// Blocks until the waiter is notified, or until the deadline; runs the connections of the sockets meanwhile.
fn block(lanes: &[Lane; 2], waiter: &Arc<Waiter>, deadline: Option<Instant>) {
    let mut drivers = Drivers::default();
    let reactors = lanes.iter().flat_map(Lane::ends).filter_map(|end| end.reactor());
    reactors.for_each(|reactor| drivers.add(reactor));
    drivers.wait(waiter, deadline);
}
