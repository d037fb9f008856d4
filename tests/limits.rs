//! Limits that hold for all peers of a socket together: each breach is told, counted, and at the cost of who caused it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use aqueduct::{AllowAny, DisconnectReason, Endpoint, Event, Monitor, Pull, Push};
use support::*;

/// Why a connection was not let in.
fn next_refusal(monitor: &Monitor) -> (String, DisconnectReason) {
    await_event(monitor, "refusal", |event| match event {
        Event::HandshakeFailed { address, reason, .. } => Some((address.clone(), reason.clone())),
        _ => None,
    })
}

#[test]
fn a_host_with_many_handshakes_makes_room_at_its_own_cost() {
    // Only Linux has all of 127/8 without being asked.
    if !cfg!(target_os = "linux") {
        return;
    }
    const LIMIT: usize = 8;
    const CROWD: usize = 50;
    let pull = Pull::builder().max_handshakes(LIMIT).build();
    let monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:0").unwrap();
    let mut slow = RawPeer::connect_from(Ipv4Addr::new(127, 0, 0, 2), &endpoint);
    slow.hear_greeting();
    let crowd: Vec<_> = (0..CROWD).map(|_| RawPeer::connect(&endpoint)).collect();
    // With the slow one there is one too many at the eighth of the crowd.
    for peer in &crowd[..=CROWD - LIMIT] {
        let (address, reason) = next_refusal(&monitor);
        assert_eq!(address, peer.address(), "the oldest of the crowd goes");
        let expected = DisconnectReason::OverLimit {
            what: "handshakes at once",
            got: 9,
            limit: 8,
        };
        assert_eq!(reason, expected);
    }
    slow.say(&GREETING)
        .say(&ready_of("PUSH"))
        .say(&frame(0, b"was slow"));
    assert_eq!(recv(&pull), "was slow");
    let shed = (CROWD - LIMIT + 1) as u64;
    assert_eq!(pull.stats().endings.of("handshakes at once"), shed);
}

#[test]
fn who_has_been_let_in_is_not_shed_for_strangers() {
    const LIMIT: usize = 8;
    for transport in Transport::WIRED {
        let pull = Pull::builder()
            .plain_server(AllowAny)
            .max_handshakes(LIMIT)
            .build();
        let monitor = pull.monitor();
        let endpoint = pull.bind(transport.anywhere()).unwrap();
        let mut greeting = GREETING;
        greeting[12..17].copy_from_slice(b"PLAIN");
        let mut friend = RawPeer::connect(&endpoint);
        friend
            .say(&greeting)
            .say(&command("HELLO", b"\x05alice\x06secret"));
        friend.hear_greeting();
        assert!(friend.hear_frame().is_command("WELCOME"));
        let _crowd: Vec<_> = (0..3 * LIMIT).map(|_| RawPeer::connect(&endpoint)).collect();
        for _ in 0..=2 * LIMIT {
            next_refusal(&monitor);
        }
        let initiate = command("INITIATE", b"\x0bSocket-Type\0\0\0\x04PUSH");
        friend.say(&initiate).say(&frame(0, b"was let in before"));
        assert_eq!(recv(&pull), "was let in before");
    }
}

#[test]
fn connections_that_come_too_fast_wait_for_their_turn() {
    const RATE: u32 = 20;
    const TOO_MANY: u32 = 10;
    for transport in Transport::WIRED {
        let pull = Pull::builder().handshake_rate(Some(RATE)).build();
        let monitor = pull.monitor();
        let endpoint = pull.bind(transport.anywhere()).unwrap();
        let start = Instant::now();
        let mut raws: Vec<_> = (0..RATE + TOO_MANY)
            .map(|_| RawPeer::connect(&endpoint))
            .collect();
        raws.iter_mut().for_each(|raw| {
            raw.shake_hands("PUSH");
        });
        // All but the burst had to wait for a token each.
        let least = Duration::from_secs(1) * (TOO_MANY - 1) / RATE;
        assert!(start.elapsed() >= least, "{:?}", start.elapsed());
        let paused = await_event(&monitor, "pause", |event| match event {
            Event::AcceptPaused { endpoint } => Some(endpoint.clone()),
            _ => None,
        });
        assert_eq!(paused, endpoint);
        assert_eq!(
            pull.stats().endings.of("handshakes a second"),
            1,
            "told once, not at every turn"
        );
    }
}

