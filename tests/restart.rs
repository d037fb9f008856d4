//! Peers that are away: pauses between attempts, queues that wait for their return, and listeners that come back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use aqueduct::{DisconnectReason, Endpoint, Event, Message, Monitor, Pull, Push, TrySendError};
use support::{LONG, Transport, await_event};

const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(50);

/// A PUSH that comes back soon.
fn keen() -> Push {
    let builder = Push::builder().send_timeout(Some(LONG)).linger(Some(LONG));
    builder
        .reconnect_interval(Some(FIRST))
        .reconnect_interval_max(LONGEST)
        .build()
}

fn pull() -> Pull {
    Pull::builder().recv_timeout(Some(LONG)).build()
}

fn vacant_port() -> Endpoint {
    Transport::Tcp.vacant().0
}

fn await_loss(monitor: &Monitor) -> u64 {
    await_event(monitor, "loss of the connection", |event| match event {
        Event::Disconnected { in_doubt, .. } => Some(*in_doubt),
        _ => None,
    })
}

fn await_pause(monitor: &Monitor) -> Duration {
    await_event(monitor, "pause", |event| match event {
        Event::Retried { delay, .. } => Some(*delay),
        _ => None,
    })
}

/// A pause may be up to half shorter than it would be, and never longer.
fn assert_jittered(pause: Duration, full: Duration) {
    assert!(
        (full / 2..=full).contains(&pause),
        "{pause:?}, which should be {full:?} or up to half less"
    );
}

