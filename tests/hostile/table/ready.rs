//! Rows of the handshake, after a good greeting.

use super::End::{Closes, Refuses, Stays};
use super::{GREETING, Table, command, frame, long, ready, ready_of};

const COMMAND: u8 = super::COMMAND;

pub(super) fn fill(table: &mut Table) {
    properties(table);
    sizes(table);
    types(table);
    order(table);
    errors(table);
}

fn properties(table: &mut Table) {
    let theirs = table.theirs.clone();
    let kind: (&str, &[u8]) = ("Socket-Type", theirs.as_bytes());
    let good = ready(&[kind]);
    // A READY with these bytes behind its one good property.
    let and = |rest: &[u8]| frame(COMMAND, &[&good[2..], rest].concat());

    table.row("READY with truncated names or values, empty name, bad name characters");
    let beyond = "a length would be believed beyond the end of the frame";
    let name = Refuses("malformed input: a truncated property name");
    let value = Refuses("malformed input: a truncated property value");
    let bad = Refuses("malformed input: a bad property name");
    table.greeted("a name cut short", beyond, &and(b"\x09X-Half"), name);
    table.greeted("no value", beyond, &and(b"\x01X\0\0"), value);
    table.greeted("half a value", beyond, &and(b"\x01X\0\0\0\x02v"), value);
    table.greeted("a vast value", beyond, &and(b"\x01X\xff\xff\xff\xffv"), value);
    let named = "a name that no rule allows would reach the application";
    table.greeted("an empty name", named, &and(b"\0\0\0\0\0"), bad);
    table.greeted("a name with a space", named, &and(b"\x02X \0\0\0\0"), bad);

    table.row("a property twice; names in any case");
    let twice = "two readers would each believe another of the two";
    let pair = ready(&[kind, ("X-A", b"1"), ("x-a", b"2")]);
    table.greeted(
        "an X- property twice",
        "an honest peer with a proxy before it would be refused",
        &pair,
        Stays(&[]),
    );
    let case = ready(&[("sOCKET-tYPE", theirs.as_bytes())]);
    table.greeted(
        "names in any case",
        "peers that write names otherwise would be refused",
        &case,
        Stays(&[]),
    );
    table.greeted(
        "Socket-Type twice",
        twice,
        &ready(&[kind, kind]),
        Closes("malformed input: Socket-Type"),
    );
    let again = ready(&[kind, ("socket-type", theirs.as_bytes())]);
    table.greeted(
        "Socket-Type twice in another case",
        twice,
        &again,
        Closes("malformed input: Socket-Type"),
    );
    let ids = ready(&[kind, ("Identity", b""), ("identity", b"")]);
    table.greeted("Identity twice", twice, &ids, Closes("malformed input: Identity"));

    table.row("routing ids above 255 bytes, or with a zero byte in front");
    let id = |id: &[u8]| ready(&[kind, ("Identity", id)]);
    let taken = "a peer could take the place of one that has no id";
    table.greeted(
        "an id that begins with zero",
        taken,
        &id(b"\0me"),
        Closes("malformed input: a routing id"),
    );
    table.greeted(
        "an id of 255 bytes",
        "the longest good id would be refused",
        &id(&[7; 255]),
        Stays(&[]),
    );
    let long_id = Closes("over the limit: routing id size is 256");
    table.greeted(
        "an id of 256 bytes",
        "its length would not fit where it is written",
        &id(&[7; 256]),
        long_id,
    );
}

fn sizes(table: &mut Table) {
    let theirs = table.theirs.clone();
    let kind: (&str, &[u8]) = ("Socket-Type", theirs.as_bytes());
    let same: (&str, &[u8]) = ("X-Same", b"");
    let many = |count: usize| ready(&[&[kind][..], &vec![same; count - 1]].concat());

    table.row("10,000 properties, a value of 64 MB");
    let memory = "a stranger could have us keep as much as it likes";
    let number = Closes("over the limit: number of properties is 65");
    let command_size = Closes("over the limit: command size");
    table.greeted(
        "64 properties",
        "the most that is allowed would be refused",
        &many(64),
        Stays(&[]),
    );
    table.greeted("65 properties", memory, &many(65), number);
    table.greeted("10,000 properties", memory, &many(10_000), command_size);
    let large = |len: usize| ready(&[kind, ("X-Large", &vec![7; len])]);
    let most = 8192 - "Socket-TypeX-Large".len() - theirs.len();
    table.greeted(
        "8 KiB of properties",
        "the most that is allowed would be refused",
        &large(most),
        Stays(&[]),
    );
    let size = Closes("over the limit: size of properties is 8193");
    table.greeted("8 KiB of properties and one byte", memory, &large(most + 1), size);
    let lie = "memory would be reserved on a stranger's word";
    table.greeted("a value of 64 MB", lie, &long(COMMAND, 64 << 20), command_size);
    table.greeted(
        "a READY of 16 KiB and one",
        lie,
        &long(COMMAND, (16 << 10) + 1),
        command_size,
    );
    table.greeted(
        "a READY near 2^64",
        "a sum of lengths would wrap",
        &long(COMMAND, u64::MAX),
        command_size,
    );
}

