//! What applications rely on: options do what they say, verbs end when they must, and every message is accounted for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::collections::HashSet;
use std::io::ErrorKind;
use std::thread;
use std::time::{Duration, Instant};

use aqueduct::{
    BindError, ConnectError, Context, DetachError, DisconnectReason, DropReason, Endpoint, Event, Keepalive,
    Message, PropertyError, Pull, Push, RecvError, SendError, TryRecvError, TrySendError, WaitError,
};
use support::*;

const SHORT: Option<Duration> = Some(Duration::from_millis(5));

fn is_send_sync<T: Send + Sync + Clone + 'static>() {}

#[test]
fn sockets_and_contexts_go_anywhere() {
    is_send_sync::<Push>();
    is_send_sync::<Pull>();
    is_send_sync::<Context>();
}

// ── high-water marks ──

#[test]
fn an_absent_peer_takes_exactly_the_high_water_mark() {
    for transport in Transport::ALL {
        for hwm in [1, 2, 7, 1000] {
            let push = Push::builder().send_hwm(hwm).linger(Some(Duration::ZERO)).build();
            let (endpoint, _kept) = transport.vacant();
            push.connect(&endpoint).unwrap();
            assert_eq!(fill(&push), hwm, "{transport:?}");
            assert_eq!(push.stats().total.queued_peak, hwm as u64);
            assert_eq!(push.close().returned.len(), hwm);
        }
    }
}

#[test]
fn inproc_takes_both_high_water_marks_together() {
    for (send, receive) in [(2, 2), (1, 5), (7, 1)] {
        let push = Push::builder().send_hwm(send).build();
        let pull = Pull::builder().recv_hwm(receive).build();
        marry(&push, &pull, Transport::Inproc);
        assert_eq!(fill(&push), send + receive);
    }
    let (push, pull) = (Push::new(), Pull::new());
    marry(&push, &pull, Transport::Inproc);
    assert_eq!(fill(&push), 2000);
}

#[test]
fn inproc_takes_both_high_water_marks_whoever_comes_first() {
    let push = Push::builder().send_hwm(3).build();
    let endpoint: Endpoint = Transport::Inproc.anywhere().parse().unwrap();
    push.connect(&endpoint).unwrap();
    assert_eq!(fill(&push), 3);
    let pull = Pull::builder().recv_hwm(4).build();
    pull.bind(&endpoint).unwrap();
    assert_eq!(fill(&push), 4);
}

#[test]
fn no_high_water_mark_on_one_side_of_inproc_means_none() {
    let push = Push::builder().send_hwm(0).send_hwm_bytes(0).build();
    let pull = Pull::builder().recv_hwm(1).build();
    marry(&push, &pull, Transport::Inproc);
    (0..50_000).for_each(|_| push.try_send("").unwrap());
}

#[test]
fn bytes_count_as_messages_do() {
    // A frame counts for 64 bytes beside its body, so these weigh 100 each.
    let push = Push::builder()
        .send_hwm_bytes(1000)
        .linger(Some(Duration::ZERO))
        .build();
    let (endpoint, _kept) = Transport::Tcp.vacant();
    push.connect(&endpoint).unwrap();
    let taken = (0..100).take_while(|_| push.try_send([0; 36]).is_ok()).count();
    assert_eq!(taken, 10);
}

#[test]
fn a_message_above_the_byte_limit_passes_alone() {
    for transport in Transport::ALL {
        let push = Push::builder().send_hwm_bytes(1000).build();
        let pull = Pull::builder().recv_hwm_bytes(1000).build();
        marry(&push, &pull, transport);
        for _ in 0..3 {
            push.send_timeout(vec![7; 1_000_000], LONG).unwrap();
            assert_eq!(recv(&pull).byte_len(), 1_000_000, "{transport:?}");
        }
    }
}

