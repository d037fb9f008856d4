//! Somebody in between who has none of the keys. Whatever he does, what is delivered is what was sent, in its order, up to
//! where he interfered; the end that he lied to hangs up, says nothing, and has a reason to tell.

use super::conversation::{CLIENT, Conversation, SERVER, Side};
use super::*;
use crate::zmtp::frame::{COMMAND, MORE};
use crate::zmtp::mechanism::curve::ledger;

/// How many units each end says: its greeting, two or one commands of the handshake, and four frames.
const UNITS: [usize; 2] = [7, 7];
/// The first unit after the handshake.
const TRAFFIC: usize = 3;

/// What he does to one unit, a greeting or a frame.
#[derive(Clone, Debug)]
enum Act {
    Drop,
    Repeat,
    /// Lets the next one go first.
    Swap,
    /// Gives it back to who said it, in place of what the other end says.
    Reflect,
    /// Passes it on, and gives it back to who said it as well.
    Echo,
    /// Changes these bits of this byte.
    Flip(usize, u8),
    /// Passes on so many bytes, and nothing after them.
    Cut(usize),
    /// Takes so many bytes off the end of the body, and has the header say so.
    Shorten(usize),
    /// Puts a byte behind the body, and has the header say so.
    Lengthen,
    /// Passes on something else.
    Replace(Vec<u8>),
}

/// The body of a frame.
fn body_of(unit: &[u8]) -> (u8, &[u8]) {
    let (_, rest) = crate::zmtp::frame::Header::parse(unit).unwrap().unwrap();
    (unit[0] & (MORE | COMMAND), rest)
}

impl Act {
    fn apply(&self, unit: &[u8]) -> Vec<u8> {
        match self {
            Self::Flip(at, bits) => {
                let mut flipped = unit.to_vec();
                flipped[*at] ^= bits;
                flipped
            }
            Self::Cut(len) => unit[..*len].to_vec(),
            Self::Shorten(by) => {
                let (flags, body) = body_of(unit);
                frame(flags, &body[..body.len() - by])
            }
            Self::Lengthen => {
                let (flags, body) = body_of(unit);
                frame(flags, &[body, &[0]].concat())
            }
            Self::Replace(other) => other.clone(),
            Self::Drop | Self::Repeat | Self::Swap | Self::Reflect | Self::Echo => unit.to_vec(),
        }
    }
}

/// Lets two ends talk, and does `act` to the unit of this number from this side.
fn interfere(mut conversation: Conversation, from: Side, number: usize, act: &Act) -> Conversation {
    let (mut seen, mut held, mut is_cut) = ([0; 2], None, false);
    conversation.run(|side, unit| {
        let at = seen[side];
        seen[side] += 1;
        if side != from || at < number {
            return vec![(1 - side, unit)];
        }
        if is_cut {
            return Vec::new();
        }
        if at > number {
            let held = held.take().map(|held| (1 - side, held));
            return [(1 - side, unit)].into_iter().chain(held).collect();
        }
        let changed = act.apply(&unit);
        match act {
            Act::Drop => Vec::new(),
            Act::Repeat => vec![(1 - side, changed.clone()), (1 - side, changed)],
            Act::Swap => {
                held = Some(changed);
                Vec::new()
            }
            Act::Reflect => vec![(side, changed)],
            Act::Echo => vec![(1 - side, changed.clone()), (side, changed)],
            Act::Cut(_) => {
                is_cut = true;
                vec![(1 - side, changed)]
            }
            _ => vec![(1 - side, changed)],
        }
    });
    conversation
}

/// How he is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// By this end, as soon as it has what he did.
    By(Side),
    /// At once, or because something is missing and time passes.
    InTime,
    /// Not at all: it does not matter.
    Never,
}

fn expect(from: Side, number: usize, act: &Act, found: Found) {
    expect_of(Conversation::new(), from, number, act, found);
}

