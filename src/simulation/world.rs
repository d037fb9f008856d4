//! The world: sockets, connections, time, and the one thing that happens next.

use std::time::{Duration, Instant};

use super::application::Desk;
use super::bell::{Call, Calls, Who};
use super::ledger::{Ledger, Place, Sights};
use super::link::Link;
use super::node::Node;
use super::plan::{Joint, Plan};
use super::rng::{Rng, mix};
use super::session::{Hold, Session};

/// The time between ticks of a burst.
pub(super) const TICK: Duration = Duration::from_micros(100);

/// How long a world may take to come to rest once it is left in peace; two stalled connections fit.
const PATIENCE: Duration = Duration::from_secs(150);

/// The most that a fuzzer makes happen.
const MAX_STEPS: usize = 5_000;

/// Two sockets of which one connects to the other, for ever.
pub(super) struct Route {
    pub(super) joint: Joint,
    /// The pipe of the one that connects, between two connections.
    pub(super) rest: Option<Hold>,
    pub(super) retry_at: Duration,
    pub(super) connected: bool,
}

/// A connection; its sessions are 2n (of the socket that connects) and 2n + 1, and so are their inputs.
pub(super) struct Conn {
    pub(super) route: usize,
    /// What became of the messages that each session wrote is not known.
    pub(super) broken: [bool; 2],
}

/// A place for a socket, and those that come after it.
pub(super) struct Slot {
    pub(super) node: Box<dyn Node>,
    /// When the socket that is closing gives up.
    pub(super) linger: Option<Duration>,
    /// When another one takes its place.
    pub(super) reborn_at: Option<Duration>,
    /// None will.
    pub(super) dead: bool,
}

/// Everything there is.
pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) start: Instant,
    pub(super) now: Duration,
    pub(super) plan: Plan,
    pub(super) slots: Vec<Slot>,
    pub(super) routes: Vec<Route>,
    pub(super) conns: Vec<Conn>,
    pub(super) sessions: Vec<Session>,
    pub(super) links: Vec<Link>,
    pub(super) calls: Calls,
    pub(super) ledger: Ledger,
    pub(super) next_tick: Duration,
    /// Bytes may be damaged on the way.
    pub(super) dirty: bool,
    pub(super) peaceful: bool,
    trace: u64,
}

impl World {
    #[cfg(test)]
    pub(super) fn new(seed: u64) -> Self {
        Self::build(seed, Rng::new(seed))
    }

    /// A world in which what happens is chosen by these bytes.
    pub(super) fn steered(bytes: &[u8]) -> Self {
        Self::build(0, Rng::steered(bytes))
    }

    fn build(seed: u64, mut rng: Rng) -> Self {
        let plan = Plan::new(&mut rng);
        let mut ledger = Ledger::new(seed, &plan.kinds);
        let slots = plan.build(&mut ledger, &mut rng).into_iter().map(|node| Slot {
            node,
            linger: None,
            reborn_at: None,
            dead: false,
        });
        let routes = plan.routes.iter().map(|joint| Route {
            joint: *joint,
            rest: None,
            retry_at: Duration::ZERO,
            connected: false,
        });
        let mut world = Self {
            slots: slots.collect(),
            routes: routes.collect(),
            plan,
            ledger,
            start: Instant::now(),
            now: Duration::ZERO,
            conns: Vec::new(),
            sessions: Vec::new(),
            links: Vec::new(),
            calls: Calls::default(),
            next_tick: TICK,
            dirty: rng.one_in(4),
            peaceful: false,
            trace: 0,
            rng,
        };
        (0..world.slots.len()).for_each(|slot| world.dial_from(slot));
        world
    }

    /// Runs a world to its end, and returns the trace of all that happened, and what became of all messages.
    #[cfg(test)]
    pub(super) fn run(mut self) -> (u64, Sights) {
        let trouble = self.rng.between(100, 1500);
        for _ in 0..trouble {
            if self.rng.one_in(100) {
                self.disturb();
            }
            self.step();
        }
        self.finish()
    }

