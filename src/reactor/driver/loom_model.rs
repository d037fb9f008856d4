//! Loom models of the driver's seat: callers, the I/O thread, and events that only whoever turns the loop can deliver.
//!
//! A model ends when everybody has got what they waited for. A lost offer, notice, errand or recall leaves somebody
//! asleep for ever, which loom reports as a deadlock. Time stands still here: nothing is rescued by the I/O thread's
//! looking every millisecond, so the models are stricter than life.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use loom::model::Builder;
use loom::thread;

use super::super::waiter::{Kick, Waiter};
use super::{Driver, Shift};
use crate::sync::{Condvar, Mutex};

/// What the system knows: events that are still to be reported, and whether the poll was kicked.
#[derive(Default)]
struct System {
    state: Mutex<Pending>,
    changed: Condvar,
    /// The poll's own descriptor has become readable.
    edge: Condvar,
}

#[derive(Default)]
struct Pending {
    events: VecDeque<Arc<Client>>,
    kicked: bool,
    edge: bool,
    /// No attendant is needed any more.
    over: bool,
}

impl Kick for System {
    fn kick(&self) {
        let mut state = self.state.lock();
        (state.kicked, state.edge) = (true, true);
        drop(state);
        self.changed.notify_one();
        self.edge.notify_one();
    }
}

impl System {
    fn report(&self, client: &Arc<Client>) {
        let mut state = self.state.lock();
        state.events.push_back(Arc::clone(client));
        state.edge = true;
        drop(state);
        self.changed.notify_one();
        self.edge.notify_one();
    }

    /// Waits as an executor does for the descriptor; false when all is over.
    fn wait_for_edge(&self) -> bool {
        let mut state = self.state.lock();
        while !state.edge && !state.over {
            state = self.edge.wait(state, None);
        }
        state.edge = false;
        !state.over
    }

    fn end(&self) {
        self.state.lock().over = true;
        self.edge.notify_one();
    }

    /// Blocks as a poll does: until there is an event or a kick, or not at all.
    fn poll(&self, block: bool) -> Option<Arc<Client>> {
        let mut state = self.state.lock();
        while block && state.events.is_empty() && !state.kicked {
            state = self.changed.wait(state, None);
        }
        state.kicked = false;
        state.events.pop_front()
    }
}

/// Somebody for whom messages come: a thread that waits, or a task that only looks.
struct Client {
    waiter: Arc<Waiter>,
    messages: Mutex<usize>,
    arrived: Condvar,
}

impl Client {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            waiter: Waiter::new(),
            messages: Mutex::new(0),
            arrived: Condvar::new(),
        })
    }

    fn deliver(&self) {
        *self.messages.lock() += 1;
        self.arrived.notify_one();
        self.waiter.notify();
    }

    /// Sleeps as a task does, which turns nothing.
    fn sleep(&self) {
        let mut messages = self.messages.lock();
        while *messages == 0 {
            messages = self.arrived.wait(messages, None);
        }
    }
}

/// The event loop of the model.
struct Loop;

type Seat = Driver<Loop>;

struct World {
    system: Arc<System>,
    kick: Arc<dyn Kick>,
    driver: Seat,
}

impl World {
    fn new() -> Arc<Self> {
        let system = Arc::new(System::default());
        let kick = Arc::clone(&system) as Arc<dyn Kick>;
        Arc::new(Self {
            driver: Driver::new(Loop, Arc::clone(&kick)),
            system,
            kick,
        })
    }

    /// One turn of the loop, by a caller or by the I/O thread.
    fn turn(&self, waiter: Option<&Arc<Waiter>>, block: bool) {
        if let Some(waiter) = waiter {
            let seat = self.driver.seat.lock();
            let in_line = seat.line.iter().any(|other| Arc::ptr_eq(other, waiter));
            drop(seat);
            assert!(!in_line, "the driver waits for its own seat");
        }
        let event = match waiter {
            Some(waiter) => {
                let block = block && waiter.begin_poll(&self.kick);
                let event = self.system.poll(block);
                waiter.end_poll();
                event
            }
            None => self.system.poll(block),
        };
        if let Some(client) = event {
            client.deliver();
        }
    }

    /// Waits for messages one after the other, as a blocking verb does.
    fn receive(&self, client: &Client, count: usize) {
        for _ in 0..count {
            while *client.messages.lock() == 0 {
                self.wait(client, None);
            }
            *client.messages.lock() -= 1;
        }
    }