fn expect_of(conversation: Conversation, from: Side, number: usize, act: &Act, found: Found) {
    let mut conversation = interfere(conversation, from, number, act);
    let context = format!("unit {number} of {from}, {act:?}");
    match found {
        Found::Never => {
            assert!(conversation.is_complete(), "{context}");
            assert_eq!(conversation.reasons, [None, None], "{context}");
            return;
        }
        Found::By(side) => {
            let reason = &conversation.reasons[side];
            assert!(reason.is_some(), "{context}: nothing was noticed");
        }
        Found::InTime => {}
    }
    let got = [SERVER, CLIENT].map(|side| conversation.delivered(side));
    // What passed before he did anything; the second message has two frames.
    let before = [0, 0, 0, 0, 1, 1, 2][number];
    assert!(
        got[from] <= before + usize::from(act.passes_first()),
        "{context}: {got:?}"
    );
    conversation.fall_silent();
    assert!(!conversation.has_error(), "{context}: an ERROR was said");
    assert!(
        conversation.reasons.iter().all(|reason| reason
            .as_ref()
            .is_some_and(|reason| !matches!(reason, DisconnectReason::Refused(_)))),
        "{context}: {:?}",
        conversation.reasons
    );
}

impl Act {
    /// Whether the unit itself arrives as it was.
    fn passes_first(&self) -> bool {
        matches!(self, Self::Repeat | Self::Echo)
    }
}

fn units() -> impl Iterator<Item = (Side, usize, Vec<u8>)> {
    let mut honest = Conversation::new();
    honest.run(|side, unit| vec![(1 - side, unit)]);
    assert!(honest.is_complete());
    let said = honest.said;
    [CLIENT, SERVER].into_iter().flat_map(move |side| {
        let units = said[side].clone();
        units
            .into_iter()
            .enumerate()
            .map(move |(number, unit)| (side, number, unit))
    })
}

#[test]
fn units_are_numbered_as_these_tests_believe() {
    let mut counts = [0; 2];
    for (side, number, unit) in units() {
        counts[side] += 1;
        let name: &[u8] = match (side, number) {
            (_, 0) => &[0xff],
            (CLIENT, 1) => b"\x04\xc8\x05HELLO",
            (SERVER, 1) => b"\x04\xa8\x07WELCOME",
            (CLIENT, 2) => b"\x06\0\0\0\0\0\0\x01\x15\x08INITIATE",
            (SERVER, 2) => b"\x04\x32\x05READY",
            _ => &[0],
        };
        assert!(unit.starts_with(name), "{side} {number}: {unit:x?}");
    }
    assert_eq!(counts, UNITS);
}

/// The bytes of a greeting that nobody reads: padding, the minor version, which end is the server, and filler.
fn means_nothing(at: usize) -> bool {
    matches!(at, 1..9 | 11 | 32..64)
}

#[test]
fn a_flipped_bit_of_a_greeting_closes_or_means_nothing() {
    for from in [CLIENT, SERVER] {
        for at in 0..greeting::LEN {
            let found = if means_nothing(at) {
                Found::Never
            } else {
                Found::By(1 - from)
            };
            expect(from, 0, &Act::Flip(at, 1), found);
        }
    }
}

/// Names of commands, points, nonces, tags, what is in the boxes, and the cookie: one bit of each byte of them all.
#[test]
fn a_flipped_bit_of_a_body_closes() {
    for (from, number, unit) in units().filter(|(_, number, _)| *number > 0) {
        let (_, body) = body_of(&unit);
        for at in unit.len() - body.len()..unit.len() {
            expect(from, number, &Act::Flip(at, 1 << (at % 8)), Found::By(1 - from));
        }
    }
}

#[test]
fn a_point_whose_top_bit_was_flipped_does_not_get_by() {
    let last_of_point = 2 + 6 + 2 + 72 + 31;
    expect(CLIENT, 1, &Act::Flip(last_of_point, 0x80), Found::By(SERVER));
}

#[test]
fn a_flipped_flag_or_length_closes_at_once_or_in_time() {
    for (from, number, unit) in units().filter(|(_, number, _)| *number > 0) {
        let (_, body) = body_of(&unit);
        for flag in [1, 4, 8, 0x80] {
            expect(from, number, &Act::Flip(0, flag), Found::By(1 - from));
        }
        expect(from, number, &Act::Flip(0, 2), Found::InTime);
        for at in 1..unit.len() - body.len() {
            for bit in 0..8 {
                expect(from, number, &Act::Flip(at, 1 << bit), Found::InTime);
            }
        }
    }
}

