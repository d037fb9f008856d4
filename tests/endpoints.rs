//! Endpoints: what can be bound and connected to, in which order, how to leave, and how to come back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::io::ErrorKind;
use std::time::Duration;

use aqueduct::{
    BindError, ConnectError, Context, DetachError, DisconnectReason, DropReason, Endpoint, Event, Pull, Push,
};
use support::*;

const SHORT: Option<Duration> = Some(Duration::from_millis(5));

// ── bound and connected ──

#[test]
fn wildcards_are_resolved() {
    let pull = Pull::new();
    for wildcard in ["tcp://127.0.0.1:0", "tcp://127.0.0.1:*", "tcp://*:*", "ipc://*"] {
        let bound = pull.bind(wildcard).unwrap();
        let Endpoint::Tcp(tcp) = &bound else {
            assert!(!bound.is_wildcard(), "{bound}");
            continue;
        };
        assert_ne!(tcp.port, 0);
        let push = Push::new();
        push.connect(format!("tcp://127.0.0.1:{}", tcp.port)).unwrap();
        push.wait_for_peers(1, LONG).unwrap();
        pull.unbind(&bound).unwrap();
    }
    for wildcard in ["tcp://127.0.0.1:0", "tcp://*:5", "ipc://*"] {
        assert!(
            matches!(pull.connect(wildcard), Err(ConnectError::Wildcard(_))),
            "{wildcard}"
        );
    }
}

#[test]
fn an_endpoint_has_one_owner() {
    for transport in Transport::ALL {
        let (first, second) = (Pull::new(), Pull::new());
        let endpoint = first.bind(transport.anywhere()).unwrap();
        for pull in [&first, &second] {
            let Err(BindError::Io {
                source,
                endpoint: named,
            }) = pull.bind(&endpoint)
            else {
                panic!("bound twice: {endpoint}");
            };
            assert_eq!(source.kind(), ErrorKind::AddrInUse);
            assert_eq!(named, endpoint);
        }
        first.unbind(&endpoint).unwrap();
        if transport != Transport::Ipc {
            second.bind(&endpoint).unwrap();
        }
    }
}

#[test]
fn what_is_no_endpoint_is_refused() {
    let pull = Pull::new();
    for text in [
        "",
        "tcp",
        "http://localhost:1",
        "tcp://localhost",
        "tcp://:5:5",
        "inproc://",
        "ipc://",
    ] {
        assert!(matches!(pull.bind(text), Err(BindError::Endpoint(_))), "{text}");
        assert!(
            matches!(pull.connect(text), Err(ConnectError::Endpoint(_))),
            "{text}"
        );
        assert!(
            matches!(pull.unbind(text), Err(DetachError::Endpoint(_))),
            "{text}"
        );
    }
}

#[test]
fn leaving_where_one_is_not_is_an_error() {
    let pull = Pull::new();
    for transport in Transport::ALL {
        let (endpoint, _kept) = transport.vacant();
        assert_eq!(
            pull.unbind(&endpoint),
            Err(DetachError::NotAttached(endpoint.clone()))
        );
        assert_eq!(
            pull.disconnect(&endpoint),
            Err(DetachError::NotAttached(endpoint.clone()))
        );
        pull.connect(&endpoint).unwrap();
        assert!(pull.unbind(&endpoint).is_err());
        pull.disconnect(&endpoint).unwrap();
        assert!(pull.disconnect(&endpoint).is_err());
    }
}

#[test]
fn unbinding_keeps_those_who_came_in() {
    for transport in Transport::ALL {
        let (push, pull) = (Push::new(), Pull::new());
        let endpoint = marry(&push, &pull, transport);
        pull.unbind(&endpoint).unwrap();
        push.send("still here").unwrap();
        assert_eq!(recv(&pull), "still here");
        let late = Push::builder().linger(Some(Duration::ZERO)).build();
        late.connect(&endpoint).unwrap();
        assert!(late.wait_for_peers(1, A_WHILE).is_err(), "{transport:?}");
    }
}

#[test]
fn disconnecting_flushes_and_takes_no_more() {
    for transport in Transport::ALL {
        let (push, pull) = (Push::new(), Pull::new());
        let endpoint = marry(&push, &pull, transport);
        (0..100).for_each(|at| push.send(at.to_string()).unwrap());
        push.disconnect(&endpoint).unwrap();
        assert!(push.try_send("nobody").is_err());
        (0..100).for_each(|at| assert_eq!(text(&recv(&pull)), at.to_string()));
        eventually("the pipe is gone", || push.stats().peers.is_empty());
        let total = push.stats().total;
        assert!(total.adds_up() && total.handed.messages == 100, "{total:?}");
    }
}

