//! RFC 31, the exclusive pair: each thing that PAIR must do or must not do, over each transport.
//!
//! The rules are in our own words, above each script.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::thread;
use std::time::Duration;

use aqueduct::{DisconnectReason, Event, Message, Pair, Push, SendError, SocketType, TrySendError};
use support::*;

rules! {
    a_pair_talks_both_ways_in_order over Tcp Ipc Inproc;
    a_pair_refuses_a_second_peer_visibly over Tcp Ipc Inproc;
    a_pair_takes_the_next_peer_when_the_first_is_gone over Tcp Ipc Inproc;
    a_pair_waits_or_fails_without_a_peer over Tcp Ipc Inproc;
    a_pair_waits_or_fails_when_its_queue_is_full over Tcp Ipc Inproc;
    a_pair_queues_for_an_endpoint_that_nobody_has_bound over Tcp Ipc Inproc;
    a_pair_keeps_its_queue_when_the_connection_is_lost over Tcp Ipc;
    a_pair_uses_one_of_several_endpoints over Tcp Ipc Inproc;
    a_pair_talks_to_nobody_but_a_pair over Tcp Ipc Inproc;
    a_pair_can_be_split over Tcp Ipc Inproc;
}

fn pair() -> Pair {
    Pair::builder()
        .reconnect_interval(Some(Duration::from_millis(5)))
        .build()
}

fn recv(pair: &Pair) -> Message {
    pair.recv_timeout(LONG).unwrap()
}

/// Either side sends as it likes, and the other gets it in order.
fn a_pair_talks_both_ways_in_order(transport: Transport) {
    let (here, there) = (pair(), pair());
    there.connect(here.bind(transport.anywhere()).unwrap()).unwrap();
    here.wait_for_peers(1, LONG).unwrap();
    for at in 0..100 {
        here.send(at.to_string()).unwrap();
        there
            .send(
                [at.to_string(), "more".to_owned()]
                    .into_iter()
                    .collect::<Message>(),
            )
            .unwrap();
    }
    for at in 0..100 {
        assert_eq!(recv(&there), at.to_string());
        let message = recv(&here);
        assert_eq!((message.len(), text(&message)), (2, at.to_string()));
    }
}

/// No more than one peer: a second is turned away, both ends can see it, and the first notices nothing.
fn a_pair_refuses_a_second_peer_visibly(transport: Transport) {
    let (here, first, second) = (pair(), pair(), pair());
    let endpoint = here.bind(transport.anywhere()).unwrap();
    first.connect(&endpoint).unwrap();
    here.wait_for_peers(1, LONG).unwrap();
    let (ours, theirs) = (here.monitor(), second.monitor());
    second.connect(&endpoint).unwrap();
    let (reason, ready) = await_end(&ours);
    assert!(
        !ready && matches!(reason, DisconnectReason::Rejected(_)),
        "{reason}"
    );
    await_end(&theirs);
    first.send("still here").unwrap();
    assert_eq!(recv(&here), "still here");
    here.send("so am I").unwrap();
    assert_eq!(recv(&first), "so am I");
}

/// One peer at a time, but any number after each other; what the former has said is received first.
fn a_pair_takes_the_next_peer_when_the_first_is_gone(transport: Transport) {
    let here = pair();
    let endpoint = here.bind(transport.anywhere()).unwrap();
    for round in 0..3 {
        let there = pair();
        there.connect(&endpoint).unwrap();
        there.send(round.to_string()).unwrap();
        here.wait_for_peers(1, LONG).unwrap();
        here.send(round.to_string()).unwrap();
        assert_eq!(recv(&there), round.to_string());
        there.send("last words").unwrap();
        drop(there.close());
        eventually("the peer is gone", || {
            here.wait_for_peers(1, Duration::ZERO).is_err()
        });
        // What the second has said is still unread when the third comes.
        let read = match round {
            0 => vec!["0", "last words"],
            1 => vec![],
            _ => vec!["1", "last words", "2", "last words"],
        };
        read.into_iter().for_each(|said| assert_eq!(recv(&here), said));
    }
}

/// Without a peer nothing is accepted, and nothing is discarded.
fn a_pair_waits_or_fails_without_a_peer(transport: Transport) {
    let here = pair();
    let message = Message::from("x");
    assert_eq!(here.try_send("x"), Err(TrySendError::Full(message.clone())));
    let endpoint = here.bind(transport.anywhere()).unwrap();
    assert_eq!(
        here.send_timeout("x", Duration::from_millis(5)),
        Err(SendError::Timeout(message))
    );
    let waiting = here.clone();
    let sender = thread::spawn(move || waiting.send("x"));
    let there = pair();
    there.connect(&endpoint).unwrap();
    assert_eq!(recv(&there), "x");
    sender.join().unwrap().unwrap();
}