    fn wait(&self, client: &Client, deadline: Option<Instant>) {
        let attended = self.driver.wait(&client.waiter, deadline, |_, _| {
            self.turn(Some(&client.waiter), true);
        });
        self.rest_if(attended);
    }

    fn rest_if(&self, attended: bool) {
        if attended && self.driver.rest(None) {
            self.kick.kick();
        }
    }

    fn give_back(&self, event_loop: Loop) {
        let attended = self.driver.leave(event_loop);
        self.rest_if(attended);
    }

    fn turn_once(&self, event_loop: Loop) {
        self.turn(None, false);
        self.give_back(event_loop);
    }

    /// What an attendant does until all is over. It takes one event for each edge, unless there are more.
    fn run_attendant(&self) {
        while self.system.wait_for_edge() {
            if let Some(event_loop) = self.driver.visit() {
                self.turn(None, false);
                self.turn(None, false);
                self.give_back(event_loop);
            }
        }
    }

    /// What the I/O thread does, ticks counted.
    fn run_io_thread(&self, ticks: &Mutex<usize>) {
        let mut seen = 0;
        loop {
            match self.driver.next_shift(&mut seen) {
                Shift::Drive(event_loop) => {
                    while !self.driver.is_recalled() {
                        self.turn(None, true);
                    }
                    self.give_back(event_loop);
                }
                Shift::Turn(event_loop) => self.turn_once(event_loop),
                Shift::Tick => {
                    *ticks.lock() += 1;
                    self.driver.set_bursting(false);
                    if let Some(event_loop) = self.driver.borrow() {
                        self.turn_once(event_loop);
                    }
                }
                Shift::Idle => {}
                Shift::Stop => return,
            }
        }
    }

    /// The seat rests and nobody waits for it.
    fn assert_at_rest(&self) {
        let seat = self.driver.seat.lock();
        assert!(seat.event_loop.is_some(), "the loop is back in its seat");
        assert!(seat.line.is_empty(), "nobody is left in line");
    }
}

