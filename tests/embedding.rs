//! Sockets in an event loop of somebody else's, here one of `mio`'s, which is told of edges only.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::io::Write;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use aqueduct::{Event, Interest, Notifier, Poller, Pull, Push, ReadyList, Rep, Req, TryRecvError};
use mio::net::UnixStream;
use mio::unix::SourceFd;
use mio::{Events, Poll, Token};
use support::*;

/// The loop of an application that knows nothing of messages.
struct Loop {
    poll: Poll,
    events: Events,
}

impl Loop {
    fn new() -> Self {
        Self {
            poll: Poll::new().unwrap(),
            events: Events::with_capacity(8),
        }
    }

    fn with(notifier: &Notifier) -> Self {
        let this = Self::new();
        this.add(notifier, 0);
        this
    }

    fn add(&self, notifier: &Notifier, token: usize) {
        let interest = mio::Interest::READABLE;
        self.poll
            .registry()
            .register(&mut SourceFd(&notifier.as_raw_fd()), Token(token), interest)
            .unwrap();
    }

    /// The tokens of what the system reports, waiting until there is something.
    fn turn(&mut self) -> Vec<usize> {
        self.poll.poll(&mut self.events, Some(LONG)).unwrap();
        assert!(!self.events.is_empty(), "the loop was not told");
        self.events.iter().map(|event| event.token().0).collect()
    }

    fn is_quiet(&mut self) -> bool {
        self.poll.poll(&mut self.events, Some(Duration::ZERO)).unwrap();
        self.events.is_empty()
    }
}

/// A level-triggered look at a notifier.
fn is_readable(notifier: &Notifier) -> bool {
    let poller = Poller::new();
    poller.add_fd(notifier, 0, Interest::READABLE).unwrap();
    poller.wait(&mut ReadyList::default(), Some(Duration::ZERO)) == 1
}

#[test]
fn a_loop_receives_all_whether_it_drains_or_takes_one_at_a_time() {
    const COUNT: usize = 500;
    for transport in Transport::ALL {
        for at_once in [1, 7, usize::MAX] {
            let (push, pull) = (Push::new(), Pull::new());
            marry(&push, &pull, transport);
            let notifier = Notifier::new(&pull, Interest::READABLE).unwrap();
            let mut application = Loop::with(&notifier);
            assert!(application.is_quiet(), "nothing was sent");
            let sender = thread::spawn(move || {
                for at in 0..COUNT {
                    push.send(at.to_string()).unwrap();
                }
                push
            });
            let mut received = Vec::new();
            while received.len() < COUNT {
                application.turn();
                received.extend((0..at_once).map_while(|_| pull.try_recv().ok()));
                notifier.rearm();
            }
            assert!((0..COUNT).map(|at| at.to_string()).eq(received.iter().map(text)));
            sender.join().unwrap();
        }
    }
}

#[test]
fn a_notifier_is_readable_as_long_as_the_socket_is_if_it_is_rearmed() {
    let (push, pull) = (Push::new(), Pull::new());
    marry(&push, &pull, Transport::Inproc);
    let notifier = Notifier::new(&pull, Interest::READABLE).unwrap();
    assert!(!is_readable(&notifier) && !notifier.rearm());
    send_all(&push, ["one", "two"]);
    assert!(is_readable(&notifier));
    assert!(notifier.rearm() && is_readable(&notifier), "nothing was done");
    assert_eq!(pull.try_recv().unwrap(), "one");
    assert!(notifier.rearm() && is_readable(&notifier), "there is another");
    assert_eq!(pull.try_recv().unwrap(), "two");
    assert!(is_readable(&notifier), "it does not know before it is rearmed");
    assert!(!notifier.rearm() && !is_readable(&notifier));
    send_all(&push, ["three"]);
    assert!(is_readable(&notifier));
    let late = Notifier::new(&pull, Interest::READABLE).unwrap();
    assert!(is_readable(&late), "what was there before it counts");
}

