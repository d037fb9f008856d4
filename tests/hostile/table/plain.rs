//! Rows of PLAIN: what strangers say to a server, and false servers to a client.

use super::End::{Closes, Refuses, Stays};
use super::{COMMAND, GREETING, Table, command, frame, put_properties, ready_of};

const OTHER: &str = "any older protocol or NULL greeting to a secured socket";
const HELLO: &str = "PLAIN HELLO with lengths off, trailing bytes, 0 and 255 byte names; wrong credentials";
const ORDER: &str = "commands of a mechanism out of order, repeated, from the wrong role";

const AROUND: &str = "a peer could get in without having shown who it is";
const BEYOND: &str = "a length would be believed beyond the end of the frame";

/// What a client says, in order.
fn login() -> Vec<u8> {
    command("HELLO", b"\x05alice\x06secret")
}

fn initiate() -> Vec<u8> {
    introduction(&[("Socket-Type", b"PUSH")])
}

fn introduction(list: &[(&str, &[u8])]) -> Vec<u8> {
    command("INITIATE", &put_properties(list))
}

/// What a client says until it is let in.
pub(super) fn client_opening() -> Vec<u8> {
    [login(), initiate()].concat()
}

/// What a server says until the client is ready.
pub(super) fn server_opening() -> Vec<u8> {
    [command("WELCOME", b""), ready_of("PUSH")].concat()
}

pub(super) fn to_a_server(table: &mut Table) {
    greetings(table, "PLAIN");
    hello(table);
    introductions(table);

    table.row(ORDER);
    let no_hello = Closes("malformed input: a command other than HELLO");
    let no_initiate = Closes("malformed input: a command other than INITIATE");
    let message = Closes("malformed input: a message before READY");
    let hello_then = |rest: &[u8]| [&login(), rest].concat();
    table.talks("all in order", AROUND, &[&frame(0, b"in")], Stays(&["in"]));
    table.greeted("HELLO as a message", AROUND, &frame(0, b"\x05HELLO\0\0"), message);
    table.greeted("a message at once", AROUND, &[0, 0], message);
    table.greeted("a message after HELLO", AROUND, &hello_then(&[0, 0]), message);
    table.greeted("READY, as with NULL", AROUND, &ready_of("PUSH"), no_hello);
    table.greeted("INITIATE first", AROUND, &initiate(), no_hello);
    table.greeted("WELCOME of a client", AROUND, &command("WELCOME", b""), no_hello);
    table.greeted(
        "PING in the handshake",
        AROUND,
        &command("PING", b"\0\0"),
        no_hello,
    );
    table.greeted(
        "hello in lower case",
        AROUND,
        &command("hello", b"\0\0"),
        no_hello,
    );
    let guesses = "a peer could try one password after the other";
    table.greeted("HELLO twice", guesses, &hello_then(&login()), no_initiate);
    let ready = hello_then(&ready_of("PUSH"));
    table.greeted("READY instead of INITIATE", AROUND, &ready, no_initiate);
    let changed = "a peer could become another one in the middle";
    let after = Closes("malformed input: a command of the handshake after it");
    table.talks("INITIATE twice", changed, &[&initiate()], after);
    let late = Closes("malformed input: READY after the handshake");
    table.talks("READY after INITIATE", changed, &[&ready_of("PUSH")], late);
    let refused = Closes("refused by the peer: \"no\\\\n\"");
    let log = "a log would have lines that a stranger wrote";
    table.greeted("ERROR of a client", log, &command("ERROR", b"\x03no\n"), refused);
}

/// Greetings of other mechanisms and versions to a socket that has `ours`.
pub(super) fn greetings(table: &mut Table, ours: &str) {
    table.row(OTHER);
    let weaker = "a peer could choose not to be asked who it is";
    let mechanism = if ours == "PLAIN" {
        Closes("incompatible mechanism: ours is PLAIN, the peer's is ")
    } else {
        Closes("incompatible mechanism: ours is CURVE, the peer's is ")
    };
    let rest = [ready_of("PUSH"), frame(0, b"in")].concat();
    table.says("a greeting of NULL", weaker, &[&GREETING, &rest], mechanism);
    let good = table.greeting;
    let changed = |at: usize, bytes: &[u8]| {
        let mut greeting = good;
        greeting[at..at + bytes.len()].copy_from_slice(bytes);
        [&greeting[..], &rest].concat()
    };
    table.says("no mechanism", weaker, &[&changed(12, &[0; 20])], mechanism);
    table.says("not padded", weaker, &[&changed(17, b"!")], mechanism);
    let other = if ours == "PLAIN" { b"CURVE" } else { b"PLAIN" };
    table.says("another mechanism", weaker, &[&changed(12, other)], mechanism);
    let version = Closes("incompatible version: ours is ZMTP 3.1, the peer's is ZMTP ");
    for revision in [0, 1, 2] {
        table.says("an older version", weaker, &[&changed(10, &[revision])], version);
    }
}

