//! The scenes: what is counted, each under a name of its own.

mod parts;
mod sockets;

use aqueduct::Message;

use crate::meter::{Meter, Round};

/// A body that has its place in the message.
const INLINE: usize = 64;

/// A body that is shared.
const SHARED: usize = 1024;

/// Messages in a turn: they fit into all queues and are read from a stream at once.
const BATCH: usize = 100;

/// Any port; and a name, for each scene has a process of its own.
const TCP: &str = "tcp://127.0.0.1:0";
const INPROC: &str = "inproc://scene";

/// A scene's name, and how to set it.
pub(crate) type Scene = (&'static str, fn() -> Round);

/// All scenes, in the order of the table.
#[rustfmt::skip]
pub(crate) const ALL: &[Scene] = &[
    ("encode 64 B", || parts::encode(INLINE)),
    ("encode 1 KiB", || parts::encode(SHARED)),
    ("decode 64 B", || parts::decode(INLINE)),
    ("decode 1 KiB", || parts::decode(SHARED)),
    ("pipe, push", || parts::pipe(Side::Send)),
    ("pipe, pop", || parts::pipe(Side::Receive)),
    ("burst, stage", || parts::burst(Side::Send)),
    ("burst, take", || parts::burst(Side::Receive)),
    ("match, 1 subscriber to all", || parts::matching(1, &[""])),
    ("match, 3 nested topics", || parts::matching(1, &["", "market", "market.XETR"])),
    ("match, 64 subscribers", || parts::matching(64, &["market"])),
    ("match, none of 1000 topics", parts::matching_none),
    ("timer, moved among 1000", parts::timer_moved),
    ("timer, gone off among 1000", parts::timer_due),
    ("wake, thread told before it sleeps", parts::waiter),
    ("wake, send to a task that waits", || sockets::to_a_task(Side::Send)),
    ("wake, the task receives", || sockets::to_a_task(Side::Receive)),
    ("inproc, send in a row", || sockets::in_a_row(Side::Send)),
    ("inproc, recv in a row", || sockets::in_a_row(Side::Receive)),
    ("inproc, send alone", || sockets::alone(INPROC, Side::Send)),
    ("inproc, recv alone", || sockets::alone(INPROC, Side::Receive)),
    ("tcp, send alone", || sockets::alone(TCP, Side::Send)),
    ("tcp, recv alone", || sockets::alone(TCP, Side::Receive)),
    ("tcp, recv in a row", sockets::from_a_stream),
    ("inproc, publish to 8", || sockets::publish(INPROC)),
    ("tcp, publish to 8", || sockets::publish(TCP)),
    ("inproc, request and reply", || sockets::request(INPROC)),
    ("tcp, request and reply", || sockets::request(TCP)),
    ("inproc, routed there and back", || sockets::routed(INPROC)),
    ("tcp, routed there and back", || sockets::routed(TCP)),
];

/// Which side's instructions count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Send,
    Receive,
}

fn message(size: usize) -> Message {
    Message::from(vec![7; size])
}

/// Does one side of a turn so that it counts, and the other so that it does not.
fn one_side<T>(
    meter: &mut Meter,
    side: Side,
    subject: &mut T,
    mut send: impl FnMut(&mut T),
    mut receive: impl FnMut(&mut T),
) {
    match side {
        Side::Send => {
            meter.count(BATCH as u64, || send(subject));
            receive(subject);
        }
        Side::Receive => {
            send(subject);
            meter.count(BATCH as u64, || receive(subject));
        }
    }
}