#[test]
fn pauses_between_attempts_double_up_to_the_longest() {
    let endpoint = vacant_port();
    let push = keen();
    let monitor = push.monitor();
    let start = Instant::now();
    push.connect(&endpoint).unwrap();
    let mut paused = Duration::ZERO;
    for full in [10, 20, 40, 50, 50, 50, 50].map(Duration::from_millis) {
        let failed = monitor.recv_timeout(LONG).unwrap();
        let reason = DisconnectReason::Io(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(
            failed,
            Event::ConnectFailed {
                endpoint: endpoint.clone(),
                reason
            }
        );
        assert!(start.elapsed() >= paused, "attempts wait for their pauses");
        let Ok(Event::Retried {
            endpoint: whose,
            delay,
        }) = monitor.recv_timeout(LONG)
        else {
            panic!("no pause");
        };
        assert_eq!(whose, endpoint);
        assert_jittered(delay, full);
        paused += delay;
    }
}

#[test]
fn pauses_are_not_all_alike() {
    let endpoint = vacant_port();
    let push = keen();
    let monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    let pauses: Vec<_> = (0..10).map(|_| await_pause(&monitor)).skip(4).collect();
    assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
}

#[test]
fn a_handshake_resets_the_pause_and_a_mere_connection_does_not() {
    // Somebody who hangs up on everyone: connections are made, but no handshake is done.
    let rude = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = rude.local_addr().unwrap();
    let push = keen();
    let monitor = push.monitor();
    push.connect(format!("tcp://{address}").as_str()).unwrap();
    for full in [10, 20, 40, 50].map(Duration::from_millis) {
        drop(rude.accept().unwrap());
        assert_jittered(await_pause(&monitor), full);
    }
    drop(rude);
    // The attempts go on until somebody better is there.
    let pull = pull();
    pull.bind(format!("tcp://{address}").as_str()).unwrap();
    push.wait_for_peers(1, LONG).unwrap();
    await_event(&monitor, "handshake", |event| {
        matches!(event, Event::HandshakeDone { .. }).then_some(())
    });
    drop(pull);
    assert_jittered(await_pause(&monitor), FIRST);
}

#[test]
fn without_an_interval_a_lost_peer_is_not_called_again() {
    let first = pull();
    let endpoint = first.bind("tcp://127.0.0.1:0").unwrap();
    let push = Push::builder().reconnect_interval(None).build();
    let monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    push.send("one").unwrap();
    assert_eq!(first.recv().unwrap(), "one");
    drop(first);
    await_event(&monitor, "end", |event| match event {
        Event::Closed { endpoint: whose } => (*whose == endpoint).then_some(()),
        Event::Retried { .. } => panic!("it calls again"),
        _ => None,
    });
    assert_eq!(
        push.try_send("two"),
        Err(TrySendError::Full(Message::from("two")))
    );
    assert!(push.stats().total.adds_up(), "{:?}", push.stats());
}

/// What is sent before the peer is there for the first time, and while it is away, arrives in order.
fn the_queue_waits(endpoint: &Endpoint) {
    const QUEUED: u32 = 500;
    let push = keen();
    let monitor = push.monitor();
    push.connect(endpoint).unwrap();
    let mut sent = 0u32;
    let mut queue = |count: u32| {
        (0..count).for_each(|_| {
            push.send(sent.to_be_bytes()).unwrap();
            sent += 1;
        });
        assert_eq!(push.stats().total.queued, u64::from(count));
    };
    let mut expected = 0u32;
    for round in 1..=5u64 {
        queue(QUEUED);
        let pull = pull();
        assert_eq!(pull.bind(endpoint).unwrap(), *endpoint);
        for _ in 0..QUEUED {
            assert_eq!(pull.recv().unwrap(), expected.to_be_bytes());
            expected += 1;
        }
        drop(pull);
        assert_eq!(await_loss(&monitor), u64::from(QUEUED));
        let total = push.stats().total;
        assert!(total.adds_up(), "{total:?}");
        assert_eq!(
            (total.reconnects, total.in_doubt),
            (round - 1, round * u64::from(QUEUED)),
            "{total:?}"
        );
    }
    assert_eq!(push.stats().total.dropped.total(), 0);
}

#[test]
fn the_queue_waits_for_a_listener_that_restarts_on_its_port() {
    the_queue_waits(&vacant_port());
}

#[test]
fn the_queue_waits_for_a_listener_that_restarts_on_its_path() {
    let (endpoint, _home) = Transport::Ipc.vacant();
    the_queue_waits(&endpoint);
}

/// A sender that waits for room goes on when the peer is back, and what it sends keeps its order: between what the first
/// reader was given and what the second one gets, nothing is missing.
#[test]
fn a_sender_that_waits_for_room_goes_on_when_the_peer_is_back() {
    let endpoint = vacant_port();
    let builder = Push::builder().send_hwm(10).linger(Some(Duration::ZERO));
    let push = builder
        .reconnect_interval(Some(FIRST))
        .reconnect_interval_max(LONGEST)
        .build();
    push.connect(&endpoint).unwrap();
    let sender = std::thread::spawn({
        let push = push.clone();
        // Until the socket is closed.
        move || {
            (0u32..)
                .take_while(|number| push.send(number.to_be_bytes()).is_ok())
                .count()
        }
    });
    let receive = |reader: &Pull| u32::from_be_bytes(reader.recv().unwrap()[0][..].try_into().unwrap());
    let mut in_doubt = 0;
    for _ in 0..3 {
        let reader = pull();
        reader.bind(&endpoint).unwrap();
        for expected in in_doubt..in_doubt + 1000 {
            assert_eq!(receive(&reader), expected);
        }
        let monitor = push.monitor();
        drop(reader);
        in_doubt += u32::try_from(await_loss(&monitor)).unwrap();
    }
    assert_eq!(push.stats().total.in_doubt, u64::from(in_doubt));
    let report = push.close();
    assert!(report.total.adds_up(), "{report:?}");
    assert_eq!(sender.join().unwrap() as u64, report.total.accepted.messages);
}

/// With `immediate`, there is a queue only while there is a peer: nothing is taken for one that is away.
#[test]
fn an_immediate_sender_takes_nothing_for_a_peer_that_is_away() {
    let first = pull();
    let endpoint = first.bind("tcp://127.0.0.1:0").unwrap();
    let builder = Push::builder().immediate(true).send_timeout(Some(LONG));
    let push = builder
        .reconnect_interval(Some(FIRST))
        .reconnect_interval_max(LONGEST)
        .build();
    let monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    push.send("one").unwrap();
    assert_eq!(first.recv().unwrap(), "one");
    drop(first);
    assert_eq!(await_loss(&monitor), 1);
    assert_eq!(
        push.try_send("two"),
        Err(TrySendError::Full(Message::from("two")))
    );

    let second = pull();
    second.bind(&endpoint).unwrap();
    push.send("three").unwrap();
    assert_eq!(second.recv().unwrap(), "three");
    let total = push.stats().total;
    assert_eq!(
        (total.accepted.messages, total.in_doubt, total.dropped.total()),
        (2, 1, 0),
        "{total:?}"
    );
    assert!(total.adds_up(), "{total:?}");
}

/// The sender that others connect to keeps nothing for those that go, and says so.
#[test]
fn a_bound_sender_drops_and_counts_the_queue_of_a_peer_that_goes() {
    let push = Push::builder().send_hwm(100).send_buffer(Some(8192)).build();
    let endpoint = push.bind("tcp://127.0.0.1:0").unwrap();
    let monitor = push.monitor();
    let reader = Pull::builder().recv_hwm(1).recv_buffer(Some(8192)).build();
    reader.connect(&endpoint).unwrap();
    push.wait_for_peers(1, LONG).unwrap();
    // Until the queue is full and the peer's end too.
    while push
        .send_timeout(vec![0; 10_000], Duration::from_millis(100))
        .is_ok()
    {}
    let before = push.stats().total;
    assert!(before.queued > 0 && before.adds_up(), "{before:?}");
    drop(reader);
    let in_doubt = await_loss(&monitor);
    let after = push.stats().total;
    assert_eq!(
        after.dropped.of(aqueduct::DropReason::PeerGone) + in_doubt,
        after.accepted.messages
    );
    assert_eq!((after.queued, after.in_doubt), (0, in_doubt), "{after:?}");
    assert!(after.adds_up(), "{after:?}");
}

/// An orderly end is no breakage: what a peer took and we have written is not in doubt.
#[test]
fn closing_puts_nothing_in_doubt() {
    let pull = pull();
    let push = keen();
    push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    push.send("one").unwrap();
    assert_eq!(pull.recv().unwrap(), "one");
    let total = push.close().total;
    assert_eq!((total.handed.messages, total.in_doubt), (1, 0), "{total:?}");
}