fn hello(table: &mut Table) {
    table.row(HELLO);
    let short = Closes("malformed input: a HELLO cut short");
    let says = |data: &[u8]| command("HELLO", data);
    let good = "the shortest and the longest good names would be refused";
    let long = [&[255], &[b'n'; 255][..], &[255], &[b'p'; 255][..]].concat();
    for data in [&[0, 0][..], &long] {
        let bytes = [says(data), initiate(), frame(0, b"in")].concat();
        table.greeted("names of 0 and of 255 bytes", good, &bytes, Stays(&["in"]));
    }
    table.greeted("no name", BEYOND, &says(b""), short);
    table.greeted("a name cut short", BEYOND, &says(b"\x06alice"), short);
    table.greeted("no password", BEYOND, &says(b"\x05alice"), short);
    table.greeted(
        "a password cut short",
        BEYOND,
        &says(b"\x05alice\x07secret"),
        short,
    );
    table.greeted("a length of 255 and nothing", BEYOND, &says(b"\xff"), short);
    table.greeted(
        "something behind the password",
        "what one reader takes for the password another would not",
        &says(b"\x05alice\x06secret!"),
        Closes("malformed input: a HELLO with something behind it"),
    );
    table.greeted(
        "a HELLO of 17 KiB",
        "memory would be reserved on a stranger's word",
        &says(&[0; 17 * 1024]),
        Closes("over the limit: command size"),
    );
}

fn introductions(table: &mut Table) {
    table.row(ORDER);
    let introduces = |list: &[(&str, &[u8])]| [login(), introduction(list)].concat();
    let nobody = "a peer of no type would be let in";
    table.greeted(
        "no properties",
        nobody,
        &introduces(&[]),
        Closes("malformed input: no Socket-Type"),
    );
    table.greeted(
        "two types",
        "two readers would each believe another of the two",
        &introduces(&[("Socket-Type", b"PUSH"), ("socket-type", b"PUSH")]),
        Closes("malformed input: Socket-Type twice"),
    );
    table.greeted(
        "a type that does not go with ours",
        "two sockets that do not go together would both wait for ever",
        &introduces(&[("Socket-Type", b"SUB")]),
        Refuses("incompatible socket type: ours is PULL, the peer's is SUB"),
    );
    table.greeted(
        "65 properties",
        "a stranger could have us keep as much as it likes",
        &introduces(&[("X-Same", &b""[..]); 65]),
        Closes("over the limit: number of properties is 65"),
    );
    let cut = command("INITIATE", b"\x0bSocket-Type\0\0\0\x05PUSH");
    table.greeted(
        "a property cut short",
        BEYOND,
        &[login(), cut].concat(),
        Refuses("malformed input: a truncated property value"),
    );
}

pub(super) fn to_a_client(table: &mut Table) {
    greetings(table, "PLAIN");

    table.row(ORDER);
    let no_welcome = Closes("malformed input: a command other than WELCOME");
    let no_ready = Closes("malformed input: a command other than READY");
    let message = Closes("malformed input: a message before READY");
    let welcome = command("WELCOME", b"");
    let welcome_then = |rest: &[u8]| [&welcome, rest].concat();
    table.talks("all in order", AROUND, &[&frame(0, b"in")], Stays(&["in"]));
    table.greeted(
        "something behind WELCOME",
        "what a later version means by it would be passed over",
        &command("WELCOME", b"!"),
        Closes("malformed input: a WELCOME with something behind it"),
    );
    table.greeted("READY at once", AROUND, &ready_of("PUSH"), no_welcome);
    let mirror = "two clients would take each other for a server";
    table.greeted("HELLO of a server", mirror, &login(), no_welcome);
    table.greeted(
        "INITIATE of a server",
        mirror,
        &welcome_then(&initiate()),
        no_ready,
    );
    table.greeted("WELCOME twice", AROUND, &welcome_then(&welcome), no_ready);
    let after = Closes("malformed input: a command of the handshake after it");
    table.talks("WELCOME late", AROUND, &[&welcome], after);
    table.greeted("a message at once", AROUND, &[0, 0], message);
    table.greeted("a message after WELCOME", AROUND, &welcome_then(&[0, 0]), message);
    errors(table, &welcome);
}

/// How a server refuses, and how it cannot.
fn errors(table: &mut Table, welcome: &[u8]) {
    let refused = Closes("refused by the peer: \"400\"");
    let told = "a client that is not wanted would ask for ever, and not know why";
    let refusal = command("ERROR", b"\x03400");
    table.greeted("ERROR", told, &refusal, refused);
    table.greeted(
        "ERROR after WELCOME",
        told,
        &[welcome, &refusal].concat(),
        refused,
    );
    let spelled = frame(COMMAND, b"^RROR\x03400");
    table.greeted("ERROR as libzmq spells it", told, &spelled, refused);
    table.greeted(
        "the same with a wrong length",
        BEYOND,
        &frame(COMMAND, b"^RROR\x04400"),
        Closes("malformed input: a truncated command name"),
    );
    table.greeted(
        "an ERROR with a wrong length",
        BEYOND,
        &command("ERROR", b"\x04400"),
        Closes("malformed input: an ERROR with a wrong length"),
    );
}
