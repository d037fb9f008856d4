//! Options do what they say: queues hold what they may, times are kept, silent peers are given up.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aqueduct::{
    Context, DisconnectReason, DropReason, Endpoint, Event, Keepalive, Message, Pull, Push, RecvError,
    SendError, WaitError,
};
use support::*;

const SHORT: Option<Duration> = Some(Duration::from_millis(5));

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

// ── what the system offers ──

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

/// What many peers send is left with the system as long as the application has something left from each; a PING among it
/// is not.
#[test]
fn a_peer_is_heard_whose_message_is_not_received_while_those_of_many_others_are() {
    const OTHERS: usize = 16;
    const TURN: u64 = 10;
    // Nobody but the thread that receives runs the connections of those who receive.
    let there = Context::new(1);
    let pulls = [(); OTHERS].map(|()| Pull::new());
    let pushes = pulls.each_ref().map(|pull| {
        // What is left when the test is over shall not be waited for.
        let push = Push::builder()
            .context(&there)
            .linger(Some(Duration::ZERO))
            .build();
        push.connect(pull.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
        push
    });
    let silent = Pull::new();
    let waits = Push::builder()
        .context(&there)
        .heartbeat_interval(Some(Duration::from_millis(20)))
        .heartbeat_timeout(Duration::from_millis(1500))
        .build();
    let monitor = waits.monitor();
    waits.connect(silent.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    waits.send("waits").unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut sent = [0_u64; OTHERS];
            while !stop.load(Ordering::Relaxed) {
                for (push, sent) in pushes.iter().zip(&mut sent) {
                    *sent += u64::from(push.try_send(sent.to_be_bytes()).is_ok());
                }
            }
        });
        let began = Instant::now();
        for turn in 0.. {
            for (pull, number) in pulls
                .iter()
                .flat_map(|pull| (0..TURN).map(move |nth| (pull, nth)))
            {
                assert_eq!(recv(pull), (turn * TURN + number).to_be_bytes());
            }
            if began.elapsed() > Duration::from_secs(3) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    while let Ok(event) = monitor.try_recv() {
        assert!(!matches!(event, Event::Disconnected { .. }), "{event:?}");
    }
    assert_eq!(recv(&silent), "waits");
}

#[test]
fn who_polls_busily_is_woken_all_the_same() {
    for transport in Transport::ALL {
        // Longer than the test may take: it must be ended by the message, not by the time.
        let pull = Pull::builder().busy_poll(Duration::MAX).build();
        let endpoint = pull.bind(transport.anywhere()).unwrap();
        let receiving = std::thread::spawn(move || pull.recv());
        let push = Push::new();
        push.connect(&endpoint).unwrap();
        push.send("here").unwrap();
        assert_eq!(receiving.join().unwrap().unwrap(), "here");
    }
}