    /// Runs a world for as long as somebody chooses what happens, and then to its end.
    pub(super) fn run_as_chosen(mut self) {
        for _ in 0..MAX_STEPS {
            if self.rng.is_exhausted() {
                break;
            }
            if self.rng.one_in(30) {
                self.disturb();
            }
            self.step();
        }
        self.finish();
    }

    fn finish(mut self) -> (u64, Sights) {
        self.make_peace();
        self.come_to("rest", Self::step);
        self.check_missing();
        self.check_feeds();
        self.say_goodbye();
        self.come_to("an end", |world| {
            world.step();
            world.slots.iter().all(|slot| slot.node.is_closed())
        });
        self.check_missing();
        (self.trace, self.ledger.sights())
    }

    pub(super) fn come_to(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let patience = self.now + PATIENCE;
        while !done(self) {
            assert!(
                self.now < patience,
                "does not come to {what}: {}",
                self.describe()
            );
        }
    }

    /// Lets the one thing happen that the numbers choose, or time pass if there is none. Tells whether
    /// everything is at rest instead.
    pub(super) fn step(&mut self) -> bool {
        let mut choices = Vec::new();
        if !self.calls.is_empty() {
            choices.push(Choice::Hear);
            choices.push(Choice::Hear);
        }
        let may_act = !self.peaceful && self.rng.one_in(16);
        for (at, Slot { node, .. }) in self.slots.iter().enumerate() {
            choices.extend(node.can_send(self.peaceful).then_some(Choice::Send(at)));
            choices.extend(node.can_recv().then_some(Choice::Receive(at)));
            choices.extend((may_act && node.can_act()).then_some(Choice::Act(at)));
        }
        for (side, session) in self.sessions.iter().enumerate() {
            if session.alive && self.is_ready(side) {
                choices.push(Choice::Run(side));
            }
        }
        // A little time passes now and then; more of it only if there is nothing else to do.
        let idle = choices.is_empty();
        if idle {
            let nodes = self.slots.iter().map(|slot| &slot.node);
            nodes.for_each(|node| node.check_awake(&self.ledger));
        }
        if idle && self.peaceful && self.is_at_rest() {
            return true;
        }
        let most = if idle {
            Duration::MAX
        } else {
            Duration::from_micros(100)
        };
        if idle || self.rng.one_in(30) {
            choices.push(Choice::Wait);
        }
        let choice = self.rng.pick(&choices);
        self.note(choice.number());
        match choice {
            Choice::Hear => self.hear(),
            Choice::Send(slot) => self.at(slot, |node, desk| node.send(desk)),
            Choice::Receive(slot) => {
                let number = self.at(slot, |node, desk| node.recv(desk));
                self.note(number);
            }
            Choice::Act(slot) => self.at(slot, |node, desk| node.act(desk)),
            Choice::Run(side) => self.run_session(side),
            Choice::Wait => self.pass_time(most),
        }
        false
    }

    pub(super) fn note(&mut self, number: u64) {
        self.trace = mix(self.trace ^ mix(number ^ (self.now.as_micros() as u64) << 20));
    }

