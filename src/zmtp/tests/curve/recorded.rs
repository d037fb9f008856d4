//! A conversation with fixed keys, byte for byte as `tests/known_answers/curve.py` has worked it out with libsodium.

use std::io;

use super::*;
use crate::zmtp::fuzzing::{curve_client, curve_server};

const RECORDED: &str = include_str!("../../../../tests/known_answers/curve.txt");

/// What the script takes for random bytes; each draw has a length of its own.
fn drawn(bytes: &mut [u8]) -> io::Result<()> {
    match bytes.len() {
        // The client's key of this connection, and the nonce of its vouch.
        32 => bytes.fill(3),
        16 => bytes.fill(5),
        // The server's key of this connection, the cookie's key, and their nonces.
        96 => bytes.iter_mut().zip(0..).for_each(|(slot, value)| *slot = value),
        len => panic!("nobody draws {len} bytes"),
    }
    Ok(())
}

fn start(mechanism: Mechanism, now: Instant) -> End {
    let options = LinkOptions {
        mechanism,
        ..LinkOptions::default()
    };
    let mut config = Config::new(SocketType::Pair, &options);
    config.entropy = drawn;
    end(&Arc::new(config), now)
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(hex.get(at..at + 2).unwrap(), 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[test]
fn a_recorded_conversation_is_said_byte_for_byte() {
    let now = Instant::now();
    let (mut client, mut server) = (start(curve_client(), now), start(curve_server(), now));
    let long = "the last".repeat(40);
    let two: Message = ["the first", &long].into_iter().collect();
    let mut lines = 0;
    for line in RECORDED.lines().filter(|line| !line.starts_with('#')) {
        let (what, expected) = line.split_once(": ").unwrap();
        let by_client = what.starts_with("client");
        let (from, to) = if by_client {
            (&mut client, &mut server)
        } else {
            (&mut server, &mut client)
        };
        let said = match what {
            "client sends a message of two frames" => from.encode(two.clone()),
            "server sends a message of one" => from.encode("the answer"),
            "client sends nothing at all" => from.encode(""),
            _ => from.transmit(),
        };
        assert_eq!(said, bytes(expected), "{what}");
        to.feed(&said, now).unwrap();
        lines += 1;
    }
    assert_eq!(lines, 9);
    assert_eq!(server.inbox, [two, "".into()]);
    assert_eq!(client.inbox, ["the answer"]);
}
