//! One side goes away and comes back: messages flow again, and what the connecting side has queued is not lost.

use std::time::Duration;

use aqueduct::{Event, Monitor, Pull, Push};
use aqueduct_interop::{Bound, Classic, LONG, Via, Wiring, await_event, bounded, pull, push};
use zmq::SocketEvent;

const QUEUED: u32 = 200;

/// Comes back soon, so that the tests are short.
fn keen_push() -> Push {
    let builder = Push::builder().send_timeout(Some(LONG)).linger(Some(LONG));
    builder
        .reconnect_interval(Some(Duration::from_millis(20)))
        .build()
}

fn keen_pull() -> Pull {
    let builder = Pull::builder().recv_timeout(Some(LONG));
    builder
        .reconnect_interval(Some(Duration::from_millis(20)))
        .build()
}

fn await_loss(monitor: &Monitor) -> u64 {
    await_event(monitor, "loss of the connection", |event| match event {
        Event::Disconnected { in_doubt, .. } => Some(*in_doubt),
        _ => None,
    })
}

/// Runs a script over both transports.
fn each(script: impl Fn(Via) + Send + 'static) {
    bounded(move || {
        for via in Via::ALL {
            println!("{via:?}");
            script(via);
        }
    });
}

#[test]
fn our_push_keeps_its_queue_while_a_bound_classic_pull_restarts() {
    each(|via| {
        let push = keen_push();
        let monitor = push.monitor();
        let pull = Classic::new(zmq::PULL);
        let wired = Wiring {
            via,
            bound: Bound::Classic,
        }
        .outwards(&push, &pull);
        push.send("before").unwrap();
        assert_eq!(pull.recv(), b"before");
        drop(pull);
        assert_eq!(await_loss(&monitor), 1, "the one that was handed over");
        (0..QUEUED).for_each(|number| push.send(number.to_be_bytes()).unwrap());
        assert_eq!(push.stats().total.queued, u64::from(QUEUED));

        let pull = Classic::new(zmq::PULL);
        assert_eq!(pull.bind(&wired.endpoint), wired.endpoint);
        for number in 0..QUEUED {
            assert_eq!(pull.recv(), number.to_be_bytes());
        }
        push.send("after").unwrap();
        assert_eq!(pull.recv(), b"after");
        let total = push.stats().total;
        assert_eq!((total.in_doubt, total.reconnects), (1, 1), "{total:?}");
        assert!(total.adds_up(), "{total:?}");
    });
}

#[test]
fn a_classic_push_keeps_its_queue_while_our_bound_pull_restarts() {
    each(|via| {
        let ours = pull();
        let push = Classic::new(zmq::PUSH);
        let witness = push.witness();
        let wired = Wiring {
            via,
            bound: Bound::Ours,
        }
        .inwards(&push, &ours);
        push.send(b"before");
        assert_eq!(ours.recv().unwrap(), "before");
        drop(ours.close());
        witness.expect(SocketEvent::DISCONNECTED);
        (0..QUEUED).for_each(|number| push.send(&number.to_be_bytes()));

        let ours = pull();
        ours.bind(&wired.endpoint).unwrap();
        for number in 0..QUEUED {
            assert_eq!(ours.recv().unwrap(), number.to_be_bytes());
        }
        push.send(b"after");
        assert_eq!(ours.recv().unwrap(), "after");
    });
}

#[test]
fn our_connecting_pull_finds_a_classic_push_again() {
    each(|via| {
        let pull = keen_pull();
        let monitor = pull.monitor();
        let push = Classic::new(zmq::PUSH);
        let wired = Wiring {
            via,
            bound: Bound::Classic,
        }
        .inwards(&push, &pull);
        push.send(b"before");
        push.send(b"left behind");
        assert_eq!(pull.recv().unwrap(), "before");
        drop(push);
        await_loss(&monitor);

        let push = Classic::new(zmq::PUSH);
        assert_eq!(push.bind(&wired.endpoint), wired.endpoint);
        push.send(b"after");
        // What had come in before the loss can still be read, and first.
        assert_eq!(pull.recv().unwrap(), "left behind");
        assert_eq!(pull.recv().unwrap(), "after");
        assert_eq!(pull.stats().total.reconnects, 1);
    });
}