fn types(table: &mut Table) {
    table.row("Socket-Type unknown or incompatible");
    let welcome = table.theirs.clone();
    let mismatch = "two sockets that do not go together would both wait for ever";
    let incompatible = Refuses("incompatible socket type: ours is ");
    table.greeted("a type unknown", mismatch, &ready_of("GOSSIP"), incompatible);
    table.greeted(
        "a type in lower case",
        mismatch,
        &ready_of(&welcome.to_lowercase()),
        incompatible,
    );
    table.greeted("a type of nothing", mismatch, &ready_of(""), incompatible);
    table.greeted(
        "a type of escapes",
        "a terminal would obey a stranger",
        &ready_of("\n\x1b[2J"),
        incompatible,
    );
    let thousand = ready_of(&"A".repeat(1000));
    table.greeted(
        "a type of 1,000 bytes",
        "an error would be as long as a stranger likes",
        &thousand,
        incompatible,
    );
    table.greeted(
        "no type",
        mismatch,
        &ready(&[]),
        Closes("malformed input: no Socket-Type"),
    );
    let id_only = ready(&[("Identity", b"me")]);
    table.greeted(
        "an id and no type",
        mismatch,
        &id_only,
        Closes("malformed input: no Socket-Type"),
    );
    // What goes together is for each type's own tests; PUSH and PULL go with nothing but each other.
    let names = [
        "PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB",
    ];
    for name in names.into_iter().filter(|name| *name != welcome) {
        table.greeted("another type", mismatch, &ready_of(name), incompatible);
    }
}

fn order(table: &mut Table) {
    table.row("READY as a data frame, twice, late");
    let early = "the application would get a message from nobody";
    let message = Closes("malformed input: a message before READY");
    table.greeted("READY as a message", early, &frame(0, b"\x05READY"), message);
    table.greeted(
        "READY as a part",
        early,
        &frame(super::MORE, b"\x05READY"),
        message,
    );
    table.greeted("a message first", early, &frame(0, b""), message);
    table.greeted("a part first", early, &frame(super::MORE, b"part"), message);
    let changed = "a peer could become another one in the middle";
    let late = Closes("malformed input: READY after");
    let again = ready_of(&table.theirs);
    table.talks("READY twice", changed, &[&again], late);
    let end = super::End::ClosesAfter(&["in"], "malformed input: READY after");
    table.talks("READY late", changed, &[&frame(0, b"in"), &again], end);

    table.row("an unknown command before READY");
    let unknown = Closes("malformed input: a command other than READY");
    let around = "a peer could talk without having said who it is";
    table.greeted(
        "an unknown command first",
        around,
        &command("HOLLA", b""),
        unknown,
    );
    table.greeted("SUBSCRIBE first", around, &command("SUBSCRIBE", b""), unknown);
    table.greeted("PING first", around, &command("PING", b"\0\0"), unknown);
    let greeted_twice = [&GREETING[..], &GREETING].concat();
    table.says(
        "a second greeting",
        around,
        &[&greeted_twice],
        Closes("malformed input: reserved flags"),
    );
}

fn errors(table: &mut Table) {
    table.row("ERROR before READY, reason of any length with control characters");
    let log = "a terminal would obey a stranger, and a log have lines that it wrote";
    let refused = |what| Closes(what);
    let control = command("ERROR", b"\x0bno\x1b[2J here");
    table.greeted(
        "ERROR",
        log,
        &control,
        refused("refused by the peer: \"no\\\\x1b[2J"),
    );
    let nothing = refused("refused by the peer: \"\"");
    table.greeted("ERROR without a reason", log, &command("ERROR", b"\0"), nothing);
    let longest = [&[255][..], &[b'a'; 255]].concat();
    table.greeted(
        "a long ERROR",
        log,
        &command("ERROR", &longest),
        refused("refused by the peer: \"aaa"),
    );
    let worst = refused("refused by the peer: \"\\\\xff");
    table.greeted(
        "a long ERROR of escapes",
        log,
        &command("ERROR", &[255; 256]),
        worst,
    );
    let strict = "a length would be believed that is none";
    let malformed = Closes("malformed input: an ERROR");
    table.greeted("ERROR without length", strict, &command("ERROR", b""), malformed);
    table.greeted(
        "ERROR too short",
        strict,
        &command("ERROR", b"\x05four"),
        malformed,
    );
    table.greeted(
        "ERROR too long",
        strict,
        &command("ERROR", b"\x02four"),
        malformed,
    );
    let bye = refused("refused by the peer: \"bye\"");
    table.talks(
        "a late ERROR",
        "a peer that gives up would be talked to",
        &[&command("ERROR", b"\x03bye")],
        bye,
    );
}
