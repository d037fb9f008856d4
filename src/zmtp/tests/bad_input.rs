//! Bad input: a table of scripts, each played in one piece, byte by byte, and cut in two at every byte.

use super::*;

/// How a script ends.
enum Outcome {
    /// The connection closes with a reason that begins so, and says nothing more.
    Close(&'static str),
    /// The same, after an ERROR command to the peer with the same text.
    Error(&'static str),
    /// It stays open, with so many messages and ignored commands.
    Open(usize, u64),
}
use Outcome::{Close, Error, Open};

struct Script {
    name: &'static str,
    bytes: Vec<u8>,
    end: Outcome,
}

fn script(name: &'static str, parts: &[&[u8]], end: Outcome) -> Script {
    Script {
        name,
        bytes: parts.concat(),
        end,
    }
}

fn options() -> LinkOptions {
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

/// Where a script of this length is cut: everywhere, or at some hundred places, or some ten if it is very long.
fn cuts(len: usize) -> impl Iterator<Item = usize> {
    const BYTES: usize = 8 << 20;
    let places = (BYTES / len.max(1)).clamp(16, 512);
    (0..=len).step_by(1 + len / places)
}

/// Plays each script in each way that it can be cut in two, or many of them.
fn play_all(table: &[Script], options: &LinkOptions) {
    for script in table {
        let bytes = &script.bytes[..];
        play(script, options, &[bytes]);
        if bytes.len() < 4096 {
            play(script, options, &bytes.chunks(1).collect::<Vec<_>>());
        }
        for cut in cuts(bytes.len()) {
            let (first, second) = bytes.split_at(cut);
            play(script, options, &[first, second]);
        }
    }
}

/// The scripts of `tests/hostile`, which are played over the wire there.
#[path = "../../../tests/hostile/table/mod.rs"]
pub(super) mod table;

#[test]
fn hostile_scripts_however_they_are_cut() {
    play_hostile(table::scripts("PUSH"), &options());
}

/// Plays scripts of the table in each way that they can be cut.
pub(super) fn play_hostile(scripts: Vec<table::Script>, options: &LinkOptions) {
    use table::End;
    let scripts = scripts.into_iter().map(|hostile| {
        let end = match hostile.end {
            End::Closes(reason) | End::ClosesAfter(_, reason) => Close(reason),
            End::Refuses(reason) => Error(reason),
            End::Stays(messages) | End::Leaves(messages) => Open(messages.len(), 0),
            End::Ignores(commands, messages) => Open(messages.len(), commands),
        };
        script(hostile.name, &[&hostile.said()], end)
    });
    play_all(&scripts.collect::<Vec<_>>(), options);
}

/// What is said up to any byte is answered as far as it goes: with no more than the whole would be, and never by a reason
/// that the whole would not give.
#[test]
fn hostile_scripts_that_break_off_after_any_byte() {
    let now = Instant::now();
    for script in table::scripts("PUSH") {
        let bytes = script.said();
        let whole = outcome(&bytes, now);
        for cut in cuts(bytes.len()) {
            let (messages, reason) = outcome(&bytes[..cut], now);
            assert!(messages <= whole.0, "{}: cut at {cut}", script.name);
            assert!(
                reason.is_none() || reason == whole.1,
                "{}: cut at {cut}: {reason:?}",
                script.name
            );
        }
        let mut end = End::with(SocketType::Pull, &options(), now);
        let _ = end.feed(&bytes, now);
        let sent = end.transmit();
        for awaited in script.awaited() {
            let heard = sent.windows(awaited.len()).any(|heard| heard == awaited);
            assert!(heard, "{}: {awaited:?} is missing", script.name);
        }
    }
}

/// How many messages these bytes bring, and why they end the connection, if they do.
fn outcome(bytes: &[u8], now: Instant) -> (usize, Option<String>) {
    let mut end = End::with(SocketType::Pull, &options(), now);
    let result = end.feed(bytes, now);
    (end.inbox.len(), result.err().map(|reason| reason.to_string()))
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
