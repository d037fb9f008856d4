//! What a socket tells of itself: to its application in counters and events, to its peers in properties.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::thread;

use aqueduct::{Event, PropertyError, Pull, Push};
use support::*;

// ── counters ──

#[test]
fn counters_add_up_at_every_moment() {
    for transport in Transport::ALL {
        let (push, pull) = (
            Push::builder().send_hwm(10).build(),
            Pull::builder().recv_hwm(10).build(),
        );
        marry(&push, &pull, transport);
        let sending = push.clone();
        let sender =
            thread::spawn(move || (0..2000).for_each(|_| sending.send_timeout("12345", LONG).unwrap()));
        for _ in 0..2000 {
            recv(&pull);
            let total = push.stats().total;
            assert!(total.adds_up(), "{total:?}");
        }
        sender.join().unwrap();
        // Over inproc a reader lets go of what it read in steps, and of the rest when it finds nothing more.
        assert!(pull.try_recv().is_err());
        eventually("all is handed over", || push.stats().total.queued == 0);
        let (sent, received) = (push.stats(), pull.stats());
        assert_eq!(
            (sent.total.accepted.messages, sent.total.accepted.bytes),
            (2000, 10_000)
        );
        assert_eq!(sent.total.handed, sent.total.accepted);
        assert_eq!(
            (received.total.received.messages, received.total.received.bytes),
            (2000, 10_000)
        );
        assert_eq!((sent.peers.len(), received.peers.len()), (1, 1));
        assert_eq!(sent.peers[0].traffic.accepted.messages, 2000);
        assert!(received.total.unread_peak <= 20, "{received:?}");
    }
}

// ── events ──

#[test]
fn the_life_of_a_connection_is_told_in_order() {
    for transport in Transport::WIRED {
        let push = Push::builder().reconnect_interval(Some(LONG)).build();
        let pull = Pull::new();
        let (ours, theirs) = (push.monitor(), pull.monitor());
        let endpoint = marry(&push, &pull, transport);
        push.send("a").unwrap();
        recv(&pull);
        pull.unbind(&endpoint).unwrap();
        pull.close();
        await_end(&ours);
        await_event(&ours, "pause", |event| {
            matches!(event, Event::Retried { .. }).then_some(())
        });
        push.close();
        let rest: Vec<_> = ours.map(|event| name(&event)).collect();
        assert_eq!(rest, ["Closed", "SocketClosed"], "{transport:?}");
        let all: Vec<_> = theirs.map(|event| name(&event)).collect();
        let expected = [
            "Listening",
            "Accepted",
            "HandshakeDone",
            "Closed",
            "Disconnected",
            "SocketClosed",
        ];
        assert_eq!(all, expected, "{transport:?}");
    }
}

#[test]
fn both_ends_tell_of_the_handshake_with_names_and_addresses() {
    let (push, pull) = (Push::new(), Pull::new());
    let (ours, theirs) = (push.monitor(), pull.monitor());
    let endpoint = marry(&push, &pull, Transport::Tcp);
    let connected = ours.recv_timeout(LONG).unwrap();
    let Event::Connected {
        endpoint: named,
        address,
    } = &connected
    else {
        panic!("{connected:?}")
    };
    assert_eq!(
        (named, &format!("tcp://{address}")),
        (&endpoint, &endpoint.to_string())
    );
    let bound = theirs.recv_timeout(LONG).unwrap();
    assert_eq!(
        bound,
        Event::Listening {
            endpoint: endpoint.clone()
        }
    );
    let address = await_event(&theirs, "handshake", |event| match event {
        Event::HandshakeDone { address, info, .. } => Some((address.clone(), info.clone())),
        _ => None,
    });
    assert_eq!(address.1.socket_type.name(), "PUSH");
    assert_eq!(pull.stats().peers[0].address.as_ref(), Some(&address.0));
}

#[test]
fn a_monitor_that_nobody_reads_keeps_the_newest_and_counts_the_rest() {
    let pull = Pull::new();
    let monitor = pull.monitor();
    for at in 0..600 {
        let endpoint = pull.bind(format!("inproc://monitor-{at}")).unwrap();
        pull.unbind(&endpoint).unwrap();
    }
    assert_eq!(pull.stats().monitor_dropped, 1200 - 1024);
    pull.close();
    let kept: Vec<_> = monitor.collect();
    assert_eq!(kept.len(), 1024);
    assert_eq!(kept.last(), Some(&Event::SocketClosed { returned: 0 }));
}

// ── properties ──

#[test]
fn properties_reach_the_peer() {
    for transport in Transport::ALL {
        let push = Push::builder()
            .property("X-Region", "south")
            .unwrap()
            .property("X-Empty", "")
            .unwrap()
            .property("x-region", "north")
            .unwrap()
            .build();
        let pull = Pull::builder().property("X-Region", "south").unwrap().build();
        marry(&push, &pull, transport);
        let seen = |stats: aqueduct::SocketStats| stats.peers[0].info.clone().unwrap();
        let (pushs, pulls) = (seen(pull.stats()), seen(push.stats()));
        assert_eq!(pushs.property("x-region"), Some(&b"north"[..]));
        assert_eq!(pushs.property("X-Empty"), Some(&b""[..]));
        assert_eq!(pulls.property("X-Region"), Some(&b"south"[..]), "{transport:?}");
    }
}

#[test]
fn a_property_that_peers_would_not_take_is_refused_at_once() {
    let is_bad_name = |name: &str| {
        matches!(
            Push::builder().property(name, "value"),
            Err(PropertyError::Name(named)) if named == name
        )
    };
    for name in ["", "X Region", "X-Região", "X-\n", "X/Region", "X-\0"] {
        assert!(is_bad_name(name), "{name:?}");
    }
    assert!(is_bad_name(&"x".repeat(256)));
    for name in ["Socket-Type", "socket-type", "IDENTITY"] {
        let result = Push::builder().property(name, "PUB");
        assert!(matches!(result, Err(PropertyError::Reserved(_))), "{name}");
    }
    let many = |count: usize| {
        (0..count).try_fold(Push::builder(), |builder, at| {
            builder.property(&format!("X-{at}"), "")
        })
    };
    assert!(matches!(
        many(63),
        Err(PropertyError::OverLimit {
            got: 63,
            limit: 62,
            ..
        })
    ));
    let result = Push::builder().property("X-Long", vec![7; 8000]);
    assert!(matches!(
        result,
        Err(PropertyError::OverLimit {
            got: 8006,
            limit: 7680,
            ..
        })
    ));
}

#[test]
fn as_much_as_a_socket_may_say_is_heard() {
    for transport in Transport::ALL {
        let mut builder = Push::builder().property(&"x".repeat(255), vec![7; 5000]).unwrap();
        for at in 1..62 {
            builder = builder
                .property(&format!("X.{at:02}+_"), "12345678901234567890123456789012")
                .unwrap();
        }
        let (push, pull) = (builder.build(), Pull::new());
        marry(&push, &pull, transport);
        let info = pull.stats().peers[0].info.clone().unwrap();
        assert_eq!(info.properties.len(), 62, "{transport:?}");
        assert_eq!(info.property(&"X".repeat(255)), Some(&[7; 5000][..]));
    }
}
