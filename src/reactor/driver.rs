//! The driver's seat: which thread turns the event loop now, and who gets it next.
//!
//! ```text
//!                     enter                            enter, and kick the poll
//!        ┌────────► CALLER ◄────────┐              ┌──────── (in line)
//!        │            │ leave       │ offer        ▼
//!     NOBODY ◄────────┴──────── next in line ◄── I/O THREAD
//!        │   nobody drove for a millisecond, or there is work that no caller waits for   ▲
//!        ├────────────────────────────────────────────────────────────────────────────────┘
//!        └── the system has something ──► ATTENDANT: one turn, and back
//! ```
//!
//! A caller that has to wait turns the loop itself: that saves the hand-over between threads, which costs more than
//! all the framing. The I/O thread stands back while callers drive and takes the seat when nobody does. It is not
//! told of every caller that leaves (that would be a system call for each message); it looks every millisecond as
//! long as callers come and go, and sleeps deeply only while one and the same caller sits there, who then wakes it.
//!
//! An *attendant* is a task of some executor that watches the poll's own descriptor, and comes for a turn whenever
//! there is something to do. While there is one, the I/O thread stands back for good, but for bursts and timers: it is
//! the attendant's clock. Who leaves the seat then has to see to it that the attendant is called for whatever it could
//! not know ([`rest`](Driver::rest)).

#[cfg(all(test, aqueduct_loom))]
mod loom_model;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::waiter::{Kick, Waiter, Woken};
use crate::sync::{Condvar, Mutex};

/// How often the I/O thread looks whether callers still drive. At a thousand looks a second it costs under one
/// percent of a core, and only while callers come and go.
const STAND_BACK: Duration = Duration::from_millis(1);

/// How often the I/O thread writes what bursts have gathered; see `session`. Much shorter, and it takes a core from
/// the peer; much longer, and the end of a burst is late.
pub(crate) const TICK: Duration = Duration::from_micros(100);

/// The same while all bursts go on without a pause: each look interrupts a sender or its peer for longer than it takes.
const STEADY_TICK: Duration = Duration::from_micros(400);

/// Ticks without a pause after which the bursts are taken to go on.
const STEADY_TICKS: u32 = 16;

/// The seat that holds the event loop, of type `L` so that a model can put something simpler there.
pub(crate) struct Driver<L> {
    seat: Mutex<Seat<L>>,
    io_thread: Condvar,
    kick: Arc<dyn Kick>,
}

struct Seat<L> {
    /// The event loop, while nobody turns it.
    event_loop: Option<L>,
    held_by_io_thread: bool,
    /// Callers that wait while another thread drives, the longest wait in front.
    line: VecDeque<Arc<Waiter>>,
    /// The seat is free, and a waiter has been told so that has not come yet.
    on_offer: bool,
    /// Times that a caller took the seat or left it.
    drives: u64,
    /// The I/O thread sleeps until told.
    io_asleep: bool,
    /// The I/O thread should look up from its poll.
    recall: bool,
    /// Bursts are gathering: the I/O thread should tick.
    bursting: bool,
    /// Ticks in a row that found no burst that had paused.
    steady: u32,
    /// There is work that no caller waits for: async tasks, or writes that could not be finished.
    errands: usize,
    /// A task of an executor turns the loop when the system has something.
    attended: bool,
    /// The attendant came while somebody else had the seat.
    knocked: bool,
    /// When the first timer of an attended loop goes off; `None` also while somebody turns it, who sees to that.
    clock: Option<Instant>,
    stop: bool,
}

/// What the I/O thread is to do.
pub(crate) enum Shift<L> {
    /// Turn the loop until [`Driver::is_recalled`].
    Drive(L),
    /// Turn the loop once, for its timers' sake.
    Turn(L),
    /// Write what bursts have gathered.
    Tick,
    /// Look again.
    Idle,
    Stop,
}

impl<L> Driver<L> {
    pub(crate) fn new(event_loop: L, kick: Arc<dyn Kick>) -> Self {
        let seat = Seat {
            event_loop: Some(event_loop),
            held_by_io_thread: false,
            line: VecDeque::new(),
            on_offer: false,
            drives: 0,
            io_asleep: false,
            recall: false,
            bursting: false,
            steady: 0,
            errands: 0,
            attended: false,
            knocked: false,
            clock: None,
            stop: false,
        };
        Self {
            seat: Mutex::new(seat),
            io_thread: Condvar::new(),
            kick,
        }
    }