/// When the peer does not read, sending waits or fails, and nothing is discarded.
fn a_pair_waits_or_fails_when_its_queue_is_full(transport: Transport) {
    let build = || {
        Pair::builder()
            .send_hwm(2)
            .recv_hwm(2)
            .send_buffer(Some(4096))
            .recv_buffer(Some(4096))
            .build()
    };
    let (here, there) = (build(), build());
    there.connect(here.bind(transport.anywhere()).unwrap()).unwrap();
    here.wait_for_peers(1, LONG).unwrap();
    let body = vec![7; 1 << 18];
    let mut sent = 0;
    while here.send_timeout(body.clone(), A_WHILE).is_ok() {
        sent += 1;
    }
    assert!(matches!(here.try_send("x"), Err(TrySendError::Full(_))));
    let waiting = here.clone();
    let sender = thread::spawn(move || waiting.send_timeout("x", LONG));
    (0..sent).for_each(|_| assert_eq!(recv(&there).byte_len(), body.len()));
    assert_eq!(recv(&there), "x");
    sender.join().unwrap().unwrap();
    assert_eq!(here.stats().total.dropped.total(), 0);
}

/// An endpoint connected to has a queue at once.
fn a_pair_queues_for_an_endpoint_that_nobody_has_bound(transport: Transport) {
    let (endpoint, _kept) = transport.vacant();
    let (here, there) = (pair(), pair());
    here.connect(&endpoint).unwrap();
    here.send("early").unwrap();
    there.bind(&endpoint).unwrap();
    assert_eq!(recv(&there), "early");
}

/// The queue of an endpoint connected to outlives its connections.
fn a_pair_keeps_its_queue_when_the_connection_is_lost(transport: Transport) {
    let (endpoint, _kept) = transport.vacant();
    let (here, there) = (pair(), pair());
    there.bind(&endpoint).unwrap();
    here.connect(&endpoint).unwrap();
    here.wait_for_peers(1, LONG).unwrap();
    drop(there.close());
    eventually("the peer is gone", || {
        here.wait_for_peers(1, Duration::ZERO).is_err()
    });
    here.send("meanwhile").unwrap();
    let next = pair();
    next.bind(&endpoint).unwrap();
    assert_eq!(recv(&next), "meanwhile");
}

/// Of several endpoints connected to, one is used; the next has its turn when that one is given up.
fn a_pair_uses_one_of_several_endpoints(transport: Transport) {
    let (here, first, second) = (pair(), pair(), pair());
    let used = first.bind(transport.anywhere()).unwrap();
    here.connect(&used).unwrap();
    here.connect(second.bind(transport.anywhere()).unwrap()).unwrap();
    here.send("1").unwrap();
    here.send("2").unwrap();
    assert_eq!(
        (recv(&first), recv(&first)),
        (Message::from("1"), Message::from("2"))
    );
    here.disconnect(&used).unwrap();
    here.send_timeout("3", LONG).unwrap();
    assert_eq!(recv(&second), "3");
}

/// The types must go together.
fn a_pair_talks_to_nobody_but_a_pair(transport: Transport) {
    let (here, push) = (pair(), Push::new());
    let endpoint = here.bind(transport.anywhere()).unwrap();
    let monitor = push.monitor();
    if transport == Transport::Inproc {
        assert!(push.connect(&endpoint).is_err());
        return;
    }
    push.connect(&endpoint).unwrap();
    let reason = await_event(&monitor, "refusal", |event| match event {
        Event::HandshakeFailed { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    let ours = SocketType::Pair.name();
    assert!(reason.to_string().contains(ours), "{reason}");
}

/// The halves of a pair are one socket.
fn a_pair_can_be_split(transport: Transport) {
    let (here, there) = (pair(), pair());
    there.connect(here.bind(transport.anywhere()).unwrap()).unwrap();
    let (sender, receiver) = there.split();
    let echo = thread::spawn(move || {
        (0..10).for_each(|_| sender.send(receiver.recv_timeout(LONG).unwrap()).unwrap());
        (sender, receiver)
    });
    for at in 0..10 {
        here.send_timeout(at.to_string(), LONG).unwrap();
        assert_eq!(recv(&here), at.to_string());
    }
    drop(echo.join().unwrap());
}
