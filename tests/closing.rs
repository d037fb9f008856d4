//! The end of a socket: verbs fail, waiting ends, and every message is delivered, given back or accounted for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::thread;
use std::time::{Duration, Instant};

use aqueduct::{
    BindError, ConnectError, Context, DetachError, Message, Pull, Push, RecvError, SendError, TryRecvError,
    TrySendError, WaitError,
};
use support::*;

const SHORT: Option<Duration> = Some(Duration::from_millis(5));

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
