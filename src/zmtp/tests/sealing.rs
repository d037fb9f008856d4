//! Seals: what a mechanism puts around each frame, with one that is no secret.

use std::borrow::Cow;

use super::frame::{COMMAND, MORE, put_header};
use super::mechanism::{Opened, Seal};
use super::*;
use crate::Frame;

/// Puts frames into others that begin with a G, after their number and flags.
#[derive(Debug)]
struct Glass {
    sealed: u8,
    opened: u8,
}

impl Seal for Glass {
    fn seal(&mut self, flags: u8, body: &[u8], out: &mut Vec<u8>) {
        put_header(0, body.len() + 4, out);
        out.extend_from_slice(&[1, b'G', self.sealed, flags]);
        out.extend_from_slice(body);
        self.sealed += 1;
    }

    fn open(&mut self, body: Cow<'_, [u8]>) -> Result<Opened, DisconnectReason> {
        match &*body {
            [1, b'G', number, flags, body @ ..] if *number == self.opened => {
                self.opened += 1;
                Ok(Opened {
                    more: flags & MORE != 0,
                    command: flags & COMMAND != 0,
                    body: Frame::copy_from_slice(body),
                })
            }
            _ => Err(DisconnectReason::Malformed("not of glass")),
        }
    }
}

fn sealed(socket_type: SocketType, options: &LinkOptions) -> End {
    let mut end = End::ready(socket_type, 1, options, Instant::now());
    end.connection.set_seal(Box::new(Glass { sealed: 0, opened: 0 }));
    end
}

fn glass(number: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    frame(0, &[&[1, b'G', number, flags], body].concat())
}

#[test]
fn each_frame_leaves_in_its_seal() {
    let mut push = sealed(SocketType::Push, &LinkOptions::default());
    assert!(!push.connection.passes_packed(&mut Batch::new()));
    let message: Message = ["a", "b"].into_iter().collect();
    assert_eq!(
        push.encode(message),
        [glass(0, MORE, b"a"), glass(1, 0, b"b")].concat()
    );
    let mut sub = sealed(SocketType::Sub, &LinkOptions::default());
    assert_eq!(sub.encode("\x01topic"), glass(0, COMMAND, b"\x09SUBSCRIBEtopic"));
}

#[test]
fn what_is_inside_the_seal_counts() {
    let now = Instant::now();
    let mut pull = sealed(SocketType::Pull, &LinkOptions::default());
    let large = vec![7; 100_000];
    let bytes = [
        glass(0, 0, b"whole"),
        glass(1, MORE, b"first"),
        glass(2, COMMAND, b"\x04PING\0\0hi"),
        glass(3, 0, &large),
    ];
    for piece in bytes.concat().chunks(999) {
        pull.feed(piece, now).unwrap();
    }
    let parts: Vec<_> = pull.inbox.iter().map(|message| message.frames().len()).collect();
    assert_eq!(parts, [1, 2]);
    assert_eq!(pull.inbox[1].frames()[1].as_slice(), &large[..]);
    assert_eq!(
        pull.transmit(),
        glass(0, COMMAND, b"\x04PONGhi"),
        "answers are sealed, too"
    );
}

#[test]
fn a_large_frame_is_read_straight_into_the_buffer_that_it_is_opened_in() {
    let now = Instant::now();
    let topic = [&b"\x09SUBSCRIBE"[..], &[8; 50_000]].concat();
    let frames = [glass(0, COMMAND, &topic), glass(1, 0, &[7; 100_000])];
    let mut connection = sealed(SocketType::Pub, &LinkOptions::default()).connection;
    let (mut inbox, mut room) = (Queue::new(), Room::UNBOUNDED);
    for bytes in frames {
        let (first, mut rest) = bytes.split_at(1000);
        connection
            .handle_input(first, &mut room, &mut inbox, now)
            .unwrap();
        loop {
            let (body, _) = connection.intake(usize::MAX);
            let count = body.len();
            if count == 0 {
                break;
            }
            let (piece, later) = rest.split_at(count);
            body.copy_from_slice(piece);
            connection
                .handle_direct(count, &mut room, &mut inbox, now)
                .unwrap();
            rest = later;
        }
        assert!(rest.is_empty(), "{} bytes were not read straight", rest.len());
    }
    let messages: Vec<_> = inbox.map(|message| message.byte_len()).collect();
    assert_eq!(messages, [50_001, 100_000]);
}

#[test]
fn nothing_passes_outside_of_the_seal() {
    let now = Instant::now();
    let options = LinkOptions {
        max_message_size: 1000,
        ..LinkOptions::default()
    };
    let cases = [
        (frame(0, b"a message"), "malformed input: not of glass"),
        (vec![0, 0], "malformed input: nothing in a seal"),
        (
            frame(MORE, b"\x01G\0\0"),
            "malformed input: a frame outside of its seal",
        ),
        (
            command(Command::Pong { context: b"" }),
            "malformed input: a frame outside of its seal",
        ),
        (glass(1, 0, b"a number too far"), "malformed input: not of glass"),
        (glass(0, 0, &[0; 1001]), "over the limit: message size is 1001"),
        (
            glass(0, COMMAND, &[0; 65_537]),
            "over the limit: command size is 65537",
        ),
        (glass(0, COMMAND, &[]), "malformed input: an empty command"),
        (glass(0, 0, &[0; 65_700]), "over the limit: command size is 65704"),
    ];
    for (bytes, expected) in cases {
        let mut pull = sealed(SocketType::Pull, &options);
        let reason = pull.feed(&bytes, now).unwrap_err().to_string();
        assert!(reason.starts_with(expected), "{reason}");
        assert!(pull.inbox.is_empty());
    }
}
