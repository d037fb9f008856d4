//! Bad input on the wire: what a peer may say, to whom, and what becomes of it, while an honest pair loses nothing.
//!
//! The tables are played over tcp and ipc, against sockets that are bound and sockets that connect. The same kind of
//! table, cut at every byte, is played without any wire beside the protocol's code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod support;

use std::time::{Duration, Instant};

use aqueduct::{DisconnectReason, Endpoint, Event, Monitor, Pull, Push, SocketType};
use support::*;

const SIGNATURE: &str = "malformed input: no ZMTP signature";

/// How a row ends.
#[derive(Clone, Copy)]
enum End {
    /// The connection is closed for a reason that begins so, without a word to the peer.
    Closes(&'static str),
    /// The same, after a PULL has delivered these messages.
    ClosesAfter(&'static [&'static str], &'static str),
    /// The connection is closed for a reason that begins so, but the peer is told the reason in an ERROR command.
    Refuses(&'static str),
    /// The connection stays, and a PULL delivers these messages.
    Stays(&'static [&'static str]),
}
use End::{Closes, ClosesAfter, Refuses, Stays};

/// What a peer says, and how that ends.
struct Row {
    name: &'static str,
    bytes: Vec<u8>,
    end: End,
}

fn row(name: &'static str, bytes: &[&[u8]], end: End) -> Row {
    Row {
        name,
        bytes: bytes.concat(),
        end,
    }
}

// ── the tables ──

/// Rows of the greeting; the good ones go on with READY and a message.
fn greetings(theirs: &str) -> Vec<Row> {
    let rest = [ready_of(theirs), frame(0, b"in")].concat();
    let changed = |name, at: usize, change: &[u8], end| {
        let mut greeting = GREETING;
        greeting[at..at + change.len()].copy_from_slice(change);
        row(name, &[&greeting, &rest], end)
    };
    let mechanism = |name, padded: &[u8; 20], end| changed(name, 12, padded, end);
    vec![
        row(
            "HTTP",
            &[b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"],
            Closes(SIGNATURE),
        ),
        row(
            "TLS",
            &[b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
            Closes(SIGNATURE),
        ),
        row("SSH", &[b"SSH-2.0-OpenSSH_9.6\r\n"], Closes(SIGNATURE)),
        row("SMB", &[b"\0\0\0\x85\xffSMB\x72\0\0\0\0"], Closes(SIGNATURE)),
        row("a first byte that is not FF", &[b"\0"], Closes(SIGNATURE)),
        changed("a tenth byte that is not 7F", 9, &[0x7e], Closes(SIGNATURE)),
        changed("padding", 1, &[1, 2, 3, 4, 5, 6, 7, 255], Stays(&["in"])),
        changed(
            "ZMTP 1.0",
            10,
            &[0],
            Closes("incompatible version: ours is ZMTP 3.1, the peer's is ZMTP 1.0"),
        ),
        changed(
            "ZMTP 2.0",
            10,
            &[1],
            Closes("incompatible version: ours is ZMTP 3.1, the peer's is ZMTP 2.0"),
        ),
        changed("revision 2", 10, &[2], Closes("incompatible version: ")),
        changed("ZMTP 3.0", 11, &[0], Stays(&["in"])),
        changed("ZMTP 3.9", 11, &[9], Stays(&["in"])),
        changed("ZMTP 4.0", 10, &[4, 0], Stays(&["in"])),
        changed("as a server", 32, &[1], Stays(&["in"])),
        changed("as something else", 32, &[77], Stays(&["in"])),
        changed("filler", 33, &[7; 31], Stays(&["in"])),
        mechanism(
            "another mechanism",
            b"PLAIN\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            Closes("incompatible mechanism: ours is NULL, the peer's is PLAIN"),
        ),
        mechanism(
            "an unknown mechanism",
            b"MAGIC\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            Closes("incompatible mechanism: ours is NULL, the peer's is MAGIC\\n"),
        ),
        mechanism(
            "padded with spaces",
            b"NULL                ",
            Closes("incompatible mechanism: "),
        ),
        mechanism(
            "lower case",
            b"null\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            Closes("incompatible mechanism: "),
        ),
        row(
            "all in one segment",
            &[&GREETING, &rest, &frame(0, b"too")],
            Stays(&["in", "too"]),
        ),
    ]
}

/// Rows of the handshake, after a good greeting.
#[allow(clippy::too_many_lines, reason = "a table")]
fn handshakes(theirs: &str) -> Vec<Row> {
    let kind: (&str, &[u8]) = ("Socket-Type", theirs.as_bytes());
    let after = |name, bytes: &[u8], end| row(name, &[&GREETING, bytes], end);
    let raw = |name, rest: &[u8], end| {
        let mut good = ready(&[kind]);
        good.extend_from_slice(rest);
        good[1] += u8::try_from(rest.len()).unwrap();
        after(name, &good, end)
    };
    let many: Vec<(&str, &[u8])> = vec![("X-Same", b""); 10_000];
    let long_frame = |len: u64| [&[6][..], &len.to_be_bytes()].concat();
    let malformed_ready = "malformed input: a command other than READY";
    vec![
        raw(
            "a name cut short",
            b"\x09X-Half",
            Refuses("malformed input: a truncated property name"),
        ),
        raw(
            "an empty name",
            b"\0\0\0\0\0",
            Refuses("malformed input: a bad property name"),
        ),
        raw(
            "a name with a space",
            b"\x02X \0\0\0\0",
            Refuses("malformed input: a bad property name"),
        ),
        raw(
            "no value",
            b"\x01X\0\0",
            Refuses("malformed input: a truncated property value"),
        ),
        raw(
            "half a value",
            b"\x01X\0\0\0\x02v",
            Refuses("malformed input: a truncated property value"),
        ),
        raw(
            "a vast value",
            b"\x01X\xff\xff\xff\xffv",
            Refuses("malformed input: a truncated property value"),
        ),
        after(
            "an X- property twice",
            &ready(&[kind, ("X-A", b"1"), ("x-a", b"2")]),
            Stays(&[]),
        ),
        after(
            "names in any case",
            &ready(&[("sOCKET-tYPE", theirs.as_bytes())]),
            Stays(&[]),
        ),
        after(
            "Socket-Type twice",
            &ready(&[kind, kind]),
            Closes("malformed input: Socket-Type"),
        ),
        after(
            "Identity twice",
            &ready(&[kind, ("Identity", b""), ("identity", b"")]),
            Closes("malformed input: Identity"),
        ),
        after(
            "64 properties",
            &ready(&[&[kind], &many[..63]].concat()),
            Stays(&[]),
        ),
        after(
            "65 properties",
            &ready(&[&[kind], &many[..64]].concat()),
            Closes("over the limit: number of properties"),
        ),
        after(
            "10,000 properties",
            &ready(&[&[kind], &many[..]].concat()),
            Closes("over the limit: command size"),
        ),
        after(
            "more than 8 KiB",
            &ready(&[kind, ("X-Large", &[7; 8192])]),
            Closes("over the limit: size of properties"),
        ),
        after(
            "a value of 64 MB",
            &long_frame(64 << 20),
            Closes("over the limit: command size"),
        ),
        after(
            "a READY of 16 KiB and one",
            &long_frame((16 << 10) + 1),
            Closes("over the limit: command size"),
        ),
        after(
            "a READY near 2^64",
            &long_frame(u64::MAX),
            Closes("over the limit: command size"),
        ),
        after(
            "a type unknown",
            &ready_of("GOSSIP"),
            Refuses("incompatible socket type: ours is "),
        ),
        after(
            "a type in lower case",
            &ready_of("push"),
            Refuses("incompatible socket type: ours is "),
        ),
        after(
            "a type of escapes",
            &ready_of("\n\x1b[2J"),
            Refuses("incompatible socket type: ours is "),
        ),
        after("no type", &ready(&[]), Closes("malformed input: no Socket-Type")),
        after(
            "READY as a message",
            &frame(0, b"\x05READY"),
            Closes("malformed input: a message before READY"),
        ),
        after(
            "a message first",
            &frame(0, b""),
            Closes("malformed input: a message before READY"),
        ),
        after(
            "a part first",
            &frame(1, b"part"),
            Closes("malformed input: a message before READY"),
        ),
        after(
            "an unknown command first",
            &command("HELLO", b""),
            Closes(malformed_ready),
        ),
        after(
            "SUBSCRIBE first",
            &command("SUBSCRIBE", b""),
            Closes(malformed_ready),
        ),
        after("PING first", &command("PING", b"\0\0"), Closes(malformed_ready)),
        after(
            "ERROR",
            &command("ERROR", b"\x0bno\x1b[2J here"),
            Closes("refused by the peer: \"no\\\\x1b[2J"),
        ),
        after(
            "ERROR without a reason",
            &command("ERROR", b"\0"),
            Closes("refused by the peer: \"\""),
        ),
        after(
            "a long ERROR",
            &command("ERROR", &[255; 256]),
            Closes("refused by the peer: \"\\\\xff"),
        ),
        after(
            "ERROR without length",
            &command("ERROR", b""),
            Closes("malformed input: an ERROR"),
        ),
        after(
            "ERROR too short",
            &command("ERROR", b"\x05four"),
            Closes("malformed input: an ERROR"),
        ),
        after(
            "ERROR too long",
            &command("ERROR", b"\x02four"),
            Closes("malformed input: an ERROR"),
        ),
        after(
            "reserved flags",
            &[0xf4, 0],
            Closes("malformed input: reserved flags"),
        ),
    ]
}

/// Rows of frames and commands, after a good handshake.
#[allow(clippy::too_many_lines, reason = "a table")]
fn traffic(theirs: &str) -> Vec<Row> {
    let opening = [&GREETING[..], &ready_of(theirs)].concat();
    let after = |name, bytes: &[&[u8]], end| row(name, &[&opening, &bytes.concat()], end);
    let long = |flags: u8, len: u64| [&[flags | 2][..], &len.to_be_bytes()].concat();
    let size = "over the limit: message size is ";
    let name = "malformed input: a command name";
    let late = "malformed input: READY after";
    vec![
        after("READY twice", &[&ready_of(theirs)], Closes(late)),
        after(
            "READY late",
            &[&frame(0, b"in"), &ready_of(theirs)],
            ClosesAfter(&["in"], late),
        ),
        after(
            "a late ERROR",
            &[&command("ERROR", b"\x03bye")],
            Closes("refused by the peer: \"bye\""),
        ),
        after("flag 8", &[&[8, 0]], Closes("malformed input: reserved flags")),
        after(
            "flag 128",
            &[&[128, 0]],
            Closes("malformed input: reserved flags"),
        ),
        after(
            "all flags",
            &[&[255; 300]],
            Closes("malformed input: reserved flags"),
        ),
        after("LONG with a small length", &[&long(0, 2), b"in"], Stays(&["in"])),
        after("LONG with no length", &[&long(0, 0)], Stays(&[""])),
        after("an empty message", &[&frame(0, b"")], Stays(&[""])),
        after(
            "above the limit",
            &[&long(0, 1001)],
            Closes("over the limit: message size is 1001, the limit is 1000"),
        ),
        after("isize::MAX", &[&long(0, i64::MAX as u64)], Closes(size)),
        after("above isize::MAX", &[&long(0, 1 << 63)], Closes(size)),
        after("2^64 - 1", &[&long(0, u64::MAX)], Closes(size)),
        after(
            "two parts above the limit",
            &[&frame(1, &[7; 600]), &frame(0, &[7; 401])],
            Closes(size),
        ),
        after(
            "MORE for ever",
            &[&frame(1, b"more").repeat(100_000)],
            Closes(size),
        ),
        after(
            "a million empty parts",
            &[&[1, 0].repeat(1_000_000)],
            Closes("over the limit: "),
        ),
        after(
            "COMMAND with MORE",
            &[&[5, 0]],
            Closes("malformed input: a command with the MORE flag"),
        ),
        after(
            "an empty command",
            &[&[4, 0]],
            Closes("malformed input: an empty command"),
        ),
        after("a command without a name", &[&[4, 1, 0]], Closes(name)),
        after(
            "a name overrun",
            &[&frame(4, b"\x06HELLO")],
            Closes("malformed input: a truncated command name"),
        ),
        after("a name with a digit", &[&frame(4, b"\x03A1B")], Closes(name)),
        after("a name with a zero", &[&frame(4, b"\x03A\0B")], Closes(name)),
        after(
            "an unknown command",
            &[&command("JOIN", b""), &frame(0, b"in")],
            Stays(&["in"]),
        ),
        after(
            "one of 64 KiB",
            &[&command("JOIN", &[7; 65_531]), &frame(0, b"in")],
            Stays(&["in"]),
        ),
        after(
            "one of more",
            &[&long(4, 65_537)],
            Closes("over the limit: command size"),
        ),
        after(
            "SUBSCRIBE",
            &[&command("SUBSCRIBE", b"t"), &frame(0, b"in")],
            Stays(&["in"]),
        ),
        after(
            "CANCEL of nothing",
            &[&command("CANCEL", b"t"), &frame(0, b"in")],
            Stays(&["in"]),
        ),
        after(
            "100,000 SUBSCRIBEs",
            &[&command("SUBSCRIBE", b"topic").repeat(100_000)],
            Stays(&[]),
        ),
        after(
            "an old SUBSCRIBE is data",
            &[&frame(0, b"\x01t")],
            Stays(&["\x01t"]),
        ),
        after(
            "a command between parts",
            &[&frame(1, b"in"), &command("PONG", b""), &frame(0, b"too")],
            Stays(&["in"]),
        ),
        after(
            "PING without a TTL",
            &[&command("PING", b"")],
            Closes("malformed input: a PING without a TTL"),
        ),
        after(
            "PING with half a TTL",
            &[&command("PING", b"\0")],
            Closes("malformed input: a PING without a TTL"),
        ),
        after(
            "PONG never asked for",
            &[&command("PONG", b"?").repeat(1000)],
            Stays(&[]),
        ),
    ]
}

// ── the stage ──

/// A socket that rows are played to, with its own half of an honest pair.
struct Stage {
    socket: Socket,
    honest: HonestPair,
    monitor: Monitor,
    entrance: Entrance,
}

enum Socket {
    Push(Push),
    Pull(Pull),
}

/// How a raw peer gets to the socket.
enum Entrance {
    Bound(Endpoint),
    Connects(Transport),
}

#[derive(Clone, Copy, Debug)]
enum Side {
    BoundPull,
    ConnectingPull,
    BoundPush,
    ConnectingPush,
}

impl Side {
    const ALL: [Self; 4] = [
        Self::BoundPull,
        Self::ConnectingPull,
        Self::BoundPush,
        Self::ConnectingPush,
    ];

    /// What a peer has to be to be welcome.
    fn welcome(self) -> &'static str {
        match self {
            Self::BoundPull | Self::ConnectingPull => "PUSH",
            Self::BoundPush | Self::ConnectingPush => "PULL",
        }
    }
}

impl Stage {
    fn set(side: Side, transport: Transport) -> Self {
        Self::set_with(side, transport, |builder| builder, |builder| builder)
    }

    /// Builds the socket as told, binds it for its honest partner, and lets the two begin.
    fn set_with(
        side: Side,
        transport: Transport,
        pull_options: impl Fn(aqueduct::Builder<Pull>) -> aqueduct::Builder<Pull>,
        push_options: impl Fn(aqueduct::Builder<Push>) -> aqueduct::Builder<Push>,
    ) -> Self {
        let pull = Pull::builder()
            .max_message_size(1000)
            .reconnect_interval(Some(LONG));
        let push = Push::builder()
            .max_message_size(1000)
            .reconnect_interval(Some(LONG))
            .immediate(true);
        let (pull, push) = (pull_options(pull).build(), push_options(push).build());
        let (socket, monitor, endpoint) = match side {
            Side::BoundPull | Side::ConnectingPull => {
                let monitor = pull.monitor();
                (
                    Socket::Pull(pull.clone()),
                    monitor,
                    marry(&push, &pull, transport),
                )
            }
            Side::BoundPush | Side::ConnectingPush => {
                let monitor = push.monitor();
                let endpoint = push.bind(transport.anywhere()).unwrap();
                pull.connect(&endpoint).unwrap();
                push.wait_for_peers(1, LONG).unwrap();
                (Socket::Push(push.clone()), monitor, endpoint)
            }
        };
        let entrance = match side {
            Side::BoundPull | Side::BoundPush => Entrance::Bound(endpoint),
            Side::ConnectingPull | Side::ConnectingPush => Entrance::Connects(transport),
        };
        let honest = HonestPair::start(push, pull);
        Self {
            socket,
            honest,
            monitor,
            entrance,
        }
    }

    /// Brings a raw peer in, and returns it with how to see it off.
    fn enter(&self) -> (RawPeer, Option<RawListener>) {
        match &self.entrance {
            Entrance::Bound(endpoint) => (RawPeer::connect(endpoint), None),
            Entrance::Connects(transport) => {
                let listener = RawListener::bind(*transport);
                match &self.socket {
                    Socket::Push(push) => push.connect(listener.endpoint()).unwrap(),
                    Socket::Pull(pull) => pull.connect(listener.endpoint()).unwrap(),
                }
                (listener.accept(), Some(listener))
            }
        }
    }

    /// The raw peer is gone; a socket that had connected to it forgets it.
    fn leave(&self, listener: Option<RawListener>) {
        let Some(listener) = listener else { return };
        match &self.socket {
            Socket::Push(push) => push.disconnect(listener.endpoint()).unwrap(),
            Socket::Pull(pull) => pull.disconnect(listener.endpoint()).unwrap(),
        }
    }

    /// The honest pair ends, and has lost nothing.
    fn strike(self) {
        let Socket::Push(push) = &self.socket else {
            self.honest.finish();
            return;
        };
        // A raw PULL got its share, which is not the honest one's; so the honest numbers have gaps.
        eventually("the raw peers are gone", || push.stats().peers.len() == 1);
        let proof = self.honest.finish_with(|push| {
            let stats = push.stats();
            stats.total.accepted.messages - stats.peers[0].traffic.accepted.messages
        });
        assert!(!proof.received.is_empty());
        assert!(proof.push.stats().total.adds_up());
    }

    fn play(&self, row: &Row, is_traffic: bool, context: &str) {
        let (mut raw, listener) = self.enter();
        raw.say(&row.bytes);
        if let Stays(messages) = row.end {
            self.expect_messages(messages);
            raw.hear_greeting();
            expect_alive(&mut raw, context);
            drop(raw);
            let (_, ready) = await_end(&self.monitor);
            assert!(ready, "{context}");
            return self.leave(listener);
        }
        let (reason, ready) = await_end(&self.monitor);
        let said = raw.hear_out();
        let text = reason.to_string();
        let expected = match row.end {
            Closes(expected) | Refuses(expected) => expected,
            ClosesAfter(messages, expected) => {
                self.expect_messages(messages);
                expected
            }
            Stays(_) => panic!("it did not stay"),
        };
        assert!(text.starts_with(expected), "{context}: {text}");
        assert_eq!(ready, is_traffic, "{context}: {text}");
        assert!(
            text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control()),
            "{context}: {text}"
        );
        check_last_words(&said, row.end, &text, context);
        self.leave(listener);
    }

    fn expect_messages(&self, messages: &[&str]) {
        for expected in messages {
            if let Socket::Pull(_) = self.socket {
                assert_eq!(text(&self.honest.stranger()), *expected);
            }
        }
    }
}

/// Whoever answers a PING has read everything before it and lives.
fn expect_alive(raw: &mut RawPeer, context: &str) {
    raw.say(&command("PING", b"\0\0alive?"));
    loop {
        let heard = raw
            .try_hear_frame()
            .unwrap_or_else(|| panic!("{context}: the connection was closed"));
        if heard.is_command("PONG") && heard.body.ends_with(b"alive?") {
            return;
        }
        // Before it come READY, and what a PUSH sends to a PULL.
    }
}

/// What the other end said before it closed: its greeting, at most one READY, messages of a PUSH; and in the end an
/// ERROR with the reason, or nothing.
fn check_last_words(said: &[u8], end: End, text: &str, context: &str) {
    let (greeting, mut rest) = said.split_at(said.len().min(64));
    assert_eq!(greeting, &GREETING[..greeting.len()], "{context}");
    let error = command(
        "ERROR",
        &[
            &[text.len().min(255) as u8],
            &text.as_bytes()[..text.len().min(255)],
        ]
        .concat(),
    );
    if let Refuses(_) = end {
        rest = rest
            .strip_suffix(&error[..])
            .unwrap_or_else(|| panic!("{context}: no ERROR in {rest:?}"));
    }
    let shown = String::from_utf8_lossy(rest);
    assert!(
        !shown.contains("\u{5}ERROR"),
        "{context}: an ERROR was sent: {shown:?}"
    );
    assert!(
        rest.is_empty() || rest.starts_with(&[4]),
        "{context}: data before READY: {rest:?}"
    );
    assert!(shown.matches("\u{5}READY").count() <= 1, "{context}");
}

fn play_all(rows: fn(&str) -> Vec<Row>, is_traffic: bool, side: Side) {
    for transport in Transport::WIRED {
        let stage = Stage::set(side, transport);
        for row in rows(side.welcome()) {
            stage.play(&row, is_traffic, &format!("{transport:?} {side:?}, {}", row.name));
        }
        stage.strike();
    }
}

macro_rules! tables {
    ($($test:ident: $rows:ident, $is_traffic:literal, $side:ident;)*) => {$(
        #[test]
        fn $test() {
            play_all($rows, $is_traffic, Side::$side);
        }
    )*};
}

tables! {
    a_bound_pull_hears_bad_greetings: greetings, false, BoundPull;
    a_bound_pull_hears_bad_handshakes: handshakes, false, BoundPull;
    a_bound_pull_hears_bad_traffic: traffic, true, BoundPull;
    a_connecting_pull_hears_bad_greetings: greetings, false, ConnectingPull;
    a_connecting_pull_hears_bad_handshakes: handshakes, false, ConnectingPull;
    a_connecting_pull_hears_bad_traffic: traffic, true, ConnectingPull;
    a_bound_push_hears_bad_greetings: greetings, false, BoundPush;
    a_bound_push_hears_bad_handshakes: handshakes, false, BoundPush;
    a_bound_push_hears_bad_traffic: traffic, true, BoundPush;
    a_connecting_push_hears_bad_greetings: greetings, false, ConnectingPush;
    a_connecting_push_hears_bad_handshakes: handshakes, false, ConnectingPush;
    a_connecting_push_hears_bad_traffic: traffic, true, ConnectingPush;
}

// ── what needs time, or more than bytes ──

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
fn a_byte_at_a_time_is_understood() {
    for transport in Transport::WIRED {
        let stage = Stage::set(Side::BoundPull, transport);
        let (mut raw, _) = stage.enter();
        for byte in good_script("PUSH") {
            raw.say(&[byte]);
        }
        stage.expect_messages(&["in"]);
        drop(raw);
        await_end(&stage.monitor);
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
fn a_ping_is_answered_with_at_most_sixteen_bytes_of_its_context() {
    for transport in Transport::WIRED {
        for side in Side::ALL {
            let stage = Stage::set(side, transport);
            let (mut raw, listener) = stage.enter();
            raw.shake_hands(side.welcome());
            for ttl in [0u16, 655, 656, 65_535] {
                for len in [0, 1, 16, 17, 1000] {
                    let context = vec![b'c'; len];
                    raw.say(&command("PING", &[&ttl.to_be_bytes(), &context[..]].concat()));
                    let pong = loop {
                        let heard = raw.hear_frame();
                        if heard.is_command("PONG") {
                            break heard;
                        }
                    };
                    assert_eq!(pong.body[5..], context[..len.min(16)], "TTL {ttl}");
                }
            }
            drop(raw);
            await_end(&stage.monitor);
            stage.leave(listener);
            stage.strike();
        }
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

#[test]
fn after_a_half_close_what_was_complete_is_delivered() {
    for transport in Transport::WIRED {
        let stage = Stage::set(Side::BoundPull, transport);
        let (mut raw, _) = stage.enter();
        raw.shake_hands("PUSH");
        raw.say(&[frame(0, b"one"), frame(0, b"two"), frame(1, b"half a message")].concat());
        raw.finish();
        stage.expect_messages(&["one", "two"]);
        assert_eq!(await_end(&stage.monitor), (DisconnectReason::PeerClosed, true));
        assert!(raw.hear_out().is_empty());
        stage.strike();
    }
}

#[test]
fn no_type_but_the_right_one_is_welcome() {
    for transport in Transport::WIRED {
        for side in Side::ALL {
            let stage = Stage::set(side, transport);
            for theirs in SocketType::ALL.map(SocketType::name) {
                let end = if theirs == side.welcome() {
                    Stays(&[])
                } else {
                    Refuses("incompatible socket type: ours is ")
                };
                let row = row("a type", &[&GREETING, &ready_of(theirs)], end);
                stage.play(&row, false, &format!("{transport:?} {side:?} meets {theirs}"));
            }
            stage.strike();
        }
    }
}
