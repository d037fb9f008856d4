//! RFC 30, the pipeline pattern: each thing that PUSH and PULL must do or must not do, over each transport.
//!
//! The rules are in our own words, above each script. That PUSH never receives and PULL never sends needs no test
//! here: neither verb exists. What a peer sends against the rules is in `hostile` and `options.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::thread;
use std::time::Duration;

use aqueduct::{
    ConnectError, DisconnectReason, DropReason, Event, Message, Pull, Push, SendError, SocketType,
    TrySendError,
};
use support::*;

rules! {
    push_sends_to_any_number_of_bound_pulls over Tcp Ipc Inproc;
    push_sends_to_any_number_of_connecting_pulls over Tcp Ipc Inproc;
    push_goes_round_its_peers over Tcp Ipc Inproc;
    push_passes_over_a_peer_whose_queue_is_full over Tcp Ipc Inproc;
    push_queues_for_an_endpoint_that_nobody_has_bound over Tcp Ipc Inproc;
    push_keeps_the_queue_of_an_endpoint_whose_peer_is_lost over Tcp Ipc;
    push_gets_a_queue_for_each_peer_that_connects over Tcp Ipc Inproc;
    push_discards_the_queue_of_a_connecting_peer_that_leaves over Tcp Ipc Inproc;
    push_waits_or_fails_without_peers over Tcp Ipc Inproc;
    push_takes_nothing_that_it_cannot_queue over Tcp Ipc Inproc;
    push_goes_on_when_a_full_peer_reads over Tcp Ipc Inproc;
    pull_receives_from_any_number_of_pushes over Tcp Ipc Inproc;
    pull_takes_from_its_peers_in_turn over Tcp Ipc Inproc;
    pull_serves_a_quiet_peer_beside_a_busy_one over Tcp Ipc Inproc;
    pull_delivers_each_message_once_and_in_order over Tcp Ipc Inproc;
    pull_waits_for_an_endpoint_that_nobody_has_bound over Tcp Ipc Inproc;
    pull_returns_to_an_endpoint_whose_peer_was_lost over Tcp Ipc;
    pull_still_delivers_what_a_peer_sent_before_it_left over Tcp Ipc Inproc;
    messages_of_many_parts_arrive_whole_or_not_at_all over Tcp Ipc Inproc;
    a_message_of_many_parts_takes_one_place_in_the_queue over Tcp Ipc Inproc;
    push_talks_to_nobody_but_pull over Tcp Ipc Inproc;
    pull_talks_to_nobody_but_push over Tcp Ipc;
}

/// A PUSH may connect to as many PULLs as it likes.
fn push_sends_to_any_number_of_bound_pulls(transport: Transport) {
    let push = Push::new();
    let pulls: Vec<_> = (0..10).map(|_| Pull::new()).collect();
    for pull in &pulls {
        marry(&push, pull, transport);
    }
    (0..50).for_each(|at| push.send(at.to_string()).unwrap());
    for pull in &pulls {
        assert_eq!(recv_texts(pull, 5).len(), 5);
    }
}

/// As many PULLs as like may connect to a PUSH.
fn push_sends_to_any_number_of_connecting_pulls(transport: Transport) {
    let push = Push::new();
    let (_, pulls) = bound_push_with(&push, 10, transport, Pull::new);
    (0..50).for_each(|at| push.send(at.to_string()).unwrap());
    for pull in &pulls {
        assert_eq!(recv_texts(pull, 5).len(), 5);
    }
}

/// Messages go to the available peers one after the other.
fn push_goes_round_its_peers(transport: Transport) {
    let push = Push::new();
    let (_, pulls) = bound_push_with(&push, 3, transport, Pull::new);
    (0..9).for_each(|at| push.send(at.to_string()).unwrap());
    let got: Vec<_> = pulls.iter().map(|pull| recv_texts(pull, 3)).collect();
    assert_eq!(got, [["0", "3", "6"], ["1", "4", "7"], ["2", "5", "8"]]);
}