#[test]
fn what_is_dropped_or_held_back_is_missed() {
    for (from, number, _) in units() {
        for act in [Act::Drop, Act::Swap] {
            let has_successor = (TRAFFIC..UNITS[from] - 1).contains(&number);
            let found = if has_successor {
                Found::By(1 - from)
            } else {
                Found::InTime
            };
            expect(from, number, &act, found);
        }
    }
}

#[test]
fn what_is_repeated_or_sent_back_closes() {
    for (from, number, _) in units().filter(|(_, number, _)| *number > 0) {
        expect(from, number, &Act::Repeat, Found::By(1 - from));
        expect(from, number, &Act::Reflect, Found::By(from));
        // With these options it is not the number that gives it away.
        expect_of(
            Conversation::with_gaps(),
            from,
            number,
            &Act::Echo,
            Found::By(from),
        );
    }
    for from in [CLIENT, SERVER] {
        expect(from, 0, &Act::Repeat, Found::By(1 - from));
        // Greetings are the same both ways, so that the real one is one too many.
        expect(from, 0, &Act::Reflect, Found::By(from));
    }
}

#[test]
fn what_is_cut_shortened_or_lengthened_closes_at_once_or_in_time() {
    for (from, number, unit) in units() {
        for len in [0, 1, 2, 9, unit.len() / 2, unit.len() - 1] {
            expect(from, number, &Act::Cut(len), Found::InTime);
        }
        if number == 0 {
            continue;
        }
        let whole = body_of(&unit).1.len();
        for by in [1, 16, whole - 33, whole - 8, whole] {
            expect(from, number, &Act::Shorten(by), Found::By(1 - from));
        }
        expect(from, number, &Act::Lengthen, Found::By(1 - from));
    }
}

#[test]
fn nobody_is_talked_into_another_mechanism_or_an_older_version() {
    let good = greeting::emit(&curve_server());
    let with = |at: usize, bytes: &[u8]| {
        let mut greeting = good.to_vec();
        greeting[at..at + bytes.len()].copy_from_slice(bytes);
        Act::Replace(greeting)
    };
    for from in [CLIENT, SERVER] {
        for mechanism in [&b"NULL\0"[..], b"PLAIN", b"CURVE2", b"curve", b"\0\0\0\0\0"] {
            expect(from, 0, &with(12, mechanism), Found::By(1 - from));
        }
        for revision in [0, 1, 2] {
            expect(from, 0, &with(10, &[revision]), Found::By(1 - from));
        }
        // Greetings are in no box. As 3.0 a peer gets no heartbeats and old subscriptions, but all of it in boxes.
        expect(from, 0, &with(11, &[0]), Found::Never);
        let bare = Act::Replace(ready(&[("Socket-Type", b"PAIR")]));
        for number in [1, 2, TRAFFIC] {
            expect(from, number, &bare, Found::By(1 - from));
            expect(
                from,
                number,
                &Act::Replace(frame(0, b"pay Eve 99")),
                Found::By(1 - from),
            );
        }
    }
}

#[test]
fn what_was_recorded_from_another_conversation_of_the_same_two_is_worth_nothing() {
    for (from, number, recorded) in units().filter(|(_, number, _)| *number > 0) {
        // An old HELLO is answered; but the client cannot open what the server answers to that.
        let found = if number == 1 { CLIENT } else { 1 - from };
        expect(from, number, &Act::Replace(recorded), Found::By(found));
    }
}

#[test]
fn no_key_meets_a_nonce_twice_on_any_of_many_connections_of_the_same_two() {
    const CONNECTIONS: usize = 20;
    let boxes = ledger::watch(|| {
        for number in 0..CONNECTIONS {
            // Some are broken off in the handshake, by either end, or get an old HELLO again.
            let mut broken = Conversation::new();
            let mut units = 0;
            broken.run(|side, unit| {
                units += 1;
                let copies = if units > number { 0 } else { 1 + number % 2 };
                vec![(1 - side, unit); copies]
            });
            let mut whole = Conversation::new();
            whole.run(|side, unit| vec![(1 - side, unit)]);
            assert!(whole.is_complete());
            whole.ping();
        }
    });
    // Of each that is whole: HELLO, cookie, WELCOME, vouch, INITIATE, READY, four frames, a PING and a PONG from each end.
    assert!(boxes > CONNECTIONS * (6 + 2 * 6), "{boxes}");
}