#[test]
fn a_full_queue_opens_again_at_the_low_water_mark() {
    let push = Push::builder().send_hwm(4).build();
    let pull = Pull::builder().recv_hwm(4).build();
    marry(&push, &pull, Transport::Inproc);
    assert_eq!(fill(&push), 8);
    for left in (5..8).rev() {
        recv(&pull);
        assert!(push.try_send("early").is_err(), "{left} are left");
    }
    recv(&pull);
    assert_eq!(fill(&push), 4);
}

#[test]
fn the_receivers_mark_bounds_what_waits_for_it() {
    let push = Push::builder().build();
    let pull = Pull::builder().recv_hwm(10).build();
    marry(&push, &pull, Transport::Tcp);
    (0..100).for_each(|at| push.send_timeout(at.to_string(), LONG).unwrap());
    eventually("the queue fills", || pull.stats().total.unread == 10);
    (0..100).for_each(|at| assert_eq!(text(&recv(&pull)), at.to_string()));
    assert_eq!(pull.stats().total.unread_peak, 10);
}

// ── linger, close, drop ──

#[test]
fn without_linger_what_is_queued_comes_back_at_once() {
    for transport in Transport::ALL {
        let push = Push::builder().linger(Some(Duration::ZERO)).build();
        let (endpoint, _kept) = transport.vacant();
        push.connect(&endpoint).unwrap();
        send_all(&push, ["a", "b", "c"]);
        let report = push.close();
        assert_eq!(
            report.returned,
            ["a", "b", "c"].map(Message::from),
            "{transport:?}"
        );
        assert_eq!(report.total.returned, 3);
        assert!(report.total.adds_up(), "{report:?}");
    }
}

#[test]
fn a_finite_linger_waits_as_long_and_no_longer() {
    for transport in Transport::WIRED {
        let linger = Duration::from_millis(150);
        let push = Push::builder().linger(Some(linger)).build();
        let (endpoint, _kept) = transport.vacant();
        push.connect(&endpoint).unwrap();
        push.send("a").unwrap();
        let start = Instant::now();
        assert_eq!(push.close().returned, [Message::from("a")]);
        assert!(
            start.elapsed() >= linger && start.elapsed() < LONG,
            "{:?}",
            start.elapsed()
        );
    }
}

#[test]
fn a_peer_that_comes_while_we_linger_gets_everything() {
    for transport in Transport::WIRED {
        let push = Push::builder().linger(None).reconnect_interval(SHORT).build();
        let (endpoint, _kept) = transport.vacant();
        push.connect(&endpoint).unwrap();
        send_all(&push, ["a", "b"]);
        let closing = thread::spawn(move || push.close());
        let pull = Pull::new();
        pull.bind(&endpoint).unwrap();
        assert_eq!(recv_texts(&pull, 2), ["a", "b"]);
        let report = closing.join().unwrap();
        assert!(report.returned.is_empty() && report.total.adds_up(), "{report:?}");
        assert_eq!(report.total.handed.messages, 2);
    }
}

#[test]
fn dropping_the_last_handle_flushes() {
    for transport in Transport::ALL {
        let pull = Pull::new();
        let push = Push::new();
        marry(&push, &pull, transport);
        let other = push.clone();
        drop(push);
        (0..500).for_each(|at| other.send(at.to_string()).unwrap());
        drop(other);
        (0..500).for_each(|at| assert_eq!(text(&recv(&pull)), at.to_string()));
    }
}

#[test]
fn closing_with_a_peer_that_does_not_read_returns_the_rest() {
    let listener = RawListener::bind(Transport::Tcp);
    let push = Push::builder().linger(Some(Duration::from_millis(100))).build();
    push.connect(listener.endpoint()).unwrap();
    let mut raw = listener.accept();
    raw.shake_hands("PULL");
    let mut accepted = 0;
    while push.send_timeout(vec![7; 100_000], A_WHILE).is_ok() {
        accepted += 1;
    }
    let report = push.close();
    assert!(report.total.adds_up(), "{:?}", report.total);
    assert_eq!(report.total.accepted.messages, accepted);
    assert!(!report.returned.is_empty());
    assert_eq!(report.total.handed.messages + report.total.returned, accepted);
}

