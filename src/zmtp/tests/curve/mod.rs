//! CURVE through whole connections: cut anywhere, damaged anywhere, and with frames that were sealed or were not.

mod conversation;
mod in_between;
mod recorded;

use super::bad_input::{play_hostile, table};
use super::fuzzing::{config_with, curve_client, curve_server, shake_hands};
use super::*;
use crate::recycle;
use crate::security::Mechanism;

/// One end for each role, which draws the same random bytes each time, and what a peer says to it.
fn roles() -> [(Arc<Config>, Vec<u8>); 2] {
    [curve_server(), curve_client()].map(|mechanism| {
        let config = config_with(SocketType::Pull, mechanism);
        let (said, _) = shake_hands(&config, 1);
        (config, said)
    })
}

fn end(config: &Arc<Config>, now: Instant) -> End {
    End {
        connection: Connection::new(Arc::clone(config), now),
        inbox: VecDeque::new(),
        events: Vec::new(),
        verdict: Ok(Arc::default()),
    }
}

#[test]
fn bad_clients_of_a_curve_server_and_bad_servers_of_a_curve_client() {
    let options = |mechanism| LinkOptions {
        mechanism,
        ..LinkOptions::default()
    };
    play_hostile(table::for_curve_servers(), &options(curve_server()));
    play_hostile(table::for_curve_clients(), &options(curve_client()));
}

#[test]
fn a_handshake_may_be_cut_at_every_byte() {
    let now = Instant::now();
    for (config, said) in roles() {
        for cut in 0..said.len() {
            let mut end = end(&config, now);
            end.feed(&said[..cut], now).unwrap();
            assert!(!end.connection.is_ready());
            end.feed(&said[cut..], now).unwrap();
            assert!(end.connection.is_ready(), "cut at {cut}");
        }
    }
}

#[test]
fn what_is_damaged_anywhere_is_not_answered_and_lets_nobody_in() {
    let now = Instant::now();
    for (config, said) in roles() {
        // The greeting has bytes that mean nothing.
        for at in (greeting::LEN..said.len()).step_by(7) {
            let mut damaged = said.clone();
            damaged[at] ^= 0x10;
            let mut end = end(&config, now);
            let result = end.feed(&damaged, now);
            assert!(!end.connection.is_ready(), "damaged at {at}");
            if result.is_err() {
                assert_eq!(end.transmit(), [], "damaged at {at}");
            }
        }
    }
}

#[test]
fn whoever_greets_with_another_mechanism_gets_no_further() {
    let now = Instant::now();
    for (config, _) in roles() {
        for other in [Mechanism::Null, Mechanism::PlainServer(Arc::new(crate::AllowAny))] {
            let mut end = end(&config, now);
            let reason = end.feed(&greeting::emit(&other), now).unwrap_err();
            assert!(matches!(
                reason,
                DisconnectReason::Incompatible {
                    what: "mechanism",
                    ..
                }
            ));
        }
    }
}

#[test]
fn after_the_handshake_only_what_is_sealed_counts() {
    use crate::zmtp::frame::{COMMAND, MORE};

    let now = Instant::now();
    for (config, said) in roles() {
        let (_, mut peer) = shake_hands(&config, 1);
        let mut sealed = Vec::new();
        for (flags, body) in [
            (0, "whole"),
            (MORE, "first"),
            (0, "last"),
            (COMMAND, "\x04PING\0\0hi"),
        ] {
            peer.seal_frame(flags, body.as_bytes(), &mut sealed);
        }
        for piece in [1, 2, 3, 16, 35, 36, 64] {
            let mut end = end(&config, now);
            end.feed(&said, now).unwrap();
            end.transmit();
            for piece in sealed.chunks(piece) {
                end.feed(piece, now).unwrap();
            }
            let parts: Vec<_> = end.inbox.iter().map(|message| message.frames().len()).collect();
            assert_eq!(parts, [1, 2]);
            assert!(!end.transmit().is_empty(), "a PONG");
        }
        let bare = [
            frame(0, b"a message"),
            frame(COMMAND, b"\x04PING\0\0"),
            frame(COMMAND, b"\x05ERROR\0"),
        ];
        // The first frame is short: its first byte is the flags, its second the length.
        let flagged = [MORE, COMMAND].map(|flag| [&[flag], &sealed[1..]].concat());
        for bytes in bare.into_iter().chain(flagged) {
            let mut end = end(&config, now);
            end.feed(&said, now).unwrap();
            end.transmit();
            assert!(matches!(
                end.feed(&bytes, now),
                Err(DisconnectReason::Malformed(_))
            ));
            assert!(end.inbox.is_empty() && end.transmit().is_empty());
        }
    }
}

#[test]
fn frames_of_any_size_are_opened_whether_they_come_whole_or_in_pieces() {
    let now = Instant::now();
    for (config, said) in roles() {
        // Long ones are opened where they were read to, or in a buffer of their own.
        for len in [recycle::SMALLEST - 100, recycle::SMALLEST, 100_000] {
            for piece in [1000, usize::MAX] {
                let (_, mut peer) = shake_hands(&config, 1);
                let body = vec![7; len];
                let mut sealed = Vec::new();
                peer.seal_frame(0, &body, &mut sealed);
                let mut end = end(&config, now);
                end.feed(&said, now).unwrap();
                for piece in sealed.chunks(piece) {
                    end.feed(piece, now).unwrap();
                }
                assert!(end.inbox == [Message::from(body)], "{len} bytes, {piece} at once");
            }
        }
    }
}

#[test]
fn no_two_connections_draw_the_same_bytes() {
    let now = Instant::now();
    let greeted = |mechanism: Mechanism| {
        let options = LinkOptions {
            mechanism,
            ..LinkOptions::default()
        };
        let mut end = End::with(SocketType::Pair, &options, now);
        end.feed(&greeting::emit(&options.mechanism), now).unwrap();
        let said = end.transmit().split_off(greeting::LEN);
        (end, said)
    };
    let [(_, hello), (_, other)] = [(); 2].map(|()| greeted(curve_client()));
    assert_ne!(hello, other);
    let welcome = || {
        let (mut end, _) = greeted(curve_server());
        end.feed(&hello, now).unwrap();
        end.transmit()
    };
    assert_ne!(welcome(), welcome());
}