/// A peer is available as long as its queue is not full; others are passed over and lose nothing.
fn push_passes_over_a_peer_whose_queue_is_full(transport: Transport) {
    let push = Push::builder().send_hwm(2).build();
    let (absent, _kept) = transport.vacant();
    push.connect(&absent).unwrap();
    let pull = Pull::new();
    marry(&push, &pull, transport);
    let mut got = Vec::new();
    for at in 0..20 {
        push.send_timeout(at.to_string(), LONG).unwrap();
        if got.len() + 2 <= at {
            got.push(text(&recv(&pull)));
        }
    }
    got.extend(recv_texts(&pull, 18 - got.len()));
    let late = Pull::new();
    late.bind(&absent).unwrap();
    got.extend(recv_texts(&late, 2));
    got.sort_by_key(|at| at.parse::<u32>().unwrap());
    assert!(
        got.iter()
            .eq((0..20).map(|at| at.to_string()).collect::<Vec<_>>().iter()),
        "{got:?}"
    );
}

/// Connecting makes a queue at once, whether or not there is a connection.
fn push_queues_for_an_endpoint_that_nobody_has_bound(transport: Transport) {
    let push = Push::builder()
        .reconnect_interval(Some(Duration::from_millis(5)))
        .build();
    let (endpoint, _kept) = transport.vacant();
    push.connect(&endpoint).unwrap();
    send_all(&push, ["a", "b", "c"]);
    let pull = Pull::new();
    pull.bind(&endpoint).unwrap();
    assert_eq!(recv_texts(&pull, 3), ["a", "b", "c"]);
}

/// The queue of an endpoint connected to outlives its connections. (Over inproc, an endpoint connected to ends with
/// the socket that bound it, as in libzmq.)
fn push_keeps_the_queue_of_an_endpoint_whose_peer_is_lost(transport: Transport) {
    let push = Push::builder()
        .reconnect_interval(Some(Duration::from_millis(5)))
        .build();
    let monitor = push.monitor();
    let pull = Pull::new();
    let (endpoint, _kept) = transport.vacant();
    pull.bind(&endpoint).unwrap();
    join(&push, &pull, &endpoint);
    push.send("before").unwrap();
    assert_eq!(recv(&pull), "before");
    pull.close();
    let (reason, ready) = await_end(&monitor);
    assert!(ready && reason == DisconnectReason::PeerClosed, "{reason}");
    send_all(&push, ["a", "b", "c"]);
    let next = Pull::new();
    next.bind(&endpoint).unwrap();
    assert_eq!(recv_texts(&next, 3), ["a", "b", "c"]);
    assert_eq!(push.stats().total.reconnects, 1);
}

/// A peer that connects in brings a queue of its own.
fn push_gets_a_queue_for_each_peer_that_connects(transport: Transport) {
    let push = Push::builder().send_hwm(3).build();
    let endpoint = push.bind(transport.anywhere()).unwrap();
    assert_eq!(fill(&push), 0, "nobody is there");
    for count in 1..=3 {
        let pull = Pull::builder().recv_hwm(3).build();
        pull.connect(&endpoint).unwrap();
        push.wait_for_peers(count, LONG).unwrap();
        assert_eq!(push.stats().peers.len(), count);
        push.try_send("for the newcomer").unwrap();
        std::mem::forget(pull);
    }
}

/// When a peer that had connected in leaves, its queue goes, and what is in it is discarded; here, counted.
fn push_discards_the_queue_of_a_connecting_peer_that_leaves(transport: Transport) {
    let push = Push::builder().send_hwm(5).send_buffer(Some(4096)).build();
    let monitor = push.monitor();
    let build = || Pull::builder().recv_hwm(1).recv_buffer(Some(4096)).build();
    let (endpoint, mut pulls) = bound_push_with(&push, 1, transport, build);
    let mut accepted = 0;
    while push.send_timeout(vec![7; 1 << 20], A_WHILE).is_ok() {
        accepted += 1;
    }
    drop(pulls.pop());
    if transport == Transport::Inproc {
        eventually("the peer is forgotten", || push.stats().peers.is_empty());
    } else {
        await_event(&monitor, "loss", |event| {
            matches!(event, Event::Disconnected { .. }).then_some(())
        });
        eventually("the peer is forgotten", || push.stats().peers.is_empty());
    }
    let total = push.stats().total;
    assert!(total.adds_up(), "{total:?}");
    assert_eq!(
        (total.accepted.messages, total.queued),
        (accepted, 0),
        "{total:?}"
    );
    assert!(total.dropped.of(DropReason::PeerGone) > 0, "{total:?}");
    assert_eq!(total.dropped.of(DropReason::PeerGone), total.dropped.total());

    let pull = Pull::new();
    pull.connect(&endpoint).unwrap();
    push.wait_for_peers(1, LONG).unwrap();
    push.send("for the next").unwrap();
    assert_eq!(recv(&pull), "for the next", "nothing of the old queue is left");
}