#[test]
fn a_socket_has_so_many_peers_and_no_more() {
    for transport in Transport::WIRED {
        let pull = Pull::builder().max_peers(2).build();
        let monitor = pull.monitor();
        let endpoint = pull.bind(transport.anywhere()).unwrap();
        let mut welcome: Vec<_> = [(); 2].map(|()| RawPeer::connect(&endpoint)).into();
        welcome.iter_mut().for_each(|raw| {
            raw.shake_hands("PUSH");
        });
        pull.wait_for_peers(2, LONG).unwrap();
        for _ in 0..3 {
            let mut third = RawPeer::connect(&endpoint);
            third.shake_hands("PUSH").say(&frame(0, b"unheard")).hear_out();
            let (_, reason) = next_refusal(&monitor);
            let expected = DisconnectReason::OverLimit {
                what: "peers at once",
                got: 3,
                limit: 2,
            };
            assert_eq!(reason, expected);
        }
        assert_eq!(pull.stats().endings.of("peers at once"), 3);

        drop(welcome.pop());
        let (_, ready) = await_end(&monitor);
        assert!(ready);
        let push = Push::new();
        join(&push, &pull, &endpoint);
        push.send("there is room again").unwrap();
        assert_eq!(recv(&pull), "there is room again");
    }
}

#[test]
fn peers_that_the_socket_chose_itself_do_not_count() {
    for transport in Transport::ALL {
        let pull = Pull::builder().max_peers(1).build();
        let pushes = [(); 3].map(|()| Push::new());
        for push in &pushes {
            pull.connect(push.bind(transport.anywhere()).unwrap()).unwrap();
        }
        pull.wait_for_peers(3, LONG).unwrap();
    }
}

/// Connects a raw PUSH that says this after its handshake.
fn pushing(endpoint: &Endpoint, bytes: &[u8]) -> RawPeer {
    let mut raw = RawPeer::connect(endpoint);
    raw.shake_hands("PUSH").say(bytes);
    raw
}

#[test]
fn many_halves_of_large_messages_take_no_more_than_all_may() {
    const MEMORY: usize = 4 << 20;
    const HALF: usize = 1 << 20;
    for transport in Transport::WIRED {
        let pull = Pull::builder().recv_memory(MEMORY).build();
        let push = Push::new();
        let monitor = pull.monitor();
        let endpoint = marry(&push, &pull, transport);
        let honest = HonestPair::start(push, pull.clone());
        let half = frame(0, &vec![7; 2 * HALF])[..HALF].to_vec();
        let _raws: Vec<_> = (0..8).map(|_| pushing(&endpoint, &half)).collect();
        // Some are let be, and there is room for them; the rest is turned away.
        let (reason, ready) = await_end(&monitor);
        assert!(ready, "{reason}");
        let over = "memory for what was not received yet";
        assert!(
            matches!(reason, DisconnectReason::OverLimit { what, limit, .. } if what == over && limit == MEMORY as u64),
            "{reason}"
        );
        eventually("the rest is turned away", || pull.stats().endings.of(over) >= 3);
        honest.finish();
    }
}

#[test]
fn what_many_peers_queue_is_bounded_together_and_all_of_it_received() {
    const MEMORY: usize = 1 << 20;
    const PEERS: usize = 8;
    const EACH: usize = 1000;
    const ONE_READ: usize = 128 * 1024;
    for transport in Transport::WIRED {
        let pull = Pull::builder().recv_memory(MEMORY).build();
        let endpoint = pull.bind(transport.anywhere()).unwrap();
        let speakers: Vec<_> = (0..PEERS)
            .map(|_| {
                let endpoint = endpoint.clone();
                std::thread::spawn(move || pushing(&endpoint, &frame(0, &[7; 1000]).repeat(EACH)))
            })
            .collect();
        pull.wait_for_peers(PEERS, LONG).unwrap();
        // Half of the memory is filled, and nobody receives.
        let unread = || pull.stats().total.unread;
        eventually("half of the memory is filled", || {
            unread() >= (MEMORY / 2 / 1064) as u64
        });
        std::thread::park_timeout(A_WHILE);
        // Each may have gone past the mark by one read.
        let most = MEMORY / 2 + PEERS * ONE_READ;
        assert!(unread() <= (most / 1000) as u64, "{} are here", unread());
        for _ in 0..PEERS * EACH {
            assert_eq!(recv(&pull)[0].len(), 1000);
        }
        assert_eq!(pull.stats().endings.iter().count(), 0, "nobody was turned away");
        speakers
            .into_iter()
            .for_each(|speaker| drop(speaker.join().unwrap()));
    }
}

