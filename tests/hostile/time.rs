//! What needs time, options or more than one connection: it is no script.

use std::time::{Duration, Instant};

use aqueduct::{DisconnectReason, Event, Pull};

use crate::stage::{Side, Stage};
use crate::support::*;

fn good_script(theirs: &str) -> Vec<u8> {
    [&GREETING[..], &ready_of(theirs), &frame(0, b"in")].concat()
}

#[test]
fn a_peer_may_fall_silent_or_hang_up_after_any_byte() {
    for transport in Transport::WIRED {
        for side in [Side::BoundPull, Side::ConnectingPull] {
            let stage = Stage::set(side, transport);
            let script = good_script("PUSH");
            for cut in 0..=script.len() {
                // Whether a reset overtakes a message before it is the system's choice, so that one is not played.
                let ways = if cut < script.len() {
                    &[true, false][..]
                } else {
                    &[true]
                };
                for &polite in ways {
                    let (mut raw, listener) = stage.enter();
                    raw.say(&script[..cut]);
                    if polite {
                        raw.finish().hear_out();
                    } else {
                        raw.reset();
                    }
                    let (reason, _) = await_end(&stage.monitor);
                    assert!(
                        matches!(reason, DisconnectReason::PeerClosed | DisconnectReason::Io(_)),
                        "{cut}: {reason}"
                    );
                    if cut == script.len() {
                        stage.expect_messages(&["in"]);
                    }
                    stage.leave(listener);
                }
            }
            stage.strike();
        }
    }
}

#[test]
fn the_handshake_has_to_end_in_time_whatever_part_of_it_came() {
    let time = Duration::from_millis(150);
    for transport in Transport::WIRED {
        let stage = Stage::set_with(
            Side::BoundPull,
            transport,
            |pull| pull.handshake_timeout(time),
            |push| push,
        );
        let script = [&GREETING[..], &ready_of("PUSH")].concat();
        let start = Instant::now();
        let raws: Vec<_> = (0..script.len())
            .map(|cut| {
                let (mut raw, _) = stage.enter();
                raw.say(&script[..cut]);
                raw
            })
            .collect();
        for _ in &raws {
            let (reason, ready) = await_end(&stage.monitor);
            assert!(
                matches!(reason, DisconnectReason::TimedOut { limit, .. } if limit == time),
                "{reason}"
            );
            assert!(!ready && start.elapsed() >= time);
        }
        stage.strike();
    }
}

#[test]
fn a_byte_at_a_time_does_not_stretch_the_handshake() {
    let time = Duration::from_millis(150);
    for transport in Transport::WIRED {
        let stage = Stage::set_with(
            Side::BoundPull,
            transport,
            |pull| pull.handshake_timeout(time),
            |push| push,
        );
        let (mut raw, _) = stage.enter();
        raw.hear_greeting();
        let start = Instant::now();
        for byte in GREETING {
            raw.say(&[byte]);
            if !raw.is_alive(Duration::from_millis(10)) {
                break;
            }
        }
        assert!(
            start.elapsed() < Duration::from_millis(640),
            "it was let speak to the end"
        );
        let (reason, _) = await_end(&stage.monitor);
        assert!(matches!(reason, DisconnectReason::TimedOut { .. }), "{reason}");
        stage.strike();
    }
}

#[test]
fn a_push_says_nothing_to_a_peer_that_has_not_said_who_it_is() {
    for transport in Transport::WIRED {
        for side in [Side::BoundPush, Side::ConnectingPush] {
            let stage = Stage::set(side, transport);
            let (mut raw, listener) = stage.enter();
            raw.say(&GREETING);
            raw.hear_greeting();
            assert!(raw.hear_frame().is_command("READY"));
            assert!(!raw.hears_anything(A_WHILE), "{side:?} sent data before READY");
            raw.say(&ready_of("PULL"));
            assert_eq!(raw.hear_frame().body, b"honest");
            drop(raw);
            await_end(&stage.monitor);
            stage.leave(listener);
            stage.strike();
        }
    }
}