/// Without an available peer, sending waits, or gives the message back with an error.
fn push_waits_or_fails_without_peers(transport: Transport) {
    let push = Push::new();
    let endpoint = push.bind(transport.anywhere()).unwrap();
    assert_eq!(
        push.try_send("mine"),
        Err(TrySendError::Full(Message::from("mine")))
    );
    assert_eq!(
        push.send_timeout("mine", A_WHILE),
        Err(SendError::Timeout(Message::from("mine")))
    );
    assert_eq!(push.stats().total.accepted.messages, 0);
    let waiting = push.clone();
    let sender = thread::spawn(move || waiting.send("patient"));
    let pull = Pull::new();
    pull.connect(&endpoint).unwrap();
    assert_eq!(recv(&pull), "patient");
    sender.join().unwrap().unwrap();
}

/// What cannot be queued is not taken, and what was taken is not discarded.
fn push_takes_nothing_that_it_cannot_queue(transport: Transport) {
    let push = Push::builder().send_hwm(10).send_buffer(Some(4096)).build();
    let pull = Pull::builder().recv_hwm(10).recv_buffer(Some(4096)).build();
    marry(&push, &pull, transport);
    let mut taken = 0u32;
    let refused = loop {
        let body = [&taken.to_be_bytes()[..], &[0; 100_000]].concat();
        match push.send_timeout(body, A_WHILE) {
            Ok(()) => taken += 1,
            Err(error) => break error.into_message(),
        }
    };
    assert_eq!(refused[0][..4], taken.to_be_bytes());
    assert_eq!(push.stats().total.accepted.messages, u64::from(taken));
    for at in 0..taken {
        assert_eq!(recv(&pull)[0][..4], at.to_be_bytes());
    }
    assert!(
        pull.recv_timeout(A_WHILE).is_err(),
        "what was refused does not arrive"
    );
}

/// A sender that waits for room goes on when the peer reads.
fn push_goes_on_when_a_full_peer_reads(transport: Transport) {
    const COUNT: u32 = 500;
    let push = Push::builder().send_hwm(2).send_buffer(Some(4096)).build();
    let pull = Pull::builder().recv_hwm(2).recv_buffer(Some(4096)).build();
    marry(&push, &pull, transport);
    let sender = thread::spawn(move || {
        for at in 0..COUNT {
            let body = [&at.to_be_bytes()[..], &[0; 10_000]].concat();
            push.send_timeout(body, LONG).unwrap();
        }
        push.close()
    });
    for at in 0..COUNT {
        assert_eq!(recv(&pull)[0][..4], at.to_be_bytes());
    }
    let report = sender.join().unwrap();
    assert!(
        report.returned.is_empty() && report.total.adds_up(),
        "{:?}",
        report.total
    );
}