#[test]
fn a_loop_is_told_when_there_is_room_again() {
    let push = Push::builder().send_hwm(2).build();
    let notifier = Notifier::new(&push, Interest::WRITABLE).unwrap();
    let mut application = Loop::with(&notifier);
    assert!(application.is_quiet(), "there is no peer");
    let pull = Pull::builder().recv_hwm(2).build();
    marry(&push, &pull, Transport::Inproc);
    application.turn();
    let sent = fill(&push);
    assert!(!notifier.rearm() && application.is_quiet());
    recv_texts(&pull, sent);
    application.turn();
    push.try_send("more").unwrap();
}

#[test]
fn a_loop_is_told_when_a_socket_is_closed() {
    let pull = Pull::new();
    let notifier = Notifier::new(&pull, Interest::READABLE).unwrap();
    let mut application = Loop::with(&notifier);
    let other = pull.clone();
    thread::scope(|scope| {
        scope.spawn(|| other.close());
        application.turn();
    });
    assert!(notifier.rearm());
    assert!(matches!(pull.try_recv(), Err(TryRecvError::Closed)));
}

#[test]
fn a_notifier_does_not_keep_a_socket_open() {
    let (push, pull) = (Push::new(), Pull::new());
    marry(&push, &pull, Transport::Tcp);
    let notifier = Notifier::new(&pull, Interest::READABLE).unwrap();
    let monitor = push.monitor();
    drop(pull);
    assert!(is_readable(&notifier));
    await_event(&monitor, "the end of the connection", |event| {
        matches!(event, Event::Disconnected { .. }).then_some(())
    });
}

#[test]
fn what_was_sent_in_a_burst_leaves_though_nobody_blocks_in_a_verb() {
    const COUNT: usize = 3000;
    let push = Push::builder().send_hwm(2 * COUNT).build();
    let pull = Pull::builder().recv_hwm(2 * COUNT).build();
    marry(&push, &pull, Transport::Tcp);
    let notifier = Notifier::new(&pull, Interest::READABLE).unwrap();
    let mut application = Loop::with(&notifier);
    for at in 0..COUNT {
        push.try_send(at.to_string()).unwrap();
    }
    let mut received = 0;
    while received < COUNT {
        application.turn();
        while pull.try_recv().is_ok() {
            received += 1;
        }
        notifier.rearm();
    }
}

#[test]
fn one_loop_runs_a_client_a_server_and_a_stream_of_its_own() {
    const CLIENT: usize = 0;
    const SERVER: usize = 1;
    const STREAM: usize = 2;
    const ROUNDS: usize = 20;
    let (req, rep) = (Req::new(), Rep::new());
    req.connect(rep.bind(Transport::Tcp.anywhere()).unwrap()).unwrap();
    let client = Notifier::new(&req, Interest::READABLE | Interest::WRITABLE).unwrap();
    let server = Notifier::new(&rep, Interest::READABLE).unwrap();
    let (mut near, mut far) = UnixStream::pair().unwrap();
    let mut application = Loop::new();
    application.add(&client, CLIENT);
    application.add(&server, SERVER);
    application
        .poll
        .registry()
        .register(&mut near, Token(STREAM), mio::Interest::READABLE)
        .unwrap();
    let (mut answers, mut streamed) = (0, false);
    while answers < ROUNDS || !streamed {
        for token in application.turn() {
            match token {
                CLIENT => {
                    if req.try_recv().is_ok() {
                        answers += 1;
                    }
                    // Refused when it is not its turn.
                    let _ = req.try_send("question");
                    client.rearm();
                }
                SERVER => {
                    while let Ok((_, reply)) = rep.try_recv() {
                        reply.send("answer").unwrap();
                        far.write_all(b"x").unwrap();
                    }
                    server.rearm();
                }
                _ => streamed = true,
            }
        }
    }
}