#[test]
fn disconnecting_from_an_absent_peer_drops_its_queue() {
    for transport in Transport::ALL {
        let push = Push::new();
        let (endpoint, _kept) = transport.vacant();
        push.connect(&endpoint).unwrap();
        send_all(&push, ["a", "b"]);
        push.disconnect(&endpoint).unwrap();
        eventually("the pipe is gone", || push.stats().peers.is_empty());
        let total = push.stats().total;
        assert!(total.adds_up(), "{total:?}");
        assert_eq!(
            total.dropped.of(DropReason::Disconnected),
            2,
            "{transport:?}: {total:?}"
        );
        // Whoever binds there now meets nobody.
        let pull = Pull::new();
        pull.bind(&endpoint).unwrap();
        assert!(pull.wait_for_peers(1, A_WHILE).is_err(), "{transport:?}");
        assert!(pull.try_recv().is_err());
    }
}

#[test]
fn an_endpoint_meets_nobody_who_closed_before_it_was_bound() {
    for transport in Transport::ALL {
        let push = Push::builder().linger(Some(Duration::ZERO)).build();
        let (endpoint, _kept) = transport.vacant();
        push.connect(&endpoint).unwrap();
        push.send("lost").unwrap();
        assert_eq!(push.close().returned.len(), 1);
        let pull = Pull::new();
        pull.bind(&endpoint).unwrap();
        assert!(pull.wait_for_peers(1, A_WHILE).is_err(), "{transport:?}");
        assert!(pull.stats().peers.is_empty());
    }
}

#[test]
fn the_order_of_bind_and_connect_does_not_matter() {
    for transport in Transport::ALL {
        let (endpoint, _kept) = transport.vacant();
        let pulls = [
            Pull::builder().reconnect_interval(SHORT).build(),
            Pull::builder().reconnect_interval(SHORT).build(),
        ];
        for pull in &pulls {
            pull.connect(&endpoint).unwrap();
        }
        let push = Push::new();
        push.bind(&endpoint).unwrap();
        push.wait_for_peers(2, LONG).unwrap();
        send_all(&push, ["a", "b"]);
        let mut got = [text(&recv(&pulls[0])), text(&recv(&pulls[1]))];
        got.sort();
        assert_eq!(got, ["a", "b"]);
    }
}

#[test]
fn inproc_names_belong_to_their_context() {
    let (here, there) = (Context::new(1), Context::new(1));
    let name = Transport::Inproc.anywhere();
    let pulls = [&here, &there].map(|context| Pull::builder().context(context).build());
    for pull in &pulls {
        pull.bind(name.as_str()).unwrap();
    }
    let push = Push::builder().context(&there).build();
    push.connect(name.as_str()).unwrap();
    push.send("there").unwrap();
    assert_eq!(recv(&pulls[1]), "there");
    assert!(pulls[0].try_recv().is_err());
}

#[test]
fn a_host_name_is_resolved_and_each_address_tried() {
    let pull = Pull::new();
    let Endpoint::Tcp(bound) = pull.bind("tcp://127.0.0.1:0").unwrap() else {
        panic!("not tcp")
    };
    let push = Push::builder().ipv6(true).build();
    push.connect(format!("tcp://localhost:{}", bound.port)).unwrap();
    push.wait_for_peers(1, LONG).unwrap();
}

#[test]
fn abstract_names_need_no_file() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let name = format!("ipc://@aqueduct-test-{}", std::process::id());
    let (push, pull) = (Push::new(), Pull::new());
    pull.bind(name.as_str()).unwrap();
    assert!(Pull::new().bind(name.as_str()).is_err());
    push.connect(name.as_str()).unwrap();
    push.send("no file").unwrap();
    assert_eq!(recv(&pull), "no file");
}

// ── reconnecting ──

#[test]
fn attempts_come_after_growing_pauses_with_jitter() {
    let push = Push::builder()
        .reconnect_interval(Some(Duration::from_millis(8)))
        .reconnect_interval_max(Duration::from_millis(20))
        .linger(Some(Duration::ZERO))
        .build();
    let monitor = push.monitor();
    push.connect(Transport::Tcp.vacant().0).unwrap();
    for longest in [8, 16, 20, 20] {
        let reason = await_event(&monitor, "failure", |event| match event {
            Event::ConnectFailed { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        assert_eq!(reason, DisconnectReason::Io(ErrorKind::ConnectionRefused));
        let Ok(Event::Retried { delay, .. }) = monitor.recv_timeout(LONG) else {
            panic!("a failure is followed by a pause")
        };
        let longest = Duration::from_millis(longest);
        assert!(delay >= longest / 2 && delay <= longest, "{delay:?}");
    }
}

#[test]
fn without_an_interval_there_is_one_attempt() {
    for transport in Transport::WIRED {
        let push = Push::builder().reconnect_interval(None).linger(None).build();
        let monitor = push.monitor();
        let (endpoint, _kept) = transport.vacant();
        push.connect(&endpoint).unwrap();
        let next = || monitor.recv_timeout(LONG).unwrap();
        assert!(matches!(next(), Event::ConnectFailed { .. }));
        assert_eq!(next(), Event::Closed { endpoint });
        assert!(
            monitor.recv_timeout(A_WHILE).is_err(),
            "and that is the end of it"
        );
        assert_eq!(fill(&push), 0, "no queue is left that nobody would ever empty");
    }
}
