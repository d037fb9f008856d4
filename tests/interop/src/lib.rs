//! What the tests against libzmq share: both kinds of sockets wired to each other, events, checksums, a cable to cut.
//!
//! Run them with `cargo test -p aqueduct-interop`. The `zmq` crate builds libzmq 4.3 from source with the C++ compiler;
//! nothing need be installed. In the tests *classic* is a socket of libzmq, as opposed to ours.

mod broker;
mod cable;
mod classic;
mod foreign;
mod guard;
mod numbered;
mod peer;
mod topics;

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use aqueduct::{DisconnectReason, Endpoint, Event, Message, Monitor, Pull, Push};
use tempfile::TempDir;

pub use broker::{Back, Broker};
pub use cable::Cable;
pub use classic::{Classic, Witness};
pub use foreign::{Foreign, Role};
pub use guard::Guard;
pub use numbered::{Checksum, body};
pub use peer::{Frames, Kind, Library, Link, Peer, Plug, frames, keen, message, words};
pub use topics::{Form, Publisher, Subscriber, cancellation, subscription};

/// How long a test waits for what must happen. It is never reached unless something is broken.
pub const LONG: Duration = Duration::from_secs(30);

/// How long a whole script may take before it counts as hung: whatever a broken library does, the test run ends.
const SCRIPT: Duration = Duration::from_secs(180);

/// Runs a script on a thread of its own, and fails if it does not come to its end.
///
/// # Panics
///
/// The script panics, or hangs.
pub fn bounded(script: impl FnOnce() + Send + 'static) {
    let (done, end) = mpsc::channel();
    let runner = thread::spawn(move || {
        script();
        let _ = done.send(());
    });
    if end.recv_timeout(SCRIPT) == Err(RecvTimeoutError::Timeout) {
        panic!("hangs: not done after {SCRIPT:?}");
    }
    if let Err(panic) = runner.join() {
        std::panic::resume_unwind(panic);
    }
}

/// The transports that both libraries have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the field's own")]
pub enum Via {
    Tcp,
    Ipc,
}

/// Which of the two is bound; the other one connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Bound {
    Ours,
    Classic,
}

/// How a socket of ours and a classic one are wired to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wiring {
    /// Over what.
    pub via: Via,
    /// By whom.
    pub bound: Bound,
}

impl Via {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::Ipc];

    /// An endpoint that either library can bind, which no other test uses, and what keeps it so.
    #[must_use]
    pub fn anywhere(self) -> (String, Option<TempDir>) {
        match self {
            Self::Tcp => ("tcp://127.0.0.1:*".to_owned(), None),
            Self::Ipc => {
                let home = tempfile::tempdir().expect("no temporary directory");
                (
                    format!("ipc://{}", home.path().join("socket").display()),
                    Some(home),
                )
            }
        }
    }
}

impl Wiring {
    /// Each transport with either side bound.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let both = |via| [Bound::Ours, Bound::Classic].map(|bound| Self { via, bound });
        Via::ALL.into_iter().flat_map(both).collect()
    }

    /// Runs a script once for each wiring, one after the other.
    pub fn each(script: impl Fn(Self) + Send + 'static) {
        bounded(move || {
            for wiring in Self::all() {
                println!("{wiring:?}");
                script(wiring);
            }
        });
    }

    /// Runs a script once for each wiring, all at the same time: for scripts that mostly wait.
    pub fn all_at_once(script: impl Fn(Self) + Sync + Send + 'static) {
        bounded(move || {
            let script = &script;
            thread::scope(|scope| {
                for wiring in Self::all() {
                    let name = format!("{wiring:?}");
                    let runner = thread::Builder::new().name(name);
                    runner
                        .spawn_scoped(scope, move || script(wiring))
                        .expect("no thread");
                }
            });
        });
    }

    /// Wires our PUSH to a classic PULL.
    #[must_use]
    pub fn outwards(self, push: &Push, pull: &Classic) -> Wired {
        let wired = self.wire(
            pull,
            |text| push.bind(text).ok(),
            |text| push.connect(text).is_ok(),
        );
        push.wait_for_peers(1, LONG)
            .expect("the classic PULL did not come");
        wired
    }

    /// Wires a classic PUSH to our PULL.
    #[must_use]
    pub fn inwards(self, push: &Classic, pull: &Pull) -> Wired {
        let wired = self.wire(
            push,
            |text| pull.bind(text).ok(),
            |text| pull.connect(text).is_ok(),
        );
        pull.wait_for_peers(1, LONG)
            .expect("the classic PUSH did not come");
        wired
    }

    /// Wires a socket of ours to a classic one.
    #[must_use]
    pub fn join(self, ours: &impl Plug, classic: &Classic) -> Wired {
        let link = match self.via {
            Via::Tcp => Link::Tcp,
            Via::Ipc => Link::Ipc,
        };
        match self.bound {
            Bound::Ours => link.join(ours, classic),
            Bound::Classic => link.join(classic, ours),
        }
    }

    fn wire(
        self,
        classic: &Classic,
        bind: impl FnOnce(&str) -> Option<Endpoint>,
        connect: impl FnOnce(&str) -> bool,
    ) -> Wired {
        let (anywhere, home) = self.via.anywhere();
        let endpoint = match self.bound {
            Bound::Ours => {
                let endpoint = bind(&anywhere).expect("cannot bind").to_string();
                classic.connect(&endpoint);
                endpoint
            }
            Bound::Classic => {
                let endpoint = classic.bind(&anywhere);
                assert!(connect(&endpoint), "cannot connect to {endpoint}");
                endpoint
            }
        };
        Wired {
            endpoint,
            _home: home,
        }
    }
}

/// Where two sockets are wired to each other.
#[derive(Debug)]
pub struct Wired {
    /// The endpoint, without wildcards.
    pub endpoint: String,
    /// The directory that an ipc endpoint is in, kept until the end.
    _home: Option<TempDir>,
}

impl Wired {
    /// Binds anywhere; remembers where to connect to.
    #[must_use]
    pub fn bound(link: Link, bind: impl FnOnce(&str) -> String) -> Self {
        let (anywhere, home) = link.anywhere();
        Self {
            endpoint: link.to(&bind(&anywhere)),
            _home: home,
        }
    }
}

/// A PUSH of ours whose every wait is bounded.
#[must_use]
pub fn push() -> Push {
    Push::builder()
        .send_timeout(Some(LONG))
        .linger(Some(LONG))
        .build()
}

/// A PULL of ours whose every wait is bounded.
#[must_use]
pub fn pull() -> Pull {
    Pull::builder().recv_timeout(Some(LONG)).build()
}

/// Takes a message of one frame apart.
#[must_use]
pub fn single(message: &Message) -> &[u8] {
    message.as_single().expect("a message of one frame")
}

/// Returns what `choose` makes of the first event that it makes something of; the events before are dropped.
pub fn await_event<T>(monitor: &Monitor, what: &str, mut choose: impl FnMut(&Event) -> Option<T>) -> T {
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

/// Waits for the end of a connection over which messages flowed, and returns its reason.
pub fn await_loss(monitor: &Monitor) -> DisconnectReason {
    await_event(monitor, "loss of the connection", |event| match event {
        Event::Disconnected { reason, .. } => Some(reason.clone()),
        _ => None,
    })
}
