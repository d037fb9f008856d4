//! Timers: what the connection does when nothing, or too little, comes.

use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn timed_out(result: Result<(), DisconnectReason>) -> &'static str {
    match result {
        Err(DisconnectReason::TimedOut { what, .. }) => what,
        other => panic!("not timed out: {other:?}"),
    }
}

fn ping(ttl: u16, context: &[u8]) -> Vec<u8> {
    command(Command::Ping { ttl, context })
}

/// Lets the time run to `until`, as a reactor would; returns what was sent on the way.
fn run(end: &mut End, until: Instant) -> Result<Vec<u8>, DisconnectReason> {
    let mut sent = Vec::new();
    while let Some(deadline) = end
        .connection
        .poll_timeout()
        .filter(|deadline| *deadline <= until)
    {
        end.connection.handle_timeout(deadline)?;
        assert!(
            end.connection.poll_timeout().is_none_or(|next| next > deadline),
            "a timer that never ends"
        );
        sent.extend(end.transmit());
    }
    Ok(sent)
}

#[test]
fn the_handshake_has_an_absolute_end() {
    let start = Instant::now();
    let script = fuzzing::prelude(SocketType::Pull, 1);
    for len in 0..script.len() {
        let mut end = End::new(SocketType::Pull, start);
        for (at, byte) in script[..len].iter().enumerate() {
            let now = start + SECOND * 10 * u32::try_from(at).unwrap() / 200;
            run(&mut end, now).unwrap();
            end.feed(&[*byte], now).unwrap();
        }
        assert_eq!(
            end.connection.poll_timeout(),
            Some(start + 10 * SECOND),
            "after {len} bytes"
        );
        end.connection.handle_timeout(start + 9 * SECOND).unwrap();
        assert_eq!(
            timed_out(end.connection.handle_timeout(start + 10 * SECOND)),
            "handshake"
        );
    }
}

#[test]
fn a_late_ready_is_too_late() {
    let start = Instant::now();
    let mut end = End::new(SocketType::Pull, start);
    let script = fuzzing::prelude(SocketType::Pull, 1);
    assert_eq!(timed_out(end.feed(&script, start + 10 * SECOND)), "handshake");
}

#[test]
fn a_ping_goes_out_in_every_interval() {
    let start = Instant::now();
    let mut end = End::ready(SocketType::Pull, 1, &LinkOptions::default(), start);
    assert_eq!(end.connection.poll_timeout(), Some(start + 15 * SECOND));
    assert_eq!(run(&mut end, start + 14 * SECOND).unwrap(), b"");
    assert_eq!(
        run(&mut end, start + 15 * SECOND).unwrap(),
        b"\x04\x07\x04PING\0\0"
    );
    end.feed(&command(Command::Pong { context: b"" }), start + 16 * SECOND)
        .unwrap();
    assert_eq!(
        run(&mut end, start + 30 * SECOND).unwrap(),
        b"\x04\x07\x04PING\0\0"
    );
}

#[test]
fn silence_after_a_ping_ends_it() {
    let start = Instant::now();
    let mut end = End::ready(SocketType::Pull, 1, &LinkOptions::default(), start);
    run(&mut end, start + 59 * SECOND).unwrap();
    assert_eq!(
        timed_out(run(&mut end, start + 60 * SECOND).map(drop)),
        "answer to a PING"
    );
}

#[test]
fn any_byte_is_an_answer() {
    let start = Instant::now();
    let mut end = End::ready(SocketType::Pull, 1, &LinkOptions::default(), start);
    run(&mut end, start + 50 * SECOND).unwrap();
    end.feed(&[0], start + 50 * SECOND).unwrap();
    run(&mut end, start + 100 * SECOND).unwrap();
}

#[test]
fn a_peer_of_version_3_0_gets_no_ping() {
    let start = Instant::now();
    let mut end = End::ready(SocketType::Pull, 0, &LinkOptions::default(), start);
    assert_eq!(end.connection.poll_timeout(), None);
    end.connection.handle_timeout(start + 1000 * SECOND).unwrap();
    assert!(!end.connection.wants_transmit());
}

#[test]
fn our_ttl_is_at_most_655() {
    for (ttl, sent) in [(1, 1), (100, 1), (101, 2), (65_500, 655), (10_000_000, 655)] {
        let options = LinkOptions {
            heartbeat_ttl: Some(Duration::from_millis(ttl)),
            ..LinkOptions::default()
        };
        let start = Instant::now();
        let mut end = End::ready(SocketType::Pull, 1, &options, start);
        assert_eq!(run(&mut end, start + 15 * SECOND).unwrap(), ping(sent, b""));
    }
}

#[test]
fn the_ttl_of_the_peer_ends_a_silence() {
    let start = Instant::now();
    for (ttl, millis) in [(1, 100), (655, 65_500), (656, 65_600), (65_535, 6_553_500)] {
        let mut end = End::ready(SocketType::Pull, 0, &LinkOptions::default(), start);
        end.feed(&ping(ttl, b""), start).unwrap();
        let last = start + Duration::from_millis(millis);
        assert_eq!(end.connection.poll_timeout(), Some(last));
        end.connection
            .handle_timeout(last - Duration::from_millis(1))
            .unwrap();
        assert_eq!(
            timed_out(end.connection.handle_timeout(last)),
            "silence after the peer's PING"
        );
    }
}

