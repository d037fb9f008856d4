//! The network of a world: how connections are made, run and lost, and how time passes.

use std::sync::Arc;
use std::time::Duration;

use super::bell::Who;
use super::link::Link;
use super::session::{Hold, Session, Surroundings};
use super::world::{Conn, TICK, World};
use crate::pipe::{Wakes, fire_all};
use crate::zmtp::{Connection, Event};
use crate::{DisconnectReason, PeerInfo};

/// How long a session waits for a peer to end its side.
const DRAINING_TIME: Duration = Duration::from_secs(30);

impl World {
    /// The socket that a session belongs to.
    pub(super) fn slot_of(&self, side: usize) -> usize {
        self.routes[self.conns[side / 2].route].joint.ends[side % 2]
    }

    pub(super) fn is_damaged(&self, conn: usize) -> bool {
        self.links[2 * conn].damaged || self.links[2 * conn + 1].damaged
    }

    /// Cuts a connection.
    pub(super) fn cut(&mut self, conn: usize) {
        (0..2).for_each(|side| self.cut_input(2 * conn + side));
    }

    /// Cuts what comes in to a session.
    pub(super) fn cut_input(&mut self, side: usize) {
        self.links[side].cut(&mut self.rng);
        self.conns[side / 2].broken[1 - side % 2] = true;
    }

    fn connect(&mut self, route: usize) {
        let at = self.start + self.now;
        let conn = self.conns.len();
        self.conns.push(Conn {
            route,
            broken: [false; 2],
        });
        let ends = self.routes[route].joint.ends;
        for (end, slot) in ends.into_iter().enumerate() {
            let waiting = if end == 0 {
                self.routes[route].rest.take()
            } else {
                None
            };
            let node = &self.slots[slot].node;
            let connection = Connection::new(Arc::clone(node.config()), at);
            self.sessions
                .push(Session::new(connection, waiting, node.receives()));
            let mut link = Link::new(&mut self.rng);
            if self.dirty && !self.peaceful && self.rng.one_in(4) {
                link.damage = self.rng.pick(&[2, 10, 50]);
            }
            self.links.push(link);
        }
        self.routes[route].connected = true;
        self.with(2 * conn, Session::flush);
        self.with(2 * conn + 1, Session::flush);
    }

    pub(super) fn run_session(&mut self, side: usize) {
        if self.with(side, |session, around| session.fill(around).map(|()| false)) {
            self.go_ready(side);
            self.with(side, Session::flush);
        }
    }

