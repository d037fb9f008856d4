//! Rows of frames and messages, after a good handshake.

use super::End::{Closes, Leaves, Stays};
use super::{MORE, Step, Table, frame, long};

/// What is shown of many bytes of 7.
const SEVENS: &str = "\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07";

pub(super) fn fill(table: &mut Table) {
    table.row("reserved flag bits");
    let reserved = Closes("malformed input: reserved flags");
    let meaning = "a later version's frames would be taken for messages";
    for flags in 8..=255 {
        table.talks("a reserved flag", meaning, &[&[flags, 0]], reserved);
    }
    table.talks("nothing but flags", meaning, &[&[255; 300]], reserved);
    table.greeted("reserved flags before READY", meaning, &[0xf4, 0], reserved);

    table.row("LONG form with a small length");
    let form = "an honest peer that always takes the long form would be refused";
    table.talks(
        "LONG with a small length",
        form,
        &[&long(0, 2), b"in"],
        Stays(&["in"]),
    );
    table.talks("LONG with no length", form, &[&long(0, 0)], Stays(&[""]));

    lengths(table);
    parts(table);

    table.row("a command with MORE; with zero length, name overrun, a name of no letters");
    let inside = "a command could hide in a message, or a message in a command";
    let more = Closes("malformed input: a command with the MORE flag");
    table.talks("COMMAND with MORE", inside, &[&[5, 0]], more);
    let empty = Closes("malformed input: an empty command");
    table.talks(
        "an empty command",
        "the first byte would be read that is not there",
        &[&[4, 0]],
        empty,
    );
    let name = Closes("malformed input: a command name");
    table.talks("a command without a name", inside, &[&[4, 1, 0]], name);
    let overrun = Closes("malformed input: a truncated command name");
    table.talks(
        "a name overrun",
        "bytes beyond the frame would be read",
        &[&frame(4, b"\x06HOLLA")],
        overrun,
    );
    let bytes = "a log would show what a stranger wrote";
    table.talks("a name with a digit", bytes, &[&frame(4, b"\x03A1B")], name);
    table.talks("a name with a zero", bytes, &[&frame(4, b"\x03A\0B")], name);

    table.row("a zero-length data frame");
    table.talks(
        "an empty message",
        "it is a message like any other",
        &[&frame(0, b"")],
        Stays(&[""]),
    );

    table.row("bytes after FIN, half-close");
    let complete = [frame(0, b"one"), frame(0, b"two"), frame(MORE, b"half a message")].concat();
    let steps = vec![Step::Send(complete), Step::Finish];
    let lost = "what was complete would be lost, or what was not be delivered";
    table.does(
        "a half-close within a message",
        lost,
        steps,
        Leaves(&["one", "two"]),
    );
    let steps = vec![Step::Send(frame(MORE, b"half")), Step::Reset];
    table.does(
        "a reset within a message",
        "half a message would be delivered",
        steps,
        Leaves(&[]),
    );
}

/// The sockets on stage take messages of up to 1,000 bytes.
fn lengths(table: &mut Table) {
    table.row("length above the limit; above isize::MAX; near 2^64");
    let size = "over the limit: message size is ";
    let lie = "memory would be reserved on a stranger's word";
    let most = [&long(0, 1000), &[7; 1000][..]].concat();
    let good = "the largest good message would be refused";
    table.talks("at the limit", good, &[&most], Stays(&[SEVENS]));
    let above = Closes("over the limit: message size is 1001, the limit is 1000");
    table.talks("above the limit", lie, &[&long(0, 1001)], above);
    let wrap = "a sum of lengths would wrap, or an allocation abort the process";
    table.talks("isize::MAX", wrap, &[&long(0, i64::MAX as u64)], Closes(size));
    table.talks("above isize::MAX", wrap, &[&long(0, 1 << 63)], Closes(size));
    table.talks("2^64 - 1", wrap, &[&long(0, u64::MAX)], Closes(size));
}

fn parts(table: &mut Table) {
    table.row("MORE for ever; a million empty parts");
    let size = Closes("over the limit: message size is ");
    let memory = "a message without end would fill the memory";
    let two = |last: usize| [frame(MORE, &[7; 600]), frame(0, &vec![7; last])].concat();
    let good = "an honest message would be refused";
    table.talks("two parts at the limit", good, &[&two(400)], Stays(&[SEVENS]));
    table.talks("two parts above the limit", memory, &[&two(401)], size);
    let twice = frame(0, &[7; 600]).repeat(2);
    table.talks(
        "two messages that are above it together",
        good,
        &[&twice],
        Stays(&[SEVENS, SEVENS]),
    );
    table.talks(
        "MORE for ever",
        memory,
        &[&frame(MORE, b"more").repeat(100_000)],
        size,
    );
    let slots = "parts without bytes would cost us all the same";
    let empty = |count: usize| [[MORE, 0].repeat(count - 1), vec![0, 0]].concat();
    table.talks("70 empty parts", good, &[&empty(70)], Stays(&[""]));
    table.talks("100 empty parts", slots, &[&empty(100)], size);
    table.talks(
        "a million empty parts",
        slots,
        &[&[MORE, 0].repeat(1_000_000)],
        size,
    );
}