#[test]
fn what_close_reports_as_handed_over_arrives_though_the_peer_has_spoken() {
    for transport in Transport::WIRED {
        let listener = RawListener::bind(transport);
        let push = Push::builder().linger(None).send_buffer(Some(4 << 20)).build();
        push.connect(listener.endpoint()).unwrap();
        let mut raw = listener.accept();
        raw.shake_hands("PULL");
        // Something is always on its way from the peer, be it only a PONG. A system answers a close with bytes unread
        // by throwing away what it has not sent yet.
        let mut talker = raw.clone_stream();
        let talking = thread::spawn(move || {
            let pongs = command("PONG", b"").repeat(1000);
            while std::io::Write::write_all(&mut talker, &pongs).is_ok() {}
        });
        for _ in 0..20 {
            push.send_timeout(vec![7; 100_000], LONG).unwrap();
        }
        eventually("all is handed to the system", || {
            push.stats().total.handed.messages == 20
        });
        let monitor = push.monitor();
        let closing = thread::spawn(move || push.close());
        // A peer that begins to read late still reads everything; but closing may wait for it.
        while monitor.recv_timeout(A_WHILE).is_ok() {}
        let mut whole = 0;
        while let Some(heard) = raw.try_hear_frame() {
            whole += u64::from(heard.body.len() == 100_000);
        }
        raw.hang_up();
        talking.join().unwrap();
        let report = closing.join().unwrap();
        assert_eq!(
            (report.total.handed.messages, whole),
            (20, 20),
            "{transport:?}: {:?}",
            report.total
        );
    }
}

#[test]
fn closing_wakes_those_who_wait() {
    for transport in Transport::ALL {
        let (push, pull) = (Push::new(), Pull::new());
        push.bind(transport.anywhere()).unwrap();
        pull.bind(transport.anywhere()).unwrap();
        let (sending, receiving, watching) = (push.clone(), pull.clone(), pull.clone());
        let sender = thread::spawn(move || sending.send("never"));
        let receiver = thread::spawn(move || receiving.recv());
        let watcher = thread::spawn(move || watching.wait_for_peers(1, LONG));
        // Nothing shows that they wait already; whether they do or not, they must end.
        thread::yield_now();
        push.close();
        pull.close();
        assert_eq!(
            sender.join().unwrap(),
            Err(SendError::Closed(Message::from("never")))
        );
        assert_eq!(receiver.join().unwrap(), Err(RecvError::Closed));
        assert_eq!(watcher.join().unwrap(), Err(WaitError::Closed));
    }
}

