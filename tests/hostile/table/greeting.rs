//! Rows of the greeting; the good ones go on with READY and a message.

use super::End::{Closes, Stays};
use super::{GREETING, Step, Table, frame, ready_of};

const SIGNATURE: &str = "malformed input: no ZMTP signature";

#[allow(clippy::too_many_lines, reason = "a table")]
pub(super) fn fill(table: &mut Table) {
    let rest = [ready_of(&table.theirs), frame(0, b"in")].concat();
    let changed = |at: usize, change: &[u8]| {
        let mut greeting = GREETING;
        greeting[at..at + change.len()].copy_from_slice(change);
        [&greeting[..], &rest].concat()
    };

    table.row("first byte not FF; byte 9 not 7F; revision 0, 1 or 2");
    let guess = "a stranger would be taken for a peer of ZMTP, and its text for frames";
    table.says("a first byte that is not FF", guess, &[b"\0"], Closes(SIGNATURE));
    table.says(
        "a tenth byte that is not 7F",
        guess,
        &[&changed(9, &[0x7e])],
        Closes(SIGNATURE),
    );
    let old = "frames of another format would be read as ours";
    let version = |what| Closes(what);
    let one = version("incompatible version: ours is ZMTP 3.1, the peer's is ZMTP 1.0");
    table.says("ZMTP 1.0", old, &[&changed(10, &[0])], one);
    let two = version("incompatible version: ours is ZMTP 3.1, the peer's is ZMTP 2.0");
    table.says("ZMTP 2.0", old, &[&changed(10, &[1])], two);
    table.says(
        "revision 2",
        old,
        &[&changed(10, &[2])],
        version("incompatible version: "),
    );
    let padding = &changed(1, &[1, 2, 3, 4, 5, 6, 7, 255]);
    table.says(
        "padding",
        "libzmq, which puts a length there, would be refused",
        &[padding],
        Stays(&["in"]),
    );

    table.row("revision 3 or above, any minor");
    let later = "every later version would be locked out";
    table.says(
        "ZMTP 3.0",
        "every older libzmq would be locked out",
        &[&changed(11, &[0])],
        Stays(&["in"]),
    );
    table.says("ZMTP 3.9", later, &[&changed(11, &[9])], Stays(&["in"]));
    table.says("ZMTP 4.0", later, &[&changed(10, &[4, 0])], Stays(&["in"]));
    table.says("ZMTP 255.0", later, &[&changed(10, &[255, 0])], Stays(&["in"]));

    table.row("mechanism unknown, different, not NUL padded, lower case");
    let weaker = "a peer could choose what it is not asked for";
    let other = |what| Closes(what);
    let plain = other("incompatible mechanism: ours is NULL, the peer's is PLAIN");
    table.says("another mechanism", weaker, &[&changed(12, b"PLAIN")], plain);
    let magic = other("incompatible mechanism: ours is NULL, the peer's is MAGIC\\n");
    table.says(
        "an unknown mechanism",
        "its name would break a line of a log",
        &[&changed(12, b"MAGIC\n")],
        magic,
    );
    let any = other("incompatible mechanism: ours is NULL, the peer's is ");
    table.says(
        "padded with spaces",
        weaker,
        &[&changed(12, b"NULL                ")],
        any,
    );
    table.says("not padded", weaker, &[&changed(12, b"NULL\0X")], any);
    table.says("lower case", weaker, &[&changed(12, b"null")], any);
    table.says("no mechanism", weaker, &[&changed(12, &[0; 20])], any);
    table.says(
        "a mechanism of escapes",
        "a terminal would obey a stranger",
        &[&changed(12, &[0x1b; 20])],
        any,
    );

    table.row("as-server and filler");
    let libzmq = "libzmq, which sends 0 from both ends, would be refused";
    table.says("as a server", libzmq, &[&changed(32, &[1])], Stays(&["in"]));
    table.says(
        "as something else",
        libzmq,
        &[&changed(32, &[77])],
        Stays(&["in"]),
    );
    table.says(
        "filler",
        "a later version could not use it",
        &[&changed(33, &[7; 31])],
        Stays(&["in"]),
    );

    table.row("greeting and frames in one segment");
    let lost = "what came with the greeting would be lost";
    table.says(
        "all at once",
        lost,
        &[&GREETING, &rest, &frame(0, b"too")],
        Stays(&["in", "too"]),
    );
    let whole = [&GREETING[..], &rest].concat();
    table.add(
        "all of it dripping",
        "what is cut would be misread",
        vec![Step::Drip(whole)],
        Stays(&["in"]),
    );

    table.row("HTTP, TLS, SSH and SMB probes");
    let probe = "a scanner would keep a connection, or be answered";
    table.says(
        "HTTP",
        probe,
        &[b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"],
        Closes(SIGNATURE),
    );
    table.says(
        "TLS",
        probe,
        &[b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
        Closes(SIGNATURE),
    );
    table.says("SSH", probe, &[b"SSH-2.0-OpenSSH_9.6\r\n"], Closes(SIGNATURE));
    table.says(
        "SMB",
        probe,
        &[b"\0\0\0\x85\xffSMB\x72\0\0\0\0"],
        Closes(SIGNATURE),
    );
}