    /// Waits until the waiter is notified or the deadline is there, turning the loop meanwhile if the seat is free.
    /// `turn` polls at most until the deadline and returns early once the waiter is notified. Tells whether the loop has
    /// to be put to [rest](Self::rest) for its attendant.
    #[must_use]
    pub(crate) fn wait(
        &self,
        waiter: &Arc<Waiter>,
        deadline: Option<Instant>,
        mut turn: impl FnMut(&mut L, Option<Instant>),
    ) -> bool {
        let mut offered = false;
        loop {
            if waiter.take_notified() {
                return offered && self.decline(waiter);
            }
            if let Some(mut event_loop) = self.enter(waiter) {
                while !waiter.is_notified() && !is_past(deadline) {
                    turn(&mut event_loop, deadline);
                }
                waiter.take_notified();
                return self.leave(event_loop);
            }
            match waiter.park(deadline) {
                Woken::Offered => offered = true,
                Woken::Notified | Woken::TimedOut => return self.decline(waiter),
            }
        }
    }

    /// Takes the seat if it is free, or joins the line and has the I/O thread give it up.
    fn enter(&self, waiter: &Arc<Waiter>) -> Option<L> {
        let mut seat = self.seat.lock();
        // An earlier wait may have ended by another way than the line.
        seat.line.retain(|other| !Arc::ptr_eq(other, waiter));
        if let Some(event_loop) = seat.event_loop.take() {
            seat.drives += 1;
            seat.on_offer = false;
            return Some(event_loop);
        }
        seat.line.push_back(Arc::clone(waiter));
        let kick = seat.held_by_io_thread && !std::mem::replace(&mut seat.recall, true);
        drop(seat);
        if kick {
            self.kick.kick();
        }
        None
    }

    /// Gives the seat to the next in line, or leaves it empty. Tells whether there is an attendant, for whose sake the
    /// loop must then be put to [rest](Self::rest).
    #[must_use]
    pub(crate) fn leave(&self, event_loop: L) -> bool {
        let mut seat = self.seat.lock();
        let attended = seat.attended;
        seat.event_loop = Some(event_loop);
        if !std::mem::take(&mut seat.held_by_io_thread) {
            // One who sat there for long may come back at once, as those do who came and went.
            seat.drives += 1;
        }
        self.pass_on(seat);
        attended
    }

    /// A waiter no longer waits. If it had been offered the seat, the offer goes on to the next; that is to leave the
    /// seat, for an attendant as well, who was not let in meanwhile.
    fn decline(&self, waiter: &Arc<Waiter>) -> bool {
        let mut seat = self.seat.lock();
        let attended = seat.attended;
        waiter.forget_offer();
        let before = seat.line.len();
        seat.line.retain(|other| !Arc::ptr_eq(other, waiter));
        let offered = seat.line.len() == before && seat.event_loop.is_some();
        if offered {
            self.pass_on(seat);
        }
        offered && attended
    }

    fn pass_on(&self, mut seat: crate::sync::MutexGuard<'_, Seat<L>>) {
        let next = seat.line.pop_front();
        seat.on_offer = next.is_some();
        if let Some(waiter) = next {
            // While the seat is locked, so that no offer comes late: the waiter declines under the same lock.
            waiter.offer();
            return;
        }
        let due = !seat.attended && (seat.io_asleep || (seat.errands > 0 && !seat.bursting));
        drop(seat);
        if due {
            self.io_thread.notify_one();
        }
    }

    /// Decides what the I/O thread does next, sleeping as long as there is nothing. `seen` is its memory of the last
    /// look.
    pub(crate) fn next_shift(&self, seen: &mut u64) -> Shift<L> {
        let mut seat = self.seat.lock();
        seat.recall = false;
        if seat.stop {
            return Shift::Stop;
        }
        let quiet = std::mem::replace(seen, seat.drives) == seat.drives;
        if seat.bursting {
            let tick = if seat.steady < STEADY_TICKS {
                TICK
            } else {
                STEADY_TICK
            };
            seat = self.io_thread.wait(seat, Some(tick));
            return if seat.stop { Shift::Stop } else { Shift::Tick };
        }
        if seat.attended {
            return self.keep_clock(seat);
        }
        if (seat.errands > 0 || quiet)
            && !seat.on_offer
            && let Some(event_loop) = seat.event_loop.take()
        {
            seat.held_by_io_thread = true;
            return Shift::Drive(event_loop);
        }
        seat.io_asleep = quiet;
        seat = self.io_thread.wait(seat, (!quiet).then_some(STAND_BACK));
        seat.io_asleep = false;
        Shift::Idle
    }