#[test]
fn a_closed_socket_says_so_to_every_verb() {
    let (push, pull) = (Push::new(), Pull::new());
    let (push_too, pull_too) = (push.clone(), pull.clone());
    push.close();
    pull.close();
    let (push, pull) = (push_too, pull_too);
    assert_eq!(push.try_send("a"), Err(TrySendError::Closed(Message::from("a"))));
    assert_eq!(push.send("a").unwrap_err().into_message(), "a");
    assert_eq!(pull.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(pull.recv_timeout(LONG), Err(RecvError::Closed));
    for transport in Transport::ALL {
        let endpoint = transport.vacant().0;
        assert!(
            matches!(pull.bind(transport.anywhere()), Err(BindError::Closed)),
            "{transport:?}"
        );
        assert!(matches!(pull.connect(&endpoint), Err(ConnectError::Closed)));
        assert!(matches!(pull.unbind(&endpoint), Err(DetachError::Closed)));
        assert!(matches!(pull.disconnect(&endpoint), Err(DetachError::Closed)));
    }
    assert_eq!(push.wait_for_peers(1, LONG), Err(WaitError::Closed));
}

#[test]
fn shutting_a_context_down_closes_its_sockets_and_no_others() {
    let context = Context::new(1);
    let inside = Pull::builder().context(&context).build();
    let outside = Pull::new();
    inside.bind("tcp://127.0.0.1:0").unwrap();
    outside.bind("tcp://127.0.0.1:0").unwrap();
    let waiting = inside.clone();
    let receiver = thread::spawn(move || waiting.recv());
    context.shutdown();
    assert_eq!(receiver.join().unwrap(), Err(RecvError::Closed));
    assert_eq!(inside.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(outside.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn a_connection_that_ends_in_good_order_leaves_no_doubt() {
    for transport in Transport::WIRED {
        let (push, pull) = (Push::new(), Pull::new());
        marry(&push, &pull, transport);
        send_all(&push, ["a", "b"]);
        assert_eq!(recv_texts(&pull, 2), ["a", "b"]);
        let total = push.close().total;
        assert_eq!((total.handed.messages, total.in_doubt), (2, 0), "{transport:?}");
    }
}

#[test]
fn an_unbound_endpoint_can_be_bound_again_at_once() {
    for transport in Transport::ALL {
        let (endpoint, _kept) = transport.vacant();
        for _ in 0..3 {
            let pull = Pull::new();
            pull.bind(&endpoint).unwrap();
            let push = Push::new();
            join(&push, &pull, &endpoint);
            pull.close();
        }
    }
}

// ── timeouts ──

#[test]
fn timeouts_are_kept() {
    let time = Duration::from_millis(60);
    let push = Push::builder().send_timeout(Some(time)).build();
    let pull = Pull::builder().recv_timeout(Some(time)).build();
    for transport in [None, Some(Transport::Tcp), Some(Transport::Inproc)] {
        if let Some(transport) = transport {
            push.bind(transport.anywhere()).unwrap();
            pull.bind(transport.anywhere()).unwrap();
        }
        let start = Instant::now();
        assert_eq!(push.send("a"), Err(SendError::Timeout(Message::from("a"))));
        assert!(start.elapsed() >= time && start.elapsed() < LONG);
        let start = Instant::now();
        assert_eq!(pull.recv(), Err(RecvError::Timeout));
        assert!(start.elapsed() >= time && start.elapsed() < LONG);
        let start = Instant::now();
        let error = pull.wait_for_peers(2, time);
        assert_eq!(error, Err(WaitError::Timeout { expected: 2, got: 0 }));
        assert!(start.elapsed() >= time && start.elapsed() < LONG);
    }
}

#[test]
fn a_time_beyond_all_clocks_is_for_ever() {
    let (push, pull) = (Push::new(), Pull::new());
    marry(&push, &pull, Transport::Tcp);
    push.send_timeout("a", Duration::MAX).unwrap();
    assert_eq!(pull.recv_timeout(Duration::MAX).unwrap(), "a");
    pull.wait_for_peers(1, Duration::MAX).unwrap();
}

// ── immediate, conflate ──

#[test]
fn an_immediate_socket_queues_for_nobody_who_is_absent() {
    for transport in Transport::ALL {
        let push = Push::builder().immediate(true).reconnect_interval(SHORT).build();
        let (endpoint, _kept) = transport.vacant();
        push.connect(&endpoint).unwrap();
        assert_eq!(fill(&push), 0, "{transport:?}");
        let pull = Pull::new();
        pull.bind(&endpoint).unwrap();
        push.send_timeout("here", LONG).unwrap();
        assert_eq!(recv(&pull), "here");
        pull.close();
        eventually("the peer is forgotten", || {
            push.stats().peers.iter().all(|peer| peer.info.is_none())
        });
        assert_eq!(fill(&push), 0, "{transport:?}");
    }
}

#[test]
fn a_conflating_sender_keeps_the_newest() {
    for transport in Transport::ALL {
        let push = Push::builder().conflate(true).reconnect_interval(SHORT).build();
        let (endpoint, _kept) = transport.vacant();
        push.connect(&endpoint).unwrap();
        (0..100).for_each(|at| push.try_send(at.to_string()).unwrap());
        let total = push.stats().total;
        assert_eq!(total.dropped.of(DropReason::Conflated), 99);
        assert!(total.adds_up() && total.queued == 1, "{total:?}");
        let pull = Pull::new();
        pull.bind(&endpoint).unwrap();
        assert_eq!(text(&recv(&pull)), "99");
        assert!(pull.recv_timeout(A_WHILE).is_err());
    }
}

#[test]
fn a_conflating_receiver_keeps_the_newest() {
    for transport in Transport::ALL {
        let pull = Pull::builder().conflate(true).build();
        let push = Push::new();
        marry(&push, &pull, transport);
        (0..100).for_each(|at| push.send(at.to_string()).unwrap());
        eventually(&format!("{transport:?}: all are taken"), || {
            push.stats().total.queued <= 1
        });
        push.close();
        eventually(&format!("{transport:?}: the peer is gone"), || {
            pull.stats().peers.is_empty()
        });
        assert_eq!(text(&recv(&pull)), "99", "{transport:?}");
        assert!(pull.recv_timeout(A_WHILE).is_err());
    }
}

// ── endpoints ──

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

#[test]
fn options_of_the_system_do_not_stand_in_the_way() {
    let keepalive = Keepalive {
        idle: Some(Duration::from_secs(30)),
        interval: Some(Duration::from_secs(5)),
        count: Some(3),
    };
    let push = Push::builder()
        .keepalive(Some(keepalive))
        .nodelay(false)
        .tos(Some(0x10))
        .send_buffer(Some(32 * 1024))
        .recv_buffer(Some(32 * 1024))
        .bind_to_device(Some("lo".to_owned()))
        .connect_timeout(Some(LONG))
        .build();
    let pull = Pull::builder()
        .ipv6(true)
        .backlog(1)
        .keepalive(Some(keepalive))
        .build();
    let Endpoint::Tcp(bound) = pull.bind("tcp://*:0").unwrap() else {
        panic!("not tcp")
    };
    push.connect(format!("tcp://127.0.0.1:{}", bound.port)).unwrap();
    push.send_timeout("through", LONG).unwrap();
    assert_eq!(recv(&pull), "through");
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

// ── statistics, monitor, properties ──

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

// ── messages ──

#[test]
fn messages_above_the_limit_cost_the_connection() {
    for transport in Transport::WIRED {
        let pull = Pull::builder()
            .max_message_size(1000)
            .max_message_parts(3)
            .build();
        let monitor = pull.monitor();
        let push = Push::builder().reconnect_interval(SHORT).build();
        let losses = push.monitor();
        marry(&push, &pull, transport);
        push.send(vec![1; 1000]).unwrap();
        push.send(Message::from_iter(["a", "b", "c"])).unwrap();
        push.send(vec![2; 1001]).unwrap();
        assert_eq!((recv(&pull).byte_len(), recv(&pull).len()), (1000, 3));
        assert!(matches!(
            await_end(&monitor),
            (
                DisconnectReason::OverLimit {
                    got: 1001,
                    limit: 1000,
                    ..
                },
                true
            )
        ));
        // Until the PUSH has noticed, it would still send to the old connection.
        await_end(&losses);
        push.wait_for_peers(1, LONG).unwrap();
        pull.wait_for_peers(1, LONG).unwrap();
        push.send(Message::from_iter(["a", "b", "c", "d"])).unwrap();
        assert!(matches!(
            await_end(&monitor),
            (DisconnectReason::OverLimit { got: 4, limit: 3, .. }, true)
        ));
    }
}

#[test]
fn messages_of_every_shape_arrive_as_they_were_sent() {
    let sizes = [
        0, 1, 69, 70, 71, 254, 255, 256, 8191, 8192, 8193, 65_535, 65_536, 1_000_000, 3_000_001,
    ];
    for transport in Transport::ALL {
        let (push, pull) = (Push::new(), Pull::new());
        marry(&push, &pull, transport);
        let body = |len: usize| (0..len).map(|at| (at % 251) as u8).collect::<Vec<_>>();
        let mut sent: Vec<Message> = sizes.iter().map(|&len| Message::from(body(len))).collect();
        sent.push(sizes.iter().map(|&len| body(len)).collect());
        sent.push(Message::from_iter(vec![""; 1000]));
        sent.push(Message::new());
        let sending = sent.clone();
        let sender = thread::spawn(move || {
            for message in sending {
                push.send(message).unwrap();
            }
        });
        for message in sent {
            assert!(
                recv(&pull) == message,
                "{transport:?}: {} bytes",
                message.byte_len()
            );
        }
        sender.join().unwrap();
    }
}

#[test]
fn what_a_pull_sends_to_a_push_is_ignored() {
    for transport in Transport::WIRED {
        let push = Push::new();
        let endpoint = push.bind(transport.anywhere()).unwrap();
        let mut raw = RawPeer::connect(&endpoint);
        raw.shake_hands("PULL");
        for _ in 0..5000 {
            raw.say(&frame(0, b"against the rules"));
        }
        raw.say(&command("PING", &[0, 0, b'?']));
        assert!(raw.hear_frame().is_command("PONG"), "all of it was read");
        push.send("still a peer").unwrap();
        assert_eq!(raw.hear_frame().body, b"still a peer");
        assert_eq!(push.stats().total.unread, 0);
    }
}

#[test]
fn clones_are_one_socket_for_any_number_of_threads() {
    const THREADS: u32 = 8;
    const EACH: u32 = 1000;
    for transport in Transport::ALL {
        let (push, pull) = (Push::new(), Pull::new());
        marry(&push, &pull, transport);
        let senders: Vec<_> = (0..THREADS)
            .map(|name| {
                let push = push.clone();
                thread::spawn(move || {
                    for at in 0..EACH {
                        push.send_timeout((name * EACH + at).to_be_bytes(), LONG).unwrap();
                    }
                })
            })
            .collect();
        let receivers: Vec<_> = (0..THREADS)
            .map(|_| {
                let pull = pull.clone();
                thread::spawn(move || {
                    let number = |message: Message| u32::from_be_bytes(message[0][..].try_into().unwrap());
                    (0..EACH).map(|_| number(recv(&pull))).collect::<Vec<_>>()
                })
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        let got: Vec<_> = receivers
            .into_iter()
            .flat_map(|receiver| receiver.join().unwrap())
            .collect();
        assert_eq!(got.len(), (THREADS * EACH) as usize);
        assert_eq!(
            got.into_iter().collect::<HashSet<_>>().len(),
            (THREADS * EACH) as usize,
            "{transport:?}"
        );
    }
}

// ── heartbeats ──

#[test]
fn a_peer_that_does_not_answer_is_given_up() {
    for transport in Transport::WIRED {
        let pull = Pull::builder()
            .heartbeat_interval(Some(Duration::from_millis(20)))
            .heartbeat_timeout(Duration::from_millis(80))
            .heartbeat_ttl(Some(Duration::from_millis(300)))
            .build();
        let monitor = pull.monitor();
        let endpoint = pull.bind(transport.anywhere()).unwrap();
        let mut raw = RawPeer::connect(&endpoint);
        raw.shake_hands("PUSH");
        let ping = raw.hear_frame();
        assert!(ping.is_command("PING"), "{ping:?}");
        assert_eq!(ping.body[5..7], [0, 3], "the TTL, in tenths of a second");
        assert!(matches!(
            await_end(&monitor),
            (DisconnectReason::TimedOut { .. }, true)
        ));
    }
}

#[test]
fn idle_peers_keep_each_other_alive() {
    for transport in Transport::WIRED {
        let push = Push::builder()
            .heartbeat_interval(Some(Duration::from_millis(10)))
            .heartbeat_timeout(Duration::from_millis(500))
            .heartbeat_ttl(Some(Duration::from_millis(500)))
            .build();
        let pull = Pull::new();
        let monitor = pull.monitor();
        marry(&push, &pull, transport);
        await_event(&monitor, "handshake", |event| {
            matches!(event, Event::HandshakeDone { .. }).then_some(())
        });
        assert_eq!(
            monitor.recv_timeout(Duration::from_millis(800)),
            Err(RecvError::Timeout)
        );
    }
}