#[test]
fn what_follows_a_ping_cancels_its_ttl() {
    let start = Instant::now();
    let pieces: [&[&[u8]]; 2] = [&[&ping(1, b""), &[0, 0]], &[&[ping(1, b""), vec![0, 0]].concat()]];
    for pieces in pieces {
        let mut end = End::ready(SocketType::Pull, 0, &LinkOptions::default(), start);
        pieces.iter().for_each(|piece| end.feed(piece, start).unwrap());
        end.connection.handle_timeout(start + SECOND).unwrap();
    }
    let mut end = End::ready(SocketType::Pull, 0, &LinkOptions::default(), start);
    end.feed(&ping(0, b""), start).unwrap();
    assert_eq!(end.connection.poll_timeout(), None, "a TTL of 0 is none");
}

#[test]
fn a_stall_within_a_message_ends_it() {
    let start = Instant::now();
    let partial: [&[u8]; 4] = [&[0], &[0, 5], &[2, 0, 0, 0], &[1, 1, b'a']];
    for bytes in partial {
        let mut end = End::ready(SocketType::Pull, 0, &LinkOptions::default(), start);
        end.feed(bytes, start).unwrap();
        assert_eq!(end.connection.poll_timeout(), Some(start + 60 * SECOND));
        end.connection.handle_timeout(start + 59 * SECOND).unwrap();
        assert_eq!(
            timed_out(end.connection.handle_timeout(start + 60 * SECOND)),
            "silence within a message"
        );
    }
}

#[test]
fn a_trickle_is_no_stall() {
    let start = Instant::now();
    let mut end = End::ready(SocketType::Pull, 0, &LinkOptions::default(), start);
    for (step, byte) in [0, 3, b'a', b'b', b'c'].into_iter().enumerate() {
        let now = start + 50 * SECOND * u32::try_from(step).unwrap();
        run(&mut end, now).unwrap();
        end.feed(&[byte], now).unwrap();
    }
    assert_eq!(end.inbox, ["abc"]);
    run(&mut end, start + 1000 * SECOND).unwrap();
    assert_eq!(end.connection.poll_timeout(), None);
}

#[test]
fn messages_move_no_timer() {
    let start = Instant::now();
    for minor in [0, 1] {
        let mut end = End::ready(SocketType::Pull, minor, &LinkOptions::default(), start);
        end.feed(&[0], start).unwrap();
        let deadline = end.connection.poll_timeout();
        for step in 1..10 {
            end.feed(&[0, 0], start + step * SECOND / 100).unwrap();
            assert_eq!(end.connection.poll_timeout(), deadline);
        }
    }
}

/// Feeds two messages with room for one: the connection then knows that it is not reading.
fn deafen(end: &mut End, now: Instant) {
    let mut room = Room {
        messages: 1,
        bytes: 1000,
    };
    assert_eq!(end.handle_input(&[0, 0, 0, 0], &mut room, now), Ok(2));
}

#[test]
fn silence_does_not_count_while_we_do_not_read() {
    let start = Instant::now();
    let mut end = End::ready(SocketType::Pull, 1, &LinkOptions::default(), start);
    end.feed(&ping(20, b""), start).unwrap();
    end.transmit();
    deafen(&mut end, start + SECOND);
    let sent = run(&mut end, start + 1000 * SECOND).unwrap();
    assert_eq!(sent.len() / ping(0, b"").len(), 66, "our own signs of life go on");

    // There is room again, but nothing to read: from now on silence counts.
    end.feed(&[], start + 1000 * SECOND).unwrap();
    run(&mut end, start + 1040 * SECOND).unwrap();
    assert_eq!(
        timed_out(run(&mut end, start + 1070 * SECOND).map(drop)),
        "answer to a PING"
    );
}

#[test]
fn one_pong_waits_at_most() {
    let now = Instant::now();
    let mut end = End::ready(SocketType::Pull, 1, &LinkOptions::default(), now);
    for at in 0..1000_u32 {
        end.feed(&ping(0, &at.to_be_bytes()), now).unwrap();
    }
    assert_eq!(
        end.transmit(),
        command(Command::Pong {
            context: &999_u32.to_be_bytes()
        })
    );
    for len in [0, 1, 15, 16, 17, 255, 1000] {
        let context: Vec<u8> = (0..len).map(|at| at as u8).collect();
        end.feed(&ping(0, &context), now).unwrap();
        let echo = &context[..context.len().min(16)];
        assert_eq!(end.transmit(), command(Command::Pong { context: echo }));
    }
}

#[test]
fn durations_without_end_are_no_timers() {
    let now = Instant::now();
    let options = LinkOptions {
        handshake_timeout: Duration::MAX,
        stall_timeout: Duration::MAX,
        heartbeat_interval: Some(Duration::MAX),
        heartbeat_timeout: Duration::MAX,
        ..LinkOptions::default()
    };
    assert_eq!(
        End::with(SocketType::Pull, &options, now)
            .connection
            .poll_timeout(),
        None
    );
    let mut end = End::ready(SocketType::Pull, 1, &options, now);
    end.feed(&[0], now).unwrap();
    assert_eq!(end.connection.poll_timeout(), None);
}