#[test]
fn a_peer_that_is_not_read_from_is_not_taken_for_silent() {
    // Few enough that no connection is ended for the memory of an unfinished message.
    const BODY: usize = 32 << 10;
    let time = Duration::from_millis(100);
    for transport in Transport::WIRED {
        let pull = Pull::builder().recv_memory(1).stall_timeout(time).build();
        let endpoint = pull.bind(transport.anywhere()).unwrap();
        let cut = frame(0, &[b'x'; BODY]);
        let (first, rest) = cut.split_at(BODY / 2);
        let mut raw = pushing(&endpoint, &[&frame(0, b"whole"), first].concat());
        eventually("one has come", || pull.stats().total.unread == 1);
        // While that is not received there is no memory for more, and no reason to wait for it.
        std::thread::park_timeout(3 * time);
        raw.say(rest);
        assert_eq!(recv(&pull), "whole");
        assert_eq!(recv(&pull)[0].len(), BODY);
        assert_eq!(pull.stats().endings.iter().count(), 0);
    }
}

#[test]
fn a_flood_of_strangers_does_not_push_out_what_matters() {
    const STRANGERS: u64 = 1500;
    for transport in Transport::WIRED {
        let pull = Pull::builder().handshake_rate(None).build();
        let push = Push::new();
        let monitor = pull.monitor();
        let endpoint = marry(&push, &pull, transport);
        for _ in 0..STRANGERS {
            RawPeer::connect(&endpoint).say(b"GET / HTTP/1.1\r\n\r\n");
        }
        eventually("all were turned away", || {
            pull.stats().endings.iter().map(|(_, count)| count).sum::<u64>() == STRANGERS
        });
        let heard: Vec<_> = std::iter::from_fn(|| monitor.try_recv().ok()).collect();
        assert!(matches!(heard[0], Event::Listening { .. }), "{:?}", heard[0]);
        assert!(
            heard
                .iter()
                .any(|event| matches!(event, Event::HandshakeDone { .. }))
        );
        // An arrival and an end for each; both ends of the honest pair are beside them.
        let told = heard.len() as u64 + pull.stats().monitor_dropped;
        assert_eq!(told, 2 * STRANGERS + 3);
    }
}

// ── frames ──

/// The limit that a peer went past, as the next event with a reason has it, if it is counted as such once.
fn breached(pull: &Pull, monitor: &Monitor) -> u64 {
    let (reason, _) = await_end(monitor);
    let DisconnectReason::OverLimit { limit, .. } = reason else {
        panic!("{reason}")
    };
    assert_eq!(pull.stats().endings.of(reason.kind()), 1);
    limit
}

#[test]
fn commands_are_as_large_as_the_option_says() {
    const LIMIT: usize = 2_000;
    for transport in Transport::WIRED {
        let pull = Pull::builder().max_command_size(LIMIT).build();
        let monitor = pull.monitor();
        let endpoint = pull.bind(transport.anywhere()).unwrap();
        // A command is its name, with its length before, and what it says.
        let of_size = |size: usize| command("NOVELTY", &vec![0; size - 8]);
        let mut raw = pushing(&endpoint, &of_size(LIMIT));
        raw.say(&frame(0, b"still here"));
        assert_eq!(recv(&pull), "still here");
        raw.say(&of_size(LIMIT + 1)).hear_out();
        assert_eq!(breached(&pull, &monitor), LIMIT as u64);
    }
}

#[test]
fn frames_of_the_handshake_are_as_large_as_the_option_says() {
    const LIMIT: usize = 2_000;
    for transport in Transport::WIRED {
        let pull = Pull::builder().max_handshake_frame(LIMIT).build();
        let monitor = pull.monitor();
        let endpoint = pull.bind(transport.anywhere()).unwrap();
        let ready_with = |padding: &[u8]| ready(&[("Socket-Type", b"PUSH"), ("X-Padding", padding)]);
        // Of the frame, the header has nine bytes.
        let bare = ready_with(&[0; 1_000]).len() - 1_000 - 9;
        let mut fits = RawPeer::connect(&endpoint);
        fits.say(&GREETING).say(&ready_with(&vec![0; LIMIT - bare]));
        pull.wait_for_peers(1, LONG).unwrap();
        let mut raw = RawPeer::connect(&endpoint);
        raw.say(&GREETING)
            .say(&ready_with(&vec![0; LIMIT - bare + 1]))
            .hear_out();
        assert_eq!(breached(&pull, &monitor), LIMIT as u64);
    }
}