    /// Has a socket do something, and does what that has left to do.
    pub(super) fn at<T>(&mut self, slot: usize, work: impl FnOnce(&mut dyn Node, &mut Desk<'_>) -> T) -> T {
        let result = self.with_desk(slot, work);
        let (wakes, expelled) = self.with_desk(slot, |node, desk| {
            node.check_limits();
            node.settle(desk)
        });
        wakes.fire();
        for (side, reason) in expelled {
            self.end(side, &reason);
        }
        self.look_after_closed(slot);
        result
    }

    /// Has a socket do something.
    pub(super) fn with_desk<T>(
        &mut self,
        slot: usize,
        work: impl FnOnce(&mut dyn Node, &mut Desk<'_>) -> T,
    ) -> T {
        let mut desk = Desk {
            slot,
            ledger: &mut self.ledger,
            rng: &mut self.rng,
            plan: &self.plan,
        };
        work(self.slots[slot].node.as_mut(), &mut desk)
    }

    fn hear(&mut self) {
        let Some(call) = self.calls.pop() else { return };
        match call {
            Call {
                who: Who::Socket(slot),
                ..
            } => {
                if !self.slots[slot].node.is_closed() {
                    self.at(slot, |node, desk| node.hear(call, desk));
                }
            }
            Call {
                who: Who::Session(side),
                ..
            } if !self.sessions[side].alive => {}
            Call {
                who: Who::Session(side),
                read: true,
                ..
            } => {
                if !self.sessions[side].gathering && self.rng.one_in(4) {
                    let bytes = self.rng.pick(&[100, 4_000, 64_000]);
                    self.sessions[side].begin_gathering(bytes);
                }
                self.with(side, Session::flush);
            }
            Call {
                who: Who::Session(side),
                ..
            } => self.sessions[side].scheduled = true,
        }
    }

    fn is_ready(&self, side: usize) -> bool {
        let session = &self.sessions[side];
        let readable = !session.stalled && (self.links[side].is_readable(self.now) || session.has_leftover());
        let writable =
            session.draining.is_none() && (!session.unsent.is_empty() || session.connection.wants_transmit());
        session.scheduled || readable || (writable && self.links[side ^ 1].is_writable())
    }

    /// Everything is sent, and has arrived where it can.
    fn is_at_rest(&self) -> bool {
        let here = |slot: &&Slot| !slot.dead;
        let quiet = self
            .slots
            .iter()
            .filter(here)
            .all(|slot| slot.node.is_at_rest(&self.ledger));
        let moving = (0..self.sessions.len()).any(|side| self.sessions[side].alive && self.is_moving(side));
        let wanted = |route: &&Route| route.joint.ends.iter().all(|end| !self.slots[*end].dead);
        let joined = self.routes.iter().filter(wanted).all(|route| route.connected);
        quiet && !moving && joined && self.calls.is_empty()
    }

    fn is_moving(&self, side: usize) -> bool {
        let session = &self.sessions[side];
        !self.links[side].is_empty()
            || self.links[side].ended
            || session.has_leftover()
            || !session.unsent.is_empty()
            || session.hold.is_none()
    }

    /// From now on nothing goes wrong any more, and what is damaged is replaced.
    fn make_peace(&mut self) {
        self.check_books();
        self.peaceful = true;
        self.slots.iter_mut().for_each(|slot| slot.node.calm_down());
        for link in &mut self.links {
            link.damage = 0;
            link.frozen_until = Duration::ZERO;
        }
        for conn in 0..self.conns.len() {
            if self.is_damaged(conn) {
                self.cut(conn);
            }
        }
        for rival in self.plan.rivals.clone().into_iter().skip(1) {
            self.slots[rival].dead = true;
            self.kill(rival);
        }
    }

    /// All sockets close: every connection ends in good order.
    fn say_goodbye(&mut self) {
        for slot in 0..self.slots.len() {
            self.slots[slot].dead = true;
            self.close(slot);
        }
    }

    /// Every message is where the counters say, and none that is on its way is missing without a reason.
    pub(super) fn check_missing(&mut self) {
        self.check_books();
        for slot in 0..self.slots.len() {
            let missing = self.ledger.sent(slot, |place| match place {
                Place::Handed(side) => !self.conns[side / 2].broken[side % 2] && !self.is_damaged(side / 2),
                _ => false,
            });
            assert_eq!(missing, 0, "messages of socket {slot} are lost without a reason");
        }
    }

    /// Every message is where the counters say.
    pub(super) fn check_books(&mut self) {
        for slot in &mut self.slots {
            slot.node.check_books(&mut self.ledger);
        }
    }

    fn describe(&self) -> String {
        let mut lines = vec![format!(
            "{:?}, {:?}, {}",
            self.plan,
            self.now,
            self.calls.describe()
        )];
        for slot in &self.slots {
            lines.push(format!("socket: {}", slot.node.describe()));
        }
        for (side, session) in self.sessions.iter().enumerate() {
            if session.alive {
                let (ready, moving) = (self.is_ready(side), self.is_moving(side));
                let session = session.describe();
                lines.push(format!(
                    "session {side}: ready {ready}, moving {moving}, {session}"
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
    Act(usize),
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
            Self::Act(at) => 6 + ((at as u64) << 8),
        }
    }
}