    /// What the I/O thread does for an attended loop: it waits for the first timer.
    fn keep_clock(&self, mut seat: crate::sync::MutexGuard<'_, Seat<L>>) -> Shift<L> {
        let now = Instant::now();
        if seat.clock.is_some_and(|clock| clock <= now) {
            // If somebody is there, they run the timers too, and tell of the next when they leave.
            seat.clock = None;
            if let Some(event_loop) = seat.lend() {
                return Shift::Turn(event_loop);
            }
        }
        let patience = seat.clock.map(|clock| clock.saturating_duration_since(now));
        drop(self.io_thread.wait(seat, patience));
        Shift::Idle
    }

    /// Lends the loop to the I/O thread for a moment, if nobody has it.
    pub(crate) fn borrow(&self) -> Option<L> {
        self.seat.lock().lend()
    }

    /// Lends the loop to the attendant for a turn. If somebody else has it, they call the attendant again.
    pub(crate) fn visit(&self) -> Option<L> {
        let mut seat = self.seat.lock();
        let event_loop = seat.lend();
        seat.knocked = event_loop.is_none();
        event_loop
    }

    /// Has an attendant turn the loop from now on; tells whether there was none. The loop must then be put to
    /// [rest](Self::rest).
    #[must_use]
    pub(crate) fn attend(&self) -> bool {
        let mut before = false;
        self.tell_io_thread(|seat| {
            before = std::mem::replace(&mut seat.attended, true);
            !before
        });
        !before
    }

    /// The attendant is gone: the I/O thread does its part again.
    pub(crate) fn unattend(&self) {
        self.tell_io_thread(|seat| {
            seat.attended = false;
            seat.clock = None;
            true
        });
    }

    /// Somebody has left an attended loop, whose first timer goes off then. Tells whether to call the attendant: it has
    /// come when it could not be let in.
    #[must_use]
    pub(crate) fn rest(&self, next_timer: Option<Instant>) -> bool {
        let mut seat = self.seat.lock();
        let sooner = next_timer.is_some_and(|next| seat.clock.is_none_or(|clock| next < clock));
        seat.clock = next_timer;
        let knocked = std::mem::take(&mut seat.knocked);
        drop(seat);
        if sooner {
            self.io_thread.notify_one();
        }
        knocked
    }

    /// Tells the I/O thread whether to look up from its poll.
    pub(crate) fn is_recalled(&self) -> bool {
        self.seat.lock().recall
    }

    /// A tick has found bursts that paused, or none.
    pub(crate) fn set_steady(&self, steady: bool) {
        let mut seat = self.seat.lock();
        seat.steady = if steady { seat.steady.saturating_add(1) } else { 0 };
    }

    /// Bursts began or ended: the I/O thread starts or stops ticking.
    pub(crate) fn set_bursting(&self, bursting: bool) {
        self.tell_io_thread(|seat| {
            seat.steady = 0;
            let before = std::mem::replace(&mut seat.bursting, bursting);
            bursting && !before
        });
    }

    /// There is one more thing to do that no caller waits for.
    pub(crate) fn add_errand(&self) {
        self.tell_io_thread(|seat| {
            seat.errands += 1;
            // A caller that drives will pass the errand on when it leaves; ticks see to it by themselves.
            seat.event_loop.is_some() && !seat.bursting && !seat.held_by_io_thread && !seat.attended
        });
    }

    pub(crate) fn remove_errand(&self) {
        let mut seat = self.seat.lock();
        seat.errands = seat.errands.saturating_sub(1);
    }

    /// Ends the I/O thread.
    pub(crate) fn stop(&self) {
        self.tell_io_thread(|seat| {
            seat.stop = true;
            true
        });
    }

    fn tell_io_thread(&self, change: impl FnOnce(&mut Seat<L>) -> bool) {
        let mut seat = self.seat.lock();
        if !change(&mut seat) {
            return;
        }
        let kick = seat.held_by_io_thread && !std::mem::replace(&mut seat.recall, true);
        drop(seat);
        self.io_thread.notify_one();
        if kick {
            self.kick.kick();
        }
    }
}

impl<L> Seat<L> {
    /// Lends the loop to somebody who does not wait for it, if nobody else has it or is about to.
    fn lend(&mut self) -> Option<L> {
        let event_loop = self.event_loop.take_if(|_| !self.on_offer)?;
        self.held_by_io_thread = true;
        Some(event_loop)
    }
}

fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}