/// Explores with at most this many preemptions: mistakes in hand-overs show with two or three.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    let runs = std::sync::atomic::AtomicUsize::new(0);
    let runs: &'static _ = Box::leak(Box::new(runs));
    builder.check(move || {
        runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    eprintln!(
        "RUNS {} {:?}",
        runs.load(std::sync::atomic::Ordering::Relaxed),
        std::thread::current().name()
    );
}

#[test]
fn two_callers_hand_the_seat_to_each_other() {
    explore(3, || {
        let world = World::new();
        let (one, two) = (Client::new(), Client::new());
        for client in [&two, &one, &two, &one] {
            world.system.report(client);
        }
        let other = {
            let (world, two) = (Arc::clone(&world), Arc::clone(&two));
            thread::spawn(move || world.receive(&two, 2))
        };
        world.receive(&one, 2);
        other.join().unwrap();
        world.assert_at_rest();
    });
}

#[test]
fn a_late_offer_does_not_confuse_the_line() {
    // An offer on its way to somebody who has left meanwhile, and comes back, takes some preemptions to make.
    explore(4, || {
        let world = World::new();
        let (one, two) = (Client::new(), Client::new());
        for client in [&two, &one, &two, &one, &two] {
            world.system.report(client);
        }
        let other = {
            let (world, two) = (Arc::clone(&world), Arc::clone(&two));
            thread::spawn(move || world.receive(&two, 3))
        };
        world.receive(&one, 2);
        other.join().unwrap();
        world.assert_at_rest();
    });
}

#[test]
fn three_callers_leave_nobody_behind() {
    explore(2, || {
        let world = World::new();
        let clients = [Client::new(), Client::new(), Client::new()];
        let [one, two, three] = &clients;
        for client in [two, one, three, two] {
            world.system.report(client);
        }
        let others = [(two, 2), (three, 1)].map(|(client, count)| {
            let (world, client) = (Arc::clone(&world), Arc::clone(client));
            thread::spawn(move || world.receive(&client, count))
        });
        world.receive(one, 1);
        others.into_iter().for_each(|other| other.join().unwrap());
        world.assert_at_rest();
    });
}

#[test]
fn a_caller_whose_time_is_up_passes_the_offer_on() {
    let now = Instant::now();
    explore(2, move || {
        let world = World::new();
        let clients = [Client::new(), Client::new(), Client::new()];
        let [one, two, hasty] = &clients;
        for client in [one, two] {
            world.system.report(client);
        }
        let other = {
            let (world, two) = (Arc::clone(&world), Arc::clone(two));
            thread::spawn(move || world.receive(&two, 1))
        };
        let late = {
            let (world, hasty) = (Arc::clone(&world), Arc::clone(hasty));
            thread::spawn(move || {
                world.wait(&hasty, Some(now));
                world.wait(&hasty, Some(now));
            })
        };
        world.receive(one, 1);
        other.join().unwrap();
        late.join().unwrap();
        world.assert_at_rest();
    });
}

#[test]
fn a_notice_from_elsewhere_ends_a_wait_in_the_seat_and_in_line() {
    explore(3, || {
        let world = World::new();
        let (one, two) = (Client::new(), Client::new());
        let others = [&one, &two].map(|client| {
            let (world, client) = (Arc::clone(&world), Arc::clone(client));
            thread::spawn(move || world.receive(&client, 1))
        });
        // Messages that come without the loop: over inproc, or from a caller that passes the word on.
        one.deliver();
        two.deliver();
        others.into_iter().for_each(|other| other.join().unwrap());
        world.assert_at_rest();
    });
}

#[test]
fn the_io_thread_gives_way_to_callers_and_stops_when_told() {
    explore(2, || {
        let world = World::new();
        let one = Client::new();
        let ticks = Arc::new(Mutex::new(0));
        let io_thread = {
            let (world, ticks) = (Arc::clone(&world), Arc::clone(&ticks));
            thread::spawn(move || world.run_io_thread(&ticks))
        };
        world.system.report(&one);
        world.receive(&one, 1);
        world.driver.stop();
        io_thread.join().unwrap();
        world.assert_at_rest();
    });
}

#[test]
fn an_errand_is_never_forgotten() {
    explore(2, || {
        let world = World::new();
        let (caller, task) = (Client::new(), Client::new());
        let ticks = Arc::new(Mutex::new(0));
        let io_thread = {
            let (world, ticks) = (Arc::clone(&world), Arc::clone(&ticks));
            thread::spawn(move || world.run_io_thread(&ticks))
        };
        let waiting = {
            let (world, caller) = (Arc::clone(&world), Arc::clone(&caller));
            thread::spawn(move || world.receive(&caller, 1))
        };
        world.system.report(&caller);
        world.driver.add_errand();
        world.system.report(&task);
        task.sleep();
        world.driver.remove_errand();
        waiting.join().unwrap();
        world.driver.stop();
        io_thread.join().unwrap();
        world.assert_at_rest();
    });
}

#[test]
fn a_burst_is_ticked_whoever_drives() {
    explore(2, || {
        let world = World::new();
        let caller = Client::new();
        let ticks = Arc::new(Mutex::new(0));
        let io_thread = {
            let (world, ticks) = (Arc::clone(&world), Arc::clone(&ticks));
            thread::spawn(move || world.run_io_thread(&ticks))
        };
        let waiting = {
            let (world, caller) = (Arc::clone(&world), Arc::clone(&caller));
            thread::spawn(move || world.receive(&caller, 1))
        };
        world.driver.set_bursting(true);
        world.system.report(&caller);
        while *ticks.lock() == 0 {
            // The only clock of these models: what a tick waits for is over now.
            world.driver.io_thread.notify_one();
            thread::yield_now();
        }
        waiting.join().unwrap();
        world.driver.stop();
        io_thread.join().unwrap();
        world.assert_at_rest();
    });
}

#[test]
fn an_attendant_is_called_again_by_whoever_kept_it_out() {
    explore(3, || {
        let world = World::new();
        let (caller, task) = (Client::new(), Client::new());
        assert!(world.driver.attend());
        let attendant = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.run_attendant())
        };
        let waiting = {
            let (world, caller) = (Arc::clone(&world), Arc::clone(&caller));
            thread::spawn(move || world.receive(&caller, 1))
        };
        world.system.report(&caller);
        world.system.report(&task);
        task.sleep();
        waiting.join().unwrap();
        world.system.end();
        attendant.join().unwrap();
        world.assert_at_rest();
    });
}

#[test]
fn the_io_thread_takes_over_from_an_attendant_that_left() {
    explore(2, || {
        let world = World::new();
        let task = Client::new();
        let ticks = Arc::new(Mutex::new(0));
        assert!(world.driver.attend());
        let io_thread = {
            let (world, ticks) = (Arc::clone(&world), Arc::clone(&ticks));
            thread::spawn(move || world.run_io_thread(&ticks))
        };
        world.driver.add_errand();
        world.driver.unattend();
        world.system.report(&task);
        task.sleep();
        world.driver.remove_errand();
        world.driver.stop();
        io_thread.join().unwrap();
        world.assert_at_rest();
    });
}
