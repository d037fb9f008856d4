//! Rows of CURVE that need no keys: what strangers say to a server, and false servers to a client. Each is closed for the
//! same reason, without a word.

use super::End::Closes;
use super::plain::greetings;
use super::{Table, command, frame, ready_of};

const HELLO: &str = "CURVE HELLO: wrong length, version, padding, low-order or zero point, wrong box";
const LATER: &str = "WELCOME, INITIATE, READY: wrong length, box, cookie, vouch";
const ORDER: &str = "commands of a mechanism out of order, repeated, from the wrong role";
const MESSAGE: &str =
    "MESSAGE: replayed, reordered, skipped nonce, outer flags, unknown inner flags, plain frame";

const FORGED: &str = "malformed input: not what a CURVE peer with the right keys would send";
const AROUND: &str = "a peer could talk without having proved that it has a key";

/// Where the fields of a HELLO are, behind its name.
const VERSION: usize = 0;
const PADDING: usize = 2;
const POINT: usize = 74;
const NONCE: usize = 106;
const BOX: usize = 114;
const HELLO_LEN: usize = 194;

/// A HELLO that is right in all but its box.
fn hello() -> [u8; HELLO_LEN] {
    let mut data = [0; HELLO_LEN];
    data[VERSION] = 1;
    data[POINT..NONCE].fill(9);
    data[BOX - 1] = 1;
    data[BOX..].fill(7);
    data
}

fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut data = hello();
    data[at..at + bytes.len()].copy_from_slice(bytes);
    command("HELLO", &data)
}

/// Points with which every secret key has the same in common.
fn low_order() -> impl Iterator<Item = [u8; 32]> {
    let point = |first: u8, rest: u8, last: u8| {
        let mut point = [rest; 32];
        (point[0], point[31]) = (first, last);
        point
    };
    // 0, 1, p - 1, p and p + 1, and the same with the bit that does not count.
    let points = [
        (0, 0, 0),
        (1, 0, 0),
        (0xec, 0xff, 0x7f),
        (0xed, 0xff, 0x7f),
        (0xee, 0xff, 0x7f),
    ];
    let set = move |top: u8| points.map(|(first, rest, last)| point(first, rest, last | top));
    [0, 0x80].into_iter().flat_map(set)
}

pub(super) fn to_a_server(table: &mut Table) {
    greetings(table, "CURVE");
    let forged = Closes(FORGED);

    table.row(HELLO);
    let oracle = "a stranger would learn from the answer what was wrong with its guess";
    table.greeted("a wrong box", oracle, &command("HELLO", &hello()), forged);
    let longer = [&hello()[..], &[0]].concat();
    let beyond = "bytes would be read that are not there, or passed over";
    for data in [&hello()[..0], &hello()[..1], &hello()[..HELLO_LEN - 1], &longer] {
        table.greeted("a wrong length", beyond, &command("HELLO", data), forged);
    }
    let format = "a format that we do not know would be read as ours";
    for version in [[0, 0], [0, 1], [1, 1], [2, 0]] {
        table.greeted("another version", format, &changed(VERSION, &version), forged);
    }
    let padding = "what a later version puts there would be passed over";
    for at in [PADDING, PADDING + 35, POINT - 1] {
        table.greeted("padding that is not zero", padding, &changed(at, &[1]), forged);
    }
    let known = "the secret of the box would be known to everybody";
    for point in low_order() {
        table.greeted("a point of low order", known, &changed(POINT, &point), forged);
    }
    table.greeted("a nonce of zero", oracle, &changed(NONCE, &[0; 8]), forged);
    table.greeted("the last nonce", oracle, &changed(NONCE, &[255; 8]), forged);

    table.row(ORDER);
    for (name, bytes) in [
        ("READY, as with NULL", ready_of("PUSH")),
        ("HELLO of PLAIN", command("HELLO", b"\x05alice\x06secret")),
        ("INITIATE first", command("INITIATE", &[7; 300])),
        ("WELCOME of a client", command("WELCOME", &[7; 160])),
        ("a MESSAGE as a command", command("MESSAGE", &[7; 64])),
        ("PING in the handshake", command("PING", b"\0\0")),
        ("ERROR of a client", command("ERROR", b"\x03no\n")),
        ("hello in lower case", command("hello", &hello())),
    ] {
        table.greeted(name, AROUND, &bytes, forged);
    }

    table.row(MESSAGE);
    let message = Closes("malformed input: a message before READY");
    table.greeted("a message at once", AROUND, &frame(0, b"in"), message);
    let sealed = frame(0, &[&b"\x07MESSAGE"[..], &[7; 40]].concat());
    table.greeted("a MESSAGE at once", AROUND, &sealed, message);
    table.greeted("HELLO as a message", AROUND, &frame(0, &hello()), message);
}

pub(super) fn to_a_client(table: &mut Table) {
    greetings(table, "CURVE");
    let forged = Closes(FORGED);

    table.row(LATER);
    let believed = "a client would believe a server that does not have its key";
    table.greeted("a wrong box", believed, &command("WELCOME", &[7; 160]), forged);
    let beyond = "bytes would be read that are not there, or passed over";
    for len in [0, 1, 15, 16, 159, 161, 1000] {
        let bytes = command("WELCOME", &vec![7; len]);
        table.greeted("a wrong length", beyond, &bytes, forged);
    }

    table.row(ORDER);
    for (name, bytes) in [
        ("READY, as with NULL", ready_of("PUSH")),
        ("WELCOME of PLAIN", command("WELCOME", b"")),
        ("HELLO of a server", command("HELLO", &hello())),
        ("READY first", command("READY", &[7; 50])),
    ] {
        table.greeted(name, believed, &bytes, forged);
    }
    let refused = Closes("refused by the peer: \"400\"");
    let told = "a client that is not wanted would ask for ever, and not know why";
    table.greeted("ERROR", told, &command("ERROR", b"\x03400"), refused);
    let wrong = command("ERROR", b"\x04400");
    table.greeted("an ERROR with a wrong length", beyond, &wrong, forged);

    table.row(MESSAGE);
    let message = Closes("malformed input: a message before READY");
    table.greeted("a message at once", AROUND, &frame(0, b"in"), message);
}
