//! Rows of commands, after a good handshake.

use super::End::{Closes, Ignores, Stays};
use super::{MORE, Step, Table, command, frame, long};

#[allow(clippy::too_many_lines, reason = "a table")]
pub(super) fn fill(table: &mut Table) {
    let after = frame(0, b"in");

    table.row("an unknown command after READY");
    let later = "a later version of the protocol would be hung up on";
    table.talks(
        "an unknown command",
        later,
        &[&command("JOIN", b""), &after],
        Ignores(1, &["in"]),
    );
    let two = [command("JOIN", b"x"), command("LEAVE", b"")].concat();
    table.talks("JOIN and LEAVE", later, &[&two, &after], Ignores(2, &["in"]));
    let longest = command("JOIN", &[7; 65_531]);
    table.talks("one of 64 KiB", later, &[&longest, &after], Ignores(1, &["in"]));
    let size = Closes("over the limit: command size is 65537");
    table.talks(
        "one of more",
        "memory would be reserved on a stranger's word",
        &[&long(4, 65_537)],
        size,
    );

    table.row("SUBSCRIBE or CANCEL to a socket that does not publish");
    let data = "a subscription would be delivered as a message";
    table.talks(
        "SUBSCRIBE",
        data,
        &[&command("SUBSCRIBE", b"t"), &after],
        Ignores(1, &["in"]),
    );
    table.talks(
        "CANCEL",
        data,
        &[&command("CANCEL", b"t"), &after],
        Ignores(1, &["in"]),
    );
    let many = command("SUBSCRIBE", b"topic").repeat(100_000);
    table.talks(
        "100,000 SUBSCRIBEs",
        "each would be kept",
        &[&many],
        Ignores(100_000, &[]),
    );
    let old = "a message that looks like one would be lost";
    table.talks(
        "an old SUBSCRIBE is data",
        old,
        &[&frame(0, b"\x01t")],
        Stays(&["\x01t"]),
    );
    let between = [frame(MORE, b"in"), command("PONG", b""), frame(0, b"too")].concat();
    table.talks(
        "a command between parts",
        "the message would be torn apart",
        &[&between],
        Stays(&["in"]),
    );

    table.row("PING too short for its TTL; context of 0, 16, 17 … bytes; TTL 0, 1, 655, 656, 65535");
    let short = Closes("malformed input: a PING without a TTL");
    let missing = "a byte would be read that is not there";
    table.talks("PING without a TTL", missing, &[&command("PING", b"")], short);
    table.talks("PING with half a TTL", missing, &[&command("PING", b"\0")], short);
    for ttl in [0_u16, 655, 656, 65_535] {
        for len in [0, 1, 16, 17, 1000] {
            let context = vec![b'c'; len];
            let ping = command("PING", &[&ttl.to_be_bytes()[..], &context].concat());
            let pong = command("PONG", &context[..len.min(16)]);
            let steps = vec![Step::Send(ping), Step::Expect(pong)];
            let amplified = "a TTL would overflow, or the answer be as long as a stranger likes";
            table.does("PING with a context", amplified, steps, Stays(&[]));
        }
    }

    table.row("PONG never asked for");
    let trust = "an answer without a question would count for one";
    table.talks(
        "PONGs never asked for",
        trust,
        &[&command("PONG", b"?").repeat(1000)],
        Stays(&[]),
    );

    table.row("commands of a mechanism out of order, repeated, from the wrong role");
    table.talks(
        "a late HELLO",
        "credentials would be asked for, and told, a second time",
        &[&command("HELLO", b"")],
        Closes("malformed input: a command of the handshake after it"),
    );
}
