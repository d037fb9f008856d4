//! Loom models of a pipe: its two ends on threads of their own, each owner a stub that sleeps until it is woken.
//!
//! A lost wake-up leaves a thread asleep for ever, which loom reports as a deadlock.

use std::sync::{Arc, Weak};

use loom::model::Builder;
use loom::thread;

use super::ring::PushError;
use super::*;
use crate::Message;
use crate::sync::{Condvar, Mutex};

/// An owner that does nothing but sleep until it is told.
struct Side {
    end: Mutex<PipeEnd>,
    told: Mutex<Told>,
    bell: Condvar,
}

#[derive(Default)]
struct Told {
    read: bool,
    write: bool,
}

impl Owner for Side {
    fn activate_read(self: Arc<Self>, _pipe: usize) {
        self.told.lock().read = true;
        self.bell.notify_one();
    }

    fn activate_write(self: Arc<Self>, _pipe: usize) {
        self.told.lock().write = true;
        self.bell.notify_one();
    }
}

impl Side {
    fn new(end: PipeEnd) -> Arc<Self> {
        let side = Arc::new(Self {
            end: Mutex::new(end),
            told: Mutex::new(Told::default()),
            bell: Condvar::new(),
        });
        side.own();
        side
    }

    fn own(self: &Arc<Self>) {
        let owner = Arc::clone(self) as Arc<dyn Owner>;
        self.end.lock().set_owner(Some(Address { owner, pipe: 0 }));
    }

    fn sleep(&self, flag: impl Fn(&mut Told) -> &mut bool) {
        let mut told = self.told.lock();
        while !std::mem::take(flag(&mut told)) {
            told = self.bell.wait(told, None);
        }
    }

    /// Sends numbered messages, sleeping while the pipe is full; returns how many were accepted.
    fn send(&self, count: u8) -> u8 {
        for number in 0..count {
            loop {
                let pushed = self.end.lock().push(Message::from([number]));
                match pushed {
                    Ok(wake) => {
                        fire_all(wake);
                        break;
                    }
                    Err(PushError::Full) => self.sleep(|told| &mut told.write),
                    Err(PushError::Closed) => return number,
                }
            }
        }
        count
    }

    fn pop(&self) -> Option<u8> {
        let mut wakes = Wakes::new();
        let message = self.end.lock().pop(&mut wakes);
        wakes.fire();
        message.map(|message| message[0][0])
    }

    /// Receives so many messages, in order from `first` on, sleeping while there are none.
    fn receive(&self, first: u8, count: u8) {
        for number in first..first + count {
            let got = loop {
                match self.pop() {
                    Some(got) => break got,
                    None => self.sleep(|told| &mut told.read),
                }
            };
            assert_eq!(got, number);
        }
    }

    /// Receives until the other end has said that nothing more comes; returns how many came.
    fn receive_all(&self) -> u8 {
        for number in 0.. {
            let got = loop {
                if let Some(got) = self.pop() {
                    break got;
                }
                if self.end.lock().is_finished() {
                    return number;
                }
                self.sleep(|told| &mut told.read);
            };
            assert_eq!(got, number);
        }
        0
    }
}

fn pipe(messages: usize, bytes: usize) -> (PipeEnd, PipeEnd) {
    let limits = PipeLimits {
        send: Limits::new(messages, bytes),
        recv: Limits::new(0, 0),
    };
    pair(limits)
}

fn sides(messages: usize, bytes: usize) -> (Arc<Side>, Arc<Side>) {
    let (near, far) = pipe(messages, bytes);
    (Side::new(near), Side::new(far))
}

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
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

fn pass(messages: usize, bytes: usize, count: u8) {
    explore(move || {
        let (near, far) = sides(messages, bytes);
        let reader = thread::spawn(move || far.receive(0, count));
        near.send(count);
        reader.join().unwrap();
    });
}

#[test]
fn messages_pass_a_ring_of_one() {
    pass(1, 0, 3);
}

#[test]
fn messages_pass_a_ring_of_two() {
    pass(2, 0, 4);
}

#[test]
fn messages_pass_a_ring_bounded_by_bytes() {
    pass(0, 2 * (crate::message::FRAME_OVERHEAD + 1), 4);
}

#[test]
fn a_reader_gets_all_that_came_before_the_end() {
    explore(|| {
        let (near, far) = sides(2, 0);
        let reader = thread::spawn(move || far.receive_all());
        near.send(3);
        let wake = near.end.lock().finish();
        fire_all(wake);
        assert_eq!(reader.join().unwrap(), 3);
    });
}

#[test]
fn a_writer_learns_that_the_reader_is_gone_and_gets_the_rest_back() {
    explore(|| {
        let (near, far) = sides(2, 0);
        let reader = thread::spawn(move || {
            far.receive(0, 1);
            let wakes = far.end.lock().close();
            fire_all(wakes.into_iter().flatten());
        });
        let accepted = near.send(4);
        reader.join().unwrap();
        let mut end = near.end.lock();
        let rest = end.reclaim();
        assert_eq!(usize::from(accepted), 1 + rest.load().messages as usize);
        assert!(rest.zip(1..).all(|(message, number)| message[0][0] == number));
        assert_eq!(end.traffic().queued, 0);
    });
}

