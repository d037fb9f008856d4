//! What goes wrong in a world: links that break, and sockets that close, die and are there again.

use std::time::Duration;

use super::bell::Who;
use super::world::World;
use crate::{DisconnectReason, SocketType};

/// How long a socket that closes tries to say what is left to say.
const LINGER: Duration = Duration::from_secs(2);

impl World {
    /// Something goes wrong somewhere.
    pub(super) fn disturb(&mut self) {
        self.check_books();
        if self.conns.is_empty() {
            return;
        }
        // The last connections are likely to be alive.
        let conn = self.conns.len() - 1 - self.rng.below(self.conns.len().min(12));
        let side = 2 * conn + self.rng.below(2);
        let slot = self.rng.below(self.slots.len());
        match self.rng.below(10) {
            0 | 1 => self.cut(conn),
            2 | 3 => self.cut_input(side),
            4 if self.dirty => self.links[side].damage = self.rng.pick(&[1, 5, 30]),
            4 | 5 => self.links[side].frozen_until = self.now + Duration::from_secs(20),
            6 | 7 if self.slots[slot].node.is_open() => self.kill(slot),
            8 if self.slots[slot].node.is_open() => self.close(slot),
            _ => {}
        }
    }

    /// Makes the pipes of the endpoints that a socket connects to.
    pub(super) fn dial_from(&mut self, slot: usize) {
        for route in self.routes.iter_mut().filter(|route| route.joint.ends[0] == slot) {
            if route.joint.keeps_pipe {
                route.rest = Some(self.slots[slot].node.dial(&self.calls));
            }
            route.retry_at = self.now;
        }
    }

    /// A socket closes: it says what is left to say, and hears nothing more.
    pub(super) fn close(&mut self, slot: usize) {
        if !self.slots[slot].node.is_open() {
            return;
        }
        // All that a SUB says are subscriptions, which mean nothing once it is closed.
        let says = self.plan.kinds[slot] != SocketType::Sub;
        self.slots[slot].linger = Some(self.now + if says { LINGER } else { Duration::ZERO });
        self.at(slot, |node, desk| node.begin_close(desk));
        for route in 0..self.routes.len() {
            if self.routes[route].joint.ends[0] == slot
                && let Some(hold) = self.routes[route].rest.take()
            {
                self.let_go(hold, slot, Some(route), false);
            }
        }
    }

    /// A socket is gone at once, with its process or at the end of linger.
    pub(super) fn kill(&mut self, slot: usize) {
        for side in 0..self.sessions.len() {
            if self.sessions[side].alive && self.slot_of(side) == slot {
                if self.rng.one_in(2) {
                    // What the system has not sent yet goes with it.
                    self.cut_input(side ^ 1);
                }
                self.end(side, &DisconnectReason::Local);
            }
        }
        for route in self.routes.iter_mut().filter(|route| route.joint.ends[0] == slot) {
            if let Some(mut hold) = route.rest.take() {
                // The socket's end is not told: it goes now.
                drop(hold.end.close());
            }
        }
        self.at(slot, |node, desk| node.die(desk));
    }

    /// Does what is due for a socket: the end of linger, or another one in its place.
    pub(super) fn look_at_slot(&mut self, slot: usize) {
        if self.slots[slot].linger.take_if(|at| *at <= self.now).is_some() {
            self.kill(slot);
        }
        if self.slots[slot].reborn_at.take_if(|at| *at <= self.now).is_some() && !self.slots[slot].dead {
            self.calls.forget(Who::Socket(slot));
            self.with_desk(slot, |node, desk| node.be_reborn(desk));
            self.dial_from(slot);
        }
    }

    /// If a socket has closed, so do connections that have not come to it yet, and another one is to take its place.
    pub(super) fn look_after_closed(&mut self, slot: usize) {
        if !self.slots[slot].node.is_closed() {
            return;
        }
        for side in 0..self.sessions.len() {
            if self.sessions[side].alive && self.slot_of(side) == slot {
                self.end(side, &DisconnectReason::Local);
            }
        }
        let place = &mut self.slots[slot];
        if place.reborn_at.is_none() && !place.dead {
            let pause = Duration::from_millis(self.rng.between(1, 500) as u64);
            place.reborn_at = Some(self.now + pause);
            place.linger = None;
        }
    }
}
