//! The world: sockets, connections, time, and the one thing that happens next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ledger::{Ledger, Place};
use super::link::Link;
use super::rng::{Rng, mix};
use super::session::{Hold, Session, Surroundings};
use super::socket::{Call, Socket, Who, address};
use crate::DisconnectReason;
use crate::options::LinkOptions;
use crate::pattern::{Effects, Offer, Pattern, PullPattern, PushPattern};
use crate::pipe::{PipeEnd, Wakes, fire_all};
use crate::sync::Mutex;
use crate::zmtp::{Connection, Event};

/// The time between ticks of a burst.
const TICK: Duration = Duration::from_micros(100);

/// How long a world may take to come to rest once it is left in peace; two stalled connections fit.
const PATIENCE: Duration = Duration::from_secs(150);

/// Two sockets of which one connects to the other, for ever.
struct Route {
    push: usize,
    pull: usize,
    push_dials: bool,
    /// The pipe of the side that connects, between two connections.
    rest: Option<Hold>,
    retry_at: Duration,
    connected: bool,
}

/// A connection; its sessions are 2n (the side that pushes) and 2n + 1, and so are their inputs.
struct Conn {
    route: usize,
    broken: bool,
}

/// Everything there is.
pub(super) struct World {
    seed: u64,
    rng: Rng,
    start: Instant,
    now: Duration,
    pushes: Vec<Socket<PushPattern>>,
    pulls: Vec<Socket<PullPattern>>,
    routes: Vec<Route>,
    conns: Vec<Conn>,
    sessions: Vec<Session>,
    links: Vec<Link>,
    calls: Arc<Mutex<VecDeque<Call>>>,
    ledger: Ledger,
    /// How many messages each application still sends.
    to_send: Vec<usize>,
    next_tick: Duration,
    peaceful: bool,
    trace: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let options = LinkOptions {
            heartbeat_interval: rng.one_in(2).then_some(Duration::from_secs(2)),
            heartbeat_timeout: Duration::from_secs(5),
            heartbeat_ttl: rng.one_in(2).then_some(Duration::from_secs(6)),
            max_message_size: 1024 * 1024,
            ..LinkOptions::default()
        };
        let (senders, receivers) = (rng.between(1, 3), rng.between(1, 3));
        let pushes: Vec<_> = (0..senders).map(|_| Socket::new(&mut rng, &options)).collect();
        let pulls: Vec<_> = (0..receivers).map(|_| Socket::new(&mut rng, &options)).collect();
        let mut world = Self {
            seed,
            start: Instant::now(),
            now: Duration::ZERO,
            to_send: (0..senders).map(|_| rng.between(1, 60)).collect(),
            ledger: Ledger::new(seed, senders),
            pushes,
            pulls,
            routes: Vec::new(),
            conns: Vec::new(),
            sessions: Vec::new(),
            links: Vec::new(),
            calls: Arc::default(),
            next_tick: TICK,
            peaceful: false,
            trace: 0,
            rng,
        };
        for push in 0..senders {
            for pull in 0..receivers {
                world.add_route(push, pull);
            }
        }
        world
    }

    fn add_route(&mut self, push: usize, pull: usize) {
        let push_dials = self.rng.one_in(2);
        let rest = if push_dials {
            self.pushes[push].attach(Who::Push(push), &self.calls)
        } else {
            self.pulls[pull].attach(Who::Pull(pull), &self.calls)
        };
        self.routes.push(Route {
            push,
            pull,
            push_dials,
            rest: Some(rest),
            retry_at: Duration::ZERO,
            connected: false,
        });
    }

    /// Runs a world to its end, and returns the trace of all that happened.
    pub(super) fn run(mut self) -> u64 {
        let trouble = self.rng.between(100, 1500);
        for _ in 0..trouble {
            if self.rng.one_in(100) {
                self.disturb();
            }
            self.step();
        }
        self.make_peace();
        let patience = self.now + PATIENCE;
        while !self.step() {
            assert!(self.now < patience, "does not come to rest: {}", self.describe());
        }
        self.check_books();
        self.say_goodbye();
        self.trace
    }

    /// Something goes wrong somewhere.
    fn disturb(&mut self) {
        if self.conns.is_empty() {
            return;
        }
        let conn = self.rng.below(self.conns.len());
        let side = 2 * conn + self.rng.below(2);
        match self.rng.below(4) {
            0 => self.cut(conn),
            1 => self.links[side].damage = self.rng.pick(&[1, 5, 30]),
            2 => self.links[side].frozen_until = self.now + Duration::from_secs(20),
            _ => self.links[side].cut(&mut self.rng),
        }
    }

    fn cut(&mut self, conn: usize) {
        for side in [2 * conn, 2 * conn + 1] {
            self.links[side].cut(&mut self.rng);
        }
    }

    /// From now on nothing goes wrong any more, and what is damaged is replaced.
    fn make_peace(&mut self) {
        self.peaceful = true;
        for link in &mut self.links {
            link.damage = 0;
            link.frozen_until = Duration::ZERO;
        }
        for conn in 0..self.conns.len() {
            if self.is_damaged(conn) {
                self.cut(conn);
            }
        }
    }

    fn is_damaged(&self, conn: usize) -> bool {
        self.links[2 * conn].damaged || self.links[2 * conn + 1].damaged
    }

    /// Lets the one thing happen that the numbers choose, or time pass if there is none. Tells whether
    /// everything is at rest instead.
    fn step(&mut self) -> bool {
        let mut choices = Vec::new();
        if !self.calls.lock().is_empty() {
            choices.push(Choice::Hear);
            choices.push(Choice::Hear);
        }
        for (push, &left) in self.to_send.iter().enumerate() {
            if left > 0 && !self.pushes[push].asleep {
                choices.push(Choice::Send(push));
            }
        }
        for (pull, socket) in self.pulls.iter().enumerate() {
            if !socket.asleep {
                choices.push(Choice::Receive(pull));
            }
        }
        for (side, session) in self.sessions.iter().enumerate() {
            if session.alive && self.is_ready(side) {
                choices.push(Choice::Run(side));
            }
        }
        // A little time passes now and then; more of it only if there is nothing else to do.
        let idle = choices.is_empty();
        if idle && self.peaceful && self.is_at_rest() {
            return true;
        }
        let most = if idle {
            Duration::MAX
        } else {
            Duration::from_micros(100)
        };
        if idle || self.rng.one_in(30) {
            choices = vec![Choice::Wait];
        }
        let choice = self.rng.pick(&choices);
        self.note(choice.number());
        match choice {
            Choice::Hear => self.hear(),
            Choice::Send(push) => self.send(push),
            Choice::Receive(pull) => self.receive(pull),
            Choice::Run(side) => self.run_session(side),
            Choice::Wait => self.pass_time(most),
        }
        false
    }

    fn note(&mut self, number: u64) {
        self.trace = mix(self.trace ^ mix(number ^ (self.now.as_micros() as u64) << 20));
    }

    fn is_ready(&self, side: usize) -> bool {
        let session = &self.sessions[side];
        let readable = !session.stalled && (self.links[side].is_readable(self.now) || session.has_leftover());
        let writable = !session.unsent.is_empty() || session.connection.wants_transmit();
        session.scheduled || readable || (writable && self.links[side ^ 1].is_writable())
    }

    fn send(&mut self, push: usize) {
        let name = self.ledger.next(push);
        let message = self.ledger.message(name);
        let socket = &mut self.pushes[push];
        let offer = socket.pattern.send(&mut Some(message), &mut socket.pipes);
        if offer == Offer::Taken {
            self.ledger.accepted(name);
            self.to_send[push] -= 1;
        } else {
            socket.asleep = true;
        }
        socket.check_limits();
        let wakes = std::mem::take(&mut socket.pipes.effects().wakes);
        wakes.fire();
    }

    fn receive(&mut self, pull: usize) {
        let socket = &mut self.pulls[pull];
        let mut message = None;
        socket.pattern.recv(&mut message, &mut socket.pipes);
        let Effects { wakes, finished, .. } = std::mem::take(socket.pipes.effects());
        socket.asleep = message.is_none();
        for pipe in finished {
            if socket.gone.contains(&pipe) {
                socket.remove(pipe);
            }
        }
        socket.check_limits();
        wakes.fire();
        if let Some(message) = message {
            let damaged = (0..self.conns.len()).any(|conn| self.is_damaged(conn));
            let name = self.ledger.received(&message, damaged);
            self.note(name.map_or(0, |(sender, number)| mix((sender << 32 | number) as u64)));
        }
    }

    fn hear(&mut self) {
        let call = self.calls.lock().pop_front();
        let Some(call) = call else { return };
        match call.who {
            Who::Push(push) => self.pushes[push].hear(call),
            Who::Pull(pull) => self.pulls[pull].hear(call),
            Who::Session(side) if !self.sessions[side].alive => {}
            Who::Session(side) if call.read => {
                if !self.sessions[side].gathering && self.rng.one_in(4) {
                    let bytes = self.rng.pick(&[100, 4_000, 64_000]);
                    self.sessions[side].begin_gathering(bytes);
                }
                self.with(side, Session::flush);
            }
            Who::Session(side) => self.sessions[side].scheduled = true,
        }
    }

    fn run_session(&mut self, side: usize) {
        if self.with(side, |session, around| session.fill(around).map(|()| false)) {
            self.go_ready(side);
            self.with(side, Session::flush);
        }
    }

    /// Has a session do something, ends it if that failed or if it is finished, and does what is left to do. Tells
    /// whether it lives.
    fn with(
        &mut self,
        side: usize,
        work: impl FnOnce(&mut Session, &mut Surroundings<'_>) -> Result<bool, DisconnectReason>,
    ) -> bool {
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
        };
        let result = work(session, &mut around);
        if !matches!(result, Ok(false)) {
            session.send_last_words(&mut around);
        }
        let Surroundings { wakes, handed, .. } = around;
        for message in handed {
            self.ledger.handed(&message, side / 2);
        }
        wakes.fire();
        match result {
            Ok(false) => true,
            Ok(true) => {
                self.end(side, &DisconnectReason::Local);
                false
            }
            Err(reason) => {
                self.end(side, &reason);
                false
            }
        }
    }

    /// The handshake may be done: the pipe comes into use.
    fn go_ready(&mut self, side: usize) {
        let route = self.conns[side / 2].route;
        while let Some(event) = self.sessions[side].connection.poll_event() {
            let Event::Ready(_) = event;
            let (push, pull) = (self.routes[route].push, self.routes[route].pull);
            let mut hold = match self.sessions[side].waiting.take() {
                Some(hold) => hold,
                None if side.is_multiple_of(2) => self.pushes[push].attach(Who::Push(push), &self.calls),
                None => self.pulls[pull].attach(Who::Pull(pull), &self.calls),
            };
            let owner = address(Who::Session(side), hold.pipe, &self.calls);
            hold.end.set_owner(Some(owner));
            self.sessions[side].hold = Some(hold);
            self.sessions[side].end_gathering();
        }
    }

    /// A connection ends on one side; the other side will notice.
    fn end(&mut self, side: usize, reason: &DisconnectReason) {
        self.note(mix(format!("{reason:?}").len() as u64));
        let session = &mut self.sessions[side];
        session.alive = false;
        self.links[side].abandoned = true;
        self.links[side ^ 1].ended = true;
        let conn = &mut self.conns[side / 2];
        conn.broken |= *reason != DisconnectReason::Local;
        let route = &mut self.routes[conn.route];
        let dialed = route.push_dials == (side.is_multiple_of(2));
        if dialed {
            route.connected = false;
            route.retry_at = self.now + Duration::from_millis(self.rng.between(1, 500) as u64);
        }
        let Some(mut hold) = session.hold.take().or_else(|| session.waiting.take()) else {
            return;
        };
        let (push, pull, pipe) = (route.push, route.pull, hold.pipe);
        if dialed {
            fire_all(hold.end.rest());
            route.rest = Some(hold);
            if side.is_multiple_of(2) {
                self.pushes[push].publish(pipe);
            }
            return;
        }
        fire_all(hold.end.close().into_iter().flatten());
        if side.is_multiple_of(2) {
            for message in self.pushes[push].lose(pipe) {
                self.ledger.peer_gone(&message);
            }
        } else {
            self.pulls[pull].lose(pipe);
        }
    }

    fn connect(&mut self, route: usize) {
        let at = self.start + self.now;
        let Route { push, pull, .. } = self.routes[route];
        let sides = [&self.pushes[push].config, &self.pulls[pull].config];
        for (at_side, config) in sides.into_iter().enumerate() {
            let dials = self.routes[route].push_dials == (at_side == 0);
            let waiting = if dials {
                self.routes[route].rest.take()
            } else {
                None
            };
            let connection = Connection::new(Arc::clone(config), at);
            self.sessions
                .push(Session::new(connection, waiting, at_side == 1));
            let mut link = Link::new(&mut self.rng);
            if !self.peaceful && self.rng.one_in(10) {
                link.damage = self.rng.pick(&[2, 10, 50]);
            }
            self.links.push(link);
        }
        self.routes[route].connected = true;
        self.conns.push(Conn { route, broken: false });
        let side = self.sessions.len() - 2;
        self.with(side, Session::flush);
        self.with(side + 1, Session::flush);
    }

    /// Lets time pass until something is due, but not more than `most`, and does what is due.
    fn pass_time(&mut self, most: Duration) {
        let alive = |side: &usize| self.sessions[*side].alive;
        let arrivals = (0..self.links.len())
            .filter(alive)
            .filter_map(|side| self.links[side].next_arrival());
        let timers = self.sessions.iter().filter(|session| session.alive);
        let timers = timers.filter_map(|session| {
            let at = session.connection.poll_timeout()?;
            Some(at.duration_since(self.start))
        });
        let retries = self.routes.iter().filter(|route| !route.connected);
        let gathers = self
            .sessions
            .iter()
            .any(|session| session.alive && session.gathering);
        let due = arrivals
            .chain(timers)
            .chain(retries.map(|route| route.retry_at))
            .chain(gathers.then_some(self.next_tick))
            .filter(|at| *at > self.now)
            .min();
        let due = due.unwrap_or(self.now + Duration::from_millis(1));
        self.now = due.min(self.now.saturating_add(most));
        for route in 0..self.routes.len() {
            if !self.routes[route].connected && self.routes[route].retry_at <= self.now {
                self.connect(route);
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

    fn look_at_clock(&mut self, side: usize) {
        let now = self.start + self.now;
        let session = &self.sessions[side];
        if session.alive && session.connection.poll_timeout().is_some_and(|at| at <= now) {
            self.with(side, |session, around| {
                session.connection.handle_timeout(now)?;
                session.flush(around)
            });
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
        let push = self.routes[self.conns[side / 2].route].push;
        if let Some(hold) = &self.sessions[side].hold
            && side.is_multiple_of(2)
        {
            self.pushes[push].publish(hold.pipe);
        }
    }

    /// Everything is sent, and has arrived where it can.
    fn is_at_rest(&self) -> bool {
        let unsent = self.to_send.iter().any(|left| *left > 0);
        let queued = self.pushes.iter().any(|push| push.traffic().queued > 0);
        let unread = self
            .pulls
            .iter()
            .any(|pull| !pull.asleep || pull.traffic().unread > 0);
        let moving = (0..self.sessions.len()).any(|side| self.sessions[side].alive && self.is_moving(side));
        let parted = self.routes.iter().any(|route| !route.connected);
        !(unsent || queued || unread || moving || parted) && self.calls.lock().is_empty()
    }

    fn is_moving(&self, side: usize) -> bool {
        let session = &self.sessions[side];
        !self.links[side].is_empty()
            || self.links[side].ended
            || session.has_leftover()
            || !session.unsent.is_empty()
            || session.hold.is_none()
    }

    /// Every message is where the counters say, and none is missing without a reason.
    fn check_books(&self) {
        for (at, push) in self.pushes.iter().enumerate() {
            let traffic = push.traffic();
            let count = |kind: fn(Place) -> bool| self.ledger.count(at, kind) as u64;
            assert_eq!(traffic.accepted.messages, count(|_| true));
            let handed = count(|place| matches!(place, Place::Handed(_) | Place::Received));
            assert_eq!(traffic.handed.messages, handed);
            assert_eq!(push.reclaimed, count(|place| place == Place::PeerGone));
            assert_eq!(traffic.accepted.messages, handed + push.reclaimed);
            let lost = self.ledger.count(at, |place| match place {
                Place::Handed(conn) => !self.conns[conn].broken && !self.is_damaged(conn),
                _ => false,
            });
            assert_eq!(lost, 0, "messages of push {at} are lost without a reason");
        }
    }

    /// All senders close: every connection ends in good order.
    fn say_goodbye(&mut self) {
        for push in &mut self.pushes {
            let keys: Vec<_> = push.pipes.iter().map(|(key, _)| key).collect();
            for key in keys {
                fire_all(push.pipes.get_mut(key).and_then(PipeEnd::finish));
            }
        }
        while !self.calls.lock().is_empty() {
            self.hear();
        }
        for side in (0..self.sessions.len()).step_by(2) {
            assert!(!self.sessions[side].alive, "session {side} goes on for nobody");
        }
    }

    fn describe(&self) -> String {
        let mut lines = vec![format!(
            "seed {}, at {:?}, still to send {:?}, wake-ups {:?}",
            self.seed,
            self.now,
            self.to_send,
            self.calls.lock()
        )];
        let pushes = self.pushes.iter().map(|push| (push.asleep, push.traffic()));
        let pulls = self.pulls.iter().map(|pull| (pull.asleep, pull.traffic()));
        for (asleep, traffic) in pushes.chain(pulls) {
            lines.push(format!("socket: asleep {asleep}, {traffic:?}"));
        }
        for (side, session) in self.sessions.iter().enumerate() {
            if session.alive {
                let (ready, moving) = (self.is_ready(side), self.is_moving(side));
                lines.push(format!(
                    "session {side}: ready {ready}, moving {moving}, {}",
                    session.describe()
                ));
            }
        }
        lines.join("\n")
    }
}

/// What may happen next.
#[derive(Clone, Copy, Debug)]
enum Choice {
    Hear,
    Send(usize),
    Receive(usize),
    Run(usize),
    Wait,
}

impl Choice {
    fn number(self) -> u64 {
        match self {
            Self::Hear => 1,
            Self::Wait => 2,
            Self::Send(at) => 3 + ((at as u64) << 8),
            Self::Receive(at) => 4 + ((at as u64) << 8),
            Self::Run(at) => 5 + ((at as u64) << 8),
        }
    }
}