#[test]
fn a_reader_that_rests_leaves_everything_to_the_next() {
    explore(|| {
        let (near, far) = sides(2, 0);
        let reader = thread::spawn(move || {
            far.receive(0, 1);
            let wake = far.end.lock().rest();
            fire_all(wake);
            far.own();
            far.receive(1, 3);
        });
        near.send(4);
        reader.join().unwrap();
    });
}

/// A session as far as gathering goes: what it writes, whether the system takes it, and whether a burst is on. It does
/// step by step what `reactor::session::outbound` does.
struct Session {
    state: Mutex<SessionState>,
    socket: Weak<Socket>,
}

struct SessionState {
    end: PipeEnd,
    /// The system takes nothing, and will say when it does.
    blocked: bool,
    unsent: usize,
    written: Vec<u8>,
    gathering: bool,
    active: bool,
}

struct Socket {
    end: Mutex<PipeEnd>,
}

impl Owner for Socket {
    fn activate_read(self: Arc<Self>, _pipe: usize) {}
    fn activate_write(self: Arc<Self>, _pipe: usize) {}
}

impl Owner for Session {
    fn activate_read(self: Arc<Self>, _pipe: usize) {
        self.run(Self::flush);
    }

    fn activate_write(self: Arc<Self>, _pipe: usize) {}
}

impl Session {
    fn run(&self, work: impl FnOnce(&Self, &mut SessionState, &mut Wakes)) {
        let mut wakes = Wakes::new();
        work(self, &mut self.state.lock(), &mut wakes);
        wakes.fire();
    }

    fn flush(&self, state: &mut SessionState, wakes: &mut Wakes) {
        if state.unsent > 0 && state.blocked {
            return;
        }
        state.unsent = 0;
        while let Some(message) = state.end.pop(wakes) {
            state.written.push(message[0][0]);
            state.active = true;
            if state.blocked {
                state.unsent += 1;
            }
        }
        if state.unsent > 0 {
            state.end.doze();
        }
        wakes.extend(state.end.release());
    }

    fn tick(&self) -> bool {
        if self.was_active() {
            return true;
        }
        self.publish();
        self.run(Self::flush);
        if self.was_active() {
            return true;
        }
        self.run(|session, state, wakes| {
            state.gathering = false;
            state.end.set_sleep(WakeReader::OnPush);
            session.flush(state, wakes);
        });
        self.publish();
        false
    }

    fn was_active(&self) -> bool {
        std::mem::take(&mut self.state.lock().active)
    }

    fn publish(&self) {
        if let Some(socket) = self.socket.upgrade() {
            let wake = socket.end.lock().publish();
            fire_all(wake);
        }
    }

    fn unblock(&self) {
        self.run(|session, state, wakes| {
            state.blocked = false;
            session.flush(state, wakes);
        });
    }
}

/// A socket and a session in the middle of a burst.
fn burst(blocked: bool) -> (Arc<Socket>, Arc<Session>) {
    let (near, mut far) = pipe(5, 0);
    far.set_sleep(WakeReader::AtBytes(64));
    let socket = Arc::new(Socket {
        end: Mutex::new(near),
    });
    let session = Arc::new(Session {
        state: Mutex::new(SessionState {
            end: far,
            blocked,
            unsent: 0,
            written: Vec::new(),
            gathering: true,
            active: false,
        }),
        socket: Arc::downgrade(&socket),
    });
    let address = |owner| Some(Address { owner, pipe: 0 });
    socket.end.lock().set_owner(address(Arc::clone(&socket) as _));
    session
        .state
        .lock()
        .end
        .set_owner(address(Arc::clone(&session) as _));
    (socket, session)
}

/// Sends while the burst is ticked to its end and perhaps longer: nothing may stay behind.
fn end_of_a_burst(blocked: bool) {
    explore(move || {
        const COUNT: u8 = 4;
        let (socket, session) = burst(blocked);
        if blocked {
            // The first message is what the system does not take.
            let wake = socket.end.lock().push(Message::from([0])).unwrap();
            fire_all(wake);
            session.run(Session::flush);
        }
        let sender = {
            let socket = Arc::clone(&socket);
            thread::spawn(move || {
                for number in u8::from(blocked)..COUNT {
                    let wake = socket.end.lock().push(Message::from([number])).unwrap();
                    fire_all(wake);
                }
            })
        };
        let peer = {
            let session = Arc::clone(&session);
            thread::spawn(move || session.unblock())
        };
        while session.tick() {}
        peer.join().unwrap();
        sender.join().unwrap();
        let state = session.state.lock();
        assert_eq!(state.written, (0..COUNT).collect::<Vec<_>>());
        assert!(!state.gathering);
    });
}

#[test]
fn the_end_of_a_burst_leaves_nothing_behind() {
    end_of_a_burst(false);
}

#[test]
fn the_end_of_a_burst_that_is_held_up_leaves_nothing_behind() {
    end_of_a_burst(true);
}