#[test]
fn a_connecting_classic_pull_finds_our_push_again() {
    each(|via| {
        let ours = push();
        let pull = Classic::new(zmq::PULL);
        let witness = pull.witness();
        let wired = Wiring {
            via,
            bound: Bound::Ours,
        }
        .outwards(&ours, &pull);
        ours.send("before").unwrap();
        assert_eq!(pull.recv(), b"before");
        let report = ours.close();
        assert_eq!(report.total.handed.messages, 1);
        witness.expect(SocketEvent::DISCONNECTED);

        let ours = push();
        ours.bind(&wired.endpoint).unwrap();
        for number in 0..QUEUED {
            // Waits for the peer: there is nowhere to queue until it has come.
            ours.send(number.to_be_bytes()).unwrap();
            assert_eq!(pull.recv(), number.to_be_bytes());
        }
    });
}

#[test]
fn a_classic_pull_that_connects_anew_is_served_by_our_bound_push() {
    each(|via| {
        let push = push();
        let monitor = push.monitor();
        let pull = Classic::new(zmq::PULL);
        let wired = Wiring {
            via,
            bound: Bound::Ours,
        }
        .outwards(&push, &pull);
        push.send("before").unwrap();
        assert_eq!(pull.recv(), b"before");
        drop(pull);
        assert_eq!(await_loss(&monitor), 1);

        let pull = Classic::new(zmq::PULL);
        pull.connect(&wired.endpoint);
        push.send("after").unwrap();
        assert_eq!(pull.recv(), b"after");
        let total = push.stats().total;
        assert_eq!((total.handed.messages, total.in_doubt), (2, 1), "{total:?}");
    });
}

#[test]
fn our_pull_that_connects_anew_is_served_by_a_bound_classic_push() {
    each(|via| {
        let push = Classic::new(zmq::PUSH);
        let witness = push.witness();
        let ours = pull();
        let wired = Wiring {
            via,
            bound: Bound::Classic,
        }
        .inwards(&push, &ours);
        push.send(b"before");
        assert_eq!(ours.recv().unwrap(), "before");
        drop(ours);
        witness.expect(SocketEvent::DISCONNECTED);
        // libzmq tells of the loss before it lets go of the queue, and loses what it still puts there.
        push.await_no_peer();

        let ours = pull();
        ours.connect(&wired.endpoint).unwrap();
        for number in 0..QUEUED {
            push.send(&number.to_be_bytes());
            assert_eq!(ours.recv().unwrap(), number.to_be_bytes());
        }
    });
}

#[test]
fn either_side_may_restart_many_times() {
    each(|via| {
        let (anywhere, _home) = via.anywhere();
        let first = Classic::new(zmq::PULL);
        let endpoint = first.bind(&anywhere);
        let push = keen_push();
        let monitor = push.monitor();
        push.connect(&endpoint).unwrap();
        let mut pull = Some(first);
        for round in 0..10u32 {
            let reader = pull.take().unwrap_or_else(|| {
                let pull = Classic::new(zmq::PULL);
                assert_eq!(pull.bind(&endpoint), endpoint);
                pull
            });
            for number in 0..50u32 {
                push.send([round.to_be_bytes(), number.to_be_bytes()].concat())
                    .unwrap();
            }
            for number in 0..50u32 {
                assert_eq!(
                    reader.recv(),
                    [round.to_be_bytes(), number.to_be_bytes()].concat()
                );
            }
            drop(reader);
            assert_eq!(await_loss(&monitor), 50);
        }
        let total = push.stats().total;
        assert_eq!(
            (total.handed.messages, total.in_doubt, total.reconnects),
            (500, 500, 9),
            "{total:?}"
        );
    });
}