/// As many PUSHes as like may connect to a PULL, and it to others.
fn pull_receives_from_any_number_of_pushes(transport: Transport) {
    let pull = Pull::new();
    let endpoint = pull.bind(transport.anywhere()).unwrap();
    let mut pushes = Vec::new();
    for at in 0..10 {
        let push = Push::new();
        if at % 2 == 0 {
            push.connect(&endpoint).unwrap();
        } else {
            pull.connect(push.bind(transport.anywhere()).unwrap()).unwrap();
        }
        push.send_timeout(at.to_string(), LONG).unwrap();
        pushes.push(push);
    }
    let mut got = recv_texts(&pull, 10);
    got.sort();
    assert_eq!(got, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

/// Makes PUSHes that have sent so many messages each, all of which wait at the PULL.
fn crowd(pull: &Pull, transport: Transport, sends: &[u64]) -> Vec<Push> {
    let endpoint = pull.bind(transport.anywhere()).unwrap();
    let pushes: Vec<_> = sends
        .iter()
        .enumerate()
        .map(|(name, &count)| {
            let push = Push::new();
            join(&push, pull, &endpoint);
            (0..count).for_each(|_| push.send(name.to_string()).unwrap());
            push
        })
        .collect();
    eventually("all messages wait at the PULL", || {
        pull.stats().total.unread == sends.iter().sum::<u64>()
    });
    pushes
}

/// Messages are taken from the peers that have some one after the other.
fn pull_takes_from_its_peers_in_turn(transport: Transport) {
    let pull = Pull::new();
    let _pushes = crowd(&pull, transport, &[100, 100, 100]);
    assert_served_in_turn(3, || text(&pull.recv_timeout(LONG).unwrap()));
}

/// Who sends little does not wait behind who sends much.
fn pull_serves_a_quiet_peer_beside_a_busy_one(transport: Transport) {
    let pull = Pull::new();
    let _pushes = crowd(&pull, transport, &[900, 2]);
    let got = recv_texts(&pull, 902);
    let first = got.iter().position(|name| name == "1").unwrap();
    let last = got.iter().rposition(|name| name == "1").unwrap();
    // What waits may still be on its way to the fair queue, so that the first may be a little late.
    assert!(
        first < 450 && last - first <= 2,
        "the quiet peer's messages came as numbers {first} and {last}"
    );
}

/// What arrives is delivered, once, in the order of its sender.
fn pull_delivers_each_message_once_and_in_order(transport: Transport) {
    const COUNT: u32 = 5_000;
    let pull = Pull::new();
    let endpoint = pull.bind(transport.anywhere()).unwrap();
    let senders = [0u32, 1].map(|name| {
        let push = Push::new();
        push.connect(&endpoint).unwrap();
        thread::spawn(move || {
            for at in 0..COUNT {
                let body = [name.to_be_bytes(), at.to_be_bytes()].concat();
                push.send_timeout(body, LONG).unwrap();
            }
        })
    });
    let mut next = [0u32; 2];
    for _ in 0..2 * COUNT {
        let message = recv(&pull);
        let name = u32::from_be_bytes(message[0][..4].try_into().unwrap());
        let at = u32::from_be_bytes(message[0][4..].try_into().unwrap());
        let expected = &mut next[name as usize];
        assert_eq!(at, *expected, "from {name}");
        *expected += 1;
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

/// Connecting makes a queue at once, whether or not there is a connection.
fn pull_waits_for_an_endpoint_that_nobody_has_bound(transport: Transport) {
    let pull = Pull::builder()
        .reconnect_interval(Some(Duration::from_millis(5)))
        .build();
    let (endpoint, _kept) = transport.vacant();
    pull.connect(&endpoint).unwrap();
    assert_eq!(pull.stats().peers.len(), 1);
    let push = Push::new();
    push.bind(&endpoint).unwrap();
    push.send_timeout("at last", LONG).unwrap();
    assert_eq!(recv(&pull), "at last");
}

/// The queue of an endpoint connected to outlives its connections.
fn pull_returns_to_an_endpoint_whose_peer_was_lost(transport: Transport) {
    let pull = Pull::builder()
        .reconnect_interval(Some(Duration::from_millis(5)))
        .build();
    let (endpoint, _kept) = transport.vacant();
    pull.connect(&endpoint).unwrap();
    for life in ["first", "second", "third"] {
        let push = Push::new();
        push.bind(&endpoint).unwrap();
        push.send_timeout(life, LONG).unwrap();
        assert!(push.close().returned.is_empty());
        assert_eq!(recv(&pull), life);
    }
    assert_eq!(pull.stats().peers.len(), 1, "it is still the same endpoint");
    assert_eq!(pull.stats().total.reconnects, 2);
}

/// What came in whole before a peer left is delivered. (RFC 30 would have it discarded; libzmq delivers it, as we do:
/// its sender was told that it was handed over.)
fn pull_still_delivers_what_a_peer_sent_before_it_left(transport: Transport) {
    let pull = Pull::new();
    let push = Push::new();
    marry(&push, &pull, transport);
    send_all(&push, ["a", "b", "c"]);
    let report = push.close();
    assert_eq!(report.total.handed.messages, 3, "{report:?}");
    eventually("the peer is gone", || pull.stats().peers.is_empty());
    assert_eq!(recv_texts(&pull, 3), ["a", "b", "c"]);
    eventually("its queue goes once it is read", || {
        let _ = pull.try_recv();
        pull.stats().total.unread == 0
    });
}

/// The parts of a message travel together, also between those of others.
fn messages_of_many_parts_arrive_whole_or_not_at_all(transport: Transport) {
    let pull = Pull::new();
    let endpoint = pull.bind(transport.anywhere()).unwrap();
    let senders = ["x", "y", "z"].map(|name| {
        let push = Push::new();
        push.connect(&endpoint).unwrap();
        thread::spawn(move || {
            for parts in 1..100 {
                let message = Message::from_iter(vec![format!("{name}{parts}"); parts]);
                push.send_timeout(message, LONG).unwrap();
            }
        })
    });
    for _ in 0..3 * 99 {
        let message = recv(&pull);
        let first = text(&message);
        assert_eq!(first[1..].parse(), Ok(message.len()));
        assert!(message.iter().all(|part| part == &first), "{message:?}");
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

/// A message counts as one, however many parts it has.
fn a_message_of_many_parts_takes_one_place_in_the_queue(transport: Transport) {
    let push = Push::builder().send_hwm(3).build();
    let (endpoint, _kept) = transport.vacant();
    push.connect(&endpoint).unwrap();
    let message = Message::from_iter(["1", "2", "3", "4", "5"]);
    let taken = (0..10).filter(|_| push.try_send(message.clone()).is_ok()).count();
    assert_eq!(taken, 3);
}

/// A PUSH has no peers but PULLs: others are turned away, and the application can learn why.
fn push_talks_to_nobody_but_pull(transport: Transport) {
    let push = Push::builder().linger(None).build();
    let endpoint = push.bind(transport.anywhere()).unwrap();
    let other = Push::builder().linger(Some(Duration::ZERO)).build();
    if transport == Transport::Inproc {
        assert!(matches!(
            other.connect(&endpoint),
            Err(ConnectError::Incompatible {
                ours: SocketType::Push,
                theirs: SocketType::Push
            })
        ));
    } else {
        let (ours, theirs) = (push.monitor(), other.monitor());
        other.connect(&endpoint).unwrap();
        // Both ends may find it out, and who does so first tells the other, which may hang up before it hears it.
        for monitor in [ours, theirs] {
            let (_, ready) = await_end(&monitor);
            assert!(!ready);
        }
        turned_away(&endpoint, &push.monitor(), "PULL");
    }
    assert!(push.wait_for_peers(1, A_WHILE).is_err());
    assert_eq!(push.stats().total.accepted.messages, 0);
}

/// A PULL has no peers but PUSHes.
fn pull_talks_to_nobody_but_push(transport: Transport) {
    let pull = Pull::new();
    let endpoint = pull.bind(transport.anywhere()).unwrap();
    turned_away(&endpoint, &pull.monitor(), "PUSH");
    assert!(pull.wait_for_peers(1, A_WHILE).is_err());
    assert!(pull.try_recv().is_err());
}

/// Connects as each type but one, and sees the reason in the event and in an ERROR.
fn turned_away(endpoint: &aqueduct::Endpoint, monitor: &aqueduct::Monitor, welcome: &str) {
    while monitor.try_recv().is_ok() {}
    for theirs in SocketType::ALL.map(SocketType::name) {
        if theirs == welcome {
            continue;
        }
        let mut raw = RawPeer::connect(endpoint);
        raw.say(&GREETING).say(&ready_of(theirs)).say(&frame(0, b"data"));
        let (reason, ready) = await_end(monitor);
        assert!(!ready);
        assert!(
            matches!(&reason, DisconnectReason::Incompatible { theirs: named, .. } if named == theirs),
            "{reason}"
        );
        raw.hear_greeting();
        // It may be turned away before it is told who we are.
        let first = raw.hear_frame();
        let error = if first.is_command("READY") {
            raw.hear_frame()
        } else {
            first
        };
        assert!(error.is_command("ERROR"), "{error:?}");
        assert!(raw.hear_out().is_empty());
    }
}
