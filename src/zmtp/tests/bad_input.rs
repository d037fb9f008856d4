//! Bad input: a table of scripts, each played in one piece, byte by byte, and cut in two at every byte.

use super::*;

/// How a script ends.
pub(super) enum Outcome {
    /// The connection closes with a reason that begins so, and says nothing more.
    Close(&'static str),
    /// The same, after an ERROR command to the peer with the same text.
    Error(&'static str),
    /// It stays open, with so many messages and ignored commands.
    Open(usize, u64),
}
use Outcome::{Close, Error, Open};

pub(super) struct Script {
    name: &'static str,
    bytes: Vec<u8>,
    end: Outcome,
}

pub(super) fn script(name: &'static str, parts: &[&[u8]], end: Outcome) -> Script {
    Script {
        name,
        bytes: parts.concat(),
        end,
    }
}

fn with(mut bytes: Vec<u8>, at: usize, change: &[u8]) -> Vec<u8> {
    bytes[at..at + change.len()].copy_from_slice(change);
    bytes
}

fn greetings() -> Vec<Script> {
    const SIGNATURE: &str = "malformed input: no ZMTP signature";
    let push = ready(&[("Socket-Type", b"PUSH")]);
    let changed = |name, at, change: &[u8], end| script(name, &[&with(hello(), at, change), &push], end);
    let mechanism = |name, change, end| changed(name, 12, change, end);
    vec![
        script(
            "HTTP",
            &[b"GET / HTTP/1.1\r\nHost: example\r\n\r\n"],
            Close(SIGNATURE),
        ),
        script(
            "TLS",
            &[b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
            Close(SIGNATURE),
        ),
        script("SSH", &[b"SSH-2.0-OpenSSH_9.6\r\n"], Close(SIGNATURE)),
        script("SMB", &[b"\0\0\0\x85\xffSMB"], Close(SIGNATURE)),
        script("a bad first byte alone", &[b"\xfe"], Close(SIGNATURE)),
        changed("a bad end of the signature", 9, &[0x7e], Close(SIGNATURE)),
        changed("padding of any kind", 1, &[1, 2, 3, 4, 5, 6, 7, 255], Open(0, 0)),
        changed(
            "ZMTP 1.0",
            10,
            &[0],
            Close("incompatible version: ours is ZMTP 3.1, the peer's is ZMTP 1.0"),
        ),
        changed(
            "ZMTP 2.0",
            10,
            &[1],
            Close("incompatible version: ours is ZMTP 3.1, the peer's is ZMTP 2.0"),
        ),
        changed("revision 2", 10, &[2], Close("incompatible version")),
        changed("ZMTP 3.0", 11, &[0], Open(0, 0)),
        changed("ZMTP 3.9", 11, &[9], Open(0, 0)),
        changed("ZMTP 255.0", 10, &[255, 0], Open(0, 0)),
        changed("as a server", 32, &[1], Open(0, 0)),
        changed("as something else", 32, &[77], Open(0, 0)),
        changed("a filler", 33, &[7; 31], Open(0, 0)),
        mechanism(
            "PLAIN",
            b"PLAIN",
            Close("incompatible mechanism: ours is NULL, the peer's is PLAIN"),
        ),
        mechanism(
            "lower case",
            b"null",
            Close("incompatible mechanism: ours is NULL, the peer's is null"),
        ),
        mechanism(
            "not padded",
            b"NULL\0X",
            Close("incompatible mechanism: ours is NULL, the peer's is NULL\\x00X"),
        ),
        mechanism(
            "no mechanism",
            b"\0\0\0\0",
            Close("incompatible mechanism: ours is NULL, the peer's is "),
        ),
        mechanism(
            "escapes",
            &[0x1b; 20],
            Close("incompatible mechanism: ours is NULL, the peer's is \\x1b\\x1b"),
        ),
    ]
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn handshakes() -> Vec<Script> {
    let push: (&str, &[u8]) = ("Socket-Type", b"PUSH");
    let after = |name, bytes: &[u8], end| script(name, &[&hello(), bytes], end);
    let raw = |name, properties: &[u8], end| {
        after(name, &command(Command::Ready(Properties::new(properties))), end)
    };
    let many: Vec<(&str, &[u8])> = vec![("X-Same", b""); 64];
    let good = b"\x0bSocket-Type\0\0\0\x04PUSH".to_vec();
    let socket_type = |name, value: &[u8], end| after(name, &ready(&[("Socket-Type", value)]), end);
    let mut table = vec![
        after(
            "READY as a message",
            &frame(0, b"\x05READY"),
            Close("malformed input: a message before READY"),
        ),
        after(
            "READY as a part",
            &frame(1, b"\x05READY"),
            Close("malformed input: a message before READY"),
        ),
        after(
            "an empty message",
            &[0, 0],
            Close("malformed input: a message before READY"),
        ),
        after(
            "READY twice",
            &[ready(&[push]), ready(&[push])].concat(),
            Close("malformed input: READY after"),
        ),
        after(
            "READY late",
            &[ready(&[push]), vec![0, 0], ready(&[push])].concat(),
            Close("malformed input: READY"),
        ),
        after(
            "no Socket-Type",
            &ready(&[("Identity", b"me")]),
            Close("malformed input: no Socket-Type"),
        ),
        after(
            "no property at all",
            &ready(&[]),
            Close("malformed input: no Socket-Type"),
        ),
        after(
            "names in any case",
            &ready(&[("sOCKET-tYPE", b"PUSH")]),
            Open(0, 0),
        ),
        after(
            "Socket-Type twice",
            &ready(&[push, ("socket-type", b"PUSH")]),
            Close("malformed input: Socket-Type"),
        ),
        after(
            "64 properties",
            &ready(&[&[push][..], &many[1..]].concat()),
            Open(0, 0),
        ),
        after(
            "65 properties",
            &ready(&[&[push][..], &many].concat()),
            Close("over the limit: number of properties is 65"),
        ),
        after("8 KiB", &ready(&[push, ("X-Large", &[7; 8192 - 22])]), Open(0, 0)),
        after(
            "over 8 KiB",
            &ready(&[push, ("X-Large", &[7; 8192 - 21])]),
            Close("over the limit: size of properties is 8193"),
        ),
        after(
            "a large READY",
            &[6, 0, 0, 0, 0, 0, 0, 0x40, 1],
            Close("over the limit: command size is 16385"),
        ),
        after(
            "a vast READY",
            &[6, 255, 255, 255, 255, 255, 255, 255, 255],
            Close("over the limit: command size"),
        ),
        after(
            "identity twice",
            &ready(&[push, ("Identity", b""), ("identity", b"")]),
            Close("malformed input: Identity"),
        ),
        after(
            "identity of zero",
            &ready(&[push, ("Identity", b"\0me")]),
            Close("malformed input: a routing id"),
        ),
        after(
            "identity of 255",
            &ready(&[push, ("Identity", &[7; 255])]),
            Open(0, 0),
        ),
        after(
            "identity of 256",
            &ready(&[push, ("Identity", &[7; 256])]),
            Close("over the limit: routing id size is 256"),
        ),
        after(
            "ERROR",
            &command(Command::Error(b"no\x1b entry")),
            Close("refused by the peer: \"no\\\\x1b entry\""),
        ),
        after(
            "a silent ERROR",
            &command(Command::Error(b"")),
            Close("refused by the peer: \"\""),
        ),
        after(
            "a long ERROR",
            &command(Command::Error(&[b'a'; 255])),
            Close("refused by the peer: \"aaa"),
        ),
        after(
            "ERROR without length",
            &frame(4, b"\x05ERROR"),
            Close("malformed input: an ERROR"),
        ),
        after(
            "ERROR too short",
            &frame(4, b"\x05ERROR\x05four"),
            Close("malformed input: an ERROR"),
        ),
        after(
            "ERROR too long",
            &frame(4, b"\x05ERROR\x02four"),
            Close("malformed input: an ERROR"),
        ),
        after(
            "an unknown command",
            &frame(4, b"\x05HELLO"),
            Close("malformed input: a command other than READY"),
        ),
        after(
            "SUBSCRIBE",
            &command(Command::Subscribe(b"")),
            Close("malformed input: a command other than READY"),
        ),
        raw(
            "a name overrun",
            &[&good[..], b"\x09X-Half"].concat(),
            Error("malformed input: a truncated property name"),
        ),
        raw(
            "an empty name",
            &[&good[..], b"\0\0\0\0\0"].concat(),
            Error("malformed input: a bad property name"),
        ),
        raw(
            "a bad name",
            &[&good[..], b"\x02X \0\0\0\0"].concat(),
            Error("malformed input: a bad property name"),
        ),
        raw(
            "no value",
            &[&good[..], b"\x01X\0\0"].concat(),
            Error("malformed input: a truncated property value"),
        ),
        raw(
            "half a value",
            &[&good[..], b"\x01X\0\0\0\x02v"].concat(),
            Error("malformed input: a truncated"),
        ),
        raw(
            "a vast value",
            &[&good[..], b"\x01X\xff\xff\xff\xffv"].concat(),
            Error("malformed input: a truncated"),
        ),
        socket_type(
            "unknown type",
            b"GOSSIP",
            Error("incompatible socket type: ours is PULL, the peer's is GOSSIP"),
        ),
        socket_type(
            "type in lower case",
            b"push",
            Error("incompatible socket type: ours is PULL, the peer's is push"),
        ),
        socket_type(
            "no type",
            b"",
            Error("incompatible socket type: ours is PULL, the peer's is "),
        ),
        socket_type(
            "type of escapes",
            b"\n\0",
            Error("incompatible socket type: ours is PULL, the peer's is \\n\\x00"),
        ),
        socket_type(
            "type of 1000",
            &[b'A'; 1000],
            Error("incompatible socket type: ours is PULL, the peer's is AAA"),
        ),
    ];
    for theirs in SocketType::ALL {
        let talks = theirs == SocketType::Push;
        let end = if talks {
            Open(0, 0)
        } else {
            Error("incompatible socket type: ours is PULL")
        };
        table.push(socket_type("each type", theirs.name().as_bytes(), end));
    }
    table
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn traffic() -> Vec<Script> {
    let opening = [hello(), ready(&[("Socket-Type", b"PUSH")])].concat();
    let after = |name, bytes: &[u8], end| script(name, &[&opening, bytes], end);
    let long = |len: u64| [&[2][..], &len.to_be_bytes()].concat();
    let over_size = "over the limit: message size is ";
    let mut table = vec![
        after("an empty message", &[0, 0], Open(1, 0)),
        after(
            "a long form with a small length",
            &[&long(3)[..], b"abc"].concat(),
            Open(1, 0),
        ),
        after("a long form without a length", &long(0), Open(1, 0)),
        after("at the limit, announced", &long(1000), Open(0, 0)),
        after(
            "above the limit",
            &long(1001),
            Close("over the limit: message size is 1001, the limit is 1000"),
        ),
        after("isize::MAX", &long(i64::MAX as u64), Close(over_size)),
        after("above isize::MAX", &long(1 << 63), Close(over_size)),
        after("2^64 - 1", &long(u64::MAX), Close(over_size)),
        after(
            "two parts above the limit",
            &[frame(1, &[7; 600]), frame(0, &[7; 401])].concat(),
            Close(over_size),
        ),
        after(
            "two parts at the limit",
            &[frame(1, &[7; 600]), frame(0, &[7; 400])].concat(),
            Open(1, 0),
        ),
        after(
            "the limit is per message",
            &[frame(0, &[7; 600]), frame(0, &[7; 600])].concat(),
            Open(2, 0),
        ),
        after(
            "70 empty parts",
            &[[1, 0].repeat(69), vec![0, 0]].concat(),
            Open(1, 0),
        ),
        after("100 parts cost too much", &[1, 0].repeat(100), Close(over_size)),
        after(
            "a command with MORE",
            &[5],
            Close("malformed input: a command with the MORE flag"),
        ),
        after(
            "an empty command",
            &[4, 0],
            Close("malformed input: an empty command"),
        ),
        after(
            "a command without a name",
            &[4, 1, 0],
            Close("malformed input: a command name"),
        ),
        after(
            "a name overrun",
            &frame(4, b"\x06HELLO"),
            Close("malformed input: a truncated command name"),
        ),
        after(
            "a name with a digit",
            &frame(4, b"\x03A1B"),
            Close("malformed input: a command name"),
        ),
        after(
            "64 KiB of an unknown command",
            &[&[6, 0, 0, 0, 0, 0, 1, 0, 0][..], b"\x04JOIN", &[7; 65531]].concat(),
            Open(0, 1),
        ),
        after(
            "more than 64 KiB",
            &[6, 0, 0, 0, 0, 0, 1, 0, 1],
            Close("over the limit: command size is 65537"),
        ),
        after(
            "JOIN and LEAVE",
            &[frame(4, b"\x04JOINx"), frame(4, b"\x05LEAVE")].concat(),
            Open(0, 2),
        ),
        after(
            "SUBSCRIBE to a PULL",
            &command(Command::Subscribe(b"a")),
            Open(0, 1),
        ),
        after("CANCEL to a PULL", &command(Command::Cancel(b"a")), Open(0, 1)),
        after("old SUBSCRIBE to a PULL", &frame(0, b"\x01a"), Open(1, 0)),
        after(
            "a command between parts",
            &[
                frame(1, b"a"),
                command(Command::Pong { context: b"" }),
                frame(0, b"b"),
            ]
            .concat(),
            Open(1, 0),
        ),
        after(
            "PING without a TTL",
            &frame(4, b"\x04PING"),
            Close("malformed input: a PING without a TTL"),
        ),
        after(
            "PING with half a TTL",
            &frame(4, b"\x04PING\0"),
            Close("malformed input: a PING without a TTL"),
        ),
        after(
            "PONG never asked for",
            &command(Command::Pong { context: b"?" }),
            Open(0, 0),
        ),
        after(
            "a late HELLO",
            b"\x04\x06\x05HELLO",
            Close("malformed input: a command of the handshake after it"),
        ),
        after(
            "a late ERROR",
            &command(Command::Error(b"bye")),
            Close("refused by the peer: \"bye\""),
        ),
    ];
    table.extend((8..=255).map(|flags| {
        after(
            "reserved flags",
            &[flags],
            Close("malformed input: reserved flags in a frame"),
        )
    }));
    table
}

fn null() -> LinkOptions {
    LinkOptions {
        max_message_size: 1000,
        max_message_parts: 1000,
        ..LinkOptions::default()
    }
}

/// Plays a script in the given pieces, to a PULL.
fn play(script: &Script, options: &LinkOptions, pieces: &[&[u8]]) {
    let now = Instant::now();
    let mut end = End::with(SocketType::Pull, options, now);
    let mut sent = end.transmit();
    let mut result = Ok(());
    for piece in pieces {
        if result.is_ok() {
            result = end.feed(piece, now);
        }
    }
    sent.extend(end.transmit());
    check(script, &mut end, &result, &sent);
    assert!(
        end.feed(&[0, 0], now).is_err() || matches!(script.end, Open(..)),
        "{}",
        script.name
    );
}

fn check(script: &Script, end: &mut End, result: &Result<(), DisconnectReason>, sent: &[u8]) {
    let name = script.name;
    let text = match result {
        Ok(()) => {
            let Open(messages, ignored) = script.end else {
                panic!("{name}: still open")
            };
            assert_eq!(
                (end.inbox.len(), end.connection.ignored_commands()),
                (messages, ignored),
                "{name}"
            );
            return;
        }
        Err(reason) => reason.to_string(),
    };
    assert!(
        !end.connection.is_ready() && end.connection.poll_timeout().is_none(),
        "{name}"
    );
    assert!(
        text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control()),
        "{name}: {text}"
    );
    match script.end {
        Open(..) => panic!("{name}: {text}"),
        Close(expected) => {
            assert!(text.starts_with(expected), "{name}: {text}");
            assert!(
                !sent.windows(6).any(|bytes| bytes == b"\x05ERROR"),
                "{name}: an ERROR was sent"
            );
        }
        Error(expected) => {
            assert!(text.starts_with(expected), "{name}: {text}");
            let cut = &text.as_bytes()[..text.len().min(255)];
            assert!(
                sent.ends_with(&command(Command::Error(cut))),
                "{name}: no ERROR was sent"
            );
        }
    }
}

/// Plays each script in each way that it can be cut in two, or some hundred of them.
pub(super) fn play_all(table: &[Script], options: &LinkOptions) {
    for script in table {
        let bytes = &script.bytes[..];
        play(script, options, &[bytes]);
        if bytes.len() < 4096 {
            play(script, options, &bytes.chunks(1).collect::<Vec<_>>());
        }
        for cut in (0..=bytes.len()).step_by(1 + bytes.len() / 512) {
            let (first, second) = bytes.split_at(cut);
            play(script, options, &[first, second]);
        }
    }
}

#[test]
fn bad_greetings() {
    play_all(&greetings(), &null());
}

#[test]
fn bad_handshakes() {
    play_all(&handshakes(), &null());
}

#[test]
fn bad_frames_and_commands() {
    play_all(&traffic(), &null());
}

#[test]
fn a_wrong_byte_closes_at_once() {
    let now = Instant::now();
    for (at, byte) in [(0, 0), (9, 0), (10, 2)] {
        let mut end = End::new(SocketType::Pull, now);
        let mut bytes = hello();
        bytes[at] = byte;
        end.feed(&bytes[..at], now).unwrap();
        end.feed(&bytes[at..=at], now).unwrap_err();
    }
}

#[test]
fn parts_have_a_limit_of_their_own() {
    let now = Instant::now();
    let options = LinkOptions {
        max_message_parts: 3,
        ..LinkOptions::default()
    };
    let mut end = End::ready(SocketType::Pull, 1, &options, now);
    end.feed(&[1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 1], now).unwrap();
    assert_eq!(end.inbox.len(), 1);
    end.feed(&[0], now).unwrap();
    let reason = end.feed(&[0, 0], now).unwrap_err();
    assert!(
        reason
            .to_string()
            .starts_with("over the limit: number of message parts is 4"),
        "{reason}"
    );
}

#[test]
fn messages_before_the_error_are_kept() {
    let now = Instant::now();
    let mut end = End::ready(SocketType::Pull, 1, &LinkOptions::default(), now);
    end.feed(&[0, 1, b'a', 0, 1, b'b', 0xff], now).unwrap_err();
    assert_eq!(end.inbox, ["a", "b"]);
}