    /// Has a session do something, ends it if that failed, has it say goodbye if it is finished, and does what is left
    /// to do. Tells whether it lives.
    pub(super) fn with(
        &mut self,
        side: usize,
        work: impl FnOnce(&mut Session, &mut Surroundings<'_>) -> Result<bool, DisconnectReason>,
    ) -> bool {
        let slot = self.slot_of(side);
        let session = &mut self.sessions[side];
        if !session.alive {
            return false;
        }
        let (low, high) = self.links.split_at_mut(side | 1);
        let (even, odd) = (&mut low[side & !1], &mut high[0]);
        let (input, output) = if side.is_multiple_of(2) {
            (even, odd)
        } else {
            (odd, even)
        };
        let mut around = Surroundings {
            input,
            output,
            rng: &mut self.rng,
            start: self.start,
            now: self.now,
            wakes: Wakes::new(),
            handed: Vec::new(),
            arrived: Vec::new(),
        };
        let result = work(session, &mut around);
        if result.is_err() && session.draining.is_none() {
            session.send_last_words(&mut around);
        }
        let Surroundings {
            wakes,
            handed,
            arrived,
            ..
        } = around;
        let pipe = session.hold.as_ref().map(|hold| hold.pipe);
        self.ledger.dirty |= self.links[side].damaged || self.links[side ^ 1].damaged;
        for message in handed {
            let name = self.ledger.handed(&message, slot, side);
            self.with_desk(slot, |node, desk| {
                node.handed(pipe.unwrap_or_default(), name, desk);
            });
        }
        for message in arrived {
            let name = self.ledger.arrived(&message, slot, side ^ 1);
            self.with_desk(slot, |node, desk| {
                node.arrived(pipe.unwrap_or_default(), name, &message, desk);
            });
        }
        wakes.fire();
        match result {
            Ok(finished) => {
                if finished {
                    self.begin_draining(side);
                }
                true
            }
            Err(reason) => {
                self.end(side, &reason);
                false
            }
        }
    }

    /// Everything is written: a session ends its side, and waits for its peer to do so.
    fn begin_draining(&mut self, side: usize) {
        let session = &mut self.sessions[side];
        session.draining = Some(self.now + DRAINING_TIME);
        session.stalled = false;
        self.links[side ^ 1].ended = true;
        self.conns[side / 2].broken[1 - side % 2] = true;
    }

    /// The handshake may be done: the pipe comes into use, if the socket will have the peer.
    fn go_ready(&mut self, side: usize) {
        while let Some(Event::Ready(info)) = self.sessions[side].connection.poll_event() {
            let slot = self.slot_of(side);
            let waiting = self.sessions[side].waiting.take();
            let pipe = waiting.as_ref().map(|hold| hold.pipe);
            let calls = self.calls.clone();
            let made = match self.with_desk(slot, |node, desk| node.admit(pipe, &info, &calls, desk)) {
                Ok(made) => made,
                Err(why) => {
                    self.sessions[side].waiting = waiting;
                    return self.end(side, &DisconnectReason::Rejected(why));
                }
            };
            let Some(mut hold) = waiting.or(made) else { return };
            let pipe = hold.pipe;
            hold.end
                .set_owner(Some(self.calls.address(Who::Session(side), pipe)));
            self.sessions[side].hold = Some(hold);
            self.sessions[side].end_gathering();
            self.tell_of_connection(side, pipe, &info);
        }
    }

    /// A socket hears of a connection; perhaps not before its first messages are there, or it is over.
    fn tell_of_connection(&mut self, side: usize, pipe: usize, info: &PeerInfo) {
        let slot = self.slot_of(side);
        if self.rng.one_in(3) {
            self.with(side, |session, around| session.fill(around).map(|()| false));
            if self.slots[slot].node.can_recv() && self.rng.one_in(2) {
                self.at(slot, |node, desk| node.recv(desk));
            }
        }
        if self.sessions[side].alive {
            self.at(slot, |node, desk| node.connected(pipe, side, info, desk));
        }
    }

    /// A connection ends on one side; the other side will notice.
    pub(super) fn end(&mut self, side: usize, reason: &DisconnectReason) {
        let session = &mut self.sessions[side];
        if !std::mem::replace(&mut session.alive, false) {
            return;
        }
        let was_ready = session.hold.is_some();
        let hold = session.hold.take().or_else(|| session.waiting.take());
        let orderly = session.draining.is_some() && *reason == DisconnectReason::PeerClosed;
        self.note(mix_reason(reason));
        self.links[side].abandoned = true;
        self.links[side ^ 1].ended = true;
        self.ledger.ended(side);
        let conn = &mut self.conns[side / 2];
        if !orderly {
            // What was written may not have been read; and what the peer wrote was not read to its end, unless it was.
            conn.broken[side % 2] = true;
            conn.broken[1 - side % 2] |= *reason != DisconnectReason::PeerClosed;
        }
        let route = conn.route;
        let slot = self.slot_of(side);
        let dialed = side.is_multiple_of(2);
        if dialed {
            self.routes[route].connected = false;
            self.routes[route].retry_at = self.now + Duration::from_millis(self.rng.between(1, 500) as u64);
        }
        let Some(hold) = hold else { return };
        let keeps = dialed && self.routes[route].joint.keeps_pipe;
        self.let_go(hold, slot, keeps.then_some(route), was_ready);
    }

    /// A session has no use for its pipe any more: it waits for the next connection of its route, or goes.
    pub(super) fn let_go(&mut self, mut hold: Hold, slot: usize, route: Option<usize>, was_ready: bool) {
        let pipe = hold.pipe;
        // A socket that is closing connects again only to say what is left to say.
        let finished = !self.slots[slot].node.is_open() && hold.end.is_finished();
        let kept = route.filter(|_| !finished);
        match kept {
            Some(route) => {
                fire_all(hold.end.rest());
                self.routes[route].rest = Some(hold);
            }
            None => fire_all(hold.end.close().into_iter().flatten()),
        }
        if was_ready || kept.is_none() {
            self.at(slot, |node, desk| node.disconnected(pipe, kept.is_none(), desk));
        }
    }

    /// Lets time pass until something is due, but not more than `most`, and does what is due.
    pub(super) fn pass_time(&mut self, most: Duration) {
        let due = self.due_times().filter(|at| *at > self.now).min();
        let due = due.unwrap_or(self.now + Duration::from_millis(1));
        self.now = due.min(self.now.saturating_add(most));
        for slot in 0..self.slots.len() {
            self.look_at_slot(slot);
        }
        for route in 0..self.routes.len() {
            if !self.routes[route].connected && self.routes[route].retry_at <= self.now {
                self.retry(route);
            }
        }
        for side in 0..self.sessions.len() {
            self.look_at_clock(side);
        }
        if self.next_tick <= self.now {
            self.next_tick = self.now + TICK;
            (0..self.sessions.len()).for_each(|side| self.tick(side));
        }
    }

    fn due_times(&self) -> impl Iterator<Item = Duration> {
        let sides = (0..self.links.len()).filter(|side| self.sessions[*side].alive);
        let sessions = sides.flat_map(|side| {
            let session = &self.sessions[side];
            let timeout = session.connection.poll_timeout();
            let timer = timeout.map(|at| at.duration_since(self.start));
            let timer = if session.draining.is_some() {
                session.draining
            } else {
                timer
            };
            let arrival = self.links[side].next_arrival();
            let tick = session.gathering.then_some(self.next_tick);
            [arrival, timer, tick].into_iter().flatten()
        });
        let retries = self.routes.iter().filter(|route| !route.connected);
        let retries = retries.map(|route| route.retry_at);
        let changes = self.slots.iter().flat_map(|slot| [slot.linger, slot.reborn_at]);
        sessions.chain(retries).chain(changes.flatten())
    }

    /// Connects again, if both sockets are there.
    fn retry(&mut self, route: usize) {
        let [dialer, binder] = self.routes[route].joint.ends;
        let wants = self.routes[route].rest.is_some()
            || !self.routes[route].joint.keeps_pipe && self.slots[dialer].node.is_open();
        if wants && self.slots[binder].node.is_open() {
            self.connect(route);
        } else {
            self.routes[route].retry_at = self.now + Duration::from_millis(100);
        }
    }

    fn look_at_clock(&mut self, side: usize) {
        let now = self.start + self.now;
        let session = &self.sessions[side];
        if !session.alive {
            return;
        }
        match session.draining {
            Some(until) if until <= self.now => self.end(side, &DisconnectReason::Local),
            None if session.connection.poll_timeout().is_some_and(|at| at <= now) => {
                self.with(side, |session, around| {
                    session.connection.handle_timeout(now)?;
                    session.flush(around)
                });
            }
            _ => {}
        }
    }

    /// Looks after a burst, as the reactor's ticks do.
    fn tick(&mut self, side: usize) {
        let session = &mut self.sessions[side];
        if !session.alive || !session.gathering || session.was_active() {
            return;
        }
        self.publish(side);
        self.with(side, Session::flush);
        if self.sessions[side].was_active() {
            return;
        }
        self.with(side, |session, around| {
            session.end_gathering();
            session.flush(around)
        });
        self.publish(side);
    }

    fn publish(&mut self, side: usize) {
        let slot = self.slot_of(side);
        if let Some(hold) = &self.sessions[side].hold {
            self.slots[slot].node.publish(hold.pipe);
        }
    }
}

/// A number that stands for a reason.
fn mix_reason(reason: &DisconnectReason) -> u64 {
    format!("{reason:?}").len() as u64
}