#[test]
fn a_peer_that_stops_within_a_message_is_given_up() {
    let time = Duration::from_millis(100);
    for transport in Transport::WIRED {
        let stage = Stage::set_with(
            Side::BoundPull,
            transport,
            |pull| pull.stall_timeout(time).max_message_size(1 << 40),
            |push| push,
        );
        let halves = [
            vec![0],
            vec![0, 9],
            vec![1, 0],
            vec![2, 0, 0, 0, 0x7f, 0, 0, 0, 0],
            vec![0, 9, 1, 2],
        ];
        for half in halves {
            let (mut raw, _) = stage.enter();
            raw.shake_hands("PUSH");
            raw.say(&half);
            let (reason, ready) = await_end(&stage.monitor);
            assert!(
                ready && reason.to_string().starts_with("silence within a message"),
                "{half:?}: {reason}"
            );
            assert!(raw.hear_out().is_empty());
        }
        let (mut raw, _) = stage.enter();
        raw.shake_hands("PUSH").say(&frame(0, b"whole"));
        stage.expect_messages(&["whole"]);
        assert!(raw.is_alive(3 * time), "a pause between messages is nothing bad");
        drop(raw);
        stage.strike();
    }
}

#[test]
fn a_peer_that_says_error_is_not_asked_again_for_half_a_minute() {
    for transport in Transport::WIRED {
        let pull = Pull::builder()
            .reconnect_interval(Some(Duration::from_millis(1)))
            .build();
        let monitor = pull.monitor();
        let listener = RawListener::bind(transport);
        pull.connect(listener.endpoint()).unwrap();
        let mut raw = listener.accept();
        raw.say(&GREETING).say(&command("ERROR", b"\x08go\naway!"));
        let (reason, ready) = await_end(&monitor);
        assert_eq!(
            (reason, ready),
            (DisconnectReason::Refused("go\\naway!".to_owned()), false)
        );
        let delay = await_event(&monitor, "pause", |event| match event {
            Event::Retried { delay, .. } => Some(*delay),
            _ => None,
        });
        assert!(delay >= Duration::from_secs(30), "{delay:?}");
    }
}

#[test]
fn a_peer_that_misbehaves_is_asked_again() {
    for transport in Transport::WIRED {
        let pull = Pull::builder()
            .reconnect_interval(Some(Duration::from_millis(1)))
            .build();
        let listener = RawListener::bind(transport);
        pull.connect(listener.endpoint()).unwrap();
        for bad in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            &GREETING[..63],
            &[0xff; 64],
        ] {
            let mut raw = listener.accept();
            raw.say(bad).finish().hear_out();
        }
        let mut raw = listener.accept();
        raw.shake_hands("PUSH").say(&frame(0, b"sorry"));
        assert_eq!(recv(&pull), "sorry");
    }
}

#[test]
fn a_peer_that_asked_to_be_given_up_is_given_up() {
    for transport in Transport::WIRED {
        let stage = Stage::set(Side::BoundPull, transport);
        let (mut raw, _) = stage.enter();
        raw.shake_hands("PUSH").say(&command("PING", b"\0\x01"));
        let start = Instant::now();
        let (reason, ready) = await_end(&stage.monitor);
        assert!(
            ready && reason.to_string().starts_with("silence after the peer's PING"),
            "{reason}"
        );
        assert!(start.elapsed() < LONG / 2, "a TTL of a tenth of a second");
        stage.strike();
    }
}

#[test]
fn a_flood_of_pings_from_a_peer_that_does_not_read_is_answered_once() {
    const PINGS: usize = 200_000;
    for transport in Transport::WIRED {
        let stage = Stage::set_with(
            Side::BoundPull,
            transport,
            |pull| pull.send_buffer(Some(4096)),
            |push| push,
        );
        let (mut raw, _) = stage.enter();
        raw.shake_hands("PUSH");
        raw.say(&command("PING", b"\0\0sixteen bytes ok").repeat(PINGS));
        raw.say(&command("PING", b"\0\0last"));
        let mut pongs = 0;
        while !raw.hear_frame().body.ends_with(b"last") {
            pongs += 1;
        }
        assert!(
            pongs < PINGS / 2,
            "{pongs} answers were kept for {PINGS} questions"
        );
        drop(raw);
        stage.strike();
    }
}
