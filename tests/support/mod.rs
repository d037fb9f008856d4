//! What the tests of the library share: transports to loop over, sockets married to each other, and an honest pair.
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each test file uses its own part of this one"
)]

mod child;
mod honest;
mod moody;
mod raw;
mod waiting;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aqueduct::{DisconnectReason, Endpoint, Event, Message, Monitor, Pull, Push};

pub(crate) use child::{ChildTest, end_with_parent, is_child};
pub(crate) use honest::HonestPair;
pub(crate) use moody::Moody;
pub(crate) use raw::{GREETING, RawListener, RawPeer, command, frame, ready, ready_of};
pub(crate) use waiting::wait_before;

/// How long a test waits for what must happen. It is never reached unless something is broken.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// How long a test watches for what must not happen. A longer time would find more, but be paid on every run.
pub(crate) const A_WHILE: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Ipc,
    Inproc,
}

impl Transport {
    pub(crate) const ALL: [Self; 3] = [Self::Tcp, Self::Ipc, Self::Inproc];

    /// Those with bytes on a wire.
    pub(crate) const WIRED: [Self; 2] = [Self::Tcp, Self::Ipc];

    /// An endpoint to bind to, which no other test uses.
    pub(crate) fn anywhere(self) -> String {
        static NAMES: AtomicU32 = AtomicU32::new(0);
        match self {
            Self::Tcp => "tcp://127.0.0.1:0".to_owned(),
            Self::Ipc => "ipc://*".to_owned(),
            Self::Inproc => format!("inproc://test-{}", NAMES.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// An endpoint that nobody is bound to now and that can be bound later, with what keeps it so.
    pub(crate) fn vacant(self) -> (Endpoint, Option<tempfile::TempDir>) {
        match self {
            Self::Tcp => (vacant_port(), None),
            Self::Ipc => {
                let directory = tempfile::tempdir().unwrap();
                let path = directory.path().join("socket");
                (
                    format!("ipc://{}", path.display()).parse().unwrap(),
                    Some(directory),
                )
            }
            Self::Inproc => (self.anywhere().parse().unwrap(), None),
        }
    }
}

/// A port that the system has just given out and taken back; it gives out all others before this one again.
fn vacant_port() -> Endpoint {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    Endpoint::from_socket_addr(listener.local_addr().unwrap())
}

/// Binds one socket anywhere, connects the other to it, and waits until each knows one peer more than before.
pub(crate) fn marry(push: &Push, pull: &Pull, transport: Transport) -> Endpoint {
    let endpoint = pull.bind(transport.anywhere()).unwrap();
    join(push, pull, &endpoint);
    endpoint
}

/// Connects a PUSH to where a PULL is bound already.
pub(crate) fn join(push: &Push, pull: &Pull, endpoint: &Endpoint) {
    let (pushes, pulls) = (connected(&push.stats()), connected(&pull.stats()));
    push.connect(endpoint).unwrap();
    push.wait_for_peers(pushes + 1, LONG).unwrap();
    pull.wait_for_peers(pulls + 1, LONG).unwrap();
}

/// A PUSH bound anywhere, and as many PULLs as asked for that have connected to it, one after the other.
pub(crate) fn bound_push_with(
    push: &Push,
    pulls: usize,
    transport: Transport,
    build: impl Fn() -> Pull,
) -> (Endpoint, Vec<Pull>) {
    let endpoint = push.bind(transport.anywhere()).unwrap();
    let all = (1..=pulls).map(|count| {
        let pull = build();
        pull.connect(&endpoint).unwrap();
        push.wait_for_peers(count, LONG).unwrap();
        pull
    });
    let all = all.collect();
    (endpoint, all)
}

fn connected(stats: &aqueduct::SocketStats) -> usize {
    stats.peers.iter().filter(|peer| peer.info.is_some()).count()
}

pub(crate) fn recv(pull: &Pull) -> Message {
    pull.recv_timeout(LONG).unwrap()
}

pub(crate) fn send_all<const N: usize>(push: &Push, bodies: [&str; N]) {
    for body in bodies {
        push.send_timeout(body, LONG).unwrap();
    }
}

/// Receives so many messages as text.
pub(crate) fn recv_texts(pull: &Pull, count: usize) -> Vec<String> {
    (0..count).map(|_| text(&recv(pull))).collect()
}

pub(crate) fn text(message: &Message) -> String {
    message[0].as_str().unwrap().to_owned()
}

/// Sends without waiting until no peer takes more; returns how many were taken.
pub(crate) fn fill(push: &Push) -> usize {
    (0..)
        .take_while(|at: &usize| push.try_send(at.to_string()).is_ok())
        .count()
}

/// Takes messages that wait from so many peers, which say their names, and none of which may be served twice in a turn.
///
/// A message is counted as unread a moment before its peer is in the fair queue. So turns count from when each had one.
pub(crate) fn assert_served_in_turn(peers: usize, mut next: impl FnMut() -> String) {
    let mut names = BTreeSet::new();
    while names.len() < peers {
        names.insert(next());
    }
    for _ in 0..2 {
        let turn: Vec<_> = (0..peers).map(|_| next()).collect();
        assert_eq!(BTreeSet::from_iter(turn.iter().cloned()), names, "{turn:?}");
    }
}

/// Waits until a condition holds, for the few things of which no event tells.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "never happened: {what}");
        std::thread::yield_now();
    }
}

/// Returns the next event that `choose` makes something of, and drops those before it.
pub(crate) fn await_event<T>(
    monitor: &Monitor,
    what: &str,
    mut choose: impl FnMut(&Event) -> Option<T>,
) -> T {
    let mut before = Vec::new();
    let deadline = Instant::now() + LONG;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(event) = monitor.recv_timeout(left) else {
            panic!("no {what}; before: {before:?}");
        };
        if let Some(chosen) = choose(&event) {
            return chosen;
        }
        before.push(event);
    }
}

/// How the next connection ends: the reason, and whether messages had flowed.
pub(crate) fn await_end(monitor: &Monitor) -> (DisconnectReason, bool) {
    await_event(monitor, "end of a connection", |event| match event {
        // A peer that breaks off at once may do so before we know that it was there.
        Event::ConnectFailed { reason, .. } | Event::HandshakeFailed { reason, .. } => {
            Some((reason.clone(), false))
        }
        Event::Disconnected { reason, .. } => Some((reason.clone(), true)),
        _ => None,
    })
}

/// The name of an event without its contents, for scripts of what happens in which order.
pub(crate) fn name(event: &Event) -> String {
    let shown = format!("{event:?}");
    shown.split([' ', '{']).next().unwrap_or_default().to_owned()
}

/// Makes a test of each script for each transport.
macro_rules! rules {
    ($($name:ident over $($transport:ident)*;)*) => {$(
        mod $name {
            $(#[test]
            #[allow(non_snake_case, reason = "named as the transport is")]
            fn $transport() {
                super::$name($crate::support::Transport::$transport);
            })*
        }
    )*};
}

pub(crate) use rules;
